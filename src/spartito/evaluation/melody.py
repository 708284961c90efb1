"""How well the top line of a cover follows the voice of the song: melody chroma accuracy as Pop2Piano measures it.

Method
    Both lines are sampled 43.07 times a second (hops of 1024 samples at 44.1 kHz). Of the cover counts the highest key
    that is held, whatever its loudness; the pedal does not lengthen it. A frame of the voice is right when that key
    lies within half a semitone of it, in the same octave (pitch accuracy) or in any (chroma accuracy); the score is the
    share of the frames with voice. Accompaniment above the tune counts as wrong, silence too.

    The paper hears the voice by pYIN in the separated vocals. Here it is the tune that is known of the song: the pitch
    curve that any such program wrote (`spartito.analysis.song.read_pitch`), annotated notes, or the melody of an
    analysis.

Sources
    J. Choi, K. Lee, 'Pop2Piano: pop audio-based piano cover generation' (ICASSP 2023) and its published program. Raw
    pitch and chroma accuracy, by mir_eval: G. E. Poliner et al., 'Melody transcription from music audio' (IEEE TASLP
    15(4), 2007). Different: a key held for less than a frame takes one frame, where the original may lose it.
"""

from __future__ import annotations

import numpy as np

from spartito.analysis.beats import pitched
from spartito.errors import MissingExtraError, ParameterError
from spartito.notes.notes import Notes
from spartito.notes.pianoroll import to_pianoroll

__all__ = ["FPS", "melody_accuracy"]

FPS = 44100 / 1024  # frames a second
REACH = 0.6  # of the usual step of a pitch curve: beyond it a sample says nothing


def melody_accuracy(reference: Notes | np.ndarray, estimate: Notes) -> dict[str, float]:
    """`melody_chroma_accuracy` and `melody_pitch_accuracy` of a cover, each 0..1.

    Parameters
    ----------
    reference : Notes, or np.ndarray of shape (n, 2)
        The tune: notes, or rows of seconds and hertz (0, negative or nan: no voice), seconds rising.
    estimate : Notes
        The cover.

    Raises
    ------
    MissingExtraError
        mir_eval is not installed (extra `eval`).
    """
    try:
        import mir_eval.melody as melody
    except ImportError as error:
        raise MissingExtraError("mir_eval", extra="eval", purpose="scoring a melody") from error
    sung = _top_line(reference) if isinstance(reference, Notes) else _sampled(reference)
    played = np.zeros(len(sung))
    top = _top_line(estimate)[: len(sung)]
    played[: len(top)] = top
    if not (sung.any() and played.any()):
        return {"melody_chroma_accuracy": 0.0, "melody_pitch_accuracy": 0.0}
    times = np.arange(len(sung)) / FPS
    lines = melody.to_cent_voicing(times, sung, times, played)
    return {
        "melody_chroma_accuracy": float(melody.raw_chroma_accuracy(*lines)),
        "melody_pitch_accuracy": float(melody.raw_pitch_accuracy(*lines)),
    }


def _top_line(notes: Notes) -> np.ndarray:
    """(frames,) hertz of the highest key held, 0 for none. A frame lasts from its time to that of the next."""
    array = pitched(notes).array.copy()
    for name in ("onset", "offset"):
        array[name] -= (0.5 - 1e-6) / FPS  # rolls go to the nearest frame
    roll = to_pianoroll(Notes(array, tracks=notes.tracks), fps=FPS, lowest=0, keys=128)
    pitch = 127 - roll[:, ::-1].argmax(axis=1)
    return np.where(roll.any(axis=1), 440.0 * 2.0 ** ((pitch - 69) / 12), 0.0)


def _sampled(curve: np.ndarray) -> np.ndarray:
    """(frames,) hertz of the sample (seconds, hertz) nearest to each frame, 0 for no voice."""
    curve = np.asarray(curve, dtype=np.float64)
    if curve.ndim != 2 or curve.shape[1] != 2 or len(curve) == 0 or (np.diff(curve[:, 0]) <= 0).any():
        raise ParameterError("a pitch curve has rows of seconds, rising, and hertz")
    times, hertz = curve[:, 0], np.nan_to_num(curve[:, 1]).clip(min=0.0)
    frames = np.arange(int(np.floor(max(times[-1], 0.0) * FPS + 1e-6)) + 1) / FPS
    after = np.searchsorted((times[1:] + times[:-1]) / 2, frames, side="right")
    step = np.median(np.diff(times)) if len(times) > 1 else 1 / FPS
    return np.where(np.abs(times[after] - frames) <= REACH * step, hertz[after], 0.0)
