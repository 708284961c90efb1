"""Jazz made up for tests."""

from __future__ import annotations

import numpy as np

from spartito.notes.notes import Notes

ROOTS = (2, 7, 0, 9)  # ii V I VI, one per bar


def swung(*, tempo: float = 140.0, bars: int = 32, start: float = 1.0, spread: float = 0.008, beats: int = 4):
    """Root on one and three, guide tones on the Charleston, a line in swung quavers: notes, and the times of beats."""
    rng = np.random.default_rng(3)
    beat, rows = 60.0 / tempo, []
    for bar in range(bars):
        root = ROOTS[bar % 4]
        for place in range(0, beats, 2):
            rows.append((beats * bar + place, 1.8, 36 + root % 12))
        for place in (0.0, 1 + 2 / 3):
            rows += [(beats * bar + place, 0.6, 52 + (root + step) % 12) for step in (4, 10)]
        for quaver in range(2 * beats):
            at = quaver // 2 + (2 / 3 if quaver % 2 else 0.0)
            if rng.random() < 0.8:
                rows.append((beats * bar + at, 0.5, 64 + (root + int(rng.choice([0, 2, 4, 7, 10]))) % 12))
    place, length, pitch = np.array(rows).T
    onset = start + beat * place + rng.normal(0, spread, len(place))
    times = start + beat * np.arange(beats * bars)
    return Notes.from_arrays(onset, onset + beat * length, pitch.astype(int), 70), times
