"""Styles of piano covers: clusters of measurable attributes, and what an example asks for.

Job
    A `Styles` knows some ways to arrange a song, each the centre of a cluster of songs in the measures of
    `notes.attributes` (`training/styles.py` finds them), with a name made of the words that tell it from the others.
    `controls_like` measures any piano cover and says which controls ask for one like it.

Method
    An arrangement is cut into two-bar windows from its first downbeat on, on the beats that are given, its own (a MIDI
    file that keeps to its clock) or those found in its notes. Density, register, polyphony and difficulty are the
    medians over the windows of their levels, the pattern of the left hand the one most windows have, if it is a third
    of them; the style is the nearest centre.

Limits
    Densities are per beat. An example whose beats were felt twice as fast is half as dense.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spartito.analysis.beats import Beats, beats_from_tempo_map, estimate_beats
from spartito.errors import NotesError, ParameterError
from spartito.notes.attributes import (
    CONTROLS,
    FREE,
    LEFT_HAND,
    PATTERNS,
    RIGHT_HAND,
    STEPS,
    VECTOR,
    WINDOW,
    controls_of_windows,
    measures_of_windows,
    vector_of,
    windows_of_piece,
)
from spartito.notes.hands import RIGHT
from spartito.notes.notes import Notes
from spartito.notes.two_hands import piano_in_two_hands

__all__ = ["Styles", "controls_like", "grid_notes", "named", "piece_windows"]

COMMON = 1 / 3  # share of the windows that must have the pattern an example asks for
CLEAR = 0.5  # standard deviations from the mean: what lies nearer tells nothing
WORDS = {  # of each measure where it is low and where it is high
    "density": ("sparse", "dense"),
    "rhythm": ("slow", "flowing"),
    "register": ("dark", "bright"),
    "polyphony": ("thin", "full"),
    "spread": ("close", "wide"),
    "sustain": ("short", "sustained"),
    "syncopation": ("even", "syncopated"),
    "doubling": ("single notes", "octave melody"),
    "left rate": ("calm bass", "busy bass"),
    "block": ("", "block chords"),
    "broken": ("mixed", "broken chords"),
    "octave bass": ("", "octave bass"),
    "stride": ("", "stride"),
    "walking": ("", "walking bass"),
    "sustained": ("", "still bass"),
}


@dataclass(frozen=True, eq=False)
class Styles:
    """Ways to arrange a song; a style is told by its number, 1 to len(styles), or its name.

    Attributes
    ----------
    names : tuple of str
    centres : np.ndarray, shape=(styles, len(VECTOR))
        In standard deviations from `mean`.
    mean, spread : np.ndarray, shape=(len(VECTOR),)
        Of the songs the styles were found in.
    """

    names: tuple[str, ...]
    centres: np.ndarray
    mean: np.ndarray
    spread: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    def to_dict(self) -> dict:
        """Plain values for JSON."""
        columns = {name: getattr(self, name).round(4).tolist() for name in ("centres", "mean", "spread")}
        return {"names": list(self.names), "measures": list(VECTOR), **columns}

    @classmethod
    def from_dict(cls, fields: dict) -> Styles:
        """The inverse of `to_dict`. Raises ParameterError for styles of other measures."""
        if tuple(fields.get("measures", ())) != VECTOR:
            raise ParameterError("these styles were found with other measures than this version knows")
        columns = (np.array(fields[name], dtype=np.float64) for name in ("centres", "mean", "spread"))
        return cls(tuple(fields["names"]), *columns)

    def number(self, name: str | int) -> int:
        """1..len of a style by its name or number."""
        text = "-".join(str(name).lower().split())
        if text in self.names:
            return self.names.index(text) + 1
        if text.isdigit() and 1 <= int(text) <= len(self):
            return int(text)
        raise ParameterError(f"the styles are {', '.join(self.names)} (or 1 to {len(self)}), not {name!r}")

    def nearest(self, vector: np.ndarray) -> int:
        """1..len of the style nearest to a song's `vector` ((len(VECTOR),), `song_vector`); 0 for a song of nothing."""
        away = self.distances(vector)
        return FREE if np.isnan(away).any() else int(np.argmin(away)) + 1

    def distances(self, vector: np.ndarray) -> np.ndarray:
        """(len,) standard deviations from a `vector` to each style, root mean square; nan for a song of nothing."""
        away = (np.asarray(vector, dtype=np.float64) - self.mean) / self.spread - self.centres
        return np.sqrt((away**2).mean(axis=1))

    def describe(self, number: int) -> str:
        """What tells a style from the mean of all, the clearest first: words for measures."""
        return ", ".join(_words(self.centres[number - 1])) or "like most songs"


