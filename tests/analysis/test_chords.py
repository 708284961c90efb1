"""Chords and keys from hand-made opinions of a network."""

import numpy as np
import pytest

from spartito.analysis.chords import find_chords, find_key, key_name
from spartito.analysis.song import Chord, beats_of
from spartito.models.song_outputs import FPS, QUALITIES, STRIDE, chord_class

STEPS = FPS / STRIDE  # a second


def opinions(spans, duration, *, noise=0.5, seed=0):
    """Logits (121, steps) and (13, steps) that favour the chord and bass of each (start, end, label, bass)."""
    steps = int(duration * STEPS)
    rng = np.random.default_rng(seed)
    chord = rng.normal(0.0, noise, (1 + 12 * len(QUALITIES), steps))
    bass = rng.normal(0.0, noise, (13, steps))
    for start, end, label, low in spans:
        here = slice(round(start * STEPS), round(end * STEPS))
        chord[chord_class(label), here] += 6.0
        bass[low + 1, here] += 6.0
    return chord, bass


BEATS = beats_of(0.5 * np.arange(16), np.arange(16) % 4)


def labels(chords):
    return [(round(c.start, 2), round(c.end, 2), c.label) for c in chords]


def test_chords_change_on_beats():
    chord, bass = opinions([(0, 2.1, "C:maj", 0), (2.1, 4, "A:min", 9), (4, 8, "N", -1)], 8.0)
    assert labels(find_chords(chord, bass, BEATS, 8.0)) == [(0, 2, "C:maj"), (2, 4, "A:min"), (4, 8, "N")]


def test_a_passing_doubt_is_no_change():
    chord, bass = opinions([(0, 8, "C:maj", 0), (2.0, 2.15, "E:min", 4)], 8.0)
    assert labels(find_chords(chord, bass, BEATS, 8.0)) == [(0, 8, "C:maj")]


def test_sevenths_only_where_sure():
    sure, bass = opinions([(0, 8, "G:7", 7)], 8.0)
    assert labels(find_chords(sure, bass, BEATS, 8.0)) == [(0, 8, "G:7")]
    torn = sure.copy()
    torn[chord_class("G:maj")] += 6.0  # as likely without
    assert labels(find_chords(torn, bass, BEATS, 8.0)) == [(0, 8, "G:maj")]


def test_doubt_about_the_seventh_does_not_cost_the_chord():
    chord, bass = opinions([(0, 8, "C:maj", 0), (0, 8, "C:maj7", 0), (0, 8, "C:7", 0)], 8.0)
    chord[chord_class("E:min")] += 6.5  # alone it would win against each of the three
    assert labels(find_chords(chord, bass, BEATS, 8.0)) == [(0, 8, "C:maj")]


def test_inversions_where_the_bass_is_a_chord_tone():
    chord, bass = opinions([(0, 4, "C:maj", 4), (4, 8, "C:maj", 1)], 8.0)
    found = labels(find_chords(chord, bass, BEATS, 8.0))
    assert found[0][2].startswith("C:maj")
    chord, bass = opinions([(0, 8, "C:maj", 4)], 8.0)
    assert labels(find_chords(chord, bass, BEATS, 8.0)) == [(0, 8, "C:maj/3")]
    chord, bass = opinions([(0, 8, "C:maj", 1)], 8.0)  # D flat is no tone of it
    assert labels(find_chords(chord, bass, BEATS, 8.0)) == [(0, 8, "C:maj")]


def test_slow_beats_are_divided():
    slow = beats_of([0.0, 4.0], [0, 1])
    chord, bass = opinions([(0, 2, "C:maj", 0), (2, 8, "F:maj", 5)], 8.0)
    assert labels(find_chords(chord, bass, slow, 8.0)) == [(0, 2, "C:maj"), (2, 8, "F:maj")]


def test_nothing_heard_is_no_chord():
    assert labels(find_chords(np.zeros((121, 0)), np.zeros((13, 0)), BEATS, 0.05)) == [(0.0, 0.05, "N")]


def test_the_key_spells_the_chords():
    chord, bass = opinions([(0, 8, "Bb:maj", 10)], 8.0)
    assert find_chords(chord, bass, BEATS, 8.0, key="B:maj")[0].label == "A#:maj"
    assert find_chords(chord, bass, BEATS, 8.0, key="F:maj")[0].label == "Bb:maj"


@pytest.mark.parametrize(
    ("names", "key"),
    [
        ("C:maj F:maj G:7 C:maj A:min D:min G:maj C:maj", "C:maj"),
        ("A:min D:min E:7 A:min F:maj C:maj G:maj A:min A:min", "A:min"),
        ("Eb:maj Ab:maj Bb:maj Eb:maj", "Eb:maj"),
    ],
)
def test_the_key_of_chords(names, key):
    chords = tuple(Chord(i, i + 1.0, name) for i, name in enumerate(names.split()))
    assert find_key(np.zeros((24, 5)), chords) == key


def test_the_network_decides_between_keys_that_share_chords():
    chords = tuple(Chord(i, i + 1.0, name) for i, name in enumerate(("C:maj", "A:min", "F:maj", "D:min")))
    minor = np.zeros((24, 4))
    minor[12 + 9] = 5.0
    assert find_key(minor, chords) == "A:min"
    assert find_key(np.zeros((24, 4)), (Chord(0.0, 4.0, "N"),)) == ""
    assert [key_name(k) for k in (0, 10, 18, 21)] == ["C:maj", "Bb:maj", "F#:min", "A:min"]
