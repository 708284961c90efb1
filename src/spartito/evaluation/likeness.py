"""How alike a cover and the song it covers sound.

Measures
    chroma_agreement   from beat to beat, the correlation of the two chroma vectors; and what a shuffle of the beats
                       would give on average, so that covers of songs on two chords do not look better than they are
    cover_distance     root of the cover's length over the length of the longest passage that follows the song
                       (Qmax), in frames: small is alike. It falls with the root of the length; 1 or more is nothing
                       in common
    path_deviation     the song's time is drawn over the cover's, along the path that matches them best, and a straight
                       line is fitted: standard deviation of the distance from it, in seconds. Another tempo costs
                       nothing; held, skipped or repeated passages do.

    Neither of the last two has a best value but that of a human cover. Both find the key for themselves. In the first
    two the cover is played on the piano at hand; the path is found from its notes and from what the transcriber hears
    in the song (`training.data.pair_alignment`).

Method of the cover distance
    Chroma 20.8 times a second, scaled to a maximum of 1; the cover is transposed by what makes the mean vectors most
    alike. Nine frames in a row are a state. Two states recur when each is among the nearest 9.5 % of the other's.
    In the matrix of what recurs, the longest passage is sought that goes forward in both at up to double pace and pays
    0.5 for every frame that does not recur.

Sources
    Qmax: J. Serrà, X. Serra, R. G. Andrzejak, 'Cross recurrence quantification for cover song identification' (New
    Journal of Physics 11, 2009); transposition: J. Serrà, E. Gómez, P. Herrera, 'Transposing chroma representations to
    a common key' (CMMR 2008). As a measure of piano covers, with these settings: K. Komiya, Y. Fukuhara, 'AMT-APC'
    (arXiv 2409.14086, 2024), on harmonic pitch class profiles at 21.5 frames a second. Different: chroma is summed from
    a spectrum of log frequency with logarithmic compression.
    Path deviation: T.-Y. Chen, Y.-J. Joung, 'Etude' (arXiv 2509.16522, 2025), there between two recordings.
    Chroma with logarithmic compression: M. Müller, S. Ewert, 'Chroma Toolbox' (ISMIR 2011).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from spartito.analysis.beats import Beats, pitched
from spartito.audio.audio import Audio
from spartito.errors import ParameterError
from spartito.notes.notes import Notes

__all__ = ["Original", "chroma_agreement", "cover_distance", "longest_passage", "path_deviation", "recurrence"]

LISTENING_RATE = 16_000  # hertz, of the transcriber
CHROMA_PITCHES = (36, 96)  # MIDI; below, a line of the spectrum is wider than a semitone, above are overtones
COMPRESSION = 1000.0  # log(1 + COMPRESSION · amplitude)
COARSE = 3  # frames of the spectrum in one of the cover distance
STATE = 9  # frames
NEAREST = 9.5  # per cent of the states
GAP = 0.5  # frames
TRIM = 10.0  # s left out at both ends of a path
BLOCK = 1024  # states compared at once
MAX_CELLS = 1 << 31  # of the recurrence matrix: 37 minutes against 37 minutes


class Original:
    """A song that covers are compared with. It is heard once, however many they are."""

    def __init__(self, recording: Audio):
        self.recording = recording

    def compare(self, cover: Notes) -> dict[str, float]:
        """`cover_distance` and `path_deviation` of a cover; nothing for one without notes."""
        from spartito.render.synthesize import synthesize
        from spartito.training.data.pair_alignment import align
        from spartito.training.data.pair_features import features_of_notes

        cover = pitched(cover)
        if len(cover) == 0:
            return {}
        distance = _distance(self._states, _states(synthesize(cover)))
        path = align(self._features, features_of_notes(cover))
        scores = {"cover_distance": distance, "path_deviation": path_deviation(np.stack([path.cover, path.song], 1))}
        return {name: value for name, value in scores.items() if np.isfinite(value)}

    @cached_property
    def _states(self) -> np.ndarray:
        return _states(self.recording)

    @cached_property
    def _features(self):
        from spartito.audio.tuning import estimate_tuning
        from spartito.models.arranger_input import listen
        from spartito.training.data.pair_features import features_of_sound

        samples = _mono(self.recording, LISTENING_RATE)
        return features_of_sound(listen(samples, tuning=estimate_tuning(samples, LISTENING_RATE)))


def _mono(audio: Audio, rate: int) -> np.ndarray:
    import soxr

    return soxr.resample(np.nan_to_num(audio.mono()), audio.rate, rate)


def chroma_of(audio: Audio) -> tuple[np.ndarray, float]:
    """(frames, 12) level of each pitch class, and how many frames there are a second."""
    from spartito.audio.chunks import spectrum
    from spartito.audio.features import BINS_PER_SEMITONE, bin_of_pitch, front_end
    from spartito.audio.level import reference_gain

    front = front_end("default")
    samples = _mono(audio, front.rate)
    log = spectrum(samples, front, gain=reference_gain(samples, front.rate))  # (frames, bins)
    low, high = (int(bin_of_pitch(p)) - BINS_PER_SEMITONE // 2 for p in CHROMA_PITCHES)
    level = np.log1p(COMPRESSION * np.exp(log[:, low:high].astype(np.float64)))
    return level.reshape(len(log), -1, 12, BINS_PER_SEMITONE).sum(axis=(1, 3)), front.fps


# -- beat by beat ---------------------------------------------------------------------------------------------


def chroma_agreement(recording: Audio, cover: Audio, beats: Beats) -> dict[str, float]:
    """How alike two recordings on the same seconds sound in harmony, from beat to beat.

    Returns
    -------
    dict of str to float
        `chroma_agreement`: mean over beats of the correlation of the twelve pitch classes, -1..1;
        `chroma_agreement_shuffled`: mean over all pairs of different beats, which is what a random order of the
        cover's beats gives on average. Beats at which the recording is silent are left out; a silent cover scores 0.
    """
    ours, theirs = _beat_chroma(recording, beats), _beat_chroma(cover, beats)
    heard = ours.any(axis=1)
    ours, theirs = ours[heard], theirs[heard]
    if len(ours) == 0:
        return {"chroma_agreement": 0.0, "chroma_agreement_shuffled": 0.0}
    every = ours @ theirs.T  # (beats, beats) correlations
    straight = float(np.trace(every))
    others = len(ours) * (len(ours) - 1)
    return {
        "chroma_agreement": straight / len(ours),
        "chroma_agreement_shuffled": (float(every.sum()) - straight) / max(1, others),
    }


def _beat_chroma(audio: Audio, beats: Beats) -> np.ndarray:
    """(beats, 12) mean chroma from each beat to the next, without its mean and of length 1; zeros for silence."""
    chroma, fps = chroma_of(audio)
    edges = np.append(beats.times, 2 * beats.times[-1] - beats.times[-2])
    frames = np.clip(np.rint(edges * fps).astype(int), 0, len(chroma))
    total = np.vstack([np.zeros(12), np.cumsum(chroma, axis=0)])
    mean = np.diff(total[frames], axis=0) / np.maximum(1, np.diff(frames))[:, None]
    mean -= mean.mean(axis=1, keepdims=True)
    length = np.linalg.norm(mean, axis=1, keepdims=True)
    return np.where(length > 1e-6, mean / np.maximum(length, 1e-6), 0.0)


# -- the longest passage in common ----------------------------------------------------------------------------


def cover_distance(recording: Audio, cover: Audio) -> float:
    """Root of the number of the cover's states over Qmax; infinite when nothing recurs."""
    return _distance(_states(recording), _states(cover))


