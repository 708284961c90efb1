"""How close a transcription is to what was played.

All counts rest on mir_eval's maximum bipartite matching. Two notes can only meet on the same key, so the
matching is asked for key by key: the same matching (a test holds scores within 1e-9 of mir_eval's own on
whole pieces), without its matrices of all notes against all notes, which take 0.8 GB each for ten
thousand notes.

Conventions (each is a known source of wrong comparisons):

* The reference is taken as it *sounds*: its notes last until the sustain pedal rises or the key is struck
  again. An estimate is treated alike when it has a pedal; without one its notes are scored as they stand.
* Velocities are MIDI integers. mir_eval scales the reference by max(1, range), so values in 0..1 would be
  judged 13 times too kindly.
* `frame` draws the notes of both sides on a roll of 31.25 frames per second (32 ms), as magenta and
  jongwook do; others threshold probabilities at 100 per second or measure overlap in continuous time,
  which is not comparable.
* Scores are made per piece; a folder's score is the unweighted mean over its pieces.
* An empty side scores 0, with a warning, never NaN; notes of no length are left out.

Sources: C. Raffel et al., "mir_eval: a transparent implementation of common MIR metrics", ISMIR 2014;
C. Hawthorne et al., "Onsets and Frames", ISMIR 2018 (note metrics with velocity); S. Dixon, "On the computer
recognition of solo piano music", ACMC 2000 (accuracy); Q. Kong et al., "High-resolution piano
transcription with pedals", TASLP 2021 (pedal tolerances as its code has them).
"""

from __future__ import annotations

import warnings

import numpy as np

from spartito.errors import MissingExtraError, ParameterError
from spartito.notes.notes import Notes

__all__ = ["as_scored", "dixon_accuracy", "evaluate_transcription", "frame_counts", "match_notes"]

ONSET_TOLERANCE = 0.05  # seconds, MIREX
OFFSET_RATIO = 0.2  # of the reference note's length, MIREX; never less than 50 ms
OFFSET_MIN_TOLERANCE = 0.05  # seconds
VELOCITY_TOLERANCE = 0.1  # of the velocity range of the piece (Hawthorne 2018)
WIDE_TOLERANCE, NARROW_TOLERANCE = 0.1, 0.02  # seconds, reported beside the usual 50 ms
FRAME_SECONDS = 512 / 16000  # 31.25 frames per second
HIGH_PITCH = 84  # MIDI number of C6; "high" is above it
PEDAL_ONSET_TOLERANCE = 0.2  # seconds (code of Kong 2021; its text says 0.05)


# -- one piece ------------------------------------------------------------------------------------------


