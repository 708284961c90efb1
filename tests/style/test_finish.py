"""From the grid to a performance: every rule on notes whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from restyling import as_set, piece
from spartito.analysis.beats import Beats
from spartito.notes.notes import Notes, Track
from spartito.notes.phrases import gridded
from spartito.style.engines import StylePiece, Written
from spartito.style.finish import joined, performed, struck_once
from spartito.style.transfer import prepare, source_beats

BEATS = Beats(0.5 * np.arange(17), np.arange(17.0), np.arange(17) % 4)  # a step is 0.125 s


def of(notes: Notes, *, melody=(), bass=()) -> StylePiece:
    grid = gridded(notes, BEATS)
    marks = [np.isin(np.arange(len(grid.notes)), rows) for rows in (melody, bass)]
    return StylePiece(grid, *marks)


def written(*rows, **columns) -> Written:
    return Written(np.array([(*row, 64, 1) for row in rows], dtype=np.int64).reshape(-1, 5), **columns)


def one(written, source, **options):
    """The result for a single written note."""
    result = performed(written, source, of(source), **options)
    assert len(result) == 1
    return result.array[0]


# -- what the engine wrote ----------------------------------------------------------------------------------


def test_each_key_once_at_a_step_the_longest():
    once = struck_once(written((4, 2, 60), (4, 6, 60), (4, 1, 61), (0, 1, 60), (0, 1, 130), (-1, 1, 60)))
    assert once.notes[:, :3].tolist() == [[0, 1, 60], [4, 6, 60], [4, 1, 61]]


def test_columns_follow_their_notes():
    once = struck_once(written((4, 0, 60), (0, 1, 60), place=np.array([4.5, np.nan]), accent=np.array([3, 1])))
    assert once.notes[:, 1].tolist() == [1, 1]  # no note without length
    assert np.isnan(once.place[0]) and once.place[1] == 4.5 and once.accent.tolist() == [1, 3]


# -- notes that stay ----------------------------------------------------------------------------------------


def test_a_kept_note_displaces_what_is_on_its_key_and_over_it():
    source = Notes.from_arrays([0.5], [1.5], [72], [90])  # steps 4 to 12
    song = of(source, melody=[0])
    answer = joined(written((0, 8, 72), (2, 1, 80), (6, 1, 72), (6, 2, 74), (6, 2, 71), (12, 1, 90)), song, ("melody",))
    # what reached into it ends at step 4; on its key and over it nothing is left while it sounds
    assert answer.notes[:, :3].tolist() == [[0, 4, 72], [2, 1, 80], [4, 8, 72], [6, 2, 71], [12, 1, 90]]


def test_under_a_kept_bass_nothing_new_sounds():
    source = Notes.from_arrays([0.0], [1.0], [40], [90])
    answer = joined(written((0, 4, 36), (2, 4, 45), (8, 4, 30)), of(source, bass=[0]), ("bass",))
    assert answer.notes[:, :3].tolist() == [[0, 8, 40], [2, 4, 45], [8, 4, 30]]


def test_nothing_kept_nothing_changed():
    source = Notes.from_arrays([0.0], [1.0], [40], [90])
    assert joined(written((0, 4, 36)), of(source, bass=[0]), ()).notes[:, 2].tolist() == [36]


# -- timing -------------------------------------------------------------------------------------------------


def test_a_note_of_the_source_is_that_note():
    source = Notes.from_arrays([0.513], [0.97], [60], [77])
    note = one(written((4, 4, 60)), source)
    assert (note["onset"], note["offset"], note["velocity"]) == (0.513, 0.97, 77)


def test_a_note_a_step_away_is_as_far_off_the_grid():
    source = Notes.from_arrays([0.513], [0.97], [60], [77])
    note = one(written((5, 2, 60)), source)
    assert note["onset"] == pytest.approx(0.625 + 0.013) and note["offset"] == pytest.approx(0.875 + 0.013)
    assert note["velocity"] == 77


def test_a_new_note_goes_with_its_chord():
    source = Notes.from_arrays([0.510, 0.530], [0.97, 0.97], [60, 64], [70, 80])
    assert one(written((4, 4, 67)), source)["onset"] == pytest.approx(0.520)
    assert one(written((9, 2, 67)), source)["onset"] == pytest.approx(9 * 0.125)  # nothing is struck there


def test_an_engine_with_a_feel_says_where_notes_begin():
    source = Notes.from_arrays([0.513], [0.97], [60], [77])
    note = one(written((4, 2, 60), place=np.array([4 + 8 / 3])), source)
    assert note["onset"] == pytest.approx(0.5 + 0.125 * 8 / 3)
    assert note["offset"] == pytest.approx(note["onset"] + 0.25)


# -- velocities ---------------------------------------------------------------------------------------------

SOFT_AND_LOUD = Notes.from_arrays([0.0, 0.0, 0.5, 4.0], [0.4, 0.4, 0.9, 4.4], [60, 67, 62, 62], [40, 60, 90, 100])


@pytest.mark.parametrize(
    ("note", "velocity"),
    [
        ((1, 1, 60), 40),  # same key, a step away
        ((2, 1, 72), 40),  # same pitch class in the beat
        ((2, 1, 65), 50),  # mean of the beat
        ((16, 1, 65), 72.5 + 6),  # a bar line in an empty beat: mean of four bars (40 60 90 100) and an accent
        ((20, 1, 65), 72.5 + 2),
        ((22, 1, 65), 72.5 - 3),
    ],
)
def test_velocity_of_the_nearest(note, velocity):
    assert one(written(note), SOFT_AND_LOUD)["velocity"] == np.floor(velocity + 0.5)


def test_accents_are_added():
    assert one(written((1, 1, 60), accent=np.array([7.0])), SOFT_AND_LOUD)["velocity"] == 47
    assert one(written((1, 1, 60), accent=np.array([500.0])), SOFT_AND_LOUD)["velocity"] == 127


# -- tracks, drums, keys struck again -----------------------------------------------------------------------


def test_a_new_note_takes_the_track_that_is_nearest():
    tracks = (Track("flute", 73), Track("cello", 42))
    source = Notes.from_arrays([0.0, 0.0], [1.0, 1.0], [84, 40], [70, 70], track=[0, 1], tracks=tracks)
    result = performed(written((2, 2, 80), (2, 2, 45)), source, of(source), apart=True)
    assert sorted(zip(result.pitch.tolist(), result.array["track"].tolist(), strict=True)) == [(45, 1), (80, 0)]
    assert result.tracks == source.tracks


def test_hands_are_those_of_the_engine_or_of_the_nearest_note():
    tracks = (Track("right hand"), Track("left hand"))
    source = Notes.from_arrays([0.0, 0.0], [1.0, 1.0], [76, 45], [70, 70], track=[0, 1], tracks=tracks)
    rows = np.array([[2, 2, 72, 64, 0], [2, 2, 50, 64, 1]])  # the engine has them the other way round
    for hands, expected in ((False, {72: "right hand", 50: "left hand"}), (True, {72: "left hand", 50: "right hand"})):
        result = performed(Written(rows, hands=hands), source, of(source))
        found = {pitch: result.tracks[t].name for pitch, t in result.array[["pitch", "track"]].tolist()}
        assert found == expected


def test_one_piano_has_two_hands_and_the_drums_beside_it():
    source = piece(2, tracks=True, drums=True)
    beats, _ = source_beats(source)
    song = prepare(source, beats)
    result = performed(Written(song.notes), source, song)
    assert [(t.name, t.program, t.is_drum) for t in result.tracks] == [
        ("right hand", 0, False),
        ("left hand", 0, False),
        ("Drums", 0, True),
    ]
    assert as_set(result) == as_set(source)
    drums = source.select(source.array["track"] == 2)
    assert as_set(result.select(result.array["track"] == 2)) == as_set(drums)


def test_notes_make_room_for_the_next_on_their_key():
    source = Notes.from_arrays([0.0], [0.25], [60], [70])
    result = performed(written((0, 8, 60), (4, 2, 60)), source, of(source))
    assert result.offset.tolist() == [0.5, 0.75]


def test_an_overhanging_note_of_the_source_stays_and_the_new_one_waits():
    source = Notes.from_arrays([0.0], [0.55], [60], [70])  # 4.4 steps, four on the grid
    result = performed(written((0, 4, 60), (4, 4, 60)), source, of(source))
    assert result.array["offset"][0] == 0.55 and result.array["onset"][1] == 0.55


def test_a_trill_finer_than_the_grid_survives():
    source = Notes.from_arrays([0.45, 0.52, 1.0], [0.5, 0.6, 1.4], [60, 60, 62], [70, 71, 72])
    song = of(source)
    assert len(struck_once(Written(song.notes)).notes) == 2  # two of them are one on the grid
    assert as_set(performed(struck_once(Written(song.notes)), source, song)) == as_set(source)


def test_a_long_note_under_its_own_repetition_is_still_itself():
    # on a roll the first ends where the second begins
    source = Notes.from_arrays([0.0, 0.5], [2.0, 1.0], [60, 60], [70, 71])
    song = of(source)
    shown = written((0, 4, 60), (4, 12, 60))
    assert as_set(performed(shown, source, song)) == as_set(source)
