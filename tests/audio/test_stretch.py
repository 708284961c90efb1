"""Songs at a constant tempo: against a plain loop over the columns, and on sounds whose result is known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from spartito.audio.stretch import BEAT_SAMPLES, PREROLL, RATE, beat_segments, beat_stretch
from spartito.errors import ParameterError


def plain_stretch(samples: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The phase vocoder of the specification, one column after the other, phases in float32."""
    points = times * RATE
    padded = np.zeros(max(len(samples), int(np.ceil(points[-1] + 1000))), dtype=np.float32)
    padded[: len(samples)] = samples
    points = np.append(points, len(padded))
    places = [np.arange(a / 512, b / 512, (b - a) / 13230) for a, b in pairwise(points)]
    assert {len(p) for p in places} == {26}
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)).astype(np.float32)
    count = 1 + (len(padded) - 2048) // 512
    spectra = [np.fft.rfft(padded[i * 512 : i * 512 + 2048] * window).astype(np.complex64) for i in range(count)]
    spectra += [np.zeros(1025, dtype=np.complex64)] * 10
    advance = np.linspace(0, np.pi * 512, 1025)
    phase = np.angle(spectra[0])
    columns = []
    for place in np.concatenate(places):
        a, b, part = spectra[int(place)], spectra[int(place) + 1], place % 1
        columns.append(((1 - part) * abs(a) + part * abs(b)) * np.exp(1j * phase))
        turn = np.angle(b) - np.angle(a) - advance
        phase += (advance + turn - 2 * np.pi * np.round(turn / (2 * np.pi))).astype(np.float64)
    sound, weight = np.zeros((2, 512 * len(columns) + 2048))
    for i, column in enumerate(columns):
        sound[i * 512 : i * 512 + 2048] += np.fft.irfft(column) * window
        weight[i * 512 : i * 512 + 2048] += window**2
    return (sound / np.where(weight > 1e-38, weight, 1))[: 512 * len(columns)]


def test_against_the_plain_loop():
    rng = np.random.default_rng(0)
    samples = (0.1 * rng.standard_normal(4 * RATE)).astype(np.float32)
    times = np.array([0.0, 0.31, 0.9, 1.4, 2.2, 2.6, 3.3, 4.0])
    plain = plain_stretch(samples, times)
    compat, rows = beat_stretch(samples, times, float32_phase=True)
    assert rows.tolist() == list(range(8)) and compat.shape == (8 * BEAT_SAMPLES,)
    # the very first samples lie under no more than the foot of a window, which magnifies every rounding
    assert np.abs(compat - plain)[20:].max() < 1e-4 * np.abs(plain).max()
    default, _ = beat_stretch(samples, times)
    assert 0 < np.sqrt(np.mean((default - plain) ** 2) / np.mean(plain**2)) < 0.05  # precision alone


def test_clicks_come_to_stand_on_the_beats_and_the_pitch_stays():
    times = np.array([0.0, 0.7, 1.2, 2.0, 2.3, 3.0])
    t = np.arange(int(3.5 * RATE)) / RATE
    samples = 0.5 * np.sin(2 * np.pi * 441 * t).astype(np.float32)
    tone, _ = beat_stretch(samples, times)
    spectrum = np.abs(np.fft.rfft(tone[BEAT_SAMPLES : BEAT_SAMPLES * 5] * np.hanning(4 * BEAT_SAMPLES)))
    assert spectrum.argmax() * RATE / (4 * BEAT_SAMPLES) == pytest.approx(441, abs=1)
    clicks = np.zeros_like(samples)
    for time in times[1:-1]:
        clicks[int(time * RATE) : int(time * RATE) + 200] = np.hanning(200)
    clicks, rows = beat_stretch(clicks, times)
    for row in rows[1:-1]:
        near = slice(row * BEAT_SAMPLES - 3000, row * BEAT_SAMPLES + 3000)
        assert abs(int(np.abs(clicks[near]).argmax()) - 3000) < 2048  # the length of a spectrum


def test_blocks_leave_no_seam(monkeypatch):
    rng = np.random.default_rng(1)
    samples = rng.standard_normal(3 * RATE).astype(np.float32)
    times = np.arange(0, 3, 0.25)
    for compat in (False, True):
        whole, _ = beat_stretch(samples, times, float32_phase=compat)
        with monkeypatch.context() as patch:
            patch.setattr("spartito.audio.stretch.BLOCK", 7)
            parts, _ = beat_stretch(samples, times, float32_phase=compat)
        assert np.abs(whole - parts).max() < 1e-3 * np.abs(whole).max()


def test_what_comes_before_the_first_beat_is_a_beat_of_its_own():
    samples = np.ones(2 * RATE, dtype=np.float32)
    stretched, rows = beat_stretch(samples, np.array([0.5, 1.0, 1.5]))
    assert rows.tolist() == [1, 2, 3] and len(stretched) == 4 * BEAT_SAMPLES
    stretched, rows = beat_stretch(samples, np.array([0.01, 1.0]))  # less than a hop before
    assert rows.tolist() == [0, 1] and len(stretched) == 2 * BEAT_SAMPLES


def test_segments_have_a_preroll_and_silence_outside():
    stretched = np.arange(1, 10 * BEAT_SAMPLES + 1, dtype=np.float32)
    cut = beat_segments(stretched, np.array([0, 1, 9]))
    assert cut.shape == (3, 107_496)
    assert (cut[0, :PREROLL] == 0).all() and cut[0, PREROLL] == 1
    assert cut[1, 0] == BEAT_SAMPLES - PREROLL + 1 and cut[1, PREROLL] == BEAT_SAMPLES + 1
    assert cut[2, PREROLL + BEAT_SAMPLES - 1] == 10 * BEAT_SAMPLES and (cut[2, PREROLL + BEAT_SAMPLES :] == 0).all()
    with pytest.raises(ParameterError):
        beat_segments(stretched, np.array([12]))


@pytest.mark.parametrize("times", [[], [0.0, 0.0, 1.0], [1.0, 0.5], [-0.1, 1.0]])
def test_beats_that_cannot_be(times):
    with pytest.raises(ParameterError):
        beat_stretch(np.zeros(RATE, dtype=np.float32), np.array(times))


def test_a_recording_shorter_than_a_spectrum():
    stretched, _ = beat_stretch(np.ones(100, dtype=np.float32), np.array([0.0]))
    assert len(stretched) == BEAT_SAMPLES and np.isfinite(stretched).all()
