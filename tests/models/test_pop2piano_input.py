"""What Pop2Piano hears: the grid, the cuts and the spectrogram, by hand, by definition, and as the port has them."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import AudioError, ParameterError
from spartito.models.pop2piano_input import RATE, continued, half_beats, log_mel, segments


def uneven(count: int, seed: int = 0) -> np.ndarray:
    return 0.3 + np.cumsum(np.random.default_rng(seed).uniform(0.4, 0.6, count))


def hum(seconds: float) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    return (0.2 * np.sin(2 * np.pi * (220 + 40 * t) * t) * (1 + np.sin(7 * t))).astype(np.float32)


# -- the grid -----------------------------------------------------------------------------------------------


def test_half_beats_by_hand():
    grid = half_beats(np.array([1.0, 1.5, 2.5]))
    assert grid.tolist() == [1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 3.5]  # the last interval goes on for a beat
    steps = continued(grid)
    assert len(steps) == len(grid) + 13
    assert steps[:7].tolist() == [0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert np.diff(steps[6:]) == pytest.approx(0.5)


@pytest.mark.parametrize("count, expected", [(2, 1), (3, 1), (4, 2), (7, 2), (8, 3), (12, 4)])
def test_how_many_segments(count, expected):
    song = segments(hum(8.0), 0.5 * np.arange(count))
    assert len(song) == expected == -(-(2 * count + 1) // 8)
    assert len(song.steps) == 2 * count + 1 + 13
    assert song.times == pytest.approx(2.0 * np.arange(expected))


def test_pieces_are_cut_at_truncated_samples_and_padded_with_silence():
    samples = np.ones(4 * RATE, dtype=np.float32)
    song = segments(samples, 0.5 * np.arange(5))  # 11 half beats up to 2.5 s: 2 s, then half a second
    assert song.features.shape == (2, 1 + 44_100 // 1024, 512)
    whole, short = song.features
    assert (short[:9] == whole[:9]).all()  # windows that end before sample 11025
    assert (short[9] != whole[9]).any()
    assert (short[13:] == np.log(np.float32(1e-6))).all()  # heard, not masked


def test_a_cut_needs_float64():
    """A grid in float32 would cut some pieces a sample earlier or later."""
    beats = uneven(200, seed=4)
    steps = continued(half_beats(beats))
    exact, rounded = (steps * RATE).astype(int), (steps.astype(np.float32) * RATE).astype(int)
    assert (exact != rounded).any() and np.abs(exact - rounded).max() == 1
    song = segments(hum(beats[-1]), beats)
    assert song.steps.dtype == np.float64


def test_a_recording_that_ends_early_is_silent_there():
    song = segments(hum(2.0), 0.5 * np.arange(12))
    assert (song.features[2:] == np.log(np.float32(1e-6))).all()


def test_guards():
    with pytest.raises(ParameterError, match="mono"):
        segments(np.zeros((2, RATE)), np.arange(4.0))
    with pytest.raises(ParameterError, match="two beats"):
        segments(hum(1.0), np.array([0.5]))
    with pytest.raises(AudioError, match="do not lie in the recording"):
        segments(hum(1.0), np.array([2.0, 2.5, 3.0]))
    with pytest.raises(AudioError, match="do not lie in the recording"):
        segments(hum(1.0), np.array([-0.5, 0.0, 0.5]))
    with pytest.raises(AudioError, match="do not lie in the recording"):
        segments(hum(1.0), np.array([0.5, 0.5, 0.6]))


# -- the spectrogram ----------------------------------------------------------------------------------------


def test_a_frame_by_definition():
    """Every number of one frame, from the formulas: Hann, Fourier sum, HTK triangles of height 1, logarithm."""
    rng = np.random.default_rng(0)
    piece = (0.1 * rng.standard_normal(6000)).astype(np.float32)
    frame = 2
    n = np.arange(4096)
    reflected = np.abs(np.arange(-2048, 6000 + 2048))  # 2048 ... 1, 0, 1 ...
    reflected = np.where(reflected > 5999, 2 * 5999 - reflected, reflected)
    part = piece[reflected[frame * 1024 : frame * 1024 + 4096]].astype(np.float64)
    part *= 0.5 - 0.5 * np.cos(2 * np.pi * n / 4096)
    power = np.abs(np.exp(-2j * np.pi * np.outer(np.arange(2049), n) / 4096) @ part) ** 2

    def mel(hz):
        return 2595 * np.log10(1 + hz / 700)

    edges = 700 * (10 ** (np.linspace(mel(10.0), mel(11025.0), 514) / 2595) - 1)
    lines = np.arange(2049) * RATE / 4096
    expected = []
    for low, centre, high in zip(edges[:-2], edges[1:-1], edges[2:]):
        weights = np.clip(np.minimum((lines - low) / (centre - low), (high - lines) / (high - centre)), 0, None)
        expected.append(np.log(max(weights @ power, 1e-6)))
    found = log_mel(piece[None])
    assert found.shape == (1, 6, 512) and found.dtype == np.float32
    assert np.abs(found[0, frame] - expected).max() < 1e-5
    assert (found[0, frame] > np.log(1e-6)).all()  # no band is empty


@pytest.fixture
def port():
    """The feature extractor of `transformers` without the parts that need essentia and librosa."""
    pytest.importorskip("transformers", reason="the port is in transformers (extra pop2piano)")
    pytest.importorskip("scipy", reason="the port interpolates with scipy")
    from transformers.models.pop2piano.feature_extraction_pop2piano import Pop2PianoFeatureExtractor

    return Pop2PianoFeatureExtractor()


@pytest.mark.parametrize("beats", [0.5 * np.arange(12), uneven(2), uneven(9, 1), 0.01 + 60 / 97 * np.arange(11)])
def test_as_the_port(port, beats):
    samples = hum(beats[-1] + 0.3)
    grid = port.interpolate_beat_times(beats, 2, 1)
    assert np.array_equal(half_beats(beats), grid)  # to the last bit, or a cut could be lost
    pieces, steps = port.preprocess_mel(samples[int(grid[0] * RATE) : int(grid[-1] * RATE)], grid - grid[0])
    theirs = np.log(np.clip(port.mel_spectrogram(pieces.astype(np.float32)), 1e-6, None)).transpose(0, 2, 1)
    song = segments(samples, beats)
    assert np.array_equal(song.steps, steps)
    assert song.features.shape == theirs.shape
    assert np.abs(song.features - theirs).max() < 2e-6
