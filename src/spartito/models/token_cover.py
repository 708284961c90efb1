"""The token model of covers: windows of what a song sounds like in, compound tokens of piano notes out.

    frames of a window -> convolutions per key -> evidence: does this key begin at this step?
                       -> a vector per step (+ metre, chords, what is asked for) -> Transformer encoder
    notes written so far -> Transformer decoder, attending to the steps
    last note, each step ahead, each key of it -> does the next note lie here?

The distribution of the next note is made of one yes-or-no question per *cell* (a key at a step, `cover_tokens`), asked
in rising order: log P(cell) = log h(cell) + sum of log(1 - h) over the cells between the last note and it; END takes
the rest. It is a proper distribution over position and key at once, trained by the cross-entropy it implies; in it the
evidence of the sound acts on each cell directly; and decoding can take the first cell ahead whose h passes a threshold,
which, unlike the likeliest continuation, neither falls silent nor hurries on when many are possible. Hand, duration and
velocity of the chosen note follow from each other. As every cell is asked under the notes told before it, those need
not be the true ones: training tells the decoder what the evidence alone would have written as well as the truth.

`KeyRound` and the input convolution are those of the shipped `a2s` (`arranger_parts.KeyEncoder`), whose weights this
network can start from. Sources: A. Vaswani et al., 'Attention is all you need' (NeurIPS 2017); relative biases after C.
Raffel et al., 'T5' (JMLR 21, 2020), one per distance; J. Choi, K. Lee, 'Pop2Piano' (ICASSP 2023) for the task; compound
tokens: see `cover_tokens.py`. The questions per cell extend those of `pianotree_decoder.py` from keys to steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spartito.errors import ParameterError
from spartito.models.arranger_parts import CHORD, DOUBTED, KeyRound, as_doubted
from spartito.models.cover_tokens import (
    AHEAD,
    CORE,
    DURATIONS,
    END,
    FRAMES_PER_STEP,
    KEYS,
    LONGEST_BAR,
    LOWEST_KEY,
    MARGIN,
    STEPS,
    VELOCITIES,
    WINDOW,
    WINDOW_BEATS,
)

__all__ = ["Encoded", "Learned", "TokenCover", "TokenCoverConfig", "Told"]

CHANNELS = 4  # of frames: onset, frame, velocity, level
LEVEL = 3  # the last of them
SQUEEZED = 8  # channels per key of which the vector of a step is made
RARE = -4.0  # logit of a note in a cell, before anything is learnt: one in fifty-five
BASS_KEYS = 32  # keys up to E3 make the bass chroma


@dataclass(frozen=True)
class TokenCoverConfig:
    """What defines the network; stored beside its weights. The defaults are those of the shipped model."""

    channels: int = 24
    """Of the convolutions per key."""
    rounds: int = 3
    """How often they look around."""
    features: int = 12
    """Values per cell, beside its evidence, that the decoder sees."""
    width: int = 192
    heads: int = 6
    feed_forward: int = 640
    encoder_layers: int = 3
    decoder_layers: int = 3
    cell_units: int = 128
    """Width in which a note told, a step and a key meet."""
    levels: tuple[int, ...] = (12, 5, 5, 5, 6, 5, 2)
    """Highest level of each control of `notes.attributes.CONTROLS`; 0 leaves it free."""
    dropout: float = 0.1

    @classmethod
    def tiny(cls) -> TokenCoverConfig:
        """For tests: every part, hardly any width."""
        return cls(channels=4, rounds=1, features=3, width=16, heads=2, feed_forward=24, encoder_layers=1,
                   decoder_layers=2, cell_units=8)  # fmt: skip

    @classmethod
    def from_dict(cls, values: dict) -> TokenCoverConfig:
        """From JSON: unknown entries are refused."""
        known = {field.name for field in fields(cls)}
        if set(values) - known:
            raise ParameterError(f"a token model has no setting {sorted(set(values) - known)[0]!r}")
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

    def to_dict(self) -> dict:
        return asdict(self)


class Encoded(NamedTuple):
    """What is known of windows before a note is written. `evidence` is for the loss, the others are for decoding."""

    evidence: Tensor  # (B, 64, 88) logits
    cells: Tensor  # (B, 32, 88, 1 + features): evidence and features of the cells of the core
    steps: Tensor  # (B, 32, cell_units): what each step of the core brings to its cells
    memory: Tensor  # (B, layers, 2, heads, 64, width / heads): keys and values of the steps for each decoder layer
    asked: Tensor  # (B, width): the controls


class Told(NamedTuple):
    """What the decoder is told in training, and about which cells and notes it is then asked.

    A *place* is a note told (0: the mark that opens the window) and a step, some keys of which are asked under it:
    those behind the note where they are of one step, up to the next note told. Every cell belongs to one place.
    """

    tokens: Tensor  # (B, T, 5) int64, the first row of each window the END mark; rows behind the last are padding
    window: Tensor  # (P,) int64
    token: Tensor  # (P,) int64, row of `tokens`
    step: Tensor  # (P,) int64, of the core
    place: Tensor  # (B, 32, 88) int64, that of each cell
    note_place: Tensor  # (Q,) int64, that of each true note
    notes: Tensor  # (Q, 5) int64, the tokens of those notes


class Learned(NamedTuple):
    """What `forward` gives to the loss; without `tell` only the evidence."""

    evidence: Tensor  # (B, 64, 88) logits
    told: Told | None = None
    cells: Tensor | None = None  # (B, 32, 88) logits, each cell under the notes told before it
    hand: Tensor | None = None  # (Q, 2) logits
    duration: Tensor | None = None  # (Q, 12), given the true hand
    velocity: Tensor | None = None  # (Q, 8), given the true hand and duration


class TokenCover(nn.Module):
    """See the module's text."""

    def __init__(self, config: TokenCoverConfig | None = None):
        super().__init__()
        self.config = c = config or TokenCoverConfig()
        self.asked = nn.ModuleList(nn.Embedding(levels + 1, c.width) for levels in c.levels)
        self.hearing = Hearing(c)
        self.metre = nn.ModuleList(nn.Embedding(n, c.width) for n in (LONGEST_BAR, LONGEST_BAR + 1, 2))
        self.step = nn.Embedding(WINDOW, c.width)  # shared by the steps heard and the notes written there
        self.chords = nn.Linear(CHORD, c.width, bias=False)
        self.heard = nn.Linear(SQUEEZED * KEYS + KEYS + 12 + 1, c.width)
        self.encoder = nn.ModuleList(Layer(c, memory=False) for _ in range(c.encoder_layers))
        self.encoder_norm = nn.LayerNorm(c.width)
        self.start = nn.Parameter(torch.randn(c.width) * 0.1)
        self.note = nn.ModuleList(nn.Embedding(n, c.width) for n in (2, KEYS, len(DURATIONS), len(VELOCITIES)))
        self.decoder = nn.ModuleList(Layer(c, memory=True) for _ in range(c.decoder_layers))
        self.decoder_norm = nn.LayerNorm(c.width)
        self.from_note = nn.Linear(c.width, c.cell_units)
        self.from_step = nn.Linear(c.width, c.cell_units, bias=False)
        self.to_keys = nn.Linear(c.cell_units, KEYS)
        self.to_features = nn.Linear(c.cell_units, c.features)
        self.details = Details(c)
        for table in (*self.asked, *self.metre, self.step, *self.note):
            nn.init.normal_(table.weight, std=0.1)
        for layer in (self.to_keys, self.to_features):  # at first the evidence decides alone
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    # -- the sound --------------------------------------------------------------------------------------------------

    def encode(self, frames: Tensor, chords: Tensor, metre: Tensor, controls: Tensor) -> Encoded:
        """What is known of windows.

        Parameters
        ----------
        frames : (B, 4, 264, 88) float, see `cover_tokens.window_frames`
        chords : (B, 16, 36) float, all zero where nothing is known of them
        metre : (B, 16, 3) int64, see `cover_tokens.window_metre`
        controls : (B, 7) int64, levels in the order of `notes.attributes.CONTROLS`; 0 is free
        """
        asked = sum(table(level) for table, level in zip(self.asked, controls.unbind(-1)))
        heard = self.hearing(frames, chords, metre, controls)
        x = self.heard(heard.steps) + asked[:, None] + self.step.weight
        beats = sum(table(flag) for table, flag in zip(self.metre, metre.unbind(-1))) + self.chords(chords)
        x = x + _per_step(beats)
        for layer in self.encoder:
            x = layer(x)
        x = self.encoder_norm(x)
        memory = torch.stack([layer.attend_memory.memory(x) for layer in self.decoder], dim=1)
        core = slice(AHEAD, AHEAD + CORE)
        cells = torch.cat([heard.evidence.unsqueeze(-1), heard.features], dim=-1)[:, core]
        return Encoded(heard.evidence, cells, self.from_step(x[:, core]), memory, asked)

    # -- the notes --------------------------------------------------------------------------------------------------

    def embed(self, tokens: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, 5) tokens as vectors (B, T, width), and the steps (B, T) of the window they stand at."""
        mark = tokens[..., :1] == END
        place = AHEAD + tokens[..., 0].masked_fill(mark[..., 0], 0)
        x = self.step(place) + sum(table(field) for table, field in zip(self.note, tokens[..., 1:].unbind(-1)))
        return torch.where(mark, self.start + asked[:, None], x), place

    def step_on(self, token: Tensor, past: Tensor, memory: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
        """One step of decoding.

        Parameters
        ----------
        token : (B, 5) int64, the last note (position, hand, key, duration, velocity); first (END, 0, 0, 0, 0)
        past : (B, layers, 2, heads, T, width / heads), what this gave back before; at first T = 0
        memory, asked : see `Encoded`

        Returns
        -------
        hidden : (B, width), for `judge` and `detail`
        past : with T + 1
        """
        x, place = self.embed(token[:, None], asked)
        kept = []
        for i, layer in enumerate(self.decoder):
            x, new = layer.one(x, place, past[:, i], memory[:, i])
            kept.append(new)
        return self.decoder_norm(x)[:, 0], torch.stack(kept, dim=1)

    def judge(self, hidden: Tensor, steps: Tensor, cells: Tensor) -> Tensor:
        """(B, 32, 88): what the notes before say of each cell; added to its evidence it gives the logit of h.

        hidden (B, width) of `step_on`; steps, cells of `Encoded`. Only cells above the last note have a meaning.
        """
        x = torch.relu(self.from_note(hidden)[:, None] + steps)  # (B, 32, units)
        return self.to_keys(x) + (cells[..., 1:] @ self.to_features(x).unsqueeze(-1)).squeeze(-1)

    def detail(self, hidden: Tensor, step: Tensor, cell: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of hand (B, 2), duration given each hand (B, 2, 12), velocity given both (B, 2, 12, 8).

        hidden (B, width); step (B, cell_units) and cell (B, 1 + features): those of `Encoded` at the chosen cell;
        key (B,) int64.
        """
        return self.details.every(hidden, step, cell, key)

    # -- training ---------------------------------------------------------------------------------------------------

    def forward(
        self,
        frames: Tensor,
        chords: Tensor,
        metre: Tensor,
        controls: Tensor,
        *,
        tell: Callable[[Tensor], Told] | None = None,
    ) -> Learned:
        """One pass of training: `tell` makes of the evidence (B, 64, 88 logits) what the decoder is told."""
        if tell is None:
            return Learned(self.hearing(frames, chords, metre, controls).evidence)
        known = self.encode(frames, chords, metre, controls)
        told = tell(known.evidence.detach())
        x, place = self.embed(told.tokens, known.asked)
        for i, layer in enumerate(self.decoder):
            x = layer(x, place, known.memory[:, i])
        hidden = self.decoder_norm(x)[told.window, told.token]  # (P, width)
        steps, cells = known.steps[told.window, told.step], known.cells[told.window, told.step]
        logits = self.judge(hidden, steps[:, None], cells[:, None])[:, 0] + cells[..., 0]
        asked, key = told.note_place, told.notes[:, 2]
        logits = logits[told.place, torch.arange(KEYS, device=logits.device)]
        details = self.details(hidden[asked], steps[asked], cells[asked, key], told.notes)
        return Learned(known.evidence, told, logits, *details)


