"""Pieces with a known grid, engines that answer what a test wants, and judges whose opinions are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spartito.notes.midi import write_midi
from spartito.notes.notes import CONTROL_DTYPE, Notes, Track
from spartito.notes.tempo import KeySignature, TempoMap, TimeSignature
from spartito.style.engines import StylePiece, StyleWish, Written, pair_of

BPM = 120.0  # a quarter note lasts half a second, a step 0.125 s


def piece(bars: int = 8, *, metre: tuple[int, int] = (4, 4), tracks: bool = False, drums: bool = False) -> Notes:
    """A tune in quarters over a bass and a chord in every bar, a little off the grid, each velocity its own."""
    beats = 4 * metre[0] // metre[1]  # quarter notes of a bar
    onset, offset, pitch, track = [], [], [], []
    for bar in range(bars):
        start = 0.5 * beats * bar
        for beat in range(beats):
            onset.append(start + 0.5 * beat)
            offset.append(start + 0.5 * beat + 0.45)
            pitch.append(72 + (5 * bar + 2 * beat) % 12)
            track.append(0)
        for key in (36 + bar % 5, 52, 55):
            onset.append(start)
            offset.append(start + 0.5 * beats - 0.05)
            pitch.append(key)
            track.append(1)
        if drums:
            onset.extend([start, start + 0.5])
            offset.extend([start + 0.1, start + 0.6])
            pitch.extend([36, 38])
            track.extend([2, 2])
    onset, offset = np.array(onset), np.array(offset)
    wobble = 0.011 * np.sin(np.arange(len(onset)))
    names = ("Melody", "Strings", "Drums") if tracks else ("right hand", "left hand", "Drums")
    pedal = np.array([(0.0, 64, 127), (0.9, 64, 0)], dtype=CONTROL_DTYPE)
    parts = [Track(names[0], 73 if tracks else 0, controls=pedal), Track(names[1], 48 if tracks else 0, controls=pedal)]
    if drums:
        parts.append(Track(names[2], 0, is_drum=True, channel=9))
    clock = TempoMap(
        changes=np.array([[0, 500_000.0]]),
        time_signatures=(TimeSignature(0, *metre),),
        key_signatures=(KeySignature(0, 1, 0),),
    )
    velocity = 40 + np.arange(len(onset)) % 60
    return Notes.from_arrays(
        np.maximum(onset + wobble, 0.0),
        offset + wobble,
        pitch,
        velocity,
        track=track,
        tracks=tuple(parts),
        tempo_map=clock,
        title="A Piece",
        markers=((1.0, "verse"),),
    )


def write_piece(path: Path, bars: int = 8, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_midi(piece(bars, **options), path)
    return path


class FakeEngine:
    """Writes `change(notes)` for each candidate, transposed by its number; remembers what it was asked."""

    name, needs_source = "fake", False

    def __init__(self, change=lambda notes: notes, *, place=None):
        self.change, self.place, self.asked = change, place, []

    def check(self, target, source=None):
        if source is not None and source != target:
            pair_of(source, target)

    def restyle(self, piece: StylePiece, wish: StyleWish, *, progress=None):
        self.asked.append((piece, wish))
        if progress is not None:
            progress(1.0)
        answers = []
        for number in range(wish.candidates):
            notes = np.array(self.change(piece.notes.copy()))
            notes[:, 2] += number
            place = None if self.place is None else self.place(notes)
            answers.append(Written(notes, place=place))
        return answers


class FakeJudges:
    """Calls a phrase the more of genre B the higher its mean key."""

    def __init__(self, pair):
        self.pair = tuple(pair)

    def published(self, phrases):
        sounding = phrases[:, -1]
        share = (sounding * np.arange(84)).sum(axis=(1, 2)) / np.maximum(sounding.sum(axis=(1, 2)), 1) / 84
        return np.column_stack([1 - share, share])

    independent = published


def judged(monkeypatch, heard=None) -> None:
    """Judges of `FakeJudges`, and a recognition that hears `heard` (genre -> probability) in everything."""
    from spartito.style import genres

    monkeypatch.setattr(genres, "open_judges", lambda pair, *_, **__: FakeJudges(pair))
    told = heard or {"classic": 0.1, "jazz": 0.2, "pop": 0.7}
    monkeypatch.setattr(genres, "recognise", lambda *_, **__: dict(told))


def as_set(notes: Notes, *, tracks: bool = False) -> set:
    """The notes as tuples, to be compared whatever their order."""
    names = ("onset", "offset", "pitch", "velocity", *(("track",) if tracks else ()))
    return set(zip(*(notes.array[name].tolist() for name in names), strict=True))
