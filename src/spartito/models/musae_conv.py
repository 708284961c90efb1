"""The other body of the latent space (`models/musae.py`, `body="conv"`): every step has its own way into the code.

    numbers of states (B, T, S) -> Reader -> features of beats (B, T/4, W); one linear map of them all gives z
    z -> Writer -> logits (B, T, V, 130), all steps at once

Job
    What the published LSTMs do, for two cores. There all of a window passes through the last state of an encoder, and
    each decoder hears one constant; both must learn to count before they learn music. Here z is a linear map of all
    beats, and the first layer of the decoder gives each beat a part of z: on the same windows a tenth of the steps
    bring a bass line back as well (`docs/lab-notes.md`). Still every step is decoded from the code and its own place
    alone.

Method
    Residual layers that see three steps (`Near`), with a step of a quarter, half and whole beat; places are
    learnt. Sixteen bars (`bars_code`): each bar is read alone, all bars at once, into a code of its own; `Near`
    layers over bars follow, and the reverse: the conductor of MusicVAE (A. Roberts et al., ICML 2018), not recurrent.
    A layer over steps is written as one matrix on three steps side by side, which is faster here than a convolution.

Source: ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spartito.notes.four_tracks import BAR, STATES

__all__ = ["Near", "Reader", "Writer"]

FOLD = 2  # steps that become one, twice: a beat is four steps
SMALL = 0.1  # deviation of fresh places


class Near(nn.Module):
    """(B, T, W) to the same: what three neighbouring steps tell, added."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.three = nn.Linear(3 * width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        y = F.pad(self.norm(x), (0, 0, 1, 1))
        y = torch.cat([y[:, :-2], y[:, 1:-1], y[:, 2:]], dim=2)
        return x + self.out(F.gelu(self.three(y)))


def _place(count: int, width: int) -> nn.Parameter:
    return nn.Parameter(SMALL * torch.randn(count, width))


def _folded(x: Tensor, width: int) -> Tensor:
    """(B, T, C) with a last axis of `width`, as many steps as that makes."""
    return x.reshape(x.shape[0], -1, width)


class Reader(nn.Module):
    """Numbers of the states (B, T, S) to features (B, n, C): of beats, or of bars that have codes (`bars_code`)."""

    def __init__(self, size: int, *, bars: int, width: int, bars_code: int = 0):
        super().__init__()
        self.width, self.bars_code = width, bars_code
        steps = BAR if bars_code else BAR * bars
        self.inputs, self.place = nn.Linear(size, width), _place(steps, width)
        self.steps, self.pairs, self.beats = Near(width), Near(width), Near(width)
        self.to_pairs, self.to_beats = nn.Linear(FOLD * width, width), nn.Linear(FOLD * width, width)
        self.norm = nn.LayerNorm(width)
        self.count, self.channels = steps // FOLD**2, width
        if bars_code:
            self.code, self.bar = nn.Linear(self.count * width, bars_code), _place(bars, bars_code)
            self.over = nn.Sequential(Near(bars_code), Near(bars_code), nn.LayerNorm(bars_code))
            self.count, self.channels = bars, bars_code

    def forward(self, x: Tensor) -> Tensor:
        batch = x.shape[0]
        if self.bars_code:
            x = x.reshape(-1, BAR, x.shape[2])
        x = self.steps(self.inputs(x) + self.place)
        x = self.pairs(self.to_pairs(_folded(x, FOLD * self.width)))
        x = self.norm(self.beats(self.to_beats(_folded(x, FOLD * self.width))))
        if self.bars_code:
            x = self.over(self.code(x.flatten(1)).reshape(batch, -1, self.bars_code) + self.bar)
        return x


class Writer(nn.Module):
    """Codes (B, N_z), in units, to logits (B, T, V, 130)."""

    def __init__(self, latent: int, *, bars: int, tracks: int, width: int, bars_code: int = 0):
        super().__init__()
        self.bars, self.tracks, self.width, self.bars_code = bars, tracks, width, bars_code
        steps = BAR if bars_code else BAR * bars
        if bars_code:
            self.bar = nn.Linear(latent, bars * bars_code)
            self.over = nn.Sequential(Near(bars_code), Near(bars_code))
        self.code = nn.Linear(bars_code or latent, steps // FOLD**2 * width)
        self.beats, self.pairs = nn.Sequential(Near(width), Near(width)), Near(width)
        self.to_pairs, self.to_steps = nn.Linear(width, FOLD * width), nn.Linear(width, FOLD * width)
        self.place = _place(steps, width)
        self.steps = nn.Sequential(Near(width), Near(width), nn.LayerNorm(width))
        self.heads = nn.Linear(width, tracks * STATES)

    def forward(self, z: Tensor) -> Tensor:
        batch = z.shape[0]
        if self.bars_code:
            z = self.over(_folded(self.bar(z), self.bars_code)).reshape(-1, self.bars_code)
        x = self.beats(_folded(self.code(z), self.width))
        x = self.pairs(_folded(self.to_pairs(x), self.width))
        x = self.steps(_folded(self.to_steps(x), self.width) + self.place)
        return self.heads(x).reshape(batch, self.bars * BAR, self.tracks, STATES)
