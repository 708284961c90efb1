"""Separation: the parts sum to the whole, and a made-up singer is found; nothing breaks on odd input."""

from __future__ import annotations

import builtins
import sys
import types

import numpy as np
import pytest

from spartito.analysis import separation
from spartito.analysis.separation import SeparationWarning, chosen_engine, quality_note, separate, vocal_mask
from spartito.audio.audio import Audio
from spartito.audio.io import save_audio
from spartito.errors import AudioError, MissingExtraError, ModelError, ParameterError

RATE = 22050


def tone(pitch, seconds, *, partials=8, vibrato=0.0, rate=RATE):
    """(n,) a harmonic tone at a MIDI pitch, with `vibrato` in semitones."""
    time = np.arange(round(seconds * rate)) / rate
    bend = vibrato * np.sin(2 * np.pi * 5.5 * time)
    phase = np.cumsum(440 * 2 ** ((pitch + bend - 69) / 12)) / rate
    return sum(np.sin(2 * np.pi * k * phase) / k for k in range(1, partials + 1))


def singer(seconds=6.0, *, rate=RATE):
    """(n,) a tune with vibrato, a note every half second."""
    return np.concatenate([tone(p, 0.5, vibrato=0.2, rate=rate) for p in (67, 69, 71, 72, 71, 69) * int(seconds / 3)])


