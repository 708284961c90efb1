"""Tempo and loudness of the tags of bands."""

from __future__ import annotations

import numpy as np

from spartito.notes.band_attributes import NormalScale, attributes
from spartito.notes.four_tracks import HOLD
from spartito.training.data.band_profiles import ALL, sliders_of_tags, tempo_of_tags, velocity_of_tags
from spartito.training.data.band_store import BandPiece, open_bands, write_bands


def test_tempo_and_velocity_of_each_tag(tmp_path):
    pieces = []
    for number, (tag, tempo, loud) in enumerate([("jazz", 200.0, 100), ("jazz", 160.0, 60), ("pop", 90.0, 50)]):
        states = np.full((36, 4), HOLD, dtype=np.uint8)
        states[0] = 128
        states[4, 1], states[20, 1] = 40 + number, 41 + 2 * number  # bass, on the first beat of both bars
        velocity = np.zeros_like(states)
        velocity[4, 1], velocity[20, 1] = loud, loud - 10
        name = str(number)
        pieces.append(BandPiece(name, name, states, velocity, np.array([[4, 36]]), (tag,), "free", tempo))
    write_bands(tmp_path, "x", pieces, split=lambda song: "train")
    bands = open_bands(tmp_path, "train")
    assert tempo_of_tags(bands) == {ALL: 160.0, "jazz": 180.0, "pop": 90.0}
    found = velocity_of_tags(bands)
    assert {tag: np.shape(rows) for tag, rows in found.items()} == dict.fromkeys((ALL, "jazz", "pop"), (4, 16))
    assert found["pop"][1][0] == 45 and found["jazz"][1][0] == 75 and found[ALL][1][0] == 65
    assert found["pop"][1][7] == 45  # where the bass never begins: its mean
    assert found["pop"][0] == [80.0] * 16  # drums never play


def test_sliders_of_each_tag(tmp_path):
    random = np.random.default_rng(0)
    pieces = []
    for number in range(12):
        busy = number % 2
        states = np.full((64, 4), HOLD, dtype=np.uint8)
        states[:: 2 if busy else 8] = random.integers(40, 60, (32 if busy else 8, 4))
        tag = "jazz" if busy else "pop"
        pieces.append(
            BandPiece(
                str(number), str(number), states, np.zeros_like(states), np.array([[0, 64]]), (tag,), "free", 100.0
            )
        )
    write_bands(tmp_path, "x", pieces, split=lambda song: "train")
    bands = open_bands(tmp_path, "train")
    windows = bands.windows()
    values = attributes(bands.states_of(windows))
    found = sliders_of_tags(bands, windows, bands.chances(windows), NormalScale.of(values), count=3)
    assert {tag: np.shape(rows) for tag, rows in found.items()} == dict.fromkeys((ALL, "jazz", "pop"), (4, 3))
    jazz, pop = np.array(found["jazz"]), np.array(found["pop"])
    assert jazz[0, 0] > 0.5 > -0.5 > pop[0, 0]  # density
    assert jazz[0, 1] < 0 < pop[0, 1]  # duration
    assert (np.diag(jazz[1:]) > 0).all() and not np.triu(jazz[1:], 1).any()
