"""How well recognised chords and keys agree with annotated ones.

The measures are those of mir_eval: shares of the time, weighted by duration, for which two chords agree.

- `root`: the roots are equal.
- `majmin`: root, and major or minor; time whose annotated chord is neither is not counted.
- `sevenths`: also the seventh; only time with majors, minors and their sevenths counts.
- `seg`: how well the changes agree, whatever the names: 1 minus the larger of over- and under-segmentation.
- `key`: 1 for the right key, 0.5 a fifth above, 0.3 relative, 0.2 parallel (MIREX).
"""

from __future__ import annotations

import warnings

import numpy as np

from spartito.analysis.harte import encode, is_no_chord, spelled
from spartito.errors import MissingExtraError

__all__ = ["evaluate_chords", "key_score"]

MEASURES = ("root", "majmin", "sevenths")


def evaluate_chords(reference, estimate) -> dict[str, float]:
    """Scores of a song.

    Parameters
    ----------
    reference, estimate : sequence of Chord
        In order and without gaps; the estimate is cut or filled with `N` to the span of the reference.

    Returns
    -------
    dict
        `root`, `majmin`, `sevenths`, `seg`; nan where nothing in the reference can be compared.
    """
    try:
        import mir_eval.chord as chord
        import mir_eval.util as util
    except ImportError as error:
        raise MissingExtraError("mir_eval", extra="eval", purpose="scoring chords") from error
    times, names = _spans(reference)
    others, other_names = _spans(estimate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        others, other_names = util.adjust_intervals(others, other_names, times.min(), times.max(), "N", "N")
        merged, left, right = util.merge_labeled_intervals(times, names, others, other_names)
        lengths = util.intervals_to_durations(merged)
        scores = {}
        for name in MEASURES:
            agreement = getattr(chord, name)(left, right)
            counted = agreement >= 0
            scores[name] = float(chord.weighted_accuracy(agreement, lengths)) if counted.any() else float("nan")
        scores["seg"] = float(chord.seg(times, others))
    return scores


def _spans(chords) -> tuple[np.ndarray, list[str]]:
    names = ["N" if is_no_chord(c.label) else c.label for c in chords]
    return np.array([[c.start, c.end] for c in chords], dtype=np.float64), names


def key_score(reference: str, estimate: str) -> float:
    """Weighted score of an estimated key ("C:maj", "A:min"), 0 to 1; 0 when none is given."""
    if not reference or not estimate:
        return 0.0
    try:
        import mir_eval.key as key
    except ImportError as error:
        raise MissingExtraError("mir_eval", extra="eval", purpose="scoring keys") from error
    return float(key.weighted_score(_written(reference), _written(estimate)))


def _written(name: str) -> str:
    """ "C major" of "C:maj"."""
    root, bits, _ = encode(name)
    return f"{spelled(root)} {'minor' if bits[3] and not bits[4] else 'major'}"
