"""A piano recording becomes the notes that were played.

    samples -> concert pitch -> reference level -> windows of spectrum -> network -> curves -> notes and pedal

The recording is read at 16 kHz mono, brought to concert pitch by resampling when its tuning is off, and to a
reference level. Windows of 40 s overlap by as much as the network can see, so that seams do not exist and an hour
needs no more memory than its curves in half precision. The decoder is that of `peaks.py`, with thresholds per key
from the model's `config.json`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from spartito.audio.audio import Audio
from spartito.audio.chunks import windows
from spartito.audio.features import front_end
from spartito.audio.io import audio_info, read_mono
from spartito.audio.level import reference_gain
from spartito.audio.tuning import estimate_tuning
from spartito.errors import AudioError, ParameterError
from spartito.models.hub import ModelInfo, load_model
from spartito.models.runtime import open_graph
from spartito.notes.notes import Notes, Track
from spartito.peaks import PeakSettings, notes_from_curves

__all__ = ["HIGH_NOTES", "Curves", "Transcriber", "transcribe"]

RATE = 16_000  # Hz
WINDOW = 2500  # frames of 16 ms, 40 s: the margins are then a tenth of the work
KEYS, LOWEST_KEY = 88, 21
KEY_GROUP = 11  # keys decoded at a time: bounds the memory of an hour
IN_TUNE = 4.0  # cents: below it compensation would change nothing that can be measured
HIGH_NOTES = ("calibrated", "strict", "off")
PEDAL_DOWN, PEDAL_UP = 0.6, 0.4  # probabilities: hysteresis, so that doubt does not flutter
PEDAL_SHORTEST = 0.1  # s, of a pedal stroke and of a lift between two
HARMONICS = (12, 19, 24, 28)  # semitones from a key to its second ... fifth partial


@dataclass(frozen=True)
class Curves:
    """What the network said: probabilities, 62.5 frames a second."""

    onset: np.ndarray  # (frames, 88) float16
    offset: np.ndarray
    frame: np.ndarray
    velocity: np.ndarray
    pedal: np.ndarray  # (frames,) float32
    fps: float


class Transcriber:
    """A loaded model. `transcribe` makes one for a call; keep one to transcribe many recordings."""

    def __init__(self, info: ModelInfo, *, device: str = "auto", threads: int = 0):
        self.info = info
        self.decoder = info.config["decoder"]
        self.margin = info.config["reach"] + info.config["reach"] % 2
        self.transform = front_end(info.config["front_end"])
        threads = threads or _threads_of_environment()
        self.network = open_graph(info.folder / "model.onnx", device=device, threads=threads)

    def curves(
        self, samples: np.ndarray, *, gain: float = 1.0, progress: Callable[[float], None] | None = None
    ) -> Curves:
        """Probabilities for `samples` ((n,) float32, 16 kHz, at concert pitch), times `gain`: at reference level."""
        fps = self.transform.fps
        frames = self.transform.frames(len(samples))
        keys = np.zeros((4, frames, KEYS), dtype=np.float16)
        pedal = np.zeros(frames, dtype=np.float32)
        for first, spectrum in windows(samples, self.transform, frames=WINDOW, margin=self.margin, gain=gain):
            odd = len(spectrum) % 2
            if odd:  # the network takes frames in pairs
                spectrum = np.concatenate([spectrum, spectrum[-1:]])
            logits, down = self.network({"spectrum": spectrum[None]})
            last = min(first + WINDOW, frames)
            inner = slice(self.margin, self.margin + last - first)
            keys[:, first:last] = _sigmoid(logits[0, :, inner])
            pedal[first:last] = _sigmoid(down[0, inner])
            if progress is not None:
                progress(last / frames)
        return Curves(*keys, pedal, fps)

    def thresholds(self, high_notes: str) -> np.ndarray:
        """(88,) least heights of onset peaks, by key. Raises ParameterError for an unknown guard."""
        if high_notes not in HIGH_NOTES:
            raise ParameterError(f"high notes are one of {', '.join(HIGH_NOTES)}, not {high_notes!r}")
        return self._thresholds(high_notes)

    def _thresholds(self, high_notes: str) -> np.ndarray:
        return np.broadcast_to(np.asarray(self.decoder["onset"][high_notes], dtype=np.float64), (KEYS,))

    def notes(
        self,
        curves: Curves,
        *,
        onset_threshold: float | np.ndarray | None = None,
        frame_threshold: float | None = None,
        shortest: float = 0.02,
        high_notes: str = "calibrated",
    ) -> np.ndarray:
        """(n,) notes (NOTE_DTYPE) decoded from `curves`; options as in `transcribe`."""
        onset = self.thresholds(high_notes) if onset_threshold is None else onset_threshold
        onset = np.broadcast_to(np.asarray(onset, dtype=np.float64), (KEYS,))
        guarded = high_notes == "strict" and onset_threshold is None
        return self._decoded(curves, onset, frame_threshold, shortest=shortest, guarded=guarded)

    def _decoded(
        self, curves: Curves, onset: np.ndarray, frame: float | None, *, shortest: float, guarded: bool
    ) -> np.ndarray:
        """The notes under thresholds (88,) of onsets; `guarded` doubts high notes that may be partials."""
        settings = PeakSettings(
            frame=self.decoder["frame"] if frame is None else frame,
            offset=self.decoder["offset"],
            shortest=shortest,
        )
        groups = []
        for first in range(0, KEYS, KEY_GROUP):
            some = slice(first, first + KEY_GROUP)
            parts = (
                c[:, some].astype(np.float32) for c in (curves.onset, curves.offset, curves.frame, curves.velocity)
            )
            group = notes_from_curves(*parts, fps=curves.fps, settings=replace(settings, onset=onset[some]))
            group["pitch"] += first
            groups.append(group)
        notes = np.concatenate(groups)
        notes = notes[np.lexsort((notes["pitch"], notes["onset"]))]
        if guarded:
            notes = notes[~_ghosts(notes, onset, fps=curves.fps)]
        slope, shift = self.decoder["velocity"]
        notes["velocity"] = np.clip(np.rint(slope * notes["velocity"] + shift), 1, 127)
        notes["confidence"] = self._confidence(notes)
        return notes

    def _confidence(self, notes: np.ndarray) -> np.ndarray:
        """Calibrated probability that a note was played, from the height of its onset peak and its key."""
        calibration = self.decoder["calibration"]
        height = np.clip(notes["confidence"].astype(np.float64), 1e-4, 1 - 1e-4)
        shift = np.asarray(calibration["shift"])[notes["pitch"] - LOWEST_KEY]
        return _sigmoid(calibration["slope"] * np.log(height / (1 - height)) + shift)


def transcribe(
    source: str | os.PathLike | Audio,
    *,
    model: str | os.PathLike | Transcriber = "transcribe",
    start: float | None = None,
    end: float | None = None,
    onset_threshold: float | None = None,
    frame_threshold: float | None = None,
    shortest: float = 0.02,
    lowest: int = 21,
    highest: int = 108,
    high_notes: str = "calibrated",
    pedal: bool = False,
    tuning: str | float | None = "auto",
    device: str = "auto",
    progress: Callable[[float], None] | None = None,
) -> Notes:
    """The notes of a piano recording.

    Parameters
    ----------
    source : path or Audio
        Any rate and number of channels.
    model : str, path or Transcriber
        A shipped model's name, a folder, a hub id, or a model already loaded.
    start, end : float, optional
        Seconds: the part to transcribe. Times in the result stay those of the recording.
    onset_threshold : float, optional
        0..1: how sure an attack must be; lower finds more notes and more false ones. Replaces the model's own
        thresholds, which differ by key.
    frame_threshold : float, optional
        0..1: how sure the model must be that a key still sounds; lower makes notes longer.
    shortest : float
        Seconds: shorter notes are lengthened to it.
    lowest, highest : int
        MIDI numbers: notes outside are left out.
    high_notes : "calibrated", "strict" or "off"
        Guard against false notes in the top octaves: thresholds per key; the same and a check against partials of
        lower notes; or one threshold for all keys.
    pedal : bool
        Also transcribe the sustain pedal. The notes are the same with and without it: each ends where it is heard
        to end, whatever the pedal does.
    tuning : "auto", float or None
        Deviation of the piano from A4 = 440 Hz in cents: estimated, given (-50..50), or taken to be none.
    device : "auto", "cpu", "cuda" or "mps"
    progress : callable, optional
        Called with the part done, 0..1.

    Returns
    -------
    Notes
        One track; `offset` is where a note stops sounding. `confidence` is the probability that it was played.

    Raises
    ------
    AudioError, ParameterError, ModelError, DeviceError
    """
    _check(onset_threshold, frame_threshold, shortest, lowest, highest, tuning)
    transcriber = model if isinstance(model, Transcriber) else load_model(model, device=device)
    if isinstance(source, Audio):
        samples, title, artist = _samples_of(source, start, end), source.title, source.artist
    else:
        samples = read_mono(source, rate=RATE, start=start, end=end)
        tags = audio_info(source)
        title, artist = tags.title, tags.artist
    if len(samples) == 0:
        raise AudioError("there is no sound in the part to transcribe: it holds no samples")
    cents = estimate_tuning(samples, RATE) if tuning == "auto" else float(tuning or 0.0)
    stretch = 1.0
    if abs(cents) >= IN_TUNE:
        samples, stretch = _retuned(samples, cents)
    curves = transcriber.curves(samples, gain=reference_gain(samples, RATE), progress=progress)
    array = transcriber.notes(
        curves,
        onset_threshold=onset_threshold,
        frame_threshold=frame_threshold,
        shortest=shortest,
        high_notes=high_notes,
    )
    array = array[(array["pitch"] >= lowest) & (array["pitch"] <= highest)]
    array["onset"] *= stretch
    array["offset"] *= stretch
    notes = Notes(array, tracks=(Track(name="piano"),), title=title, composer=artist)
    if pedal and transcriber.decoder.get("pedal", False):
        notes = notes.with_pedal(_pedal_spans(curves.pedal, fps=curves.fps) * stretch)
    return notes.shifted(start) if start else notes


def _threads_of_environment() -> int:
    """What OMP_NUM_THREADS says, 0 where it says nothing: ONNX Runtime has threads of its own and does not ask."""
    value = os.environ.get("OMP_NUM_THREADS", "")
    return int(value) if value.isdigit() else 0


def _check(onset_threshold, frame_threshold, shortest, lowest, highest, tuning):
    for name, value in (("onset", onset_threshold), ("frame", frame_threshold)):
        if value is not None and not 0 < value < 1:
            raise ParameterError(f"the {name} threshold lies between 0 and 1, not at {value}")
    if not shortest >= 0:
        raise ParameterError(f"the shortest note cannot last {shortest} s")
    if not LOWEST_KEY <= lowest <= highest <= LOWEST_KEY + KEYS - 1:
        raise ParameterError(f"the pitch range lies within MIDI 21 (A0) .. 108 (C8), not {lowest} .. {highest}")
    if isinstance(tuning, str) and tuning != "auto":
        raise ParameterError(f"the tuning is 'auto' or a number of cents, not {tuning!r}")
    if not isinstance(tuning, str) and tuning is not None and not abs(tuning) <= 50:
        raise ParameterError(f"the tuning lies within 50 cents of A4 = 440 Hz, not at {tuning}")


def _samples_of(audio: Audio, start: float | None, end: float | None) -> np.ndarray:
    import soxr

    first = int((start or 0.0) * audio.rate)
    last = audio.samples.shape[1] if end is None else int(end * audio.rate)
    if first >= audio.samples.shape[1] or last <= first:
        raise AudioError(f"the part from {start} s to {end} s lies outside a recording of {audio.duration:.1f} s")
    mono = np.nan_to_num(audio.mono()[first:last])
    return mono if audio.rate == RATE else soxr.resample(mono, audio.rate, RATE)


def _retuned(samples: np.ndarray, cents: float) -> tuple[np.ndarray, float]:
    """Samples at concert pitch, and the factor that takes times back to the recording's clock."""
    import soxr

    ratio = 2.0 ** (cents / 1200.0)  # a sharp piano is slowed down
    return soxr.resample(samples, RATE, RATE * ratio), 1.0 / ratio


