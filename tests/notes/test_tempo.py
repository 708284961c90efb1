from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import ParameterError
from spartito.notes.tempo import TempoMap, TimeSignature

# 480 ticks per quarter: 960 ticks at 0.5 s, then quarters of 1 s, then of 0.25 s from tick 1920 on.
CLOCK = TempoMap(ticks_per_quarter=480, changes=np.array([[0, 500_000], [960, 1_000_000], [1920, 250_000]]))
TICKS = [-480, 0, 240, 960, 1440, 1920, 2400]
SECONDS = [-0.5, 0.0, 0.25, 1.0, 2.0, 3.0, 3.25]


def test_ticks_and_seconds_by_hand():
    assert np.allclose(CLOCK.ticks_to_seconds(TICKS), SECONDS, atol=1e-12)
    assert np.allclose(CLOCK.seconds_to_ticks(SECONDS), TICKS, atol=1e-9)
    assert np.allclose(CLOCK.seconds_to_quarters([1.0, 3.25]), [2, 5])
    assert np.allclose(CLOCK.quarters_to_seconds([2, 5]), [1.0, 3.25])


def test_one_undoes_the_other():
    rng = np.random.default_rng(0)
    ticks = np.unique(rng.integers(1, 200_000, 300))
    changes = np.column_stack([np.concatenate([[0], ticks]), rng.integers(20_000, 3_000_000, len(ticks) + 1)])
    clock = TempoMap(ticks_per_quarter=960, changes=changes)
    some = rng.integers(0, 400_000, 5000)
    assert np.array_equal(np.rint(clock.seconds_to_ticks(clock.ticks_to_seconds(some))), some)
    assert np.all(np.diff(clock.ticks_to_seconds(np.sort(some))) >= 0)


def test_default_tempo_before_the_first_change():
    clock = TempoMap(ticks_per_quarter=480, changes=np.array([[480, 1_000_000]]))
    assert clock.ticks_to_seconds([480, 960]).tolist() == [0.5, 1.5]
    assert TempoMap(changes=np.zeros((0, 2))) == TempoMap()


def test_constant_and_measure():
    assert TempoMap.constant(90).quarters_to_seconds(3) == pytest.approx(2.0)
    assert TimeSignature(0, 6, 8).quarters == 3.0 and TimeSignature(0, 5, 4).quarters == 5.0


@pytest.mark.parametrize("changes", [[[0, 0]], [[0, -1]], [[0, 5e5], [0, 5e5]], [[0, 5e5], [9, 5e5], [3, 5e5]]])
def test_impossible_changes(changes):
    with pytest.raises(ParameterError):
        TempoMap(changes=np.array(changes))


def test_impossible_numbers():
    with pytest.raises(ParameterError):
        TempoMap.constant(0)
    with pytest.raises(ParameterError):
        TempoMap(ticks_per_quarter=0)
