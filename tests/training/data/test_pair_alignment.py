import numpy as np
import pytest

from pair_files import heard, music, played
from spartito.training.data import pair_alignment
from spartito.training.data.pair_alignment import Alignment, align, find_transposition, warping_path
from spartito.training.data.pair_features import Features, features_of_notes, features_of_sound

A, B, C, D, E = range(5)


def frames(*numbers) -> Features:
    """Frames that are alike when their numbers are equal (cost 0) and not else (cost 1)."""
    none = np.zeros((len(numbers), 12), dtype=np.float32)
    return Features(np.eye(13, dtype=np.float32)[list(numbers)], none, none)


def path_of(song: Features, cover: Features):
    return warping_path(song, cover, np.zeros(len(song), dtype=int), np.full(len(song), len(cover)))


def plain_cost(song: Features, cover: Features) -> float:
    """The same by two loops over all cells."""
    cost = 1 - song.chroma @ cover.chroma.T
    cost += 0.5 * pair_alignment.ONSET_WEIGHT * ((song.onsets[:, None] - cover.onsets[None]) ** 2).sum(axis=2)
    n, m = cost.shape
    total = np.full((n, m), np.inf)
    total[0, 0] = 2 * cost[0, 0]
    for i in range(n):
        for j in range(m):
            side = 1.5 * cost[i, j] + pair_alignment.INERTIA
            if i:
                total[i, j] = min(total[i, j], total[i - 1, j] + (0.7 if j in (0, m - 1) else side))
            if j:
                total[i, j] = min(total[i, j], total[i, j - 1] + (0.7 if i in (0, n - 1) else side))
            if i and j:
                total[i, j] = min(total[i, j], total[i - 1, j - 1] + 2 * cost[i, j])
    return float(total[-1, -1])


def test_the_same_music_is_the_diagonal():
    path, cost = path_of(frames(A, B, C), frames(A, B, C))
    assert path.tolist() == [[0, 0], [1, 1], [2, 2]] and cost == pytest.approx(0.0, abs=1e-6)


def test_a_longer_introduction_is_skipped_along_the_edge():
    path, cost = path_of(frames(A, B, C), frames(E, E, A, B, C))
    assert path.tolist() == [[0, 0], [0, 1], [0, 2], [1, 3], [2, 4]]
    assert cost == pytest.approx(
        2 * 1.0 + 2 * 0.7
    )  # the corner, where an E stands against an A, and two frames skipped
    path, cost = path_of(frames(E, E, A, B, C), frames(A, B, C))
    assert path.tolist() == [[0, 0], [1, 0], [2, 0], [3, 1], [4, 2]] and cost == pytest.approx(3.4)


def test_a_held_chord_is_a_step_sideways():
    """B lasts three frames longer in the cover. Sideways 3 x (0 + 1), cheaper than going wrong."""
    song, cover = frames(A, C, D, B, E, A, D, C), frames(A, C, D, B, B, B, B, E, A, D, C)
    path, cost = path_of(song, cover)
    assert cost == pytest.approx(min(3 * pair_alignment.INERTIA, 2 * 1 + 3 * 0.7 + 2 * 2), abs=1e-6)
    assert [j for i, j in path.tolist() if i == 3] == [3, 4, 5, 6]


@pytest.mark.parametrize("seed", range(6))
def test_costs_are_those_of_the_plain_recursion(seed):
    rng = np.random.default_rng(seed)
    sides = []
    for length in rng.integers(2, 14, 2):
        chroma = rng.standard_normal((length, 13)).astype(np.float32)
        chroma /= np.linalg.norm(chroma, axis=1, keepdims=True)
        onsets = rng.random((length, 12)).astype(np.float32) * (rng.random((length, 12)) > 0.7)
        sides.append(Features(chroma, onsets, onsets))
    path, cost = path_of(*sides)
    assert cost == pytest.approx(plain_cost(*sides), rel=1e-5)
    steps = np.diff(path, axis=0)
    assert path[0].tolist() == [0, 0] and path[-1].tolist() == [len(side) - 1 for side in sides]
    assert (steps >= 0).all() and (steps <= 1).all() and (steps.sum(axis=1) > 0).all()


