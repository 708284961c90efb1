"""Onsets and Frames: the network family that the field measures itself against.

Four or five stacks look at the same mel spectrogram (229 bands, 32 ms frames). Each has three 3x3
convolutions and a linear layer; the onset and offset stacks add a bidirectional LSTM. The frame output is
made by one more LSTM from the probabilities of onset, offset and `activation` (the raw frame stack), so
that a note is only heard going on where it was heard to begin.

    mel (B, T, 229)
      -> onset stack, offset stack     conv, BiLSTM, linear, sigmoid    (B, T, 88) each
      -> activation                    conv, linear, sigmoid            (B, T, 88)
      -> combined stack                [onset, offset, activation] -> BiLSTM, linear, sigmoid: frame
      -> velocity                      conv, linear                     (B, T, 88)

Two layouts. `jongwook`: tensor names and shapes of the PyTorch port jongwook/onsets-and-frames, whose weights
load as they are. `magenta`: the network of the papers in its versions of 2018, 2019 and later; weights
come from the published checkpoint through `spartito.models.convert`. They differ in biases,
normalisation, an activation, the order of the combined input and sizes; see `OnsetsFramesConfig`.

Long recordings run in chunks, convolutions with the margin they see, LSTMs carrying their state, so that
memory beyond input and output stays constant; the result is that of one pass. Sources: C. Hawthorne et
al., "Onsets and Frames: dual-objective piano transcription", ISMIR 2018 (model `magenta-2018`); C.
Hawthorne et al., "Enabling factorized piano music modeling and generation with the MAESTRO dataset", ICLR
2019 (`magenta-2019`). Different here: the linear layer of both layouts reads channels first (a
permutation of magenta's weights, no other change).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spartito.errors import ParameterError

__all__ = ["OnsetsFrames", "OnsetsFramesConfig", "OnsetsFramesOutput"]

BINS = 229  # mel bands
KEYS = 88
CHUNK_FRAMES = 512  # 16 s; as long as the original's
CONV_REACH = 3  # frames that three 3x3 convolutions see to either side
MAGENTA_NORM = {"eps": 1e-3, "momentum": 1e-3}  # TensorFlow's 1e-3 and decay 0.999


class OnsetsFramesOutput(NamedTuple):
    """Each (B, T, 88): probabilities, but `velocity`, which is linear. `offset` is None in `magenta-2018`."""

    onset: Tensor
    offset: Tensor | None
    activation: Tensor
    frame: Tensor
    velocity: Tensor


@dataclass(frozen=True)
class OnsetsFramesConfig:
    """What defines the network; stored beside its weights. `OnsetsFramesConfig.named` gives the published
    ones.

    The layouts differ thus: `jongwook` has biases in its convolutions, full batch normalisation, no ReLU
    behind the first linear layer, two bias vectors per LSTM, and combines onset, offset, activation in
    this order. `magenta` has none of the first, normalisation that only shifts, the ReLU, one bias
    vector, and combines onset, activation, offset.
    """

    layout: str = "jongwook"
    """"jongwook" or "magenta"."""
    channels: int = 48
    """Of the first two convolutions; the third has twice, the linear layer 16 times as many."""
    lstm_units: int = 384
    """Per direction."""
    offset: bool = True
    """Whether there is an offset stack."""
    detach: bool = True
    """Whether the combined stack leaves the onset and offset stacks untouched by its gradient."""
    conv_dropout: float = 0.25
    """Part of the values dropped behind both poolings."""
    dropout: float = 0.5
    """Part of the values dropped behind the first linear layer."""

    def __post_init__(self):
        if self.layout not in ("jongwook", "magenta"):
            raise ParameterError(f"layout is 'jongwook' or 'magenta', not {self.layout!r}")
        if self.channels < 1 or self.lstm_units < 1:
            raise ParameterError(f"{self.channels} channels and {self.lstm_units} units: at least 1 each")

    @classmethod
    def named(cls, name: str = "jongwook", *, channels: int | None = None) -> OnsetsFramesConfig:
        """A published network, or with `channels` a smaller relative of it.

        `jongwook` (26,491,256 parameters), `magenta-2018` (6,793,280), `magenta-2019` (22,600,568), and
        `magenta`, the last state of that repository: as 2019 but dropping 25 % behind the poolings, not 75 %.
        """
        if name == "jongwook":
            channels = channels or 48
            return cls(channels=channels, lstm_units=8 * channels)
        if name == "magenta-2018":
            return cls("magenta", channels or 32, 128, offset=False, detach=False, conv_dropout=0.75)
        if name in ("magenta-2019", "magenta"):
            return cls("magenta", channels or 48, 256, conv_dropout=0.75 if name == "magenta-2019" else 0.25)
        names = "jongwook, magenta-2018, magenta-2019, magenta"
        raise ParameterError(f"no Onsets and Frames network is called {name!r}; there are {names}")

    @property
    def features(self) -> int:
        """Width of the first linear layer."""
        return 16 * self.channels


class OnsetsFrames(nn.Module):
    """See the module's text. `frontend` names the spectrogram it was made for.

    Attributes
    ----------
    chunk_frames : int or None
        Frames per chunk when not training; None runs everything in one pass.
    """

    def __init__(self, config: OnsetsFramesConfig | None = None):
        super().__init__()
        self.config = config = config or OnsetsFramesConfig()
        self.chunk_frames: int | None = CHUNK_FRAMES
        magenta = config.layout == "magenta"
        features, units = config.features, config.lstm_units

        def stack(*, recurrent: bool):
            if recurrent:
                middle = [BiLSTM(features, units, one_bias=magenta)]
            else:
                middle = []
            width = 2 * units if recurrent else features
            return nn.Sequential(ConvStack(config), *middle, nn.Linear(width, KEYS))

        self.onset_stack = stack(recurrent=True)
        if config.offset:
            self.offset_stack = stack(recurrent=True)
        self.frame_stack = stack(recurrent=False)
        inputs = KEYS * (3 if config.offset else 2)
        self.combined_stack = nn.Sequential(BiLSTM(inputs, units, one_bias=magenta), nn.Linear(2 * units, KEYS))
        self.velocity_stack = stack(recurrent=False)
        if magenta:
            self._initialise_like_magenta()

    @property
    def frontend(self) -> str:
        """Preset of `spartito.audio.features`; `magenta-2018` is the network without offsets."""
        if self.config.layout == "jongwook":
            return "jongwook"
        return "magenta" if self.config.offset else "magenta-2018"

    def forward(self, mel: Tensor) -> OnsetsFramesOutput:
        """mel : (B, T, 229), the front end's values as they come."""
        chunk = None if self.training or _exporting() else self.chunk_frames
        onset = torch.sigmoid(_run(self.onset_stack, mel, chunk))
        offset = torch.sigmoid(_run(self.offset_stack, mel, chunk)) if self.config.offset else None
        activation = torch.sigmoid(_run(self.frame_stack, mel, chunk))
        if self.config.layout == "jongwook":
            parts = [onset, offset, activation]
        else:
            parts = [onset, activation, offset]
        if self.config.detach:
            parts = [p if p is None or p is activation else p.detach() for p in parts]
        combined = torch.cat([p for p in parts if p is not None], dim=-1)  # (B, T, 264 or 176)
        frame = torch.sigmoid(_run(self.combined_stack, combined, chunk))
        velocity = _run(self.velocity_stack, mel, chunk)
        return OnsetsFramesOutput(onset, offset, activation, frame, velocity)

    def _initialise_like_magenta(self):
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight, gain=2**0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LSTM):
                for name, parameter in module.named_parameters():
                    if name.startswith("weight"):
                        nn.init.xavier_uniform_(parameter)
                    else:
                        nn.init.zeros_(parameter)


