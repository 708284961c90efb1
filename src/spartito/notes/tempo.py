"""The clock of a piece: ticks, quarter notes and seconds, with metre and key changes.

MIDI counts ticks; a tempo change says how many microseconds the following quarter notes last. Between two
changes ticks and seconds are proportional, so both conversions are one `np.searchsorted` and one line.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from spartito.errors import ParameterError

__all__ = ["DEFAULT_TICKS_PER_QUARTER", "KeySignature", "TempoMap", "TimeSignature"]

DEFAULT_TICKS_PER_QUARTER = 960  # 0.5 ms at 120 per minute
DEFAULT_TEMPO = 500_000  # microseconds per quarter note (120 per minute), what MIDI assumes when it says nothing


@dataclass(frozen=True)
class TimeSignature:
    """`numerator`/`denominator`, valid from `tick` on."""

    tick: int
    numerator: int
    denominator: int

    @property
    def quarters(self) -> float:
        """Length of one measure in quarter notes."""
        return 4.0 * self.numerator / self.denominator


@dataclass(frozen=True)
class KeySignature:
    """`fifths` sharps (negative: flats), `mode` 0 major or 1 minor, valid from `tick` on."""

    tick: int
    fifths: int
    mode: int


def _default_changes() -> np.ndarray:
    return np.array([[0, DEFAULT_TEMPO]], dtype=np.float64)


@dataclass(frozen=True)
class TempoMap:
    """Tempo, metre and key of a piece.

    Attributes
    ----------
    ticks_per_quarter : int
    changes : np.ndarray, shape=(n, 2), float64
        Tick, and microseconds per quarter note from that tick on. The first row is at tick 0.
    time_signatures : tuple of TimeSignature, may be empty (MIDI then means 4/4)
    key_signatures : tuple of KeySignature, may be empty
    """

    ticks_per_quarter: int = DEFAULT_TICKS_PER_QUARTER
    changes: np.ndarray = field(default_factory=_default_changes)
    time_signatures: tuple[TimeSignature, ...] = ()
    key_signatures: tuple[KeySignature, ...] = ()

    def __post_init__(self):
        changes = np.asarray(self.changes, dtype=np.float64).reshape(-1, 2)
        if self.ticks_per_quarter <= 0:
            raise ParameterError(f"ticks per quarter note must be positive, not {self.ticks_per_quarter}")
        if len(changes) == 0 or changes[0, 0] > 0:
            changes = np.vstack([_default_changes(), changes])
        if np.any(np.diff(changes[:, 0]) <= 0) or np.any(changes[:, 1] <= 0):
            raise ParameterError("tempo changes must come in rising order with positive tempos")
        object.__setattr__(self, "changes", changes)
        seconds_per_tick = changes[:, 1] * 1e-6 / self.ticks_per_quarter  # (n,)
        starts = np.concatenate([[0.0], np.cumsum(np.diff(changes[:, 0]) * seconds_per_tick[:-1])])
        object.__setattr__(self, "_seconds_per_tick", seconds_per_tick)
        object.__setattr__(self, "_starts", starts)  # (n,) seconds at which each change happens

    @classmethod
    def constant(cls, bpm: float = 120.0, **fields) -> TempoMap:
        """One tempo throughout, in quarter notes per minute."""
        if not bpm > 0:
            raise ParameterError(f"a tempo must be positive, not {bpm}")
        return cls(changes=np.array([[0, 60e6 / bpm]]), **fields)

    def ticks_to_seconds(self, ticks) -> np.ndarray:
        """Seconds (float64) at each tick; before tick 0 the first tempo goes on backwards."""
        ticks = np.asarray(ticks, dtype=np.float64)
        i = np.maximum(np.searchsorted(self.changes[:, 0], ticks, side="right") - 1, 0)
        return self._starts[i] + (ticks - self.changes[i, 0]) * self._seconds_per_tick[i]

    def seconds_to_ticks(self, seconds) -> np.ndarray:
        """Ticks (float64, unrounded) at each time in seconds."""
        seconds = np.asarray(seconds, dtype=np.float64)
        i = np.maximum(np.searchsorted(self._starts, seconds, side="right") - 1, 0)
        return self.changes[i, 0] + (seconds - self._starts[i]) / self._seconds_per_tick[i]

    def seconds_to_quarters(self, seconds) -> np.ndarray:
        """Position in quarter notes (float64) at each time in seconds."""
        return self.seconds_to_ticks(seconds) / self.ticks_per_quarter

    def quarters_to_seconds(self, quarters) -> np.ndarray:
        """Seconds (float64) at each position in quarter notes."""
        return self.ticks_to_seconds(np.asarray(quarters, dtype=np.float64) * self.ticks_per_quarter)

    def __eq__(self, other) -> bool:
        if not isinstance(other, TempoMap):
            return NotImplemented
        return (
            self.ticks_per_quarter == other.ticks_per_quarter
            and np.array_equal(self.changes, other.changes)
            and self.time_signatures == other.time_signatures
            and self.key_signatures == other.key_signatures
        )
