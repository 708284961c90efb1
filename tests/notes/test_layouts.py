"""Layouts: their rows, and that band and piano obey one set of rules."""

from __future__ import annotations

import pytest

from spartito.errors import ParameterError
from spartito.notes.four_tracks import PICK, TRACKS
from spartito.notes.layouts import BAND, LAYOUTS, PIANO, layout_of


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))
def test_every_track_is_described(layout):
    assert len(layout) == len(layout.tracks) == len(layout.pick) == len(layout.sections) == len(layout.pitched)
    assert sorted(track for section in layout.members() for track in section) == list(range(len(layout)))
    assert not set(layout.upper) & set(layout.drums) and layout_of(layout.name) is layout


def test_a_band():
    assert BAND.tracks == TRACKS == ("drums", "bass", "guitar", "strings")
    assert BAND.pick == PICK and BAND.pitched.tolist() == [False, True, True, True]
    assert BAND.members() == [[0], [1], [2], [3]] and not BAND.together


def test_a_piano_has_tune_and_bass_in_fixed_rows():
    right, left = PIANO.members()
    assert PIANO.tracks[right[0]] == "rh1" and PIANO.tracks[left[0]] == "lh1"
    assert PIANO.pitched.all() and PIANO.together and PIANO.upper == tuple(right)
    assert {PIANO.pick[i] for i in right} == {"highest"} and {PIANO.pick[i] for i in left} == {"lowest"}


def test_a_layout_that_is_not_there():
    with pytest.raises(ParameterError, match="band, piano"):
        layout_of("organ")
