"""Songs as a latent model reads them: states in whole bars, windows that overlap, and back.

Job
    `read_song` puts a piece into the cells of a layout (`notes/layouts.py`): a band of four tracks, or a piano. Of
    every note of the source it is known which cell it fills, or that none does. `encode_song` gives codes of windows,
    `decode_song` what a model expects of the whole song, from codes as they are or edited.

Method
    Windows begin at bar lines, every bar (those of two bars) or every four (longer ones), and the last ends with the
    song; a song shorter than a window is repeated to fill it. Of several guitars or basses the one with most notes is
    taken, of drums (one kit, whatever its tracks) and of the other instruments all: what is left over passes through
    every edit untouched.

Source: windows as in A. Valenti, A. Carta, D. Bacciu (ECAI 2020); overlapping them is ours.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spartito.analysis.beats import Beats
from spartito.errors import NotesError, ParameterError
from spartito.notes.four_tracks import (
    BAR,
    BASS,
    GUITAR,
    SILENT,
    Band,
    band,
    encode,
    expanded,
    held,
    track_roles,
    windows,
)
from spartito.notes.layouts import BAND, LAYOUTS, PIANO, Layout
from spartito.notes.notes import Notes
from spartito.notes.phrases import STEPS_PER_BEAT, by_quarters
from spartito.style.latent_cells import Chances, chances, overlapped
from spartito.style.transfer import played_tracks, source_beats, source_notes

__all__ = [
    "Codes",
    "LatentSong",
    "LatentWarning",
    "decode_song",
    "encode_song",
    "hop_of",
    "read_song",
    "warn",
    "window_starts",
]

OTHER = -1  # a track that no cell belongs to
LAST_PIANO = 7  # General MIDI program
LONGEST = 1 << 15  # steps: 2,048 bars, more than an hour at 120 quarter notes per minute; a gigabyte of scores
FOUR = 0.8  # share of bars that lie on the model's, in a piece that counts as one in 4/4, as in `transfer`
WHOLE = (BAR, BAR // 2, BAR // 4)  # steps of a bar that lie on the model's, two or four to one of it
SHORT_WINDOW = 2  # bars up to which windows begin at every bar
LONG_HOP = 4  # bars between longer ones
HARMONY_REACH = ((0, 1.0), (1, 0.5), (4, 0.2))  # beats around a step, and what the pitch classes there count


class LatentWarning(UserWarning):
    """It can be done, but not quite as it was asked for."""


@dataclass(frozen=True, eq=False)
class LatentSong:
    """A piece in the cells of a layout.

    Attributes
    ----------
    notes : Notes
        The source.
    layout : Layout
    band : Band
        The notes that belong to a track of the layout, on the steps of their beats.
    roles : np.ndarray, shape=(tracks,), int
        Of each track of the source, the layout's track (a piano: 0), or -1: it passes through.
    lead : int
        Steps before the first beat, so that bar lines are multiples of 16: cell = step + lead.
    states, velocity : np.ndarray, shape=(T, V), uint8
        T whole bars.
    beats : Beats
    beats_by : "given", "file", "tracked" or "even"
    four : bool
        Bars are of four quarters (or two, or one); else the piece is gone through by beats.
    """

    notes: Notes
    layout: Layout
    band: Band
    roles: np.ndarray
    lead: int
    states: np.ndarray
    velocity: np.ndarray
    beats: Beats
    beats_by: str
    four: bool

    @property
    def steps(self) -> int:
        return len(self.states)

    @property
    def bars(self) -> int:
        return self.steps // BAR

    @property
    def passing(self) -> list[int]:
        """Tracks with notes that no cell sees."""
        used = np.unique(self.notes.array["track"])
        return [int(i) for i in used if self.roles[i] == OTHER]

    @property
    def absent(self) -> np.ndarray:
        """(V,) bool: tracks of the layout that never sound."""
        return (expanded(self.states) == SILENT).all(axis=0)

    def seconds(self, cell) -> np.ndarray:
        """Time of each place in cells (need not be whole)."""
        return self.band.grid.seconds((np.asarray(cell, dtype=np.float64) - self.lead) / STEPS_PER_BEAT)

    @cached_property
    def harmony(self) -> np.ndarray:
        """(T, 12): how much each pitch class sounds around a step, 1 for the strongest."""
        table = self.band.notes[self.layout.pitched[self.band.notes[:, 4]]]
        return harmony_of(table + np.array([self.lead, 0, 0, 0, 0]), self.steps)


def harmony_of(table: np.ndarray, steps: int) -> np.ndarray:
    """(steps, 12) of notes (k, 5) as in `LatentSong.harmony`, from cell 0."""
    beats = -(-steps // STEPS_PER_BEAT)
    size = (beats + 1) * 12
    begin = np.clip(table[:, 0] // STEPS_PER_BEAT, 0, beats)
    end = np.clip(-(-(table[:, 0] + table[:, 1]) // STEPS_PER_BEAT), begin + 1, beats)
    change = np.bincount(begin * 12 + table[:, 2] % 12, minlength=size).astype(np.float64)
    change -= np.bincount(np.minimum(end, beats) * 12 + table[:, 2] % 12, minlength=size)
    sums = np.cumsum(change.reshape(beats + 1, 12)[:-1], axis=0)  # notes of a class that sound in each beat
    total = np.concatenate([np.zeros((1, 12)), np.cumsum(sums, axis=0)])
    place, found = np.arange(beats), np.zeros((beats, 12))
    for reach, weight in HARMONY_REACH:
        first, last = np.maximum(place - reach, 0), np.minimum(place + reach + 1, beats)
        found += weight * (total[last] - total[first]) / (last - first)[:, None]
    strongest = found.max(axis=1, keepdims=True)
    found = np.where(strongest > 0, found / np.maximum(strongest, 1e-9), 1.0)  # where nothing sounds, all are welcome
    return np.repeat(found, STEPS_PER_BEAT, axis=0)[:steps]


@dataclass(frozen=True, eq=False)
class Codes:
    """Codes z (w, N_z) of windows of `steps` that begin at `starts` (w,)."""

    z: np.ndarray
    starts: np.ndarray
    steps: int


# -- reading --------------------------------------------------------------------------------------------------------


def read_song(
    source: str | os.PathLike | Notes, *, beats: Beats | None = None, layout: Layout | str | None = None
) -> LatentSong:
    """The cells of a piece.

    Parameters
    ----------
    source : path or Notes
    beats : Beats, optional
        Where the beats are. Otherwise the clock of the file is taken if its notes keep to it, else they are found.
    layout : Layout or its name, optional
        "band" or "piano". Default: piano for pieces without drums that only pianos play.

    Raises
    ------
    NotesError
        The file cannot be read, is empty, or too long.
    """
    notes = source if isinstance(source, Notes) else source_notes(source)
    if len(notes) == 0:
        raise NotesError("there are no notes in it: a latent model needs at least one")
    if isinstance(layout, str):
        if layout not in LAYOUTS:
            raise ParameterError(f"a layout is one of {', '.join(LAYOUTS)}, not {layout!r}")
        layout = LAYOUTS[layout]
    layout = layout or (PIANO if is_piano(notes) else BAND)
    found, by = _beats(notes, beats)
    if layout.together:
        from spartito.notes.voices import voices

        table = voices(notes, found, layout=layout)
        roles = np.where([t.is_drum for t in notes.tracks], OTHER, 0)
    else:
        roles = single_roles(notes)
        table = band(notes, found, roles=roles)
    if len(table.notes) == 0:
        raise NotesError("no notes on its beats: nothing that a latent model could read")
    quarters = by_quarters(found)
    down = STEPS_PER_BEAT * np.flatnonzero(quarters.positions == 0)
    bars = np.diff(down)
    if len(bars) == 0:
        _, numerator, denominator = found.signatures[0]
        bars = np.array([BAR * numerator // denominator])
    four = bool(np.mean(np.isin(bars, WHOLE)) >= FOUR)
    full = int(np.argmax(bars == np.bincount(bars).argmax()))  # the first bar that is no pick-up
    lead = int(-down[full] % BAR) if four else 0
    length = np.where(layout.pitched[table.notes[:, 4]], table.notes[:, 1], 1)  # how long a hit lasts, nobody hears
    steps = lead + int((table.notes[:, 0] + length).max())
    if steps > LONGEST:
        raise NotesError(f"the piece has {steps // BAR:,} bars by its beats: {LONGEST // BAR:,} at most")
    steps = -(-steps // BAR) * BAR
    cells = table.notes + np.array([lead, 0, 0, 0, 0])
    states, velocity = encode(cells, steps, layout=layout, velocities=True)
    return LatentSong(notes, layout, table, roles, lead, states, velocity, found, by, four)


def is_piano(notes: Notes) -> bool:
    """No drums, and pianos (General MIDI 0 to 7) alone."""
    played = played_tracks(notes)
    drums = any(notes.tracks[i].is_drum for i in np.unique(notes.array["track"]).tolist())
    return bool(played) and not drums and all(0 <= notes.tracks[i].program <= LAST_PIANO for i in played)


def single_roles(notes: Notes) -> np.ndarray:
    """(tracks,) the four tracks that a song's tracks are: of basses and guitars the one with most notes."""
    roles = track_roles(notes)
    count = np.bincount(notes.array["track"], minlength=len(roles))
    roles = np.where(count > 0, roles, OTHER)
    for role in (BASS, GUITAR):
        members = np.flatnonzero(roles == role)
        if len(members) > 1:
            roles[np.delete(members, np.argmax(count[members]))] = OTHER
    return roles


