"""Windows that tile songs, what they hear, and notes as compound tokens: by hand and round trips."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.analysis.beats import Beats
from spartito.errors import ParameterError
from spartito.models.arranger_input import SILENCE
from spartito.models.cover_tokens import (
    DURATIONS,
    END,
    FRAMES,
    KEYS,
    LEFT,
    RIGHT,
    VELOCITIES,
    cells_of,
    decode,
    encode,
    is_well_formed,
    tiles,
    window_chords,
    window_frames,
    window_metre,
    windows_of,
)

# step, duration, pitch, velocity, hand
NOTES = np.array([[0, 4, 48, 80, LEFT], [0, 2, 72, 103, RIGHT], [2, 2, 74, 93, RIGHT], [31, 32, 21, 48, LEFT]])


def test_notes_become_tokens_in_rising_cells():
    tokens = encode(NOTES[[2, 0, 3, 1]])
    assert tokens.tolist() == [
        [0, LEFT, 27, 3, 3],
        [0, RIGHT, 51, 1, 6],
        [2, RIGHT, 53, 1, 5],
        [31, LEFT, 0, 11, 0],
        [END, 0, 0, 0, 0],
    ]
    assert cells_of(tokens).tolist() == [27, 51, 2 * 88 + 53, 31 * 88, 32 * 88]
    np.testing.assert_array_equal(decode(tokens), NOTES)


def test_random_notes_come_back():
    rng = np.random.default_rng(0)
    cells = rng.choice(32 * KEYS, 60, replace=False)
    notes = np.column_stack(
        [
            cells // KEYS,
            rng.choice(DURATIONS, 60),
            21 + cells % KEYS,
            rng.choice(VELOCITIES, 60),
            rng.integers(0, 2, 60),
        ]
    )
    tokens = encode(notes)
    assert is_well_formed(tokens)
    np.testing.assert_array_equal(decode(tokens), notes[np.argsort(cells)])


def test_what_the_language_lacks_becomes_the_nearest_there_is():
    notes = np.array([[0, 5, 60, 1, 0], [1, 14, 60, 127, 0], [2, 100, 60, 77, 0]])
    assert decode(encode(notes)).tolist() == [[0, 6, 60, 48, 0], [1, 16, 60, 118, 0], [2, 32, 60, 74, 0]]


def test_a_key_is_struck_once_at_a_step_by_its_longest_note():
    assert decode(encode(np.array([[3, 2, 60, 80, 0], [3, 8, 60, 64, 1]]))).tolist() == [[3, 8, 60, 64, 1]]


def test_notes_outside_the_window_or_the_keyboard_are_refused():
    for bad in ([32, 1, 60, 80, 0], [-1, 1, 60, 80, 0], [0, 1, 20, 80, 0], [0, 1, 109, 80, 0]):
        with pytest.raises(ParameterError, match="88 keys"):
            encode(np.array([bad]))


def test_grammar():
    good = encode(NOTES)
    assert is_well_formed(good) and is_well_formed(encode(np.zeros((0, 5)))) and len(decode(good)) == 4
    assert not is_well_formed(good[:-1])  # not closed
    assert not is_well_formed(good[[1, 0, 2, 3, 4]])  # keys fall
    assert not is_well_formed(good[[0, 0, 1, 2, 3, 4]])  # a key twice
    assert not is_well_formed(good[[0, 2, 1, 3, 4]])  # positions fall
    assert not is_well_formed(np.concatenate([good, good[-1:]]))
    for column, value in ((1, 2), (2, 88), (3, len(DURATIONS)), (4, len(VELOCITIES)), (0, -1)):
        bad = good.copy()
        bad[0, column] = value
        assert not is_well_formed(bad)


def test_tokens_behind_the_end_do_not_count():
    tokens = encode(NOTES)
    np.testing.assert_array_equal(decode(np.concatenate([tokens, tokens])), NOTES)


# -- windows --------------------------------------------------------------------------------------------------------


def test_bars_go_two_together_where_they_fit():
    starts, lengths = np.array([0, 4, 8, 12, 18, 24, 26, 28, 38]), np.array([4, 4, 4, 6, 6, 2, 2, 10, 4])
    rows, sizes = tiles(starts, lengths)
    assert rows.tolist() == [0, 8, 12, 18, 26, 28, 33, 38]
    assert sizes.tolist() == [8, 4, 6, 8, 2, 5, 5, 4]
    assert (np.diff(np.append(rows, 42)) == sizes).all()  # they tile


def test_windows_of_beats_begin_with_a_pick_up():
    positions = np.array([3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3])
    beats = Beats(np.arange(13) * 0.5, np.arange(13) - 1, positions)
    rows, lengths = windows_of(beats)
    assert rows.tolist() == [0, 5] and lengths.tolist() == [5, 8]


def test_frames_around_a_core_with_silence_beyond_the_song():
    beats = 6
    cells = np.broadcast_to(np.arange(16 * (beats + 9))[None, :, None], (4, 16 * (beats + 9), 88)).astype(np.float32)
    frames = window_frames(cells, np.array([0, 4]))
    assert frames.shape == (2, 4, FRAMES, 88)
    assert frames[0, 0, 4 + 64, 0] == 16 and frames[1, 0, 4 + 64, 0] == 16 * 5  # the core begins behind four beats
    assert (frames[0, :, : 4 + 48, :] == SILENCE[:, None, None]).all()  # one beat is known before the first
    assert frames[0, 0, 4 + 48, 0] == 0


def test_chords_and_metre_beyond_the_song_are_nothing():
    table = np.full((6, 14), 0)
    table[:, 0] = np.arange(6)  # roots
    chords = window_chords(table, np.array([0, 4]))
    assert chords.shape == (2, 16, 36)
    assert not chords[0, :4].any() and chords[0, 4, 0] == 1 and chords[0, 9, 5] == 1 and not chords[0, 10:].any()
    assert chords[1, 0, 0] == 1  # the four beats before beat 4
    metre = window_metre(np.array([0, 1, 2, 0, 1, 2]), np.array([0]), np.array([6]))
    assert metre[0, :, 0].tolist() == [0] * 4 + [0, 1, 2, 0, 1, 2] + [0] * 6
    assert metre[0, :, 1].tolist() == [0] * 4 + [3] * 6 + [0] * 6
    assert metre[0, :, 2].tolist() == [0] * 4 + [1] * 6 + [0] * 6
