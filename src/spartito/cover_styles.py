"""What a person may ask of an arranger that knows styles: which of them, where in the song, and how full or how high.

A style is named as the model names it (`dark`) or by its number, or section by section: `dark@1,flowing@33` is dark
from bar 1 and flowing from bar 33 on; a place with a colon or an `s` is a time, `flowing@1:05`, `flowing@65s`. Several
names without places (`dark,flowing`) or `all` are several arrangements of one song. The composers of Pop2Piano are
styles in this sense. Controls are levels by name, `density=4,pattern=walking` (`notes.attributes.CONTROLS`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spartito.errors import ParameterError
from spartito.options import parse_time

__all__ = ["ALL", "StylePlan", "parse_controls", "parse_styles"]

ALL = "all"
OWN = ("style", "melody")  # controls that are asked for otherwise
NEAR = 0.05  # seconds: a window that begins so little before a section belongs to it


@dataclass(frozen=True)
class StylePlan:
    """One style for a song, or one for each of its sections.

    Attributes
    ----------
    parts : tuple of (place, name)
        In order. A place is a number of a bar (int, the first downbeat opens bar 1) or seconds (float).
    """

    parts: tuple[tuple[int | float, str], ...]

    @classmethod
    def of(cls, name: str) -> StylePlan:
        """That style throughout."""
        return cls(((1, name),))

    @property
    def label(self) -> str:
        """How files call it: the names in the order in which they come."""
        names = [name for _, name in self.parts]
        return "-".join(name for i, name in enumerate(names) if i == 0 or name != names[i - 1]).replace(" ", "_")

    def at(self, times: np.ndarray, downbeats: np.ndarray) -> list[str]:
        """The name for each of `times` (n,) seconds in a song with these downbeats (seconds).

        What lies before the first section has its style. Raises ParameterError when the song has no such bar.
        """
        starts = []
        for place, name in self.parts:
            if isinstance(place, int) and place > len(downbeats):
                raise ParameterError(f"the song has {len(downbeats)} bars; {name}@{place} begins later")
            starts.append(downbeats[place - 1] if isinstance(place, int) else place)
        if (np.diff(starts) <= 0).any():
            raise ParameterError(f"the sections {self} do not follow one another in this song")
        index = np.searchsorted(np.array(starts) - NEAR, times, side="right") - 1
        return [self.parts[i][1] for i in np.maximum(index, 0)]

    def __str__(self) -> str:
        if len(self.parts) == 1:
            return self.parts[0][1]
        return ",".join(f"{name}@{place}{'s' * isinstance(place, float)}" for place, name in self.parts)


def parse_styles(text: str, names: Sequence[str], *, word: str = "style") -> tuple[StylePlan, ...]:
    """The arrangements that `--style` (`word`) asks for, of a model that knows `names`.

    Raises ParameterError for unknown names and for lists that mix styles with and without a place.
    """
    if not names:
        raise ParameterError(f"this model knows no {word}s; `--model tokens` does")
    if text.strip().lower() == ALL:
        return tuple(StylePlan.of(name) for name in names)
    known = {str(number): name for number, name in enumerate(names, start=1)} | {name.lower(): name for name in names}
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    parts, plain = [], []
    for entry in entries:
        name, separator, place = (piece.strip() for piece in entry.partition("@"))
        if name.lower() not in known:
            raise ParameterError(f"no {word} {name!r}: there are {', '.join(names)}; or all of them: {ALL}")
        if separator:
            parts.append((_place(place, entry), known[name.lower()]))
        else:
            plain.append(known[name.lower()])
    if parts and plain:
        raise ParameterError(f"{text!r} has {word}s with and without a place: write {plain[0]}@1 for the beginning")
    if not entries:
        raise ParameterError(f"a {word} is one of {', '.join(names)}, or {ALL}")
    return (StylePlan(tuple(parts)),) if parts else tuple(StylePlan.of(name) for name in dict.fromkeys(plain))


def parse_controls(given: str | Mapping[str, int | str] | None) -> dict[str, int]:
    """Levels by name, of `density=4,pattern=walking` or a mapping; what is 0 or "free" is left out.

    Raises ParameterError for names and levels that do not exist, and for style and melody, which have options of their
    own.
    """
    from spartito.notes.attributes import CONTROLS, control_level

    if isinstance(given, str):
        pairs = [entry.partition("=") for entry in given.split(",") if entry.strip()]
        if not pairs or not all(separator for _, separator, _ in pairs):
            raise ParameterError(f"controls are written like density=4,pattern=walking, not {given!r}")
        given = {name.strip(): value for name, _, value in pairs}
    names = [name for name in CONTROLS if name not in OWN]
    for name in given or {}:
        if name not in names:
            raise ParameterError(f"there is no control {name!r}: controls are {', '.join(names)}")
    levels = {name: control_level(name, value) for name, value in (given or {}).items()}
    return {name: level for name, level in levels.items() if level > 0}


def _place(text: str, entry: str) -> int | float:
    if re.fullmatch(r"\d+", text) and int(text) >= 1:
        return int(text)
    if ":" in text or text.endswith("s"):
        return parse_time(text.removesuffix("s"))
    raise ParameterError(f"{entry!r}: after the @ comes a bar from 1 on, or a time as in @1:05 or @65s")
