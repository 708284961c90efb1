"""Styles and examples: names from centres, round trips, and what a cover asks for."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spartito.analysis.beats import beats_from_times
from spartito.errors import NotesError, ParameterError
from spartito.notes.attributes import PATTERNS, VECTOR, controls_of
from spartito.notes.notes import Notes, Track
from spartito.notes.styles import Styles, controls_like, grid_notes, named

HANDS = (Track(name="right hand"), Track(name="left hand"))


def styles_of(*centres: dict[str, float]) -> Styles:
    table = np.zeros((len(centres), len(VECTOR)))
    for row, centre in zip(table, centres, strict=True):
        for name, value in centre.items():
            row[VECTOR.index(name)] = value
    names = tuple(str(i) for i in range(len(centres)))
    return Styles(names, table, np.full(len(VECTOR), 2.0), np.full(len(VECTOR), 0.5))


def piece(left, right, *, beat=0.5, start=0.0, **fields):
    """Strokes (beat, keys) of each hand, each half a beat long."""
    rows = [(b, key, hand) for hand, strokes in enumerate((right, left)) for b, keys in strokes for key in keys]
    onset, pitch, track = (np.array(column) for column in zip(*rows))
    return Notes.from_arrays(
        start + beat * onset, start + beat * (onset + 0.5), pitch, 70, track=track, tracks=HANDS, **fields
    )


STRIDE = [(float(i), ([36], [52, 55, 60])[i % 2]) for i in range(32)]
TUNE = [(i / 2, [72 + i % 5]) for i in range(64)]


# -- clusters -------------------------------------------------------------------------------------------------------


def test_names_say_what_is_different():
    styles = named(styles_of({"density": 2.0, "stride": 1.0}, {"density": 2.0, "register": -1.0}, {"polyphony": 0.2}))
    assert styles.names == ("dense-stride", "dense-dark", "usual")
    assert styles.describe(1) == "dense, stride" and styles.describe(3) == "like most songs"


def test_names_stay_apart_and_rare_patterns_are_not_missed():
    styles = named(styles_of({"stride": 2.0}, {"stride": 2.0}, {"walking": -1.0, "broken": -0.8}))
    assert styles.names == ("stride", "stride-2", "mixed")  # that nobody walks is no news


def test_nearest_number_and_name():
    styles = named(styles_of({"density": 2.0}, {"density": -2.0}))
    vector = styles.mean + styles.spread * styles.centres[1] + 0.1
    assert styles.distances(vector)[1] == pytest.approx(0.1 / 0.5)  # each measure 0.1 off, the standard deviation 0.5
    assert np.isnan(styles.distances(np.full(len(VECTOR), np.nan))).all()
    assert styles.nearest(vector) == 2 and styles.nearest(np.full(len(VECTOR), np.nan)) == 0
    assert styles.number("sparse") == styles.number("2") == styles.number(2) == 2
    with pytest.raises(ParameterError, match="dense, sparse"):
        styles.number("jazz")
    with pytest.raises(ParameterError, match="1 to 2"):
        styles.number(3)


def test_json_and_back():
    styles = named(styles_of({"density": 2.0}, {"block": 1.25}))
    again = Styles.from_dict(json.loads(json.dumps(styles.to_dict())))
    assert again.names == styles.names and len(again) == 2
    for name in ("centres", "mean", "spread"):
        assert np.array_equal(getattr(again, name), getattr(styles, name))
    with pytest.raises(ParameterError, match="other measures"):
        Styles.from_dict({**styles.to_dict(), "measures": ["density"]})


# -- examples -------------------------------------------------------------------------------------------------------


def test_notes_on_the_grid_of_given_beats():
    beats = beats_from_times(1.0 + 0.5 * np.arange(9), (np.arange(9) - 1) % 4, numerator=4, denominator=4)
    notes = piece([(0.0, [40]), (1.0, [43])], [(1.49, [70]), (1.5, [70])], start=1.02)
    # the first downbeat is at 1.5 s; two notes of one key fall on one step
    assert grid_notes(notes, beats).tolist() == [[-4, 2, 40, 70, 0], [0, 2, 43, 70, 0], [2, 2, 70, 70, 1]]


def test_the_pedal_holds_up_to_the_next_stroke_of_the_hand():
    beats = beats_from_times(0.5 * np.arange(9), np.arange(9) % 4, numerator=4, denominator=4)
    notes = piece([(0.0, [40]), (3.0, [43])], [(1.0, [70]), (2.0, [72])])
    pedalled = notes.with_pedal(np.array([[0.1, 1.2]]))  # up after beat 2.4
    # the first bass to where the pedal rises (2.4 beats are nearly 10 steps), the tune to its next note, then as before
    assert grid_notes(pedalled, beats)[:, :2].tolist() == [[0, 10], [4, 4], [8, 2], [12, 2]]
    assert grid_notes(notes, beats)[:, 1].tolist() == [2, 2, 2, 2]


def test_an_example_asks_for_itself():
    notes = piece(STRIDE, TUNE)
    table = grid_notes(notes)  # 120 beats a minute, which its clock says
    first = controls_of(table[table[:, 0] < 32], steps=32)
    wanted = controls_like(notes)
    assert PATTERNS[wanted["pattern"] - 1] == "stride"
    assert [wanted[name] for name in ("density", "register", "polyphony", "difficulty")] == first[[1, 2, 3, 5]].tolist()
    assert "style" not in wanted and "melody" not in wanted


def test_an_example_without_a_clock_is_heard():
    notes = piece(STRIDE, TUNE, beat=0.61, start=0.37)  # against an idle clock of 120 beats a minute
    styles = named(styles_of({"stride": -2.0}, {"stride": 2.0}))
    wanted = controls_like(notes, styles=styles)
    assert {"density", "register", "polyphony", "difficulty", "style"} <= set(wanted)


def test_an_example_of_one_hand_and_drums():
    tune = piece([], TUNE)
    drums = Track(name="drums", is_drum=True)
    array = np.concatenate([tune.array, tune.array])
    array["track"][len(tune) :] = 2
    both = Notes(array, tracks=(*HANDS, drums))
    assert controls_like(both) == controls_like(tune)
    assert "pattern" not in controls_like(tune)


def test_examples_that_are_nearly_or_quite_empty():
    assert controls_like(Notes.from_arrays([0.3], [0.9], [60]))["density"] == 1
    with pytest.raises(NotesError, match="no notes"):
        controls_like(Notes())
    with pytest.raises(NotesError, match="no notes"):
        controls_like(Notes.from_arrays([0.3], [0.9], [36], tracks=(Track(is_drum=True),)))