def _distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The same of their states (n, d) and (m, d)."""
    if len(ours) == 0 or len(theirs) == 0:
        return float("inf")
    shift = np.argmax([np.roll(_mean_chroma(theirs), k) @ _mean_chroma(ours) for k in range(12)])
    theirs = np.roll(theirs.reshape(-1, STATE, 12), shift, axis=2).reshape(len(theirs), -1)
    passage = longest_passage(recurrence(ours, theirs))
    return float(np.sqrt(len(theirs)) / passage) if passage else float("inf")


def _states(audio: Audio) -> np.ndarray:
    """(states, STATE * 12) float32: nine frames of chroma in a row, from every frame on."""
    chroma, _ = chroma_of(audio)
    coarse = chroma[: len(chroma) // COARSE * COARSE].reshape(-1, COARSE, 12).mean(axis=1)
    highest = coarse.max(axis=1, keepdims=True, initial=0.0)
    coarse = (coarse / np.where(highest > 0, highest, 1.0)).astype(np.float32)
    if len(coarse) < STATE:
        return np.zeros((0, STATE * 12), dtype=np.float32)
    stacked = np.lib.stride_tricks.sliding_window_view(coarse, STATE, axis=0)  # (states, 12, STATE)
    return stacked.transpose(0, 2, 1).reshape(len(stacked), -1)


def _mean_chroma(states: np.ndarray) -> np.ndarray:
    return states[:, :12].mean(axis=0)


def recurrence(x: np.ndarray, y: np.ndarray, *, nearest: float = NEAREST) -> np.ndarray:
    """(n, m) bool: each of the states is among the `nearest` per cent of the other's.

    `x` (n, d) and `y` (m, d) are states. Raises ParameterError for more than two thousand million pairs.
    """
    if len(x) * len(y) > MAX_CELLS:
        raise ParameterError("the cover distance compares every moment with every other: at most 37 minutes")

    def squared(a, b):
        return (a * a).sum(axis=1)[:, None] - 2.0 * a @ b.T + (b * b).sum(axis=1)

    def limits(a, b):  # (len(a), 1)
        parts = [np.percentile(squared(a[i : i + BLOCK], b), nearest, axis=1) for i in range(0, len(a), BLOCK)]
        return np.concatenate(parts)[:, None]

    rows, columns = limits(x, y), limits(y, x).T
    out = np.empty((len(x), len(y)), dtype=bool)
    for i in range(0, len(x), BLOCK):
        apart = squared(x[i : i + BLOCK], y)
        out[i : i + BLOCK] = (apart <= rows[i : i + BLOCK]) & (apart <= columns)
    return out


def longest_passage(recurs: np.ndarray) -> float:
    """Qmax of a (n, m) bool matrix: the most frames that recur along a path, less the gaps.

    A path goes by (1, 1), (2, 1) or (1, 2); each cell of a row follows from the two rows before. As in the paper the
    first two rows and columns count for nothing.
    """
    n, m = recurs.shape
    before, last = np.zeros(m + 2, dtype=np.float32), np.zeros(m + 2, dtype=np.float32)  # two columns of zeros in front
    longest = 0.0
    for i in range(2, n):
        best = np.maximum(np.maximum(last[1:-1], before[1:-1]), last[:-2])
        now = np.zeros(m + 2, dtype=np.float32)
        now[2:] = np.where(recurs[i], best + 1.0, np.maximum(best - GAP, 0.0))
        now[2:4] = 0.0
        before, last = last, now
        longest = max(longest, float(now.max()))
    return longest


# -- structure ------------------------------------------------------------------------------------------------


def path_deviation(path: np.ndarray, *, trim: float = TRIM) -> float:
    """Seconds by which a path leaves its straight line; nan for one of less than two points.

    Parameters
    ----------
    path : np.ndarray, shape=(n, 2)
        Seconds of the cover and of the song that match, both rising.
    trim : float
        Seconds of the song left out at both ends, unless ten points would not remain.
    """
    path = np.asarray(path, dtype=np.float64)
    if len(path) < 2 or np.ptp(path[:, 0]) == 0:
        return float("nan")
    inside = (path[:, 1] >= path[0, 1] + trim) & (path[:, 1] <= path[-1, 1] - trim)
    if inside.sum() > 10:
        path = path[inside]
    cover, song = (path - path.mean(axis=0)).T
    return float(np.std(song - cover * (cover @ song) / (cover @ cover)))
