"""How the token model of covers is trained (`models/token_cover.py`).

Two stages, each a run of its own: `evidence` trains the convolutions per key alone (fast; it can start from the shipped
`a2s`), `all` the whole network from there. Examples are windows from random downbeats, transposed by rolling the keys;
one in three leaves the melody out; chords and controls are told or left free at random.

What the decoder is told. With the truth alone before its eyes a decoder learns to lean on notes that it will not have
when it writes by itself (the lesson of `a2s`, see docs/lab-notes.md). Here each window is told either the truth with
notes left out and added, or what the evidence of the sound passes at a random threshold (which is close to what it will
write), or steps of the one and of the other, or nothing; whatever it is told, it is asked for the true notes.

Losses: cross-entropy of every cell of the core (does a note begin here?) under the notes told before it, the same of
the evidence alone over all steps of the window, and cross-entropies of hand, duration and velocity of the true notes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spartito.models.cover_tokens import (
    AHEAD,
    CORE,
    END,
    KEYS,
    LEFT,
    LOWEST_KEY,
    RIGHT,
    STEPS,
    WINDOW,
    encode,
    window_chords,
    window_frames,
    window_metre,
)
from spartito.models.token_cover import Encoded, Learned, TokenCover, TokenCoverConfig, Told
from spartito.notes.attributes import CONTROLS, controls_of_windows
from spartito.training.arranger import SHIFT_ODDS, SHIFTS
from spartito.training.data.arrangements import SILENT, unpacked
from spartito.training.data.token_windows import TokenSong, notes_between
from spartito.training.loop import LoopConfig

__all__ = ["CONFIGS", "STAGES", "TokenRecipe", "batches", "examples", "loss", "make_validation", "tell", "written"]

STAGES = ("evidence", "all")
STYLE, DIFFICULTY, MELODY_CONTROL = (list(CONTROLS).index(name) for name in ("style", "difficulty", "melody"))
EASIER = (1, 2, 3)  # levels of difficulty that hardly any arrangement of POP909 has
INCLUDE, OMIT = 1, 2
A_STEP = 16  # losses of cells are sums over the keys of a step in parts of so many notes, as those of the arranger
TOGETHER = 4  # batches that share out their windows by length
SMALL = 0.2  # of their usual size begin rounds of convolutions behind those that were taken over
MOST_NOTES = 160  # of a window that is written
DECODER = {  # see `models/token_runtime.py`; chosen on validation excerpts
    "threshold": {"include": 0.3, "omit": 0.27},
    "trust": 0.4,  # half-way between the evidence alone, the best onset F1, and more of a texture
    "above_tune": [2.0, 1.0],  # costs 0.003 of onset F1, gives 0.03 of melody chroma
    "guidance": 2.0,
}
# kinds of what is told, see the module's text
TRUTH, HEARD, BOTH, NOTHING = range(4)


@dataclass(frozen=True)
class TokenRecipe:
    """Network, stage, data handling and loop."""

    network: TokenCoverConfig = field(default_factory=TokenCoverConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    stage: str = "all"
    batch: int = 32
    without_melody: float = 0.33
    """Part of the windows whose target leaves the melody out."""
    without_chords: float = 0.1
    """Part of the windows that are told no chords."""
    free: float = 0.5
    """Part of the windows that are told no control (whether the melody is to be left out is always told)."""
    free_each: float = 0.3
    """Part of the controls left free in the others."""
    easier: float = 0.12
    """Part of the windows whose target is reduced to one of `EASIER`; the difficulty is then always told."""
    told: tuple[float, ...] = (0.35, 0.35, 0.2, 0.1)
    """Parts of the windows told the truth, what is heard, some steps of each, nothing."""
    left_out: float = 0.3
    """Notes left out of a truth that is told: none to this part, evenly."""
    added: float = 0.3
    """Wrong notes of the evidence added to it: none to this part of them, evenly."""
    thresholds: tuple[float, float] = (0.22, 0.45)
    """Of what is heard, evenly between them."""
    other_details: float = 0.1
    """Notes told whose duration and velocity are those of another one."""
    evidence: float = 0.5
    """Weight of the loss of the evidence beside that of the cells."""
    details: tuple[float, float, float] = (0.05, 0.1, 0.05)
    """Weights of hand, duration, velocity."""


CONFIGS = {
    "tiny": TokenRecipe(
        network=TokenCoverConfig.tiny(),
        loop=LoopConfig(steps=10, learning_rate=3e-3, warmup=2, precision="32-true", report_every=5, validate_every=10),
        batch=4,
    ),
    "small": TokenRecipe(
        loop=LoopConfig(
            steps=6000,
            learning_rate=1.2e-3,
            warmup=200,
            clip=2.0,
            average=0.998,
            weight_decay=2e-2,
            checkpoint_minutes=3.0,
            validate_every=500,
        )
    ),
}


def new_network(recipe: TokenRecipe) -> TokenCover:
    """An untrained network of the recipe."""
    torch.manual_seed(recipe.loop.seed)
    return TokenCover(recipe.network)


def start_from_arranger(network: TokenCover, state: dict[str, Tensor]) -> int:
    """Give the convolutions per key the weights of an arranger's `KeyEncoder`; returns how many tensors fitted."""
    own = network.hearing.state_dict()
    found = {k.removeprefix("key_enc."): v.float() for k, v in state.items() if k.startswith("key_enc.")}
    taken = {k: v for k, v in found.items() if k in own and own[k].shape == v.shape and k != "step"}
    if "step" in found:  # of two bars from a downbeat: they go on behind them and before
        taken["step"] = found["step"][:, (torch.arange(WINDOW) - AHEAD) % CORE]
    if "planes.weight" in found:
        chords = found["planes.weight"][:, :3]
        taken["planes.weight"] = chords
        with_melody = found["planes.weight"][:, 3, 0, 0]
        taken[f"asked.{MELODY_CONTROL}.weight"] = with_melody * torch.tensor([[1.0], [1.0], [0.0]])
    for part in ("weight", "bias"):
        if f"out.{part}" in found:
            taken[f"out.{part}"] = found[f"out.{part}"][:1]
    taken = {k: v for k, v in taken.items() if own[k].shape == v.shape}
    fresh = {k: SMALL * v for k, v in own.items() if k.startswith("rounds.") and k not in taken}
    network.hearing.load_state_dict(own | fresh | taken)
    return len(taken)