class ConvStack(nn.Module):
    """(B, T, 229) -> (B, T, 16 C): what each frame and its three neighbours on either side hold."""

    def __init__(self, config: OnsetsFramesConfig):
        super().__init__()
        c, magenta = config.channels, config.layout == "magenta"

        def conv(inputs, outputs):
            return nn.Conv2d(inputs, outputs, (3, 3), padding=1, bias=not magenta)

        def norm(channels):
            return ShiftNorm(channels) if magenta else nn.BatchNorm2d(channels)

        self.cnn = nn.Sequential(
            conv(1, c),  # (B, C, T, 229)
            norm(c),
            nn.ReLU(),
            conv(c, c),
            norm(c),
            nn.ReLU(),
            nn.MaxPool2d((1, 2)),  # (B, C, T, 114)
            nn.Dropout(config.conv_dropout),
            conv(c, 2 * c),
            norm(2 * c),
            nn.ReLU(),
            nn.MaxPool2d((1, 2)),  # (B, 2C, T, 57)
            nn.Dropout(config.conv_dropout),
        )
        self.fc = nn.Sequential(
            nn.Linear(2 * c * (BINS // 4), config.features),
            *([nn.ReLU()] if magenta else []),
            nn.Dropout(config.dropout),
        )

    def forward(self, mel: Tensor) -> Tensor:
        x = self.cnn(mel.unsqueeze(1))  # (B, 2C, T, 57)
        return self.fc(x.transpose(1, 2).flatten(-2))  # index = channel * 57 + band

    def in_chunks(self, mel: Tensor, chunk: int) -> Tensor:
        """`forward` of `chunk` frames at a time; exact when not training."""
        frames = mel.shape[1]
        parts = []
        for start in range(0, frames, chunk):
            end = min(start + chunk, frames)
            low, high = max(0, start - CONV_REACH), min(frames, end + CONV_REACH)
            x = self.cnn(mel[:, low:high].unsqueeze(1))[:, :, start - low : end - low]
            parts.append(self.fc(x.transpose(1, 2).flatten(-2)))
        return torch.cat(parts, dim=1)


class BiLSTM(nn.Module):
    """(B, T, inputs) -> (B, T, 2 units). `one_bias` fixes the second of torch's two bias vectors at zero."""

    def __init__(self, inputs: int, units: int, *, one_bias: bool):
        super().__init__()
        self.rnn = nn.LSTM(inputs, units, batch_first=True, bidirectional=True)
        if one_bias:
            for name in ("bias_hh_l0", "bias_hh_l0_reverse"):
                zeros = torch.zeros_like(getattr(self.rnn, name))
                delattr(self.rnn, name)
                self.rnn.register_buffer(name, zeros, persistent=False)
            self.rnn._init_flat_weights()

    def forward(self, x: Tensor) -> Tensor:
        return self.rnn(x)[0]

    def in_chunks(self, x: Tensor, chunk: int) -> Tensor:
        """`forward` with bounded memory: each direction runs over the chunks in its own order."""
        starts = range(0, x.shape[1], chunk)
        result = x.new_empty(x.shape[0], x.shape[1], 2 * self.rnn.hidden_size)
        ahead, behind = result.chunk(2, dim=-1)
        for half, suffix, order in ((ahead, "", starts), (behind, "_reverse", reversed(starts))):
            names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
            weights = [getattr(self.rnn, name + suffix) for name in names]
            h = c = x.new_zeros(1, x.shape[0], self.rnn.hidden_size)
            for start in order:
                part = x[:, start : start + chunk]
                part = part.flip(1) if suffix else part
                # input, state, weights, has_biases, layers, dropout, train, bidirectional, batch_first
                y, h, c = torch.lstm(part, (h, c), weights, True, 1, 0.0, False, False, True)
                half[:, start : start + chunk] = y.flip(1) if suffix else y
        return result


class ShiftNorm(nn.Module):
    """Batch normalisation over (B, T, bands) with a learnt shift and no learnt scale, as TensorFlow-slim has it."""

    def __init__(self, channels: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            None,
            self.bias,
            self.training,
            MAGENTA_NORM["momentum"],
            MAGENTA_NORM["eps"],
        )


def _run(stack: nn.Sequential, x: Tensor, chunk: int | None) -> Tensor:
    if chunk is None or x.shape[1] <= chunk:
        return stack(x)
    chunk = -(-x.shape[1] // -(-x.shape[1] // chunk))  # equal chunks: none of a few frames, which round otherwise
    for module in stack:
        x = module.in_chunks(x, chunk) if hasattr(module, "in_chunks") else module(x)
    return x


def _exporting() -> bool:
    """Whether a graph is being recorded, in which lengths are symbols and chunks make no sense."""
    return torch.jit.is_tracing() or torch.compiler.is_compiling()
