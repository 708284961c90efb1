"""Tempo and loudness of the tags of bands."""

from __future__ import annotations

import numpy as np

from spartito.notes.four_tracks import HOLD
from spartito.training.data.band_profiles import ALL, tempo_of_tags, velocity_of_tags
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
