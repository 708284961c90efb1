"""How loud the music in a recording is, apart from its pauses."""

from __future__ import annotations

import numpy as np

__all__ = ["REFERENCE_DB", "music_level", "reference_gain"]

REFERENCE_DB = -26.0  # dBFS, the music level that the transcriber is fed
BLOCK = 0.4  # s
GATE_DB = 20.0  # blocks quieter than the loudest by more than this are pauses
SILENCE_DB = -80.0  # dBFS: below it there is nothing to raise


def music_level(samples: np.ndarray, rate: int) -> float:
    """Root mean square level in dBFS of the blocks (0.4 s) of `samples` (n,) within 20 dB of the loudest."""
    size = max(1, int(BLOCK * rate))
    if len(samples) == 0:
        return -np.inf
    whole = len(samples) // size * size
    blocks = samples[:whole].reshape(-1, size)
    power = np.einsum("ij,ij->i", blocks, blocks) / size  # no copy of an hour of samples
    if whole < len(samples):
        power = np.append(power, np.mean(samples[whole:] ** 2))
    loudest = power.max()
    if loudest <= 0:
        return -np.inf
    return float(10 * np.log10(power[power >= loudest * 10 ** (-GATE_DB / 10)].mean()))


def reference_gain(samples: np.ndarray, rate: int) -> np.float32:
    """The factor that brings `samples` (n,) to the reference level; 1 for silence."""
    level = music_level(samples, rate)
    return np.float32(1.0 if level < SILENCE_DB else 10 ** ((REFERENCE_DB - level) / 20))
