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
LAGS = 17  # steps from one note to another that are counted: none to a bar
INTERVALS = 19  # semitones up or down
ROUND = (96, 128)  # steps and keys of a transform: enough that nothing meets itself from behind, and quick
THINNED = 0.6  # of the notes of a phrase are hidden from guides in training, at most


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
    """What can be counted: which interval follows after how many steps, and in which steps of the bar notes begin.

    All per note, so that neither their number nor the register says anything.
    """

    def __init__(self, width: int = 48):
        super().__init__()
        found = LAGS * (2 * INTERVALS + 1) + BAR
        self.body = nn.Sequential(
            *(nn.LayerNorm(found), nn.Dropout(0.1), nn.Linear(found, width), nn.LeakyReLU(SLOPE)),
            *(nn.Linear(width, width), nn.LeakyReLU(SLOPE), nn.Linear(width, 1)),
        )

    def forward(self, struck: Tensor) -> Tensor:
        return self.body(self.counts(struck[:, 0].float()))[:, 0]

    def counts(self, struck: Tensor) -> Tensor:
        """(B, features) of onsets (B, 64, 84): logarithms of one plus ten times the number per note."""
        spectrum = torch.fft.rfft2(struck, s=ROUND)
        pairs = torch.fft.irfft2(spectrum.abs().square(), s=ROUND)
        pairs = torch.cat([pairs[:, :LAGS, -INTERVALS:], pairs[:, :LAGS, : INTERVALS + 1]], dim=2)
        in_bar = struck.sum(2).view(len(struck), -1, BAR).sum(1)
        notes = struck.sum((1, 2)) + 1
        shares = torch.cat([pairs.flatten(1), in_bar], dim=1).clamp(min=0) / notes[:, None]
        return (1 + 10 * shares).log()


class Guides(nn.Module):
    """(B, C, 64, 84) phrases to (B, 4) logits of genre B; the last is the watch's.

    The first sees what sounds. The others see where notes begin, either as the channel of onsets says or as the
    channel of what sounds does, so that both must be right; and in training only a part of the notes, other for each
    phrase, so that it is not their number that counts.
    """

    def __init__(self):
        super().__init__()
        watch = PatchGuide(1, 8, kernel=(8, 13))
        self.members = nn.ModuleList([OctaveGuide(1), PatchGuide(1), CountGuide(), watch])

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
