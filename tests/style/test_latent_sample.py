"""Music drawn from the prior: genres, lengths, keys, and what comes out empty."""

from __future__ import annotations

import numpy as np
import pytest

import spartito
from latent_songs import FakeLatent
from spartito.errors import NotesError, ParameterError
from spartito.models.musae_prior import Gaussian
from spartito.notes.four_tracks import BAR, HOLD, SILENT
from spartito.notes.layouts import PIANO
from spartito.style.latent_sample import SampleSettings, _in_one_key, drawn_codes, model_for, nearest_interval


def test_one_seed_one_piece():
    model = FakeLatent()
    first, second = spartito.sample(genre="jazz", bars=4, count=2, seed=3, temperature=0.5, model=model)
    again = spartito.sample(genre="jazz", bars=4, seed=4, temperature=0.5, model=model)[0]
    assert np.array_equal(second.array, again.array) and not np.array_equal(first.array["pitch"], second.array["pitch"])
    assert first.duration <= 4 * 4 * 60 / 160 + 0.5 and (first.array["velocity"] == 70).all()
    assert first.tracks[1].program == 32  # an upright bass for jazz
    assert abs(60e6 / first.tempo_map.changes[0, 1] - 160) < 0.1


def test_shares_of_two_genres():
    model, report = FakeLatent(), {}
    spartito.sample(genre="jazz:0.5,pop:0.5", bars=2, model=model, report=report)
    (told,) = report["pieces"]
    assert told["genre"] == {"jazz": 0.5, "pop": 0.5} and abs(told["tempo"] - np.sqrt(160 * 90)) < 0.1
    alone = drawn_codes(model, {"jazz": 1.0}, 500, rng=np.random.default_rng(0))
    assert abs(alone[:, 0].mean() - 1) < 0.3 and abs(alone[:, 1]).max() < 0.2
    more = drawn_codes(model, {"jazz": 0.9, "pop": 0.1}, 50, rng=np.random.default_rng(0))
    angle = np.abs(np.arctan2(more[:, 1], more[:, 0]))
    assert np.allclose(np.median(angle), 0.1 * np.pi, atol=0.15)


def test_sliders_are_those_of_the_genre():
    model = FakeLatent()
    model.sliders = {"jazz": np.array([[2.0], [0.5]])}
    z = drawn_codes(model, {"jazz": 1.0}, 2000, rng=np.random.default_rng(0)) / model.prior.deviations()[2]
    other = drawn_codes(model, {"pop": 1.0}, 2000, rng=np.random.default_rng(0)) / model.prior.deviations()[2]
    np.testing.assert_allclose(z[:, 2], 2.0 + 0.5 * other[:, 2], atol=1e-4)
    np.testing.assert_allclose(z[:, 3:], other[:, 3:], atol=1e-4)


def test_unknown_genres_name_those_there_are():
    with pytest.raises(ParameterError, match="'polka', but jazz, pop"):
        spartito.sample(genre="polka", model=FakeLatent())
    with pytest.raises(ParameterError, match="one Gaussian"):
        spartito.sample(genre="jazz", model=FakeLatent(prior=Gaussian(12)))
    assert len(spartito.sample(bars=2, model=FakeLatent(prior=Gaussian(12)))[0])


def test_which_model():
    assert model_for(SampleSettings(bars=16)) == "latent-16" and model_for(SampleSettings(bars=7)) == "latent"
    assert model_for(SampleSettings(bars=16, piano=True)) == "latent-piano"
    assert model_for(SampleSettings(model="other")) == "other"


def test_long_pieces_go_a_smooth_way():
    model = FakeLatent()
    z = drawn_codes(model, {"jazz": 1.0}, 10, rng=np.random.default_rng(1))
    step = np.linalg.norm(np.diff(z, axis=0), axis=1)
    far = np.linalg.norm(z[:5] - z[5:], axis=1)
    assert step.max() < far.max() and z.shape == (10, 12)
    assert len(spartito.sample(bars=7, model=model)[0]) > 0


def test_a_piano():
    (notes,) = spartito.sample(bars=4, piano=True, model=FakeLatent(layout=PIANO))
    assert [t.name for t in notes.tracks] == ["right hand", "left hand"]
    with pytest.raises(ParameterError, match="not a piano"):
        spartito.sample(bars=4, piano=True, model=FakeLatent())


def test_silence_is_drawn_again_and_given_up():
    with pytest.raises(NotesError, match="8 draws"):
        spartito.sample(bars=2, model=FakeLatent(empty=True))


def test_settings_out_of_range():
    for options in ({"bars": 0}, {"count": 0}, {"temperature": -1}, {"tempo": 5}, {"hold_bias": 99}, {"seed": -1}):
        with pytest.raises(ParameterError):
            SampleSettings(**options)


def test_intervals_and_keys():
    c = np.zeros(12)
    c[[0, 4, 7]] = 1
    assert nearest_interval(c, np.roll(c, 2)) == -2 and nearest_interval(c, np.roll(c, -5)) == 5
    assert nearest_interval(c, c) == 0
    model = FakeLatent()
    states = np.full((4 * BAR, 4), HOLD, dtype=np.uint8)
    states[0] = SILENT
    for bar in range(4):
        states[bar * BAR : bar * BAR + 12 : 4, 2] = 60 + c.nonzero()[0] + (0 if bar < 2 else 2)
    states[2 * BAR, 0] = 36
    moved = _in_one_key(states, model)
    assert np.array_equal(moved[2 * BAR :, 2], states[: 2 * BAR, 2]) and moved[2 * BAR, 0] == 36
