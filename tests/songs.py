"""Small songs with known beats, chords and tunes, and arrangers that answer what a test wants.

What is tested with them is the way from a song to files; how well the models hear is a matter of benchmarks.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from spartito.analysis.song import Analysis, Chord, beats_of, read_lab
from spartito.audio.audio import Audio
from spartito.audio.io import read_mono, save_audio
from spartito.errors import AudioError
from spartito.models.pianotree import encode

RATE = 22_050


@cache
def band(seconds: float, *, beat: float = 0.5, start: float = 0.0, metre: int = 4, drums: bool = True) -> np.ndarray:
    """(n,) float32 at `RATE`: a chord and a bass on every bar line from `start` on, a tick on every beat, a hiss."""
    t = np.arange(round(seconds * RATE)) / RATE
    sound = 0.004 * np.random.default_rng(0).standard_normal(len(t))  # or it would sound like a piano alone
    roots = [48, 45, 41, 43]
    for number, time in enumerate(np.arange(start, seconds, beat)):
        since = t - time
        on = (since >= 0) & (since < metre * beat)
        if number % metre == 0:
            root = roots[number // metre % 4]
            for pitch in (root - 12, root + 12, root + 16, root + 19):
                frequency = 440 * 2 ** ((pitch - 69) / 12)
                sound += on * 0.06 * np.exp(-1.5 * np.clip(since, 0, None)) * np.sin(2 * np.pi * frequency * since)
        if drums:
            noise = np.random.default_rng(number).standard_normal(len(t))
            sound += (on & (since < 0.05)) * 0.1 * np.exp(-80 * np.clip(since, 0, None)) * noise
    return sound.astype(np.float32)


def write_song(path: Path, seconds: float = 6.0, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_audio(Audio(band(seconds, **options), RATE, title="A Song", artist="A Band"), path)
    return path


def analysis(
    *, duration: float = 10.0, beat: float = 0.5, first: float = 0.0, count: int = 20, metre: int = 4, pick_up: int = 0
) -> Analysis:
    """`count` even beats from `first` s on, `pick_up` of them before the first bar; C, A minor, F, G by bars."""
    times = first + beat * np.arange(count)
    positions = (np.arange(count) - pick_up) % metre
    start = times[pick_up]
    length = metre * beat
    names = ["C:maj", "A:min", "F:maj", "G:7"]
    bars = int((duration - start) / length) + 1
    chords = [Chord(start + i * length, min(start + (i + 1) * length, duration), names[i % 4]) for i in range(bars)]
    chords = tuple(c for c in chords if c.end > c.start)
    tune = [[time, time + 0.9 * beat, 72 + i % 5] for i, time in enumerate(times)]
    loudness = np.full(int(10 * duration) + 1, -20.0)
    return Analysis(duration, beats_of(times, positions), chords, "C:maj", np.array(tune), loudness)


class FakeArranger:
    """Answers every segment with `notes` ((n, 3): onset step, pitch, length in steps), plus its number on step 0.

    Segment i has the note 30 + i, two steps long, so that it can be told whose answer serves which bar.
    """

    input = "frames"
    kind = "a2s"
    has_chords = has_symbols = True

    def __init__(self, notes=(), *, conditions: int = 1):
        self.notes, self.config = np.array(notes, dtype=np.int64).reshape(-1, 3), {"conditions": conditions}
        self.calls: list[dict] = []

    def arrange(self, frames, chords=None, *, numbers=None, **options) -> np.ndarray:
        self.calls.append({"frames": np.shape(frames), "chords": np.shape(chords), **options})
        n = len(frames)
        numbers = np.arange(n) if numbers is None else np.asarray(numbers)
        segment = np.repeat(np.arange(n), len(self.notes))
        rows = np.column_stack([segment, np.tile(self.notes, (n, 1))])
        own = np.column_stack([np.arange(n), np.zeros(n, int), 30 + numbers, np.full(n, 2)])
        return encode(np.concatenate([own, rows]), n)[:, :, 1:]


def fake_analyze(source, *, chords=None, progress=None, **options) -> Analysis:
    """Beats every half second from 0 on; chords and a tune where there is sound. Complains as the real one does."""
    samples = source.mono() if isinstance(source, Audio) else read_mono(source, rate=RATE)
    if len(samples) == 0:
        raise AudioError("there is no sound to analyse: the recording holds no samples")
    duration = len(samples) / RATE
    known = analysis(duration=duration, count=max(2, int(2 * duration)))
    if chords is not None:
        known = replace(known, chords=read_lab(chords))
    if np.abs(samples).max() < 1e-3:
        known = replace(known, chords=(), melody=np.zeros((0, 3)), steady=True, warnings=("no beat was heard",))
    if progress is not None:
        progress(1.0)
    return known
