"""Transcription with an Onsets and Frames network: converted public weights, or ones trained here.

The published way of running them: the whole recording in one pass (longer ones than ten minutes in overlapping
parts), the published front end, and the published decoding rule. Needs torch. `spartito convert` makes the folder,
`spartito transcribe --model FOLDER` comes here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spartito.audio.features import front_end
from spartito.decoding import decode_jongwook, decode_onsets_frames
from spartito.errors import MissingExtraError, ModelError
from spartito.models.hub import ModelInfo
from spartito.transcription import Curves, Transcriber

__all__ = ["OnsetsFramesTranscriber"]

PART, MARGIN = 18_750, 250  # frames of 32 ms: ten minutes, and eight seconds on either side for the LSTMs
THRESHOLD = 0.5
HIGH_KEY, STRICT = 84 - 21, 0.9  # "strict": thresholds rise from the key of C6 to this at the top
TOP_DB = 80.0  # magenta's floor below the loudest bin
RULES = ("onsets_frames", "jongwook")


class OnsetsFramesTranscriber(Transcriber):
    """As `Transcriber`, for folders whose `config.json` says `"architecture": "onsets_frames"`."""

    def __init__(self, info: ModelInfo, *, device: str = "auto", threads: int = 0):
        try:
            import torch
        except ImportError as error:
            raise MissingExtraError("torch", extra="torch", purpose=f"running {info.name}") from error
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from spartito.models.onsets_frames import OnsetsFrames, OnsetsFramesConfig
        from spartito.models.runtime import torch_device

        self.info = info
        try:
            self.decoder = info.config["decoder"]
            network = OnsetsFrames(OnsetsFramesConfig(**info.config["network"]))
            network.load_state_dict(load_file(info.folder / "model.safetensors"))
            name = info.config["front_end"]
        except (KeyError, TypeError, RuntimeError, OSError, SafetensorError) as error:
            raise ModelError(f"{info.folder} does not hold an Onsets and Frames network: {error}") from error
        if self.decoder.get("rule") not in RULES:
            raise ModelError(f"{info.folder}: the decoding rule is one of {', '.join(RULES)}")
        if threads:
            torch.set_num_threads(threads)
        self.device = torch_device(device)
        self.network = network.eval().to(self.device)
        self.magenta = name.startswith("magenta")
        self.transform = front_end(name, top_db=TOP_DB if self.magenta else None)

    def curves(
        self, samples: np.ndarray, *, gain: float = 1.0, progress: Callable[[float], None] | None = None
    ) -> Curves:
        """Probabilities for `samples` ((n,) float32, 16 kHz) at their own level, magenta's at a peak of 1.

        `gain` is for networks trained at a reference level, which these were not.
        """
        import torch

        if self.magenta and len(samples) and np.abs(samples).max() > 0:
            samples = samples / np.abs(samples).max()
        frames, hop = self.transform.frames(len(samples)), self.transform.hop
        keys = np.zeros((4, frames, 88), dtype=np.float16)
        for first in range(0, frames, PART):
            last, low = min(first + PART, frames), max(0, first - MARGIN)
            mel = self.transform(samples[low * hop : (last + MARGIN) * hop])
            with torch.inference_mode():
                heard = self.network(torch.from_numpy(np.ascontiguousarray(mel))[None].to(self.device))
            for curve, name in zip(keys, ("onset", "offset", "frame", "velocity"), strict=True):
                values = getattr(heard, name)
                if values is not None:  # magenta-2018 hears no offsets
                    curve[first:last] = values[0, first - low : last - low].float().cpu().numpy()
            if progress is not None:
                progress(last / frames)
        return Curves(*keys, np.zeros(frames, dtype=np.float32), self.transform.fps)

    def _thresholds(self, high_notes: str) -> np.ndarray:
        """(88,) onset thresholds: 0.5, for "strict" rising above C6."""
        thresholds = np.full(88, THRESHOLD)
        if high_notes == "strict":
            thresholds[HIGH_KEY:] = np.linspace(THRESHOLD, STRICT, 88 - HIGH_KEY)
        return thresholds

    def _decoded(
        self, curves: Curves, onset: np.ndarray, frame: float | None, *, shortest: float, guarded: bool
    ) -> np.ndarray:
        """By the rule of `config.json`; `confidence` is the probability of the onset. The guard is in `onset`."""
        frame = THRESHOLD if frame is None else frame
        maps, hop = (curves.onset, curves.frame, curves.velocity), 1.0 / curves.fps
        if self.decoder["rule"] == "jongwook":
            notes = decode_jongwook(*maps, onset_threshold=onset, frame_threshold=frame, hop_seconds=hop)
        else:
            notes = decode_onsets_frames(
                *maps,
                onset_threshold=onset,
                frame_threshold=frame,
                half_frame_shift=bool(self.decoder.get("half_frame_shift", False)),
                hop_seconds=hop,
            )
        array = notes.array.copy()
        array["offset"] = np.maximum(array["offset"], array["onset"] + shortest)
        return array
