"""Names of chords as the Weimar Jazz Database writes them.

Job
    `parse_chord` reads them; `chord_label` gives Harte's name.

Method
    A name is a root (`C`, `F#`, `Bb`), a kind (`-` minor, `j7` major seventh, `7`, `6`, `m7b5`, `o` diminished, `+`
    augmented, `sus`, `7alt`, none: major), degrees with their sign behind them (`79b13b` = 7, flat 9, flat 13), bass
    (`/Eb`); `NC` is no chord.

Source
    Weimar Jazz Database (see `data.wjazzd`); C. Harte's names as in `analysis.harte`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from spartito.analysis.harte import label_of, pitch_class
from spartito.errors import ParameterError

__all__ = ["JazzChord", "chord_label", "parse_chord"]

NO_CHORD = ("NC", "")
KINDS = {  # as written: quality (a word of `analysis.harte`) and degrees beyond it, semitones above the root
    "": ("maj", ()),
    "j7": ("maj7", ()),
    "6": ("maj6", ()),
    "7": ("7", ()),
    "7alt": ("7", (13, 15, 20)),
    "-": ("min", ()),
    "-7": ("min7", ()),
    "-6": ("min6", ()),
    "-j7": ("minmaj7", ()),
    "m7b5": ("hdim7", ()),
    "o": ("dim", ()),
    "o7": ("dim7", ()),
    "sus": ("sus4", ()),
    "sus7": ("sus4", (10,)),
    "+": ("aug", ()),
    "+7": ("7", (20,)),
    "+j7": ("maj7", (20,)),
}
DEGREES = {"9": 14, "9b": 13, "9#": 15, "11": 17, "11#": 18, "13": 21, "13b": 20}
_NAME = re.compile(
    r"([A-G][b#]?)(m7b5|-j7|-7|-6|-|j7|7alt|7|6|sus7|sus|\+j7|\+7|\+|o7|o|)((?:(?:9|11|13)[b#]?)*)(?:/([A-G][b#]?))?$"
)
_DEGREE = re.compile(r"(?:9|11|13)[b#]?")


@dataclass(frozen=True)
class JazzChord:
    """A chord as the database names it."""

    root: int  # pitch class 0..11
    quality: str  # a word of `analysis.harte`, one of those in `KINDS`
    tensions: tuple[int, ...] = ()  # semitones above the root that the name adds: 13 flat nine .. 21 thirteen; 10
    bass: int = -1  # pitch class of a bass that is not the root; -1 without


@lru_cache(maxsize=4096)
def parse_chord(name: str) -> JazzChord | None:
    """The chord of a name, None for `NC`. Raises ParameterError for what is no name of a chord."""
    if name.strip() in NO_CHORD:
        return None
    match = _NAME.match(name.strip())
    if match is None:
        raise ParameterError(f"{name!r} is not a chord of the database: write it like C-7, Bbj7, F79b or Am7b5/Eb")
    root, kind, degrees, bass = match.groups()
    quality, tensions = KINDS[kind]
    added = tuple(DEGREES[text] for text in _DEGREE.findall(degrees))
    low = pitch_class(bass) if bass else -1
    root = pitch_class(root)
    return JazzChord(root, quality, tuple(sorted({*tensions, *added})), -1 if low == root else low)


def chord_label(chord: JazzChord | None) -> str:
    """Harte's name of a chord; degrees beyond the seventh are left out."""
    return "N" if chord is None else label_of(chord.root, chord.quality, bass=chord.bass if chord.bass >= 0 else None)
