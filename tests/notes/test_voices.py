"""Notes of two hands as voices: who gets which, what is cut, and back."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.analysis.beats import Beats
from spartito.errors import ParameterError
from spartito.notes.four_tracks import HOLD, SILENT, encode, notes_of
from spartito.notes.layouts import BAND, PIANO
from spartito.notes.notes import Notes, Track
from spartito.notes.voices import in_hands, in_voices, single_keys, voice_of, voices

RIGHT, LEFT = 1, 0
RH1, RH2, RH3, LH1, LH2, LH3 = (PIANO.tracks.index(name) for name in ("rh1", "rh2", "rh3", "lh1", "lh2", "lh3"))


def hands(*rows):
    """Rows of (step, duration, pitch, hand)."""
    return np.array([[s, d, p, 80, h] for s, d, p, h in rows]).reshape(-1, 5)


def test_chords_are_counted_from_the_top_and_from_the_bottom():
    chord = hands((0, 4, 60, RIGHT), (0, 4, 64, RIGHT), (0, 4, 67, RIGHT), (0, 4, 36, LEFT), (0, 4, 43, LEFT))
    assert voice_of(chord).tolist() == [RH3, RH2, RH1, LH1, LH2]


def test_held_notes_keep_their_place():
    # a tune held over two inner notes; a bass held under a broken chord
    found = voice_of(hands((0, 8, 72, RIGHT), (2, 2, 60, RIGHT), (4, 2, 64, RIGHT), (0, 8, 36, LEFT), (2, 2, 48, LEFT)))
    assert found.tolist() == [RH1, RH2, RH2, LH1, LH2]


def test_a_voice_ends_its_note_when_it_goes_on():
    table, rows = in_voices(hands((0, 8, 60, RIGHT), (4, 4, 67, RIGHT), (0, 2, 40, LEFT)))
    assert table[:, [0, 1, 2, 4]].tolist() == [[0, 4, 60, RH1], [0, 2, 40, LH1], [4, 4, 67, RH1]]
    assert rows.tolist() == [0, 2, 1]


def test_held_notes_make_room_the_oldest_first():
    held = hands((0, 9, 72, RIGHT), (1, 9, 60, RIGHT), (2, 9, 64, RIGHT), (3, 2, 62, RIGHT))
    # at step 3 the new note and the two youngest are counted: 64, 62, 60
    assert voice_of(held)[3] == RH2
    assert voice_of(held[:3]).tolist() == [RH1, RH2, RH2]


def test_of_too_many_new_notes_the_inner_ones_go():
    many = hands(*[(0, 1, p, RIGHT) for p in (60, 62, 64, 67)], *[(0, 1, p, LEFT) for p in (36, 43, 48, 52)])
    assert voice_of(many).tolist() == [-1, RH3, RH2, RH1, LH1, LH2, LH3, -1]


def test_doubles_are_one_note():
    assert voice_of(hands((0, 2, 60, RIGHT), (0, 4, 60, LEFT), (0, 1, 64, RIGHT))).tolist() == [-1, LH1, RH1]


def test_there_and_back():
    rng = np.random.default_rng(0)
    rows = []
    for step in range(0, 64, 2):  # nothing overlaps: all comes back
        for hand, low in ((RIGHT, 60), (LEFT, 36)):
            pitches = low + rng.permutation(20)[: rng.integers(0, 4)]
            rows += [(step, rng.integers(1, 3), p, hand) for p in pitches]
    notes = hands(*rows)
    table, found = in_voices(notes)
    assert sorted(found.tolist()) == list(range(len(notes)))
    states = encode(table, 64, layout=PIANO)
    assert states.shape == (64, len(PIANO))
    back = in_hands(notes_of(states))
    np.testing.assert_array_equal(back, notes[np.lexsort((notes[:, 2], notes[:, 0]))])
    again, _ = in_voices(back)
    np.testing.assert_array_equal(encode(again, 64, layout=PIANO), states)


def test_notes_of_one_voice_never_overlap():
    rng = np.random.default_rng(1)
    rows = np.column_stack(
        [rng.integers(0, 60, 300), rng.integers(0, 12, 300), rng.integers(30, 90, 300), np.full(300, 80)]
    )
    table, _ = in_voices(np.column_stack([rows, rows[:, 2] > 60]))
    for voice in range(len(PIANO)):
        mine = table[table[:, 4] == voice]
        assert (mine[1:, 0] >= mine[:-1, 0] + mine[:-1, 1]).all() and len(mine)
    assert (table[:, 1] > 0).all()


def test_two_voices_on_one_key_strike_it_once():
    table = np.array([[0, 2, 60, 50, RH3], [0, 4, 60, 70, LH1], [0, 1, 64, 80, RH1]])
    assert in_hands(table).tolist() == [[0, 4, 60, 70, RIGHT], [0, 1, 64, 80, RIGHT]]
    assert len(in_hands(np.zeros((0, 5)))) == 0 and len(in_voices(np.zeros((0, 5)))[0]) == 0


def test_a_key_that_is_held_is_struck_again():
    table = np.array([[0, 8, 60, 50, RH2], [4, 2, 60, 70, LH3], [0, 8, 67, 60, RH1], [6, 4, 60, 40, RH1]])
    assert single_keys(table).tolist() == [
        [0, 8, 67, 60, RH1], [0, 4, 60, 50, RH2], [4, 2, 60, 70, LH3], [6, 4, 60, 40, RH1]
    ]  # fmt: skip
    assert len(single_keys(np.zeros((0, 5)))) == 0


def test_a_band_has_no_voices():
    with pytest.raises(ParameterError, match="band"):
        voice_of(hands((0, 1, 60, RIGHT)), layout=BAND)


def test_a_song_on_its_beats():
    tracks = (Track(name="right hand"), Track(name="left hand"), Track(is_drum=True))
    rows = [(0.0, 0.5, 72, 0), (0.0, 1.0, 64, 0), (0.0, 1.0, 48, 1), (0.5, 1.0, 74, 0), (0.5, 0.6, 36, 2)]
    onset, offset, pitch, track = np.array(rows).T
    notes = Notes.from_arrays(onset, offset, pitch, np.full(5, 90), track=track.astype(int), tracks=tracks)
    count = np.arange(8)
    found = voices(notes, Beats(count / 2, count.astype(float), count % 4))
    assert found.notes[:, [0, 1, 2, 4]].tolist() == [[0, 4, 72, RH1], [0, 8, 64, RH2], [0, 8, 48, LH1], [4, 4, 74, RH1]]
    np.testing.assert_array_equal(notes.pitch[found.rows], found.notes[:, 2])
    assert found.stop[3] == pytest.approx(8.0) and found.place[3] == pytest.approx(4.0)
    states = encode(found.notes, 8, layout=PIANO)
    assert states[:5, RH1].tolist() == [72, HOLD, HOLD, HOLD, 74] and states[0, LH2] == SILENT
