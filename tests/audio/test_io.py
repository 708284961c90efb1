"""Recordings in and out: formats, rates, channels, and everything that can be wrong with a file."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile

from spartito.audio import decoders, io
from spartito.audio.audio import Audio
from spartito.audio.io import AudioWarning, audio_info, load_audio, read_mono, save_audio
from spartito.errors import AudioError, MissingExtraError, OutputError, ParameterError

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the ffmpeg program")


def sine(*, rate=44100, seconds=2.0, channels=2, hertz=440.0) -> Audio:
    t = np.arange(round(rate * seconds)) / rate
    gains = 0.5 / (1 + np.arange(channels))[:, None]
    return Audio((gains * np.sin(2 * np.pi * hertz * t)).astype(np.float32), rate)


def clicks(*, rate=44100) -> Audio:
    """Short bursts at 0.5 and 1.5 s."""
    samples = np.zeros(2 * rate, dtype=np.float32)
    for second in (0.5, 1.5):
        i = int(second * rate)
        samples[i : i + 400] = 0.8 * np.sin(np.arange(400) * 0.3)
    return Audio(samples, rate)


def first_loud(mono: np.ndarray, rate: int) -> float:
    return float(np.flatnonzero(np.abs(mono) > 0.2)[0]) / rate


@pytest.mark.parametrize(("suffix", "tolerance"), [(".wav", 1e-4), (".flac", 1e-4), (".ogg", 0.02), (".mp3", 0.05)])
def test_round_trip_with_tags(tmp_path, suffix, tolerance):
    audio = sine()
    path = tmp_path / f"song{suffix}"
    save_audio(Audio(audio.samples, audio.rate, title="Träumerei", artist="R. Schumann"), path)
    again = load_audio(path)
    assert again.samples.dtype == np.float32 and again.rate == 44100 and again.channels == 2
    assert (again.title, again.artist) == ("Träumerei", "R. Schumann")
    assert again.samples.shape[1] == audio.samples.shape[1]
    middle = slice(5000, -5000)
    assert np.abs(again.samples[:, middle] - audio.samples[:, middle]).max() < tolerance
    info = audio_info(path)
    assert (info.rate, info.channels, info.title) == (44100, 2, "Träumerei")
    assert info.duration == pytest.approx(2.0, abs=0.01)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_time_zero_survives_every_format(tmp_path, suffix):
    save_audio(clicks(), tmp_path / f"c{suffix}")
    assert first_loud(read_mono(tmp_path / f"c{suffix}", rate=16000), 16000) == pytest.approx(0.5, abs=0.003)


@pytest.mark.parametrize("decoder", ["ffmpeg", "av"])
@pytest.mark.parametrize("suffix", [".m4a", ".mp4", ".webm", ".opus"])
@needs_ffmpeg
def test_containers(tmp_path, suffix, decoder, monkeypatch):
    save_audio(clicks(), tmp_path / "c.wav")
    path = tmp_path / f"c{suffix}"
    command = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "c.wav"), "-metadata", "title=Étude", str(path)]
    if subprocess.run(command).returncode:
        pytest.skip(f"this ffmpeg cannot write {suffix}")
    if decoder == "av":
        pytest.importorskip("av")
        monkeypatch.setattr(io.shutil, "which", lambda name: None)
    audio = load_audio(path)
    assert audio.channels == 1 and audio.title == "Étude"
    assert audio.duration == pytest.approx(2.0, abs=0.05)
    assert audio_info(path).duration == pytest.approx(2.0, abs=0.05)
    assert first_loud(audio.mono(), audio.rate) == pytest.approx(0.5, abs=0.003)
    part = read_mono(path, rate=16000, start=1.25, end=1.75)
    assert len(part) == 8000 and first_loud(part, 16000) == pytest.approx(0.25, abs=0.003)


def test_containers_without_any_decoder(tmp_path, monkeypatch):
    monkeypatch.setattr(io.shutil, "which", lambda name: None)
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    (tmp_path / "song.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    with pytest.raises(MissingExtraError, match=r"ffmpeg program or the package av.*spartito\[av\]"):
        load_audio(tmp_path / "song.m4a")


@pytest.mark.parametrize("rate", [7351, 8000, 22050, 44100, 48000, 96000])
def test_read_mono_resamples_any_rate_in_step(tmp_path, rate):
    """A 440 Hz tone keeps its pitch, level, length and phase; blockwise equals at once."""
    audio = sine(rate=rate, seconds=3.0, channels=1)
    soundfile.write(tmp_path / "a.wav", audio.samples.T, rate, subtype="FLOAT")
    mono = read_mono(tmp_path / "a.wav", rate=16000)
    assert mono.dtype == np.float32 and len(mono) == pytest.approx(48000, abs=1)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(mono)) / 16000)
    assert np.abs(mono - expected)[1000:-1000].max() < 1e-3


def test_read_mono_is_the_mean_of_eight_channels(tmp_path):
    audio = sine(channels=8, rate=16000)
    save_audio(audio, tmp_path / "a.wav")
    assert load_audio(tmp_path / "a.wav").samples.shape == (8, 32000)
    np.testing.assert_allclose(read_mono(tmp_path / "a.wav", rate=16000), audio.mono(), atol=1e-4)


def test_read_mono_blocks_make_no_seams(tmp_path, monkeypatch):
    audio = sine(seconds=1.0)
    save_audio(audio, tmp_path / "a.flac")
    whole = read_mono(tmp_path / "a.flac", rate=16000)
    monkeypatch.setattr(decoders, "BLOCK", 777)
    np.testing.assert_allclose(read_mono(tmp_path / "a.flac", rate=16000), whole, atol=1e-6)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_start_and_end(tmp_path, suffix):
    save_audio(clicks(), tmp_path / f"c{suffix}")
    part = load_audio(tmp_path / f"c{suffix}", start=1.2, end=1.9)
    assert part.samples.shape == (1, round(0.7 * 44100))
    assert first_loud(part.mono(), 44100) == pytest.approx(0.3, abs=0.003)
    assert load_audio(tmp_path / f"c{suffix}", start=1.5, end=99).duration == pytest.approx(0.5, abs=0.01)


def test_silence_is_no_error(tmp_path):
    save_audio(Audio(np.zeros((1, 1000)), 16000), tmp_path / "a.wav")
    assert not read_mono(tmp_path / "a.wav", rate=16000).any()


def test_fifty_milliseconds(tmp_path):
    save_audio(sine(seconds=0.05), tmp_path / "a.wav")
    assert len(read_mono(tmp_path / "a.wav", rate=16000)) == 800


# -- bad input ----------------------------------------------------------------------------------------------


def _zero_length(path):
    soundfile.write(path, np.zeros((0, 1)), 44100, subtype="PCM_16")


BAD = {
    "missing.wav": (lambda p: None, "there is no file"),
    "empty.wav": (lambda p: p.write_bytes(b""), r"empty \(0 bytes\)"),
    "folder.wav": (lambda p: p.mkdir(), "is a folder"),
    "notes.txt": (lambda p: p.write_text("Allegro, ma non troppo\n" * 50), "a text file"),
    "text.mp3": (lambda p: p.write_text("Allégro\n" * 5000), "a text file"),
    "text.m4a": (lambda p: p.write_text("Allegro\n" * 50), "a text file"),
    "notes.mid": (lambda p: p.write_bytes(b"MThd\0\0\0\6\0\1\0\1\1\xe0"), "a MIDI file"),
    "noise.wav": (lambda p: p.write_bytes(np.random.default_rng(0).bytes(20000)), "no recording"),
    "header.wav": (lambda p: p.write_bytes(b"RIFF" + b"\xee" * 3000), "header.wav is damaged"),
    "header.flac": (lambda p: p.write_bytes(b"fLaC" + b"\xee" * 3000), "header.flac is damaged"),
    "header.ogg": (lambda p: p.write_bytes(b"OggS" + b"\xee" * 3000), "header.ogg is damaged"),
    "zero_length.wav": (_zero_length, "0 samples"),
    "headerless.raw": (lambda p: p.write_bytes(b"\x81\xfe" * 3000), "no recording"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("read", [load_audio, lambda path: read_mono(path, rate=16000)])
def test_bad_files(tmp_path, name, read):
    make, words = BAD[name]
    make(tmp_path / name)
    with pytest.raises(AudioError, match=words):
        read(tmp_path / name)


@needs_ffmpeg
def test_a_damaged_container(tmp_path):
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + b"\xee" * 3000)
    with pytest.raises(AudioError, match="damaged, incomplete, or holds no sound"):
        load_audio(tmp_path / "a.m4a")


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_a_recording_that_breaks_off_is_read_with_a_warning(tmp_path, suffix):
    rng = np.random.default_rng(1)
    path = tmp_path / f"a{suffix}"
    save_audio(Audio(0.1 * rng.standard_normal((2, 4 * 44100)), 44100), path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.warns(AudioWarning, match="breaks off"):
        audio = load_audio(path)
    assert 1.5 < audio.duration < 2.5
    with pytest.warns(AudioWarning, match="breaks off"):
        assert len(read_mono(path, rate=16000)) == pytest.approx(audio.duration * 16000, abs=2)


def test_samples_that_are_not_numbers(tmp_path):
    samples = sine(rate=16000, channels=1).samples.copy()
    samples[0, [100, 200, 300]] = np.nan, np.inf, -np.inf
    soundfile.write(tmp_path / "a.wav", samples.T, 16000, subtype="FLOAT")
    with pytest.warns(AudioWarning, match="3 samples of 32000 are not numbers"):
        mono = read_mono(tmp_path / "a.wav", rate=16000)
    assert np.isfinite(mono).all() and (mono[[100, 200, 300]] == 0).all() and mono[101] == samples[0, 101]

    soundfile.write(tmp_path / "b.wav", np.full((999, 2), np.nan), 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match="every sample is 'not a number'"):
        load_audio(tmp_path / "b.wav")


def test_start_beyond_the_end(tmp_path):
    for suffix in (".wav", ".ogg"):
        save_audio(sine(), tmp_path / f"a{suffix}")
        with pytest.raises(AudioError, match=r"2\.0 s long: it cannot be read from 5 s on"):
            load_audio(tmp_path / f"a{suffix}", start=5.0)


@pytest.mark.parametrize(("start", "end"), [(-1, None), (2, 1), (1, 1), (float("nan"), None), (None, 0)])
def test_impossible_parts(tmp_path, start, end):
    save_audio(sine(), tmp_path / "a.wav")
    with pytest.raises(ParameterError):
        load_audio(tmp_path / "a.wav", start=start, end=end)


def test_a_good_file_gives_no_warning(tmp_path):
    for suffix in (".wav", ".flac", ".ogg", ".mp3"):
        save_audio(sine(), tmp_path / f"a{suffix}")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            load_audio(tmp_path / f"a{suffix}")


# -- writing ------------------------------------------------------------------------------------------------


def test_loud_and_broken_samples_are_written_safely(tmp_path):
    samples = np.array([[0.0, 3.0, -3.0, np.nan, np.inf, -np.inf]])
    save_audio(Audio(samples, 16000), tmp_path / "a.wav")
    expected = np.array([0, 1, -1, 0, 1, -1])
    np.testing.assert_allclose(load_audio(tmp_path / "a.wav").samples[0], expected, atol=1e-4)


def test_mp3_takes_any_rate_and_channel_count(tmp_path):
    save_audio(sine(rate=7351, channels=8), tmp_path / "a.mp3")
    again = load_audio(tmp_path / "a.mp3")
    assert (again.rate, again.channels) == (44100, 1) and again.duration == pytest.approx(2.0, abs=0.01)


def test_a_long_ogg(tmp_path):
    """One write call of this length overflows the stack of libsndfile's Vorbis writer."""
    save_audio(Audio(np.zeros((2, 4_000_000)), 44100), tmp_path / "a.ogg")
    assert audio_info(tmp_path / "a.ogg").duration == pytest.approx(4_000_000 / 44100)


def test_writing_errors(tmp_path):
    with pytest.raises(ParameterError, match=r"\.wav, \.flac, \.ogg, \.mp3"):
        save_audio(sine(), tmp_path / "a.xyz")
    with pytest.raises(AudioError, match="no samples"):
        save_audio(Audio(np.zeros((1, 0)), 44100), tmp_path / "a.wav")
    (tmp_path / "b.wav").mkdir()
    with pytest.raises(OutputError, match="folder"):
        save_audio(sine(), tmp_path / "b.wav")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a disk that is always full")
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_a_full_disk(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(secrets, "token_hex", lambda n: "x")
    Path(tmp_path / f".a.x.part{suffix}").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="cannot write"):
        save_audio(sine(), tmp_path / f"a{suffix}")
    assert os.listdir(tmp_path) == []
