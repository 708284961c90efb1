"""Reference values were computed once with librosa 0.11 (`filters.mel`, `stft` with reflection), to four decimals."""

import json
from pathlib import Path

import numpy as np
import pytest

from spartito.audio.features import BINS_PER_SEMITONE, PRESETS, Window, bin_of_pitch, front_end, mel_bank
from spartito.errors import ParameterError

RATE = 16_000
REFERENCE = json.loads(Path(__file__).with_name("mel_reference.json").read_text())


def signal() -> np.ndarray:
    """A decaying A3 and a rising chirp, one second."""
    n = np.arange(RATE)
    tone = 0.4 * np.sin(2 * np.pi * 220 * n / RATE) * np.exp(-n / 8000)
    return (tone + 0.2 * np.sin(2 * np.pi * (1000 + 1500 * n / RATE) * n / RATE)).astype(np.float32)


@pytest.mark.parametrize("name", ["jongwook", "magenta", "magenta-2018"])
def test_mel_front_ends_meet_the_reference(name):
    spectrum, expected = front_end(name)(signal()), REFERENCE[name]
    assert spectrum.shape == (32, 229) and spectrum.dtype == np.float32
    assert spectrum.mean() == pytest.approx(expected["mean"], abs=2e-3)
    assert spectrum.std() == pytest.approx(expected["std"], abs=2e-3)
    for place, value in expected["points"].items():
        frame, band = map(int, place.split(","))
        assert spectrum[frame, band] == pytest.approx(value, abs=1e-2), place


@pytest.mark.parametrize("slaney", [False, True])
def test_mel_filters_have_unit_area_and_none_is_empty(slaney):
    bank = mel_bank(bins=229, size=2048, rate=RATE, low=30, high=8000, slaney=slaney)
    assert (bank.max(axis=1) > 0).all()
    wide = bank[120:-1]
    np.testing.assert_allclose(wide.sum(axis=1) * RATE / 2048, 1.0, rtol=0.15)


@pytest.mark.parametrize("name", list(PRESETS))
def test_torch_and_numpy_agree(name):
    torch = pytest.importorskip("torch")
    noise = 1e-3 * np.random.default_rng(0).standard_normal(RATE)  # without it empty bands hold rounding errors
    samples = (signal() + noise).astype(np.float32)
    ours = front_end(name)(samples)
    theirs = front_end(name)(torch.from_numpy(samples))
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-3)
    batch = front_end(name)(torch.from_numpy(np.stack([samples, samples[::-1].copy()])))
    np.testing.assert_allclose(batch[0].numpy(), theirs.numpy(), atol=1e-4)


@pytest.mark.parametrize("n", [1, 255, 257, 5000, 40_001])
def test_lines_by_blocks_are_those_of_the_transform(n, monkeypatch):
    """The long windows are computed hop by hop; the whole transforms give the same."""
    rng = np.random.default_rng(n)
    time = np.arange(n) / 16_000
    samples = (0.3 * np.sin(2 * np.pi * 110 * time) + 1e-3 * rng.standard_normal(n)).astype(np.float32)
    transform = front_end("default")
    assert [window.few_lines(transform.hop) for window in transform.windows] == [True, True, False]
    quick = transform(samples)
    monkeypatch.setattr(Window, "few_lines", lambda *_: False)
    np.testing.assert_allclose(quick, transform(samples), atol=2e-3)
    np.testing.assert_allclose(np.exp(quick), np.exp(transform(samples)), atol=1e-6)


def test_last_sample_is_dropped_so_that_frames_match_label_rows():
    assert front_end("jongwook").frames(327_680) == 640
    assert front_end("jongwook")(np.zeros(327_680, dtype=np.float32)).shape == (640, 229)


@pytest.mark.parametrize("pitch", [28, 45, 57, 69, 81, 93, 105])
def test_a_tone_peaks_at_its_bin(pitch):
    transform = front_end("default")
    tone = np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * np.arange(RATE) / RATE).astype(np.float32)
    peak = transform(tone)[30].argmax()
    assert peak == pytest.approx(bin_of_pitch(pitch), abs=1)


def test_a_semitone_is_three_bins():
    transform = front_end("default")
    time = np.arange(RATE) / RATE
    low, high = (
        transform(sum(np.sin(2 * np.pi * f * k * time) for k in (1, 2, 3)).astype(np.float32))[30]
        for f in (1760.0, 1760.0 * 2 ** (1 / 12))
    )
    np.testing.assert_allclose(low[150:280], high[150 + BINS_PER_SEMITONE : 280 + BINS_PER_SEMITONE], atol=0.8)


def test_decibel_floor_is_fixed_unless_asked_for():
    quiet = np.concatenate([signal(), np.zeros(RATE, dtype=np.float32)])
    assert front_end("magenta")(quiet).min() == pytest.approx(-100)
    relative = front_end("magenta", top_db=80)(quiet)
    assert relative.min() == pytest.approx(relative.max() - 80)


def test_unknown_name_lists_those_there_are():
    with pytest.raises(ParameterError, match="magenta"):
        front_end("mel")
