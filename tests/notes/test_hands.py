"""Hands: reach, named tracks, crossing, odd input."""

from __future__ import annotations

import numpy as np

from spartito.notes.hands import LEFT, RIGHT, named_hands, split_hands
from spartito.notes.notes import Notes, Track


def split(chords, step=0.5):
    """Hands of chords (lists of pitches) struck every `step` seconds, as lists per chord."""
    onset = np.concatenate([[i] * len(c) for i, c in enumerate(chords)]).astype(float)
    pitch = np.concatenate([sorted(c) for c in chords])
    hands = split_hands(onset, onset + 0.9, pitch, onset * step)
    return [hands[onset == i].tolist() for i in range(len(chords))]


def test_melody_and_bass():
    result = split([[48, 72], [52, 74], [55, 76], [48, 77]])
    assert result == [[LEFT, RIGHT]] * 4


def test_an_octave_and_a_chord():
    assert split([[36, 48, 64, 67, 72]] * 3) == [[LEFT, LEFT, RIGHT, RIGHT, RIGHT]] * 3


def test_no_hand_spans_more_than_a_tenth_when_two_hands_can_share():
    rng = np.random.default_rng(4)
    for _ in range(50):
        low, high = rng.integers(36, 52), rng.integers(62, 78)
        chord = sorted({low, low + rng.integers(3, 13), high, high + rng.integers(3, 13)})
        hands = np.array(split([chord])[0])
        for hand in (LEFT, RIGHT):
            mine = np.array(chord)[hands == hand]
            assert len(mine) == 0 or mine[-1] - mine[0] <= 16


def test_lower_notes_never_go_to_the_right_of_higher_ones():
    rng = np.random.default_rng(0)
    chords = [sorted(rng.choice(np.arange(30, 95), rng.integers(1, 7), replace=False)) for _ in range(200)]
    for hands in split(chords):
        assert hands == sorted(hands, reverse=True)  # LEFT (1) before RIGHT (0), from low to high


def test_high_solo_stays_right_and_low_solo_left():
    assert split([[p] for p in (76, 77, 79, 81, 83)]) == [[RIGHT]] * 5
    assert split([[p] for p in (40, 41, 43, 45, 47)]) == [[LEFT]] * 5


def test_named_tracks():
    tracks = (Track(name="Piano right hand"), Track(name="LH"))
    notes = Notes.from_arrays([0, 0], [1, 1], [40, 80], track=[0, 1], tracks=tracks)
    assert named_hands(notes).tolist() == [RIGHT, LEFT]
    assert named_hands(Notes.from_arrays([0], [1], [40], tracks=(Track(name="piano"),))) is None
    assert named_hands(Notes.from_arrays([0], [1], [40], tracks=(Track(name="bright lights"),))) is None


def test_all_keys_at_once():
    hands = np.array(split([list(range(21, 109))])[0])
    assert (np.diff(hands) <= 0).all() and {LEFT, RIGHT} == set(hands.tolist())


def test_nothing():
    assert len(split_hands(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0))) == 0
