"""Two genres side by side: principal components, t-SNE and a line between them, on points whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import ParameterError
from spartito.evaluation.latent_pairs import (
    _squares,
    affinities,
    choose,
    divergence_slope,
    folds,
    genre_pairs,
    logistic,
    neighbour_map,
    principal,
    recognised,
    separability,
)


def points(seed=0, n=40, d=6):
    return np.random.default_rng(seed).standard_normal((n, d))


def test_principal_components_of_a_tilted_ellipse():
    t = np.arange(-10, 11.0)
    x = np.array([1, 2, 3]) + np.column_stack([3 * t, 4 * t, np.zeros(21)])
    found = principal(x)
    np.testing.assert_allclose(found[:, 0], 5 * t, atol=1e-9)
    np.testing.assert_allclose(found[:, 1], 0, atol=1e-9)


def test_affinities_have_the_perplexity_asked_for():
    x = points()
    joint = affinities(x, perplexity=8)
    assert joint.sum() == pytest.approx(1) and (joint == joint.T).all() and (np.diag(joint) == 0).all()
    # four points on a square: by symmetry each has its two neighbours and the far corner, whatever the width
    square = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]])
    joint = affinities(square, perplexity=2.0 + 1e-6)
    near, far = 4 * joint[0, 1], 4 * joint[0, 3]
    assert 2 * near + far == pytest.approx(1) and near > far
    assert np.exp(-2 * near * np.log(near) - far * np.log(far)) == pytest.approx(2, abs=1e-3)


def test_slope_of_the_divergence_is_its_derivative():
    joint = affinities(points(n=9), perplexity=3)
    places = points(1, n=9, d=2)

    def divergence(y):
        near = 1 / (1 + _squares(y))
        np.fill_diagonal(near, 0)
        off = ~np.eye(9, dtype=bool)
        return (joint[off] * np.log(joint[off] / (near / near.sum())[off])).sum()

    slope, move = divergence_slope(joint, places), 1e-6
    for i, j in ((0, 0), (4, 1), (8, 0)):
        ahead, behind = places.copy(), places.copy()
        ahead[i, j] += move
        behind[i, j] -= move
        assert slope[i, j] == pytest.approx((divergence(ahead) - divergence(behind)) / (2 * move), abs=1e-7)


def test_the_map_keeps_clusters_apart():
    x = np.concatenate([points(0, 30), points(1, 30) + 12, points(2, 30) - 12])
    kind = np.repeat(np.arange(3), 30)
    found = neighbour_map(x, perplexity=10, steps=400)
    apart = _squares(found)
    np.fill_diagonal(apart, np.inf)
    assert (kind[apart.argmin(axis=1)] == kind).all()
    centres = np.stack([found[kind == k].mean(axis=0) for k in range(3)])
    spread = max(np.linalg.norm(found[kind == k] - centres[k], axis=1).mean() for k in range(3))
    assert np.sqrt(_squares(centres)[np.triu_indices(3, 1)]).min() > 2 * spread
    np.testing.assert_array_equal(found, neighbour_map(x, perplexity=10, steps=400))


def test_logistic_regression_by_hand():
    # one feature, -1 for the first and 1 for the second: the bias is 0, and the weight solves w = 2 / (1 + exp(w))
    x, second = np.array([[-1.0], [1.0]]), np.array([False, True])
    bias, weight = logistic(x, second)
    assert bias == pytest.approx(0, abs=1e-6) and weight * (1 + np.exp(weight)) == pytest.approx(2)
    # a genre with more windows pulls no harder
    many = logistic(np.repeat(x, [9, 1], axis=0), np.repeat(second, [9, 1]), ridge=1e-3)
    assert many[0] == pytest.approx(0, abs=1e-6)


def test_songs_lie_in_one_fold_each():
    songs = np.repeat(np.arange(17), np.arange(1, 18))
    second = songs % 2 == 0
    fold = folds(songs, second)
    assert set(fold) == set(range(5))
    for song in range(17):
        assert len(set(fold[songs == song])) == 1
    assert np.bincount(fold[second]).max() - np.bincount(fold[second]).min() <= 10
    assert set(folds(np.array([0, 0, 1, 2, 3]), np.array([0, 0, 0, 1, 1], dtype=bool))) == {
        0,
        1,
    }  # few songs, few folds


def test_what_belongs_to_songs_alone_does_not_count():
    random = np.random.default_rng(3)
    songs = np.repeat(np.arange(60), 6)
    second = songs % 2 == 1
    of_song = random.standard_normal((60, 30))[songs] + 0.01 * random.standard_normal((360, 30))
    assert separability(of_song, second, songs) == pytest.approx(0.5, abs=0.2)
    assert separability(of_song, second, np.arange(360)) > 0.8  # a song on both sides: it looks known
    assert separability(of_song + 3 * second[:, None], second, songs) > 0.95
    with pytest.raises(ParameterError, match="one song"):
        separability(of_song[:12], second[:12], songs[:12])


def test_windows_are_taken_from_all_songs():
    songs = np.repeat(["a", "b", "c"], [100, 3, 2])
    among = np.ones(105, dtype=bool)
    among[104] = False
    rows = choose(among, songs, 9, np.random.default_rng(0))
    assert len(np.unique(rows)) == 9 and 104 not in rows
    assert [int((songs[rows] == s).sum()) for s in "abc"] == [5, 3, 1]
    assert len(choose(~among & False, songs, 9, np.random.default_rng(0))) == 0


def test_pairs_of_genres():
    random = np.random.default_rng(4)
    songs = np.repeat(np.arange(30), 8)
    tags = np.zeros((240, 4), dtype=bool)
    tags[np.arange(240), songs % 3] = True
    tags[songs == 0, 1] = True  # has both tags of the first pair: in neither
    tags[songs == 29, 3] = True  # one song alone: no pair
    codes = random.standard_normal((240, 5))
    codes[:, 0] += 6 * (songs % 3 == 1)
    features = np.full((240, 3), np.nan)
    features[:, 0] = random.standard_normal(240)
    pairs = genre_pairs(codes, features, tags, songs, ["pop", "jazz", "rock", "polka"], windows=24)
    assert [p.names for p in pairs] == [("pop", "jazz"), ("pop", "rock"), ("jazz", "rock")]
    first = pairs[0].figures
    assert first["code"] > 0.9 and first["first_two"] > 0.9 and first["features"] < 0.75
    assert pairs[1].figures["first_two"] < 0.75 and first["songs_first"] == 9 and first["windows_second"] == 24
    assert 0 not in songs[pairs[0].rows] and pairs[0].map.shape == pairs[0].plane.shape == (48, 2)


def test_a_listener_knows_genres_and_what_is_like_them():
    random = np.random.default_rng(5)
    songs = np.repeat(np.arange(30), 4)
    genre = songs % 3
    features = np.column_stack([random.standard_normal((120, 2)), np.full(120, np.nan)])
    features[:, 0] += 8 * genre
    drawn = np.array([[8.0, 0, 0], [16, 0, np.nan], [0, 0, 0], [16, 0, 0]])
    found = recognised(features, genre, songs, {"drawn": (drawn, np.array([1, 2, 0, 1]))})
    assert found["real"] > 0.9 and found["drawn"] == pytest.approx((1 + 0.5 + 1) / 3)
    with pytest.raises(ParameterError, match="two songs"):
        recognised(features, genre, songs * 0, {})
