"""Long recordings in windows: constant memory, and seams that cannot be heard.

A window is a run of frames with a margin on both sides. The margins are computed and thrown away; when they are as
wide as what a network can see to either side, the result is that of one pass over the whole recording, wherever the
windows happen to lie. Before the beginning and after the end there is silence.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spartito.audio.features import FrontEnd

__all__ = ["spectrum", "windows"]


def windows(
    samples: np.ndarray, transform: FrontEnd, *, frames: int, margin: int = 0, gain: float = 1.0
) -> Iterator[tuple[int, np.ndarray]]:
    """Cut the spectrum of `samples` ((n,) float32 at the front end's rate), times `gain`, into windows.

    Yields
    ------
    first : int
        The first frame of the window, margin not counted: 0, `frames`, 2·`frames` ...
    spectrum : np.ndarray, shape=(margin + frames + margin, bins), float32
        The last window may hold fewer frames between its margins.
    """
    total = transform.frames(len(samples))
    hop = transform.hop
    reach = -(-max(window.size for window in transform.windows) // (2 * hop))  # frames under half a window
    silence = transform(np.zeros(hop, dtype=np.float32))[0] if margin else None
    for first in range(0, total, frames):
        last = min(first + frames, total)
        begin, end = first - margin, last + margin
        inside, outside = max(begin, 0), min(end, total)
        lead = min(reach, inside)
        heard = np.float32(gain) * samples[(inside - lead) * hop : (outside + reach) * hop]
        part = transform(heard)[lead : lead + outside - inside]
        if begin < inside or outside < end:
            rows = np.broadcast_to(silence, (end - begin, len(silence))).copy()
            rows[inside - begin : outside - begin] = part
            part = rows
        yield first, part


def spectrum(samples: np.ndarray, transform: FrontEnd, *, frames: int = 2048, gain: float = 1.0) -> np.ndarray:
    """(frames, bins) float32: the whole spectrum, computed window by window to spare memory."""
    parts = [part for _, part in windows(samples, transform, frames=frames, gain=gain)]
    return np.concatenate(parts) if parts else np.zeros((0, transform.bins), dtype=np.float32)
