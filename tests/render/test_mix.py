"""Mixing: alignment to the sample, levels by loudness, no clipping."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.audio.audio import Audio
from spartito.errors import AudioError, ParameterError
from spartito.render.mix import limit, mix
from spartito.render.synthesize import PEAK_LIMIT, measure_loudness

RATE = 44100


def noise(seconds, *, level=0.05, seed=0, channels=2, rate=RATE):
    """Band-limited noise: it can be found again to the sample and survives resampling."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal((channels, int(seconds * rate))))
    spectrum[:, np.fft.rfftfreq(int(seconds * rate), 1 / rate) > 4000] = 0
    samples = np.fft.irfft(spectrum, n=int(seconds * rate))
    return Audio((level * samples / samples.std()).astype(np.float32), rate)


def delay(found, reference):
    """Samples by which `reference` is late in `found`, by cross-correlation."""
    size = 2 * max(len(found), len(reference))
    correlation = np.fft.irfft(np.fft.rfft(found, size) * np.conj(np.fft.rfft(reference, size)))
    place = int(np.argmax(correlation))
    return place - size if place > size // 2 else place


def test_both_stay_where_they_are():
    vocals, piano = noise(3, seed=1), noise(4, seed=2)
    out = mix(vocals, piano)
    assert out.samples.shape == (2, 4 * RATE) and out.rate == RATE
    assert delay(out.samples[0], vocals.samples[0]) == 0
    assert delay(out.samples[0], piano.samples[0]) == 0


@pytest.mark.parametrize("rates", [(48000, 22050), (22050, 44100), (44100, 48000)])
def test_other_rates_and_channels_within_ten_milliseconds(rates):
    vocals, piano = noise(3, seed=1, rate=rates[0], channels=1), noise(3, seed=2, rate=rates[1])
    out = mix(vocals, piano, rate=RATE)
    assert out.rate == RATE and out.channels == 2
    one = mix(vocals, Audio(np.zeros((1, 10)), RATE), rate=RATE).samples[0]
    other = mix(Audio(np.zeros((1, 10)), RATE), piano, rate=RATE).samples[0]
    for alone in (one, other):
        assert abs(delay(out.samples[0], alone)) <= 1
    # the onset of a click keeps its place through the change of rate
    click = np.zeros((1, 3 * rates[0]))
    click[0, 2 * rates[0]] = 1.0
    heard = mix(Audio(click, rates[0]), Audio(np.zeros((1, 10)), RATE), rate=RATE).samples[0]
    assert abs(int(np.argmax(np.abs(heard))) / RATE - 2.0) < 0.001
    assert mix(vocals, piano).rate == rates[0]


def test_levels_by_loudness():
    vocals, piano = noise(5, seed=1, level=0.2), noise(5, seed=2, level=0.01)
    parts = {}
    for level in (0.0, 6.0):
        out = mix(vocals, piano, vocal_level=level).samples[0].astype(np.float64)
        basis = np.stack([vocals.samples[0], piano.samples[0]]).astype(np.float64)
        gains = np.linalg.lstsq(basis.T, out, rcond=None)[0]
        parts[level] = 20 * np.log10(gains[0] * 0.2 / (gains[1] * 0.01))
    assert parts[0.0] == pytest.approx(0.0, abs=0.2)
    assert parts[6.0] == pytest.approx(6.0, abs=0.2)


def test_pauses_of_the_voice_do_not_make_it_louder():
    voice = noise(10, seed=1)
    short = voice.samples.copy()
    short[:, 3 * RATE :] = 0
    piano = noise(10, seed=2)
    basis = np.stack([voice.samples[0, : 2 * RATE], piano.samples[0, : 2 * RATE]]).T.astype(np.float64)
    balance = []
    for vocals in (voice, Audio(short, RATE)):
        own, other = np.linalg.lstsq(basis, mix(vocals, piano).samples[0, : 2 * RATE], rcond=None)[0]
        balance.append(20 * np.log10(own / other))
    assert balance[0] == pytest.approx(balance[1], abs=0.3)  # a mean over the whole would make it 5 dB louder


def test_the_loudness_asked_for():
    for wanted in (-16.0, -23.0):
        out = mix(noise(5, seed=1), noise(5, seed=2), loudness=wanted)
        assert measure_loudness(out) == pytest.approx(wanted, abs=0.3)


def test_nothing_clips():
    piano = noise(5, seed=2, level=0.02).samples
    piano[:, ::RATE] = 1.0  # a loud click every second
    out = mix(noise(5, seed=1, level=0.02), Audio(piano, RATE), loudness=-10.0)
    assert np.abs(out.samples).max() <= PEAK_LIMIT + 1e-6


def test_the_limiter_touches_only_what_is_near_a_peak():
    rng = np.random.default_rng(0)
    samples = (0.1 * rng.standard_normal((2, RATE))).astype(np.float32)
    samples[0, 20000:20010] = 3.0
    before = samples.copy()
    limit(samples, RATE)
    assert np.abs(samples).max() <= PEAK_LIMIT + 1e-6
    assert np.array_equal(samples[:, :19000], before[:, :19000])
    assert np.array_equal(samples[:, 21000:], before[:, 21000:])
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = samples / before
    np.testing.assert_allclose(gain[0, 19000:21000], gain[1, 19000:21000], rtol=1e-3)  # the picture stays in place
    assert np.abs(np.diff(gain[0, 19000:21000])).max() < 0.02  # and the gain moves smoothly


@pytest.mark.parametrize("place", [0, RATE - 1, 100])
def test_peaks_at_the_ends(place):
    samples = np.zeros((1, RATE), dtype=np.float32)
    samples[0, place] = 5.0
    limit(samples, RATE)
    assert abs(samples[0, place]) == pytest.approx(PEAK_LIMIT, rel=0.02)
    assert np.abs(samples).max() <= PEAK_LIMIT + 1e-6


def test_silence_on_either_side():
    piano, silence = noise(2, seed=2), Audio(np.zeros((2, 2 * RATE)), RATE)
    assert np.isfinite(mix(silence, piano).samples).all()
    assert np.isfinite(mix(piano, silence).samples).all()
    assert not mix(silence, silence).samples.any()


def test_a_voice_that_is_hardly_there_is_not_blown_up():
    out = mix(noise(5, seed=1, level=2e-4), noise(5, seed=2, level=0.1)).samples[0].astype(np.float64)
    basis = np.stack([noise(5, seed=1).samples[0], noise(5, seed=2).samples[0]]).astype(np.float64)
    voice, piano = np.linalg.lstsq(basis.T, out, rcond=None)[0]
    assert 20 * np.log10(voice / piano) == pytest.approx(20 * np.log10(2e-4 / 0.1) + 20, abs=0.5)


def test_options_out_of_range():
    one = noise(1)
    for options in ({"vocal_level": 40.0}, {"loudness": 3.0}, {"rate": 0}):
        with pytest.raises(ParameterError):
            mix(one, one, **options)
    with pytest.raises(AudioError):
        mix(Audio(np.zeros((1, 0)), RATE), Audio(np.zeros((1, 0)), RATE))
