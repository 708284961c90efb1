"""Piano or band: on sounds that leave no doubt, and on those that nothing can be said of."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from frame import beeps, hear_without_a_model, run_cli, write_beeps
from spartito.analysis.instrumentation import brightness, instrumentation, unity
from spartito.audio.audio import Audio

RATE = 16_000
EXAMPLES = Path(__file__).parents[2] / "examples"


def with_hiss(seconds: float = 3.0, *, level: float = 0.05) -> np.ndarray:
    sound = beeps(seconds)[0]
    return sound + level * np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)


def test_dull_is_piano_and_bright_is_a_band():
    assert instrumentation(Audio(beeps(3.0)[0], RATE)) == "piano"
    assert instrumentation(Audio(with_hiss(), RATE)) == "band"
    assert instrumentation(Audio(np.stack([with_hiss()] * 2), 44100)) == "band"


def test_a_bright_piano_is_no_band():
    """The example recording: its SoundFont's piano is as bright as many a band, but of one piece."""
    assert instrumentation(EXAMPLES / "piano.ogg") != "band"
    assert instrumentation(EXAMPLES / "song.ogg") == "band"
    t = np.arange(3 * RATE) / RATE
    tone, hiss = np.sin(2 * np.pi * 1000 * t), np.random.default_rng(2).standard_normal(len(t))
    swell, other = 1.1 + np.sin(2 * np.pi * t), 1.1 + np.cos(2 * np.pi * t)
    together, apart = swell * (tone + 0.1 * hiss), swell * tone + 0.1 * other * hiss
    assert unity(together.astype(np.float32)) > 0.95 and abs(unity(apart.astype(np.float32))) < 0.3
    assert math.isnan(unity(np.zeros(RATE, dtype=np.float32)))


def test_the_figure_is_a_ratio_of_energies():
    """White noise has as much in each hertz: 2900 Hz over 1750 Hz is 2.2 dB."""
    noise = np.random.default_rng(1).standard_normal(10 * RATE).astype(np.float32)
    assert brightness(noise) == pytest.approx(10 * math.log10(2900 / 1750), abs=0.3)
    assert brightness(0.01 * noise) == pytest.approx(brightness(noise), abs=0.01)


def test_nothing_is_said_of_silence_blips_and_telephones():
    assert math.isnan(brightness(np.zeros(5 * RATE, dtype=np.float32)))
    for sound, rate in ((np.zeros(RATE), RATE), (np.ones(100), RATE), (with_hiss(), 8000), (np.zeros(0), RATE)):
        assert instrumentation(Audio(sound, rate)) == ""


def test_transcribe_names_cover_and_the_other_way_round(tmp_path, capfd, monkeypatch):
    from spartito.audio.io import save_audio

    hear_without_a_model(monkeypatch)
    save_audio(Audio(with_hiss(), RATE), tmp_path / "band.wav")
    write_beeps(tmp_path / "piano.wav", 3.0)
    status, _, err = run_cli(capfd, "transcribe", tmp_path / "band.wav", "-f", "mid")
    assert status == 0 and "spartito cover band.wav" in err
    assert "warning" not in run_cli(capfd, "transcribe", tmp_path / "piano.wav", "-f", "mid")[2]
