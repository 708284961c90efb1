"""What becomes of the notes of a source: cases by hand, and nothing lost where nothing changes."""

from __future__ import annotations

import numpy as np
import pytest

from latent_songs import piano, song
from spartito.notes.four_tracks import HOLD, SILENT
from spartito.notes.notes import Notes, Track
from spartito.notes.tempo import TempoMap
from spartito.style.latent_notes import locked_whole, place_velocities, rewritten, segments_of, usual_places
from spartito.style.latent_song import read_song

STEP = 0.125  # seconds, at 120 quarter notes per minute


def chords(*rows, program: int = 25) -> Notes:
    """Notes (step, steps, pitch, velocity) of one guitar, every onset 10 ms late."""
    start, length, pitch, velocity = np.array(rows, dtype=float).T
    return Notes.from_arrays(
        start * STEP + 0.01,
        (start + length) * STEP - 0.01,
        pitch.astype(int),
        velocity.astype(int),
        tracks=(Track("Guitar", program),),
        tempo_map=TempoMap.constant(120.0),
    )


C = chords((0, 4, 60, 70), (0, 4, 64, 71), (0, 4, 67, 72), (8, 4, 62, 73), (8, 4, 65, 74), (8, 4, 69, 75))


def guitar(notes: Notes = C):
    return read_song(notes, layout="band")


def edited(found, **cells) -> np.ndarray:
    """States with some cells of the guitar set: `_<step>=state`."""
    states = found.states.copy()
    for step, state in cells.items():
        states[int(step[1:]), 2] = state
    return states


def as_rows(notes: Notes) -> set[tuple]:
    return {
        (round(float(n["onset"]), 4), round(float(n["offset"]), 4), int(n["pitch"]), int(n["velocity"]))
        for n in notes.array
    }


@pytest.mark.parametrize("notes", [C, song(4), piano(4)])
def test_the_same_states_give_the_very_notes(notes):
    found = read_song(notes)
    result, counts = rewritten(found, found.states)
    assert result is notes and counts["stay"] == len(found.band.notes) and counts["new"] == counts["go"] == 0


def test_leaders_and_followers():
    found = guitar()
    own = segments_of(found)
    assert own.pitch.tolist() == [67, 69] and own.struck.all()
    assert own.of_row.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_chord_moves_with_its_top_note():
    found = guitar()
    result, counts = rewritten(found, edited(found, _0=69))
    # two semitones up would be 62 and 66, which do not belong to the chord there: the nearest are 60 and 67
    assert counts == {"stay": 4, "move": 2, "go": 0, "new": 0}
    assert result.array["pitch"][:3].tolist() == [60, 67, 69]
    assert np.array_equal(result.array["onset"], C.array["onset"])
    assert np.array_equal(result.array["velocity"], C.array["velocity"])
    assert as_rows(result) >= {row for row in as_rows(C) if row[0] > 0.5}


def test_a_chord_moves_in_time_with_its_micro_timing():
    found = guitar()
    result, counts = rewritten(found, edited(found, _8=HOLD, _9=69, _12=HOLD, _13=SILENT))
    assert counts["move"] == 3 and counts["new"] == 0
    late = result.array[3:]
    assert np.allclose(late["onset"], 9 * STEP + 0.01) and np.allclose(late["offset"], 13 * STEP - 0.01)
    assert sorted(late["pitch"].tolist()) == [62, 65, 69]


def test_a_chord_goes_with_its_top_note():
    found = guitar()
    result, counts = rewritten(found, edited(found, _8=HOLD, _12=HOLD))
    assert counts == {"stay": 3, "move": 0, "go": 3, "new": 0}
    assert as_rows(result) == {row for row in as_rows(C) if row[0] < 0.5}


def test_lengths_follow_the_end_of_their_segment():
    found = guitar()
    result, _ = rewritten(found, edited(found, _2=SILENT, _4=HOLD))
    assert np.allclose(result.array["offset"][:3], 2 * STEP - 0.01)
    result, _ = rewritten(found, edited(found, _4=HOLD, _6=SILENT))
    assert np.allclose(result.array["offset"][:3], 6 * STEP - 0.01)
    assert np.array_equal(result.array[3:], C.array[3:])


def test_a_new_note_is_as_late_and_as_loud_as_the_place():
    found = guitar(chords((0, 2, 60, 70), (4, 2, 62, 40), (16, 2, 60, 70), (20, 2, 62, 60)))
    states = edited(found, _24=64, _26=SILENT)
    result, counts = rewritten(found, states)
    new = result.array[-1]
    assert counts["new"] == 1 and new["pitch"] == 64
    assert abs(new["onset"] - (24 * STEP + 0.01)) < 1e-6  # as late as all others
    assert new["velocity"] == 60  # nothing sounds at that place of the bar: the mean of the track
    states = edited(found, _20=64)
    assert place_velocities(found)[2, 4] == 50 and rewritten(found, states)[1]["move"] == 1


