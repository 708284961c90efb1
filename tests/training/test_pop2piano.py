"""Training Pop2Piano: batches, loss, windows learnt by heart, and the model as `cover` and transformers open it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning")

import torch

import spartito
from frame import run_cli
from songs import analysis
from spartito.audio.audio import Audio
from spartito.audio.io import save_audio
from spartito.errors import ModelError, ParameterError
from spartito.models.hub import find_model
from spartito.models.pop2piano_generate import FastGenerator
from spartito.models.pop2piano_input import RATE
from spartito.models.pop2piano_tokens import encode
from spartito.training import pop2piano as job
from spartito.training.data.pop2piano_windows import WindowedPiece
from spartito.training.pop2piano_commands import train_pop2piano

NOTES = np.array([[0, 2, 60, 80], [0, 4, 48, 80], [4, 6, 67, 80], [9, 12, 64, 80], [10, 13, 72, 80], [17, 18, 55, 80]])
TIMES = 0.5 * np.arange(12)  # seconds


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def piece(windows: int = 3, *, frames: int = 6, seed: int = 0, name: str = "a") -> WindowedPiece:
    mel = np.random.default_rng(seed).normal(-4, 3, (windows, frames, 512)).astype(np.float16)
    return WindowedPiece(name, "", mel, NOTES)


def write_store(store, *composers: str, split: str = "train") -> None:
    """A pair of one song for each composer; the song is noise."""
    samples = np.random.default_rng(0).uniform(-0.3, 0.3, 6 * RATE).astype(np.float32)
    (store / "labels" / split).mkdir(parents=True)
    save_audio(Audio(samples[None], RATE), store / "song.flac")
    for number, composer in enumerate(composers):
        meta = np.array(json.dumps({"song": str(store / "song.flac"), "composer": composer}))
        np.savez(store / "labels" / split / f"{number}-1.npz", beats=TIMES, meta=meta, half_beats=NOTES)


def tiny(**loop) -> job.Pop2PianoRecipe:
    recipe = job.CONFIGS["tiny"]
    return replace(recipe, loop=replace(recipe.loop, **loop))


# -- batches and loss -----------------------------------------------------------------------------------------------


def test_collate_by_hand():
    mels = [np.full((2, 3), 1.0, dtype=np.float16), np.full((1, 3), 2.0, dtype=np.float16)]
    batch = job.collate(mels, [np.array([7, 8, 9, 1]), np.array([5, 1])], np.array([4, 0]), longest=3)
    assert batch["mel"][:, :, 0].tolist() == [[1, 1], [2, 0]] and batch["mel"].dtype == torch.float32
    assert batch["heard"].tolist() == [[True, True], [True, False]]
    assert batch["tokens"].tolist() == [[0, 7, 8], [0, 5, 0]]
    assert batch["follow"].tolist() == [[7, 8, 9], [5, 1, -100]]
    assert batch["composer"].tolist() == [4, 0]


def test_batches_follow_from_their_number():
    pieces = [piece(2, frames=3), piece(4, frames=5, seed=1)]
    batch_at = job.batches(pieces, [0, 7], tiny())
    first, again, other = batch_at(3), batch_at(3), batch_at(4)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["mel"], other["mel"])
    for n in range(4):  # composer and tokens belong to the sound
        own = first["mel"][n, : int(first["heard"][n].sum())].numpy()
        source = pieces[0] if len(own) == 3 else pieces[1]
        (window,) = np.flatnonzero((source.mel == own).all((1, 2)))
        assert first["composer"][n] == (0 if source is pieces[0] else 7)
        row = first["follow"][n]
        assert row[row >= 0].tolist() == source.tokens(np.array([window]))[0].tolist()


def test_padding_is_in_no_loss():
    network = job.new_network(tiny()).eval()
    mels, rows = [piece().mel[0], piece().mel[1][:4]], piece().tokens(np.array([0, 5]))
    both = job.loss(network, job.collate(mels, rows, np.zeros(2, dtype=np.int64)))["tokens"]
    each = [job.loss(network, job.collate([m], [r], np.zeros(1, dtype=np.int64)))["tokens"] for m, r in zip(mels, rows)]
    expected = sum(term * len(row) for term, row in zip(each, rows)) / sum(map(len, rows))
    torch.testing.assert_close(both, expected)
    assert 3 < float(both.detach()) < 9  # near that of an even guess, ln 234 = 5.5


def test_dropout_is_for_training_alone():
    network = job.new_network(tiny())
    batch = job.collate(list(piece().mel), piece().tokens(np.arange(3)), np.zeros(3, dtype=np.int64))
    told = [float(job.loss(network, batch)["tokens"].detach()) for _ in range(2)]
    assert told[0] != told[1]
    network.eval()
    assert len({float(job.loss(network, batch)["tokens"].detach()) for _ in range(2)}) == 1


def test_rates_and_settings_are_the_published_ones():
    paper = job.CONFIGS["paper"]
    assert sum(weight.numel() for weight in meta_network(paper).parameters()) == 59_108_352
    assert paper.batch == 32 and paper.tokens == 256 and paper.network.dropout_rate == 0.1
    assert [job.constant(step, paper.loop) for step in (0, 1000, paper.loop.steps)] == [1e-3] * 3
    assert [job.constant(step, job.CONFIGS["tune"].loop) for step in (49, 99, 2000)] == [5e-4, 1e-3, 1e-3]


def meta_network(recipe):
    with torch.device("meta"):
        return job.Pop2PianoNetwork(recipe.network)


def test_notes_that_agree_by_hand():
    wanted = [encode(np.array([[0, 2, 60], [1, 2, 62]])), encode(np.array([[3, 4, 64]]))]
    made = [encode(np.array([[0, 5, 60], [2, 3, 62]])), encode(np.zeros((0, 3)))]
    tables = [np.zeros((2, 12), dtype=np.int64) for _ in range(2)]
    for table, rows in zip(tables, (made, wanted)):
        for line, row in zip(table, rows):
            line[: len(row)] = row
    assert job.agreement(*tables) == pytest.approx(2 * 1 / (2 + 3))
    assert job.agreement(tables[1], tables[1]) == 1.0


# -- learning -------------------------------------------------------------------------------------------------------


def test_three_windows_are_learnt_by_heart():
    recipe = replace(tiny(), network=replace(tiny().network, dropout_rate=0.0, composer_vocab_size=2))
    network = job.new_network(recipe)
    known = replace(piece(3), notes=np.array([[0, 2, 60, 80], [0, 2, 64, 80], [11, 13, 67, 80]]))
    rows = known.tokens(np.array([0, 4, 8]))  # a chord, a note, nothing
    batch = job.collate(list(known.mel), rows, np.array([0, 1, 1]))
    optimiser, losses = job.adafactor(network, recipe.loop), []
    for _ in range(30):
        (term,) = job.loss(network, batch).values()
        optimiser.zero_grad()
        term.backward()
        optimiser.step()
        losses.append(float(term.detach()))
    assert losses[0] > 4 and losses[-1] < 0.1
    writer = FastGenerator(network.state_dict(), network.config)
    made = writer.generate(known.mel, None, np.array([0, 1, 1]))
    for line, row in zip(made, rows, strict=True):
        assert line[: len(row)].tolist() == row.tolist() and not line[len(row) :].any()
    with torch.no_grad():
        scores = job.make_validation([known], [0], recipe, windows=1)(network.eval())
    assert scores["notes_f1"] == 1.0 and 0 < float(scores["tokens"]) < 0.1


# -- a run ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A store with two composers, a run on it, and what was said."""
    root, said = tmp_path_factory.mktemp("pop2piano"), []
    write_store(root / "store", "ann", "bob, jr", "")
    (root / "store" / "labels" / "validation").mkdir()
    (root / "store" / "labels" / "validation" / "v-1.npz").write_bytes(
        (root / "store" / "labels" / "train" / "0-1.npz").read_bytes()
    )
    card = {"name": "mine", "licence": "mine, too", "data": "noise"}
    run = train_pop2piano(root / "store", root / "run", config="tiny", card=card, report=said.append)
    return root / "store", run, said


