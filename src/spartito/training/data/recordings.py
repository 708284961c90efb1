"""What every data set is reduced to: recordings with labels, a composition, and a split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Recording", "share_of"]


@dataclass(frozen=True)
class Recording:
    """One recording with its labels."""

    name: str
    audio: Path
    labels: Path  # MIDI, or a table that `read_csv` knows
    composition: str
    split: str  # train, validation or test
    pedal_known: bool  # whether the labels hold the sustain pedal apart from the notes


def share_of(name: str) -> float:
    """A number in [0, 1) that depends on the name alone: the same split on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
