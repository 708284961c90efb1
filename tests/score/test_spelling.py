"""Keys and names of notes."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.score.spelling import Key, estimate_key, estimate_keys, spell

pytest.importorskip("partitura", reason="the extra 'score' is not installed")


def scale(tonic, steps):
    return np.array([tonic + s for s in steps] + [tonic])


MAJOR, MINOR = (0, 2, 4, 5, 7, 9, 11, 12), (0, 2, 3, 5, 7, 8, 11, 12)


@pytest.mark.parametrize(
    ("tonic", "steps", "expected"),
    [
        (60, MAJOR, (0, "major")),
        (67, MAJOR, (1, "major")),
        (65, MAJOR, (-1, "major")),
        (61, MAJOR, (-5, "major")),
        (69, MINOR, (0, "minor")),
        (60, MINOR, (-3, "minor")),
        (66, MINOR, (3, "minor")),
    ],
)
def test_keys_of_scales(tonic, steps, expected):
    pitch = scale(tonic, steps)
    assert estimate_key(pitch, np.ones(len(pitch)), np.arange(len(pitch))) == expected


def names(pitch, fifths):
    pitch = np.asarray(pitch)
    table = spell(np.arange(len(pitch)), np.ones(len(pitch)), pitch, fifths=fifths)
    return [f"{r['step']}{'#' * max(0, r['alter'])}{'b' * max(0, -r['alter'])}{r['octave']}" for r in table]


def test_names_follow_the_key():
    assert names(scale(60, MAJOR), 0) == ["C4", "D4", "E4", "F4", "G4", "A4", "B4", "C5", "C4"]
    assert names(scale(64, MAJOR), 4)[:4] == ["E4", "F#4", "G#4", "A4"]
    assert names(scale(63, MAJOR), -3)[:4] == ["Eb4", "F4", "G4", "Ab4"]
    assert names(scale(66, MAJOR), -6)[:4] == ["Gb4", "Ab4", "Bb4", "Cb5"]
    assert names(scale(66, MAJOR), 6)[:4] == ["F#4", "G#4", "A#4", "B4"]
    assert names(scale(69, MINOR), 0)[6] == "G#5"  # leading note of A minor


def test_every_name_sounds_as_its_number():
    rng = np.random.default_rng(0)
    pitch = rng.integers(21, 109, 300)
    semitone = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
    for fifths in (-7, -3, 0, 4, 7):
        table = spell(np.arange(300), np.ones(300), pitch, fifths=fifths)
        sounding = [12 * (r["octave"] + 1) + semitone[r["step"]] + r["alter"] for r in table]
        assert sounding == pitch.tolist()
        assert np.abs(table["alter"]).max() <= 2


def cadences(*sections):
    """I IV V I in quarters, a bar of 24 * 4 ticks each time, for (tonic, number of bars) one after the other."""
    pitch = [
        60 + tonic + above
        for tonic, bars in sections
        for _ in range(bars)
        for chord in ((0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7))
        for above in chord
    ]
    count = len(pitch) // 3
    onset = np.repeat(24 * np.arange(count), 3)
    return np.array(pitch), np.ones(len(pitch)), onset, 96 * np.arange(count // 4)


def test_a_song_that_moves_up():
    assert estimate_keys(*cadences((0, 16), (1, 12))) == [Key(0, 0, "major"), Key(16 * 96, -5, "major")]
    assert estimate_keys(*cadences((3, 10), (5, 10))) == [Key(0, -3, "major"), Key(10 * 96, -1, "major")]


def test_a_bar_that_leads_over_has_the_old_signature():
    pitch, duration, onset, bars = cadences((0, 16), (2, 12))
    two_five = np.array([(64, 67, 71), (64, 67, 71), (69, 73, 79), (69, 73, 79)])  # E minor and A7 before D major
    pitch[12 * 15 : 12 * 16] = two_five.ravel()
    assert estimate_keys(pitch, duration, onset, bars) == [Key(0, 0, "major"), Key(16 * 96, 2, "major")]


def test_one_key_is_enough():
    assert estimate_keys(*cadences((0, 20))) == [Key(0, 0, "major")]
    assert len(estimate_keys(*cadences((0, 16), (7, 16)))) == 1  # a fifth away is no foreign key
    assert len(estimate_keys(*cadences((0, 20), (1, 4)))) == 1  # too short
    assert len(estimate_keys(*cadences((0, 10), (1, 10), (0, 10)))) == 1  # comes home


def test_minor_may_end_in_major():
    pitch, duration, onset, bars = cadences((0, 24))
    minor = np.isin((pitch - 60) % 12, (4, 9)) & (onset < 14 * 96)
    assert len(estimate_keys(pitch - minor, duration, onset, bars)) == 1
