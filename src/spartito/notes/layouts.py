"""What the tracks of a window are: a band of four, or a piano of several voices.

Job
    Everything about states (`notes/four_tracks.py`), their attributes, the network and its training works on a row of
    tracks, each with one note at a time. A `Layout` says which tracks those are, so that a band and a piano piece go
    the same way.

Method
    `BAND` are the four tracks of A. Valenti, A. Carta, D. Bacciu (ECAI 2020). `PIANO` is ours: the voices of the right
    hand from the top, then those of the left hand from the bottom (`notes/voices.py`), since tune and bass are what a
    piece is known by, and so are always in the same row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spartito.errors import ParameterError

__all__ = ["BAND", "LAYOUTS", "PIANO", "Layout", "layout_of"]


@dataclass(frozen=True)
class Layout:
    """Names and kinds of the tracks of a window, in their order.

    Attributes
    ----------
    pick : of each track, which of several notes that sound is written: lowest, highest or loudest
    drums : tracks whose states are drums, not pitches
    upper : tracks that pitch and range are measured on: those that may have the tune
    sections : of each track, the instrument or hand it belongs to; tracks of one section are voices of it
    together : silence is that of all tracks together, because they are one instrument
    """

    name: str
    tracks: tuple[str, ...]
    pick: tuple[str, ...]
    drums: tuple[int, ...]
    upper: tuple[int, ...]
    sections: tuple[int, ...]
    together: bool = False

    def __len__(self) -> int:
        return len(self.tracks)

    @property
    def pitched(self) -> np.ndarray:
        """(tracks,) bool"""
        return ~np.isin(np.arange(len(self)), self.drums)

    def members(self) -> list[list[int]]:
        """The tracks of each section."""
        return [[i for i, s in enumerate(self.sections) if s == number] for number in sorted(set(self.sections))]


BAND = Layout(
    name="band",
    tracks=("drums", "bass", "guitar", "strings"),
    pick=("lowest", "lowest", "highest", "highest"),
    drums=(0,),
    upper=(2, 3),
    sections=(0, 1, 2, 3),
)


def _piano(right: int, left: int) -> Layout:
    return Layout(
        name="piano",
        tracks=(*(f"rh{i + 1}" for i in range(right)), *(f"lh{i + 1}" for i in range(left))),
        pick=("highest",) * right + ("lowest",) * left,
        drums=(),
        upper=tuple(range(right)),
        sections=(0,) * right + (1,) * left,
        together=True,
    )


PIANO = _piano(right=3, left=3)
LAYOUTS = {layout.name: layout for layout in (BAND, PIANO)}


def layout_of(name: str) -> Layout:
    """A layout by its name."""
    if name not in LAYOUTS:
        raise ParameterError(f"a layout is one of {', '.join(LAYOUTS)}, not {name!r}")
    return LAYOUTS[name]
