"""How the idiom model is trained (`models/idiom.py`).

Examples are windows of four bars from random downbeats, drawn evenly from the genres, within a genre from its sets by
`SHARES`, within a set from its works; each is transposed by -6 to 5 semitones. The model is told the tune, the chords
and the metre, and writes the rest. At random it is told less: the chords as triads, as roots or not at all, and
controls left free. It learns so to obey what it is told, and to choose as a pianist of the genre would where it is not.

Loss: cross-entropy of each field of each note under the true notes before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spartito.models.cover_tokens import KEYS
from spartito.models.idiom import Idiom, IdiomConfig, Written
from spartito.models.idiom_tokens import (
    CONTROLS,
    DETAILS,
    END,
    GENRES,
    MASK,
    WINDOW,
    notes_of,
    simplified,
    tone_bits,
    transposed,
    windows_of,
)
from spartito.notes.attributes import CONTROLS as MEASURED
from spartito.notes.attributes import controls_of_windows
from spartito.training.data.idiom_windows import IdiomSet, notes_between
from spartito.training.loop import LoopConfig

__all__ = ["CONFIGS", "IdiomRecipe", "batches", "examples", "loss", "make_validation", "new_network"]

TOGETHER = 8  # batches that share out their windows by length
FIELDS = ("position", "key", "hand", "duration", "velocity")
SHARES = {"wjazzd": 0.03}  # of a genre's windows: solos whose chords we voiced ourselves teach little of texture


@dataclass(frozen=True)
class IdiomRecipe:
    """Network, data handling and loop."""

    network: IdiomConfig = field(default_factory=IdiomConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    batch: int = 32
    shifts: tuple[int, int] = (-6, 5)
    """Lowest and highest transposition in semitones."""
    details: tuple[float, ...] = (0.05, 0.12, 0.4, 0.43)
    """Parts of the windows told no chords, roots, triads, everything."""
    free: float = 0.5
    """Part of the windows that are told no control but the genre."""
    free_each: float = 0.4
    """Part of the controls left free in the others."""
    free_genre: float = 0.12
    """Part of the windows that are not told the genre."""
    weights: tuple[float, ...] = (1.0, 1.0, 0.2, 0.4, 0.1)
    """Of the losses of `FIELDS`."""


CONFIGS = {
    "tiny": IdiomRecipe(
        network=IdiomConfig.tiny(),
        loop=LoopConfig(steps=10, learning_rate=3e-3, warmup=2, precision="32-true", report_every=5, validate_every=10),
        batch=4,
    ),
    "small": IdiomRecipe(
        loop=LoopConfig(
            steps=20_000,
            learning_rate=2e-3,
            warmup=300,
            final_rate=2e-5,
            average=0.999,
            weight_decay=2e-2,
            checkpoint_minutes=3.0,
            report_every=100,
            validate_every=1000,
        )
    ),
}


def new_network(recipe: IdiomRecipe) -> Idiom:
    """An untrained network of the recipe."""
    torch.manual_seed(recipe.loop.seed)
    return Idiom(recipe.network)


# -- examples -------------------------------------------------------------------------------------------------------


def chances(sets: Sequence[IdiomSet]) -> np.ndarray:
    """(sets,) share of the windows that each gives: genres alike, in a genre by `SHARES`, the rest by works."""
    share = np.zeros(len(sets))
    for genre in {part.genre for part in sets}:
        own = [i for i, part in enumerate(sets) if part.genre == genre]
        free = [i for i in own if sets[i].name not in SHARES] or own
        given = {i: SHARES[sets[i].name] for i in own if i not in free}
        many = np.array([sets[i].works for i in free])
        share[free] = (1.0 - sum(given.values())) * many / many.sum()
        for i, value in given.items():
            share[i] = value
    return share / share.sum()


def batches(sets: Sequence[IdiomSet], recipe: IdiomRecipe) -> Callable[[int], dict[str, Tensor]]:
    """`batch_at(index)` for the loop; windows of a few batches are shared out by the number of their notes."""
    of_set = np.cumsum(chances(sets))
    of_window = [np.cumsum(part.weights) for part in sets]

    def batch_at(index: int) -> dict[str, Tensor]:
        together = np.random.default_rng([recipe.loop.seed, index // TOGETHER])
        places = together.random((TOGETHER * recipe.batch, 2))
        owner = np.minimum(np.searchsorted(of_set, places[:, 0]), len(sets) - 1)
        number = [
            min(int(np.searchsorted(of_window[i], place)), len(of_window[i]) - 1)
            for i, place in zip(owner, places[:, 1])
        ]
        start = np.array([sets[i].windows[n] for i, n in zip(owner, number)])
        notes = [np.diff(np.searchsorted(sets[i].onsets, [first, first + WINDOW]))[0] for i, first in zip(owner, start)]
        part = together.permutation(TOGETHER)[index % TOGETHER] * recipe.batch
        chosen = np.argsort(notes, kind="stable")[part : part + recipe.batch]
        rng = np.random.default_rng([recipe.loop.seed, index, 1])
        return examples([(sets[owner[c]], int(start[c])) for c in chosen], recipe=recipe, rng=rng)

    return batch_at


def examples(
    chosen: Sequence[tuple[IdiomSet, int]],
    *,
    recipe: IdiomRecipe | None = None,
    rng: np.random.Generator | None = None,
    detail: str = "full",
) -> dict[str, Tensor]:
    """Windows ((set, first step), ...) as a batch.

    Parameters
    ----------
    recipe, rng : for transposition and for what is left out at random; without `rng` the genre is told, the
        controls are free and chords are told as `detail` says

    Returns
    -------
    dict
        `rows` (B, 80, 8), `tones` (B, 80, 24), `controls` (B, 5), `tokens` (B, N, 5): as `Idiom.forward` takes them.
    """
    count = len(chosen)
    rows = np.concatenate([windows_of(part.rows, [start]) for part, start in chosen]).astype(np.int64)
    genre = np.array([1 + GENRES.index(part.genre) for part, _ in chosen])
    cut = [notes_between(part, start) for part, start in chosen]
    controls = np.zeros((count, len(CONTROLS)), dtype=np.int64)
    controls[:, 0] = genre
    level = np.full(count, DETAILS.index(detail))
    shift = np.zeros(count, dtype=np.int64)
    if rng is not None:
        low, high = recipe.shifts
        shift = rng.integers(low, high + 1, count)
        window = np.repeat(np.arange(count), [len(tokens) for tokens, _ in cut])
        every = np.concatenate([tokens for tokens, _ in cut])
        every[:, 2] += shift[window]  # the register is that of what is played
        measured = controls_of_windows(notes_of(every), window, count, WINDOW)
        controls[:, 1:] = measured[:, [MEASURED_COLUMNS[name] for name in CONTROLS[1:]]]
        free = (rng.random(controls.shape) < recipe.free_each) | (rng.random((count, 1)) < recipe.free)
        free[:, 0] = rng.random(count) < recipe.free_genre
        controls[free] = 0
        level = rng.choice(len(DETAILS), size=count, p=recipe.details)
    rows = simplified(transposed(rows, shift), level)
    told = []
    for (tokens, tune), up in zip(cut, shift):
        tokens = tokens[~tune]
        tokens[:, 2] += up
        told.append(tokens[(tokens[:, 2] >= 0) & (tokens[:, 2] < KEYS)])
    padded = np.zeros((count, 1 + max(len(tokens) for tokens in told), 5), dtype=np.int64)
    padded[..., 0] = END
    for row, tokens in zip(padded, told):
        row[: len(tokens)] = tokens
    batch = {"rows": rows[..., :MASK], "tones": tone_bits(rows), "controls": controls, "tokens": padded}
    return {name: torch.from_numpy(value) for name, value in batch.items()}


MEASURED_COLUMNS = {name: list(MEASURED).index(name) for name in CONTROLS[1:]}


# -- loss -----------------------------------------------------------------------------------------------------------


def loss(recipe: IdiomRecipe) -> Callable[[nn.Module, dict[str, Tensor]], dict[str, Tensor]]:
    """The loss for the loop: weighted nats per note."""

    def terms(network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        written = network(batch["rows"], batch["tones"], batch["controls"], batch["tokens"])
        means = entropies(written, batch["tokens"])
        return {name: weight * means[name] for name, weight in zip(FIELDS, recipe.weights, strict=True)}

    return terms


def entropies(written: Written, tokens: Tensor) -> dict[str, Tensor]:
    """Nats per note of each field; the position of the closing mark counts as one of a note."""
    closed = torch.cumsum(tokens[..., 0] == END, dim=1) <= 1  # the notes and the first mark
    position = F.cross_entropy(written.position[closed].float(), tokens[..., 0][closed])
    notes = tokens[tokens[..., 0] < END]
    fields = {
        name: F.cross_entropy(getattr(written, name).float(), notes[:, column], reduction="sum") / max(1, len(notes))
        for name, column in (("key", 2), ("hand", 1), ("duration", 3), ("velocity", 4))
    }
    return {"position": position, **fields}


def make_validation(
    sets: Sequence[IdiomSet], *, windows: int = 192, batch: int = 48
) -> Callable[[nn.Module], dict[str, float]]:
    """Nats per note of each genre, on windows spread over its works, told full chords and told triads only."""
    packs = {}
    for genre in sorted({part.genre for part in sets}):
        rng = np.random.default_rng(0)
        own = [part for part in sets if part.genre == genre and part.name not in SHARES]
        own = own or [part for part in sets if part.genre == genre]
        share = chances(own)
        chosen = []
        for part, count in zip(own, np.round(share * windows).astype(int)):
            picked = rng.choice(len(part.windows), size=count, p=part.weights)
            chosen += [(part, int(part.windows[i])) for i in picked]
        for detail in ("full", "triad"):
            packs[genre, detail] = [
                examples(chosen[i : i + batch], detail=detail) for i in range(0, len(chosen), batch)
            ]

    def validate(network: nn.Module) -> dict[str, float]:
        device = next(network.parameters()).device
        scores = {}
        for (genre, detail), parts in packs.items():
            found = []
            for part in parts:
                here = {name: value.to(device) for name, value in part.items()}
                written = network(*(here[name] for name in ("rows", "tones", "controls", "tokens")))
                found.append({name: float(value) for name, value in entropies(written, here["tokens"]).items()})
            for name in ("position", "key") if detail == "full" else ("key",):
                scores[f"{genre}_{detail}_{name}"] = float(np.mean([f[name] for f in found]))
        return scores

    return validate
