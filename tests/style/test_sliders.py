"""Sliders on a model whose music is known: what is asked, what a shift gives, what the closed loop makes of it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from spartito.errors import ParameterError
from spartito.models.musae_prior import Flower, Gaussian
from spartito.notes.band_attributes import NormalScale, attributes
from spartito.notes.four_tracks import HOLD, SILENT
from spartito.notes.layouts import BAND
from spartito.style import sliders
from spartito.style.sliders import Wish, calibrated, genre_shares, measured, moved, smooth

STEPS = 32


def music(u: np.ndarray) -> np.ndarray:
    """(w, 32, 4): the guitar plays 12 notes, 4 more for u 0 of 1, and 2 fewer for u 1 of 1, which makes them longer."""
    states = np.full((len(u), STEPS, 4), HOLD, dtype=np.uint8)
    states[:, 0] = SILENT
    for row, (more, longer) in zip(states, u):
        count = int(np.clip(round(12 + 4 * more - 2 * longer), 1, 16))
        begins = np.arange(count) * STEPS // count
        length = int(np.clip(round(2.5 + longer), 1, 8))
        ends = np.minimum(begins + length, np.append(begins[1:], STEPS))
        row[ends[ends < STEPS], 2] = SILENT
        row[begins, 2] = 60
    return states


@pytest.fixture(scope="module")
def model():
    some = np.random.default_rng(0).standard_normal((400, 2))
    return SimpleNamespace(
        name="known",
        config=SimpleNamespace(attributes=2),
        prior=Flower(6, 4),
        tags=["blues", "dub", "folk", "rock"],
        scale=NormalScale.of(attributes(music(some))),
        bars=2,
        layout=BAND,
        encode=lambda states: (np.tile([[1.0, 0, 0, 0, 0, 0]], (len(states), 1)), None),
    )


def render(codes: np.ndarray) -> np.ndarray:
    """(m, w, 6) codes to songs of w windows side by side."""
    u = codes[..., 2:4] / 0.001**0.5
    return np.stack([np.concatenate(music(one)) for one in u])


@pytest.fixture(scope="module")
def piece(model):
    random = np.random.default_rng(5)
    z = model.prior.sample(np.zeros(16, dtype=int), random).astype(float)
    z[:, 2:4] *= 0.4
    return SimpleNamespace(states=render(z[None])[0]), SimpleNamespace(z=z)


def test_wishes():
    assert Wish().empty and Wish({"density": 0}, {"dub": 0}).empty and not Wish({"density": 1}).empty
    for wrong in ({"loudness": 1}, {"density": 9}, {"density": float("nan")}):
        with pytest.raises(ParameterError):
            Wish(wrong)
    for wrong in ({"dub": 1.2}, {"dub": -0.1}, {"dub": 0.6, "folk": 0.6}):
        with pytest.raises(ParameterError):
            Wish(genre=wrong)


def test_a_model_does_only_what_it_knows(model):
    z = np.zeros((3, 6))
    with pytest.raises(ParameterError, match="no slider 'pitch', but density, duration"):
        moved(model, z, Wish({"pitch": 1}))
    with pytest.raises(ParameterError, match="no genre 'polka'"):
        moved(model, z, Wish(genre={"polka": 1}))
    plain = SimpleNamespace(**{**vars(model), "prior": Gaussian(6)})
    with pytest.raises(ParameterError, match="no genre knob"):
        moved(plain, z, Wish(genre={"dub": 1}))
    np.testing.assert_allclose(moved(plain, z, Wish({"duration": 2}))[:, 3], 2)


def test_a_slider_step_is_a_deviation_of_the_prior(model, piece):
    z = piece[1].z
    found = moved(model, z, Wish({"density": 1.5, "duration": -1}))
    np.testing.assert_allclose((found - z)[:, 2:4] / 0.001**0.5, np.tile([1.5, -1], (16, 1)))
    np.testing.assert_allclose(np.delete(found, [2, 3], axis=1), np.delete(z, [2, 3], axis=1))
    half = moved(model, z, Wish({"density": 1}), strength=np.linspace(0, 1, 16))
    np.testing.assert_allclose((half - z)[:, 2] / 0.001**0.5, np.linspace(0, 1, 16))
    with pytest.raises(ParameterError):
        moved(model, z, Wish({"density": 1}), strength=[1, 1])


def test_nothing_is_moved_out_of_what_was_learnt(model):
    z = np.zeros((3, 6))
    z[:, 2] = 0.001**0.5 * np.array([3.0, 5.0, -5.0])
    found = moved(model, z, Wish({"density": 2}))[:, 2] / 0.001**0.5
    assert found == pytest.approx([4, 5, -3])  # a code that is out there already stays


def test_the_genre_knob(model):
    z = np.array([[1.0, 0, 1, 1, 1, 1], [2.0, 0, 1, 1, 1, 1]])
    full = moved(model, z, Wish(genre={"dub": 1}))
    np.testing.assert_allclose(full, [[0, 1, 1, 1, 1, 1], [0, 2, 1, 1, 1, 1]], atol=1e-12)
    both = moved(model, z, Wish(genre={"blues": 0.5, "dub": 0.5}))
    np.testing.assert_allclose(both[:, :2], [[0.5, 0.5], [1, 1]], atol=1e-12)
    half = moved(model, z, Wish(genre={"dub": 0.5}))
    np.testing.assert_allclose(half[0, :2], [0.5**0.5, 0.5**0.5])
    shares = genre_shares(model, half[:1])
    assert sum(shares.values()) == pytest.approx(1) and shares["blues"] == pytest.approx(shares["dub"])
    share = np.exp(-0.5 * np.array([2, 0, 2, 4]) ** 2)  # half-ways to each petal
    np.testing.assert_allclose(list(genre_shares(model, full[:1]).values()), share / share.sum())
    assert genre_shares(SimpleNamespace(prior=Gaussian(6)), z) == {}


def test_strengths_are_made_smooth():
    assert smooth(np.array([0.0, 0, 4, 0, 0]), reach=1).tolist() == [0, 1, 2, 1, 0]
    assert smooth(np.ones(3), reach=4) == pytest.approx(np.ones(3))
    assert smooth(np.array([0.0, 1]), reach=0).tolist() == [0, 1]


def test_more_of_what_is_extreme_is_still_more(model):
    knots = model.scale.knots[:, 0]
    values = np.column_stack([[knots[50], knots[-1], knots[-1] + 4, knots[0] - 4], [2.0] * 4])
    found = sliders.normal_numbers(model.scale, values)[:, 0]
    assert found[1] < found[2] and found[3] < model.scale.places()[0]
    assert found[:2] == pytest.approx(NormalScale(knots[:, None]).to_normal(values[:2, :1])[:, 0])


def test_measures_leave_out_silent_windows(model, piece):
    states = piece[0].states
    rest = np.full((STEPS, 4), HOLD, dtype=np.uint8)
    rest[0] = SILENT
    np.testing.assert_allclose(measured(model, np.concatenate([states, rest, rest])), measured(model, states))
    np.testing.assert_allclose(measured(model, states[: 5 * STEPS + 8]), measured(model, states[: 5 * STEPS]))


@pytest.mark.parametrize(
    "wish", [{"density": 0.8}, {"density": -1.0}, {"duration": 1.0}, {"density": 0.5, "duration": -0.5}]
)
def test_the_loop_meets_the_wish_and_keeps_the_rest(model, piece, wish):
    song, codes = piece
    base = measured(model, song.states)
    z, report = calibrated(model, song, codes, Wish(wish), render)
    change = dict(zip(("density", "duration"), measured(model, render(z[None])[0]) - base))
    for name, steps in wish.items():
        assert report["reached"][name] == pytest.approx(change[name], abs=1e-3)
        assert change[name] == pytest.approx(steps, abs=0.2)
    for name, off in report["others"].items():
        assert abs(off) == pytest.approx(abs(change[name]), abs=1e-3) and abs(off) <= 0.45
    shift = (z - codes.z)[:, 2:4]
    np.testing.assert_allclose(shift, np.tile(shift[:1], (16, 1)))  # all windows alike
    assert report["chroma"] == 1 and 0 < report["cells"] < 0.5


def test_the_loop_is_nearer_than_the_open_shift(model, piece):
    wish = Wish({"duration": 1.0})
    _, report = calibrated(model, *piece, wish, render)
    plain = measured(model, render(moved(model, piece[1].z, wish)[None])[0]) - measured(model, piece[0].states)
    assert report["open"]["duration"] == pytest.approx(plain[1], abs=1e-3)
    assert abs(report["others"]["density"]) < abs(plain[0]) - 0.1  # less is changed that shall stay
    assert abs(report["reached"]["duration"] - 1) <= sliders.NEAR and report["short"] == []
    assert report["tried"] < 30


def test_strength_in_the_loop(model, piece):
    strength = np.repeat([0.0, 1.0], 8)
    z, _ = calibrated(model, *piece, Wish({"density": 0.4}), render, strength=strength)
    shift = (z - piece[1].z)[:, 2]
    assert shift[:6] == pytest.approx(np.zeros(6)) and (np.diff(shift[5:]) >= -1e-12).all() and shift[-1] > 0


def test_a_genre_alone_and_an_empty_wish(model, piece):
    z, report = calibrated(model, *piece, Wish(genre={"dub": 0.5}), render)
    np.testing.assert_allclose(z, moved(model, piece[1].z, Wish(genre={"dub": 0.5})))
    assert report["genre"]["dub"]["asked"] == 0.5 and set(report["others"]) == {"density", "duration"}
    z, report = calibrated(model, *piece, Wish(), render)
    np.testing.assert_array_equal(z, piece[1].z)
    assert report["cells"] == 0


def test_who_gets_less_than_half_is_told(model, piece):
    stubborn = np.array(piece[0].states)
    _, report = calibrated(model, *piece, Wish({"density": 1.0}), lambda zs: np.stack([stubborn] * len(zs)))
    assert report["short"] == ["density"] and report["reached"]["density"] == 0
    silent = np.full_like(stubborn, HOLD)
    silent[0] = SILENT
    song = SimpleNamespace(states=silent)
    _, report = calibrated(model, song, piece[1], Wish({"density": 1.0}), lambda zs: np.stack([silent] * len(zs)))
    assert report["chroma"] == 1.0  # nothing sounds, nothing is lost


def test_duration_takes_along_what_it_is_tied_to():
    knots = np.tile(np.exp(0.5 * NormalScale.places())[:, None], 6)  # each step multiplies by e to the half
    six = SimpleNamespace(
        name="six", config=SimpleNamespace(attributes=6), prior=Gaussian(9), tags=[], scale=NormalScale(knots)
    )
    assert sliders.natural(six, {"density": 1.0}).tolist() == [1, 0, 0, 0, 0, 0]
    np.testing.assert_allclose(sliders.natural(six, {"duration": 1.0}), [-0.5, 1, 0, 0, 0, 0.5])
    np.testing.assert_allclose(sliders.natural(six, {"duration": 1.0, "voices": 0.0}), [-1, 1, 0, 0, 0, 0])
    np.testing.assert_allclose(sliders.natural(six, {"duration": 1.0, "density": 1.0}), [1, 1, 0, 0, 0, 2])
    all_ = {"duration": 1.0, "density": 1.0, "voices": 0.0}
    np.testing.assert_allclose(sliders.natural(six, all_), [1, 1, 0, 0, 0, 0])
    z = np.random.default_rng(0).standard_normal((4, 9))
    found = sliders.placed(six, z, "duration", 1.5)
    np.testing.assert_allclose(found[:, 3], 1.5)
    np.testing.assert_allclose((found - z)[:, 2], -0.5 * (1.5 - z[:, 3]))
    np.testing.assert_allclose(found[:, [0, 1, 4, 5, 6, 8]], z[:, [0, 1, 4, 5, 6, 8]])
    np.testing.assert_allclose(
        moved(six, z, Wish({"duration": -1}))[:, 2:8] - z[:, 2:8], [[0.5, -1, 0, 0, 0, -0.5]] * 4
    )


def test_gains_lengthen_a_step(model, piece):
    eager = SimpleNamespace(**{**vars(model), "gains": {"density": 3.0}})
    z = piece[1].z
    np.testing.assert_allclose((moved(eager, z, Wish({"density": 1}))[:, 2] - z[:, 2]) / 0.001**0.5, 3.0)
    np.testing.assert_allclose(sliders.placed(eager, z, "density", -1.0)[:, 2] / 0.001**0.5, -3.0)
    np.testing.assert_allclose(sliders.placed(eager, z, "duration", 0.5)[:, 3] / 0.001**0.5, 0.5)