class Heard(NamedTuple):
    evidence: Tensor  # (B, 64, 88)
    features: Tensor  # (B, 64, 88, features)
    steps: Tensor  # (B, 64, .) what the vector of each step is made of


class Hearing(nn.Module):
    """Convolutions over steps and keys; the names are those of `KeyEncoder`, whose weights fit in."""

    def __init__(self, config: TokenCoverConfig):
        super().__init__()
        c = config.channels
        self.frames = nn.Conv2d(CHANNELS + DOUBTED, c, (3 * FRAMES_PER_STEP, 3), stride=(FRAMES_PER_STEP, 1),
                                padding=(0, 1))  # fmt: skip
        self.sound = nn.Conv2d(2, c, 3, padding=1, bias=False)  # loudest level and rise of each step
        self.planes = nn.Conv2d(3, c, 1, bias=False)
        self.step = nn.Parameter(torch.zeros(c, WINDOW, 1))
        self.key = nn.Parameter(torch.zeros(c, 1, KEYS))
        self.metre = nn.Embedding(LONGEST_BAR * (LONGEST_BAR + 1) * STEPS, c)
        self.asked = nn.ModuleList(nn.Embedding(levels + 1, c) for levels in config.levels)
        self.rounds = nn.ModuleList(KeyRound(c) for _ in range(config.rounds))
        self.out = nn.Conv2d(c, 1, 1)
        self.features = nn.Conv2d(c, config.features, 1)
        self.squeeze = nn.Conv2d(c, SQUEEZED, 1)
        nn.init.constant_(self.out.bias, RARE)
        for weight in (self.sound.weight, self.metre.weight, *(table.weight for table in self.asked)):
            nn.init.zeros_(weight)
        pitch_class = (torch.arange(KEYS) + LOWEST_KEY) % 12
        self.register_buffer("classes", F.one_hot(pitch_class, 12).float(), persistent=False)  # (88, 12)

    def forward(self, frames: Tensor, chords: Tensor, metre: Tensor, controls: Tensor) -> Heard:
        x = self.frames(torch.cat([frames, as_doubted(frames)], dim=1))  # (B, C, 64, 88)
        level = frames[:, LEVEL]  # (B, 264, 88)
        rise = torch.relu(level - F.pad(level[:, :-1], (0, 0, 1, 0), mode="replicate"))[:, MARGIN:-MARGIN]
        inner = level[:, MARGIN:-MARGIN].unflatten(1, (WINDOW, FRAMES_PER_STEP))
        loudest = inner.amax(2)  # (B, 64, 88)
        rise = rise.unflatten(1, (WINDOW, FRAMES_PER_STEP)).sum(2)
        x = x + self.sound(torch.stack([loudest, rise], dim=1))
        x = x + (self.step + self.key).to(x.dtype)
        tones = chords.unflatten(-1, (3, 12)) @ self.classes.t()  # (B, 16, 3, 88): root, chord tone, bass
        x = x + self.planes(_per_step(tones).transpose(1, 2).to(x.dtype))
        place, length, _ = metre.unbind(-1)
        bars = (STEPS * (place * (LONGEST_BAR + 1) + length)).unsqueeze(-1) + torch.arange(STEPS, device=metre.device)
        told = self.metre(bars.flatten(1))  # (B, 64, C)
        told = told + sum(table(level) for table, level in zip(self.asked, controls.unbind(-1)))[:, None]
        x = torch.relu(x + told.transpose(1, 2).unsqueeze(-1).to(x.dtype))
        for part in self.rounds:
            x = part(x)
        evidence = self.out(x)[:, 0].float()
        squeezed = torch.relu(self.squeeze(x)).transpose(1, 2).flatten(2)  # (B, 64, 8 * 88)
        chroma = loudest[..., :BASS_KEYS] @ self.classes[:BASS_KEYS] / (BASS_KEYS / 12)
        steps = [squeezed, torch.sigmoid(evidence), chroma, loudest.mean(-1, keepdim=True)]
        features = self.features(x).permute(0, 2, 3, 1)
        return Heard(evidence, features, torch.cat([part.to(squeezed.dtype) for part in steps], dim=-1))


