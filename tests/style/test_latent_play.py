"""Instruments, clocks and loudness of states without a source."""

from __future__ import annotations

import numpy as np

from spartito.notes.four_tracks import HOLD, SILENT
from spartito.notes.layouts import BAND
from spartito.style.latent_play import LINE_UP, USUAL, clock_of, line_up, played
from spartito.style.latent_song import read_song


def test_line_ups():
    assert line_up({"jazz": 0.6, "rock": 0.4})[1] == 32 and line_up({"rock_metal_game": 1.0})[2] == 30
    assert line_up({}) == USUAL == line_up({"schlager": 1.0})


def test_line_ups_are_read_back_as_they_were_written():
    states = np.full((16, 4), HOLD, dtype=np.uint8)
    states[0] = [36, 40, 60, 72]
    for genre in LINE_UP:
        found = read_song(played(states, layout=BAND, bpm=100, genre={genre: 1.0}))
        assert found.roles.tolist() == [0, 1, 2, 3] and np.array_equal(found.states[:, 1:], states[:, 1:]), genre


def test_clocks():
    assert clock_of(120).changes.tolist() == [[0, 500_000]]
    clock = clock_of([120, 120, 60])
    assert clock.changes.tolist() == [[0, 500_000], [2 * 4 * 960, 1_000_000]]


def test_notes_of_states():
    states = np.full((16, 4), HOLD, dtype=np.uint8)
    states[0] = [36, 40, SILENT, SILENT]
    states[3, 2], states[8, 2] = 64, SILENT
    loud = np.full((4, 16), 64.0)
    loud[2, 3] = 99.4
    notes = played(states, layout=BAND, bpm=60, velocity=loud)
    assert [(int(n["pitch"]), int(n["velocity"]), int(n["track"])) for n in notes.array] == [
        (36, 64, 0), (40, 64, 1), (64, 99, 2),
    ]  # fmt: skip
    guitar = notes.array[2]
    assert abs(guitar["onset"] - 0.75) < 1e-9 and abs(guitar["offset"] - (2.0 - 0.15 / 4)) < 1e-9
    swung = played(states, layout=BAND, bpm=60, genre={"jazz": 1.0})
    assert abs(swung.array["onset"][2] - 2 / 3) < 1e-9
