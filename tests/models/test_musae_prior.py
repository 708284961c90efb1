"""The flower of genres: mean and covariance by hand and drawn, whitening, and the order on the circle."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import ParameterError
from spartito.models.musae_prior import (
    FAMILIES,
    Flower,
    Gaussian,
    circular_order,
    cooccurrence,
    family_order,
    prior_from_dict,
    similarity,
)

EIGHTH = [[0.0505, 0.0495], [0.0495, 0.0505]]  # at 45 degrees
BY_HAND = {0: ([1, 0], [[0.1, 0], [0, 0.001]]), 4: ([0.5**0.5, 0.5**0.5], EIGHTH), 8: ([0, 1], [[0.001, 0], [0, 0.1]])}


def even_noise(n: int, latent: int) -> np.ndarray:
    """Noise whose mean is exactly 0 and whose covariance is exactly I."""
    noise = np.random.default_rng(0).standard_normal((n, latent))
    noise -= noise.mean(axis=0)
    return noise @ np.linalg.inv(np.linalg.cholesky(np.cov(noise.T, bias=True))).T


@pytest.mark.parametrize("component", [0, 4, 8])
def test_mean_and_covariance_of_a_petal(component):
    flower, (mean, covariance) = Flower(6, 32), BY_HAND[component]
    np.testing.assert_allclose(flower.mean(component), [*mean, 0, 0, 0, 0], atol=1e-12)
    expected = 0.001 * np.eye(6)
    expected[:2, :2] = covariance
    np.testing.assert_allclose(flower.covariance(component), expected, atol=1e-12)
    drawn = flower.from_noise(even_noise(2000, 6), np.full(2000, component))
    np.testing.assert_allclose(drawn.mean(axis=0), flower.mean(component), atol=5e-4)
    np.testing.assert_allclose(np.cov(drawn.T, bias=True), expected, atol=5e-4)


def test_samples_are_random_and_of_their_components():
    flower = Flower(5, 8)
    component = np.repeat([0, 2, 8], 4000)
    drawn = flower.sample(component, np.random.default_rng(1))
    assert drawn.dtype == np.float32
    for i in (0, 2, 8):
        of = drawn[component == i]
        np.testing.assert_allclose(of.mean(axis=0), flower.mean(i), atol=0.02)
        np.testing.assert_allclose(np.cov(of.T), flower.covariance(i), atol=0.01)


def test_the_centre():
    flower = Flower(4, 32)
    assert not flower.mean(32).any()
    np.testing.assert_allclose(np.diag(flower.covariance(32)), [0.05, 0.05, 0.001, 0.001])
    drawn = flower.from_noise(even_noise(1000, 4), np.full(1000, 32))
    np.testing.assert_allclose(np.cov(drawn.T, bias=True), flower.covariance(32), atol=1e-9)


def test_neighbours_are_six_deviations_apart():
    flower = Flower(3, 32)
    assert np.linalg.norm(flower.mean(0) - flower.mean(1)) == pytest.approx(0.196, abs=5e-4)
    assert np.linalg.norm(flower.mean(0) - flower.mean(1)) / flower.deviations()[1] == pytest.approx(6.2, abs=0.01)


@pytest.mark.parametrize("prior", [Gaussian(5), Gaussian(5, 0.001), Flower(5, 7)])
def test_whitening_takes_drawing_back(prior):
    noise = np.random.default_rng(2).standard_normal((16, 5))
    component = np.arange(16) % 8
    np.testing.assert_allclose(prior.whitened(prior.from_noise(noise, component), component), noise, atol=1e-10)
    assert prior_from_dict(prior.to_dict()) == prior
    np.testing.assert_allclose(np.sort(prior.deviations() ** 2), np.sort(np.linalg.eigvalsh(prior.covariance(3))))


def test_torch_draws_the_same():
    torch = pytest.importorskip("torch")
    component = torch.tensor([0, 3, 7])
    for prior in (Gaussian(4, 0.5), Flower(4, 7)):
        noise = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
        drawn = prior.sample_torch(component, generator=torch.Generator().manual_seed(0))
        expected = prior.from_noise(noise.numpy().astype(float), component.numpy())
        np.testing.assert_allclose(drawn.numpy(), expected, atol=1e-6)
        np.testing.assert_allclose(prior.whitened(drawn, component).numpy(), noise.numpy(), atol=1e-4)


def test_bad_priors():
    with pytest.raises(ParameterError):
        Flower(1)
    with pytest.raises(ParameterError):
        prior_from_dict({"kind": "cube"})


# -- order ----------------------------------------------------------------------------------------------------------


def round_trip(n: int, block: int) -> np.ndarray:
    """Similarity of n genres on a circle in blocks: alike within a block, less from block to block."""
    place = np.arange(n)
    apart = np.abs(place[:, None] - place[None, :])
    apart = np.minimum(apart, n - apart)
    same = (place[:, None] // block) == (place[None, :] // block)
    return np.exp(-apart / 3.0) + 0.2 * same


@pytest.mark.parametrize(("n", "block"), [(8, 1), (12, 3), (32, 4)])
def test_the_order_on_the_circle_is_found_again(n, block):
    shuffled = np.random.default_rng(n).permutation(n)
    similar = round_trip(n, block)[np.ix_(shuffled, shuffled)]
    found = shuffled[circular_order(similar)]  # true places in the order found
    step = np.diff(np.append(found, found[0])) % n
    assert set(step.tolist()) in ({1}, {n - 1})  # up to rotation and reflection


def test_order_does_not_depend_on_direction_and_begins_with_the_first():
    similar = round_trip(10, 2)
    assert circular_order(similar).tolist() == list(range(10))
    assert circular_order(np.eye(3)).tolist() == [0, 1, 2]
    with pytest.raises(ParameterError):
        circular_order(np.array([[1, 0.5], [0.1, 1]]))


def test_cooccurrence_and_similarity_by_hand():
    counts = cooccurrence(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 0]], dtype=bool))
    assert counts.tolist() == [[3, 2, 0], [2, 2, 0], [0, 0, 1]]
    cosine = similarity(counts)
    assert cosine[0, 1] == pytest.approx(10 / (13 * 8) ** 0.5) and cosine[0, 2] == 0 and cosine[2, 2] == 1
    ppmi = similarity(counts, measure="ppmi")
    assert ppmi[0, 1] == 1.0 and ppmi[0, 2] == 0  # the only pair that occurs together
    assert similarity(np.zeros((2, 2))).tolist() == [[0, 0], [0, 0]]
    with pytest.raises(ParameterError):
        similarity(counts, measure="jaccard")


def test_families():
    assert len(FAMILIES) == 12
    assert family_order(["rock/metal", "jazz", "classical", "jazz"]).tolist() == [2, 1, 3, 0]
    with pytest.raises(ParameterError):
        family_order(["polka"])
