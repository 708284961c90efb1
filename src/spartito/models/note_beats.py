"""Beats, downbeats, tempo and metre of played notes: a small convolutional network over chords.

Job
    For every chord of a performance: how likely it lies on a beat, on a downbeat, how long the beats around it
    last, and in which time signature it stands. `analysis.beats` turns these opinions into beats and bars.

Model
    Chords (not seconds) are the time axis, as the score has no other: 22 numbers describe each (`analysis.events`).
    Ten residual blocks of dilated convolutions (width 5, dilations up to 128) see some five hundred chords to
    either side. 64 channels, 0.26 M parameters, two million multiplications per second of music: numpy runs it.

Source
    Convolutions over time with growing dilation for beats: M. E. P. Davies, S. Böck, 'Temporal convolutional
    networks for musical audio beat tracking' (EUSIPCO 2019). Beats, downbeats and metre from performed MIDI by
    one network with several outputs: L. Liu, Q. Kong, V. Morfi, E. Benetos, 'Performance MIDI-to-score conversion
    by neural beat tracking' (ISMIR 2022). Here the input is chords rather than notes, the network convolutional.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from spartito.errors import MissingExtraError, ModelError
from spartito.files import atomic_path

__all__ = [
    "METRES",
    "PERIODS",
    "BeatOpinions",
    "NoteBeatsConfig",
    "NoteBeatsNetwork",
    "load_note_beats",
    "save_note_beats",
    "torch_note_beats",
]

METRES = ("2/4", "3/4", "4/4", "6/8", "2/2", "3/8", "12/8", "9/8")  # what the network can name
PERIODS = np.geomspace(0.2, 3.2, 49)  # seconds per beat, centres of its tempo classes (twelve per octave)
WIDTH = 5  # chords seen by one convolution
FOLDER = Path(__file__).parents[1] / "weights" / "note_beats"


@dataclass(frozen=True)
class NoteBeatsConfig:
    """Sizes of the network."""

    features: int = 22
    channels: int = 64
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 1, 2)

    @property
    def outputs(self) -> int:
        return 2 + len(PERIODS) + len(METRES)


@dataclass(frozen=True, eq=False)
class BeatOpinions:
    """What the network says of m chords; all are natural logarithms of probabilities.

    Attributes
    ----------
    beat, no_beat, downbeat, no_downbeat : np.ndarray, shape=(m,)
    tempo : np.ndarray, shape=(m, len(PERIODS))
    metre : np.ndarray, shape=(m, len(METRES))
    """

    beat: np.ndarray
    no_beat: np.ndarray
    downbeat: np.ndarray
    no_downbeat: np.ndarray
    tempo: np.ndarray
    metre: np.ndarray


def torch_note_beats(config: NoteBeatsConfig | None = None):
    """The network as a torch module, for training: (batch, features, chords) to (batch, outputs, chords)."""
    config = config or NoteBeatsConfig()
    try:
        from torch import nn
    except ImportError as error:
        raise MissingExtraError("torch", extra="train", purpose="training the beat tracker") from error

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            c = config.channels
            self.inp = nn.Conv1d(config.features, c, 1)
            self.conv = nn.ModuleList(
                nn.Conv1d(c, c, WIDTH, dilation=d, padding=WIDTH // 2 * d) for d in config.dilations
            )
            self.norm = nn.ModuleList(nn.BatchNorm1d(c) for _ in config.dilations)
            self.mix = nn.ModuleList(nn.Conv1d(c, c, 1) for _ in config.dilations)
            self.drop = nn.Dropout(0.1)
            self.out = nn.Conv1d(c, config.outputs, 1)

        def forward(self, x):  # (batch, features, chords)
            x = self.inp(x).relu()
            for conv, norm, mix in zip(self.conv, self.norm, self.mix):
                x = x + mix(self.drop(norm(conv(x)).relu()))
            return self.out(x)  # (batch, outputs, chords)

    return Network()


class NoteBeatsNetwork:
    """The trained network in numpy.

    Parameters
    ----------
    weights : dict of np.ndarray
        The state dict of `torch_note_beats`, plus `mean` and `deviation` (features,) of the training data.
    """

    def __init__(self, weights: dict[str, np.ndarray], config: NoteBeatsConfig | None = None):
        self.config = config or NoteBeatsConfig()
        w = {k: np.asarray(v, dtype=np.float32) for k, v in weights.items()}
        try:
            self._mean, self._deviation = w["mean"], w["deviation"]
            self._inp = w["inp.weight"][:, :, 0], w["inp.bias"]
            self._out = w["out.weight"][:, :, 0], w["out.bias"]
            self._blocks = []
            for i, dilation in enumerate(self.config.dilations):
                # batch normalisation is folded into the convolution before it
                scale = w[f"norm.{i}.weight"] / np.sqrt(w[f"norm.{i}.running_var"] + 1e-5)
                kernel = w[f"conv.{i}.weight"] * scale[:, None, None]  # (out, in, WIDTH)
                bias = (w[f"conv.{i}.bias"] - w[f"norm.{i}.running_mean"]) * scale + w[f"norm.{i}.bias"]
                mix = w[f"mix.{i}.weight"][:, :, 0], w[f"mix.{i}.bias"]
                self._blocks.append((dilation, kernel, bias, mix))
        except KeyError as error:
            raise ModelError(f"the weights of the beat tracker lack {error.args[0]!r}") from error

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(m, outputs) from (m, features), before any softmax."""
        x = (np.asarray(features, dtype=np.float32) - self._mean) / self._deviation
        x = np.maximum(self._inp[0] @ x.T + self._inp[1][:, None], 0)  # (channels, m)
        m = x.shape[1]
        for dilation, kernel, bias, (mix, mix_bias) in self._blocks:
            reach = WIDTH // 2 * dilation
            padded = np.pad(x, ((0, 0), (reach, reach)))
            y = np.repeat(bias[:, None], m, axis=1)
            for k in range(WIDTH):
                y += kernel[:, :, k] @ padded[:, k * dilation : k * dilation + m]
            x = x + mix @ np.maximum(y, 0) + mix_bias[:, None]
        return (self._out[0] @ x + self._out[1][:, None]).T

    def __call__(self, features: np.ndarray) -> BeatOpinions:
        """Opinions on m chords from their features (m, features) as `analysis.events` makes them."""
        y = self.logits(features).astype(np.float64)
        n = len(PERIODS)
        return BeatOpinions(
            beat=-np.logaddexp(0, -y[:, 0]),
            no_beat=-np.logaddexp(0, y[:, 0]),
            downbeat=-np.logaddexp(0, -y[:, 1]),
            no_downbeat=-np.logaddexp(0, y[:, 1]),
            tempo=_log_softmax(y[:, 2 : 2 + n]),
            metre=_log_softmax(y[:, 2 + n :]),
        )


