"""Helpers for tests of the command line: run it, make small inputs, and hear without a model.

The tests of the frame are not about how well the model hears, so most of them listen with `fake_transcribe`. It
reads its input as the real one does and complains alike.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from spartito.audio.audio import Audio
from spartito.audio.io import audio_info, read_mono, save_audio
from spartito.notes.midi import write_midi
from spartito.notes.notes import Notes

RATE = 16000
QUIET = 1e-3  # of full scale; what `fake_transcribe` takes for silence


def shipped(name: str = "transcribe") -> bool:
    """Whether a model of that name comes with the package."""
    from spartito.models.hub import WEIGHTS

    return (WEIGHTS / name / "config.json").is_file()


def run_cli(capfd, *args) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of `spartito args...`, run in this process."""
    from spartito.cli import app

    capfd.readouterr()
    try:
        app(args=[str(a) for a in args], prog_name="spartito")
        status = 0
    except SystemExit as leaving:
        status = leaving.code or 0
    sys.stdout.flush()
    out, err = capfd.readouterr()
    return status, out, err


def tune(count: int = 8, *, step: float = 0.25) -> Notes:
    """A rising scale over a held bass."""
    onset = np.arange(count) * step
    treble = Notes.from_arrays(onset, onset + step, 60 + np.arange(count) % 13, 80)
    bass = Notes.from_arrays([0.0], [count * step], [36], 70)
    return treble.with_array(np.concatenate([treble.array, bass.array]))


def beeps(seconds: float = 2.0, *, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """(channels, n) float32: a tone that begins anew every half second."""
    t = np.arange(round(seconds * rate)) / rate
    sound = 0.3 * np.sin(2 * np.pi * 440 * t) * np.exp(-6 * (t % 0.5))
    return np.tile(sound.astype(np.float32), (channels, 1))


def write_beeps(path: Path, seconds: float = 2.0, *, rate: int = RATE, channels: int = 1, **tags) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_audio(Audio(beeps(seconds, rate=rate, channels=channels), rate, **tags), path)
    return path


def write_tune(path: Path, count: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_midi(tune(count), path)
    return path


def fake_transcribe(source, *, start=None, end=None, progress=None, lowest=21, highest=108, **options) -> Notes:
    """A note on A4 for every half second that is not silent."""
    samples = read_mono(source, rate=RATE, start=start, end=end)
    blocks = np.array_split(np.abs(samples), max(1, len(samples) // (RATE // 2)))
    loud = np.flatnonzero([block.max(initial=0.0) > QUIET for block in blocks])
    if progress is not None:
        progress(1.0)
    onset = 0.5 * loud + (start or 0.0)
    tags = audio_info(source)
    notes = Notes.from_arrays(onset, onset + 0.4, np.full(len(loud), 69), 80, title=tags.title, composer=tags.artist)
    return notes.select((notes.pitch >= lowest) & (notes.pitch <= highest))


def hear_without_a_model(monkeypatch, listen=fake_transcribe) -> list[dict]:
    """Put `listen` in the place of `spartito.transcribe`; gives the list of options of the calls to come."""
    import spartito
    from spartito import outputs

    calls: list[dict] = []

    def transcribe(source, **options):
        calls.append({"source": source, **options})
        return listen(source, **options)

    monkeypatch.setattr(spartito, "transcribe", transcribe, raising=False)
    monkeypatch.setattr(outputs, "open_model", lambda name, device: name)
    return calls