def test_a_corridor_around_the_path_changes_nothing():
    song, cover = frames(A, B, C, D, E, A, B), frames(A, B, C, D, E, A, B)
    low = np.maximum(np.arange(7) - 1, 0)
    path, cost = warping_path(song, cover, low, np.minimum(low + 3, 7))
    assert path.tolist() == path_of(song, cover)[0].tolist() and cost == pytest.approx(0.0, abs=1e-6)


def test_a_corridor_holds_its_path_refined():
    path = np.array([[0, 0], [0, 1], [1, 2], [2, 2], [3, 3]])
    rows, columns = 4 * 30, 4 * 30
    low, high = pair_alignment._corridor(path, 30, rows=rows, columns=columns)
    assert (np.diff(low) >= 0).all() and (np.diff(high) >= 0).all()
    assert low[0] == 0 and high[-1] == columns and (low[1:] < high[:-1]).all()
    for i, j in path:
        assert (low[30 * i : 30 * i + 30] <= 30 * j).all() and (high[30 * i : 30 * i + 30] >= 30 * j + 30).all()


@pytest.mark.parametrize("semitones", [-5, 0, 3, 6])
def test_the_key_is_found(semitones):
    notes = music()
    song, cover = features_of_sound(heard(notes)), features_of_notes(played(notes, semitones=-semitones))
    found, clarity = find_transposition(song, cover)
    assert found == semitones and clarity > 0.2


def test_a_cover_that_is_slower_later_and_in_another_key():
    notes = music()
    cover = played(notes, pace=0.8, lead=2.0, semitones=4)
    found = align(features_of_sound(heard(notes)), features_of_notes(cover))
    assert found.transposition == -4
    assert (np.diff(found.cover) > 0).all() and (np.diff(found.song) > 0).all()
    error = found.to_song(cover.onset) - notes.onset
    assert np.median(np.abs(error)) < 0.02 and np.abs(error[8:-8]).max() < 0.08
    np.testing.assert_allclose(found.pace(np.array([10.0, 20.0]), span=8.0), 1.25, atol=0.02)
    assert found.likeness_around(np.array([15.0]), span=20.0)[0] > 0.7


def test_a_song_of_another_composer_is_not_alike():
    right = align(features_of_sound(heard(music())), features_of_notes(music()))
    wrong = align(features_of_sound(heard(music())), features_of_notes(music(1)))
    assert right.likeness.mean() > 0.8 > 0.5 > wrong.likeness.mean()


def test_shortest_inputs():
    found = align(frames(A), frames(A))
    assert found.cover.shape == found.song.shape == found.likeness.shape == (1,)
    assert np.isfinite(align(frames(A, B), frames(E)).to_song(np.array([0.0, 1.0]))).all()


def test_an_alignment_by_hand():
    """The cover's second second takes two of the song."""
    clock = Alignment(0, 1.0, np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 3.0]), np.array([1.0, 1.0, 0.0]))
    assert clock.to_song(np.array([0.0, 1.5, 2.5, 9.0])).tolist() == [0.0, 0.5, 2.0, 3.0]
    assert clock.inside(np.array([0.9, 1.0, 3.0, 3.1])).tolist() == [False, True, True, False]
    assert clock.pace(np.array([0.5, 2.0, 0.0]), span=1.0).tolist() == [1.0, 0.5, 1.0]
    # from 0 to 1.5 s: a second of 1, then a quarter of an area of 1; from 1 to 3 s: that area
    np.testing.assert_allclose(clock.likeness_around(np.array([0.5, 2.0]), span=2.0), [1.25 / 1.5, 0.5])
