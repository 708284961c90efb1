"""Classifiers that show the generators of genres the way (`training/cyclegan.py`), trained beside them.

A single classifier is easily fooled: a few cells, which no listener minds, make it read the other genre. So there are
three of different kinds, which see different things and all must be convinced, and they are trained to withstand:
cells are dropped and struck at random, and the very cells that would mislead them most are flipped (`misled`). A
fourth, the `watch`, is trained alike and shown to no generator: what it says measures how much of the success is real.
None of them is a judge of the results: those are trained apart, on other works.

Sources: the published classifier of G. Brunner et al. (ICTAI 2018) for `OctaveGuide`; counts of intervals and of places
in the bar after O. Cifka et al., 'Groove2Groove' (TASLP 2020) for `CountGuide`; training on misleading inputs after
A. Madry et al., 'Towards deep learning models resistant to adversarial attacks' (ICLR 2018), here with whole cells.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["CountGuide", "Guides", "OctaveGuide", "PatchGuide", "misled"]

BAR = 16  # steps
OCTAVE = 12
SLOPE = 0.2  # of leaky ReLUs
FEW = 1e-2  # added to counts that divide
THINNED = 0.5  # of the notes of a phrase are hidden from guides in training, at most


class OctaveGuide(nn.Module):
    """The published classifier: each octave at each step, then time; (B, C, 64, 84) to (B,) logits of genre B."""

    def __init__(self, channels: int, width: int = 16):
        super().__init__()
        w = width
        self.body = nn.Sequential(
            *(nn.Conv2d(channels, w, (1, OCTAVE), stride=(1, OCTAVE)), nn.LeakyReLU(SLOPE)),
            *(nn.Conv2d(w, 2 * w, (4, 1), stride=(4, 1)), nn.LeakyReLU(SLOPE)),
            *(nn.Conv2d(2 * w, 4 * w, (2, 1), stride=(2, 1)), nn.LeakyReLU(SLOPE)),
            *(nn.Conv2d(4 * w, 4 * w, (8, 7)), nn.LeakyReLU(SLOPE)),
            *(nn.Flatten(), nn.Linear(4 * w, 1)),
        )

    def forward(self, phrases: Tensor) -> Tensor:
        return self.body(2 * phrases - 1)[:, 0]


class PatchGuide(nn.Module):
    """Small patterns wherever they are, averaged over the phrase and its highest values."""

    def __init__(self, channels: int, width: int = 12, *, kernel: tuple[int, int] = (4, 7)):
        super().__init__()
        w = width
        self.body = nn.Sequential(
            *(nn.Conv2d(channels, w, kernel, stride=(2, 1), padding=(1, kernel[1] // 2)), nn.LeakyReLU(SLOPE)),
            *(nn.Conv2d(w, 2 * w, (4, 4), stride=(2, 4)), nn.GroupNorm(4, 2 * w), nn.LeakyReLU(SLOPE)),
            *(nn.Conv2d(2 * w, 4 * w, 3, stride=2), nn.GroupNorm(4, 4 * w), nn.LeakyReLU(SLOPE)),
        )
        self.out = nn.Linear(8 * w, 1)

    def forward(self, phrases: Tensor) -> Tensor:
        maps = self.body(phrases).flatten(2)
        return self.out(torch.cat([maps.mean(2), maps.amax(2)], dim=1))[:, 0]


class CountGuide(nn.Module):
    """What can be counted: places in the bar, registers, notes at once, lengths, intervals, repetitions."""

    def __init__(self, channels: int, width: int = 48, *, intervals: int = 24, lags: int = 16):
        super().__init__()
        self.intervals, self.lags = intervals, lags
        found = channels * (BAR + 7 + 2 + 1) + intervals + OCTAVE * 3 + lags
        self.body = nn.Sequential(
            nn.LayerNorm(found),
            *(nn.Linear(found, width), nn.LeakyReLU(SLOPE)),
            *(nn.Linear(width, width), nn.LeakyReLU(SLOPE), nn.Linear(width, 1)),
        )

    def forward(self, phrases: Tensor) -> Tensor:
        return self.body(self.counts(phrases.float()))[:, 0]

    def counts(self, x: Tensor) -> Tensor:
        """(B, features), mostly shares of all notes, as logarithms of one plus ten times the share."""
        batch, channels, steps, keys = x.shape
        total = x.sum((2, 3)) + FEW  # (B, C)
        in_bar = x.sum(3).view(batch, channels, -1, BAR).sum(2) / total[..., None]
        register = x.view(batch, channels, steps, 7, OCTAVE).sum((2, 4)) / total[..., None]
        at_once = x.sum(3)  # (B, C, 64)
        thickness = torch.stack([at_once.mean(2) / 4, (at_once**2 + FEW).sqrt().mean(2) / 4], dim=2)
        first = x[:, 0]
        pairs = [(first[..., k:] * first[..., : keys - k]).sum((1, 2)) for k in range(1, self.intervals + 1)]
        lags = [(first[:, k:] * first[:, : steps - k]).sum((1, 2)) for k in range(1, self.lags + 1)]
        classes = first.view(batch, steps, 7, OCTAVE).sum(2)
        moves = []
        for lag in (1, 2, 4):  # how pitch classes follow each other
            spectrum = torch.fft.rfft(classes[:, :-lag], dim=2).conj() * torch.fft.rfft(classes[:, lag:], dim=2)
            moves.append(torch.fft.irfft(spectrum, n=OCTAVE, dim=2).sum(1))
        notes = total[:, :1]
        shares = torch.cat(
            [
                in_bar.flatten(1),
                register.flatten(1),
                torch.stack(pairs, dim=1) / notes,
                torch.cat(moves, dim=1) / notes,
                torch.stack(lags, dim=1) / notes,
            ],
            dim=1,
        )
        return torch.cat([(1 + 10 * shares.clamp(min=0)).log(), thickness.flatten(1), total.log()], dim=1)


class Guides(nn.Module):
    """(B, C, 64, 84) phrases to (B, 4) logits of genre B; the last is the watch's.

    The first sees what sounds. The others see where notes begin, either as the channel of onsets says or as the
    channel of what sounds does, so that both must be right; and in training only a part of the notes, other for each
    phrase, so that it is not their number that counts.
    """

    def __init__(self):
        super().__init__()
        watch = PatchGuide(1, 8, kernel=(8, 13))
        self.members = nn.ModuleList([OctaveGuide(1), PatchGuide(1), CountGuide(1), watch])

    def forward(self, phrases: Tensor) -> Tensor:
        sounding = phrases[:, -1:]
        before = F.pad(sounding, (0, 0, 1, 0))[:, :, :-1]
        begun, struck = sounding * (1 - before), phrases[:, :1]
        if not self.training:
            return (self.told(sounding, struck) + self.told(sounding, begun)) / 2
        count = (len(phrases), 1, 1, 1)
        either = torch.where(torch.rand(count, device=phrases.device) < 0.5, struck, begun)
        there = torch.rand_like(either) >= THINNED * torch.rand(count, device=phrases.device)
        return self.told(sounding, either * there)

    def told(self, sounding: Tensor, struck: Tensor) -> Tensor:
        first, *others = self.members
        return torch.stack([first(sounding).float(), *(member(struck).float() for member in others)], dim=1)


def misled(phrases: Tensor, slope: Tensor, *, most: int) -> Tensor:
    """Phrases with up to `most` cells flipped, among them those whose flip raises a loss most.

    Parameters
    ----------
    slope : (B, C, 64, 84), of the loss with respect to the phrases
    most : cells; each phrase draws its own number up to it
    """
    gain = (slope * (1 - 2 * phrases)).flatten(1)
    value, cell = gain.topk(most, dim=1)
    count = torch.randint(0, most + 1, (len(phrases), 1))
    flip = (torch.arange(most)[None] < count) & (value > 0)
    change = torch.zeros_like(gain).scatter_(1, cell, flip.to(gain.dtype)).view_as(phrases)
    return phrases * (1 - change) + (1 - phrases) * change
