"""How the arranger is trained: stages, what each hears, losses and schedules.

Stages (Z. Wang et al., ICASSP 2022; see `models/arranger.py`), each starting from the weights of another:

    0   evidence       ours, of `small`: the network per key alone, some five times faster than the rest
    1   warm-up        the texture encoder sees the piano part of the very segment: the decoder learns to write
    2   pre-training   it sees it with most notes masked: the sound must fill the gaps
    3a  audio only     no symbolic source; its code is noise
    3b  autoregressive it sees the two bars before (starts from stage 2)

`supervised` and `supervised+kl` have one stage, `1` (after `0`). Losses: cross-entropy of pitches and, by half, of
duration bits; of chord root, chroma and bass; of the features; divergences of the latents from the normal distribution.

Two recipes. `paper` is the published one: Adam, coin by coin teacher forcing that fades, one transposition per batch,
audio through the transcriber, which is trained along. `small` is what ships: frames from the frozen transcriber,
transposed exactly, teacher forcing everywhere with corrupted notes in place of coins (some ten times faster), the
schedules run over the length of the stage, and one in three examples leaves the melody out, as its condition says.
By default the masking of stage 2 takes most from the high notes and chords that are none do not count in the loss, as
meant; `compat` does as the published code does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spartito.models.arranger import ArrangerConfig, ArrangerNetwork, Learned
from spartito.models.arranger_input import BEATS, KEYS, LOWEST_KEY, chord_vectors, cut
from spartito.models.pianotree import END, MOST_NOTES, NO_BIT, PAD, START, STEPS, encode, features, notes_of, piano_roll
from spartito.models.pianotree_decoder import Choice, ForcedNotes
from spartito.training.data.arrangements import BRIDGE, MELODY, PIANO, SILENT, Piece, unpacked
from spartito.training.loop import LoopConfig

__all__ = [
    "CONFIGS",
    "STAGES",
    "ArrangerRecipe",
    "batches",
    "loss",
    "loss_terms",
    "make_validation",
    "masked",
    "schedules",
]

STAGES = ("0", "1", "2", "3a", "3b")
SHIFTS = np.arange(-6, 6)  # semitones
SHIFT_ODDS = np.array([2, 2, 5, 5, 3, 7, 7, 5, 7, 3, 5, 1]) / 52
KEEP_EDGES = np.array([40, 50, 60])  # MIDI pitches between the ranges of the masking of stage 2
KEEP = (0.7, 0.6, 0.3, 0.1)  # part of the notes kept in each range, from low to high, as the published code means
KEEP_COMPAT = (0.1, 0.6, 0.3, 0.7)  # and as it does
SYMBOL_NOISE = 0.1  # standard deviation of the symbolic code in stage 3a
DURATION_WEIGHT = 0.5
STEADY_KL = 0.01  # weight of the divergences that have no schedule
DECODER = {  # of networks with evidence per key, see `pianotree_decoder.Choice`; chosen on validation excerpts
    "threshold": {"include": 0.33, "omit": 0.25},  # with and without melody
    "trust": 0.4,
    "durations": "median",
}
PROMPT_KL = 0.5  # of the symbolic one in stage 3b


@dataclass(frozen=True)
class ArrangerRecipe:
    """Network, stage, data handling and loop."""

    network: ArrangerConfig = field(default_factory=ArrangerConfig.small)
    loop: LoopConfig = field(default_factory=LoopConfig)
    stage: str = "1"
    batch: int = 64
    compat: bool = False
    """Reproduce the quirks of the published code, see the module's text."""
    fast: bool = True
    """Teacher forcing everywhere with corrupted notes, not coin by coin."""
    schedule: float = 0.0
    """Steps over which teacher forcing and the weight of the divergences change; 0: those of the loop."""
    wrong_notes: float = 0.25
    """Part of the notes told to the decoder that are left out or moved (fast)."""
    forget: float = 0.4
    """Part of the steps of which it is told nothing (fast)."""
    forget_all: float = 0.25
    """Part of the examples in which it is told nothing of any step (fast)."""
    without_melody: float = 0.33
    """Part of the examples whose target leaves the melody out; all where the network has no condition for it."""
    evidence: float = 0.5
    """Weight of the cross-entropy of the evidence per key itself, where there is one."""
    prompt_noise: float = 0.15
    """Part of the notes of a prompt of stage 3b that are left out: predictions are not the truth."""


