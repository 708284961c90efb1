"""Success and strength, on the published table and on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import ParameterError
from spartito.evaluation.strength import strength, strengths, success

PUBLISHED = [  # percent taken for the source genre: A, A to B, and back; B, B to A, and back; S_tot
    ((88.09, 20.62, 88.18), (92.53, 20.71, 92.53), 69.67),  # base, noise 1
    ((88.09, 9.87, 87.73), (92.53, 25.87, 89.51), 71.60),  # partial, noise 0
    ((88.09, 20.00, 85.16), (92.53, 20.09, 90.49), 69.02),  # full, noise 0.01
]
PHRASES = 10_000  # so that every hundredth of a percent is a phrase


def taken(percent: float, *, inside=0.9, outside=0.2) -> np.ndarray:
    return np.where(np.arange(PHRASES) < round(percent * PHRASES / 100), inside, outside)


@pytest.mark.parametrize(("a", "b", "total"), PUBLISHED)
def test_the_published_table(a, b, total):
    a, b = ([taken(percent) for percent in direction] for direction in (a, b))
    assert 100 * strengths(a, b)["S_D"] == pytest.approx(total, abs=0.01)


def test_by_probability():
    source, transfer, cycle = np.array([0.9, 0.7]), np.array([0.2, 0.4]), np.array([0.6, 0.8])
    assert strength(source, transfer, cycle) == 1.0  # all are sure, so all count
    assert strength(source, transfer, cycle, count="probability") == pytest.approx((0.5 + 0.4) / 2)
    assert strength(source, transfer, count="probability") == pytest.approx(0.5)
    both = strengths((source, transfer, cycle), (transfer, source, transfer), count="probability")
    assert both == pytest.approx({"S_A": 0.45, "S_B": -0.5, "S_D": -0.025})


def test_success_needs_a_source_that_was_known():
    assert success([0.9, 0.9, 0.4, 0.5], [0.1, 0.6, 0.1, 0.1]).tolist() == [True, False, False, False]


def test_bad_input():
    with pytest.raises(ParameterError, match="fraction, probability"):
        strength([1.0], [0.0], count="mean")
    with pytest.raises(ParameterError, match="one transfer"):
        success([1.0, 1.0], [0.0])