def test_a_run_is_a_model_with_composers_of_its_own(trained):
    _, run, said = trained
    assert "3 pieces, 27 windows, composers: ann, bob-jr, own" in said
    assert {"validation_tokens", "validation_notes_f1"} <= set(json.loads(said[-1]))
    info = find_model(run)
    assert (info.name, info.job, info.licence, info.data) == ("mine", "arrangement", "mine, too", "noise")
    assert info.size_bytes > 1_000_000


def test_cover_opens_a_run(trained, tmp_path):
    pytest.importorskip("transformers")
    _, run, _ = trained
    model = spartito.load_model(run, device="cpu", threads=1)
    assert model.styles == ("ann", "bob-jr", "own")
    sound = Audio(np.random.default_rng(1).uniform(-0.3, 0.3, (1, 6 * RATE)).astype(np.float32), RATE)
    notes = spartito.cover(sound, model=model, analysis=analysis(duration=6.0, count=12), style="bob-jr")
    assert isinstance(notes, spartito.Notes)


def test_transformers_opens_a_run_and_computes_the_same(trained):
    transformers = pytest.importorskip("transformers")
    _, run, _ = trained
    theirs, report = transformers.Pop2PianoForConditionalGeneration.from_pretrained(run, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    assert theirs.dtype == torch.float32 and theirs.config.dense_act_fn == "gelu_new"
    assert theirs.generation_config.composer_to_feature_token == {"ann": 2052, "bob-jr": 2053, "own": 2054}
    config = job.Pop2PianoConfig.from_dict(json.loads((run / "config.json").read_text()))
    ours = job.Pop2PianoNetwork.from_state(theirs.state_dict(), config)
    mel, tokens = torch.from_numpy(piece().mel[:2].astype(np.float32)), torch.tensor([[0, 134, 133], [0, 135, 64]])
    rows = torch.tensor([1, 1])
    with torch.no_grad():
        heard = theirs.eval().mel_conditioner(mel, rows, 0)
        wanted = theirs(inputs_embeds=heard, decoder_input_ids=tokens).logits
        torch.testing.assert_close(ours(mel, rows, tokens), wanted, atol=1e-4, rtol=1e-4)


def test_a_run_goes_on_where_it_was(trained, tmp_path):
    store, run, _ = trained

    def train(folder, steps: int):
        # the length is a part of what must not change: a shorter run is one that was stopped
        train_pop2piano(store, folder, config="tiny", settings=[f"loop.steps={steps}"], report=lambda _: None)
        return torch.load(folder / "checkpoint.pt", weights_only=True)

    half = train(tmp_path / "half", 4)
    half["config"]["steps"] = 8
    torch.save(half, tmp_path / "half" / "checkpoint.pt")
    stopped, whole = train(tmp_path / "half", 8), train(tmp_path / "whole", 8)
    for name, value in whole["network"].items():
        torch.testing.assert_close(stopped["network"][name], value)
    with pytest.raises(ParameterError, match="other settings"):
        train(run, 11)
    with pytest.raises(ParameterError, match="only its dropout_rate"):
        train_pop2piano(store, run, config="tiny", settings=["network.num_layers=2"], report=lambda _: None)
    write_store(tmp_path / "other", "eve")
    with pytest.raises(ParameterError, match="a run without eve"):
        train_pop2piano(tmp_path / "other", run, config="tiny", report=lambda _: None)


def test_new_composers_stand_behind_those_of_the_weights(trained, tmp_path):
    pytest.importorskip("transformers")
    _, run, _ = trained
    write_store(tmp_path / "store", "eve", "bob, jr", "")
    more = train_pop2piano(
        tmp_path / "store",
        tmp_path / "more",
        init=str(run),
        config="tiny",
        composer="ann",
        settings=["loop.steps=1"],
        report=lambda _: None,
    )
    assert spartito.load_model(more, device="cpu", threads=1).styles == ("ann", "bob-jr", "own", "eve")
    before, after = (torch.load(p / "checkpoint.pt", weights_only=True)["network"] for p in (run, more))
    name = "mel_conditioner.embedding.weight"
    torch.testing.assert_close(after[name][:3], before[name])  # codes, which nothing trains
    assert after[name].shape == (4, 512) and 0.8 < float(after[name][3].std()) < 1.2
    assert not torch.equal(after["lm_head.weight"], before["lm_head.weight"])


def test_composers_learn_if_that_is_wished(tmp_path, capfd):
    write_store(tmp_path / "store", "ann")
    run, asked = tmp_path / "run", ["--set", "learn_composers=true", "--set", "loop.steps=2"]
    status, said, _ = run_cli(
        capfd, "train", "pop2piano", tmp_path / "store", "-o", run, "--config", "tiny", "--name", "x", *asked
    )
    assert status == 0 and "1 pieces, 9 windows, composers: ann" in said and find_model(run).name == "x"
    trained = torch.load(run / "checkpoint.pt", weights_only=True)["network"]["mel_conditioner.embedding.weight"]
    recipe = tiny()
    first = job.new_network(replace(recipe, network=replace(recipe.network, composer_vocab_size=1)))
    assert not torch.equal(trained, first.mel_conditioner.embedding.weight)


def test_bad_input_is_said(tmp_path, capfd):
    status, _, said = run_cli(capfd, "train", "pop2piano", tmp_path, "-o", tmp_path / "run")
    assert status != 0 and "holds no pieces" in said and "train pairs" in said and "Traceback" not in said
    assert not (tmp_path / "run").exists()
    write_store(tmp_path / "store", "ann")
    for bad, message in (
        ({"config": "huge"}, "one of tiny, tune, paper"),
        ({"config": "tiny", "settings": ["network.d_model=256"]}, "as wide as there are mel bands"),
    ):
        with pytest.raises(ParameterError, match=message):
            train_pop2piano(tmp_path / "store", tmp_path / "run", report=lambda _: None, **bad)
    with pytest.raises(ModelError, match="no model"):
        train_pop2piano(tmp_path / "store", tmp_path / "run", init="nothing-of-the-kind", report=lambda _: None)