class Details(nn.Module):
    """Hand, then duration, then velocity of a note whose cell is known."""

    def __init__(self, config: TokenCoverConfig):
        super().__init__()
        units = config.cell_units
        self.note = nn.Linear(config.width, units)
        self.step = nn.Linear(config.cell_units, units, bias=False)
        self.cell = nn.Linear(1 + config.features, units, bias=False)
        self.key, self.hand, self.duration = (nn.Embedding(n, units) for n in (KEYS, 2, len(DURATIONS)))
        self.to_hand, self.to_duration, self.to_velocity = (
            nn.Linear(units, n) for n in (2, len(DURATIONS), len(VELOCITIES))
        )
        for table in (self.key, self.hand, self.duration):
            nn.init.normal_(table.weight, std=0.1)

    def base(self, hidden: Tensor, step: Tensor, cell: Tensor, key: Tensor) -> Tensor:
        return self.note(hidden) + self.step(torch.relu(step)) + self.cell(cell) + self.key(key)

    def forward(self, hidden: Tensor, step: Tensor, cell: Tensor, notes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (Q, 2), (Q, 12), (Q, 8), each given the true fields (Q, 5) before it."""
        _, hand, key, duration, _ = notes.unbind(-1)
        x = self.base(hidden, step, cell, key)
        y = x + self.hand(hand)
        z = y + self.duration(duration)
        return self.to_hand(torch.relu(x)), self.to_duration(torch.relu(y)), self.to_velocity(torch.relu(z))

    def every(self, hidden: Tensor, step: Tensor, cell: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `TokenCover.detail`."""
        x = self.base(hidden, step, cell, key)  # (B, units)
        y = x[:, None] + self.hand.weight  # (B, 2, units)
        z = y[:, :, None] + self.duration.weight  # (B, 2, 12, units)
        return self.to_hand(torch.relu(x)), self.to_duration(torch.relu(y)), self.to_velocity(torch.relu(z))


# -- Transformer ----------------------------------------------------------------------------------------------------


class Layer(nn.Module):
    """Pre-norm: self-attention (over steps, or over the notes before), attention to the steps heard, feed-forward."""

    def __init__(self, config: TokenCoverConfig, *, memory: bool):
        super().__init__()
        c = config
        self.norm = nn.LayerNorm(c.width)
        self.attend = Attention(c, distances=not memory)
        if memory:
            self.norm_memory = nn.LayerNorm(c.width)
            self.attend_memory = Attention(c, distances=True)
        self.norm_forward = nn.LayerNorm(c.width)
        self.forward_in = nn.Linear(c.width, c.feed_forward)
        self.forward_out = nn.Linear(c.feed_forward, c.width)
        self.dropout = nn.Dropout(c.dropout)

    def forward(self, x: Tensor, place: Tensor | None = None, memory: Tensor | None = None) -> Tensor:
        """(B, 64, width) steps; or (B, T, width) notes that stand at `place` (B, T), with `memory` of the steps."""
        y = self.norm(x)
        keys = self.attend.memory(y)
        if memory is None:
            place = torch.arange(x.shape[1], device=x.device)
            return self._rest(x + self.dropout(self.attend(y, keys, place)))
        x = x + self.dropout(self.attend(y, keys, None, causal=True))
        x = x + self.dropout(self.attend_memory(self.norm_memory(x), memory, place))
        return self._rest(x)

    def one(self, x: Tensor, place: Tensor, past: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """The newest note (B, 1, width) after `past` (B, 2, heads, T, head width), which comes back longer by one."""
        y = self.norm(x)
        past = torch.cat([past, self.attend.memory(y)], dim=3)
        x = x + self.attend(y, past, None)
        x = x + self.attend_memory(self.norm_memory(x), memory, place)
        return self._rest(x), past

    def _rest(self, x: Tensor) -> Tensor:
        return x + self.dropout(self.forward_out(F.gelu(self.forward_in(self.norm_forward(x)))))


class Attention(nn.Module):
    """With `distances` each head likes some distances in steps more than others."""

    def __init__(self, config: TokenCoverConfig, *, distances: bool):
        super().__init__()
        self.heads, width = config.heads, config.width
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.distance = nn.Embedding(2 * WINDOW - 1, config.heads) if distances else None
        if distances:
            nn.init.zeros_(self.distance.weight)

    def memory(self, x: Tensor) -> Tensor:
        """(B, N, width) -> keys and values (B, 2, heads, N, head width)."""
        return self.key_value(x).unflatten(-1, (2, self.heads, -1)).permute(0, 2, 3, 1, 4)

    def forward(self, x: Tensor, memory: Tensor, place: Tensor | None, *, causal: bool = False) -> Tensor:
        """(B, T, width) attends to `memory` of N steps (with `place` (T,) or (B, T), its own steps) or of notes."""
        key, value = memory.unbind(1)
        query = self.query(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        score = (query @ key.transpose(-1, -2)).float() / math.sqrt(query.shape[-1])  # (B, heads, T, N)
        if place is not None:
            apart = torch.arange(WINDOW, device=x.device) - place.unsqueeze(-1) + WINDOW - 1  # (.., T, 64)
            score = score + self.distance(apart).transpose(-1, -2).transpose(-2, -3)
        if causal:
            later = torch.ones(score.shape[-2:], dtype=torch.bool, device=x.device).triu(1)
            score = score.masked_fill(later, -1e9)
        mixed = score.softmax(-1).to(value.dtype) @ value
        return self.out(mixed.transpose(1, 2).flatten(2))


def _per_step(beats: Tensor) -> Tensor:
    """(B, 16, ...) values of beats -> (B, 64, ...), one per step."""
    assert beats.shape[1] == WINDOW_BEATS
    return beats.unsqueeze(2).expand(-1, -1, STEPS, *[-1] * (beats.dim() - 2)).flatten(1, 2)
