"""The encoders and small decoders of A2S, see `arranger.py`, which wires them.

Names, order and shapes of the tensors are those of the published weights; `KeyEncoder` is ours.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spartito.models.pianotree import STEPS
from spartito.models.pianotree_decoder import KEY_EVIDENCE, KEYS, LOWEST_KEY, gru_step

__all__ = ["ChordDecoder", "ChordEncoder", "FeatureDecoder", "FrameEncoder", "Gaussian", "KeyEncoder", "TextureEncoder"]

BEATS = 8  # of a segment
CHORD = 36  # root, chroma, bass
FEATURES = 3  # bass, density, rhythm of the lead
DOUBTED = 2  # channels of frames, onset and frame, that `KeyEncoder` also reads as logits
LEAST = 1 / 255  # their least probability: that of frames in eight bits
LEAST_LOGIT = math.log(LEAST / (1 - LEAST))


class Gaussian(NamedTuple):
    """Mean and standard deviation, (B, latent) each."""

    mean: Tensor
    std: Tensor

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        noise = torch.randn(self.mean.shape, generator=generator, device=self.mean.device)
        return self.mean + self.std * noise.to(self.mean.dtype)


class ChordEncoder(nn.Module):
    """(B, 8, 36) -> code of the chords."""

    def __init__(self, units: int, latent: int):
        super().__init__()
        self.gru = nn.GRU(CHORD, units, batch_first=True, bidirectional=True)
        self.linear_mu = nn.Linear(2 * units, latent)
        self.linear_var = nn.Linear(2 * units, latent)

    def forward(self, chords: Tensor) -> Gaussian:
        return _gaussian(self, _both_ends(self.gru(chords)[1]))


class ChordDecoder(nn.Module):
    """(B, latent) -> logits of root (B, 8, 12), chroma (B, 8, 12, 2), bass (B, 8, 12); serves the loss only."""

    def __init__(self, latent: int, units: int, inputs: int):
        super().__init__()
        self.init_input = nn.Parameter(torch.rand(CHORD))
        self.z2dec_hid = nn.Linear(latent, units)
        self.z2dec_in = nn.Linear(latent, inputs)
        self.gru = nn.GRU(CHORD + inputs, units, batch_first=True)
        self.root_out = nn.Linear(units, 12)
        self.chroma_out = nn.Linear(units, 24)
        self.bass_out = nn.Linear(units, 12)

    def forward(
        self,
        z: Tensor,
        truth: Tensor | None = None,
        *,
        ratio: float = 0.0,
        coin: Callable[[], float] = random.random,
        compat: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`truth` (B, 8, 36) is told with probability `ratio` at each step, one draw for the batch.

        `compat`: the root and bass told back are the classes of all items of the batch at once.
        """
        h, constant = self.z2dec_hid(z), self.z2dec_in(z)
        token = self.init_input.expand(len(z), -1)
        steps = []
        for t in range(BEATS):
            h = gru_step(self.gru, torch.cat([token, constant], dim=-1), h)
            root, chroma, bass = self.root_out(h), self.chroma_out(h).unflatten(-1, (12, 2)), self.bass_out(h)
            steps.append((root, chroma, bass))
            if t == BEATS - 1:
                break
            if coin() < ratio and truth is not None:
                token = truth[:, t]
            else:
                parts = [F.one_hot(root.argmax(-1), 12), chroma.argmax(-1), F.one_hot(bass.argmax(-1), 12)]
                if compat:
                    parts[0], parts[2] = (p.amax(0, keepdim=True).expand_as(p) for p in (parts[0], parts[2]))
                token = torch.cat(parts, dim=-1).to(z.dtype)
        return tuple(torch.stack(part, dim=1) for part in zip(*steps))


class FrameEncoder(nn.Module):
    """Piano frames (B, channels, T, 88) -> code of the sound, and the recurrent states behind it."""

    def __init__(self, channels: int, kernels: int, units: int, latent: int):
        super().__init__()
        self.pitched_enc = PitchedEncoder(
            channels, kernels, units, latent
        )  # the only one of its kind; named so in the published weights

    def forward(self, frames: Tensor) -> tuple[Gaussian, Tensor]:
        return self.pitched_enc(frames)


