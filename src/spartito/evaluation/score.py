"""Errors of a written score against the score the performer read.

Job
    Given a performance, the score it was played from, and a score estimated from the performance alone: say of how
    many notes the estimate shows another place in the bar, another length, another staff, under another key
    signature or metre.

Method
    1. Performed notes are matched with notes of the reference score: annotated beats carry performance time to
       score time; notes of one pitch that are nearest to each other there, and no farther apart than
       `MATCH_BEATS`, are one note. The estimate knows which performed note each of its notes is.
    2. Each error is a share of the matched notes (0 is best, 1 worst):

       onset_in_bar    the distance from the bar line, in quarter notes, differs by more than `TOLERANCE`. This is
                       strict: a metre or a beat level other than the composer's makes most notes wrong.
       onset_any_level the same, after the estimate's quarter note has been scaled by 1/2, 1 or 2 and the reference
                       bar line may be any of its beats: how much of the rhythm is right although the bar line or
                       the beat level is not.
       duration        the written length, ties summed, differs from the reference by more than a factor 1.2.
       duration_any_level  the same after the scaling that `onset_any_level` chose.
       staff           the note is on the other staff.
       key             the key signature differs (enharmonic ones count as equal).
       metre           the time signature differs.
       missing         reference notes without a note in the estimate (share of the reference's matched notes).

Sources
    Note-wise error rates on position and value follow the onset and offset errors of E. Nakamura, E. Benetos,
    K. Yoshii, S. Dixon, 'Towards complete polyphonic music transcription: integrating multi-pitch detection and
    rhythm quantization' (ICASSP 2018) and the metre, value and harmony parts of MV2H (A. McLeod, M. Steedman,
    'Evaluating automatic polyphonic music transcription', ISMIR 2018). Those measure shifts relative to
    neighbouring notes; here the place in the bar is compared directly, as a reader would.
    Data: ASAP (F. Foscarin et al., ISMIR 2020).
"""

from __future__ import annotations

import numpy as np

from spartito.errors import ParameterError

__all__ = ["SCORE_NOTE_DTYPE", "evaluate_score", "match_performance", "score_notes"]

TOLERANCE = 1 / 12  # quarter notes: half a triplet sixteenth
LENGTH_RATIO = 1.2  # a dotted or a triplet value is a factor 1.5 or 1.33 away, rounding of ticks far less
MATCH_BEATS = 0.75  # beats between a performed note and its place in the reference score

SCORE_NOTE_DTYPE = np.dtype(
    [
        ("index", np.int64),  # place of the performed note in `Notes.array`, or of the note in the reference
        ("pitch", np.int64),  # MIDI number
        ("onset", np.float64),  # quarter notes from the beginning
        ("in_bar", np.float64),  # quarter notes from the bar line
        ("duration", np.float64),  # quarter notes, ties summed
        ("staff", np.int64),  # 1 upper, 2 lower
        ("fifths", np.int64),  # key signature
        ("numerator", np.int64),
        ("denominator", np.int64),
    ]
)


def score_notes(score) -> np.ndarray:
    """(n,) SCORE_NOTE_DTYPE: the notes of a `Score` that `to_score` made; grace notes have duration 0."""
    import partitura.score as ps

    part = score.part
    notes = [n for n in part.iter_all(ps.Note, include_subclasses=True) if n.tie_prev is None]
    out = np.zeros(len(notes), dtype=SCORE_NOTE_DTYPE)
    start = np.array([n.start.t for n in notes])
    for i, note in enumerate(notes):
        out["index"][i] = int(note.id[1:].split("t")[0]) if note.id and note.id[1:].isdigit() else -1
        out["pitch"][i] = note.midi_pitch
        last = note
        while last.tie_next is not None:  # a loop, as a note may be tied over hundreds of bars
            last = last.tie_next
        out["duration"][i] = 0 if isinstance(note, ps.GraceNote) else last.end.t - note.start.t
        out["staff"][i] = note.staff or 1
    quarter = float(part.quarter_duration_map(0))
    bars = sorted(part.iter_all(ps.Measure), key=lambda m: m.start.t)
    bar = np.searchsorted([b.start.t for b in bars], start, side="right") - 1
    begin = np.array([b.start.t for b in bars], dtype=float)
    length = np.array([b.end.t - b.start.t for b in bars], dtype=float)
    metres = _in_force(part, ps.TimeSignature, start)
    keys = _in_force(part, ps.KeySignature, start)
    out["numerator"] = [m.beats if m else 4 for m in metres]
    out["denominator"] = [m.beat_type if m else 4 for m in metres]
    out["fifths"] = [k.fifths if k else 0 for k in keys]
    full = out["numerator"] * 4.0 / out["denominator"] * quarter
    missing = np.where((bar == 0) & (length[bar] < full), full - length[bar], 0)  # a pick-up ends on its bar line
    out["onset"] = start / quarter
    out["in_bar"] = (start - begin[bar] + missing) / quarter
    out["duration"] /= quarter
    return out


