"""Scores that lean: what they add, and that they bring an attribute to where it was asked."""

from __future__ import annotations

import numpy as np

from latent_songs import FakeLatent, song
from spartito.notes.layouts import BAND
from spartito.style.latent_cells import BEGINS, QUIET, SOUNDS, edited
from spartito.style.latent_lean import lean_of, leant
from spartito.style.latent_song import decode_song, encode_song, read_song
from spartito.style.sliders import measured


def test_what_leans_where():
    made = lean_of({"density": 1.0, "duration": 2.0, "syncopation": 0.5}, layout=BAND, steps=8)
    assert made.kind[0, 0].tolist() == [0, 0, 1]  # drums: density alone
    assert made.kind[0, 1, [QUIET, SOUNDS, BEGINS]].tolist() == [-2, 2, 0.5]  # on the beat
    assert made.kind[1, 1, BEGINS] == 1.5
    made = lean_of({"pitch": 1.0, "pitch_range": 0.5}, layout=BAND, steps=4, middle=60)
    assert not made.pitch[:2].any() and np.allclose(made.pitch[2, [48, 60, 72]], [-0.5, 0, 1.5])


def test_codes_that_do_nothing_are_helped():
    model, found = FakeLatent(), read_song(song(4))
    codes = encode_song(model, found)
    told = decode_song(model, codes.z, codes, found.steps)

    def render(amounts):
        lean = lean_of(amounts, layout=BAND, steps=found.steps)
        return edited(found.states, told, told, layout=BAND, lean=lean)

    assert np.array_equal(render({}), found.states)
    states, amounts, change = leant(model, found.states, found.states, {"density": -0.4}, render)
    assert amounts["density"] < 0 and abs(change["density"] + 0.4) < 0.2
    assert abs((measured(model, states) - measured(model, found.states))[0] - change["density"]) < 1e-6
    # a wish that is met asks for nothing
    assert leant(model, found.states, found.states, {"density": 0.0}, render)[1] == {}