def _beats(notes: Notes, beats: Beats | None) -> tuple[Beats, str]:
    """Beats and who says them; a piece of drums alone is taken at its own clock."""
    if beats is None and not played_tracks(notes):
        clock = notes.tempo_map
        bars = int(np.ceil(float(clock.seconds_to_quarters(notes.duration)) / 4)) + 1
        place = np.arange(4 * bars)
        return Beats(clock.quarters_to_seconds(place), place.astype(float), place % 4), "file"
    return source_beats(notes, beats)


def warn_of(song: LatentSong, *, name: str = "") -> None:
    """Say what is not as the models know it."""
    name = f"{name}: " if name else ""
    if song.beats_by == "tracked":
        warn(f"{name}the file tells no beats that its notes keep to: they are found in the notes, and may be wrong")
    elif song.beats_by == "even":
        warn(f"{name}too few notes to find a beat in: an even one is assumed")
    if not song.four:
        metres = ", ".join(dict.fromkeys(f"{n}/{d}" for _, n, d in song.beats.signatures))
        bars = "this piece has bars of several lengths" if metres == "4/4" else f"this piece is in {metres}"
        warn(f"{name}the models learned from bars of four quarter notes; {bars}: it is gone through by beats")


def warn(text: str) -> None:
    warnings.warn(text, LatentWarning, stacklevel=3)


