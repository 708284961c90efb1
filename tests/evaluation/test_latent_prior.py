"""How far codes are from a prior, and what two dimensions move, on codes whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.evaluation.latent_prior import dimensions_used, mmd, prior_match, share_moved, sliced_wasserstein
from spartito.models.musae_prior import Flower, Gaussian


def test_distances_of_codes():
    random = np.random.default_rng(0)
    a, b = random.standard_normal((2, 400, 5))
    assert sliced_wasserstein(a, a) == 0 and sliced_wasserstein(a, b) < 0.15
    assert sliced_wasserstein(a, b + 1) > 2 * sliced_wasserstein(a, b)
    assert abs(mmd(a, b)) < 0.01 < mmd(a, b + 1)


def test_mmd_by_hand():
    # one dimension, kernel 2 / (2 + d^2): within a 2/3 (points 0, 1), within b 1 (points 0, 0), across 1, 1, 2/3, 2/3
    a, b = np.array([[0.0], [1.0]]), np.array([[0.0], [0.0]])
    assert mmd(a, b) == pytest.approx(2 / 3 + 1 - 2 * (5 / 6))


def test_codes_that_follow_the_prior_and_others():
    random = np.random.default_rng(1)
    found = prior_match(random.standard_normal((900, 6)))
    assert found["code_mean"] < 0.08 and found["code_deviation"] == pytest.approx(1, abs=0.05)
    assert found["sliced_wasserstein"] < 1.5 * found["sliced_wasserstein_of_prior"]
    assert abs(found["mmd"]) < 0.005
    far = prior_match(0.2 * random.standard_normal((900, 6)) + [3, 0, 0, 0, 0, 0])
    assert far["means"][0] == pytest.approx(3, abs=0.05) and far["deviations"][1] == pytest.approx(0.2, abs=0.02)
    assert far["sliced_wasserstein"] > 10 * far["sliced_wasserstein_of_prior"] and far["mmd"] > 0.1


def test_dimensions_that_say_the_same_count_once():
    x = np.array([1.0, -1, 1, -1]), np.array([1.0, 1, -1, -1])
    assert dimensions_used(np.column_stack([x[0], 3 * x[0], -x[0]])) == pytest.approx(1)
    assert dimensions_used(np.column_stack([x[0], x[1], 0 * x[0]])) == pytest.approx(2)
    assert dimensions_used(np.column_stack([x[0], x[1], x[1]])) == pytest.approx(9 / 5)


def decoder(*dimensions):
    """Windows of two steps and four tracks: the first steps say whether codes are positive in `dimensions`."""

    def decode(z):
        states = np.full((len(z), 2, 4), 129)
        states[:, 0, : len(dimensions)] = z[:, dimensions] > 0
        return states

    return decode


def test_what_two_dimensions_move():
    flower = Flower(6, count=2)  # petals to the right and to the left
    z = np.column_stack([np.tile([1.0, -1.0], 20), np.zeros((40, 1)), np.tile([2.0, 1, -1, -2], (40, 1))])
    deaf, hears = share_moved(decoder(2, 3), z, flower), share_moved(decoder(0, 3), z, flower)
    assert deaf["to_petals"] == deaf["exchanged"] == 0
    assert hears["to_petals"] == pytest.approx(1 / 8)  # one cell of eight
    assert 0 < hears["exchanged"] < 1 / 8 and hears["others_exchanged"] == 0
    gaussian = share_moved(decoder(0), z, Gaussian(6))
    assert "to_petals" not in gaussian and gaussian["exchanged"] > 0
