"""Chord names in Harte's notation: `C:maj7`, `A:min/b3`, `G:sus4(b7)`, `N` for no chord.

Job
    Read such names into numbers (root, pitch classes, bass), write them from numbers, transpose them; give each beat
    the chord that covers it.

Source
    C. Harte, M. Sandler, S. Abdallah, E. Gómez, 'Symbolic representation of musical chords' (ISMIR 2005). The numbers
    are those of `mir_eval.chord.encode`: pitch classes relative to the root, degrees beyond the octave set no bit, the
    bass sets its own. `X` (a chord nobody could name) counts as `N` here.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from spartito.errors import ParameterError

__all__ = [
    "NO_CHORD",
    "QUALITIES",
    "absolute",
    "chord_table",
    "encode",
    "is_no_chord",
    "label_of",
    "nearest_chord_table",
    "pitch_class",
    "spelled",
    "transpose",
]

NO_CHORD = "N"

QUALITIES: dict[str, tuple[int, ...]] = {
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
    "minmaj7": (0, 3, 7, 11),
    "maj6": (0, 4, 7, 9),
    "min6": (0, 3, 7, 9),
    "dim7": (0, 3, 6, 9),
    "hdim7": (0, 3, 6, 10),
    "1": (0,),
    "5": (0, 7),
    # the degrees beyond the octave are left out, as in mir_eval
    "9": (0, 4, 7, 10),
    "b9": (0, 4, 7, 10),
    "#9": (0, 4, 7, 10),
    "maj9": (0, 4, 7, 11),
    "min9": (0, 3, 7, 10),
    "11": (0, 4, 7, 10),
    "#11": (0, 4, 7, 10),
    "maj11": (0, 4, 7, 11),
    "min11": (0, 3, 7, 10),
    "13": (0, 4, 7, 10),
    "b13": (0, 4, 7, 10),
    "maj13": (0, 4, 7, 11),
    "min13": (0, 3, 7, 10),
}
"""Semitones above the root of each shorthand."""

_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_DEGREES = {1: 0, 2: 2, 3: 4, 4: 5, 5: 7, 6: 9, 7: 11}
_FLAT_NAMES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
_SHARP_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_MIXED_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")  # no key known: the commoner name
_SHARP_KEYS = frozenset({("maj", pc) for pc in (7, 2, 9, 4, 11)} | {("min", pc) for pc in (4, 11, 6, 1, 8)})
_PATTERN = re.compile(r"([A-Ga-g])([b#]*)(?::([^(/]*)(?:\(([^)]*)\))?)?(?:\(([^)]*)\))?(?:/(.+))?$")


def is_no_chord(label: str) -> bool:
    """True for `N`, `X` and an empty name."""
    return label.strip() in ("", "N", "X")


def pitch_class(name: str) -> int:
    """0-11 (C = 0) of a note name such as `Bb` or `F##`."""
    letter, signs = name[:1].upper(), name[1:]
    if letter not in _LETTERS or signs.strip("b#"):
        raise ParameterError(f"{name!r} is not the name of a note: write it like C, F# or Bb")
    return (_LETTERS[letter] + signs.count("#") - signs.count("b")) % 12


def _degree(text: str, label: str) -> int:
    """Semitones above the root of a degree such as `b7` or `9`; 12 and more for those beyond the octave."""
    number = text.lstrip("b#")
    if not number.isdigit() or not 1 <= int(number) <= 13:
        raise ParameterError(f"{label!r}: {text!r} is not a degree; write it like 3, b7 or #11")
    octave, degree = divmod(int(number) - 1, 7)
    signs = text[: len(text) - len(number)]
    return _DEGREES[degree + 1] + 12 * octave + signs.count("#") - signs.count("b")


@lru_cache(maxsize=4096)
def _parsed(label: str) -> tuple[int, tuple[int, ...], int]:
    """Root (-1 none), semitones above it within the octave, bass above it (-1 none)."""
    text = label.strip()
    if is_no_chord(text):
        return -1, (), -1
    match = _PATTERN.match(text)
    quality = (match.group(3) or "") if match else None
    if match is None or (quality and quality not in QUALITIES):
        known = "maj, min, 7, maj7, min7, dim, aug, sus4 ..."
        raise ParameterError(
            f"{label!r} is not a chord name: write root:quality, as in C:maj or F#:min7 ({known}), or N"
        )
    extra = match.group(4) or match.group(5) or ""
    root = pitch_class(match.group(1) + match.group(2))
    intervals = set(QUALITIES[quality]) if quality else ({0} if extra else {0, 4, 7})
    for item in filter(None, (part.strip() for part in extra.split(","))):
        semitones = _degree(item.lstrip("*"), label)
        if item.startswith("*"):
            intervals.discard(semitones % 12)
        elif semitones < 12:
            intervals.add(semitones % 12)
    bass = _degree(match.group(6).strip(), label) % 12 if match.group(6) else 0
    return root, tuple(sorted(intervals | {bass})), bass


def encode(label: str) -> tuple[int, np.ndarray, int]:
    """Root 0-11, (12,) int bits of the pitch classes above the root, and the bass above the root.

    `N` gives -1, zeros, -1. Raises ParameterError for what is no chord name.
    """
    root, intervals, bass = _parsed(label)
    bits = np.zeros(12, dtype=np.int64)
    bits[list(intervals)] = 1
    return root, bits, bass


def absolute(label: str) -> tuple[int, np.ndarray, int]:
    """Root, (12,) bits of the sounding pitch classes (C first) and bass pitch class; -1, zeros, -1 for `N`."""
    root, bits, bass = encode(label)
    return (root, np.roll(bits, root), (root + bass) % 12) if root >= 0 else (-1, bits, -1)


def spelled(pitch: int, *, key: str = "") -> str:
    """Name of a pitch class, with the accidentals of `key` ("A:min") when one is given."""
    if not key or is_no_chord(key):
        return _MIXED_NAMES[pitch % 12]
    root, bits, _ = encode(key)
    sharps = ("min" if bits[3] else "maj", root) in _SHARP_KEYS
    return (_SHARP_NAMES if sharps else _FLAT_NAMES)[pitch % 12]


def label_of(root: int, quality: str = "maj", *, bass: int | None = None, key: str = "") -> str:
    """Name of a chord.

    Parameters
    ----------
    root : 0-11, or -1 for no chord
    quality : one of `QUALITIES`
    bass : pitch class 0-11 of the lowest note where it is not the root
    key : spells the root, as in `spelled`
    """
    if root < 0:
        return NO_CHORD
    if quality not in QUALITIES:
        raise ParameterError(f"{quality!r} is not a quality of chords; there are {', '.join(QUALITIES)}")
    name = f"{spelled(root, key=key)}:{quality}"
    if bass is None or bass % 12 == root % 12:
        return name
    degrees = ("1", "b2", "2", "b3", "3", "4", "b5", "5", "b6", "6", "b7", "7")
    return f"{name}/{degrees[(bass - root) % 12]}"


def transpose(label: str, semitones: int, *, key: str = "") -> str:
    """The same chord higher or lower; quality and bass degree stay as they are written."""
    root = _parsed(label)[0]
    if root < 0:
        return NO_CHORD
    text = label.strip()
    written = re.match(r"[A-Ga-g][b#]*", text).group()
    return spelled(root + semitones, key=key) + text[len(written) :]


# -- chords on beats ------------------------------------------------------------------------------------------


def _rows(labels, no_bass: int) -> np.ndarray:
    """(chords + 1, 14) int: root, 12 bits of the sounding pitch classes, bass of each; the last row is no chord."""
    rows = [np.concatenate([[root], bits, [bass]]) for root, bits, bass in (absolute(str(name)) for name in labels)]
    rows = np.array([*rows, [-1] + 12 * [0] + [-1]], dtype=np.int64)
    rows[rows[:, 0] < 0, 13] = no_bass
    return rows


def chord_table(times: np.ndarray, starts, ends, labels, *, no_bass: int = -1) -> np.ndarray:
    """(beats, 14) int: root, 12 bits of the sounding pitch classes, bass of the chord in the middle of each beat.

    `times` (beats,) seconds, the last beat as long as the one before; chords rise and hold from `starts` to `ends`
    (chords,) seconds. Without chord, or with `N`, the root is -1 and the bass `no_bass`.
    """
    middle = times + 0.5 * np.append(np.diff(times), times[-1] - times[-2])
    index = np.searchsorted(starts, middle, side="right") - 1
    inside = (index >= 0) & (middle < np.append(ends, -np.inf)[index])
    return _rows(labels, no_bass)[np.where(inside, index, len(labels))]


def nearest_chord_table(times: np.ndarray, starts, ends, labels, *, no_bass: int = -1) -> np.ndarray:
    """(rows, 14) int as the original A2S has it: chords begin and end on the nearest of the `times` (rows,) seconds.

    A row takes the chord that begins nearest to it among those that touch it, of equally near ones the first. The
    original fails where there is none; here that row has no chord, like `N`: root -1, bass `no_bass`.
    """
    table = _rows(labels, no_bass)
    if len(labels) == 0:
        return np.repeat(table, len(times), axis=0)
    # of two times equally near the earlier
    start, end = (times[np.abs(np.asarray(edge)[:, None] - times).argmin(axis=1)] for edge in (starts, ends))
    away = np.abs(start - times[:, None])  # (rows, chords) s
    away[(start > times[:, None]) | (end < times[:, None])] = np.inf
    return table[np.where(np.isfinite(away.min(axis=1)), away.argmin(axis=1), len(labels))]
