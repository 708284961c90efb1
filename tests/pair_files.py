"""A song of sixteen bars and its covers, for the tests of pairs: what networks would say of it is made up."""

from __future__ import annotations

import numpy as np

from spartito.analysis.beats import beats_from_times
from spartito.analysis.song import Analysis, Chord
from spartito.audio.audio import Audio
from spartito.audio.io import save_audio
from spartito.models.arranger_input import KEYS, LOWEST_KEY, SILENCE, Heard
from spartito.notes.midi import write_midi
from spartito.notes.notes import Notes
from spartito.training.data.pair_features import FPS

BARS = 16
BEATS = 0.5 + 0.5 * np.arange(4 * BARS)  # seconds
DURATION = 34.0


def music(seed: int = 0) -> Notes:
    """A tune in quarters on top of two chords a bar, on the beats, never twice the same."""
    rng = np.random.default_rng(seed)
    root = np.repeat(rng.integers(48, 60, 2 * BARS), 2)
    third = np.repeat(rng.integers(3, 5, 2 * BARS), 2)
    pitch = np.column_stack([root, root + third, root + 7, root + 12 + rng.choice([0, 3, 5, 7, 10], 4 * BARS)])
    onset = np.repeat(BEATS, 4)
    return Notes.from_arrays(onset, onset + 0.45, pitch.ravel(), 80)


def heard(notes: Notes, duration: float = DURATION) -> Heard:
    """As if the transcriber had heard every note and nothing else."""
    frames = int(duration * FPS)
    values = np.zeros((4, frames, KEYS), dtype=np.float32)
    values[3] = SILENCE[3]
    for onset, offset, pitch in zip(notes.onset, notes.offset, notes.pitch, strict=True):
        first, last, key = round(onset * FPS), round(offset * FPS), pitch - LOWEST_KEY
        values[0, first, key] = values[1, first:last, key] = 0.9
        values[2, first:last, key] = 0.6
        values[3, first:last, key] = 2.0
    return Heard(values.astype(np.float16), FPS)


def analysis(notes: Notes) -> Analysis:
    """Beats as they are, the tune as the top line."""
    top = notes.array[3::4]  # of chords of four notes
    return Analysis(
        duration=DURATION,
        beats=beats_from_times(BEATS, np.tile(np.arange(4), BARS), numerator=4, denominator=4),
        chords=(Chord(0.0, DURATION, "C:maj"),),
        key="C:maj",
        melody=np.column_stack([top["onset"], top["offset"], top["pitch"]]),
        loudness=np.full(int(10 * DURATION), -20.0),
    )


def played(notes: Notes, *, pace: float = 1.0, lead: float = 0.0, semitones: int = 0) -> Notes:
    """A cover: later by `lead` seconds, `pace` times as fast, in another key."""
    pitch = notes.pitch + semitones
    return Notes.from_arrays(lead + notes.onset / pace, lead + notes.offset / pace, pitch, notes.velocity)


class Ears:
    """Takes the place of the networks; knows each song by its file and counts how often it is asked."""

    def __init__(self, monkeypatch):
        from spartito.training.data import pairs

        self.songs, self.asked, self.now = {}, 0, None
        monkeypatch.setattr(pairs, "_model", lambda name: None)
        monkeypatch.setattr(pairs, "sound_of", self.sound)
        monkeypatch.setattr(pairs, "analyze", lambda audio, **options: analysis(self.now))
        monkeypatch.setattr(pairs, "listen", lambda samples, **options: heard(self.now))
        self.read = pairs.read_mono

    def song(self, path, seed: int = 0) -> Notes:
        """Make a file of a song; its notes."""
        self.songs[path.resolve()] = music(seed)
        save_audio(Audio(np.full((1, 800), 0.1 * (seed + 1), dtype=np.float32), 16_000), path)
        return self.songs[path.resolve()]

    def sound(self, path):
        self.asked += 1
        samples = self.read(path, rate=16_000)  # complains of a broken file
        self.now = self.songs[path.resolve()]
        return samples, None


def write_cover(notes: Notes, path, **how):
    write_midi(played(notes, **how), path)
    return path
