"""Swing, pushes and accents on hand-made rhythms."""

import numpy as np
import pytest

from spartito.errors import ModelError, ParameterError
from spartito.style.feel import TEMPI, Feel, FeelStatistics


def statistics(*, late=2.6, push=0.0, accent=0.0):
    """Jazz plays its eighths at `late` at every tempo, and pushes every arrival with the chance `push`."""
    places = np.full((3, len(TEMPI)), 2.0)
    places[1] = late
    pushes = np.zeros((3, 3, 4))
    pushes[1] = push
    accents = np.zeros((3, 3, 16))
    accents[1, :, 4] = accent
    return FeelStatistics(places, pushes, accents)


def notes(*rows):
    return np.array([(step, length, 60, 80, 1) for step, length in rows])


EIGHTHS = notes((0, 2), (2, 2), (4, 2), (6, 2))


def test_eighths_swing_and_their_ends_with_them():
    felt = Feel(statistics(), "pop", "jazz").apply(EIGHTHS)
    assert felt.notes[:, :2].tolist() == [[0, 3], [3, 1], [4, 3], [7, 1]]
    assert felt.place[1] == pytest.approx(2.6) and felt.place[3] == pytest.approx(6.6)
    assert np.isnan(felt.place[[0, 2]]).all()


def test_half_the_strength_swings_half_as_far():
    felt = Feel(statistics(), "pop", "jazz").apply(EIGHTHS, strength=0.5)
    assert felt.place[1] == pytest.approx(2.3)
    assert felt.notes[1, 0] == 2  # 2.3 is nearer to step 2


def test_sixteenths_stay_straight():
    rows = notes((0, 1), (1, 1), (2, 1), (3, 1))
    felt = Feel(statistics(), "pop", "jazz").apply(rows)
    assert (felt.notes == rows).all() and np.isnan(felt.place).all()


def test_the_ratio_is_that_of_the_tempo():
    table = statistics()
    table.late[1] = 2.8 - 0.001 * TEMPI
    assert Feel(table, "pop", "jazz", tempo=150).late == pytest.approx(2.65)


def test_a_locked_tune_is_followed():
    rows = np.concatenate([EIGHTHS, EIGHTHS - [0, 0, 12, 0, 1]])
    movable = np.arange(8) >= 4
    felt = Feel(statistics(), "pop", "jazz").apply(rows, movable=movable)
    assert (felt.notes == rows).all() and np.isnan(felt.place).all()


def test_swung_eighths_are_straightened():
    rows = notes((0, 3), (3, 1), (4, 3), (7, 1))
    felt = Feel(statistics(), "jazz", "classic").apply(rows, place=[0.0, 2.6, 4.0, 7.0])
    assert felt.notes[:, :2].tolist() == [[0, 2], [2, 2], [4, 3], [7, 1]]  # the last is a sixteenth
    assert felt.place[1] == pytest.approx(2.0) and np.isnan(felt.place[3])
    half = Feel(statistics(), "jazz", "classic").apply(rows, place=[0.0, 2.6, 4.0, 7.0], strength=0.5)
    assert half.place[1] == pytest.approx(2.3)


def test_there_and_back_is_where_it_began():
    table = statistics()
    there = Feel(table, "pop", "jazz").apply(EIGHTHS)
    back = Feel(table, "jazz", "pop").apply(there.notes, place=there.place)
    assert (back.notes == EIGHTHS).all()


def test_pushes_come_half_a_beat_early_and_go_back():
    rows = notes((0, 4), (4, 4), (8, 4))
    pushed = Feel(statistics(push=1.0, late=2.0), "pop", "jazz").apply(rows)
    assert pushed.notes[:, :2].tolist() == [[0, 2], [2, 4], [6, 6]]
    back = Feel(statistics(push=1.0, late=2.0), "jazz", "pop").apply(pushed.notes)
    assert back.notes[:, 0].tolist() == [0, 4, 8]


def test_a_note_just_before_the_beat_keeps_its_neighbour_on_it():
    rows = notes((0, 2), (2, 2), (4, 4))
    felt = Feel(statistics(push=1.0, late=2.0), "pop", "jazz").apply(rows)
    assert felt.notes[:, 0].tolist() == [0, 2, 4]


def test_draws_depend_on_the_seed_alone():
    rows = notes(*[(4 * i, 4) for i in range(64)])
    feel = Feel(statistics(push=0.5, late=2.0), "pop", "jazz")
    first, again, other = (feel.apply(rows, seed=s).notes for s in (1, 1, 2))
    assert (first == again).all() and (first != other).any()
    moved = (first[:, 0] != rows[:, 0]).mean()
    assert 0.3 < moved < 0.7


def test_accents_of_the_bar():
    felt = Feel(statistics(accent=6.0), "pop", "jazz").apply(EIGHTHS, strength=0.5)
    assert felt.accent.tolist() == [0, 0, 3.0, 0]


def test_bars_go_on_behind_the_known_beats():
    felt = Feel(statistics(accent=6.0), "pop", "jazz").apply(notes((16, 4), (20, 4), (24, 4)), positions=[2, 3, 0, 1])
    assert felt.accent.tolist() == [0, 0, 0]  # beats 3 and 4, then the first of the next bar
    felt = Feel(statistics(accent=6.0), "pop", "jazz").apply(notes((28, 4)), positions=[2, 3, 0, 1])
    assert felt.accent.tolist() == [6]


def test_nothing_moves_without_strength():
    felt = Feel(statistics(push=1.0), "pop", "jazz").apply(EIGHTHS, strength=0.0)
    assert (felt.notes == EIGHTHS).all()
    assert len(Feel(statistics(), "pop", "jazz").apply(np.zeros((0, 5), int)).notes) == 0
    with pytest.raises(ParameterError):
        Feel(statistics(), "pop", "jazz").apply(EIGHTHS, strength=2)
    with pytest.raises(ParameterError):
        Feel(statistics(), "pop", "polka")


def test_arrays_and_back():
    table = statistics(late=2.5, push=0.25, accent=2.0)
    again = FeelStatistics.from_arrays(table.to_arrays())
    assert all((getattr(again, n) == getattr(table, n)).all() for n in ("late", "push", "accent"))
    with pytest.raises(ModelError):
        FeelStatistics.from_arrays({})
