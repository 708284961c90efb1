"""Voicings, voice leading, bass lines and comping of a made-up jazz pianist."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from spartito.training.data.jazz_chords import KINDS, parse_chord
from spartito.training.jazz_comping import (
    BASS_HIGH,
    BASS_LOW,
    COLOURS,
    COMP_HIGH,
    COMP_LOW,
    Feel,
    accompaniment,
    led,
    voicings,
    walking_bass,
)

TURN = [parse_chord(name) for name in ("D-7", "G7", "Cj7", "A79b", "D-7", "G7alt", "C6", "Em7b5")]
NAMES = ["C", "F#", "Bb", "E"]


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("root", NAMES)
def test_each_voicing_has_third_and_seventh_in_its_range(root, kind):
    chord = parse_chord(root + kind)
    guides = {tuple(np.mod((third, seventh), 12)) for third, _, seventh, _ in COLOURS[chord.quality]}
    options = voicings(chord)
    assert any(len(option) == 4 for option in options)
    for option in options:
        above = {(pitch - chord.root) % 12 for pitch in option}
        assert any(above >= set(pair) for pair in guides)
        assert option[0] >= COMP_LOW and option[-1] <= COMP_HIGH and all(np.diff(option) > 0)


def test_positions_a_and_b_by_hand():
    assert (53, 57, 60, 64) in voicings(parse_chord("D-7"))  # F A C E: 3 5 7 9
    assert (53, 57, 59, 64) in voicings(parse_chord("G7"))  # F A B E: 7 9 3 13
    assert (52, 55, 59, 62) in voicings(parse_chord("Cj7"))  # E G B D
    assert all(68 in option or 56 in option for option in voicings(parse_chord("G79b")) if len(option) == 4)  # A flat


def test_a_dominant_into_minor_is_altered():
    plain = {pitch % 12 for option in voicings(parse_chord("G7")) for pitch in option}
    altered = {pitch % 12 for option in voicings(parse_chord("G7"), into_minor=True) for pitch in option}
    assert {9, 4} <= plain and not {8, 3} & plain  # nine A and thirteen E
    assert {8, 3} <= altered  # A flat and E flat


def test_voices_move_little():
    stacks = led(TURN * 4, np.random.default_rng(0))
    ways = [np.mean([min(abs(a - b) for b in before) for a in after]) for before, after in pairwise(stacks)]
    assert max(ways) <= 2.5 and np.mean(ways) <= 1.5


def test_bass_begins_chords_on_their_roots_and_walks():
    chords = [chord for chord in TURN for _ in range(4)]
    line = walking_bass(chords, np.random.default_rng(1))
    assert line.min() >= BASS_LOW and line.max() <= BASS_HIGH
    assert [p % 12 for p in line[::4]] == [chord.root for chord in TURN]
    assert np.all(np.diff(line) != 0) and np.median(np.abs(np.diff(line))) <= 4
    assert walking_bass([None, TURN[0], None], np.random.default_rng(0)).tolist()[::2] == [-1, -1]


def test_comping_lies_on_swung_quavers_and_follows_the_chords():
    chords = [chord for chord in TURN for _ in range(4)] * 4
    feel = Feel(tempo=140, offbeat=0.67)
    notes = accompaniment(chords, feel=feel, rng=np.random.default_rng(2))
    part = np.mod(notes[:, 0] + 0.1, 1.0) - 0.1
    assert np.all((np.abs(part) < 0.09) | (np.abs(part - 0.67) < 0.09))
    assert np.any(np.abs(part - 0.67) < 0.09)
    assert np.all(notes[:, 1] > 0) and np.all(np.diff(notes[:, 0]) >= 0)
    again = accompaniment(chords, feel=feel, rng=np.random.default_rng(2))
    assert np.array_equal(notes, again)


def test_silence_where_there_is_no_chord():
    assert accompaniment([None] * 32, feel=Feel(140), rng=np.random.default_rng(0)).shape == (0, 4)
