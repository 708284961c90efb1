"""Other beat trackers, when they are installed: `beat-this` and `madmom`.

An engine takes mono samples and gives beat times and, if it knows them, places in the bar. It is imported only when it
is asked for. Neither comes with spartito: beat_this (F. Foscarin, J. Schlüter, G. Widmer, 'Beat this! Accurate beat
tracking without DBN postprocessing', ISMIR 2024) needs torch and fetches its weights itself; madmom (S. Böck et al.,
ACM MM 2016) needs an old numpy and its weights are CC BY-NC-SA.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spartito.errors import MissingExtraError, ModelError, ParameterError

__all__ = ["ENGINES", "beats_by"]

Tracker = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray | None]]
"""Mono samples (n,) and their rate to beat times (b,) s and places in the bar (b,), 0 = downbeat, or None."""

MADMOM_RATE = 44_100  # Hz, the only one it works at
BEAT_THIS_RATE = 22_050


MADMOM_MISSING = (
    "the beat tracker madmom needs the package madmom, which no extra brings since its release does not install on "
    "Python 3.10 and later: pip install cython, then  pip install git+https://github.com/CPJKU/madmom"
)


class _NoExtra(MissingExtraError):
    """A package is missing that no extra of spartito brings; the message says how to get it."""

    def __init__(self, message: str):
        ImportError.__init__(self, message)


def _beat_this(samples: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray | None]:
    try:
        from beat_this.inference import Audio2Beats
    except ImportError as error:
        raise MissingExtraError("beat_this", extra="beat-this", purpose="the beat tracker beat-this") from error
    beats, downbeats = Audio2Beats(checkpoint_path="final0", device="cpu", dbn=False)(
        _resampled(samples, rate, BEAT_THIS_RATE), BEAT_THIS_RATE
    )
    beats, downbeats = np.asarray(beats, dtype=np.float64), np.asarray(downbeats, dtype=np.float64)
    if len(downbeats) == 0 or len(beats) == 0:
        return beats, None
    down = np.abs(beats[:, None] - downbeats[None]).min(axis=1) < 0.02  # it gives the downbeats as a second list
    return beats, _places(down) if down.any() else None


def _madmom(samples: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray | None]:
    try:
        from madmom.audio.signal import Signal
        from madmom.features.downbeats import DBNDownBeatTrackingProcessor, RNNDownBeatProcessor
    except ImportError as error:
        raise _NoExtra(MADMOM_MISSING) from error
    signal = Signal(_resampled(samples, rate, MADMOM_RATE), sample_rate=MADMOM_RATE, num_channels=1)
    rows = DBNDownBeatTrackingProcessor(beats_per_bar=[3, 4], fps=100)(RNNDownBeatProcessor()(signal))
    rows = np.asarray(rows, dtype=np.float64).reshape(-1, 2)
    return rows[:, 0], rows[:, 1].astype(np.int64) - 1


ENGINES: dict[str, Tracker] = {"beat-this": _beat_this, "madmom": _madmom}


def beats_by(engine: str, samples: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Beat times and places in the bar by another program.

    Raises
    ------
    ParameterError
        No engine has that name.
    MissingExtraError
        It is not installed.
    ModelError
        It broke down, for example because it could not fetch its weights.
    """
    if engine not in ENGINES:
        raise ParameterError(f"beats are tracked by spartito, {' or '.join(ENGINES)}, not by {engine!r}")
    try:
        times, places = ENGINES[engine](samples, rate)
    except MissingExtraError:
        raise
    except Exception as error:  # whatever another program raises is its failure, not ours
        reason = next(iter(str(error).splitlines()), repr(error))
        raise ModelError(f"the beat tracker {engine} failed: {reason}") from error
    keep = np.concatenate([[True], np.diff(times) > 0]) if len(times) else np.zeros(0, dtype=bool)
    return times[keep], None if places is None else places[keep]


def _resampled(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    import soxr

    return samples if rate == wanted else soxr.resample(samples, rate, wanted)


def _places(down: np.ndarray) -> np.ndarray:
    """Places in the bar from which beats are downbeats; a pick-up counts back from the first by the usual bar."""
    number = np.arange(len(down))
    last = np.maximum.accumulate(np.where(down, number, -1))
    first = int(np.argmax(down))
    sizes = np.diff(np.flatnonzero(down))
    usual = int(np.median(sizes)) if len(sizes) else 4
    return np.where(last >= 0, number - last, (number - first) % usual)
