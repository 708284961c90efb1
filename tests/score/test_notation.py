"""Note values, ties and rests, against what a copyist would write."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from spartito.notes.quantize import TICKS
from spartito.score.notation import Bar, pieces, rest_pieces

Q = TICKS  # a quarter note
FOUR, THREE, SIX = Bar(0, 4 * Q, 4, 4), Bar(0, 3 * Q, 3, 4), Bar(0, 3 * Q, 6, 8)


def written(start, end, bar, triplets=()):
    return [
        (p.kind + "." * p.dots + ("3" if p.triplet else ""))
        for p in pieces(round(start * Q), round(end * Q), bar, {round(t * Q) for t in triplets})
    ]


def rests(start, end, bar):
    return [p.kind + "." * p.dots for p in rest_pieces(round(start * Q), round(end * Q), bar, set())]


@pytest.mark.parametrize(
    ("start", "end", "bar", "expected"),
    [
        (0, 4, FOUR, ["whole"]),
        (0, 3, FOUR, ["half."]),
        (1, 3, FOUR, ["half"]),  # quarter, half, quarter is a plain syncopation
        (0, 1.5, FOUR, ["quarter."]),
        (0.5, 1.5, FOUR, ["quarter"]),  # eighth, quarter, eighth
        (1.5, 2.5, FOUR, ["eighth", "eighth"]),  # the middle of a bar of four is shown
        (0.25, 0.75, FOUR, ["eighth"]),
        (0, 1.25, FOUR, ["quarter", "16th"]),
        (0, 2.5, FOUR, ["half", "eighth"]),
        (0.75, 1, FOUR, ["16th"]),
        (0.5, 2, FOUR, ["quarter."]),  # eighth, dotted quarter: to the middle of the bar
        (2.5, 4, FOUR, ["quarter."]),
        (1.5, 3, FOUR, ["eighth", "quarter"]),  # not across it
        (0, 3.75, FOUR, ["half.", "eighth."]),
        (1, 3.75, FOUR, ["quarter", "quarter", "eighth."]),
        (0.5, 4, FOUR, ["quarter.", "half"]),
        (0.25, 2, FOUR, ["eighth.", "quarter"]),
        (0, 3, THREE, ["half."]),
        (1, 3, THREE, ["half"]),
        (0, 3, SIX, ["half."]),
        (0, 1.5, SIX, ["quarter."]),
        (0.5, 1.5, SIX, ["quarter"]),
        (1, 2, SIX, ["eighth", "eighth"]),  # across the two beats of 6/8
    ],
)
def test_notes(start, end, bar, expected):
    assert written(start, end, bar) == expected


def test_triplets():
    assert written(0, 1 / 3, FOUR, [0]) == ["eighth3"]
    assert written(1 / 3, 1, FOUR, [0]) == ["quarter3"]
    assert written(2 / 3, 2, FOUR, [0]) == ["eighth3", "quarter"]
    assert written(0, 1, FOUR, [0]) == ["quarter"]


@pytest.mark.parametrize(
    ("start", "end", "bar", "expected"),
    [
        (0, 4, FOUR, ["measure"]),
        (0, 2, FOUR, ["half"]),
        (1, 3, FOUR, ["quarter", "quarter"]),  # a rest never hides the middle
        (0.5, 2, FOUR, ["eighth", "quarter"]),
        (0, 3, FOUR, ["half", "quarter"]),
        (0, 3, THREE, ["measure"]),
        (1.5, 3, SIX, ["quarter."]),
    ],
)
def test_rests(start, end, bar, expected):
    assert rests(start, end, bar) == expected


@pytest.mark.parametrize("bar", [FOUR, THREE, SIX, Bar(0, 2 * Q, 2, 4), Bar(0, Q, 4, 4, 3 * Q), Bar(0, 30, 5, 16)])
def test_every_span_is_covered_exactly(bar):
    rng = np.random.default_rng(0)
    for _ in range(400):
        start, end = sorted(rng.choice(np.arange(0, bar.end + 1, TICKS // 8), 2, replace=False))
        for make in (pieces, rest_pieces):
            parts = make(int(start), int(end), bar, set())
            assert parts[0].start == start and parts[-1].end == end
            assert all(a.end == b.start for a, b in itertools.pairwise(parts))
            assert len(parts) <= 8
