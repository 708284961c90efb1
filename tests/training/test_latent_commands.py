"""From songs to a trained latent space, in small."""

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from spartito.errors import ParameterError  # noqa: E402
from spartito.models.musae import MusAE, MusaeConfig  # noqa: E402
from spartito.models.musae_prior import prior_from_dict  # noqa: E402
from spartito.training import musae_batches as data  # noqa: E402
from spartito.training.data.band_store import BandPiece, open_bands, write_bands  # noqa: E402
from spartito.training.data.genre_store import GridPiece, save_pieces  # noqa: E402
from spartito.training.latent_commands import prepare_bands, recipe_of, train_latent  # noqa: E402

GENRES = "jazz", "rock", "pop", "soul"


@pytest.fixture
def store(tmp_path):
    """Six songs per split; each genre in a register of its own, jazz beside soul, rock beside pop."""
    random = np.random.default_rng(0)
    pieces = []
    for i in range(18):
        low = {"jazz": 30, "soul": 33, "rock": 70, "pop": 73}[GENRES[i % 4]]
        states = random.integers(low, low + 12, (80, 4)).astype(np.uint8)
        states[1::2] = 129
        where = np.array([[0, 80]])
        tags = (GENRES[i % 4],)
        pieces.append(BandPiece(f"{i:02}", f"{i:02}", states, np.zeros_like(states), where, tags, "free", 120.0))
    write_bands(tmp_path / "store", "x", pieces, split=lambda s: ("train", "validation", "test")[int(s) // 6 % 3])
    return tmp_path / "store"


def test_batches_are_known_by_their_index(store):
    recipe = recipe_of("tiny")
    found = data.prepare(open_bands(store, "train"), recipe)
    batch_at = found.batches(recipe)
    first, again = batch_at(3), found.batches(recipe)(3)
    assert all(torch.equal(first[k], again[k]) for k in first) and batch_at(3) is batch_at(3)
    assert first["states"].shape == (4, 32, 4) and first["attributes"].shape == (4, 6) and first["step"] == 3
    assert not torch.equal(batch_at(4)["states"], first["states"])
    assert found.chances.sum() == pytest.approx(1)


def test_tags_are_told_by_their_place_on_the_circle(store):
    recipe = recipe_of("tiny")
    found = data.prepare(open_bands(store, "train"), recipe)
    around = [str(found.bands.tag_names[i]) for i in found.order]
    gap = abs(around.index("jazz") - around.index("soul"))
    assert gap in (1, 3)  # side by side, since their registers are
    batch = found.batch(found.windows, recipe, np.random.default_rng(0))
    truth = [around[i] for i in batch["component"].tolist()]
    assert truth == [found.bands.tag_names[found.bands.tags[b].argmax()] for b in found.windows[:, 0]]


def test_tags_that_songs_share_are_neighbours(store):
    bands = open_bands(store, "train")
    shared = bands.tags.copy()
    names = bands.tag_names.tolist()
    for a, b in [("jazz", "rock"), ("rock", "soul"), ("soul", "pop"), ("pop", "jazz")]:
        shared[np.flatnonzero(bands.tags[:, names.index(a)])[0], names.index(b)] = True
    order = data.order_of_tags(replace(bands, tags=shared), bands.windows(), np.zeros((len(bands.windows()), 6)))
    around = [names[i] for i in order]
    assert abs(around.index("jazz") - around.index("soul")) == 2  # opposite


@pytest.mark.parametrize("prior", ["flower", "gaussian"])
def test_training_there_and_back(store, tmp_path, prior):
    from safetensors.torch import load_file

    said = []
    run = train_latent(
        store, tmp_path / "run", recipe=recipe_of("tiny", prior=prior), card={"licence": "free"}, report=said.append
    )
    config = json.loads((run / "config.json").read_text())
    assert config["licence"] == "free" and sorted(config["tags"]) == sorted(GENRES)
    assert np.shape(config["scale"]) == (101, 6)
    network = MusAE(MusaeConfig.from_dict(config["network"]))
    network.load_state_dict({k: v.float() for k, v in load_file(str(run / "model.safetensors")).items()})
    assert prior_from_dict(config["prior"]).components == network.config.tags == (4 if prior == "flower" else 0)
    last = [json.loads(line) for line in said if line.startswith("{")][-1]
    assert {"validation_accuracy", "validation_hold_baseline", "validation_mmd"} <= set(last)
    more = train_latent(store, tmp_path / "more", recipe=recipe_of("tiny", prior=prior), init=run, report=said.append)
    assert json.loads((more / "config.json").read_text())["init"] == "run"


def test_a_piano_from_a_store_of_genres(tmp_path):
    random = np.random.default_rng(0)
    for genre, low in (("classic", 40), ("jazz", 50), ("pop", 60)):
        for split in ("train", "validation"):
            steps = np.repeat(np.arange(0, 128, 2), 2)
            rows = np.column_stack([steps, np.full(128, 2), low + random.integers(0, 20, 128), np.full(128, 80)])
            notes = np.column_stack([rows, np.tile([0, 1], 64)])
            piece = GridPiece(split, split, notes, notes[:, 0].astype(float), np.array([[0, 128]]), 100.0)
            save_pieces(tmp_path / "genres" / genre / split / "pop909.npz", [piece])
    made = prepare_bands(tmp_path / "piano", piano=tmp_path / "genres", report=lambda _: None)
    assert "classic" in made and "jazz" in made
    with pytest.raises(ParameterError, match="of its own"):
        prepare_bands(tmp_path / "piano", piano=tmp_path / "genres", asap=tmp_path)
    with pytest.raises(ParameterError, match="piano"):
        train_latent(tmp_path / "piano", tmp_path / "run", recipe=recipe_of("tiny"))
    recipe = recipe_of("tiny", settings=["network.layout=piano"])
    said = []
    run = train_latent(tmp_path / "piano", tmp_path / "run", recipe=recipe, report=said.append)
    config = json.loads((run / "config.json").read_text())
    assert config["network"]["layout"] == "piano" and sorted(config["tags"]) == ["classic", "jazz", "pop"]
    assert config["tempo"]["jazz"] == 100 and np.shape(config["velocity"]["pop"]) == (6, 16)
    last = [json.loads(line) for line in said if line.startswith("{")][-1]
    assert {"validation_onset_rh1", "validation_onset_lh3"} <= set(last)


def test_what_cannot_be_done(store, tmp_path):
    with pytest.raises(ParameterError):
        recipe_of("huge")
    with pytest.raises(ParameterError):
        recipe_of("tiny", settings=["loop.speed=3"])
    with pytest.raises(ParameterError):
        prepare_bands(tmp_path / "other")
    with pytest.raises(ParameterError):
        prepare_bands(tmp_path / "other", lakh=tmp_path)
    with pytest.raises(ParameterError):
        train_latent(store, tmp_path / "run", recipe=recipe_of("tiny", settings=["network.bars=16"]))