# -- codes ----------------------------------------------------------------------------------------------------------


def hop_of(bars: int) -> int:
    """Steps between windows of so many bars."""
    return BAR if bars <= SHORT_WINDOW else LONG_HOP * BAR


def window_starts(length: int, *, steps: int, hop: int) -> np.ndarray:
    """(w,) first steps of windows over a song of `length`; the last window ends with it."""
    last = max(length - steps, 0)
    return np.unique(np.append(np.arange(0, last + 1, hop), last))


def encode_states(model, states: np.ndarray, *, hop: int | None = None) -> Codes:
    """Codes of a song's states (T, V)."""
    steps = BAR * model.bars
    starts = window_starts(len(states), steps=steps, hop=hop or hop_of(model.bars))
    if len(states) < steps:  # again from its beginning, until the window is full
        begins = np.resize(states < SILENT, (steps, states.shape[1]))
        states = held(np.resize(expanded(states), (steps, states.shape[1])), attack=begins)
    z, _ = model.encode(windows(states, starts, steps=steps))
    return Codes(np.asarray(z), starts, steps)


def encode_song(model, song: LatentSong, *, hop: int | None = None) -> Codes:
    """Codes of the windows of a song, `hop` steps apart.

    Raises ParameterError when the model reads another layout.
    """
    check_layout(model, song)
    return encode_states(model, song.states, hop=hop)


def check_layout(model, song: LatentSong) -> None:
    """Complain of a model for the other kind of piece."""
    name = model.layout if isinstance(model.layout, str) else model.layout.name
    if name != song.layout.name:
        raise ParameterError(f"the model {model.name} reads pieces for {name}, and this is one for {song.layout.name}")


def decode_song(model, z: np.ndarray, codes: Codes, length: int) -> Chances:
    """What the model expects of a song of `length` steps from codes `z` (w, N_z) at the places of `codes`."""
    return chances(model.decode(np.asarray(z, dtype=np.float32)), codes.starts, length)


def decode_logits(model, z: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """(length, V, 130) log-probabilities, the mean of overlapping windows, for plain decoding."""
    return overlapped(model.decode(np.asarray(z, dtype=np.float32)), starts, length)