def _ghosts(notes: np.ndarray, threshold: np.ndarray, *, fps: float) -> np.ndarray:
    """(n,) bool: high notes that are rather a partial of a lower one struck at the same time.

    Above MIDI 84, a note whose key is a partial of another note begun within a frame, by 0.2 surer, needs 0.15 more
    than its threshold (specification, 4.4).
    """
    ghost = np.zeros(len(notes), dtype=bool)
    suspects = np.flatnonzero(
        (notes["pitch"] >= 84) & (notes["confidence"] < threshold[notes["pitch"] - LOWEST_KEY] + 0.15)
    )
    low = np.searchsorted(notes["onset"], notes["onset"][suspects] - 1.0 / fps)
    high = np.searchsorted(notes["onset"], notes["onset"][suspects] + 1.0 / fps, side="right")
    for suspect, first, last in zip(suspects, low, high, strict=True):  # a handful per minute
        near = notes[first:last]
        is_fundamental = np.isin(notes["pitch"][suspect] - near["pitch"], HARMONICS)
        ghost[suspect] = np.any(is_fundamental & (near["confidence"] >= notes["confidence"][suspect] + 0.2))
    return ghost


def _pedal_spans(down: np.ndarray, *, fps: float) -> np.ndarray:
    """(n, 2) seconds: hysteresis, then strokes and lifts shorter than 100 ms are ignored."""
    state = np.where(down >= PEDAL_DOWN, 1, np.where(down <= PEDAL_UP, 0, -1))
    known = np.flatnonzero(state >= 0)
    if len(known) == 0:
        return np.zeros((0, 2))
    last = np.maximum.accumulate(np.where(state >= 0, np.arange(len(state)), 0))
    held = np.concatenate([[0], np.maximum(state[last], 0), [0]])
    edges = np.flatnonzero(np.diff(held)).reshape(-1, 2)  # frames
    if len(edges) == 0:
        return edges / fps
    shortest = int(np.ceil(PEDAL_SHORTEST * fps))
    lift = np.append(np.iinfo(np.int64).max, edges[1:, 0] - edges[:-1, 1])
    starts = np.flatnonzero(lift >= shortest)
    ends = np.append(starts[1:] - 1, len(edges) - 1)
    spans = np.column_stack([edges[starts, 0], edges[ends, 1]])
    return spans[spans[:, 1] - spans[:, 0] >= shortest] / fps


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))