# -- examples -------------------------------------------------------------------------------------------------------


def batches(songs: Sequence[TokenSong], recipe: TokenRecipe) -> Callable[[int], dict[str, Tensor]]:
    """`batch_at(index)` for the loop: random windows, each transposed by its own interval.

    Windows are drawn for a few batches together, which share them out by the number of their notes: less padding.
    """
    owner = np.concatenate([np.full(len(song.rows), i) for i, song in enumerate(songs)])
    place = np.concatenate([np.arange(len(song.rows)) for song in songs])
    lead = np.array([song.lead for song in songs])
    notes = np.concatenate([song.counts for song in songs])

    def batch_at(index: int) -> dict[str, Tensor]:
        together = np.random.default_rng([recipe.loop.seed, index // TOGETHER])
        drawn = together.integers(0, len(owner), TOGETHER * recipe.batch)
        part = together.permutation(TOGETHER)[index % TOGETHER] * recipe.batch
        chosen = drawn[np.argsort(notes[drawn], kind="stable")][part : part + recipe.batch]
        rng = np.random.default_rng([recipe.loop.seed, index, 1])
        shift = rng.choice(SHIFTS, size=recipe.batch, p=SHIFT_ODDS)
        silent = (rng.random(recipe.batch) < recipe.without_melody) | ~lead[owner[chosen]]
        windows = [(songs[owner[c]], int(place[c])) for c in chosen]
        easier = np.where(rng.random(recipe.batch) < recipe.easier, rng.choice(EASIER, size=recipe.batch), 0)
        return examples(windows, shift=shift, silent=silent, easier=easier, recipe=recipe, rng=rng)

    return batch_at


def examples(
    chosen: Sequence[tuple[TokenSong, int]],
    *,
    shift: np.ndarray | None = None,
    silent: np.ndarray | None = None,
    easier: np.ndarray | None = None,
    recipe: TokenRecipe | None = None,
    rng: np.random.Generator | None = None,
) -> dict[str, Tensor]:
    """Windows ((song, number of the window in it), ...) as a batch.

    Parameters
    ----------
    shift : (B,) semitones up, by default none
    silent : (B,) bool, whether the melody is left out; by default never
    easier : (B,) level of difficulty that the notes are reduced to; 0, by default, leaves them as they are
    recipe, rng : for what is left free or unknown at random; without `rng` chords are told and all controls free

    Returns
    -------
    dict
        `frames` (B, 4, 264, 88), `chords` (B, 16, 36), `metre` (B, 16, 3), `controls` (B, 7): as `TokenCover.encode`
        takes them; `struck` (B, 64, 88) 1 where a note begins, `known` (B, 64) steps of the recording; `tokens`
        (B, N, 5) of the core, padded with END; `length` (B,) steps of the core.
    """
    count = len(chosen)
    shift = np.zeros(count, dtype=np.int64) if shift is None else np.asarray(shift, dtype=np.int64)
    silent = np.zeros(count, dtype=bool) if silent is None else silent
    easier = np.zeros(count, dtype=np.int64) if easier is None else easier
    frames, chords, metre, notes = [], [], [], []
    struck = np.zeros((count, WINDOW, KEYS), dtype=np.float32)
    known = np.zeros((count, WINDOW), dtype=bool)
    steps = np.array([STEPS * song.lengths[number] for song, number in chosen])
    for i, (song, number) in enumerate(chosen):
        row, length = song.rows[number : number + 1], song.lengths[number : number + 1]
        frames.append(rolled(window_frames(song.cells, row, quiet=SILENT)[0], int(shift[i])))
        chords.append(np.roll(window_chords(song.chords, row).reshape(-1, 3, 12), shift[i], axis=-1).reshape(-1, 36))
        metre.append(window_metre(song.positions, row, length)[0])
        first = STEPS * int(row[0]) - AHEAD
        asked = {"shift": int(shift[i]), "melody": not silent[i], "level": int(easier[i])}
        around = notes_between(song, first, first + WINDOW, **asked)
        struck[i, around[:, 0], around[:, 2] - LOWEST_KEY] = 1.0
        step = first + np.arange(WINDOW)
        known[i] = (step >= 0) & (step < STEPS * len(song.positions))
        around[:, 0] -= AHEAD
        notes.append(around[(around[:, 0] >= 0) & (around[:, 0] < steps[i])])
    tokens = [encode(part) for part in notes]
    padded = np.zeros((count, max(len(part) for part in tokens), 5), dtype=np.int64)
    padded[..., 0] = END
    for row, part in zip(padded, tokens):
        row[: len(part)] = part
    controls = np.zeros((count, len(CONTROLS)), dtype=np.int64)
    if rng is not None:
        window = np.repeat(np.arange(count), [len(part) for part in notes])
        controls = controls_of_windows(np.concatenate(notes), window, count, steps)
        controls[:, STYLE] = np.where(easier > 0, 0, [song.style for song, _ in chosen])
        freed = rng.random(controls.shape) < recipe.free_each
        controls[freed | (rng.random((count, 1)) < recipe.free)] = 0
        controls[:, MELODY_CONTROL] = np.where(rng.random(count) < 0.5, INCLUDE, 0)  # the same, said or not
        controls[:, DIFFICULTY] = np.where(easier > 0, easier, controls[:, DIFFICULTY])
        for part in chords:
            part *= rng.random() >= recipe.without_chords
    controls[silent, MELODY_CONTROL] = OMIT
    batch = {
        "frames": unpacked(np.stack(frames)),
        "chords": np.stack(chords),
        "metre": np.stack(metre),
        "controls": controls,
        "struck": struck,
        "known": known,
        "tokens": padded,
        "length": steps,
    }
    return {name: torch.from_numpy(value) for name, value in batch.items()}


def rolled(frames: np.ndarray, shift: int) -> np.ndarray:
    """(4, n, 88) uint8 moved up by `shift` keys; silent where nothing came from."""
    if shift == 0:
        return frames
    result = np.empty_like(frames)
    result[:] = SILENT[:, None, None]
    low, up = max(0, shift), min(0, shift)
    result[..., low : KEYS + up] = frames[..., -up : KEYS - low]
    return result


# -- what the decoder is told ---------------------------------------------------------------------------------------


def tell(batch: dict[str, Tensor], recipe: TokenRecipe) -> Callable[[Tensor], Told]:
    """For `TokenCover.forward`: makes what is told from the evidence, see the module's text; chance is torch's."""

    def from_evidence(evidence: Tensor) -> Told:
        tokens, inside = batch["tokens"], core_of(batch)
        count, device = len(tokens), tokens.device
        truth, details = rolls(tokens)
        heard = torch.sigmoid(evidence[:, AHEAD : AHEAD + CORE].float())
        low, high = recipe.thresholds

        def random(*shape: int) -> Tensor:
            return torch.rand(count, *shape, device=device)

        heard = (heard > low + (high - low) * random(1, 1)) & inside
        kept = truth & (random(CORE, KEYS) >= recipe.left_out * random(1, 1))
        added = heard & ~truth & (random(CORE, KEYS) < recipe.added * random(1, 1))
        odds = torch.tensor(recipe.told, device=device).expand(count, -1)
        kind = torch.multinomial(odds, 1).view(-1, 1, 1)
        by_ear = (kind == HEARD) | ((kind == BOTH) & (random(CORE, 1) < 0.5))
        told = torch.where(by_ear, heard, kept | added) & (kind != NOTHING)
        other = (random(CORE, KEYS) < recipe.other_details) | ~truth
        return told_of(told, borrowed(details, tokens, told & other), tokens)

    return from_evidence


def core_of(batch: dict[str, Tensor]) -> Tensor:
    """(B, 32, 1) bool: steps of the core."""
    step = torch.arange(CORE, device=batch["length"].device)
    return (step < batch["length"][:, None]).unsqueeze(-1)


def rolls(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Of tokens (B, N, 5): where notes begin (B, 32, 88) bool, and their hand, duration, velocity (B, 32, 88, 3)."""
    window, number = torch.nonzero(tokens[..., 0] < END, as_tuple=True)
    step, _, key, _, _ = tokens[window, number].unbind(-1)
    struck = torch.zeros(len(tokens), CORE, KEYS, dtype=torch.bool, device=tokens.device)
    details = torch.zeros(len(tokens), CORE, KEYS, 3, dtype=torch.long, device=tokens.device)
    struck[window, step, key] = True
    details[window, step, key] = tokens[window, number][:, [1, 3, 4]]
    return struck, details


def borrowed(details: Tensor, tokens: Tensor, where: Tensor) -> Tensor:
    """`details` (B, 32, 88, 3) with those of a random true note of the window at `where` (B, 32, 88).

    The hand is the one whose true notes lie nearer in the mean; a window without notes gives what is in `details`.
    """
    there = tokens[..., 0] < END  # (B, N)
    count = there.sum(1)
    window, _, key = torch.nonzero(where & (count > 0)[:, None, None], as_tuple=True)
    place = torch.nonzero(where & (count > 0)[:, None, None], as_tuple=True)
    number = (torch.rand(len(window), device=tokens.device) * count[window]).long()
    means = []
    for hand, default in ((LEFT, 27.0), (RIGHT, 51.0)):  # keys of C3 and C5, see `notes.hands.CENTRE`
        own = there & (tokens[..., 1] == hand)
        total, keys = own.sum(1), (tokens[..., 2] * own).sum(1)
        means.append(torch.where(total > 0, keys / total.clamp(min=1), torch.full_like(total, default).float()))
    hand = torch.where(key > (means[0] + means[1])[window] / 2, RIGHT, LEFT)
    other = tokens[window, number]
    result = details.clone()
    result[place] = torch.stack([hand, other[:, 3], other[:, 4]], dim=-1)
    return result


def told_of(told: Tensor, details: Tensor, tokens: Tensor) -> Told:
    """What is told as the network takes it.

    `told` (B, 32, 88) bool; `details` (B, 32, 88, 3) hand, duration, velocity there; `tokens` (B, N, 5) the true notes.
    """
    count, device = len(told), told.device
    window, step, key = torch.nonzero(told, as_tuple=True)
    flat = told.flatten(1).long()
    number = flat.cumsum(1)  # (B, 2816), cells told up to here
    row = number[window, KEYS * step + key]
    fields = details[window, step, key]
    lines = torch.zeros(count, 1 + int(number[:, -1].max()), 5, dtype=torch.long, device=device)
    lines[..., 0] = END
    lines[window, row] = torch.stack([step, fields[:, 0], key, fields[:, 1], fields[:, 2]], dim=-1)
    before = number - flat  # notes told before each cell: the row that it is asked under
    opens = torch.zeros_like(told)
    opens[..., 0] = True
    opens[..., 1:] = told[..., :-1]  # a place begins with a step and behind a note told
    place = (opens.flatten().cumsum(0) - 1).view_as(told)
    at = torch.nonzero(opens, as_tuple=True)
    asked_window, asked = torch.nonzero(tokens[..., 0] < END, as_tuple=True)
    notes = tokens[asked_window, asked]
    return Told(
        tokens=lines,
        window=at[0],
        token=before.view_as(told)[at],
        step=at[1],
        place=place,
        note_place=place[asked_window, notes[:, 0], notes[:, 2]],
        notes=notes,
    )


# -- loss -----------------------------------------------------------------------------------------------------------


def loss(recipe: TokenRecipe) -> Callable[[nn.Module, dict[str, Tensor]], dict[str, Tensor]]:
    """The loss of a stage for the loop."""

    def terms(network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        inputs = (batch[name] for name in ("frames", "chords", "metre", "controls"))
        if recipe.stage == "evidence":
            return {"evidence": of_cells(network(*inputs).evidence, batch["struck"], batch["known"].unsqueeze(-1))}
        return weighted(network(*inputs, tell=tell(batch, recipe)), batch, recipe)

    return terms


def weighted(learned: Learned, batch: dict[str, Tensor], recipe: TokenRecipe) -> dict[str, Tensor]:
    """The terms of the stage `all`."""
    truth = batch["struck"][:, AHEAD : AHEAD + CORE]
    evidence = of_cells(learned.evidence, batch["struck"], batch["known"].unsqueeze(-1))
    found = {"cells": of_cells(learned.cells, truth, core_of(batch)), "evidence": recipe.evidence * evidence}
    fields = zip(("hand", "duration", "velocity"), (1, 3, 4), recipe.details, strict=True)
    for name, column, weight in fields:
        logits = getattr(learned, name).float()
        entropy = F.cross_entropy(logits, learned.told.notes[:, column], reduction="sum")
        found[name] = weight * entropy / max(1, len(logits))
    return found


def of_cells(logits: Tensor, truth: Tensor, where: Tensor) -> Tensor:
    """Cross-entropy of cells (B, steps, 88) at the steps `where` (B, steps, 1): nats per step / `A_STEP`."""
    entropy = F.binary_cross_entropy_with_logits(logits.float(), truth, reduction="none")
    return (entropy * where).sum() / (A_STEP * where.sum().clamp(min=1))


# -- writing and validation -----------------------------------------------------------------------------------------


@torch.no_grad()
def written(network: TokenCover, known: Encoded, length: Tensor, *, threshold: float, trust: float) -> list[np.ndarray]:
    """Tokens (m + 1, 5) of each window: the first cell ahead that passes `threshold`, note by note.

    `length` (B,) steps of the core; `trust`: what the notes before say counts so much beside the evidence. Durations
    are medians. `models/token_runtime.py` does the same without torch.
    """
    count, device = len(length), length.device
    token = torch.zeros(count, 5, dtype=torch.long, device=device)
    token[:, 0] = END
    past = known.memory.new_zeros(*known.memory.shape[:4], 0, known.memory.shape[-1])
    cell = torch.arange(CORE * KEYS, device=device)
    last, rows = torch.full((count,), -1, device=device), torch.arange(count, device=device)
    bar = float(np.log(threshold / (1 - threshold)))
    found: list[list[np.ndarray]] = [[] for _ in range(count)]
    for _ in range(MOST_NOTES):
        hidden, past = network.step_on(token, past, known.memory[rows], known.asked[rows])
        steps, cells = known.steps[rows], known.cells[rows]
        logits = (cells[..., 0] + trust * network.judge(hidden, steps, cells)).flatten(1)
        passes = (logits >= bar) & (cell > last[:, None]) & (cell < KEYS * length[rows, None])
        going = passes.any(1)
        if not going.any():
            break
        rows, past, hidden = rows[going], past[going], hidden[going]
        last = passes[going].float().argmax(1)
        step, key = last // KEYS, last % KEYS
        hand, duration, velocity = network.detail(hidden, known.steps[rows, step], known.cells[rows, step, key], key)
        hand = hand.argmax(-1)
        here = torch.arange(len(rows), device=device)
        length_index = median(duration[here, hand])
        level = median(velocity[here, hand, length_index])
        token = torch.stack([step, hand, key, length_index, level], dim=-1)
        for row, values in zip(rows.tolist(), token.cpu().numpy()):
            found[row].append(values)
    end = np.array([[END, 0, 0, 0, 0]])
    return [np.concatenate([np.array(part, dtype=np.int64).reshape(-1, 5), end]) for part in found]


def median(logits: Tensor) -> Tensor:
    """(n,) index of the median of distributions (n, k)."""
    return (logits.softmax(-1).cumsum(-1) < 0.5).sum(-1).clamp(max=logits.shape[-1] - 1)


def make_validation(
    songs: Sequence[TokenSong], recipe: TokenRecipe, *, windows: int = 96
) -> Callable[[nn.Module], dict[str, float]]:
    """Onset F1 of free writing (and of the evidence alone) on windows with melody, and the duration's share of hits."""
    there = [(song, int(i)) for song in songs if song.lead for i in np.flatnonzero(song.tiling)]
    spread = np.linspace(0, len(there) - 1, min(windows, len(there))).astype(np.int64)
    batch = examples([there[i] for i in spread])

    def validate(network: nn.Module) -> dict[str, float]:
        device = next(network.parameters()).device
        here = {name: value.to(device) for name, value in batch.items()}
        threshold = DECODER["threshold"]["include"]
        known = network.encode(*(here[name] for name in ("frames", "chords", "metre", "controls")))
        truth = rolls(here["tokens"])[0]
        heard = (torch.sigmoid(known.cells[..., 0]) >= threshold) & core_of(here)
        scores = {f"evidence_{k}": v for k, v in agreement(heard, truth).items() if k == "f1"}
        if recipe.stage == "all":
            tokens = written(network, known, here["length"], threshold=threshold, trust=DECODER["trust"])
            found = torch.zeros_like(truth)
            for row, part in zip(found, tokens):
                row[part[:-1, 0], part[:-1, 2]] = True
            scores |= agreement(found, truth)
        return scores

    return validate


def agreement(found: Tensor, truth: Tensor) -> dict[str, float]:
    """Precision, recall, F1 and ratio of numbers of two sets of cells."""
    both, ours, theirs = (int(x.sum()) for x in (found & truth, found, truth))
    return {
        "precision": both / max(1, ours),
        "recall": both / max(1, theirs),
        "f1": 2 * both / max(1, ours + theirs),
        "density": ours / max(1, theirs),
    }
