"""What a person types, turned into numbers: times, keys of the piano, metres, tunings, lists of formats.

The command line and the page in the browser read their fields with these, so that both understand the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from spartito.errors import ParameterError

__all__ = ["parse_choices", "parse_jobs", "parse_pitch", "parse_signature", "parse_time", "parse_tuning"]

_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ALTERATIONS = {"#": 1, "♯": 1, "s": 1, "b": -1, "♭": -1}
_PITCH = re.compile(r"([A-Ga-g])([#♯sb♭]{0,2})(-?\d)\Z")
_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)\Z")


def parse_time(text: str) -> float:
    """Seconds of `90`, `1:30`, `1:30.5` or `1:02:30`."""
    match = _TIME.match(text.strip())
    if not match:
        raise ParameterError(f"a time is written in seconds or as m:ss (90, 1:30, 1:02:30.5), not {text!r}")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    if (match[1] and minutes >= 60) or (match[2] and seconds >= 60):
        raise ParameterError(f"{text!r} is no time: minutes and seconds stay below 60")
    return 3600 * hours + 60 * minutes + seconds


def parse_pitch(text: str) -> int:
    """MIDI number of `60`, `C4`, `F#3` or `Bb2` (C4 is the middle C, 60; the piano has A0 = 21 to C8 = 108)."""
    text = text.strip()
    if text.isdecimal() and int(text) <= 127:
        return int(text)
    match = _PITCH.match(text)
    number = -1
    if match:
        step, alteration, octave = match.groups()
        number = 12 * (int(octave) + 1) + _STEPS[step.upper()] + sum(_ALTERATIONS[a] for a in alteration)
    if not 0 <= number <= 127:
        raise ParameterError(f"a key is a MIDI number (60) or a name (C4, F#3, Bb2), not {text!r}")
    return number


def parse_signature(text: str) -> tuple[int, int]:
    """Numerator and denominator of a time signature such as `3/4`."""
    match = re.fullmatch(r"\s*(\d{1,2})\s*/\s*(\d{1,2})\s*", text)
    if not match or int(match[1]) == 0 or int(match[2]) not in (1, 2, 4, 8, 16, 32):
        raise ParameterError(f"a time signature looks like 3/4 or 6/8, not {text!r}")
    return int(match[1]), int(match[2])


def parse_tuning(text: str) -> str | float | None:
    """`auto` as it is, None for `off`, or the number of cents."""
    word = text.strip().lower()
    if word == "auto":
        return "auto"
    if word in ("off", "none"):
        return None
    try:
        return float(word)
    except ValueError:
        raise ParameterError(f"a tuning is auto, off, or a number of cents such as -12, not {text!r}") from None


def parse_choices(text: str, allowed: Iterable[str], *, what: str) -> tuple[str, ...]:
    """The words of a list such as `mid,pdf` (commas or spaces between, dots in front allowed), each once."""
    allowed = tuple(allowed)
    words = tuple(dict.fromkeys(word.lstrip(".").lower() for word in re.split(r"[,\s]+", text) if word))
    unknown = [word for word in words if word not in allowed]
    if unknown or not words:
        given = ", ".join(unknown) or repr(text)
        raise ParameterError(f"{what} are {', '.join(allowed)}, not {given}")
    return words


def parse_jobs(text: str) -> int | str:
    """A number of processes, or "ray" as it is."""
    if text == "ray":
        return text
    if not (text.isdecimal() and int(text) >= 1):
        raise ParameterError(f"--jobs is a number from 1 on, or 'ray', not {text!r}")
    return int(text)
