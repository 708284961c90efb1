"""The idiom model: writes the accompaniment of a tune and its chords as a pianist of a genre would.

    tune, chords, metre of 80 steps, genre -> Transformer encoder -> a vector per step
    last note + the vector of its step     -> Transformer decoder over the notes -> hidden
    hidden, each step from the last note on-> at which step does the next note begin, or does none?     (a pointer)
    hidden, the vector of that step        -> which key? seen from the keyboard, from the root of the chord, from the
                                              last note and from the tune
    key                                    -> hand, duration, velocity

The decoder does not attend to the steps: it gets the vector of the step of each note told, and the heads that of the
step in question. Attention knows time by rotation: queries and keys are turned by the step they stand at, with periods
of 2 to 128 steps, so that 'a bar ago' looks the same everywhere and keys of earlier notes can be kept. As the key is
chosen among others by its interval above the root and from the last note, twelve transpositions share what is learnt.

Sources: A. Vaswani et al., 'Attention is all you need' (NeurIPS 2017); J. Su et al., 'RoFormer' (2021) for the
rotation, here with periods of metre; O. Vinyals et al., 'Pointer networks' (NeurIPS 2015); compound tokens: W.-Y. Hsiao
et al., 'Compound Word Transformer' (AAAI 2021). The combination and the views of the keys are ours.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spartito.errors import ParameterError
from spartito.models.cover_tokens import DURATIONS, KEYS, LOWEST_KEY, VELOCITIES
from spartito.models.idiom_tokens import END, HEARD, LEVELS, NO_KEY, NO_ROOT, ROOT, SIZES, TUNE, WINDOW
from spartito.models.token_cover import Details

__all__ = ["Idiom", "IdiomConfig", "Known", "Written"]

PERIODS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128)  # steps
TONES = 24  # bits of the tones of a chord, see `idiom_tokens.tone_bits`
NEAR = 30  # semitones from the last note within which intervals are told apart
UNDER, OVER = 60, 12  # semitones below and above the tune
FIRST_KEY = 39  # C4 stands for the last note where there is none
USUAL_TUNE = 51  # C5 stands for the tune where it is silent


@dataclass(frozen=True)
class IdiomConfig:
    """What defines the network; stored beside its weights. The defaults are those of the shipped model."""

    width: int = 144
    heads: int = 6
    encoder_forward: int = 192
    encoder_layers: int = 2
    decoder_forward: int = 320
    decoder_layers: int = 3
    cell_units: int = 128
    """Width in which a note told and a step meet."""
    levels: tuple[int, ...] = LEVELS
    """Highest level of each of `idiom_tokens.CONTROLS`; 0 leaves it free."""
    dropout: float = 0.15
    """Of what is told as well as within the layers: the classical pieces are few, and soon known by heart."""

    @property
    def features(self) -> int:
        """Values of a cell for `Details`: its interval above the root, as twelve flags, one of them in front."""
        return 11

    @classmethod
    def tiny(cls) -> IdiomConfig:
        """For tests: every part, hardly any width."""
        return cls(width=16, heads=2, encoder_forward=16, encoder_layers=1, decoder_forward=16, decoder_layers=2,
                   cell_units=8)  # fmt: skip

    @classmethod
    def from_dict(cls, values: dict) -> IdiomConfig:
        """From JSON: unknown entries are refused."""
        known = {field.name for field in fields(cls)}
        if set(values) - known:
            raise ParameterError(f"an idiom model has no setting {sorted(set(values) - known)[0]!r}")
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

    def to_dict(self) -> dict:
        return asdict(self)


class Known(NamedTuple):
    """What is known of windows before a note is written."""

    steps: Tensor  # (B, 80, width)
    pointers: Tensor  # (B, 65, cell_units): what hidden vectors are compared with to find the next step; last: END
    cells: Tensor  # (B, 64, cell_units): what each step brings to the heads
    seen: Tensor  # (B, 64, 2) int64: key of the tune, root of the chord


class Written(NamedTuple):
    """What `forward` gives to the loss, of the Q true notes (and T = notes and END of B windows)."""

    position: Tensor  # (B, T, 65) logits
    key: Tensor  # (Q, 88) logits, given the true position
    hand: Tensor  # (Q, 2)
    duration: Tensor  # (Q, 12)
    velocity: Tensor  # (Q, 8)


class Idiom(nn.Module):
    """See the module's text."""

    def __init__(self, config: IdiomConfig | None = None):
        super().__init__()
        self.config = c = config or IdiomConfig()
        if c.width % (2 * c.heads):
            raise ParameterError(f"{c.heads} heads do not share a width of {c.width} in pairs")
        self.known = nn.ModuleList(nn.Embedding(n, c.width) for n in SIZES)
        self.tune_above = nn.Embedding(13, c.width)  # the tune from the root of the chord
        self.tones = nn.Linear(TONES, c.width, bias=False)
        self.asked = nn.ModuleList(nn.Embedding(levels + 1, c.width) for levels in c.levels)
        self.encoder = nn.ModuleList(Layer(c, c.encoder_forward) for _ in range(c.encoder_layers))
        self.encoder_norm = nn.LayerNorm(c.width)
        self.start = nn.Parameter(torch.randn(c.width) * 0.1)
        self.note = nn.ModuleList(nn.Embedding(n, c.width) for n in (2, KEYS, len(DURATIONS), len(VELOCITIES)))
        self.note_above = nn.Embedding(12, c.width)
        self.note_step = nn.Linear(c.width, c.width)
        self.decoder = nn.ModuleList(Layer(c, c.decoder_forward) for _ in range(c.decoder_layers))
        self.decoder_norm = nn.LayerNorm(c.width)
        self.to_pointer = nn.Linear(c.width, c.cell_units)
        self.pointer = nn.Linear(c.width, c.cell_units)
        self.end = nn.Parameter(torch.randn(c.cell_units) * 0.1)
        self.to_wait = nn.Linear(c.width, WINDOW + 1)  # steps from the last note to the next
        self.cell = nn.Linear(c.width, c.cell_units)
        self.wait = nn.Embedding(WINDOW + 1, c.cell_units)
        self.from_note = nn.Linear(c.width, c.cell_units)
        self.to_key = nn.Linear(c.cell_units, KEYS)
        self.to_above = nn.Linear(c.cell_units, 12, bias=False)
        self.to_interval = nn.Linear(c.cell_units, 2 * NEAR + 1, bias=False)
        self.to_under = nn.Linear(c.cell_units, UNDER + OVER + 1, bias=False)
        self.details = Details(c)
        self.dropout = nn.Dropout(c.dropout)
        for table in (*self.known, self.tune_above, *self.asked, *self.note, self.note_above, self.wait):
            nn.init.normal_(table.weight, std=0.1)
        for layer in (self.to_wait, self.to_key, self.to_above, self.to_interval, self.to_under):
            nn.init.normal_(layer.weight, std=0.02)

    # -- the steps --------------------------------------------------------------------------------------------------

    def encode(self, rows: Tensor, tones: Tensor, controls: Tensor) -> Known:
        """What is known of windows.

        Parameters
        ----------
        rows : (B, 80, 8) int64, columns of `idiom_tokens.lines` but the last
        tones : (B, 80, 24) float, see `idiom_tokens.tone_bits`
        controls : (B, 5) int64, levels in the order of `idiom_tokens.CONTROLS`; 0 is free
        """
        asked = sum(table(level) for table, level in zip(self.asked, controls.unbind(-1)))  # (B, width)
        tune, root = rows[..., TUNE], rows[..., ROOT]
        above = torch.where((tune == NO_KEY) | (root == NO_ROOT), 12, (tune + LOWEST_KEY - root) % 12)
        x = sum(table(column) for table, column in zip(self.known, rows.unbind(-1)))
        x = x + self.tune_above(above) + self.tones(tones) + asked[:, None]
        x, place = self.dropout(x), torch.arange(HEARD, device=x.device)[None]
        for layer in self.encoder:
            x = layer(x, place)
        x = self.encoder_norm(x)
        window = x[:, :WINDOW]
        end = self.end.expand(x.shape[0], 1, -1)
        pointers = torch.cat([self.pointer(window), end.to(x.dtype)], dim=1)
        return Known(x, pointers, self.cell(window), torch.stack([tune, root], dim=-1)[:, :WINDOW])

    # -- the notes --------------------------------------------------------------------------------------------------

    def embed(self, tokens: Tensor, known: Known) -> tuple[Tensor, Tensor]:
        """(B, T, 5) tokens as vectors (B, T, width), and the steps (B, T) they stand at; the opening mark END at 0."""
        mark = tokens[..., 0] == END
        place = tokens[..., 0].masked_fill(mark, 0)
        step = known.steps.gather(1, place.unsqueeze(-1).expand(-1, -1, known.steps.shape[-1]))
        root = known.seen[..., 1].gather(1, place)
        x = sum(table(field) for table, field in zip(self.note, tokens[..., 1:].unbind(-1)))
        x = self.dropout(x + self.note_above((tokens[..., 2] + LOWEST_KEY - root) % 12))
        return torch.where(mark.unsqueeze(-1), self.start.to(x.dtype), x) + self.note_step(step), place

    def step_on(self, tokens: Tensor, past: Tensor, known: Known) -> tuple[Tensor, Tensor, Tensor]:
        """Some steps of decoding.

        Parameters
        ----------
        tokens : (B, T, 5) int64, the newest notes (position, hand, key, duration, velocity); at first the mark END
        past : (B, layers, 2, heads, P, width / heads), what this gave back before; at first P = 0

        Returns
        -------
        hidden : (B, width), behind the last note
        position : (B, 65) logits of where the next one begins
        past : with P + T
        """
        x, place = self.embed(tokens, known)
        kept = []
        for i, layer in enumerate(self.decoder):
            x, new = layer.go_on(x, place, past[:, i])
            kept.append(new)
        hidden = self.decoder_norm(x)[:, -1:]
        position = self.positions(hidden, place[:, -1:], known.pointers)
        return hidden[:, 0], position[:, 0], torch.stack(kept, dim=1)

    def positions(self, hidden: Tensor, place: Tensor, pointers: Tensor) -> Tensor:
        """(B, T, 65) logits of where the note behind each begins; steps before its own `place` (B, T) are ruled out."""
        score = self.to_pointer(hidden) @ pointers.transpose(1, 2) / math.sqrt(pointers.shape[-1])
        wait = torch.arange(WINDOW + 1, device=hidden.device) - place.unsqueeze(-1)  # (B, T, 65)
        score = score + self.to_wait(hidden).gather(2, wait.clamp(min=0))
        return score.float().masked_fill(wait < 0, -1e4)

    def keys(self, hidden: Tensor, cell: Tensor, wait: Tensor, last: Tensor, seen: Tensor) -> Tensor:
        """(Q, 88) logits of the key of notes whose step is known.

        hidden (Q, width); cell (Q, cell_units) and seen (Q, 2): those of `Known` at that step; wait (Q,) steps from the
        note before; last (Q,) its key, `FIRST_KEY` where there is none.
        """
        x = F.gelu(self.from_note(hidden) + cell + self.wait(wait))
        key = torch.arange(KEYS, device=x.device)
        tune, root = seen.unbind(-1)
        tune = torch.where(tune == NO_KEY, USUAL_TUNE, tune).unsqueeze(-1)
        above = (key + LOWEST_KEY - root.unsqueeze(-1)) % 12
        interval = (key - last.unsqueeze(-1)).clamp(-NEAR, NEAR) + NEAR
        under = (key - tune).clamp(-UNDER, OVER) + UNDER
        views = ((self.to_above, above), (self.to_interval, interval), (self.to_under, under))
        return self.to_key(x) + sum(layer(x).gather(1, index) for layer, index in views)

    def detail(self, hidden: Tensor, cell: Tensor, key: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of hand (Q, 2), duration given each hand (Q, 2, 12), velocity given both (Q, 2, 12, 8)."""
        return self.details.every(hidden, cell, self._flags(key, seen), key)

    def _flags(self, key: Tensor, seen: Tensor) -> Tensor:
        """(Q, 12) which interval above the root a key is."""
        above = (key + LOWEST_KEY - seen[..., 1]) % 12
        return (above.unsqueeze(-1) == torch.arange(12, device=key.device)).to(self.to_above.weight.dtype)

    # -- training ---------------------------------------------------------------------------------------------------

    def forward(self, rows: Tensor, tones: Tensor, controls: Tensor, tokens: Tensor) -> Written:
        """One pass of training; `tokens` (B, T, 5) are the notes of each window, closed and padded with END."""
        known = self.encode(rows, tones, controls)
        mark = tokens.new_zeros(len(tokens), 1, 5)
        mark[..., 0] = END
        told = torch.cat([mark, tokens[:, :-1]], dim=1)
        x, place = self.embed(told, known)
        for layer in self.decoder:
            x = layer(x, place, causal=True)
        hidden = self.decoder_norm(x)
        position = self.positions(hidden, place, known.pointers)
        window, number = torch.nonzero(tokens[..., 0] < END, as_tuple=True)
        notes = tokens[window, number]
        step, _, key, _, _ = notes.unbind(-1)
        behind, cell, seen = hidden[window, number], known.cells[window, step], known.seen[window, step]
        last = torch.where(number == 0, FIRST_KEY, told[window, number, 2])
        keys = self.keys(behind, cell, step - place[window, number], last, seen)
        return Written(position, keys, *self.details(behind, cell, self._flags(key, seen), notes))


class Layer(nn.Module):
    """Pre-norm: self-attention that is turned by the steps, and a feed-forward network."""

    def __init__(self, config: IdiomConfig, forward: int):
        super().__init__()
        width, self.heads = config.width, config.heads
        self.norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_forward = nn.LayerNorm(width)
        self.forward_in = nn.Linear(width, forward)
        self.forward_out = nn.Linear(forward, width)
        self.dropout = nn.Dropout(config.dropout)
        periods = torch.tensor(PERIODS[: width // config.heads // 2], dtype=torch.float32)
        angle = 2 * math.pi * torch.arange(HEARD)[:, None] / periods
        self.register_buffer("cosine", angle.cos(), persistent=False)  # (80, pairs)
        self.register_buffer("sine", angle.sin(), persistent=False)

    def forward(self, x: Tensor, place: Tensor, *, causal: bool = False) -> Tensor:
        """(B, T, width) at steps `place` (B, T)."""
        return self._mixed(x, *self.turned(x, place), causal=causal)

    def go_on(self, x: Tensor, place: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """The newest notes (B, T, width) behind `past` (B, 2, heads, P, head width), which comes back with them."""
        query, key, value = self.turned(x, place)
        past = torch.cat([past, torch.stack([key, value], dim=1)], dim=3)
        return self._mixed(x, query, *past.unbind(1), causal=True), past

    def _mixed(self, x: Tensor, query: Tensor, key: Tensor, value: Tensor, *, causal: bool) -> Tensor:
        score = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])  # (B, heads, T, N)
        if causal:
            here, every = (torch.arange(n, device=x.device) for n in score.shape[2:])
            later = every > (here + (score.shape[3] - score.shape[2])).unsqueeze(-1)
            score = score.masked_fill(later, -1e4)
        mixed = score.softmax(-1).to(value.dtype) @ value
        x = x + self.dropout(self.out(mixed.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.forward_out(F.gelu(self.forward_in(self.norm_forward(x)))))

    def turned(self, x: Tensor, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys, turned, and values: (B, heads, T, head width) each."""
        parts = self.query_key_value(self.norm(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        cosine, sine = (table[place].unsqueeze(1).to(value.dtype) for table in (self.cosine, self.sine))
        return _turn(query, cosine, sine), _turn(key, cosine, sine), value


def _turn(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Pairs (first half, second half) of x (B, heads, T, d) turned by angles (B, 1, T, d / 2)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cosine - b * sine, a * sine + b * cosine], dim=-1)
