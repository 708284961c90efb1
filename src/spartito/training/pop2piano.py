"""How Pop2Piano is trained, from the beginning or on (`models/pop2piano_network.py`).

Examples are windows of four beats, from random beats of random pieces (`data/pop2piano_windows.py`): log-mel frames and
the row of the composer in, tokens out. The decoder is told the true tokens before each one; the loss is their
cross-entropy, in nats per token, padding left out. Validation measures that loss, and how many of the notes are there
when the network writes alone.

Source: J. Choi, K. Lee, 'Pop2Piano: pop audio-based piano cover generation' (ICASSP 2023,
https://arxiv.org/abs/2211.00895) and its published configuration: batches of 32, AdaFactor at a constant rate of 1e-3
with its steps clipped at 3, dropout 0.1, targets of 256 tokens, no augmentation. The training program itself was never
published: how windows are drawn and how AdaFactor scales its steps (here with the size of each tensor, as for T5) are
ours, and the number of steps is inferred from the name of the checkpoint.

Composers are rows of a table. In the first public program nothing trained it: composers were random codes. So it is
here, unless `learn_composers` is set, and a new composer is a new random row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spartito.models.pop2piano_generate import FastGenerator
from spartito.models.pop2piano_network import Pop2PianoConfig, Pop2PianoNetwork
from spartito.models.pop2piano_tokens import SIZE, decode
from spartito.training.data.pop2piano_windows import WindowedPiece
from spartito.training.loop import LoopConfig

__all__ = ["CONFIGS", "Pop2PianoRecipe", "adafactor", "batches", "collate", "constant"]
__all__ += ["initialise", "loss", "make_validation", "new_network", "with_rows"]

NOTHING = -100  # no target: what `cross_entropy` passes over
STEPS = 310_000  # of the published checkpoint, inferred: 2000 epochs of a window per song


@dataclass(frozen=True)
class Pop2PianoRecipe:
    """Network, data handling and loop."""

    network: Pop2PianoConfig = field(default_factory=Pop2PianoConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    batch: int = 32
    tokens: int = 256
    """Longest target; of a longer one the rest is left out."""
    learn_composers: bool = False
    """Train the table of composers, too."""


PUBLISHED = {"learning_rate": 1e-3, "weight_decay": 0.0, "clip": 3.0}
CONFIGS = {
    "tiny": Pop2PianoRecipe(
        network=Pop2PianoConfig(vocab_size=SIZE, d_kv=32, d_ff=128, num_layers=1, num_heads=4),
        loop=LoopConfig(
            steps=10, learning_rate=1e-2, warmup=0, clip=3.0, precision="32-true", report_every=5, validate_every=10
        ),
        batch=4,
    ),
    "tune": Pop2PianoRecipe(loop=LoopConfig(**PUBLISHED, steps=3_000, warmup=100, average=0.998, validate_every=500)),
    "paper": Pop2PianoRecipe(loop=LoopConfig(**PUBLISHED, steps=STEPS, warmup=0, average=0.0, validate_every=5_000)),
}


# -- network --------------------------------------------------------------------------------------------------------


def new_network(recipe: Pop2PianoRecipe) -> Pop2PianoNetwork:
    """An untrained network of the recipe."""
    torch.manual_seed(recipe.loop.seed)
    return initialise(Pop2PianoNetwork(recipe.network))


def initialise(network: Pop2PianoNetwork) -> Pop2PianoNetwork:
    """Give the weights the deviations that T5 begins with, but the output a small one."""
    c = network.config
    deviation = {"q": (c.d_model * c.d_kv) ** -0.5, "o": (c.num_heads * c.d_kv) ** -0.5, "wo": c.d_ff**-0.5}
    deviation |= {"shared": 1.0, "embedding": 1.0}
    for name, weight in network.named_parameters():
        kind = name.split(".")[-2]
        if "norm" not in kind:
            nn.init.normal_(weight, std=deviation.get(kind, c.d_model**-0.5))
    return network


def with_rows(state: Mapping[str, Tensor], count: int, *, seed: int = 0) -> dict[str, Tensor]:
    """Weights with `count` composers: behind those that are there come random rows."""
    name = "mel_conditioner.embedding.weight"
    table = state[name].float()
    new = torch.randn(count - len(table), table.shape[1], generator=torch.Generator().manual_seed(seed))
    return dict(state) | {name: torch.cat([table, new])}


# -- data -----------------------------------------------------------------------------------------------------------


def batches(
    pieces: Sequence[WindowedPiece], rows: Sequence[int], recipe: Pop2PianoRecipe
) -> Callable[[int], dict[str, Tensor]]:
    """`batch_at(index)` for the loop: random windows; `rows` is the row of the composer table of each piece."""
    ends = np.cumsum([len(piece) for piece in pieces])

    def batch_at(index: int) -> dict[str, Tensor]:
        drawn = np.random.default_rng([recipe.loop.seed, index]).integers(0, ends[-1], recipe.batch)
        return _examples(pieces, rows, drawn, ends, longest=recipe.tokens)

    return batch_at


def _examples(pieces, rows, drawn: np.ndarray, ends: np.ndarray, *, longest: int) -> dict[str, Tensor]:
    """Windows by their numbers, counted through all pieces."""
    owner = np.searchsorted(ends, drawn, side="right")
    window = drawn - np.append(0, ends)[owner]
    mels = [pieces[o].mel[w] for o, w in zip(owner, window)]
    tokens = [pieces[o].tokens(np.array([w]))[0] for o, w in zip(owner, window)]
    return collate(mels, tokens, np.asarray(rows)[owner], longest=longest)


def collate(
    mels: Sequence[np.ndarray], tokens: Sequence[np.ndarray], composers: np.ndarray, *, longest: int = 256
) -> dict[str, Tensor]:
    """Windows as a batch.

    Parameters
    ----------
    mels : (frames, width) of each window
    tokens : (m,) of each, with their end
    composers : (B,) int, rows of the table

    Returns
    -------
    dict
        `mel` (B, frames, width) float32; `heard` (B, frames) bool, False where a frame is padding; `composer` (B,);
        `tokens` (B, length) with the start; `follow` (B, length): what is to come after each of them.
    """
    tokens = [row[:longest] for row in tokens]
    frames, length = max(map(len, mels)), max(map(len, tokens))
    mel = np.zeros((len(mels), frames, mels[0].shape[1]), dtype=np.float32)
    heard = np.zeros((len(mels), frames), dtype=bool)
    before = np.zeros((len(mels), length), dtype=np.int64)
    follow = np.full((len(mels), length), NOTHING)
    for i, (sound, row) in enumerate(zip(mels, tokens, strict=True)):
        mel[i, : len(sound)], heard[i, : len(sound)] = sound, True
        before[i, 1 : len(row)], follow[i, : len(row)] = row[:-1], row
    fields = {"mel": mel, "heard": heard, "composer": np.asarray(composers), "tokens": before, "follow": follow}
    return {name: torch.from_numpy(values) for name, values in fields.items()}


# -- loss and optimiser ---------------------------------------------------------------------------------------------


def loss(network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Nats per token."""
    logits = network(batch["mel"], batch["composer"], batch["tokens"], batch["heard"])
    return {"tokens": F.cross_entropy(logits.float().flatten(0, 1), batch["follow"].flatten(), ignore_index=NOTHING)}


