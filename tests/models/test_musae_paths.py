"""Ways through the latent space by hand."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import ParameterError
from spartito.models.musae_paths import PATHS, path, towards
from spartito.models.musae_prior import Flower

SHARES = [0.0, 0.25, 0.5, 1.0]


@pytest.mark.parametrize("kind", PATHS)
def test_share_0_is_the_first_and_1_the_second(kind):
    first, second = np.random.default_rng(0).standard_normal((2, 5, 7))
    found = path(first, second, SHARES, kind=kind)
    assert found.shape == (4, 5, 7)
    np.testing.assert_allclose(found[0], first, atol=1e-12)
    np.testing.assert_allclose(found[-1], second, atol=1e-12)
    np.testing.assert_allclose(path(first[0], second[0], SHARES, kind=kind), found[:, 0])


def test_linear_by_hand():
    assert path([0.0, 4.0], [4.0, 0.0], SHARES)[1].tolist() == [1, 3]


def test_spherical_keeps_the_length():
    found = path([2.0, 0, 0], [0, 2.0, 0], SHARES, kind="spherical")
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 2)
    np.testing.assert_allclose(found[2], [2**0.5, 2**0.5, 0])
    same = path([1.0, 1, 0], [3.0, 3, 0], [0.5], kind="spherical")
    np.testing.assert_allclose(same[0], [2, 2, 0])


def test_petals_go_round_the_shorter_way():
    degrees = np.deg2rad([170, -170])
    first, second = ([np.cos(d), np.sin(d), i] for i, d in enumerate(degrees))
    found = path(first, second, [0.5], kind="petals")[0]
    np.testing.assert_allclose(found, [-1, 0, 0.5], atol=1e-12)
    straight = path([1.0, 0, 0], [-1.0, 1e-9, 0], [0.5])[0]
    assert np.hypot(*straight[:2]) < 1e-6  # what petals avoid
    assert np.hypot(*path([1.0, 0, 0], [-1.0, 1e-9, 0], [0.5], kind="petals")[0][:2]) == pytest.approx(1)


def test_towards_a_petal():
    flower = Flower(4, 8)
    z = np.array([[1.2, 0, 0.3, -0.3], [0.0, 0.0, 0.1, 0.1]])
    half, full = towards(z, flower, 2, strength=0.5), towards(z, flower, 2)
    np.testing.assert_allclose(full[0], [0, 1.2, 0.3, -0.3], atol=1e-12)
    np.testing.assert_allclose(half[0, :2], 1.2 * np.array([0.5**0.5, 0.5**0.5]))
    assert full[1, 1] == pytest.approx(1 - 0.9487, abs=1e-3)  # pushed out of the centre
    np.testing.assert_allclose(towards(z, flower, 2, strength=0.0), z, atol=1e-12)
    each = towards(z, flower, 2, strength=np.array([0.5, 0.0]))
    np.testing.assert_allclose(each, [half[0], z[1]], atol=1e-12)
    with pytest.raises(ParameterError):
        towards(z, flower, 2, strength=2)
    with pytest.raises(ParameterError):
        path(z, z[:1], SHARES)
    with pytest.raises(ParameterError):
        path(z, z, SHARES, kind="zigzag")


def test_towards_several_petals():
    flower = Flower(3, 4)  # at 0, 90, 180, 270 degrees
    z = np.array([[0.0, -2.0, 5.0]])
    np.testing.assert_allclose(towards(z, flower, {0: 0.2, 1: 0.6}), [[0.5, 1.5, 5.0]], atol=1e-12)
    np.testing.assert_allclose(towards(z, flower, {1: 3.0, 2: 0.0}), towards(z, flower, 1))
    with pytest.raises(ParameterError):
        towards(z, flower, {0: 0.0})
