"""States of four tracks by hand: coding, holding, windows, silence, transposition; and bands of songs."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.analysis.beats import Beats
from spartito.errors import ParameterError
from spartito.notes import four_tracks as ft
from spartito.notes.four_tracks import HOLD, SILENT
from spartito.notes.notes import Notes, Track

COMPAT = {"pick": ft.COMPAT_PICK, "rearticulate": False}


def table(*rows):
    """Rows of (step, duration, pitch, track) and perhaps velocity."""
    return np.array([[r[0], r[1], r[2], r[4] if len(r) > 4 else 80, r[3]] for r in rows]).reshape(-1, 5)


def bass_line(states):
    return states[:, ft.BASS].tolist()


def test_silence_after_silence_is_hold_and_a_repeated_note_too():
    notes = table((2, 2, 40, 1), (4, 2, 40, 1), (6, 1, 43, 1))
    assert bass_line(ft.encode(notes, 8, **COMPAT)) == [SILENT, HOLD, 40, HOLD, HOLD, HOLD, 43, SILENT]
    assert bass_line(ft.encode(notes, 8)) == [SILENT, HOLD, 40, HOLD, 40, HOLD, 43, SILENT]


def test_of_a_chord_the_lowest_the_highest_or_the_loudest():
    notes = table((0, 4, 60, 2, 50), (0, 2, 64, 2, 90), (0, 1, 67, 2, 70))
    coded = {pick: ft.encode(notes, 4, pick=pick)[:, ft.GUITAR].tolist() for pick in ("lowest", "highest", "loudest")}
    assert coded["lowest"] == [60, HOLD, HOLD, HOLD]
    assert coded["highest"] == [67, 64, 60, HOLD]
    assert coded["loudest"] == [64, HOLD, 60, HOLD]
    with pytest.raises(ParameterError):
        ft.encode(notes, 4, pick="best")


def test_velocities_lie_where_notes_begin():
    states, velocity = ft.encode(table((1, 2, 60, 2, 50)), 4, velocities=True)
    assert states[:, 2].tolist() == [SILENT, 60, HOLD, SILENT]
    assert velocity[:, 2].tolist() == [0, 50, 0, 0] and velocity[:, :2].max() == 0


def test_no_notes_and_notes_beyond_the_end():
    assert ft.encode(np.zeros((0, 5), dtype=int), 3)[:, 0].tolist() == [SILENT, HOLD, HOLD]
    assert bass_line(ft.encode(table((-2, 3, 40, 1), (3, 9, 41, 1), (5, 1, 42, 1)), 4)) == [40, SILENT, HOLD, 41]


def test_decoding_gives_what_sounds():
    rng = np.random.default_rng(0)
    sounding = np.repeat(rng.integers(30, 34, (40, 4)), rng.integers(1, 5, 40), axis=0)
    sounding[sounding == 33] = SILENT
    np.testing.assert_array_equal(ft.expanded(ft.held(sounding)), sounding)
    assert ft.expanded(np.full((3, 4), HOLD)).tolist() == [[SILENT] * 4] * 3  # hold at the first step is silent


def test_notes_there_and_back():
    notes = table((0, 4, 36, 0), (0, 2, 40, 1), (2, 2, 40, 1), (5, 3, 72, 3), (6, 1, 60, 2))
    states = ft.encode(notes, 8)
    np.testing.assert_array_equal(ft.notes_of(states), notes[np.lexsort((notes[:, 2], notes[:, 4], notes[:, 0]))])
    np.testing.assert_array_equal(ft.encode(ft.notes_of(states), 8), states)
    assert ft.notes_of(ft.encode(notes, 8, **COMPAT))[:, :3].tolist()[1] == [0, 4, 40]  # no second attack
    assert len(ft.notes_of(np.full((4, 4), HOLD))) == 0


def test_windows_begin_with_what_sounds():
    states = ft.encode(table((0, 2, 40, 1), (2, 6, 40, 1)), 8)
    first, second, late = (ft.windows(states, [s], steps=4)[0, :, 1].tolist() for s in (0, 3, 6))
    assert first == [40, HOLD, 40, HOLD]
    assert second == [40, HOLD, HOLD, HOLD]
    assert late == [40, HOLD, SILENT, HOLD]  # beyond the end
    assert ft.windows(states, [0], steps=4, compat=True)[0, :, 1].tolist() == [40, HOLD, HOLD, HOLD]
    assert ft.windows(states, [0, 4], steps=4).shape == (2, 4, 4)


def test_transposing_folds_by_octaves_and_leaves_drums():
    states = np.array([[36, 2, 126, SILENT], [HOLD, HOLD, 60, 61]], dtype=np.uint8)
    assert ft.transposed(states, 4).tolist() == [[36, 6, 118, SILENT], [HOLD, HOLD, 64, 65]]
    assert ft.transposed(states, -5).tolist() == [[36, 9, 121, SILENT], [HOLD, HOLD, 55, 56]]
    both = ft.transposed(np.stack([states, states]), np.array([1, -1]))
    assert both[:, 1, 2].tolist() == [61, 59]
    assert ft.transposed(states, 0).tolist() == states.tolist()


def test_silence_rule_at_its_limit():
    sounding = np.full((2, 32, 4), 60, dtype=np.uint8)
    sounding[:, 3:19, 2] = SILENT  # 16 steps across a bar line
    sounding[1, 19, 2] = SILENT  # and one more
    assert ft.longest_silence(sounding)[:, 2].tolist() == [16, 17]
    assert ft.accepted(sounding).tolist() == [True, False]
    assert ft.accepted(sounding, max_silent=15).tolist() == [False, False]
    sounding[:, :, 3] = SILENT
    assert ft.accepted(sounding).tolist() == [False, False]
    assert ft.accepted(sounding, optional=[ft.STRINGS]).tolist() == [True, False]


def test_a_song_is_known_in_another_key():
    states = ft.encode(table((0, 2, 40, 1), (2, 2, 72, 2), (0, 1, 36, 0)), 8)
    assert ft.digest(states) == ft.digest(ft.transposed(states, 5))
    other = states.copy()
    other[0, ft.DRUMS] = 38
    assert ft.digest(states) != ft.digest(other)


def song(*tracks, beats=16):
    """Tracks as (program, drum, rows of (onset in beats, length, pitch)), at 120 per minute in 4/4."""
    columns = [[(a / 2, (a + n) / 2, p, 80, i) for a, n, p in rows] for i, (_, _, rows) in enumerate(tracks)]
    rows = np.array([row for track in columns for row in track])
    made = Notes.from_arrays(
        rows[:, 0],
        rows[:, 1],
        rows[:, 2],
        rows[:, 3],
        track=rows[:, 4].astype(int),
        tracks=tuple(Track(program=p, is_drum=d) for p, d, _ in tracks),
    )
    count = np.arange(beats)
    return made, Beats(count / 2, count.astype(float), count % 4)


def test_tracks_by_program():
    made, _ = song(*[(p, d, [(0, 1, 60)]) for p, d in [(0, True), (33, False), (29, False), (16, False), (73, False)]])
    assert ft.track_roles(made).tolist() == [0, 1, 2, 2, 3]
    assert ft.track_roles(made, programs="narrow").tolist() == [0, 1, 2, -1, -1]
    with pytest.raises(ParameterError):
        ft.track_roles(made, programs="all")


def test_combinations_are_the_product_with_all_strings_and_capped():
    few, more = [(0, 1, 60)], [(0, 1, 60), (1, 1, 62)]
    made, _ = song(
        (0, True, few), (33, False, few), (0, False, few), (25, False, more), (48, False, few), (50, False, few)
    )
    found = ft.combinations(made)
    assert [f.tolist() for f in found] == [[0, 1, -1, 2, 3, 3], [0, 1, 2, -1, 3, 3]]
    assert len(ft.combinations(made, most=1)) == 1
    without, _ = song((33, False, few), (0, False, few))
    assert ft.combinations(without) == []


def test_a_band_on_its_beats():
    made, beats = song(
        (0, True, [(0, 0.1, 36), (1, 0.1, 38), (7, 0.1, 36)]), (33, False, [(0, 1.9, 40)]), (73, False, [(2.12, 1, 72)])
    )
    found = ft.band(made, beats)
    assert found.notes[:, [0, 1, 2, 4]].tolist() == [
        [0, 4, 36, 0], [0, 8, 40, 1], [4, 4, 38, 0], [8, 4, 72, 3], [28, 4, 36, 0]
    ]  # fmt: skip
    assert found.place[3] == pytest.approx(8.48) and found.steps == 32
    np.testing.assert_array_equal(made.pitch[found.rows], found.notes[:, 2])
    short = ft.band(made, beats, compat=True).notes
    assert short[short[:, 4] == 0, 1].tolist() == [1, 1, 1]
    assert len(ft.band(made, beats, roles=np.array([-1, 1, -1])).notes) == 1
