"""Scores against mir_eval itself, hand-counted cases, and the empty ones."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest

from spartito.errors import MissingExtraError, ParameterError
from spartito.evaluation import transcription as scoring
from spartito.notes.notes import Notes

multipitch = pytest.importorskip("mir_eval.multipitch")
plain = pytest.importorskip("mir_eval.transcription")
with_velocity = pytest.importorskip("mir_eval.transcription_velocity")


def notes_of(*rows):
    """Notes from rows of (onset, offset, pitch, velocity)."""
    return Notes.from_arrays(*(np.array(column) for column in zip(*rows)))


def random_pair(seed, *, n=120, keys=6, length=6.0, step=None):
    """A reference and a noisy copy, crowded so that one note has several candidates; `step` seconds puts all
    times on a grid, so that differences of exactly 50 ms occur."""
    rng = np.random.default_rng(seed)

    def times(values):
        return np.round(values / step) * step if step else values

    onset = times(rng.uniform(0, length, n))
    offset = onset + np.maximum(times(rng.exponential(0.3, n)), 0.05)
    reference = Notes.from_arrays(onset, offset, rng.integers(60, 60 + keys, n), rng.integers(1, 128, n))
    reference = scoring._lasting(reference.sounding())
    kept = reference.array[rng.random(len(reference)) > 0.15].copy()
    kept["onset"] = np.maximum(times(kept["onset"] + rng.normal(0, 0.04, len(kept))), 0)
    kept["offset"] = np.maximum(times(kept["offset"] + rng.normal(0, 0.08, len(kept))), kept["onset"] + 0.01)
    kept["velocity"] = np.clip(0.5 * kept["velocity"] + 20 + rng.normal(0, 8, len(kept)), 1, 127)
    kept["pitch"] += rng.random(len(kept)) < 0.05
    return reference, Notes(kept)


def hz(notes):
    return 440.0 * 2.0 ** ((notes.pitch - 69) / 12)


def by_mir_eval(reference, estimate):
    ours, theirs = scoring._intervals(reference), scoring._intervals(estimate)
    pitches = (ours, hz(reference), theirs, hz(estimate))
    loud = (ours, hz(reference), reference.velocity, theirs, hz(estimate), estimate.velocity)
    return {
        "note": plain.precision_recall_f1_overlap(*pitches, offset_ratio=None)[:3],
        "note_with_offset": plain.precision_recall_f1_overlap(*pitches)[:3],
        "note_100ms": plain.precision_recall_f1_overlap(*pitches, offset_ratio=None, onset_tolerance=0.1)[:3],
        "note_20ms": plain.precision_recall_f1_overlap(*pitches, offset_ratio=None, onset_tolerance=0.02)[:3],
        "note_with_velocity": with_velocity.precision_recall_f1_overlap(*loud, offset_ratio=None)[:3],
        "note_with_offset_and_velocity": with_velocity.precision_recall_f1_overlap(*loud)[:3],
    }


@pytest.mark.parametrize("step", [None, 0.05, 0.01])
@pytest.mark.parametrize("seed", range(8))
def test_equals_mir_eval_on_random_pieces(seed, step):
    reference, estimate = random_pair(seed, step=step)
    scores = scoring.evaluate_transcription(reference, estimate)
    for name, expected in by_mir_eval(reference, estimate).items():
        found = [scores[f"{name}_{part}"] for part in ("precision", "recall", "f1")]
        np.testing.assert_allclose(found, expected, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("seed", range(3))
def test_frame_equals_mir_eval_multipitch(seed):
    reference, estimate = random_pair(seed)
    frames = int(max(reference.duration, estimate.duration) / scoring.FRAME_SECONDS) + 3
    times = np.arange(frames) * scoring.FRAME_SECONDS

    def per_frame(notes):
        return [440.0 * 2.0 ** ((np.flatnonzero(row) - 69) / 12) for row in scoring._roll(notes, frames)]

    precision, recall, accuracy = multipitch.metrics(times, per_frame(reference), times, per_frame(estimate))[:3]
    scores = scoring.evaluate_transcription(reference, estimate)
    assert scores["frame_precision"] == pytest.approx(precision, abs=1e-9)
    assert scores["frame_recall"] == pytest.approx(recall, abs=1e-9)
    assert scores["frame_accuracy"] == pytest.approx(accuracy, abs=1e-9)


def test_tie_at_exactly_50_ms_counts_and_a_little_more_does_not():
    reference = notes_of((1.0, 1.2, 60, 64), (2.0, 2.2, 62, 64))
    estimate = notes_of((1.05, 1.25, 60, 64), (2.0502, 2.2502, 62, 64))
    scores = scoring.evaluate_transcription(reference, estimate)
    assert scores["note_f1"] == 0.5
    assert scores["note_with_offset_f1"] == 0.5
    assert scores["note_20ms_f1"] == 0.0
    assert scores["note_100ms_f1"] == 1.0


def test_hand_counted_piece():
    reference = notes_of((1.0, 2.0, 60, 100), (2.0, 3.0, 64, 50), (3.0, 4.0, 67, 80))
    estimate = notes_of((1.01, 2.0, 60, 100), (2.0, 2.5, 64, 50), (3.0, 4.0, 91, 80), (3.5, 4.0, 84, 80))
    scores = scoring.evaluate_transcription(reference, estimate, seconds=30.0)
    assert scores["note_precision"] == 2 / 4
    assert scores["note_recall"] == pytest.approx(2 / 3)
    assert scores["note_with_offset_recall"] == pytest.approx(1 / 3)  # the second stops half a second early
    assert scores["false_high_notes_per_minute"] == 2.0  # MIDI 91 only: 84 is not above 84
    assert scores["reference_notes"] == 3 and scores["estimate_notes"] == 4


def test_constant_lag_is_measured_and_removed():
    reference, _ = random_pair(3, keys=40)
    scores = scoring.evaluate_transcription(reference, reference.shifted(0.06))
    assert scores["onset_error_median_ms"] == pytest.approx(60.0)
    assert scores["onset_error_absolute_median_ms"] == pytest.approx(60.0)
    assert scores["note_f1"] < 0.2
    assert scores["note_aligned_f1"] == scores["note_with_offset_and_velocity_aligned_f1"] == 1.0


def test_reference_sounds_as_long_as_its_pedal():
    played = notes_of((1.0, 1.2, 60, 64), (3.0, 3.2, 62, 64)).with_pedal([[1.1, 2.5]])
    heard = notes_of((1.0, 2.5, 60, 64), (3.0, 3.2, 62, 64))
    assert scoring.evaluate_transcription(played, heard)["note_with_offset_f1"] == 1.0
    assert scoring.evaluate_transcription(played, played)["note_with_offset_f1"] == 1.0
    assert "pedal_f1" not in scoring.evaluate_transcription(played, heard)


def test_pedal_is_scored_where_both_have_it():
    notes = notes_of((0.0, 9.0, 60, 64))
    reference = notes.with_pedal([[1.0, 2.0], [4.0, 5.0]])
    estimate = notes.with_pedal([[1.15, 2.0], [4.0, 7.0], [8.0, 8.5]])
    scores = scoring.evaluate_transcription(reference, estimate)
    assert scores["pedal_recall"] == 1.0 and scores["pedal_precision"] == pytest.approx(2 / 3)
    assert scores["pedal_with_offset_recall"] == 0.5


@pytest.mark.parametrize("empty", ["reference", "estimate", "both", "zero length"])
def test_nothing_scores_nothing_with_a_warning(empty):
    some, none = notes_of((1.0, 1.5, 60, 64)), Notes()
    pair = {
        "reference": (none, some),
        "estimate": (some, none),
        "both": (none, none),
        "zero length": (some, notes_of((1.0, 1.0, 60, 64))),
    }[empty]
    with pytest.warns(UserWarning, match="has no notes"):
        scores = scoring.evaluate_transcription(*pair)
    assert all(np.isfinite(value) for value in scores.values())
    assert scores["note_f1"] == scores["frame_f1"] == 0.0
    assert scores["frame_accuracy"] == (1.0 if empty == "both" else 0.0)


def test_no_warning_when_both_sides_have_notes():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scoring.evaluate_transcription(notes_of((1.0, 1.5, 60, 64)), notes_of((2.0, 2.5, 61, 64)))


def test_dixon_accuracy():
    reference, estimate = np.array([[1, 1, 0, 0]]), np.array([[1, 0, 1, 0]])
    assert scoring.dixon_accuracy(reference, estimate) == pytest.approx(1 / 3)
    f1 = 0.5
    assert scoring.dixon_accuracy(reference, estimate) == pytest.approx(f1 / (2 - f1))
    assert scoring.dixon_accuracy(np.zeros((2, 88)), np.zeros((2, 88))) == 1.0
    with pytest.raises(ParameterError):
        scoring.dixon_accuracy(np.zeros((2, 88)), np.zeros((3, 88)))


def test_unknown_reference_times():
    some = notes_of((1.0, 1.5, 60, 64))
    with pytest.raises(ParameterError, match="jongwook"):
        scoring.evaluate_transcription(some, some, reference_times="rounded")


def test_missing_mir_eval_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mir_eval", None)
    monkeypatch.setitem(sys.modules, "mir_eval.transcription", None)
    some = notes_of((1.0, 1.5, 60, 64))
    with pytest.raises(MissingExtraError, match=r"spartito\[eval\]"):
        scoring.evaluate_transcription(some, some)


def test_jongwook_reference_is_drawn_on_its_grid():
    """A note struck again without a gap runs on in jongwook's reference: its own decoder then looks perfect."""
    played = notes_of((1.0, 1.32, 60, 64), (1.32, 1.64, 60, 64))
    heard = notes_of((0.992, 1.632, 60, 64), (1.312, 1.632, 60, 64))
    assert scoring.evaluate_transcription(played, heard)["note_with_offset_f1"] == 0.5
    assert scoring.evaluate_transcription(played, heard, reference_times="jongwook")["note_with_offset_f1"] == 1.0
