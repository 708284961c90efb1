"""How close an arrangement is to a human one, to its chords and to its tune.

Job
    Compare two arrangements of a song on the grid of its beats. How a cover sounds beside the recording is measured in
    `likeness`, its tune as the Pop2Piano paper does in `melody`, its rhythm and dynamics in `expression`.

Method
    Times are counted in beats of the reference and rounded to the nearest quarter of a beat, a *step*. An onset is a
    (step, pitch), counted once however many voices strike it. Notes that begin outside the beats are left out.

    onset, onset_class      precision, recall and F1 of onsets, by pitch and by pitch class
    chord_root, chord_bass  share of beats whose root (bass) is that of the annotated chord
    chord_chroma            share of the twelve pitch classes that are in both chords or in neither
    melody_chroma           share of the tune's steps at which the highest note that sounds has its pitch class
    melody_chroma_any       the same when any note that sounds will do
    melody_onset, _any      share of the tune's onsets where the highest (any) note struck has its pitch class
    density_ratio           onsets of the estimate for each of the reference
    groove                  per bar, cosine of the onsets counted at each step and smoothed; mean over the bars

    The chord of a beat is the template (eight qualities on twelve roots) nearest in angle to the time each pitch
    class sounds in it; its bass is the lowest note. Beats without an annotated chord are left out. What the human
    arrangement itself scores is the scale to read these by: `evaluate_cover(human, human, ...)`.

Sources
    Highest sounding note and raw chroma accuracy: J. Choi, K. Lee, 'Pop2Piano' (ICASSP 2023), there by frames and
    against the singer's pitch; G. E. Poliner et al., 'Melody transcription from music audio' (IEEE TASLP 15(4),
    2007). Not comparable: figures by that name which compare the highest notes of two covers. Chord templates:
    T. Fujishima, 'Realtime chord recognition of musical sound' (ICMC 1999). Root, chroma and bass apart: Z. Wang et
    al., 'Audio-to-symbolic arrangement via cross-modal music representation learning' (ICASSP 2022). Groove: O. Cífka
    et al., 'Groove2Groove' (IEEE/ACM TASLP 28, 2020) and S.-L. Wu, Y.-H. Yang, 'MuseMorphose' (IEEE/ACM TASLP 31,
    2023); smoothing ours.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from spartito.analysis.beats import Beats, pitched
from spartito.errors import ParameterError
from spartito.notes.notes import Notes
from spartito.notes.pianoroll import to_pianoroll

__all__ = ["STEPS", "chord_of_beats", "evaluate_cover", "groove_similarity", "split_melody"]

STEPS = 4  # per beat
TEMPLATES = {  # quality: pitch classes above the root
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
    "sus4": (0, 5, 7),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
}
BASS_BONUS = 0.1  # cosine; tells C:maj6 from A:min7. Of 0..0.3 the one by which POP909 agrees best with its own chords
SMOOTHING = (1.0, 4.0, 1.0)  # weights of the step before, the step, the step after


def evaluate_cover(
    reference: Notes,
    estimate: Notes,
    *,
    beats: Beats,
    melody: Notes | None = None,
    chords: np.ndarray | None = None,
) -> dict[str, float]:
    """Scores of `estimate` against `reference`.

    Parameters
    ----------
    reference, estimate : Notes
        Two arrangements on the same seconds. Drums and the pedal are left out of account.
    beats : Beats
        Of the song; they span what is compared.
    melody : Notes, optional
        The tune, which need not be part of the reference.
    chords : np.ndarray, shape=(beats, 14), int, optional
        Per beat root (-1 none), twelve bits of absolute chroma, absolute bass (-1 none).

    Returns
    -------
    dict of str to float
        As listed at the top of this file; without `melody` or `chords` their keys are missing. An empty side scores
        0, with a warning.
    """
    ours, theirs = _onsets(reference, beats), _onsets(estimate, beats)
    for side, onsets in (("reference", ours), ("estimate", theirs)):
        if not onsets.any():
            warnings.warn(f"the {side} has no notes within the beats: its scores are 0", stacklevel=2)
    held = _sounding(estimate, beats)
    scores = {
        **_agreement("onset", ours, theirs),
        **_agreement("onset_class", _classes(ours), _classes(theirs)),
        "density_ratio": float(theirs.sum() / max(1, ours.sum())),
        "groove": groove_similarity(ours.sum(axis=1), theirs.sum(axis=1), beats.positions),
    }
    if chords is not None:
        scores |= _chord_scores(held, np.asarray(chords))
    if melody is not None:
        scores |= _melody_scores(_onsets(melody, beats), _sounding(melody, beats), theirs, held)
    return scores


def split_melody(notes: Notes) -> tuple[Notes | None, Notes]:
    """The notes of tracks whose name says melody (POP909 names them so), None when there are none, and the others."""
    tracks = [i for i, track in enumerate(notes.tracks) if "melody" in track.name.lower()]
    sung = np.isin(notes.array["track"], tracks)
    return notes.select(sung) if tracks else None, notes.select(~sung)


# -- the grid -------------------------------------------------------------------------------------------------


def _in_beats(notes: Notes, beats: Beats) -> Notes:
    """The same notes, their times counted in beats from the first."""
    count = replace(beats, quarters=np.arange(len(beats.times)))
    array = pitched(notes).array.copy()
    array["onset"], array["offset"] = count.to_quarters(array["onset"]), count.to_quarters(array["offset"])
    return Notes(array, tracks=notes.tracks)


def _onsets(notes: Notes, beats: Beats) -> np.ndarray:
    """(steps, 128) bool: where notes begin."""
    return _roll(notes, beats, "onset")


def _sounding(notes: Notes, beats: Beats) -> np.ndarray:
    """(steps, 128) bool: where keys are held."""
    return _roll(notes, beats, "frame")


def _roll(notes: Notes, beats: Beats, kind: str) -> np.ndarray:
    frames = STEPS * len(beats.times)
    return to_pianoroll(_in_beats(notes, beats), fps=STEPS, lowest=0, keys=128, kind=kind, frames=frames)


def _classes(roll: np.ndarray) -> np.ndarray:
    """(steps, 12) int: how many of the cells of each pitch class of a (steps, 128) roll are set."""
    octaves = np.zeros((len(roll), 132), dtype=np.int64)
    octaves[:, :128] = roll
    return octaves.reshape(len(roll), 11, 12).sum(axis=1)


def _top(roll: np.ndarray) -> np.ndarray:
    """(steps,) highest pitch that is set, -1 where none is."""
    return np.where(roll.any(axis=1), roll.shape[1] - 1 - roll[:, ::-1].argmax(axis=1), -1)


# -- parts ----------------------------------------------------------------------------------------------------


def _agreement(name: str, reference: np.ndarray, estimate: np.ndarray) -> dict[str, float]:
    """Precision, recall and F1 of the cells that are set."""
    reference, estimate = reference > 0, estimate > 0
    both = int((reference & estimate).sum())
    precision, recall = both / max(1, int(estimate.sum())), both / max(1, int(reference.sum()))
    f1 = 2 * precision * recall / (precision + recall) if both else 0.0
    return {f"{name}_precision": precision, f"{name}_recall": recall, f"{name}_f1": f1}


def chord_of_beats(weights: np.ndarray, bass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Root and chroma of the best template for each beat.

    Parameters
    ----------
    weights : np.ndarray, shape=(beats, 12)
        How much of each pitch class sounds.
    bass : np.ndarray, shape=(beats,), int
        Pitch class of the lowest note, -1 for none.

    Returns
    -------
    root : np.ndarray, shape=(beats,), int
        -1 where nothing sounds.
    chroma : np.ndarray, shape=(beats, 12), bool
    """
    shapes = np.zeros((len(TEMPLATES), 12))
    for row, intervals in zip(shapes, TEMPLATES.values()):
        row[list(intervals)] = 1
    bank = np.stack([np.roll(shapes, root, axis=1) for root in range(12)])  # (12 roots, qualities, 12)
    unit = bank / np.sqrt(bank.sum(axis=2, keepdims=True))
    length = np.linalg.norm(weights, axis=1)
    score = np.einsum("bc,rqc->brq", weights / np.maximum(length, 1e-9)[:, None], unit)
    score += BASS_BONUS * (np.arange(12)[None, :, None] == bass[:, None, None])
    best = score.reshape(len(weights), -1).argmax(axis=1)
    root = np.where(length > 0, best // len(TEMPLATES), -1)
    return root, (bank.reshape(-1, 12)[best] > 0) & (length > 0)[:, None]


def _chord_scores(held: np.ndarray, chords: np.ndarray) -> dict[str, float]:
    beats = len(held) // STEPS
    if chords.shape != (beats, 14):
        raise ParameterError(f"chords of shape {(beats, 14)} are needed, one row per beat, not {chords.shape}")
    weights = _classes(held).reshape(beats, STEPS, 12).sum(axis=1)
    sounds = held.reshape(beats, STEPS, 128).any(axis=1)
    bass = np.where(sounds.any(axis=1), sounds.argmax(axis=1) % 12, -1)
    root, chroma = chord_of_beats(weights, bass)
    known = chords[:, 0] >= 0
    if not known.any():
        return {}
    return {
        "chord_root": float(np.mean(root[known] == chords[known, 0])),
        "chord_chroma": float(np.mean(chroma[known] == chords[known, 1:13].astype(bool))),
        "chord_bass": float(np.mean(bass[known] == chords[known, 13])),
    }


def _melody_scores(struck: np.ndarray, sung: np.ndarray, onsets: np.ndarray, held: np.ndarray) -> dict[str, float]:
    """All (steps, 128) bool: onsets and held keys of the tune, then of the arrangement."""
    scores = {}
    for name, tune, voices in (("melody_chroma", sung, held), ("melody_onset", struck, onsets)):
        pitch, top = _top(tune), _top(voices)
        (steps,) = np.nonzero(pitch >= 0)
        pitch = pitch[steps] % 12
        there = (top[steps] >= 0) & (top[steps] % 12 == pitch)
        anywhere = _classes(voices)[steps, pitch] > 0
        scores[name] = float(there.mean()) if len(steps) else 0.0
        scores[f"{name}_any"] = float(anywhere.mean()) if len(steps) else 0.0
    return scores


def groove_similarity(reference: np.ndarray, estimate: np.ndarray, positions: np.ndarray) -> float:
    """Mean over bars of the cosine between two onset counts.

    Parameters
    ----------
    reference, estimate : np.ndarray, shape=(STEPS * beats,)
        Onsets per step.
    positions : np.ndarray, shape=(beats,), int
        Place in the bar; 0 begins one. Beats before the first bar line are a bar. Bars empty on both sides are left
        out.
    """
    kernel = np.array(SMOOTHING)
    a, b = (np.convolve(np.asarray(side, dtype=np.float64), kernel, mode="same") for side in (reference, estimate))
    starts = STEPS * np.union1d([0], np.flatnonzero(np.asarray(positions) == 0))

    def bars(x):
        return np.add.reduceat(x, starts)

    power = bars(a * a), bars(b * b)
    counted = (power[0] > 0) | (power[1] > 0)
    cosine = bars(a * b) / np.sqrt(np.maximum(power[0] * power[1], 1e-12))
    return float(cosine[counted].mean()) if counted.any() else 0.0
