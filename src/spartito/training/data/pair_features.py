"""Two versions of a song in one language: pitch classes and beginnings of notes, frame by frame.

Job
    Make a recording and the notes of its cover comparable, so that they can be put on one clock.

Method
    A frame has thirteen numbers of *chroma*: the twelve pitch classes less their mean, and what is left to length 1, so
    that two silences are alike and a silence is like no music; and twelve of *onsets*: where notes begin, each fading
    over a fifth of a second, as loud as the loudest within a second around it. Chroma tells where in the song a frame
    may lie, onsets where exactly. Those of a recording come from what the transcriber hears in it (`listen`), so it is
    heard once for the alignment and for the arranger; those of notes from the notes, which ring, fade and have
    overtones.

Source
    S. Ewert, M. Müller, P. Grosche, 'High resolution audio synchronization using chroma onset features' (ICASSP 2009),
    whose onset features ('DLNCO') these follow, and CENS by M. Müller, F. Kurth, M. Clausen, 'Audio matching via
    chroma-based statistical features' (ISMIR 2005). There both sides are sound, the notes being rendered; onsets of
    the recording are rises of energy in its pitch bands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spartito.audio.features import LOG_FLOOR
from spartito.models.arranger_input import KEYS, LEVEL_MEAN, LEVEL_STD, LOWEST_KEY, Heard
from spartito.notes.notes import Notes

__all__ = ["FPS", "Features", "features_of_notes", "features_of_sound"]

FPS = 62.5  # frames a second, of both sides
CHROMA_KEYS = slice(36 - LOWEST_KEY, 96 - LOWEST_KEY)  # C2 to B6: the spectrum resolves them, and few are overtones
COMPRESSION = 1000.0  # log(1 + COMPRESSION · amplitude), as in `evaluation.cover`
QUIET = 0.02  # of the loudest frame's sum of pitch classes: below it there is silence
RINGING = 1.2  # s in which a note of a piano fades to a third
OVERTONES = {0: 1.0, 7: 0.3, 4: 0.1}  # semitones modulo twelve: share of the loudness of a note
LEAST_ONSET = 0.15  # probability of an onset to be taken notice of
FADING = 0.15  # s until an onset has faded
AROUND = 1.0  # s to either side whose loudest onset is the measure of an onset
LEAST_MEASURE = 0.1  # of the loudest onset of all: in a quiet passage noise stays noise
CENS_STEPS = (0.05, 0.1, 0.2, 0.4)  # shares of a frame's loudness; a pitch class gets a point for each it reaches


@dataclass(frozen=True, eq=False)
class Features:
    """One side of a pair.

    Attributes
    ----------
    chroma : np.ndarray, shape=(n, 13), float32, rows of length 1
    onsets : np.ndarray, shape=(n, 12), float32, 0..1
    classes : np.ndarray, shape=(n, 12), float32
        Loudness of each pitch class, as it is.
    fps : float
    """

    chroma: np.ndarray
    onsets: np.ndarray
    classes: np.ndarray
    fps: float = FPS

    def __len__(self) -> int:
        return len(self.chroma)

    def transposed(self, semitones: int) -> Features:
        """The same music so many semitones higher."""
        chroma = np.concatenate([np.roll(self.chroma[:, :12], semitones, axis=1), self.chroma[:, 12:]], axis=1)
        onsets, classes = (np.roll(part, semitones, axis=1) for part in (self.onsets, self.classes))
        return Features(chroma, onsets, classes, self.fps)

    def coarse(self, factor: int) -> Features:
        """Means of `factor` frames; onsets, which say nothing of so long a time, are left out."""
        classes = _means(self.classes, factor)
        return _made(classes, np.zeros_like(classes), self.fps / factor)

    def statistics(self, *, span: float, factor: int) -> Features:
        """CENS: the pitch classes in a few steps, averaged over `span` seconds, every `factor` frames."""
        shares = self.classes / np.maximum(self.classes.sum(axis=1, keepdims=True), 1e-9)
        heard = self.classes.sum(axis=1, keepdims=True) > QUIET * self.classes.sum(axis=1).max(initial=0.0)
        points = sum((shares > step).astype(np.float32) for step in CENS_STEPS) * heard
        width = max(1, round(span * self.fps))
        total = np.concatenate([np.zeros((1, 12)), np.cumsum(points, axis=0)])
        at = np.arange(0, len(points), factor)
        first, last = np.maximum(at - width // 2, 0), np.minimum(at + width // 2 + 1, len(points))
        classes = ((total[last] - total[first]) / width).astype(np.float32)
        return _made(classes, np.zeros_like(classes), self.fps / factor)

    def sounding(self) -> tuple[float, float]:
        """Seconds of the first and the last sound; (0, 0) for silence."""
        loud = np.flatnonzero(self.chroma[:, :12].any(axis=1))
        return (float(loud[0]) / self.fps, float(loud[-1] + 1) / self.fps) if len(loud) else (0.0, 0.0)


def features_of_sound(heard: Heard) -> Features:
    """Features of a recording as the transcriber heard it."""
    frames = np.rint(np.arange(int(heard.values.shape[1] * FPS / heard.fps)) * heard.fps / FPS).astype(np.int64)
    values = heard.values[:, np.minimum(frames, heard.values.shape[1] - 1)].astype(np.float32)  # now FPS a second
    amplitude = np.exp(values[3, :, CHROMA_KEYS] * LEVEL_STD + LEVEL_MEAN)
    level = np.log1p(COMPRESSION * amplitude) - np.log1p(COMPRESSION * LOG_FLOOR)  # 0 for digital silence
    classes = level.reshape(len(frames), -1, 12).sum(axis=1)
    onset = np.pad(values[0], ((1, 1), (0, 0)))
    peak = (onset[1:-1] >= LEAST_ONSET) & (onset[1:-1] > onset[:-2]) & (onset[1:-1] >= onset[2:])
    return _made(classes, _fading(_by_class(onset[1:-1] * peak)))


def features_of_notes(notes: Notes, *, duration: float | None = None) -> Features:
    """Features of played notes (no drums), `duration` seconds long or to the last release."""
    array = notes.sounding().array
    length = max(float(array["offset"].max(initial=0.0)) if duration is None else duration, 1.0 / FPS)
    frames = int(np.ceil(length * FPS))
    array = array[(array["onset"] >= 0) & (array["onset"] < length)]
    first = np.minimum(np.rint(array["onset"] * FPS).astype(np.int64), frames - 1)
    count = np.clip(np.rint(array["offset"] * FPS).astype(np.int64) - first, 1, frames - first)
    age = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)  # frames since each note's onset
    loud = np.repeat(array["velocity"] / 127.0, count) * np.exp(-age / (RINGING * FPS))
    cell = np.repeat(12 * first + array["pitch"] % 12, count) + 12 * age
    classes = np.bincount(cell, weights=loud, minlength=12 * frames).reshape(frames, 12)
    classes = sum(share * np.roll(classes, interval, axis=1) for interval, share in OVERTONES.items())
    struck = np.zeros((frames, 12), dtype=np.float32)
    np.maximum.at(struck, (first, array["pitch"] % 12), np.sqrt(array["velocity"] / 127.0).astype(np.float32))
    return _made(np.log1p(10.0 * classes).astype(np.float32), _fading(struck))


def _made(classes: np.ndarray, onsets: np.ndarray, fps: float = FPS) -> Features:
    classes = classes.astype(np.float32)
    loudness = classes.sum(axis=1)
    heard = loudness > QUIET * loudness.max(initial=0.0)
    chroma = (classes - classes.mean(axis=1, keepdims=True)) * heard[:, None]
    chroma /= np.maximum(np.linalg.norm(chroma, axis=1, keepdims=True), 1e-9)
    flat = ~chroma.any(axis=1)  # silence, or all pitch classes alike
    return Features(np.column_stack([chroma, flat]).astype(np.float32), onsets, classes, fps)


def _by_class(keys: np.ndarray) -> np.ndarray:
    """(n, 12) loudest of each pitch class of (n, 88)."""
    padded = np.pad(keys, ((0, 0), (LOWEST_KEY % 12, -(LOWEST_KEY + KEYS) % 12)))
    return padded.reshape(len(keys), -1, 12).max(axis=1)


def _fading(struck: np.ndarray) -> np.ndarray:
    """(n, 12) onsets beside the loudest around them, each fading; `struck` has them in single frames."""
    around, steps = round(AROUND * FPS), round(FADING * FPS)
    strength = np.linalg.norm(struck, axis=1)
    measure = np.lib.stride_tricks.sliding_window_view(np.pad(strength, around), 2 * around + 1).max(axis=1)
    measure = np.maximum(measure, LEAST_MEASURE * strength.max(initial=1e-9))
    local = (struck / measure[:, None]).astype(np.float32)
    faded = local.copy()
    for step in range(1, min(steps, len(local))):
        np.maximum(faded[step:], local[:-step] * np.float32(np.sqrt(1 - step / steps)), out=faded[step:])
    return faded


def _means(values: np.ndarray, factor: int) -> np.ndarray:
    """(ceil(n / factor), ...) means of `factor` rows, the last of as many as there are."""
    starts = np.arange(0, len(values), factor)
    return np.add.reduceat(values, starts, axis=0) / np.diff(np.append(starts, len(values)))[:, None]
