"""Covers beside the sound of their songs, on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.analysis.beats import Beats
from spartito.audio.audio import Audio
from spartito.errors import ParameterError
from spartito.evaluation import likeness
from spartito.evaluation.likeness import (
    Original,
    chroma_agreement,
    cover_distance,
    longest_passage,
    path_deviation,
    recurrence,
)
from spartito.notes.notes import Notes

RATE = 16_000
BEAT = 0.5  # seconds


def sound(*chords, beat=BEAT, pause=1.0):
    """Chords (MIDI pitches) of sines, a beat each, after a pause."""
    t = np.arange(int(beat * RATE)) / RATE
    parts = [np.zeros(int(pause * RATE))]
    for chord in chords:
        parts.append(sum(np.sin(2 * np.pi * 440 * 2 ** ((p - 69) / 12) * t) for p in chord) * 0.1)
    return Audio(np.concatenate(parts).astype(np.float32), RATE)


# -- from beat to beat ----------------------------------------------------------------------------------------


def test_sound_agrees_beat_by_beat():
    place = np.arange(4)
    beats = Beats(1.0 + BEAT * place, place, place)
    c, f, g, a = (60, 64, 67), (53, 57, 60), (55, 59, 62), (57, 60, 64)
    song = sound(c, f, g, a)
    octave = sound(*[[p + 12 for p in chord] for chord in (c, f, g, a)])
    good = chroma_agreement(song, octave, beats)
    wrong = chroma_agreement(song, sound(g, c, f, f), beats)
    assert good["chroma_agreement"] > 0.9 and wrong["chroma_agreement"] < 0.3
    assert good["chroma_agreement_shuffled"] < 0.4
    silent = chroma_agreement(song, Audio(np.zeros(4 * RATE, dtype=np.float32), RATE), beats)
    assert silent == {"chroma_agreement": 0.0, "chroma_agreement_shuffled": 0.0}


# -- the longest passage --------------------------------------------------------------------------------------


def test_a_straight_passage_counts_its_frames():
    assert longest_passage(np.eye(10, dtype=bool)) == 8.0  # the first two rows and columns do not count
    assert longest_passage(np.eye(30, 20, k=-6, dtype=bool)) == 18.0
    assert longest_passage(np.zeros((10, 10), dtype=bool)) == 0.0
    assert longest_passage(np.zeros((0, 5), dtype=bool)) == 0.0


def test_a_gap_costs_half_a_frame():
    matrix = np.eye(10, dtype=bool)
    matrix[5, 5] = False
    assert longest_passage(matrix) == 3 - 0.5 + 4
    matrix[6, 6] = False  # over two rows by one cell, (2, 1) and (1, 2) further: as dear as over one
    assert longest_passage(matrix) == 3 - 0.5 + 3
    matrix[3:9] = False  # a gap of six costs more than the one frame before it
    assert longest_passage(matrix) == 1.0


def test_passages_at_up_to_double_pace():
    def recurring(rows, columns):
        matrix = np.zeros((24, 24), dtype=bool)
        matrix[rows, columns] = True
        return matrix

    k = np.arange(2, 11)
    assert longest_passage(recurring(2 * k, k)) == longest_passage(recurring(k, 2 * k)) == 9.0
    # at triple pace there is no step from one to the next: two frames cannot be joined without a gap
    assert longest_passage(recurring(3 * k[:6], k[:6])) < 4.0


def test_states_that_are_each_others_nearest_recur():
    x = np.array([[0.0], [10.0], [20.0], [30.0]])
    y = np.array([[29.0], [1.0], [11.0], [19.0], [100.0]])
    found = recurrence(x, y, nearest=0.0)  # only the nearest of all
    expected = np.zeros((4, 5), dtype=bool)
    expected[[0, 1, 2, 3], [1, 2, 3, 0]] = True  # 100 is nobody's nearest, though 30 is its own
    np.testing.assert_array_equal(found, expected)
    assert recurrence(x, y, nearest=100.0).all()


def test_recurrence_in_blocks_is_that_in_one(monkeypatch):
    x, y = np.random.default_rng(0).normal(size=(2, 40, 3))
    whole = recurrence(x, y)
    monkeypatch.setattr(likeness, "BLOCK", 7)
    np.testing.assert_array_equal(recurrence(x, y), whole)
    monkeypatch.setattr(likeness, "MAX_CELLS", 1599)
    with pytest.raises(ParameterError, match="37 minutes"):
        recurrence(x, y)


def test_a_transposed_slower_cover_is_nearer_than_another_song():
    rng = np.random.default_rng(1)
    chords = [(r, r + 4, r + 7) for r in rng.integers(48, 60, 24)]
    song = sound(*chords)
    slower_in_d = sound(*[[p + 2 for p in chord] for chord in chords], beat=0.6)
    other = sound(*[chords[i] for i in rng.permutation(24)])
    near, far = cover_distance(song, slower_in_d), cover_distance(song, other)
    assert near < 0.09 and far > 2 * near
    assert cover_distance(song, Audio(np.zeros(100, dtype=np.float32), RATE)) == float("inf")


# -- structure ------------------------------------------------------------------------------------------------


def test_another_tempo_is_no_deviation():
    cover = np.linspace(0, 60, 601)
    assert path_deviation(np.stack([cover, 1.5 * cover + 3], axis=1)) == pytest.approx(0.0, abs=1e-9)


def test_deviation_is_that_from_the_line():
    # a zigzag of 0.2 s about the diagonal, symmetric, so that the line is the diagonal itself
    cover = np.arange(0.0, 100.0)
    song = cover + 0.2 * np.tile([1.0, -1.0, -1.0, 1.0], 25)
    assert path_deviation(np.stack([cover, song], axis=1), trim=0.0) == pytest.approx(0.2, rel=1e-3)


def test_the_ends_are_left_out():
    cover = np.arange(0.0, 100.0)
    song = cover.copy()
    song[:8], song[-8:] = cover[:8] - 3.0, cover[-8:] + 5.0
    path = np.stack([cover, song], axis=1)
    assert path_deviation(path, trim=10.0) == pytest.approx(0.0, abs=1e-9) and path_deviation(path, trim=0.0) > 0.5
    short = path[:15]  # too short to leave anything out
    assert path_deviation(short, trim=10.0) == path_deviation(short, trim=0.0) > 0.1
    assert np.isnan(path_deviation(path[:1])) and np.isnan(path_deviation(np.zeros((0, 2))))


def test_covers_of_one_song():
    """A cover that leaves out four of forty seconds leaves the line; another tempo does not."""
    rng = np.random.default_rng(2)
    chords = np.array([(r, r + 4, r + 7) for r in rng.integers(48, 60, 80)])

    def played(which, *, beat):
        onset = np.repeat(1.0 + beat * np.arange(len(which)), 3)
        return Notes.from_arrays(onset, onset + beat, chords[which].ravel(), 80)

    every = np.arange(80)
    original = Original(sound(*chords))
    straight = original.compare(played(every, beat=0.6))
    skipping = original.compare(played(np.delete(every, np.s_[40:48]), beat=BEAT))
    assert straight["path_deviation"] < 0.15 and skipping["path_deviation"] > 0.5
    assert max(straight["cover_distance"], skipping["cover_distance"]) < 0.1
    assert original.compare(Notes()) == {}
