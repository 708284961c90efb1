"""Onsets on the grid: plain values, triplets, chords, early and late notes."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import ParameterError
from spartito.notes.quantize import TICKS, chord_groups, quantize_onsets


def quantized(position, pace=0.5, beat=1.0):
    position = np.asarray(position, dtype=float)
    return quantize_onsets(position * pace / beat, position, pace=pace, beat=beat) / TICKS


def test_exact_positions_stay():
    position = [0, 0.5, 1, 1.25, 1.5, 1.75, 2, 3]
    assert quantized(position).tolist() == position


def test_human_timing_is_evened():
    rng = np.random.default_rng(1)
    position = np.arange(0, 16, 0.5)
    played = position + rng.normal(0, 0.03, len(position))  # 15 ms at 120 per minute
    assert quantized(np.sort(played)).tolist() == position.tolist()


def test_triplets_are_found():
    thirds = np.arange(12) / 3
    played = thirds + np.tile([0.01, -0.015, 0.012], 4)
    assert np.allclose(quantized(played), thirds, atol=1 / TICKS)


def test_a_swung_note_among_eighths_is_no_triplet_of_its_own():
    position = np.array([0, 0.5, 1, 1.55, 2, 2.5, 3, 3.5])
    assert quantized(position).tolist() == np.arange(0, 4, 0.5).tolist()


def test_early_note_belongs_to_the_next_beat():
    assert quantized([0.0, 0.97, 2.0]).tolist() == [0, 1, 2]


def test_compound_beats_divide_in_three():
    eighths = np.arange(12) * 0.5
    assert quantized(eighths + 0.01, beat=1.5).tolist() == eighths.tolist()


def test_negative_positions_of_a_pick_up():
    assert quantized([-1.0, -0.5, 0.0]).tolist() == [-1, -0.5, 0]


def test_order_is_kept_and_nothing_is_lost():
    rng = np.random.default_rng(0)
    position = np.sort(rng.uniform(0, 200, 3000))
    slots = quantized(position)
    assert (np.diff(slots) >= 0).all()
    assert np.abs(slots - position).max() <= 0.5


def test_empty_and_wrong_lengths():
    assert len(quantize_onsets(np.zeros(0), np.zeros(0))) == 0
    with pytest.raises(ParameterError):
        quantize_onsets(np.zeros(3), np.zeros(2))


def test_chords_and_arpeggios():
    onset = np.array([0.0, 0.01, 0.03, 0.2, 0.26, 0.5, 0.53, 0.56, 0.59])
    #                 one chord         two    | a spread one is cut 80 ms after its start
    assert chord_groups(onset).tolist() == [0, 0, 0, 1, 2, 3, 3, 3, 4]