def evaluate_transcription(
    reference: Notes, estimate: Notes, *, reference_times: str = "exact", seconds: float | None = None
) -> dict[str, float]:
    """Scores of `estimate` against `reference`.

    Parameters
    ----------
    reference, estimate : Notes
        What was played and what was heard. Pedals are applied here (`Notes.sounding`); do not do it twice.
    reference_times : "exact" or "jongwook"
        "jongwook" first draws the reference on the 32 ms roll of jongwook's labels and decodes it with
        jongwook's rule, as that repository's own evaluation does. Only to compare with figures made that
        way.
    seconds : float, optional
        Length of the recording, for rates per minute; the end of the reference when not given.

    Returns
    -------
    dict of str to float
        `<metric>_precision`, `_recall`, `_f1` in 0..1 for the metrics `note` (onset within 50 ms),
        `note_with_offset`, `note_with_velocity`, `note_with_offset_and_velocity`, `note_100ms`, `note_20ms`,
        `frame` (31.25 per second), and, when both sides have a pedal, `pedal` (200 ms) and
        `pedal_with_offset`; `frame_accuracy` (Dixon); `false_high_notes_per_minute` (above MIDI 84);
        `onset_error_median_ms` (signed, estimate minus reference, of notes matched within 100 ms) and
        `onset_error_absolute_median_ms`; `note_aligned_f1`, `note_with_offset_aligned_f1`,
        `note_with_offset_and_velocity_aligned_f1`: after moving the estimate back by
        `onset_error_median_ms`; `reference_notes`, `estimate_notes`.

    Raises
    ------
    MissingExtraError
        When mir_eval is not installed.
    """
    reference, estimate = as_scored(reference, estimate, reference_times)
    for side, notes in (("reference", reference), ("estimate", estimate)):
        if len(notes) == 0:
            warnings.warn(f"the {side} has no notes: all note scores are 0", stacklevel=2)
    if seconds is None:
        seconds = max(reference.duration or estimate.duration, FRAME_SECONDS)

    scores: dict[str, float] = {}
    near = match_notes(reference, estimate)
    ended = match_notes(reference, estimate, offset_ratio=OFFSET_RATIO)
    wide = match_notes(reference, estimate, onset_tolerance=WIDE_TOLERANCE)
    narrow = match_notes(reference, estimate, onset_tolerance=NARROW_TOLERANCE)
    matchings = {
        "note": near,
        "note_with_offset": ended,
        "note_with_velocity": _close_in_velocity(near, reference, estimate),
        "note_with_offset_and_velocity": _close_in_velocity(ended, reference, estimate),
        "note_100ms": wide,
        "note_20ms": narrow,
    }
    for name, matching in matchings.items():
        scores |= _scores(name, len(matching), len(reference), len(estimate))

    true_positives, false_positives, false_negatives = frame_counts(reference, estimate)
    scores |= _scores("frame", true_positives, true_positives + false_negatives, true_positives + false_positives)
    scores["frame_accuracy"] = _accuracy(true_positives, false_positives, false_negatives)

    high = estimate.pitch > HIGH_PITCH
    high_found = int(high[near[:, 1]].sum())
    scores["false_high_notes_per_minute"] = (int(high.sum()) - high_found) / (seconds / 60)

    error = estimate.onset[wide[:, 1]] - reference.onset[wide[:, 0]]
    lag = float(np.median(error)) if len(error) else 0.0
    scores["onset_error_median_ms"] = 1000 * lag
    scores["onset_error_absolute_median_ms"] = 1000 * float(np.median(np.abs(error))) if len(error) else 0.0
    aligned = estimate.shifted(-lag)
    near = match_notes(reference, aligned)
    ended = match_notes(reference, aligned, offset_ratio=OFFSET_RATIO)
    matchings = {
        "note_aligned": near,
        "note_with_offset_aligned": ended,
        "note_with_offset_and_velocity_aligned": _close_in_velocity(ended, reference, aligned),
    }
    for name, matching in matchings.items():
        scores[f"{name}_f1"] = _scores(name, len(matching), len(reference), len(estimate))[f"{name}_f1"]

    scores |= _pedal_scores(reference.pedal, estimate.pedal)
    scores["reference_notes"], scores["estimate_notes"] = float(len(reference)), float(len(estimate))
    return scores


def match_notes(
    reference: Notes,
    estimate: Notes,
    *,
    onset_tolerance: float = ONSET_TOLERANCE,
    offset_ratio: float | None = None,
) -> np.ndarray:
    """(k, 2) indices of matched notes (reference, estimate), a maximum matching by mir_eval's rules.

    Same key, onsets within `onset_tolerance` seconds, and with `offset_ratio` also offsets within that
    part of the reference note's length or 50 ms, whichever is more. Differences are rounded to 0.1 ms
    before comparing.
    """
    transcription = _mir_eval().transcription
    ours, theirs = _intervals(reference), _intervals(estimate)
    pairs = [np.zeros((0, 2), dtype=np.int64)]
    for key in np.intersect1d(reference.pitch, estimate.pitch):
        r, e = np.flatnonzero(reference.pitch == key), np.flatnonzero(estimate.pitch == key)
        matching = transcription.match_notes(
            ours[r],
            np.ones(len(r)),  # one key at a time: any one frequency will do
            theirs[e],
            np.ones(len(e)),
            onset_tolerance=onset_tolerance,
            offset_ratio=offset_ratio,
            offset_min_tolerance=OFFSET_MIN_TOLERANCE,
        )
        if matching:
            matching = np.asarray(matching, dtype=np.int64)
            pairs.append(np.column_stack([r[matching[:, 0]], e[matching[:, 1]]]))
    pairs = np.concatenate(pairs)
    return pairs[np.argsort(pairs[:, 0])]