class PitchedEncoder(nn.Module):
    def __init__(self, channels: int, kernels: int, units: int, latent: int):
        super().__init__()
        self.cnn = nn.Sequential(
            nn.Conv2d(channels, kernels, (4, 12), stride=(2, 1), padding=(0, 1)),
            nn.MaxPool2d(2),  # before the ReLU: the same, on a quarter of the values
            nn.ReLU(),
        )
        width = kernels * ((KEYS + 2 - 12 + 1) // 2)  # 780 as published
        self.gru = nn.GRU(width, units, batch_first=True, bidirectional=True)
        self.linear_mu = nn.Linear(2 * units, latent)
        self.linear_var = nn.Linear(2 * units, latent)

    def forward(self, frames: Tensor) -> tuple[Gaussian, Tensor]:
        x = self.cnn(frames)  # (B, kernels, positions, 39)
        states, last = self.gru(x.transpose(1, 2).flatten(2))  # index = kernel * 39 + key
        return _gaussian(self, _both_ends(last)), states


class TextureEncoder(nn.Module):
    """Piano-roll (B, 32, 128) -> code of the texture."""

    def __init__(self, layers: tuple[int, int], units: int, latent: int):
        super().__init__()
        self.cnn = nn.Sequential(nn.Conv2d(1, 10, (4, 12), stride=(4, 1)), nn.ReLU(), nn.MaxPool2d((1, 4)))
        self.fc1 = nn.Linear(290, layers[0])
        self.fc2 = nn.Linear(layers[0], layers[1])
        self.gru = nn.GRU(layers[1], units, batch_first=True, bidirectional=True)
        self.linear_mu = nn.Linear(2 * units, latent)
        self.linear_var = nn.Linear(2 * units, latent)

    def forward(self, roll: Tensor) -> Gaussian:
        x = self.cnn(roll.unsqueeze(1))  # (B, 10, 8, 29)
        x = self.fc2(self.fc1(x.transpose(1, 2).flatten(2)))  # no activation between, as published
        return _gaussian(self, _both_ends(self.gru(x)[1]))


class FeatureDecoder(nn.Module):
    """(B, latent) -> (B, 32, 3): bass and rhythm as probabilities, density as it comes."""

    def __init__(self, latent: int, units: int, inputs: int):
        super().__init__()
        self.init_input = nn.Parameter(torch.rand(FEATURES))
        self.z2dec_hid = nn.Linear(latent, units)
        self.z2dec_in = nn.Linear(latent, inputs)
        self.gru = nn.GRU(FEATURES + inputs, units, batch_first=True)
        self.out = nn.Linear(units, FEATURES)

    def forward(
        self,
        z: Tensor,
        truth: Tensor | None = None,
        *,
        ratio: float = 0.0,
        coin: Callable[[], float] = random.random,
    ) -> Tensor:
        h, constant = self.z2dec_hid(z), self.z2dec_in(z)
        token = self.init_input.expand(len(z), -1)
        steps = []
        for t in range(STEPS):
            h = gru_step(self.gru, torch.cat([token, constant], dim=-1), h)
            bass, density, rhythm = self.out(h).unbind(-1)
            heard = torch.stack([torch.sigmoid(bass), density, torch.sigmoid(rhythm)], dim=-1)
            steps.append(heard)
            if t == STEPS - 1:
                break
            if coin() < ratio and truth is not None:
                token = truth[:, t]
            else:
                token = torch.cat([heard[:, :2], (heard[:, 2:] > 0.5).to(heard.dtype)], dim=-1)
        return torch.stack(steps, dim=1)


class KeyEncoder(nn.Module):
    """Ours: frames (B, channels, 132, 88), chords and conditions -> what is known of each key at each step.

    Frames of the step, the one before and the one after are read per key, onset and frame also as logits; then rounds
    of convolutions look at the neighbours, at the octaves, at the beats around, and at the same place half a bar and a
    bar away. After each round a mean over the segment tells all cells what kind of music it is. Chords come as three
    planes: whether a key's pitch class is the root, in the chord, or the bass.
    """

    def __init__(self, inputs: int, channels: int, *, rounds: int, chords: bool, conditions: int):
        super().__init__()
        planes = (3 if chords else 0) + conditions
        self.frames = nn.Conv2d(inputs + DOUBTED, channels, (12, 3), stride=(4, 1), padding=(0, 1))
        self.planes = nn.Conv2d(planes, channels, 1, bias=False) if planes else None
        self.step = nn.Parameter(torch.zeros(channels, STEPS, 1))
        self.key = nn.Parameter(torch.zeros(channels, 1, KEYS))
        self.rounds = nn.ModuleList(KeyRound(channels) for _ in range(rounds))
        self.out = nn.Conv2d(channels, KEY_EVIDENCE, 1)
        pitch_class = (torch.arange(KEYS) + LOWEST_KEY) % 12
        self.register_buffer("classes", F.one_hot(pitch_class, 12).float(), persistent=False)  # (88, 12)

    def forward(self, frames: Tensor, chords: Tensor | None, condition: Tensor | None) -> Tensor:
        """(B, 32, 88, 6) logits: begins here, then one per duration bit."""
        x = self.frames(F.pad(torch.cat([frames, as_doubted(frames)], dim=1), (0, 0, 0, 4)))  # (B, C, 32, 88)
        x = x + (self.step + self.key).to(x.dtype)
        planes = []
        if chords is not None:
            tones = chords.unflatten(-1, (3, 12)) @ self.classes.t().to(chords.dtype)  # (B, 8, 3, 88)
            tones = tones.transpose(1, 2).unsqueeze(3).expand(-1, -1, -1, STEPS // BEATS, -1)
            planes.append(tones.flatten(2, 3))  # (B, 3, 32, 88)
        if condition is not None:
            planes.append(condition[:, :, None, None].expand(-1, -1, STEPS, KEYS))
        if self.planes is not None:
            x = x + self.planes(torch.cat([p.to(x.dtype) for p in planes], dim=1))
        x = torch.relu(x)
        for part in self.rounds:
            x = part(x)
        return self.out(x).permute(0, 2, 3, 1)


def as_doubted(frames: Tensor) -> Tensor:
    """Logits of onset and frame of (B, channels, T, 88) frames, scaled to 0..2: (B, 2, T, 88)."""
    unsure = frames[:, :DOUBTED].clamp(LEAST, 1.0 - LEAST)
    return 1.0 - (unsure.log() - (1.0 - unsure).log()) / LEAST_LOGIT


class KeyRound(nn.Module):
    """Residual looks around of `KeyEncoder`, (B, C, 32, 88) -> the same."""

    def __init__(self, channels: int):
        super().__init__()
        self.near = nn.Conv2d(channels, channels, 3, padding=1)
        self.octaves = nn.Conv2d(channels, channels, 3, padding=(2, 12), dilation=(2, 12))
        self.beats = nn.Conv2d(channels, channels, 3, padding=(4, 1), dilation=(4, 1))
        self.bars = nn.Conv2d(channels, channels, (5, 1), padding=(16, 0), dilation=(8, 1))
        self.whole = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.near, self.octaves, self.beats, self.bars):
            x = x + torch.relu(layer(x))
        return x + self.whole(x.mean(dim=(2, 3)))[:, :, None, None].to(x.dtype)


def _gaussian(module: nn.Module, hidden: Tensor) -> Gaussian:
    """The second layer predicts the logarithm of the standard deviation."""
    return Gaussian(module.linear_mu(hidden), module.linear_var(hidden).exp())


def _both_ends(last: Tensor) -> Tensor:
    """(2, B, units) last states of both directions -> (B, 2 units), forward first."""
    return last.transpose(0, 1).flatten(1)