CONFIGS = {
    "tiny": ArrangerRecipe(
        network=ArrangerConfig.tiny(),
        loop=LoopConfig(steps=20, learning_rate=3e-3, warmup=2, precision="32-true", report_every=5, validate_every=20),
        batch=4,
    ),
    "small": ArrangerRecipe(
        loop=LoopConfig(steps=2000, learning_rate=1.5e-3, warmup=100, clip=3.0, average=0.99, validate_every=250)
    ),
    "paper": ArrangerRecipe(
        network=ArrangerConfig.paper(),
        loop=LoopConfig(
            steps=50_000, learning_rate=5e-4, warmup=0, clip=3.0, average=0.0, weight_decay=0.0, precision="32-true"
        ),
        fast=False,
        schedule=25_000,
        wrong_notes=0.0,
        forget=0.0,
        forget_all=0.0,
        prompt_noise=0.0,
    ),
}


# -- schedules --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Schedules:
    """Values of one step: teacher forcing on the time axis, the note axis and chords; weight of the divergences."""

    time: float
    note: float
    chord: float
    beta: float


def schedules(step: int, recipe: ArrangerRecipe) -> Schedules:
    """Half of the way is gone at half of `recipe.schedule`: a logistic curve from -5 to 5."""
    span = recipe.schedule or recipe.loop.steps
    fallen = 1.0 / (1.0 + math.exp(min(50.0, 10.0 * (step / span - 0.5))))  # 0.9933 at first, 0.0067 at the end
    low, high = (STEADY_KL, PROMPT_KL) if recipe.stage == "2" else (0.0, STEADY_KL)
    return Schedules(
        time=0.3 + 0.5 * fallen,
        note=0.5 + 0.3 * fallen,
        chord=0.5 * fallen,
        beta=low + (high - low) * (1.0 - fallen),
    )


def exponential(step: int, config: LoopConfig) -> float:
    """The published learning rate: falls by a ten-thousandth per step, down to a hundredth."""
    return max(config.learning_rate * 0.9999**step, 0.01 * config.learning_rate)


def adam(network: nn.Module, config: LoopConfig) -> torch.optim.Optimizer:
    """The published optimiser."""
    return torch.optim.Adam(network.parameters(), lr=config.learning_rate)


# -- examples ---------------------------------------------------------------------------------------------------


def masked(roll: np.ndarray, rng: np.random.Generator, *, compat: bool = False) -> np.ndarray:
    """Piano-rolls (..., 128) of which each cell is kept with a probability by its pitch range (stage 2)."""
    rates = np.array(KEEP_COMPAT if compat else KEEP)[np.searchsorted(KEEP_EDGES, np.arange(128), side="right")]
    return roll * (rng.random(roll.shape) < rates)


