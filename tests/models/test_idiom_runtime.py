"""Writing without torch: the graphs say what the network says, and what is drawn keeps to the rules."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from spartito.analysis.note_chords import ChordTrack
from spartito.models import idiom_tokens as t
from spartito.models.hub import find_model
from spartito.models.idiom_runtime import IdiomWriter, Sheet, ceilings

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
from spartito.models.idiom import Idiom, IdiomConfig  # noqa: E402
from spartito.models.idiom_export import export_idiom  # noqa: E402
from spartito.training.runs import write_run  # noqa: E402

STEPS = 128


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    run = tmp_path_factory.mktemp("run")
    network = Idiom(IdiomConfig.tiny())
    config = {"name": "debug", "job": "restyling", "architecture": "idiom", "network": asdict(network.config)}
    write_run(run, network.state_dict(), config | {"decoder": {"temperature": 1.0, "top_p": 1.0, "guidance": 1.5}})
    (run / "statistics.safetensors").write_bytes(b"those of the run")
    return export_idiom(run, run / "model")


@pytest.fixture(scope="module")
def writer(folder):
    return IdiomWriter(find_model(folder), device="cpu", threads=1)


def a_sheet(**changes) -> Sheet:
    tune = np.array([(16 * i + 4 * j, 4, 72 + j, 80, 1) for i in range(8) for j in range(3)])
    chords = ChordTrack(*(np.zeros(STEPS // 4, dtype=int),) * 3)
    rows = t.lines(tune, chords, np.arange(STEPS // 4) % 4, steps=STEPS)
    spans = np.array([(a, a + 32) for a in range(0, STEPS, 32)])
    sheet = Sheet(rows, spans, np.zeros((0, 5)), np.arange(STEPS) // 16, np.array([2, 0, 0, 0, 0]), 1.0, 1.0, 3)
    return replace(sheet, **changes)


def test_statistics_go_along(folder):
    assert (folder / "statistics.safetensors").read_bytes() == b"those of the run"
    assert find_model(folder).size_bytes == sum(path.stat().st_size for path in folder.iterdir())


def test_the_graphs_say_what_the_network_says(folder, writer):
    from safetensors.torch import load_file

    network = Idiom(IdiomConfig.tiny()).eval()
    network.load_state_dict({k: v.float() for k, v in load_file(str(folder / "model.safetensors")).items()})
    rows = t.windows_of(a_sheet().rows, [0, 32, 96])
    told = {"rows": rows[..., : t.MASK], "tones": t.tone_bits(rows), "controls": np.array([[1, 2, 0, 3, 1]] * 3)}
    tokens = np.array([[[t.END, 0, 0, 0, 0], [3, 0, 20, 1, 2]]] * 3)
    with torch.no_grad():
        known = network.encode(*(torch.from_numpy(np.ascontiguousarray(v)) for v in told.values()))
        wanted = network.step_on(torch.from_numpy(tokens), torch.zeros(3, 2, 2, 2, 0, 8), known)
        cell, seen = known.cells[:, 5], known.seen[:, 5]
        wait, key = torch.full((3,), 2), torch.full((3,), 33)
        keys = network.keys(wanted[0], cell, wait, key, seen)
        details = network.detail(wanted[0], cell, key, seen)
    steps, pointers, cells = writer.encode(told)
    assert np.abs(steps - known.steps.numpy()).max() < 1e-4 and np.abs(cells - known.cells.numpy()).max() < 1e-4
    window = np.ascontiguousarray(told["rows"][:, :64, [t.TUNE, t.ROOT]])
    past = np.zeros((3, 2, 2, 2, 0, 8), dtype=np.float32)
    found = writer.step({"tokens": tokens, "past": past, "steps": steps, "pointers": pointers, "seen": window})
    for ours, theirs in zip(found, wanted):
        assert np.abs(ours - theirs.numpy()).max() < 1e-4
    asked = {"hidden": found[0], "cell": cells[:, 5], "seen": window[:, 5]}
    number = {"wait": wait.numpy(), "last": key.numpy()}
    assert np.abs(writer.keys(asked | number)[0] - keys.numpy()).max() < 1e-4
    for ours, theirs in zip(writer.detail(asked | {"key": key.numpy()}), details):
        assert np.abs(ours - theirs.numpy()).max() < 1e-4


def test_what_is_written_keeps_to_the_rules(writer):
    sheet = a_sheet()
    notes = writer.write([sheet])[0]
    step, duration, pitch, velocity, hand = notes.T
    assert (np.diff(step * 128 + pitch) > 0).all()
    assert step.min() >= 0 and step.max() < STEPS and set(hand) <= {0, 1}
    assert duration.min() >= 1 and 1 <= velocity.min() and velocity.max() <= 127
    assert (np.bincount(step // 16, minlength=8) > 0).all()  # no bar is empty
    low = np.flatnonzero((step[:-1] == step[1:]) & (pitch[:-1] < 45))
    assert (pitch[low + 1] - pitch[low] > 4).all()
    tune = np.where(sheet.rows[:, t.STATE] > 0, sheet.rows[:, t.TUNE] + 21, 128)
    assert (pitch < tune[step]).all()


def test_the_tune_is_a_ceiling_through_its_short_rests():
    rows = t.beyond(24)[None]
    for first, last, key in ((2, 4, 50), (8, 10, 46), (20, 22, 60)):  # rests of 4 and of 10 steps
        rows[0, first:last, t.TUNE], rows[0, first:last, t.STATE] = key, t.HELD
    assert ceilings(rows)[0].tolist() == [88, 88, *[50] * 6, 46, 46, *[88] * 10, 60, 60, 88, 88]


def test_seeds_and_batches(writer):
    one, two = a_sheet(seed=1), a_sheet(seed=2)
    alone = [writer.write([sheet])[0] for sheet in (one, two)]
    together = writer.write([one, two, one])
    assert (together[0] == alone[0]).all() and (together[1] == alone[1]).all() and (together[2] == alone[0]).all()
    assert alone[0].shape != alone[1].shape or (alone[0] != alone[1]).any()
    still = [writer.write([replace(sheet, temperature=0.0)])[0] for sheet in (one, two)]
    assert (still[0] == still[1]).all()


def test_what_is_kept_stays_and_is_gone_on_from(writer):
    """Bars 3 and 4 stay. Before them nothing changes; what comes behind depends on them."""
    kept = np.array([(32 + 4 * i, 4, 40 + i, 70, 0) for i in range(8)])
    spans = np.array([(0, 32), (64, 96), (96, 128)])
    notes = writer.write([a_sheet(spans=spans, kept=kept)])[0]
    inside = (notes[:, 0] >= 32) & (notes[:, 0] < 64)
    assert (notes[inside] == kept).all()
    other = writer.write([a_sheet(spans=spans, kept=kept + np.array([0, 0, 9, 0, 0]))])[0]
    early, late = notes[notes[:, 0] < 32], notes[notes[:, 0] >= 64]
    assert (other[other[:, 0] < 32] == early).all()
    assert not np.array_equal(other[other[:, 0] >= 64], late)


def test_a_stretch_within_a_bar_and_nothing_to_write(writer):
    kept = np.array([(0, 4, 40, 70, 0)])
    assert (writer.write([a_sheet(spans=np.zeros((0, 2), dtype=int), kept=kept)])[0] == kept).all()
    notes = writer.write([a_sheet(spans=np.array([(20, 40)]), kept=kept)])[0]
    assert (notes[1:, 0] >= 20).all() and (notes[1:, 0] < 40).all()
    assert (notes[1:, 0] >= 32).any()  # the second bar has notes; the first had some
    assert writer.write([]) == []