def _in_force(part, kind, start: np.ndarray) -> list:
    marks = sorted(part.iter_all(kind), key=lambda m: m.start.t)
    if not marks:
        return [None] * len(start)
    place = np.searchsorted([m.start.t for m in marks], start, side="right") - 1
    return [marks[max(0, p)] for p in place]


def match_performance(
    onset: np.ndarray,
    pitch: np.ndarray,
    beats: np.ndarray,
    reference_onset: np.ndarray,
    reference_pitch: np.ndarray,
    reference_beats: np.ndarray,
) -> np.ndarray:
    """(n,) index of the reference note each performed note is, or -1.

    Parameters
    ----------
    onset, pitch : np.ndarray, shape=(n,)
        Performance, seconds and MIDI numbers.
    beats : np.ndarray, shape=(b,)
        Annotated beats of the performance, seconds.
    reference_onset, reference_pitch, reference_beats : np.ndarray, shapes (m,), (m,), (b,)
        The same of the reference score, in any unit of score time.
    """
    if len(beats) != len(reference_beats) or len(beats) < 2:
        raise ParameterError(
            f"performance and score must have the same beats, not {len(beats)} and {len(reference_beats)}"
        )
    number = np.arange(len(beats), dtype=float)

    def place(x, xs):
        y = np.interp(x, xs, number)
        y = np.where(x < xs[0], (x - xs[0]) / (xs[1] - xs[0]), y)
        return np.where(x > xs[-1], number[-1] + (x - xs[-1]) / (xs[-1] - xs[-2]), y)

    here, there = place(onset, beats), place(reference_onset, reference_beats)
    match = np.full(len(onset), -1, dtype=np.int64)
    for key in np.intersect1d(pitch, reference_pitch):
        a, b = np.flatnonzero(pitch == key), np.flatnonzero(reference_pitch == key)
        nearest_b = _nearest(here[a], there[b])
        nearest_a = _nearest(there[b], here[a])
        mutual = nearest_a[nearest_b] == np.arange(len(a))
        close = np.abs(here[a] - there[b][nearest_b]) <= MATCH_BEATS
        match[a[mutual & close]] = b[nearest_b[mutual & close]]
    return match


def _nearest(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """For each of x the index of the nearest of y."""
    order = np.argsort(y, kind="stable")
    right = np.clip(np.searchsorted(y[order], x), 1, max(1, len(y) - 1))
    if len(y) == 1:
        return np.zeros(len(x), dtype=np.int64)
    left = right - 1
    return order[np.where(np.abs(x - y[order[left]]) <= np.abs(x - y[order[right]]), left, right)]


def evaluate_score(reference: np.ndarray, estimate: np.ndarray, match: np.ndarray) -> dict[str, float]:
    """Errors of `estimate` against `reference` (both SCORE_NOTE_DTYPE), as listed at the top of this file.

    `match` (performed notes,) is what `match_performance` returned: `estimate["index"]` counts performed notes,
    `match` leads from them to rows of `reference`.
    """
    if len(reference) == 0 or not (match >= 0).any():
        raise ParameterError("no note of the performance was found in the reference score")
    known = estimate[(estimate["index"] >= 0) & (estimate["index"] < len(match))]
    known = known[match[known["index"]] >= 0]
    truth = reference[match[known["index"]]]
    missing = 1 - len(np.unique(match[known["index"]])) / len(np.unique(match[match >= 0]))
    if len(known) == 0:
        names = ("onset_in_bar", "onset_any_level", "duration", "duration_any_level", "staff", "key", "metre")
        return dict.fromkeys((*names, "missing"), 1.0)

    def off(x, y):
        return float(np.mean(np.abs(x - y) > TOLERANCE))

    # grace notes have no length: in ASAP's MIDI they last a token moment
    plain = (known["duration"] > 0) & (truth["duration"] > 0.05)

    def longer(scale):
        ratio = np.abs(np.log(known["duration"][plain] * scale / truth["duration"][plain]))
        return float(np.mean(ratio > np.log(LENGTH_RATIO))) if plain.any() else 0.0

    levels = {}
    for scale in (0.5, 1.0, 2.0):
        apart = (known["onset"] * scale - truth["onset"]) % 1.0  # quarter notes, up to whole ones
        best = 1.0
        for shift in np.arange(0, 1, 1 / 12):
            distance = np.abs((apart - shift + 0.5) % 1.0 - 0.5)
            best = min(best, float(np.mean(distance > TOLERANCE / 2 + 1e-9)))
        levels[scale] = best
    scale = min(levels, key=lambda s: (levels[s], abs(np.log(s))))
    return {
        "onset_in_bar": off(known["in_bar"], truth["in_bar"]),
        "onset_any_level": levels[scale],
        "duration": longer(1.0),
        "duration_any_level": longer(scale),
        "staff": float(np.mean(known["staff"] != truth["staff"])),
        "key": float(np.mean((known["fifths"] - truth["fifths"]) % 12 != 0)),
        "metre": float(
            np.mean((known["numerator"] != truth["numerator"]) | (known["denominator"] != truth["denominator"]))
        ),
        "missing": float(missing),
    }