def _words(centre: np.ndarray) -> list[str]:
    order = np.argsort(-np.abs(centre), kind="stable")
    words = [WORDS[VECTOR[i]][int(centre[i] > 0)] for i in order if abs(centre[i]) >= CLEAR]
    return [word for word in words if word]


def named(styles: Styles) -> Styles:
    """The same styles with names of their clearest words; as many words as keep the names apart."""
    words = [_words(centre) or ["usual"] for centre in styles.centres]
    names: list[str] = []
    for own in words:
        length = 1
        while length < len(own) and any(own[:length] == other[:length] for other in words if other is not own):
            length += 1
        name = "-".join(own[:length]).replace(" ", "-")  # it becomes part of file names
        names.append(name if name not in names else f"{name}-{len(names) + 1}")
    return replace(styles, names=tuple(names))


# -- an example -----------------------------------------------------------------------------------------------------


def grid_notes(notes: Notes, beats: Beats | None = None) -> np.ndarray:
    """(k, 5) int of a piano piece: step from its first downbeat (negative before it), duration, pitch, velocity, hand.

    Steps are quarters of a quarter note. `beats` when missing: the clock of the file if the notes keep to it, else
    those found in the notes. Drums are left out; of notes on one step and key the longest stays. A key that is let go
    while the pedal holds its note lasts to the next stroke of its hand at most, as a score would write it.
    """
    hands = piano_in_two_hands(notes)
    if len(hands) == 0:
        return np.zeros((0, 5), dtype=np.int64)
    if beats is None:
        beats = beats_from_tempo_map(hands)
        beats = estimate_beats(hands) if beats is None else beats
    first = beats.quarters[np.argmax(beats.positions == 0)]
    onset, end, heard = (
        np.floor(STEPS * (beats.to_quarters(times) - first) + 0.5).astype(np.int64)
        for times in (hands.onset, hands.offset, hands.sounding().offset)
    )
    hand = np.where(hands.array["track"] == RIGHT, RIGHT_HAND, LEFT_HAND)
    for own in (hand == LEFT_HAND, hand == RIGHT_HAND):
        strokes = np.append(np.unique(onset[own]), np.iinfo(np.int64).max)
        following = strokes[np.searchsorted(strokes, onset[own], side="right")]
        end[own] = np.maximum(end[own], np.minimum(heard[own], following))
    table = np.column_stack([onset, np.maximum(end - onset, 1), hands.pitch, hands.velocity, hand])
    table = table[np.lexsort((-table[:, 1], table[:, 2], table[:, 0]))]
    other = np.any(np.diff(table[:, [0, 2]], axis=0) != 0, axis=1)
    return table[np.concatenate([[True], other])]


def piece_windows(notes: Notes, beats: Beats | None = None) -> tuple[np.ndarray, np.ndarray, int, int]:
    """A piano piece in two-bar windows from its first downbeat on, a pick-up in one before: see `windows_of_piece`."""
    table = grid_notes(notes, beats)
    table[:, 0] -= min(int(table[:, 0].min(initial=0)) // WINDOW * WINDOW, 0)
    return windows_of_piece(table, int(table[:, 0].max(initial=0)) + 1)


def controls_like(notes: Notes, beats: Beats | None = None, *, styles: Styles | None = None) -> dict[str, int]:
    """The controls that ask for a cover like this one: name -> level, only those that can be told.

    Parameters
    ----------
    notes : Notes
        Any piano piece; drums are left out, hands are found where they are not named.
    beats : Beats, optional
        See `grid_notes`.
    styles : Styles, optional
        Adds "style", the nearest one.

    Raises
    ------
    NotesError
        When there is no note that could be measured.
    """
    cut = piece_windows(notes, beats)
    if len(cut[0]) == 0:
        raise NotesError("the example has no notes of a piano: there is nothing to be like")
    levels = controls_of_windows(*cut)
    levels = levels[levels[:, list(CONTROLS).index("density")] > FREE]
    wanted: dict[str, int] = {}
    if styles is not None:
        wanted["style"] = styles.nearest(vector_of(measures_of_windows(*cut)))
    for column, name in enumerate(CONTROLS):
        values = levels[:, column]
        if name == "pattern":
            count = np.bincount(values, minlength=len(PATTERNS) + 1)[1:]
            wanted[name] = 1 + int(np.argmax(count)) if count.max() >= COMMON * len(values) else FREE
        elif (values > FREE).any():
            wanted[name] = int(np.median(values[values > FREE]) + 0.5)
    return {name: level for name, level in wanted.items() if level > FREE}