def batches(pieces: Sequence[Piece], recipe: ArrangerRecipe) -> Callable[[int], dict[str, Tensor]]:
    """`batch_at(index)` for the loop, from a store: random segments, each transposed by its own interval."""
    owner = np.concatenate([np.full(len(p.rows), i) for i, p in enumerate(pieces)])
    place = np.concatenate([np.arange(len(p.rows)) for p in pieces])
    heard = np.array([p.lead for p in pieces])

    def batch_at(index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([recipe.loop.seed, index])
        chosen = rng.integers(0, len(owner), recipe.batch)
        shift = rng.choice(SHIFTS, size=recipe.batch, p=SHIFT_ODDS)
        silent = np.full(recipe.batch, True)
        if recipe.network.conditions:
            silent = (rng.random(recipe.batch) < recipe.without_melody) | ~heard[owner[chosen]]
        batch = examples([(pieces[owner[c]], place[c]) for c in chosen], recipe, shift=shift, silent=silent, rng=rng)
        batch["step"] = torch.tensor(index // recipe.loop.accumulate)
        return batch

    return batch_at


def examples(
    chosen: Sequence[tuple[Piece, int]],
    recipe: ArrangerRecipe,
    *,
    shift: np.ndarray | None = None,
    silent: np.ndarray | None = None,
    rng: np.random.Generator | None = None,
) -> dict[str, Tensor]:
    """Segments ((piece, number of the segment in it), ...) as a batch.

    Parameters
    ----------
    shift : (B,) semitones up, by default none
    silent : (B,) bool, whether the melody is left out; by default never
    rng : for masks and noise; None: no noise

    Returns
    -------
    dict
        `frames` (B, 4, 132, 88), `chords` (B, 8, 36), `truth` (B, 32, 16, 6), `roll` (B, 32, 128) what the texture
        encoder sees, `features` (B, 32, 3), `condition` (B, 1) 1 with melody; with noise `heard` and `forget`.
    """
    count = len(chosen)
    shift = np.zeros(count, dtype=np.int64) if shift is None else np.asarray(shift, dtype=np.int64)
    silent = np.zeros(count, dtype=bool) if silent is None else silent
    frames, chords, now, before = [], [], [], []
    for i, (piece, number) in enumerate(chosen):
        row, span = piece.rows[number : number + 1], piece.spans[number : number + 1]
        frames.append(_moved(cut(piece.cells, row)[0], int(span[0]), int(shift[i])))
        chords.append(_transposed(chord_vectors(piece.chords, row, span)[0], int(shift[i])))
        now.append(_window(piece, int(row[0]), int(span[0]), i, shift[i]))
        if recipe.stage == "3b" and number and piece.bars[number - 1] == BEATS // 2:
            before.append(_window(piece, int(row[0]) - BEATS // 2, BEATS, i, shift[i]))
    notes = np.concatenate(now)  # (n, 5): segment, step, pitch, duration, track
    wanted = notes[(notes[:, 4] != MELODY) | ~silent[notes[:, 0]]]
    truth = encode(wanted[:, :4], count)
    piano, lead = notes[notes[:, 4] == PIANO, :4], notes[notes[:, 4] == BRIDGE, :4]
    if recipe.stage == "3b":
        past = np.concatenate(before) if before else np.zeros((0, 5), dtype=np.int64)
        past = past[(past[:, 4] != MELODY) | ~silent[past[:, 0]]]
        if rng is not None:
            past = past[rng.random(len(past)) >= recipe.prompt_noise]
        roll = piano_roll(past[:, :4], count)
    else:
        roll = piano_roll(piano, count)
        if recipe.stage == "2" and rng is not None:
            roll = masked(roll, rng, compat=recipe.compat)
    batch = {
        "frames": unpacked(np.stack(frames)),
        "chords": np.stack(chords),
        "truth": truth,
        "roll": roll.astype(np.float32),
        "features": features(piano, lead, count),
        "condition": (~silent[:, None]).astype(np.float32),
    }
    if rng is not None and recipe.fast:
        batch["heard"] = _corrupted(truth, recipe.wrong_notes, rng)
        share = np.where(rng.random((count, 1)) < recipe.forget_all, 1.0, recipe.forget)
        batch["forget"] = rng.random((count, STEPS)) < share
    return {name: torch.from_numpy(value) for name, value in batch.items()}


def _window(piece: Piece, row: int, span: int, segment: int, shift: int) -> np.ndarray:
    """(k, 5) notes that begin within `span` beats from beat `row`: segment, step, pitch, duration, track."""
    low, high = np.searchsorted(piece.notes[:, 0], [4 * row, 4 * (row + span)])
    step, track, pitch, duration = piece.notes[low:high].T
    pitch = pitch + shift
    there = (pitch >= LOWEST_KEY) & (pitch < LOWEST_KEY + KEYS)
    return np.column_stack([np.full(high - low, segment), step - 4 * row, pitch, duration, track])[there]


def _moved(frames: np.ndarray, span: int, shift: int) -> np.ndarray:
    """(4, 132, 88) uint8 transposed along the keys, and silent after `span` beats."""
    result = np.empty_like(frames)
    result[:] = SILENT[:, None, None]
    high = frames.shape[1] if span == BEATS else 4 + 16 * span
    low, up = max(0, shift), min(0, shift)
    result[:, :high, low : KEYS + up] = frames[:, :high, -up : KEYS - low]
    return result


def _transposed(chords: np.ndarray, shift: int) -> np.ndarray:
    """(8, 36) chords up by `shift` semitones."""
    return np.roll(chords.reshape(BEATS, 3, 12), shift, axis=-1).reshape(BEATS, 36)


def _corrupted(truth: np.ndarray, part: float, rng: np.random.Generator) -> np.ndarray:
    """`truth` (B, 32, 16, 6) with a part of its notes left out (padding) or moved by up to an octave."""
    heard = truth.copy()
    where = np.nonzero((truth[..., 0] < START) & (rng.random(truth.shape[:-1]) < part))
    moved = np.clip(truth[where][:, 0] + rng.integers(-12, 13, len(where[0])), 0, START - 1)
    gone = rng.random(len(where[0])) < 0.5
    heard[(*where, 0)] = np.where(gone, PAD, moved)
    for bit in range(1, heard.shape[-1]):
        heard[(*where, bit)] = np.where(gone, NO_BIT, heard[(*where, bit)])
    return heard


# -- loss -------------------------------------------------------------------------------------------------------


def loss(recipe: ArrangerRecipe) -> Callable[[nn.Module, dict[str, Tensor]], dict[str, Tensor]]:
    """The loss of a stage for the loop; its parts are logged under the names of `loss_terms`."""
    kind = recipe.network.type

    def terms(network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        if recipe.stage == "0":
            chords = batch["chords"] if kind == "a2s" else None
            learned = network(
                batch["frames"], chords, None, batch["condition"], truth=batch["truth"], evidence_only=True
            )
            return _evidence(learned.encoded.keys, batch["truth"])
        now = schedules(int(batch["step"]), recipe)
        audio_only = recipe.stage == "3a"
        learned = network(
            batch["frames"],
            batch["chords"] if kind == "a2s" else None,
            None if audio_only else batch["roll"],
            batch["condition"] if recipe.network.conditions else None,
            truth=batch["truth"],
            features=batch["features"],
            sampled=kind != "supervised",
            noise=SYMBOL_NOISE if audio_only else None,
            ratios=(now.time, now.note, now.chord),
            compat=recipe.compat,
            forced=recipe.fast,
            heard=batch.get("heard"),
            forget=batch.get("forget"),
        )
        found = loss_terms(learned, batch, recipe, beta=now.beta)
        parts = {"pitch_l": found["pitch_l"], "dur_l": DURATION_WEIGHT * found["dur_l"], "kl_l": found["kl_l"]}
        parts |= {name: found[name] for name in ("chord_l", "feat_l") if name in found}
        if learned.encoded.keys is not None and recipe.evidence:
            found = _evidence(learned.encoded.keys, batch["truth"])
            parts |= {name: recipe.evidence * value for name, value in found.items()}
        return parts

    return terms


def loss_terms(learned: Learned, batch: dict[str, Tensor], recipe: ArrangerRecipe, *, beta: float) -> dict[str, Tensor]:
    """All terms under their published names and in their order; those that a type lacks are missing."""
    kind, stage = recipe.network.type, recipe.stage
    pitch, duration = _note_terms(learned, batch["truth"])
    found = {"pno_tree_l": pitch + DURATION_WEIGHT * duration, "pitch_l": pitch, "dur_l": duration}
    encoded = learned.encoded
    kl_audio = _divergence(encoded.audio)
    if kind.startswith("supervised"):
        weighted = beta * kl_audio if kind == "supervised+kl" else 0.0 * kl_audio
        found |= {"kl_l": weighted}
        return {"loss": found["pno_tree_l"] + weighted, **found, "beta": pitch.new_tensor(beta)}
    kl_symbol = pitch.new_zeros(()) if encoded.symbol is None else _divergence(encoded.symbol)
    kl_chord = None if encoded.chord is None else _divergence(encoded.chord)
    both = kl_audio if kl_chord is None else kl_audio + kl_chord
    weighted = {
        "1": beta * (both + kl_symbol),
        "2": STEADY_KL * both + beta * kl_symbol,
        "3a": STEADY_KL * both,
        "3b": STEADY_KL * both + PROMPT_KL * kl_symbol,
    }[stage]
    found["kl_l"] = weighted
    if kl_chord is not None:
        found["kl_chd"] = kl_chord
    found |= {"kl_aud": kl_audio, "kl_sym": kl_symbol}
    if learned.chords is not None:
        parts = _chord_terms(learned.chords, batch["chords"], compat=recipe.compat)
        found |= {"chord_l": sum(parts.values()), **parts}
    bass, density, rhythm = learned.features.float().unbind(-1)
    true_bass, true_density, true_rhythm = batch["features"].unbind(-1)
    parts = {
        "bass_feat_l": F.binary_cross_entropy(bass, true_bass),
        "int_feat_l": F.mse_loss(density, true_density),
        "rhy_feat_l": F.binary_cross_entropy(rhythm, true_rhythm),
    }
    found |= {"feat_l": sum(parts.values()), **parts}
    total = found["pno_tree_l"] + weighted + found.get("chord_l", 0.0) + found["feat_l"]
    return {"loss": total, **found, "beta": pitch.new_tensor(beta)}


def _note_terms(learned: Learned, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropies of pitches (notes and end marks) and of duration bits (notes), means over what there is."""
    notes = learned.notes
    target = notes.target if isinstance(notes, ForcedNotes) else truth[:, :, 1:]
    pitch = F.cross_entropy(notes.pitch.float().flatten(0, -2), target[..., 0].flatten(), ignore_index=PAD)
    bits = target[..., 1:].flatten()
    duration = F.cross_entropy(notes.duration.float().flatten(0, -2), bits, ignore_index=NO_BIT, reduction="sum")
    return pitch, duration / (bits != NO_BIT).sum().clamp(min=1)


def _chord_terms(logits: tuple[Tensor, Tensor, Tensor], chords: Tensor, *, compat: bool) -> dict[str, Tensor]:
    root, chroma, bass = (part.float() for part in logits)
    true_root, true_chroma, true_bass = chords.unflatten(-1, (3, 12)).unbind(-2)  # (B, 8, 12) each
    counts = torch.ones_like(true_root[..., 0]) if compat else true_root.amax(-1)  # beats without chord have no root
    number = counts.sum().clamp(min=1)

    def mean(values: Tensor) -> Tensor:
        return (values * counts).sum() / number

    entropy = {"reduction": "none"}
    return {
        "root_l": mean(F.cross_entropy(root.transpose(1, 2), true_root.argmax(-1), **entropy)),
        "chroma_l": mean(F.cross_entropy(chroma.permute(0, 3, 1, 2), true_chroma.long(), **entropy).mean(-1)),
        "bass_l": mean(F.cross_entropy(bass.transpose(1, 2), true_bass.argmax(-1), **entropy)),
    }


def _divergence(gaussian) -> Tensor:
    """From the standard normal distribution, mean over batch and dimensions."""
    mean, std = gaussian.mean.float(), gaussian.std.float()
    return 0.5 * (mean**2 + std**2 - 1.0 - 2.0 * std.clamp(min=1e-12).log()).mean()


def _evidence(keys: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Cross-entropies of the evidence: that a key begins (sum over keys / the notes a step may hold), and how long."""
    pitch = truth[..., 0] - LOWEST_KEY  # (B, 32, 16)
    inside = (truth[..., 0] < START) & (pitch >= 0) & (pitch < KEYS)
    place = pitch.clamp(0, KEYS - 1)
    struck = torch.zeros(*keys.shape[:-1], device=keys.device)
    struck.scatter_add_(-1, place, inside.float())
    begins = F.binary_cross_entropy_with_logits(keys[..., 0].float(), struck.clamp(max=1)) * KEYS / MOST_NOTES
    bits = torch.take_along_dim(keys[..., 1:], place.unsqueeze(-1), dim=2)[inside].float()  # (N, 5)
    length = F.binary_cross_entropy_with_logits(bits, truth[..., 1:][inside].float()) if len(bits) else bits.sum()
    return {"evidence": begins, "evidence_dur": DURATION_WEIGHT * length}


# -- validation -------------------------------------------------------------------------------------------------


def make_validation(
    pieces: Sequence[Piece], recipe: ArrangerRecipe, *, segments: int = 192
) -> Callable[[nn.Module], dict[str, float]]:
    """Scores of greedy decoding without prompt: onsets on the grid (F1), melody by pitch class on the top line."""
    there = [(piece, number) for piece in pieces if piece.lead for number in range(0, len(piece.rows), 2)]
    spread = np.linspace(0, len(there) - 1, min(segments, len(there))).astype(np.int64)
    silent = None if recipe.network.conditions else np.ones(len(spread), dtype=bool)
    batch = examples([there[i] for i in spread], replace(recipe, stage="1"), silent=silent)

    def validate(network: nn.Module) -> dict[str, float]:
        device = next(network.parameters()).device
        condition = batch["condition"].to(device) if recipe.network.conditions else None
        frames, chords = batch["frames"].to(device), batch["chords"].to(device)
        wanted = notes_of(batch["truth"][:, :, 1:].numpy())
        threshold = DECODER["threshold"]["include"]
        if recipe.stage == "0":
            keys = network.key_enc(frames, chords if recipe.network.has_chords else None, condition)[..., 0]
            segment, step, key = np.nonzero(torch.sigmoid(keys).cpu().numpy() >= threshold)
            return grid_scores(np.column_stack([segment, step, key + LOWEST_KEY, 1 + 0 * key]), wanted)
        choice = Choice(threshold=threshold, trust=DECODER["trust"], median=True)
        grid = network.arrange(frames, chords, None, condition, choice=choice)
        return grid_scores(notes_of(grid.cpu().numpy()), wanted)

    return validate


def grid_scores(found: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Precision, recall, F1 of (segment, step, pitch) of notes (n, 4), and the ratio of their numbers."""
    code = [np.unique((n[:, 0] * STEPS + n[:, 1]) * END + n[:, 2]) for n in (found, truth)]
    common = len(np.intersect1d(*code, assume_unique=True))
    precision, recall = common / max(1, len(code[0])), common / max(1, len(code[1]))
    f1 = 2 * common / max(1, len(code[0]) + len(code[1]))
    return {"precision": precision, "recall": recall, "f1": f1, "density": len(code[0]) / max(1, len(code[1]))}


def new_network(recipe: ArrangerRecipe) -> ArrangerNetwork:
    """An untrained network of the recipe."""
    torch.manual_seed(recipe.loop.seed)
    return ArrangerNetwork(recipe.network)