def _log_softmax(x: np.ndarray) -> np.ndarray:
    x = x - x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def save_note_beats(weights: dict[str, np.ndarray], config: NoteBeatsConfig, folder: Path) -> None:
    """Write `model.safetensors` (float16; statistics float32) and `config.json` into `folder`.

    Raises OutputError when they cannot be written.
    """
    from safetensors.numpy import save

    exact = ("mean", "deviation", "running")
    state = {
        k: np.ascontiguousarray(v, dtype=np.float32 if any(e in k for e in exact) else np.float16)
        for k, v in weights.items()
        if "num_batches" not in k
    }
    with atomic_path(folder / "model.safetensors") as path:
        path.write_bytes(save(state))  # save_file would make a file that only its owner can read
    described = {"name": folder.name, "job": "beats", "network": asdict(config)}
    with atomic_path(folder / "config.json") as path:
        path.write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")


@lru_cache(maxsize=2)
def load_note_beats(folder: Path = FOLDER) -> NoteBeatsNetwork:
    """The network that comes with the package, or one trained into another folder.

    Raises ModelError when it cannot be read.
    """
    from safetensors.numpy import load_file

    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))["network"]
        weights = load_file(folder / "model.safetensors")
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"the weights of the beat tracker cannot be read from {folder}: {error}") from error
    settings["dilations"] = tuple(settings["dilations"])
    return NoteBeatsNetwork(weights, NoteBeatsConfig(**settings))