def adafactor(network: nn.Module, config: LoopConfig) -> torch.optim.Optimizer:
    """AdaFactor; `config.clip` is also its threshold. For `fit(optimizer=...)`."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    return torch.optim.Adafactor(weights, lr=config.learning_rate, d=config.clip, weight_decay=config.weight_decay)


def constant(step: int, config: LoopConfig) -> float:
    """The learning rate: constant after a linear warm-up. For `fit(rate=...)`."""
    return config.learning_rate * min(1.0, (step + 1) / max(1, config.warmup))


# -- validation -----------------------------------------------------------------------------------------------------


def make_validation(
    pieces: Sequence[WindowedPiece], rows: Sequence[int], recipe: Pop2PianoRecipe, *, windows: int = 64
) -> Callable[[nn.Module], dict[str, float]]:
    """The loss on windows spread evenly over `pieces`, and F1 of the notes (beat and key) that are written there."""
    ends = np.cumsum([len(piece) for piece in pieces])
    spread = np.linspace(0, ends[-1] - 1, min(windows, int(ends[-1]))).astype(np.int64)
    batch = _examples(pieces, rows, spread, ends, longest=recipe.tokens)
    wanted = np.where(batch["follow"] == NOTHING, 0, batch["follow"])

    def validate(network: Pop2PianoNetwork) -> dict[str, float]:
        device = next(network.parameters()).device
        terms = loss(network, {name: value.to(device) for name, value in batch.items()})
        writer = FastGenerator(network.state_dict(), network.config, device=device.type)
        inputs = (batch[name].numpy() for name in ("mel", "heard", "composer"))
        return {**terms, "notes_f1": agreement(writer.generate(*inputs, max_length=recipe.tokens), wanted)}

    return validate


def agreement(tokens: np.ndarray, wanted: np.ndarray) -> float:
    """F1 of the notes that begin in each of two tables of rows: the same row, step and key."""
    found, true = ({(row, onset, key) for row, onset, _, key in decode(t).tolist()} for t in (tokens, wanted))
    return 2 * len(found & true) / max(1, len(found) + len(true))
