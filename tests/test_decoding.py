"""The published decoding rules against literal scans over frames, and the cases that broke the originals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from spartito.decoding import decode_jongwook, decode_onsets_frames, jongwook_intervals, viterbi_frames
from spartito.errors import ParameterError

HOP = 0.032
KEYS = 88


def maps(frames=8):
    return np.zeros((frames, KEYS)), np.zeros((frames, KEYS)), np.zeros((frames, KEYS))


def random_maps(seed, frames=60):
    """Probabilities in runs, so that notes of several frames, repeats and bare frames all occur."""
    rng = np.random.default_rng(seed)
    smooth = np.ones(3) / 3

    def one():
        noise = rng.random((frames, KEYS))
        return np.apply_along_axis(np.convolve, 0, noise, smooth, mode="same")

    return one(), one(), rng.normal(0.5, 0.5, (frames, KEYS)), one()


def scan(onset, frame, velocity, offset=None):
    """The reference rule, word for word, one cell after another."""
    struck, sounding = onset > 0.5, (frame > 0.5) | (onset > 0.5)
    if offset is not None:
        sounding = sounding & ~(offset > 0.5)
    sounding = np.vstack([sounding, np.zeros((1, KEYS), dtype=bool)])
    struck = np.vstack([struck, np.zeros((1, KEYS), dtype=bool)])
    notes = []
    for key in range(KEYS):
        begun = None
        for i in range(len(sounding)):
            if begun is None:
                if sounding[i, key] and struck[i, key]:
                    begun = i
            elif not sounding[i, key]:
                notes.append((begun, i, key))
                begun = None
            elif struck[i, key] and not struck[i - 1, key]:
                notes.append((begun, i, key))
                begun = i
    rows = [(a, b, k, int(80 * min(max(velocity[a, k], 0), 1) + 10)) for a, b, k in notes]
    return sorted(rows, key=lambda row: (row[0], row[2]))


def rows_of(notes):
    frames = np.rint(np.column_stack([notes.onset, notes.offset]) / HOP).astype(int)
    return [(a, b, p - 21, v) for (a, b), p, v in zip(frames.tolist(), notes.pitch, notes.velocity)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("with_offset", [False, True])
def test_reference_rule_equals_a_literal_scan(seed, with_offset):
    onset, frame, velocity, offset = random_maps(seed)
    offset = offset if with_offset else None
    found = rows_of(decode_onsets_frames(onset, frame, velocity, offset=offset))
    assert found == scan(onset, frame, velocity, offset)
    assert len(found) > 100


def test_hand_made_notes():
    onset, frame, velocity = maps()
    onset[1:3, 39], frame[1:5, 39], velocity[1, 39] = 0.9, 0.9, 0.5  # middle C, frames 1..4
    frame[2:6, 40] = 0.9  # a frame without onset is no note
    notes = decode_onsets_frames(onset, frame, velocity)
    assert len(notes) == 1
    assert notes.pitch[0] == 60 and notes.velocity[0] == 50
    np.testing.assert_allclose([notes.onset[0], notes.offset[0]], [1 * HOP, 5 * HOP])
    assert notes.array["confidence"][0] == pytest.approx(0.9)
    shifted = decode_onsets_frames(onset, frame, velocity, half_frame_shift=True)
    np.testing.assert_allclose([shifted.onset[0], shifted.offset[0]], [1.5 * HOP, 5.5 * HOP])


def test_key_struck_again_without_a_gap_gives_two_notes():
    onset, frame, velocity = maps()
    onset[[1, 4], 39], frame[1:7, 39] = 0.9, 0.9
    assert rows_of(decode_onsets_frames(onset, frame, velocity)) == [(1, 4, 39, 10), (4, 7, 39, 10)]
    # jongwook's rule lets the first one run on: the reason why it is not the default
    assert rows_of(decode_jongwook(onset, frame, velocity)) == [(1, 7, 39, 1), (4, 7, 39, 1)]


def test_notes_at_both_ends_of_the_recording():
    onset, frame, velocity = maps(4)
    onset[0, 0] = frame[0:2, 0] = onset[3, 87] = 0.9
    assert [row[:3] for row in rows_of(decode_onsets_frames(onset, frame, velocity))] == [
        (0, 2, 0),
        (3, 4, 87),
    ]
    assert len(decode_onsets_frames(*(np.zeros((0, KEYS)) for _ in range(3)))) == 0
    assert len(decode_jongwook(*(np.zeros((5, KEYS)) for _ in range(3)))) == 0


@pytest.mark.parametrize("decode", [decode_onsets_frames, decode_jongwook])
@pytest.mark.parametrize("value", [-3.0, np.nan, 0.0, 0.5, 1.0, 7.0, np.inf, -np.inf])
def test_velocity_is_always_1_to_127(decode, value):
    onset, frame, velocity = maps()
    onset[2, 10] = frame[2:4, 10] = 0.9
    velocity[:] = value
    notes = decode(onset, frame, velocity)
    assert len(notes) == 1 and 1 <= notes.velocity[0] <= 127
    if decode is decode_onsets_frames:
        assert notes.velocity[0] == {0.5: 50, 1.0: 90, 7.0: 90, np.inf: 90}.get(value, 10)


def test_no_velocity_head():
    onset, frame, _ = maps()
    onset[2, 10] = frame[2:4, 10] = 0.9
    assert decode_onsets_frames(onset, frame).velocity.tolist() == [64]


@pytest.mark.parametrize("seed", range(3))
def test_jongwook_rule_equals_a_literal_scan(seed):
    onset, frame, velocity, _ = random_maps(seed)
    struck, sounding = onset > 0.5, (frame > 0.5) | (onset > 0.5)
    expected = []
    for i, key in itertools.product(range(len(onset)), range(KEYS)):
        if struck[i, key] and not (i and struck[i - 1, key]):
            after, heard = i, []
            while after < len(onset) and sounding[after, key]:
                if struck[after, key]:
                    heard.append(velocity[after, key])
                after += 1
            expected.append((key, i, after, np.mean(heard)))
    keys, intervals, loudness = jongwook_intervals(onset, frame, velocity)
    assert len(keys) == len(expected) > 100
    np.testing.assert_array_equal(keys, [row[0] for row in expected])
    np.testing.assert_array_equal(intervals, [row[1:3] for row in expected])
    np.testing.assert_allclose(loudness, [row[3] for row in expected], rtol=0, atol=1e-12)


def test_jongwook_velocity_is_the_mean_over_onset_frames():
    onset, frame, velocity = maps()
    onset[1:3, 5], frame[1:6, 5] = 0.9, 0.9
    velocity[1:6, 5] = [0.2, 0.4, 1.0, 1.0, 1.0]
    assert decode_jongwook(onset, frame, velocity).velocity.tolist() == [int(127 * 0.3)]


def test_viterbi_takes_the_cheapest_of_all_paths():
    rng = np.random.default_rng(5)
    onset, frame = rng.random((7, KEYS)), rng.random((7, KEYS))
    found = viterbi_frames(onset, frame, alpha=0.4)
    for key in (0, 40, 87):
        o, f = onset[:, key], frame[:, key]

        def cost(path, o=o, f=f):
            total = 0.0
            for i, on in enumerate(path):
                begins = on and not (i and path[i - 1])
                total -= 0.6 * np.log(f[i] if on else 1 - f[i])
                total -= 0.4 * np.log(o[i] if begins else 1 - o[i])
            return total

        best = min(itertools.product([0, 1], repeat=7), key=cost)
        assert found[:, key].tolist() == list(map(bool, best))


def test_viterbi_bridges_a_short_dip():
    onset, frame, velocity = maps(10)
    onset += 0.01
    frame += 0.05
    onset[1, 39], frame[1:9, 39], frame[4, 39] = 0.95, 0.9, 0.4
    assert [r[:2] for r in rows_of(decode_onsets_frames(onset, frame, velocity))] == [(1, 4)]
    bridged = decode_onsets_frames(onset, frame, velocity, frames="viterbi")
    assert [r[:2] for r in rows_of(bridged)] == [(1, 9)]


def test_wrong_maps_are_refused():
    with pytest.raises(ParameterError, match=r"\(frames, 88\)"):
        decode_onsets_frames(np.zeros((4, 87)), np.zeros((4, 87)))
    with pytest.raises(ParameterError):
        decode_onsets_frames(np.zeros((4, KEYS)), np.zeros((5, KEYS)))
    with pytest.raises(ParameterError, match="viterbi"):
        decode_onsets_frames(np.zeros((4, KEYS)), np.zeros((4, KEYS)), frames="median")
