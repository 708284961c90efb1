"""Lines and tokens of the idiom model, by hand and back again."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.analysis.note_chords import QUALITIES, ChordTrack
from spartito.errors import ParameterError
from spartito.models import idiom_tokens as t

C7, AMIN = (0, QUALITIES.index("7"), 4), (9, QUALITIES.index("min"), 9)


def a_line(steps: int = 16) -> np.ndarray:
    """A bar: C7 over E, then two beats of A minor, in C major; the tune is C5 (3 steps) and, a beat later, E5."""
    tune = np.array([(0, 3, 72, 80, 1), (8, 20, 76, 80, 1)])
    columns = np.array([C7, C7, AMIN, AMIN]).T
    chords = ChordTrack(*columns, keys=np.zeros(4, dtype=int))
    return t.lines(tune, chords, np.arange(4), steps=steps)


def test_what_is_known_of_each_step():
    rows = a_line()
    assert rows[:, t.STATE].tolist() == [1, 2, 2, 0, 0, 0, 0, 0, 1, *[2] * 7]
    assert rows[[0, 3, 9], t.TUNE].tolist() == [51, t.NO_KEY, 55]
    assert rows[0, [t.ROOT, t.QUALITY, t.BASS, t.TONALITY]].tolist() == [0, QUALITIES.index("7"), 4, 0]
    assert rows[8, [t.ROOT, t.QUALITY, t.BASS, t.TONALITY]].tolist() == [9, QUALITIES.index("min"), 0, 3]  # C above A
    assert rows[:, t.PLACE].tolist() == list(range(16))
    assert rows[0, t.MASK] == 1 + (1 << 4) + (1 << 7) + (1 << 10)
    bits = t.tone_bits(rows)
    assert np.flatnonzero(bits[8, :12]).tolist() == [0, 3, 7]
    assert np.flatnonzero(bits[8, 12:]).tolist() == [0, 4, 9]
    with pytest.raises(ParameterError, match="too few"):
        a_line(20)


def test_windows_see_nothing_beyond_the_end():
    window = t.windows_of(a_line(), [0, 8])
    assert window.shape == (2, t.HEARD, 9)
    assert window[:, :, t.BEYOND].sum(axis=1).tolist() == [t.HEARD - 16, t.HEARD - 8]
    assert (window[0, 16:] == t.beyond(1)).all()


def test_transposing_a_window_is_transposing_the_piece():
    tune = np.array([(0, 3, 72 + 5, 80, 1), (8, 20, 76 + 5, 80, 1)])
    columns = np.array([C7, C7, AMIN, AMIN]).T
    chords = ChordTrack(*columns, keys=np.zeros(4, dtype=int)).transposed(5)
    wanted = t.windows_of(t.lines(tune, chords, np.arange(4), steps=16), [0])
    assert (t.transposed(t.windows_of(a_line(), [0]), [5]) == wanted).all()


def test_detail_is_taken_away_from_chords():
    rows = t.windows_of(a_line(), [0, 0, 0, 0])
    less = t.simplified(rows, [3, 2, 1, 0])
    assert (less[0] == rows[0]).all()
    assert less[1, 0, [t.ROOT, t.QUALITY, t.BASS, t.MASK]].tolist() == [0, t.FAMILY, t.NO_BASS, 0b10010001]
    assert less[1, 8, [t.ROOT, t.QUALITY, t.MASK]].tolist() == [9, t.FAMILY + 1, 0b10001001]
    assert less[2, 0, [t.ROOT, t.QUALITY, t.MASK]].tolist() == [0, t.ANY, 1]
    assert less[3, 0, [t.ROOT, t.QUALITY, t.TONALITY, t.MASK]].tolist() == [t.NO_ROOT, t.NO_CHORD, t.NO_TONALITY, 0]
    assert (less[..., [t.STATE, t.TUNE, t.PLACE, t.BEYOND]] == rows[..., [t.STATE, t.TUNE, t.PLACE, t.BEYOND]]).all()


def test_notes_become_tokens_and_come_back():
    notes = np.array([(0, 4, 36, 74, 0), (0, 1, 52, 48, 0), (63, 12, 108, 118, 1)])
    tokens = t.tokens_of(notes)
    assert tokens[0].tolist() == [0, 0, 15, 3, 2]
    assert (t.notes_of(tokens) == notes).all()
    assert t.notes_of(t.tokens_of(np.array([(3, 5, 60, 75, 1)]))).tolist() == [[3, 6, 60, 74, 1]]