def test_locked_cells_are_the_source_bit_by_bit():
    notes = song(4)
    found = read_song(notes)
    locked = np.zeros(found.states.shape, dtype=bool)
    locked[:, 0] = True
    states = found.states.copy()
    states[:] = HOLD
    states[0] = SILENT
    states[:, 0] = found.states[:, 0]
    result, _ = rewritten(found, states, locked=locked)
    stays = np.isin(notes.array["track"], [0, 4])  # drums, and the guitar that no cell sees
    assert np.array_equal(result.array, notes.array[stays])
    assert result.tracks is notes.tracks and result.tempo_map is notes.tempo_map


def test_a_lock_holds_whole_notes():
    found = guitar(chords((0, 24, 60, 70)))
    locked = np.zeros(found.states.shape, dtype=bool)
    locked[16:, 2] = True
    assert locked_whole(found, locked)[:24, 2].all() and not locked_whole(found, locked)[:16, 1].any()


def test_hits_beside_the_chosen_one_stay_with_it():
    rows = [(0, 36), (0, 42), (4, 38), (4, 42), (8, 42)]
    hits = Notes.from_arrays(
        [s * STEP for s, _ in rows], [s * STEP + 0.05 for s, _ in rows], [p for _, p in rows],
        tracks=(Track("Drums", is_drum=True, channel=9),), tempo_map=TempoMap.constant(120.0),
    )  # fmt: skip
    found = read_song(hits)
    assert found.states[[0, 4, 8], 0].tolist() == [36, 38, 42]
    states = found.states.copy()
    states[4, 0], states[8, 0] = 40, HOLD
    result, counts = rewritten(found, states)
    assert [(int(n["pitch"])) for n in result.array] == [36, 42, 40, 42] and counts["go"] == 1


def test_a_note_that_came_to_light_again_ends_where_it_no_longer_does():
    # a long note under a short higher one: the cells show it again from step 4
    notes = chords((0, 8, 60, 70), (2, 2, 67, 80))
    found = guitar(notes)
    assert found.states[:8, 2].tolist() == [60, HOLD, 67, HOLD, 60, HOLD, HOLD, HOLD]
    result, _ = rewritten(found, edited(found, _4=SILENT, _8=HOLD))
    assert as_rows(result) == {(0.01, 0.5, 60, 70), (0.26, 0.49, 67, 80)}
    # and is struck where its own note has gone
    result, counts = rewritten(found, edited(found, _0=SILENT, _2=67))
    assert counts["go"] == 1 and counts["new"] == 1 and 60 in result.array["pitch"]


def test_a_new_note_takes_its_key_from_one_that_sounds():
    found = guitar(chords((0, 8, 60, 70), (0, 8, 64, 80)))
    states = edited(found, _4=60)  # the chosen note is 64; 60 sounds below it
    result, _ = rewritten(found, states)
    ends = {int(n["pitch"]): [] for n in result.array}
    for n in result.array:
        ends[int(n["pitch"])].append((round(float(n["onset"]), 3), round(float(n["offset"]), 3)))
    (first, second) = sorted(ends[60])
    assert first[1] <= second[0]


def test_places_of_a_song():
    late, gap = usual_places(guitar())
    assert np.allclose(late[2, 0], 0.01 / STEP) and np.allclose(gap[2], 0.01 / STEP) and gap[0] == 0


def test_a_kit_on_several_tracks_is_one():
    rows = [(0, 36, 0), (0, 42, 1), (4, 38, 2), (4, 42, 1), (8, 36, 0)]
    start, pitch, track = np.array(rows).T
    tracks = tuple(Track(name, is_drum=True, channel=9) for name in ("Kick", "Hats", "Snare"))
    hits = Notes.from_arrays(
        start * STEP, start * STEP + 0.05, pitch, track=track, tracks=tracks, tempo_map=TempoMap.constant(120.0)
    )
    found = read_song(hits)
    assert found.passing == [] and found.states[[0, 4, 8], 0].tolist() == [36, 38, 36]
    states = found.states.copy()
    states[4, 0], states[8, 0], states[12, 0] = HOLD, HOLD, 38
    result, counts = rewritten(found, states)
    assert counts["go"] == 3 and [(int(n["pitch"]), int(n["track"])) for n in result.array] == [
        (36, 0), (42, 1), (38, 2),
    ]  # fmt: skip
