"""`Audio`: a recording in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spartito.errors import AudioError

__all__ = ["Audio"]


@dataclass(frozen=True, eq=False)
class Audio:
    """Samples and their rate.

    Attributes
    ----------
    samples : np.ndarray, shape=(channels, n), float32
        Nominally within [-1, 1].
    rate : int
        Hertz.
    title, artist : str
        From the file's tags; empty when unknown.
    """

    samples: np.ndarray
    rate: int
    title: str = ""
    artist: str = ""

    def __post_init__(self):
        samples = np.asarray(self.samples, dtype=np.float32)
        if samples.ndim == 1:
            samples = samples[None]
        if samples.ndim != 2:
            raise AudioError(f"samples of shape (channels, n) are needed, not {samples.shape}")
        if self.rate <= 0:
            raise AudioError(f"a sample rate must be positive, not {self.rate}")
        object.__setattr__(self, "samples", samples)

    @property
    def channels(self) -> int:
        return self.samples.shape[0]

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.samples.shape[1] / self.rate

    def mono(self) -> np.ndarray:
        """(n,) float32, the mean of all channels."""
        return self.samples[0] if self.channels == 1 else self.samples.mean(axis=0)