def dixon_accuracy(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Dixon's accuracy tp / (tp + fp + fn) of two on/off rolls of equal shape; 1 when both are empty.

    Equals F1 / (2 - F1) of the same cells. For a folder, either average it over pieces or, pooled, hand the
    rolls of all pieces joined in time.
    """
    reference, estimate = np.asarray(reference, dtype=bool), np.asarray(estimate, dtype=bool)
    if reference.shape != estimate.shape:
        raise ParameterError(f"two rolls of one shape are needed, not {reference.shape} and {estimate.shape}")
    both = int((reference & estimate).sum())
    return _accuracy(both, int(estimate.sum()) - both, int(reference.sum()) - both)


def frame_counts(reference: Notes, estimate: Notes) -> tuple[int, int, int]:
    """True positives, false positives, false negatives of roll cells at 31.25 frames per second."""
    last = max(reference.duration, estimate.duration)
    frames = int(np.rint(last / FRAME_SECONDS)) + 2
    ours, theirs = _roll(reference, frames), _roll(estimate, frames)
    both = int((ours & theirs).sum())
    return both, int(theirs.sum()) - both, int(ours.sum()) - both


# -- parts ----------------------------------------------------------------------------------------------


def _mir_eval():
    try:
        import mir_eval.transcription
    except ImportError as error:
        raise MissingExtraError("mir_eval", extra="eval", purpose="scoring a transcription") from error
    return mir_eval


def as_scored(reference: Notes, estimate: Notes, reference_times: str) -> tuple[Notes, Notes]:
    """Both sides with pedals applied and notes of no length left out."""
    reference = _lasting(reference.sounding())
    if reference_times == "jongwook":
        from spartito.decoding import decode_jongwook
        from spartito.training.labels import jongwook_labels

        labels = jongwook_labels(reference, frames=int(np.rint(reference.duration / FRAME_SECONDS)) + 2)
        drawn = decode_jongwook(labels.onset, labels.frame, labels.velocity)
        reference = reference.with_array(_lasting(drawn).array)
    elif reference_times != "exact":
        raise ParameterError(f"reference_times is 'exact' or 'jongwook', not {reference_times!r}")
    return reference, _lasting(estimate.sounding() if len(estimate.pedal) else estimate)


def _lasting(notes: Notes) -> Notes:
    return notes.select(notes.offset > notes.onset)


def _intervals(notes: Notes) -> np.ndarray:
    """(n, 2) seconds."""
    return np.column_stack([notes.onset, notes.offset])


def _close_in_velocity(matching: np.ndarray, reference: Notes, estimate: Notes) -> np.ndarray:
    """The pairs of `matching` ((k, 2)) whose loudness agrees after the best straight line has mapped the
    estimate's velocities on the reference's, the latter scaled to the range of the piece."""
    if len(matching) == 0:
        return matching
    loudness = reference.velocity.astype(np.float64)
    loudness = (loudness - loudness.min()) / max(1.0, np.ptp(loudness))
    wanted = loudness[matching[:, 0]]
    heard = estimate.velocity[matching[:, 1]].astype(np.float64)
    design = np.vstack([heard, np.ones(len(heard))]).T
    slope, intercept = np.linalg.lstsq(design, wanted, rcond=None)[0]
    return matching[np.abs(slope * heard + intercept - wanted) < VELOCITY_TOLERANCE]


def _roll(notes: Notes, frames: int) -> np.ndarray:
    """(frames, 128) bool. A note fills the 32 ms frames nearest to its span, and at least one."""
    first = np.clip(np.rint(notes.onset / FRAME_SECONDS).astype(int), 0, frames - 1)
    after = np.clip(np.rint(notes.offset / FRAME_SECONDS).astype(int), first + 1, frames)
    edges = np.zeros((frames + 1, 128), dtype=np.int32)
    np.add.at(edges, (first, notes.pitch), 1)
    np.add.at(edges, (after, notes.pitch), -1)
    return np.cumsum(edges, axis=0)[:-1] > 0


def _scores(name: str, hits: int, references: int, estimates: int) -> dict[str, float]:
    precision = hits / estimates if estimates else 0.0
    recall = hits / references if references else 0.0
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return {f"{name}_precision": precision, f"{name}_recall": recall, f"{name}_f1": f1}


def _accuracy(true_positives: int, false_positives: int, false_negatives: int) -> float:
    total = true_positives + false_positives + false_negatives
    return true_positives / total if total else 1.0


def _pedal_scores(reference: np.ndarray, estimate: np.ndarray) -> dict[str, float]:
    """Scores of pedal intervals ((n, 2) and (m, 2), seconds); nothing when a side has none."""
    if len(reference) == 0 or len(estimate) == 0:
        return {}
    transcription, scores = _mir_eval().transcription, {}
    for name, ratio in (("pedal", None), ("pedal_with_offset", OFFSET_RATIO)):
        matching = transcription.match_notes(
            reference,
            np.ones(len(reference)),
            estimate,
            np.ones(len(estimate)),
            onset_tolerance=PEDAL_ONSET_TOLERANCE,
            offset_ratio=ratio,
            offset_min_tolerance=OFFSET_MIN_TOLERANCE,
        )
        scores |= _scores(name, len(matching), len(reference), len(estimate))
    return scores
