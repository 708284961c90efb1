"""Networks that tell two genres apart from a phrase of four bars: one as published, two of other families.

Job
    (n, 1 or 2, 64, 84) piano rolls in 0..1 to (n, 2) logits, genre A first. Two channels are onsets and what sounds;
    one is what sounds, and onsets are then the steps at which a key begins to sound. A step is a quarter of a beat,
    column 0 is MIDI 24 (`notes.phrases`).

Kinds
    `published` judges what sounds, and only that. It sees each octave for itself (kernels 1x12), then time; absolute
    pitch and place matter to it. With width 64 it has 1,156,608 parameters.
    `intervals` forgets place and key before it looks: it counts which interval follows which after how many steps,
    which intervals sound together, above the lowest note, and between chords a beat or a bar apart, and in which steps
    of the bar notes begin, all per note; two layers weigh that. A transposed phrase gives the same answer, and a few
    false cells hardly move the counts, so that it agrees with `published` by what both are about, not by habit.
    `octaves` sees onsets alone, through a small residual network whose maps are averaged over keys and time in the end.
    These two look at cells that are above or not above a half: no generator can be led by their gradients, nor move
    them by what is not a note.

Source
    G. Brunner, Y. Wang, R. Wattenhofer, S. Zhao, 'Symbolic music genre transfer with CycleGAN' (ICTAI 2018,
    https://arxiv.org/abs/1809.07575) for `published`; the layers as their program has them. Counts of intervals over
    differences of onset describe style in O. Cífka, U. Simsekli, G. Richard, 'Groove2Groove' (IEEE/ACM TASLP 2020).

Differences
    The rescaling of the input from 0..1 to -1..1 is part of the network here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional

from spartito.errors import ParameterError

__all__ = ["KINDS", "GenreClassifierConfig", "IntervalJudge", "OctaveJudge", "PublishedClassifier", "make_classifier"]

STEPS, KEYS = 64, 84  # of a phrase
BAR = 16  # steps
HALF = 0.5  # probability above which a cell is a note
SLOPE = 0.2  # of the leaky rectifier below 0, as published
DEVIATION = 0.02  # of fresh weights, as published
EPSILON = 1e-5  # of instance normalisation, as published


@dataclass(frozen=True)
class GenreClassifierConfig:
    """Kind and size of a classifier."""

    kind: str = "published"
    """published, intervals or octaves"""
    width: int = 64
    """Channels of the first layer; units of the hidden layer for `intervals`."""

    @classmethod
    def from_dict(cls, values: dict) -> GenreClassifierConfig:
        """Raises ParameterError for settings that it does not know."""
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ParameterError(f"a genre classifier has no setting {', '.join(sorted(unknown))}")
        return cls(**values)

    def to_dict(self) -> dict:
        return asdict(self)


def make_classifier(config: GenreClassifierConfig) -> nn.Module:
    """A fresh network. Raises ParameterError for a kind there is not."""
    if config.kind not in KINDS:
        raise ParameterError(f"a genre classifier is one of {', '.join(KINDS)}, not {config.kind!r}")
    if config.width < 1:
        raise ParameterError(f"the width of a genre classifier is at least 1, not {config.width}")
    return KINDS[config.kind](config.width)


def onsets_of(rolls: Tensor) -> Tensor:
    """(n, 64, 84) onsets of (n, 1 or 2, 64, 84) rolls; of a single channel the steps at which a key begins to sound."""
    sounding = rolls[:, -1]
    if rolls.shape[1] > 1:
        return rolls[:, 0]
    before = functional.pad(sounding, (0, 0, 1, 0))[:, :-1]
    return functional.relu(sounding - before)


# -- as published --------------------------------------------------------------------------------------------------


class PublishedClassifier(nn.Module):
    """Five convolutions: over an octave, then over time in kernels of 4, 2 and 8 steps, then over the seven octaves."""

    def __init__(self, width: int = 64):
        super().__init__()
        d = width
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, size, size, bias=False)
            for before, after, size in (
                (1, d, (1, 12)),  # (64, 7)
                (d, 2 * d, (4, 1)),  # (16, 7)
                (2 * d, 4 * d, (2, 1)),  # (8, 7)
                (4 * d, 8 * d, (8, 1)),  # (1, 7)
                (8 * d, 2, (1, 7)),
            )
        )
        self.norms = nn.ModuleList(nn.InstanceNorm2d(k * d, EPSILON, affine=True) for k in (2, 4, 8))
        for conv in self.convs:
            nn.init.trunc_normal_(conv.weight, std=DEVIATION, a=-2 * DEVIATION, b=2 * DEVIATION)
        for norm in self.norms:
            nn.init.normal_(norm.weight, 1.0, DEVIATION)

    def forward(self, rolls: Tensor) -> Tensor:  # (n, 1 or 2, 64, 84) in 0..1 -> (n, 2)
        first, *middle, last = self.convs
        x = functional.leaky_relu(first(2.0 * rolls[:, -1:] - 1.0), SLOPE)
        for conv, norm in zip(middle, self.norms):
            x = functional.leaky_relu(norm(conv(x)), SLOPE)
        return last(x).flatten(1)


# -- counts of intervals -------------------------------------------------------------------------------------------

LAGS = tuple(range(9))  # steps between two onsets: up to two beats
REACH = 24  # semitones between two onsets, either way
CHORD_REACH = 36  # semitones between notes that sound together
CHANGES = (4, 8, 16)  # steps between harmonies that are compared: a beat, half a bar, a bar
PULSES = tuple(range(1, 17))  # steps after which the rhythm may come again
PULSE_GAIN = 100.0  # how many of what is counted make a logarithm of about 1 to 5
ENOUGH = 4.0  # notes below which counts per note shrink towards nothing


class IntervalJudge(nn.Module):
    """Counts that no transposition changes, and two layers that weigh them."""

    def __init__(self, width: int = 64):
        super().__init__()
        features = len(LAGS) * (2 * REACH + 1) + 2 * (CHORD_REACH + 1) + 12 * len(CHANGES) + BAR + len(PULSES) + 3
        self.norm = nn.BatchNorm1d(features)
        self.hidden = nn.Linear(features, width)
        self.second = nn.Linear(width, width // 2)
        self.out = nn.Linear(width // 2, 2)
        self.drop = nn.Dropout(0.3)

    def forward(self, rolls: Tensor) -> Tensor:  # (n, 1 or 2, 64, 84) in 0..1 -> (n, 2)
        x = self.drop(self.norm(counts((rolls > HALF).to(rolls.dtype))))
        x = self.drop(functional.relu(self.hidden(x)))
        return self.out(functional.relu(self.second(x)))


def counts(rolls: Tensor) -> Tensor:
    """(n, features) logarithms of what `IntervalJudge` counts in (n, 1 or 2, 64, 84) rolls, each per note or step."""
    onset, sounding = onsets_of(rolls), rolls[:, -1]
    notes, cells = onset.sum(dim=(1, 2)), sounding.sum(dim=(1, 2))  # (n,)
    per_note, per_cell = 1 / (notes + ENOUGH)[:, None], 1 / (cells + ENOUGH)[:, None]
    follows = _intervals(onset[:, None], _later(onset, LAGS), REACH)  # (n, lags, 49)
    together = _intervals(sounding, sounding, CHORD_REACH)[:, CHORD_REACH:]
    below = functional.pad(sounding.cumsum(dim=2), (1, 0))[:, :, :KEYS]
    lowest = sounding * functional.relu(1.0 - below)  # the cells with nothing under them
    above = _intervals(lowest, sounding, CHORD_REACH)[:, CHORD_REACH:]
    chroma = sounding.reshape(-1, STEPS, KEYS // 12, 12).sum(dim=2).clamp(max=1.0)  # (n, 64, 12)
    chroma = torch.cat([chroma, chroma[:, :, :11]], dim=2)  # an octave and on, so that intervals wrap around
    changes = _intervals(chroma[:, None, :, :12], _later(chroma, CHANGES), 11)[..., 11:]  # upwards by 0..11
    struck = onset.sum(dim=2)  # (n, 64) notes begun
    bar = struck.reshape(-1, STEPS // BAR, BAR).sum(dim=1)
    pulses = (struck[:, None, :, None] * _later(struck[:, :, None], PULSES)).sum(dim=(2, 3))  # (n, 16)
    busy = struck.clamp(max=1.0).sum(dim=1)
    found = torch.cat(
        [
            follows.flatten(1) * per_note,
            torch.cat([together, above, changes.flatten(1)], dim=1) * per_cell,
            bar * per_note,
            pulses * per_note / (notes[:, None] / STEPS + 1.0),
            torch.stack([busy / (notes + ENOUGH), notes / (cells + ENOUGH), (struck**2).sum(1) / (notes + ENOUGH)], 1),
        ],
        dim=1,
    )
    return torch.log1p(PULSE_GAIN * found)


def _later(x: Tensor, lags: tuple[int, ...]) -> Tensor:
    """(n, lags, 64, k): what (n, 64, k) holds so many steps later; silence behind the end."""
    place = torch.tensor([[step + lag for step in range(STEPS)] for lag in lags], device=x.device)
    return functional.pad(x, (0, 0, 0, max(lags)))[:, place]


def _intervals(first: Tensor, second: Tensor, reach: int) -> Tensor:
    """(..., 2 reach + 1) how often cells of `second` (..., t, q) lie -reach..reach columns above those of `first`.

    All pairs of columns are counted in one product; a row for each column of `first`, shifted so that equal intervals
    stand in one column: padded to a width of w + 1 and cut again to a width of w, each row moves one to the right.
    """
    p, q = int(first.shape[-1]), int(second.shape[-1])
    pairs = first.flip(-1).transpose(-1, -2) @ second  # (..., p, q): columns of `first` from the top
    lead = [int(size) for size in pairs.shape[1:-2]]
    wide = functional.pad(pairs, (0, p)).reshape(-1, *lead, p * (p + q))
    shifted = wide[..., : p * (p + q - 1)].reshape(-1, *lead, p, p + q - 1)
    return shifted.sum(dim=-2)[..., p - 1 - reach : p + reach]


# -- onsets through a small residual network -----------------------------------------------------------------------


class OctaveJudge(nn.Module):
    """Patterns of two beats and an octave, then residual blocks; means and maxima over keys and time decide."""

    def __init__(self, width: int = 16):
        super().__init__()
        w = width
        self.stem = _normed(1, w, (8, 13), (4, 1), (2, 0))  # (16, 72)
        self.deeper = _normed(w, 2 * w, 3, (2, 2), 1)  # (8, 36)
        self.block = nn.Sequential(_normed(2 * w, 2 * w, 3, 1, 1), nn.ReLU(), _normed(2 * w, 2 * w, 3, 1, 1))
        self.last = _normed(2 * w, 3 * w, 3, (2, 2), 1)  # (4, 18)
        self.drop = nn.Dropout(0.3)
        self.out = nn.Linear(6 * w, 2)

    def forward(self, rolls: Tensor) -> Tensor:  # (n, 1 or 2, 64, 84) in 0..1 -> (n, 2)
        x = functional.relu(self.stem(onsets_of((rolls > HALF).to(rolls.dtype))[:, None]))
        x = functional.relu(self.deeper(x))
        x = functional.relu(x + self.block(x))
        x = functional.relu(self.last(x))
        return self.out(self.drop(torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)))


def _normed(before: int, after: int, size, stride, padding) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, size, stride, padding, bias=False), nn.BatchNorm2d(after))


KINDS = {"published": PublishedClassifier, "intervals": IntervalJudge, "octaves": OctaveJudge}
