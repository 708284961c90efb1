"""Chords and keys of hand-made notes."""

import numpy as np
import pytest

from spartito.analysis.note_chords import QUALITIES, TONES, ChordTrack, chords_of, quality_of
from spartito.errors import ParameterError


def block(chords, *, beats=4):
    """Notes of chords (tuples of pitches), each struck once and held `beats` beats."""
    rows = [(4 * beats * i, 4 * beats, p, 80, int(p >= 60)) for i, chord in enumerate(chords) for p in chord]
    return np.array(rows)


POP = block([(36, 60, 64, 67), (45, 60, 64, 69), (41, 60, 65, 69), (43, 59, 62, 67)])  # C Am F G


def moved(notes, *, steps=0, semitones=0):
    return notes + np.array([steps, 0, semitones, 0, 0])


def test_triads_and_their_key():
    track = chords_of(POP, 16)
    assert track.labels() == ["C:maj", "A:min", "F:maj", "G:maj"]
    assert track.starts.tolist() == [0, 4, 8, 12]
    assert track.key == "C:maj"
    assert track.segments.tolist() == [[0, 4, 0, 0, 0], [4, 8, 9, 1, 9], [8, 12, 5, 0, 5], [12, 16, 7, 0, 7]]


def test_sevenths():
    track = chords_of(block([(38, 53, 60, 65, 69), (43, 53, 59, 62, 67), (36, 52, 59, 64, 67)]), 12)
    assert track.labels() == ["D:min7", "G:7", "C:maj7"]
    assert track.simplified().labels() == ["D:min", "G:maj", "C:maj"]


def test_an_inversion_keeps_its_root():
    assert chords_of(block([(40, 60, 67, 72), (41, 60, 65, 69)]), 8).labels() == ["C:maj/3", "F:maj"]


def test_broken_chords_and_passing_notes():
    broken = [(i, 1, p, 70, 0) for i, p in enumerate(4 * [48, 55, 60, 55])]  # C, in sixteenths
    tune = [(2 * i, 2, p, 80, 1) for i, p in enumerate([72, 74, 76, 77, 79, 77, 76, 74])]  # up and down the scale
    assert chords_of(np.array(broken + tune), 4).labels() == ["C:maj"]


def test_a_change_within_the_bar():
    assert chords_of(block([(48, 64, 67), (43, 62, 71, 67)], beats=2), 4).labels() == ["C:maj", "G:maj"]


def test_bars_of_three_from_positions():
    notes = block([(48, 64, 67), (43, 59, 62), (48, 64, 67)], beats=3)
    track = chords_of(notes, 9, positions=np.arange(9) % 3)
    assert track.starts.tolist() == [0, 3, 6]
    with pytest.raises(ParameterError):
        chords_of(notes, 9, positions=np.arange(8))


def test_silence_is_no_chord():
    track = chords_of(np.concatenate([POP, moved(POP, steps=128)]), 48)
    assert "N" in track.labels()
    assert (track.root[20:30] == -1).all() and (track.root[32:36] == 0).all()
    assert chords_of(np.zeros((0, 5), int), 8).labels() == ["N"]
    assert len(chords_of(np.zeros((0, 5), int), 0).labels()) == 0


def test_triads_with_a_fourth_tone_are_called_by_their_names():
    def named(quality, *tones):
        added = np.zeros((1, 12), dtype=bool)
        added[0, list(tones)] = True
        (name,) = ChordTrack(np.array([0]), np.array([QUALITIES.index(quality)]), np.array([0]), added=added).labels()
        return name

    assert named("min", 9) == "C:min6" and named("dim", 9) == "C:dim7" and named("maj", 10) == "C:7"
    assert named("maj", 10, 9) == "C:7(13)" and named("maj", 2) == "C:maj(9)" and named("min", 2, 9) == "C:min6(9)"
    assert named("7", 9) == "C:7(13)" and named("sus4", 9) == "C:sus4(13)"


def test_chords_in_seconds_begin_at_zero():
    track = ChordTrack.of_labels(["F", "C", "C"])
    assert [(c.start, c.end, c.label) for c in track.chords(np.array([-1.0, -0.5, 0.5, 1.5]))] == [(0.0, 1.5, "C:maj")]


def test_transposed_notes_give_transposed_chords():
    up = chords_of(moved(POP, semitones=3), 16)
    track = chords_of(POP, 16).transposed(3)
    assert up.labels() == track.labels() == ["Eb:maj", "C:min", "Ab:maj", "Bb:maj"]
    assert up.key == track.key == "Eb:maj"


def test_the_local_key_follows_a_modulation():
    notes = np.concatenate([moved(POP, steps=64 * i, semitones=6 * (i > 2)) for i in range(6)])
    keys = chords_of(notes, 96).keys
    assert keys[8] == 0 and keys[90] == 6


def test_tones_of_a_track():
    track = ChordTrack.of_labels(["C:maj", "N", "A:min/b3"])
    assert [np.flatnonzero(row).tolist() for row in track.tones()] == [[0, 4, 7], [], [0, 4, 9]]


def test_names_with_added_tones_are_written_and_read():
    track = ChordTrack.of_labels(["C:maj7(9)", "G:7(b9,b13)", "A:min7", "D:min7/b3"])
    assert track.labels() == ["C:maj7(9)", "G:7(b9,b13)", "A:min7", "D:min7/b3"]
    assert np.flatnonzero(track.tones()[1]).tolist() == [2, 3, 5, 7, 8, 11]
    assert ChordTrack.of_labels(2 * ["C:maj"] + ["N"]).harte() == ["C:maj", "C:maj", "N"]
    assert ChordTrack.of_labels(["G:13"]).labels() == ["G:7(9,13)"]


def test_the_quality_most_like_some_tones():
    assert [QUALITIES[i] for i in quality_of(TONES)] == list(QUALITIES)
    ninth = np.zeros((1, 12), bool)
    ninth[0, [0, 2, 4, 10]] = True  # no fifth
    assert QUALITIES[quality_of(ninth)[0]] == "7"
