from itertools import pairwise

import numpy as np
import pytest

from spartito.notes.notes import Notes
from spartito.peaks import PeakSettings, notes_from_curves, peak_frames

FPS = 62.5


def curves_of(notes, frames=400):
    """Curves of a perfect network: triangles of 50 ms, frames on while the note sounds."""
    time = np.arange(frames)[:, None] / FPS
    onset, offset, frame, velocity = (np.zeros((frames, 88)) for _ in range(4))
    for begin, end, pitch, loudness in notes:
        key = pitch - 21
        for curve, at in ((onset, begin), (offset, end)):
            curve[:, key] = np.maximum(curve[:, key], 1 - np.abs(time[:, 0] - at) / 0.05)
        frame[:, key] = np.maximum(frame[:, key], (time[:, 0] >= begin) & (time[:, 0] < end))
        near = np.abs(time[:, 0] - begin) < 0.05
        velocity[near, key] = loudness / 127
    return onset, offset, frame, velocity


def decoded(notes, **settings):
    return notes_from_curves(*curves_of(notes), fps=FPS, settings=PeakSettings(**settings))


def test_times_are_found_between_frames():
    given = [(0.507, 1.203, 60, 80), (0.5213, 0.9001, 64, 33), (2.0, 2.7777, 21, 127), (2.0, 2.1, 108, 1)]
    found = decoded(given)
    assert found["pitch"].tolist() == [60, 64, 21, 108]
    for note, (begin, end, _, loudness) in zip(found, given, strict=True):
        assert note["onset"] == pytest.approx(begin, abs=1e-3)
        assert note["offset"] == pytest.approx(end, abs=1e-3)
        assert note["velocity"] == loudness


def test_restruck_key_with_no_gap_gives_two_notes():
    found = decoded([(1.0, 1.5, 60, 64), (1.5, 2.0, 60, 64), (2.0, 2.5, 60, 64)])
    assert len(found) == 3
    np.testing.assert_allclose(found["offset"][:2], found["onset"][1:], atol=1e-6)


def test_a_note_at_the_very_beginning_and_one_cut_by_the_end():
    found = decoded([(0.0, 0.5, 40, 64), (6.0, 9.0, 50, 64)])
    assert found["pitch"].tolist() == [40, 50]
    assert found["onset"][0] == 0.0
    assert found["offset"][1] == pytest.approx(400 / FPS)


def test_two_peaks_nearer_than_a_hand_can_repeat_are_one():
    onset = np.zeros((100, 88))
    onset[50, 10], onset[51, 10], onset[52, 10] = 0.9, 0.5, 0.8
    frame = (onset > 0).astype(float)
    found = notes_from_curves(onset, np.zeros_like(onset), frame, frame, fps=100.0)
    assert len(found) == 1 and found["confidence"][0] == pytest.approx(0.9)


def test_thresholds_by_key():
    onset = np.zeros((100, 88))
    onset[50] = 0.5
    zero = np.zeros_like(onset)
    threshold = np.where(np.arange(88) < 44, 0.4, 0.6)
    found = notes_from_curves(onset, zero, zero, zero, fps=FPS, settings=PeakSettings(onset=threshold))
    assert found["pitch"].tolist() == list(range(21, 65))
    assert (found["offset"] - found["onset"] >= 0.02 - 1e-9).all()


def test_velocity_is_always_a_midi_velocity():
    onset = np.zeros((100, 88))
    onset[50, :3] = 0.9
    velocity = np.zeros_like(onset)
    velocity[50, :3] = -0.5, np.nan, 3.0
    found = notes_from_curves(onset, onset * 0, onset, velocity, fps=FPS)
    assert found["velocity"].tolist() == [1, 64, 127]


def test_silence_has_no_notes():
    zero = np.zeros((50, 88))
    assert len(notes_from_curves(zero, zero, zero, zero, fps=FPS)) == 0
    assert len(notes_from_curves(zero[:0], zero[:0], zero[:0], zero[:0], fps=FPS)) == 0


def test_random_pieces_survive_the_round_trip():
    rng = np.random.default_rng(3)
    given = []
    for pitch in range(30, 100, 3):
        times = np.cumsum(rng.uniform(0.12, 0.9, 8))
        given += [(a, a + (b - a) * rng.uniform(0.5, 1.0), pitch, 64) for a, b in pairwise(times)]
    given = [note for note in given if note[1] - note[0] > 0.1]
    found = Notes(decoded(given))
    expected = Notes.from_arrays(*np.array(given).T)
    np.testing.assert_array_equal(found.pitch, expected.pitch)
    np.testing.assert_allclose(found.onset, expected.onset, atol=2e-3)
    np.testing.assert_allclose(found.offset, expected.offset, atol=2e-2)


def test_peak_frames_on_a_ramp_and_a_plateau():
    curve = np.array([[0.1, 0.5], [0.4, 0.5], [0.9, 0.5], [0.6, 0.2]])
    frame, key, time = peak_frames(curve, 0.3)
    assert list(zip(frame, key, strict=True)) == [(2, 0), (2, 1)]
    assert time[0] == pytest.approx(2 + 0.5 * (0.6 - 0.4) / (0.9 - 0.4))