def band(seconds=6.0, *, rate=RATE, seed=0):
    """(2, n) soft chords on the sides, a bass and clicks in the middle."""
    rng = np.random.default_rng(seed)
    n = round(seconds * rate)
    left, right = (sum(tone(p, seconds, rate=rate) for p in chord) for chord in ((48, 55), (52, 60)))
    clicks = np.zeros(n)
    for at in range(0, n - 400, rate // 2):
        clicks[at : at + 400] = rng.standard_normal(400) * np.exp(-np.arange(400) / 80)
    bass = tone(36, seconds, partials=2, rate=rate)
    return 0.15 * np.stack([left, right]) + 0.4 * bass + 1.0 * clicks


def si_sdr(reference, estimate):
    reference, estimate = reference.ravel().astype(float), estimate.ravel().astype(float)
    target = reference * (reference @ estimate) / (reference @ reference)
    return 10 * np.log10((target @ target) / ((estimate - target) @ (estimate - target)))


def stereo(channel):
    return np.stack([channel, channel])


@pytest.mark.parametrize("channels", [1, 2])
def test_the_parts_sum_to_the_whole(channels):
    mix = (0.2 * (stereo(singer()) + band()))[:channels].astype(np.float32)
    parts = separate(Audio(mix, RATE, title="A song", artist="A band"), engine="built-in")
    assert list(parts) == ["vocals", "accompaniment"]
    total = parts["vocals"].samples + parts["accompaniment"].samples
    np.testing.assert_allclose(total, mix, atol=1e-6)
    assert parts["vocals"].rate == RATE and parts["vocals"].title == "A song"


def test_the_singer_is_found_in_stereo_and_in_mono():
    voice, rest = 0.2 * stereo(singer()), 0.2 * band()
    whole = Audio(voice + rest, RATE)
    parts = separate(whole, engine="built-in")
    before = si_sdr(voice, whole.samples)
    assert si_sdr(voice, parts["vocals"].samples) > before + 5
    assert si_sdr(rest, parts["accompaniment"].samples) > si_sdr(rest, whole.samples) + 4
    mono = Audio(whole.samples.mean(axis=0), RATE)
    found = si_sdr(voice[:1], separate(mono, engine="built-in")["vocals"].samples)
    assert found > si_sdr(voice[:1], mono.samples) + 3


def test_a_known_melody_helps_and_its_rests_are_softer():
    tune = singer()
    tune[3 * RATE :] = 0
    rival = 0.8 * tone(62, 6.0)  # as loud as the singer, in the same register
    whole = Audio(0.2 * stereo(tune + rival), RATE)
    onset = 0.5 * np.arange(6)
    melody = np.column_stack([onset, onset + 0.5, [67, 69, 71, 72, 71, 69]])
    blind = separate(whole, engine="built-in")["vocals"].samples
    told = separate(whole, engine="built-in", melody=melody)["vocals"].samples
    voice = 0.2 * stereo(tune)
    assert si_sdr(voice, told) > si_sdr(voice, blind) + 3
    assert np.linalg.norm(told[:, 4 * RATE :]) < 0.5 * np.linalg.norm(blind[:, 4 * RATE :])


def test_the_mask_is_a_share():
    rng = np.random.default_rng(1)
    spectrum = (rng.standard_normal((2, 40, 1025)) + 1j * rng.standard_normal((2, 40, 1025))).astype(np.complex64)
    mask = vocal_mask(spectrum, RATE)
    assert mask.shape == (40, 1025) and mask.dtype == np.float32
    assert (mask >= 0).all() and (mask <= 1 + 1e-5).all()
    assert not mask[:, : int(120 / (RATE / 2048))].any()


def test_what_is_only_on_the_sides_is_no_singer():
    left_and_right = np.stack([singer(), -singer()])
    vocals = separate(Audio(0.2 * left_and_right, RATE), engine="built-in")["vocals"].samples
    assert np.linalg.norm(vocals) < 0.05 * np.linalg.norm(0.2 * left_and_right)


def test_spectra_and_back():
    samples = np.random.default_rng(0).standard_normal((2, 5000)).astype(np.float32)
    back = separation._sound(separation._spectra(samples, 1024), 1024, 5000)
    np.testing.assert_allclose(back, samples, atol=1e-5)


def test_nested_medians():
    row = np.array([[1.0, 9.0, 2.0, 3.0, 50.0, 4.0, 5.0, 6.0, 7.0]], dtype=np.float32)
    assert separation._nested_median(row, 1, 1)[0].tolist() == [1, 2, 3, 3, 4, 5, 5, 6, 7]
    assert separation._nested_median(row.T, 0, 1)[:, 0].tolist() == [1, 2, 3, 3, 4, 5, 5, 6, 7]


def test_blocks_join_without_a_seam(monkeypatch):
    mix = Audio(0.2 * (stereo(singer(9.0)) + band(9.0)), RATE)
    whole = separate(mix, engine="built-in")["vocals"].samples
    monkeypatch.setattr(separation, "BLOCK", 4.0)
    monkeypatch.setattr(separation, "FADE", 1.0)
    seen = []
    pieces = separate(mix, engine="built-in", progress=seen.append)["vocals"].samples
    assert pieces.shape == whole.shape and len(seen) == 2 and seen[-1] == 1.0
    assert si_sdr(whole, pieces) > 15  # the same music, but for what each block finds typical
    step = np.abs(np.diff(pieces[0])).max()
    assert step < 1.5 * np.abs(np.diff(whole[0])).max()


@pytest.mark.parametrize("seconds", [0.001, 0.05, 1.0])
def test_short_sounds_and_silence(seconds):
    n = max(round(seconds * RATE), 1)
    for samples in (np.zeros((2, n)), 0.1 * np.ones((1, n))):
        parts = separate(Audio(samples, RATE), engine="built-in")
        assert parts["vocals"].samples.shape == samples.shape
        assert np.isfinite(parts["vocals"].samples).all()
    assert not separate(Audio(np.zeros((2, n)), RATE), engine="built-in")["vocals"].samples.any()


@pytest.mark.parametrize("rate", [8000, 48000])
def test_other_rates(rate):
    mix = Audio(0.2 * (stereo(singer(3.0, rate=rate)) + band(3.0, rate=rate)), rate)
    parts = separate(mix, engine="built-in")
    assert parts["vocals"].samples.shape == mix.samples.shape
    assert si_sdr(stereo(singer(3.0, rate=rate)), parts["vocals"].samples) > 0


def test_a_file(tmp_path):
    save_audio(Audio(0.2 * band(1.0), RATE), tmp_path / "song.wav")
    assert separate(tmp_path / "song.wav", engine="built-in")["vocals"].channels == 2


# -- engines ------------------------------------------------------------------------------------------------


def test_engines_that_do_not_exist():
    with pytest.raises(ParameterError, match="built-in"):
        separate(Audio(np.zeros((1, 10)), RATE), engine="magic")
    with pytest.raises(AudioError, match="no samples"):
        separate(Audio(np.zeros((1, 0)), RATE), engine="built-in")


def without_demucs(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name.split(".")[0] == "demucs":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def test_without_demucs(monkeypatch):
    without_demucs(monkeypatch)
    assert chosen_engine() == "built-in"
    with pytest.raises(MissingExtraError, match=r"spartito\[demucs\]"):
        separate(Audio(np.zeros((1, 10)), RATE), engine="demucs")


def test_the_note_on_quality(monkeypatch):
    without_demucs(monkeypatch)
    monkeypatch.setattr(separation, "VOCAL_SDR", 2.0)
    assert "2.0 dB" in quality_note() and "demucs" in quality_note()
    monkeypatch.setattr(separation, "VOCAL_SDR_TOLD", 3.5)  # good enough for rendered voices, not yet for singers
    assert "3.5 dB" in quality_note(told=True) and "singers" in quality_note(told=True)
    monkeypatch.setattr(separation, "VOCAL_SDR", 4.0)
    assert quality_note("built-in") == "" and quality_note("demucs") == ""


class FakeTensor:
    """As much of torch as `_by_demucs` touches."""

    def __init__(self, array):
        self.array = np.asarray(array)

    def mean(self):
        return FakeTensor(self.array.mean())

    def std(self):
        return FakeTensor(self.array.std())

    def __add__(self, other):
        return FakeTensor(self.array + other)

    def __sub__(self, other):
        return FakeTensor(self.array - other.array)

    def __truediv__(self, other):
        return FakeTensor(self.array / other.array)

    def __mul__(self, other):
        return FakeTensor(self.array * other.array)

    def __getitem__(self, key):
        return FakeTensor(self.array[key])

    def numpy(self):
        return self.array


def with_demucs(monkeypatch, get_model):
    class NoGrad:
        def __enter__(self):
            return self

        def __exit__(self, *rest):
            return False

    torch = types.SimpleNamespace(from_numpy=FakeTensor, no_grad=NoGrad)

    def apply_model(model, sound, **options):
        one = sound.array[0]  # half of everything is voice
        return FakeTensor(np.stack([0.1 * one, 0.2 * one, 0.2 * one, 0.5 * one])[None])

    packages = {
        "torch": torch,
        "demucs": types.ModuleType("demucs"),
        "demucs.apply": types.SimpleNamespace(apply_model=apply_model),
        "demucs.pretrained": types.SimpleNamespace(get_model=get_model),
    }
    for name, module in packages.items():
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize("channels", [1, 2])
def test_demucs_at_its_own_rate_and_back(monkeypatch, channels):
    model = types.SimpleNamespace(samplerate=44100, sources=["drums", "bass", "other", "vocals"], eval=lambda: None)
    with_demucs(monkeypatch, lambda name: model)
    mix = Audio(np.stack([singer(3.0)] * channels) * 0.2, RATE)
    parts = separate(mix, engine="demucs")
    assert parts["vocals"].samples.shape == mix.samples.shape
    middle = slice(RATE, 2 * RATE)
    np.testing.assert_allclose(parts["vocals"].samples[:, middle], 0.5 * mix.samples[:, middle], atol=0.01)
    np.testing.assert_allclose(parts["vocals"].samples + parts["accompaniment"].samples, mix.samples, atol=1e-6)


def test_demucs_without_its_weights(monkeypatch):
    def offline(name):
        raise OSError("no route to host")

    with_demucs(monkeypatch, offline)
    with pytest.raises(ModelError, match="engine built-in"):
        separate(Audio(np.zeros((2, 1000)), RATE), engine="demucs")
    monkeypatch.setattr(separation, "chosen_engine", lambda engine: "demucs")
    with pytest.warns(SeparationWarning, match="built-in engine takes over"):
        assert separate(Audio(np.zeros((2, 1000)), RATE))["vocals"].samples.shape == (2, 1000)
