"""Notes of states that have no source: instruments, loudness and clock of sampled pieces, and of steps of a blend.

Programs of General MIDI, from 0, by what a band of the genre would bring; the model's tracks are named in general
(`guitar` is guitar or piano, `strings` all other instruments).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spartito.notes.four_tracks import BAR, notes_of
from spartito.notes.layouts import Layout
from spartito.notes.notes import NOTE_DTYPE, Notes, Track
from spartito.notes.tempo import TempoMap, TimeSignature
from spartito.notes.two_hands import hand_tracks

__all__ = ["LINE_UP", "clock_of", "line_up", "played", "tracks_for"]

STEP_QUARTERS = 0.25  # quarter notes in a step
GAP = 0.15  # steps that a note ends before the next one
SHORTEST = 0.02  # seconds
HIT = 1.0  # steps that a hit on a drum is written as; nobody hears it
PLAIN = 80.0  # velocity where the model tells none
SWUNG = {"jazz"}  # genres whose off-beats on the last sixteenth are triplets that the grid rounds
TRIPLET = 2 / 3 * 4 - 3  # steps from the last sixteenth of a beat to its last triplet

LINE_UP: dict[str, tuple[int, int, int, int]] = {  # word in the genre's name -> kit, bass, guitar or piano, the rest
    "jazz": (32, 32, 0, 66),  # jazz kit, upright bass, piano, tenor saxophone
    "classic": (48, 32, 0, 48),  # orchestra kit, upright bass, piano, strings
    "orchestra": (48, 32, 0, 48),
    "film": (48, 32, 0, 48),
    "metal": (16, 34, 30, 48),  # power kit, picked bass, distortion guitar, strings
    "rock": (0, 34, 29, 50),  # picked bass, overdriven guitar, synthetic strings
    "reggae": (0, 33, 28, 61),  # fingered bass, muted guitar, brass
    "electronic": (24, 38, 4, 89),  # electronic kit, synth bass, electric piano, warm pad
    "children": (0, 32, 24, 73),  # upright bass, nylon guitar, flute
    "ensemble": (0, 32, 0, 48),
    "pop": (0, 33, 0, 48),  # fingered bass, piano, strings
}
"""Each is read back as what it was: basses are programs 32 to 39, guitars and pianos 0 to 31, the rest all others."""
USUAL = LINE_UP["pop"]
NAMES = ("Drums", "Bass", "Guitar", "Strings")


def line_up(genre: Mapping[str, float]) -> tuple[int, int, int, int]:
    """Programs of the four tracks for the genre with the largest share."""
    name = max(genre, key=lambda tag: genre[tag], default="").lower()
    return next((programs for word, programs in LINE_UP.items() if word in name), USUAL)


def tracks_for(layout: Layout, programs: tuple[int, ...] = USUAL) -> tuple[Track, ...]:
    """A track for each section of a layout: four instruments, or two hands."""
    if layout.together:
        return hand_tracks(Track(name="piano"))
    return tuple(
        Track(name=name, program=program, is_drum=i in layout.drums, channel=9 if i in layout.drums else -1)
        for i, (name, program) in enumerate(zip(NAMES, programs, strict=True))
    )


def clock_of(bpm) -> TempoMap:
    """The clock of bars of 4/4: one tempo, or one for each bar (bars,), quarter notes per minute."""
    tempo = np.round(60e6 / np.atleast_1d(np.asarray(bpm, dtype=np.float64)))
    new = np.flatnonzero(np.diff(tempo, prepend=-1.0) != 0)
    ticks = TempoMap().ticks_per_quarter * 4 * new
    return TempoMap(changes=np.column_stack([ticks, tempo[new]]), time_signatures=(TimeSignature(0, 4, 4),))


def played(
    states: np.ndarray,
    *,
    layout: Layout,
    bpm: float,
    velocity: np.ndarray | None = None,
    genre: Mapping[str, float] | None = None,
    title: str = "",
) -> Notes:
    """The notes of states (T, V) on a clock of `bpm` quarter notes per minute.

    `velocity` (V, 16): at each step of the bar. `genre`, tag -> share, chooses the instruments.
    """
    genre = genre or {}
    table = notes_of(states)
    if layout.together:
        from spartito.notes.voices import single_keys

        table = single_keys(table)
    start, length, pitch, _, voice = table.T
    loud = np.full((len(layout), BAR), PLAIN) if velocity is None else np.asarray(velocity, dtype=np.float64)
    clock = clock_of(bpm)
    swung = any(word in tag.lower() for word in SWUNG for tag, share in genre.items() if share >= 0.5)
    place = start + np.where(swung & (start % 4 == 3), TRIPLET, 0.0)
    stop = np.where(np.isin(voice, layout.drums), place + HIT, start + length - GAP)
    array = np.zeros(len(start), dtype=NOTE_DTYPE)
    array["onset"] = clock.quarters_to_seconds(STEP_QUARTERS * place)
    array["offset"] = np.maximum(clock.quarters_to_seconds(STEP_QUARTERS * stop), array["onset"] + SHORTEST)
    array["pitch"], array["confidence"] = pitch, 1.0
    array["velocity"] = np.clip(np.floor(loud[voice, start % BAR] + 0.5), 1, 127)
    array["track"] = np.asarray(layout.sections)[voice]
    return Notes(array, tracks=tracks_for(layout, line_up(genre)), tempo_map=clock, title=title)
