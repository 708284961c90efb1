"""How well tracked beats and downbeats agree with annotated ones.

The measures are those of mir_eval, which cites their sources, with one difference: the first five seconds, which its
`trim_beats` leaves out after the MIREX habit, are scored here, since bars from the very start are what a score needs.

- F1 counts beats within 70 ms.
- CMLt is the share of beats in correctly tracked stretches at the annotated metrical level, AMLt at twice or half of it
  and on the off-beat too. A tracker that taps eighths scores well in AMLt only.
"""

from __future__ import annotations

import numpy as np

from spartito.errors import MissingExtraError

__all__ = ["beat_f1", "evaluate_beats"]


def _mir_eval():
    try:
        import mir_eval.beat
    except ImportError as error:
        raise MissingExtraError("mir_eval", extra="eval", purpose="scoring beats") from error
    return mir_eval.beat


def beat_f1(reference, estimate) -> float:
    """F1 of beat times (n,) against annotated ones (m,), seconds; 0 when either is empty but not both."""
    reference, estimate = np.asarray(reference, dtype=np.float64), np.asarray(estimate, dtype=np.float64)
    if len(reference) == 0 or len(estimate) == 0:
        return float(len(reference) == len(estimate))
    return float(_mir_eval().f_measure(reference, estimate))


def evaluate_beats(reference, estimate) -> dict[str, float]:
    """Scores of a song.

    Parameters
    ----------
    reference, estimate : Beats
        With `times` (n,) and `downbeats` (bars,) in seconds.

    Returns
    -------
    dict
        `beat_f1`, `downbeat_f1`, `cmlt`, `amlt`, and `metre`: share of the annotated bars that hold as many beats as
        the estimated bar at the same time.
    """
    beat = _mir_eval()
    scores = {
        "beat_f1": beat_f1(reference.times, estimate.times),
        "downbeat_f1": beat_f1(reference.downbeats, estimate.downbeats),
        "cmlt": 0.0,
        "amlt": 0.0,
        "metre": _metre_share(reference, estimate),
    }
    if len(reference.times) > 1 and len(estimate.times) > 1:
        _, cmlt, _, amlt = beat.continuity(reference.times, estimate.times)
        scores |= {"cmlt": float(cmlt), "amlt": float(amlt)}
    return scores


def _metre_share(reference, estimate) -> float:
    """Share of the annotated bars whose number of beats is that of the estimated bar around their middle."""
    wanted, found = np.flatnonzero(reference.positions == 0), np.flatnonzero(estimate.positions == 0)
    if len(wanted) < 2 or len(found) < 2:
        return 0.0
    middle = (reference.times[wanted[:-1]] + reference.times[wanted[1:]]) / 2
    bar = np.searchsorted(estimate.times[found], middle, side="right") - 1
    inside = (bar >= 0) & (bar < len(found) - 1)
    sizes = np.diff(found)[np.clip(bar, 0, len(found) - 2)]
    return float(np.mean(inside & (sizes == np.diff(wanted))))
