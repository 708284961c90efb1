"""The pedal at chord changes that the source has not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from restyling import piece as a_piece
from spartito.analysis.beats import beats_from_tempo_map
from spartito.analysis.note_chords import ChordTrack
from spartito.notes.notes import CONTROL_DTYPE
from spartito.style.pedal import lifted, new_changes
from spartito.style.transfer import prepare


def track(*labels):
    return ChordTrack.of_labels(list(labels), key="C:maj")


def test_changes_that_the_source_has_not():
    old = track("C", "C", "C", "C", "F", "F", "F", "F")
    assert new_changes(old, old).tolist() == []
    # A minor for half a bar: it begins on beat 2 and ends on 4, where the source changes, too
    assert new_changes(track("C", "C", "A:min", "A:min", "F", "F", "F", "F"), old).tolist() == [2, 4]
    assert new_changes(track("C", "C", "C", "C", "F", "F", "G:7", "G:7"), old).tolist() == [6]
    assert new_changes(track("C", "C", "C", "C", "F:maj", "F/5", "F", "F"), old).tolist() == []  # only its bass moves
    assert new_changes(track("C"), old).tolist() == []


@pytest.fixture
def source():
    """Four bars of two seconds; the pedal goes down at 0 and up at 0.9 s, down at 2.1 and up at 5.9 s."""
    notes = a_piece(4)
    moves = np.array([(0.0, 64, 127), (0.9, 64, 0), (2.1, 64, 100), (5.9, 64, 0), (6.0, 7, 90)], dtype=CONTROL_DTYPE)
    return replace(notes, tracks=tuple(replace(t, controls=moves) for t in notes.tracks))


def at(source, *, old, new):
    song = prepare(source, beats_from_tempo_map(source))
    return lifted(source, replace(song, known_chords=track(*old)), new if new is None else track(*new))


def test_the_pedal_rises_after_the_new_chord_and_comes_back(source):
    old = ["C"] * 16
    new = ["C"] * 4 + ["C"] * 2 + ["D:min7"] * 2 + ["G:7"] * 4 + ["C"] * 4  # changes at 3, 4 and 6 seconds
    result = at(source, old=old, new=new)
    first, second, third, fourth = result.pedal.tolist()
    assert first == [0.0, 0.9]
    struck = np.sort(source.onset)
    late, later = (struck[np.searchsorted(struck, second - 0.1)] for second in (3.0, 4.0))
    assert second == pytest.approx([2.1, late + 0.04]) and third == pytest.approx([late + 0.16, later + 0.04])
    assert fourth == pytest.approx([later + 0.16, 5.9])  # at 6 seconds it is up already
    controls = result.tracks[0].controls
    assert (np.diff(controls["time"]) >= 0).all() and (controls["number"] == 7).sum() == 1


def test_nothing_else_moves(source):
    old = ["C"] * 4 + ["F"] * 12
    assert at(source, old=old, new=old).tracks == source.tracks or np.array_equal(
        at(source, old=old, new=old).pedal, source.pedal
    )
    assert at(source, old=old, new=None) is source
    dry = source.with_pedal(np.zeros((0, 2)))
    assert len(at(dry, old=old, new=["C"] * 8 + ["G"] * 8).pedal) == 0


def test_half_pedals_do_not_press_it_early(source):
    moves = np.array([(0.0, 64, 127), (3.1, 64, 90), (3.5, 64, 80), (7.0, 64, 0)], dtype=CONTROL_DTYPE)
    source = replace(source, tracks=tuple(replace(t, controls=moves) for t in source.tracks))
    result = at(source, old=["C"] * 16, new=["C"] * 6 + ["F"] * 10)
    assert len(result.pedal) == 2
    (_, up), (down, _) = result.pedal.tolist()
    assert down - up == pytest.approx(0.12)
