"""Which bars are written anew, and what of them can be played."""

from __future__ import annotations

import numpy as np
import pytest

from restyling import piece as a_piece
from spartito.analysis.beats import beats_from_tempo_map
from spartito.analysis.note_chords import ChordTrack
from spartito.style.plan import chords_changed, chords_written, planned, rewritten_bars, ringing, tidied, until_foreign
from spartito.style.transfer import prepare


@pytest.fixture(scope="module")
def piece():
    notes = a_piece(16)
    return prepare(notes, beats_from_tempo_map(notes))


def test_a_greater_strength_rewrites_the_same_bars_and_more():
    assert rewritten_bars(16, 1.0).all() and not rewritten_bars(16, 0.0).any()
    assert rewritten_bars(8, 0.25).tolist() == [False, False, True, True, False, False, False, False]
    assert rewritten_bars(8, 0.5).tolist() == [False, False, True, True] * 2  # the source and the target take turns
    assert rewritten_bars(4, 0.5).tolist() == [False, True, False, True]
    assert rewritten_bars(9, 0.5, pick_up=True).tolist() == [False, *[False, False, True, True] * 2]
    before = np.zeros(37, dtype=bool)
    for strength in np.linspace(0, 1, 21):
        here = rewritten_bars(37, strength)
        assert (here | ~before).all()
        assert abs(here.mean() - strength) < 0.08
        before = here


def test_stretches_of_a_plan(piece):
    plan = planned(piece, 0.5)
    assert plan.spans.tolist() == [[32, 64], [96, 128], [160, 192], [224, 256]]
    assert plan.bars.tolist() == np.repeat(np.arange(16), 16).tolist()
    assert len(planned(piece, 1.0).spans) == 8


def test_kept_bars_have_the_chords_of_the_source(piece):
    plan = planned(piece, 0.5)  # two bars of the source, two written, and so on
    old = ChordTrack.of_labels(["C:maj"] * 64, key="C:maj")
    new = ChordTrack.of_labels((["C:maj"] * 8 + ["D:min7(9)"] * 8) * 2 + ["G:7"] * 32, key="C:maj")
    found = chords_written(plan, new, old)
    assert found.harte() == (["C:maj"] * 8 + ["D:min7(9)"] * 8) * 2 + (["C:maj"] * 8 + ["G:7"] * 8) * 2
    assert chords_written(planned(piece, 1.0), new, old).harte() == new.harte()


def test_what_cannot_be_played_goes():
    tune, kept = np.array([(0, 8, 72, 80, 1)]), np.array([(16, 4, 50, 70, 0)])
    written = np.array(
        [
            (4, 2, 72, 60, 1),  # the tune holds this key
            (0, 30, 50, 60, 0),  # struck again by a kept note
            (0, 4, 67, 60, 0),  # 17 semitones over the lowest of the left hand
            (30, 9, 40, 60, 0),  # beyond the end
            (33, 2, 40, 60, 0),
        ]
    )
    found = tidied(written, tune, kept, 32)
    assert found[:, :3].tolist() == [[0, 16, 50], [30, 2, 40]]


def test_hands_reach_what_they_play():
    tune = np.array([(0, 8, 84, 80, 1)])
    written = np.array(
        [
            (0, 2, 40, 60, 0),
            (0, 2, 60, 60, 1),  # two octaves under the tune, and too far for the left hand at once
            (2, 2, 64, 60, 0),  # two octaves above its last stroke, an eighth before
            (4, 2, 64, 60, 1),  # too far from the tune, too: the left hand has time for it
            (4, 2, 72, 60, 1),
        ]
    )
    found = tidied(written, tune, np.zeros((0, 5), dtype=int), 32)
    assert found[:, [0, 2, 4]].tolist() == [[0, 40, 0], [4, 64, 0], [4, 72, 1]]


def test_low_notes_ring_until_the_next_stroke():
    written = np.array([(0, 1, 40, 60, 0), (2, 1, 55, 60, 0), (3, 1, 43, 60, 0), (3, 6, 47, 60, 0), (8, 1, 40, 60, 1)])
    assert ringing(written)[:, 1].tolist() == [2, 1, 4, 6, 1]
    assert len(ringing(written[:0])) == 0


def test_a_note_ends_where_it_does_not_belong():
    """C major, then two beats of G major: a C struck before ends there, a G and a D struck in it do not."""
    chords = ChordTrack(np.array([0, 0, 7, 7]), np.zeros(4, dtype=int), np.array([0, 0, 7, 7]))
    written = np.array([(2, 14, 60, 60, 0), (2, 14, 67, 60, 0), (9, 7, 60, 60, 0), (4, 2, 60, 60, 0)])
    assert until_foreign(written, chords)[:, 1].tolist() == [6, 14, 7, 2]


def test_the_share_of_changed_chords():
    old = ChordTrack(np.array([0, 0, 7, 7]), np.zeros(4, dtype=int), np.array([0, 0, 7, 7]))
    new = ChordTrack(np.array([0, 9, 7, 7]), np.array([0, 1, 0, 7]), np.array([0, 9, 7, 7]))
    assert chords_changed(new, old) == 0.5
    assert chords_changed(old, old) == 0.0
