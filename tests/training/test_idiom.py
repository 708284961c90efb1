"""Training of the idiom model: what is drawn, what it is told, and a run of a few steps."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from spartito.models.idiom_tokens import END, NO_ROOT, ROOT, TUNE  # noqa: E402
from spartito.training import idiom as job  # noqa: E402
from spartito.training.data.genre_store import GridPiece, save_pieces  # noqa: E402
from spartito.training.data.idiom_windows import open_idiom, prepare_idiom  # noqa: E402
from spartito.training.idiom_commands import train_idiom  # noqa: E402


def pieces(seed: int, count: int) -> list[GridPiece]:
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        step = np.repeat(np.arange(0, 128, 4), 3)
        pitch = np.column_stack([np.full(32, 48 + number), 55 + rng.integers(0, 5, 32), 70 + rng.integers(0, 9, 32)])
        notes = np.column_stack([step, np.full(96, 4), pitch.ravel(), np.full(96, 70), pitch.ravel() > 52])
        name = f"{seed}-{number}"
        found.append(GridPiece(name, name, notes, step.astype(float), np.array([[0, 128]])))
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("genres")
    for i, (genre, name, count) in enumerate((("pop", "pop909", 3), ("jazz", "pijama", 2), ("jazz", "wjazzd", 2))):
        save_pieces(folder / "store" / genre / "train" / f"{name}.npz", pieces(i, count))
    save_pieces(folder / "store" / "pop" / "validation" / "pop909.npz", pieces(9, 1))
    prepare_idiom(folder / "store", folder / "cache", report=lambda _: None)
    return folder


@pytest.fixture(scope="module")
def sets(store):
    return open_idiom(store / "cache", "train")


def test_genres_are_drawn_alike_and_voiced_solos_seldom(sets):
    assert [(part.genre, part.name) for part in sets] == [("jazz", "pijama"), ("jazz", "wjazzd"), ("pop", "pop909")]
    assert job.chances(sets) == pytest.approx([0.485, 0.015, 0.5])


def test_an_example_is_its_window(sets):
    batch = job.examples([(sets[2], 16), (sets[0], 32)])
    assert batch["controls"].tolist() == [[3, 0, 0, 0, 0], [2, 0, 0, 0, 0]]
    assert batch["tokens"].shape == (2, 33, 5)
    assert batch["tokens"][0, :2, 0].tolist() == [0, 0] and batch["tokens"][0, 32].tolist() == [END, 0, 0, 0, 0]
    assert batch["rows"].shape == (2, 80, 8) and batch["tones"].shape == (2, 80, 24)


def test_a_transposed_example_moves_all_that_sounds(sets):
    class Fixed(np.random.Generator):
        def integers(self, *args, **kwargs):
            return np.array([5])

    recipe = job.IdiomRecipe(details=(0, 0, 0, 1.0), free=1.0, free_genre=0.0)
    plain = job.examples([(sets[2], 16)])
    moved = job.examples([(sets[2], 16)], recipe=recipe, rng=Fixed(np.random.PCG64(0)))
    assert (moved["tokens"][0, :32, 2] == plain["tokens"][0, :32, 2] + 5).all()
    assert (moved["rows"][0, :64, TUNE] == plain["rows"][0, :64, TUNE] + 5).all()
    known = plain["rows"][0, :, ROOT] != NO_ROOT
    assert (moved["rows"][0, known, ROOT] == (plain["rows"][0, known, ROOT] + 5) % 12).all()


def test_batches_depend_on_their_number_only(sets):
    batch_at = job.batches(sets, job.CONFIGS["tiny"])
    first, again, other = batch_at(3), batch_at(3), batch_at(4)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["rows"], other["rows"])


def test_the_entropy_counts_notes_and_one_mark(sets):
    """Of a network that finds everything equally likely: log of the number of choices."""
    network = job.new_network(job.CONFIGS["tiny"])
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        batch = job.examples([(sets[2], 16), (sets[2], 112)])  # 32 notes, and the last 8
        written = network(batch["rows"], batch["tones"], batch["controls"], batch["tokens"])
    found = job.entropies(written, batch["tokens"])
    assert float(found["key"]) == pytest.approx(np.log(88), abs=1e-4)
    assert float(found["duration"]) == pytest.approx(np.log(12), abs=1e-4)
    choices = 65 - np.concatenate([[0], np.repeat(np.arange(0, 64, 4), 2), [0], np.repeat(np.arange(0, 16, 4), 2)])
    assert float(found["position"]) == pytest.approx(np.log(choices).mean(), abs=1e-3)


def test_a_run_learns_and_goes_on(store, tmp_path):
    told = []
    options = {"cache": store / "cache", "config": "tiny", "report": told.append}
    settings = ["loop.steps=12", "loop.validate_every=12", "loop.report_every=6", "loop.threads=1"]
    run = train_idiom(store / "store", tmp_path / "run", settings=settings, card={"name": "a"}, **options)
    config = json.loads((run / "config.json").read_text())
    assert (config["job"], config["architecture"], config["name"]) == ("restyling", "idiom", "a")
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert log[1]["key"] < log[0]["key"] and "validation_pop_full_key" in log[-1]
    train_idiom(store / "store", run, settings=settings, **options)  # done already
    init = train_idiom(store / "store", tmp_path / "next", settings=["loop.steps=1"], init=run, **options)
    assert json.loads((init / "config.json").read_text())["init"] == "run"
