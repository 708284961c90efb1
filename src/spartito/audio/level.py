"""How loud the music in a recording is, apart from its pauses."""

from __future__ import annotations

import numpy as np

__all__ = ["REFERENCE_DB", "music_level", "to_reference"]

REFERENCE_DB = -26.0  # dBFS, the music level that the transcriber is fed
BLOCK = 0.4  # s
GATE_DB = 20.0  # blocks quieter than the loudest by more than this are pauses
SILENCE_DB = -80.0  # dBFS: below it there is nothing to raise


def music_level(samples: np.ndarray, rate: int) -> float:
    """Root mean square level in dBFS of the blocks (0.4 s) of `samples` (n,) within 20 dB of the loudest."""
    size = max(1, int(BLOCK * rate))
    if len(samples) == 0:
        return -np.inf
    edges = np.arange(0, len(samples), size)
    power = np.add.reduceat(samples.astype(np.float32) ** 2, edges) / np.diff(np.append(edges, len(samples)))
    loudest = power.max()
    if loudest <= 0:
        return -np.inf
    return float(10 * np.log10(power[power >= loudest * 10 ** (-GATE_DB / 10)].mean()))


def to_reference(samples: np.ndarray, rate: int) -> tuple[np.ndarray, float]:
    """`samples` brought to the reference level, and the gain in dB; silence stays as it is."""
    level = music_level(samples, rate)
    if level < SILENCE_DB:
        return samples, 0.0
    gain = REFERENCE_DB - level
    return samples * np.float32(10 ** (gain / 20)), gain
