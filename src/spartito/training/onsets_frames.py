"""Training Onsets and Frames as published, and in a form that fits a small machine.

The networks are in `models/onsets_frames.py`, their targets in `training/labels.py`, the loop in
`training/loop.py`. A recipe says which network, targets, excerpts and loss go together:

- `jongwook`: random excerpts of 640 frames (20.48 s), Adam 6e-4 that falls by 2 % every 10,000 steps,
gradient
  norm at most 3, 500,000 steps. The original clips after the step, which does nothing; here it takes effect.
- `magenta-2018`, `magenta-2019`: recordings cut at silences into 5 to 20 s, the same optimiser; 2018
weights the
  frame loss towards the start of notes.
- `small` and `tiny` are the first with 16 and 2 channels, mixed precision and, for `tiny`, a few steps.

Different from the originals: excerpts are drawn in proportion to a recording's length (`sampling="recording"`
gives one draw per recording, as jongwook has it, where an hour counts no more than a minute); recordings
shorter than an excerpt are padded, and padding is in no loss; output biases start at the density of the
targets (`bias_init=False` for the original, which then predicts no onset for thousands of steps).

Sources: C. Hawthorne et al., ISMIR 2018 and ICLR 2019; the repositories magenta and
jongwook/onsets-and-frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn

from spartito.audio.features import front_end
from spartito.decoding import decode_onsets_frames
from spartito.errors import ParameterError
from spartito.evaluation.transcription import evaluate_transcription
from spartito.models.onsets_frames import OnsetsFrames, OnsetsFramesConfig
from spartito.notes.notes import CONTROL_DTYPE, Notes
from spartito.training.labels import Labels, jongwook_labels, magenta_frame_weights, magenta_labels
from spartito.training.loop import LoopConfig

__all__ = [
    "CONFIGS",
    "OnsetsFramesRecipe",
    "Piece",
    "adam",
    "batches",
    "cut_points",
    "loss",
    "make_validation",
    "new_network",
    "staircase",
]

RATE = 16_000  # Hz
HOP = 512  # samples per frame
CROP_FRAMES = 640  # 20.48 s, jongwook
LONGEST, SHORTEST = 20.0, 5.0  # seconds between cuts, magenta
DECAY, DECAY_STEPS = 0.98, 10_000  # of the learning rate
EPSILON = 1e-7  # inside the logarithms of the loss, magenta
ONSET_BIAS, FRAME_BIAS = -5.8, -3.3  # logit of the share of cells that are on in MAPS
PUBLISHED_LOOP = LoopConfig(
    steps=500_000, learning_rate=6e-4, weight_decay=0.0, clip=3.0, average=0.0, precision="32-true"
)


@dataclass(frozen=True)
class OnsetsFramesRecipe:
    """Network, targets, excerpts and loop."""

    network: OnsetsFramesConfig = field(default_factory=OnsetsFramesConfig)
    loop: LoopConfig = field(default_factory=lambda: PUBLISHED_LOOP)
    labels: str = "jongwook"
    """"jongwook" or "magenta": the scheme of the targets."""
    excerpts: str = "random"
    """"random": of `frames`; "silences": cut where nothing sounds (`cut_points`)."""
    sampling: str = "duration"
    """"duration": every second is heard equally often; "recording": every recording is."""
    batch: int = 8
    """Excerpts per batch."""
    frames: int = CROP_FRAMES
    """Length of a random excerpt."""
    frame_weights: bool = False
    """Weight the frame loss towards the start of notes (2018)."""
    peak_normalise: bool = False
    """Scale each recording to a peak of 1 (2019)."""
    bias_init: bool = True
    """Start the outputs at the density of their targets."""

    def __post_init__(self):
        for name, allowed in (
            ("labels", ("jongwook", "magenta")),
            ("excerpts", ("random", "silences")),
            ("sampling", ("duration", "recording")),
        ):
            if getattr(self, name) not in allowed:
                raise ParameterError(f"{name} is one of {', '.join(allowed)}, not {getattr(self, name)!r}")


def _magenta(name: str, *, steps: int) -> OnsetsFramesRecipe:
    first = name == "magenta-2018"
    return OnsetsFramesRecipe(
        network=OnsetsFramesConfig.named(name),
        loop=LoopConfig(**{**vars(PUBLISHED_LOOP), "steps": steps}),
        labels="magenta",
        excerpts="silences",
        frame_weights=first,
        peak_normalise=not first,
    )


CONFIGS = {
    "tiny": OnsetsFramesRecipe(
        network=OnsetsFramesConfig.named("jongwook", channels=2),
        loop=LoopConfig(steps=20, learning_rate=2e-3, clip=3.0, precision="32-true", report_every=5, validate_every=20),
        batch=2,
        frames=64,
    ),
    "small": OnsetsFramesRecipe(
        network=OnsetsFramesConfig.named("jongwook", channels=16),
        loop=LoopConfig(steps=20_000, learning_rate=6e-4, weight_decay=0.0, clip=3.0, average=0.999),
    ),
    "paper": OnsetsFramesRecipe(),
    "jongwook": OnsetsFramesRecipe(),
    "magenta-2018": _magenta("magenta-2018", steps=50_000),
    "magenta-2019": _magenta("magenta-2019", steps=500_000),
}


def new_network(recipe: OnsetsFramesRecipe) -> OnsetsFrames:
    """An untrained network of the recipe; the same for the same seed."""
    torch.manual_seed(recipe.loop.seed)
    network = OnsetsFrames(recipe.network)
    if recipe.bias_init:
        biases = {"onset_stack": ONSET_BIAS, "offset_stack": ONSET_BIAS, "combined_stack": FRAME_BIAS}
        for name, value in biases.items():
            if hasattr(network, name):
                nn.init.constant_(getattr(network, name)[-1].bias, value)
    return network


# -- optimiser ------------------------------------------------------------------------------------------


def adam(network: nn.Module, config: LoopConfig) -> torch.optim.Optimizer:
    """Adam as published: no decay of weights. For `fit(optimizer=...)`."""
    return torch.optim.Adam((p for p in network.parameters() if p.requires_grad), lr=config.learning_rate)


def staircase(step: int, config: LoopConfig) -> float:
    """The learning rate, 2 % less every 10,000 steps. For `fit(rate=...)`."""
    return config.learning_rate * DECAY ** (step // DECAY_STEPS)


# -- excerpts -------------------------------------------------------------------------------------------


def _used_up(notes: Notes) -> Notes:
    """`notes` as they sound, without the pedals that made them so."""
    tracks = tuple(replace(track, controls=np.zeros(0, dtype=CONTROL_DTYPE)) for track in notes.tracks)
    return replace(notes.sounding(), tracks=tracks)


@dataclass(frozen=True)
class Piece:
    """One recording to train on.

    Attributes
    ----------
    samples : np.ndarray, shape=(n,)
        16 kHz mono, float32 in -1..1 or int16; may be memory-mapped.
    notes : Notes
        What was played, with its pedal.
    sounding : Notes
        The same as long as it sounds, its pedal used up; made here.
    """

    name: str
    samples: np.ndarray
    notes: Notes
    sounding: Notes = field(init=False, repr=False)

    def __post_init__(self):
        object.__setattr__(self, "sounding", _used_up(self.notes))

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE


def batches(pieces: Sequence[Piece], recipe: OnsetsFramesRecipe) -> Callable[[int], dict[str, Tensor]]:
    """`batch_at(index)` for the loop.

    A batch holds `mel` (B, T, 229); `onset`, `offset`, `frame`, `velocity`, `weight` (B, T, 88), the last
    being that of the frame loss; `valid` (B, T), 0 where a shorter excerpt was padded. All are float32.

    Raises
    ------
    ParameterError
        When there is nothing to draw from.
    """
    excerpts = [_excerpts(piece, recipe) for piece in pieces]
    kept = [(piece, spans) for piece, spans in zip(pieces, excerpts) if len(spans)]
    if not kept:
        raise ParameterError("no recording is left to train on: all are empty, or shorter than 5 s")
    lengths = np.array([(spans[:, 1] - spans[:, 0]).sum() for _, spans in kept], dtype=np.float64)
    odds = lengths if recipe.sampling == "duration" else np.ones(len(kept))
    odds = odds / odds.sum()
    transform = front_end(_frontend(recipe.network))
    peaks = [_peak(piece.samples) if recipe.peak_normalise else 1.0 for piece, _ in kept]

    def draw(rng: np.random.Generator) -> tuple[np.ndarray, Labels, np.ndarray]:
        number = rng.choice(len(kept), p=odds)
        piece, spans = kept[number]
        share = (spans[:, 1] - spans[:, 0]) / (spans[:, 1] - spans[:, 0]).sum()
        first, last = spans[rng.choice(len(spans), p=share)]  # samples
        if recipe.excerpts == "random":
            size = recipe.frames * HOP
            first = HOP * int(rng.integers(0, max(0, len(piece.samples) - size) // HOP + 1))
            last = min(first + size, len(piece.samples))
        mel = transform(_as_float(piece.samples[first:last]) / peaks[number])
        labels, weight = _targets(piece, first, last, len(mel), recipe)
        return mel, labels, weight

    def batch_at(index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([recipe.loop.seed, index])
        drawn = [draw(rng) for _ in range(recipe.batch)]
        frames = max(len(mel) for mel, _, _ in drawn)
        if recipe.excerpts == "random":
            frames = max(frames, recipe.frames)

        def stacked(parts, *, fill=0.0):
            padded = np.full((len(parts), frames, *parts[0].shape[1:]), fill, dtype=np.float32)
            for row, part in zip(padded, parts):
                row[: len(part)] = part
            return torch.from_numpy(padded)

        batch = {"mel": stacked([mel for mel, _, _ in drawn], fill=min(mel.min() for mel, _, _ in drawn))}
        for name in ("onset", "offset", "frame", "velocity"):
            batch[name] = stacked([getattr(labels, name) for _, labels, _ in drawn])
        batch["weight"] = stacked([weight for _, _, weight in drawn])
        batch["valid"] = stacked([np.ones(len(mel), dtype=np.float32) for mel, _, _ in drawn])
        return batch

    return batch_at


def cut_points(notes: Notes, samples: np.ndarray, *, longest: float = LONGEST, shortest: float = SHORTEST):
    """Where magenta cuts a recording for training: (k,) seconds from 0 to its end, at most `longest` apart.

    From each cut the next is `longest` later if no note sounds there; else in the middle of the last silence
    before that begins more than `shortest` after the cut; else at a zero crossing: the last one inside a span
    in which no key is held (`notes.sounding()` not applied), or the last one at all; else `longest` later.

    Parameters
    ----------
    notes : Notes
        As played, with its pedal.
    samples : np.ndarray, shape=(n,)
        16 kHz mono.
    """
    total = len(samples) / RATE
    silent, released = _silences(notes.sounding(), total), _silences(notes, total)
    negative = np.signbit(_as_float(samples))
    crossings = (np.flatnonzero(negative[1:] != negative[:-1]) + 1) / RATE

    def last_crossing(low: float, high: float) -> float | None:
        i = np.searchsorted(crossings, high, side="right") - 1
        return float(crossings[i]) if i >= 0 and crossings[i] >= low else None

    def within(spans: np.ndarray, time: float) -> np.ndarray:
        return spans[(spans[:, 0] <= time) & (time <= spans[:, 1])]

    cuts = [0.0]
    while total - cuts[-1] > longest:
        earliest, latest = cuts[-1] + shortest, cuts[-1] + longest
        before = silent[silent[:, 1] < latest]
        held = within(released, latest)
        cut = None
        if len(within(silent, latest)):
            cut = latest
        elif len(before) and before[-1, 0] > earliest:
            cut = float(before[-1].mean())
        elif len(held):
            cut = last_crossing(max(held[0, 0], earliest), latest)
        if cut is None:
            cut = last_crossing(earliest, latest)
        cuts.append(latest if cut is None else cut)
    return np.array([*cuts, total])


def _silences(notes: Notes, total: float) -> np.ndarray:
    """(n, 2) seconds in which no note of `notes` is on, from 0 to `total`."""
    order = np.argsort(notes.onset, kind="stable")
    begins = np.append(notes.onset[order], total)
    ends = np.maximum.accumulate(np.concatenate([[0.0], notes.offset[order]]))
    open_ = begins > ends
    return np.column_stack([ends[open_], begins[open_]])


def _excerpts(piece: Piece, recipe: OnsetsFramesRecipe) -> np.ndarray:
    """(n, 2) samples: the spans of a piece that may be drawn."""
    if len(piece.samples) < HOP:
        return np.zeros((0, 2), dtype=np.int64)
    if recipe.excerpts == "random":
        return np.array([[0, len(piece.samples)]])
    cuts = cut_points(piece.notes, piece.samples)
    spans = np.column_stack([cuts[:-1], cuts[1:]])
    begun = np.searchsorted(np.sort(piece.notes.onset), spans.ravel()).reshape(-1, 2)
    use = (spans[:, 1] - spans[:, 0] >= SHORTEST) & (begun[:, 1] > begun[:, 0])
    return np.rint(spans[use] * RATE).astype(np.int64)


def _targets(piece: Piece, first: int, last: int, frames: int, recipe: OnsetsFramesRecipe) -> tuple[Labels, np.ndarray]:
    """Labels and frame weights of the samples `first` .. `last`."""
    start, end = first / RATE, last / RATE
    notes = piece.sounding
    notes = notes.select((notes.offset > start) & (notes.onset < end))
    if recipe.excerpts == "silences":
        notes = notes.select(notes.onset >= start)  # a note cut by the border is heard from its start or not
    loudest = int(piece.notes.velocity.max()) if len(piece.notes) else None
    notes = notes.shifted(-start)
    if recipe.labels == "jongwook":
        labels = jongwook_labels(notes, frames=frames)
    else:
        labels = magenta_labels(notes, frames=frames, seconds=end - start, loudest=loudest)
    weight = np.ones((frames, labels.frame.shape[1]), dtype=np.float32)
    if recipe.frame_weights:
        weight = magenta_frame_weights(notes, frames=frames)
    return labels, weight


def _frontend(config: OnsetsFramesConfig) -> str:
    with torch.device("meta"):
        return OnsetsFrames(config).frontend


def _as_float(samples: np.ndarray) -> np.ndarray:
    if samples.dtype == np.int16:
        return samples.astype(np.float32) / 32_768
    return samples.astype(np.float32, copy=False)


def _peak(samples: np.ndarray) -> float:
    return float(np.abs(_as_float(samples)).max()) or 1.0


# -- loss -----------------------------------------------------------------------------------------------


def loss(recipe: OnsetsFramesRecipe) -> Callable[[nn.Module, dict[str, Tensor]], dict[str, Tensor]]:
    """The published terms, each with weight 1; padded frames count in none.

    Cross-entropies of onset, offset and frame are means over frames and keys. The velocity error counts
    where an onset is: as the mean over those cells (`jongwook`), or as the sum over keys, mean over
    frames (`magenta`).
    """

    def entropy(probability: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """`weight` (B, T, 88) or (B, T, 1), 0 on padding; the mean is over what is not padding."""
        probability = probability.float()
        hit = target * torch.log(probability + EPSILON)
        miss = (1 - target) * torch.log(1 - probability + EPSILON)
        return -((hit + miss) * weight).sum()

    def terms(network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        out = network(batch["mel"])
        valid = batch["valid"][..., None]  # (B, T, 1)
        cells = (valid.sum() * out.onset.shape[-1]).clamp(min=1)
        struck = batch["onset"] * valid
        error = (struck * (out.velocity.float() - batch["velocity"]) ** 2).sum()
        counted = struck.sum() if recipe.labels == "jongwook" else valid.sum()
        result = {
            "onset": entropy(out.onset, batch["onset"], valid) / cells,
            "frame": entropy(out.frame, batch["frame"], valid * batch["weight"]) / cells,
            "velocity": error / counted.clamp(min=1),
        }
        if out.offset is not None:
            result["offset"] = entropy(out.offset, batch["offset"], valid) / cells
        return result

    return terms


# -- validation -----------------------------------------------------------------------------------------


def make_validation(
    pieces: Sequence[Piece], recipe: OnsetsFramesRecipe, *, seconds: float = 60.0
) -> Callable[[nn.Module], dict[str, float]]:
    """Mean scores of the first `seconds` of each piece, and the share of onsets found, for `fit(validate=...)`."""
    transform = front_end(_frontend(recipe.network))
    metrics = ("note_f1", "note_recall", "note_with_offset_f1", "note_with_offset_and_velocity_f1", "frame_f1")

    def validate(network: nn.Module) -> dict[str, float]:
        device = next(network.parameters()).device
        scores = []
        for piece in pieces:
            end = min(piece.seconds, seconds)
            samples = _as_float(piece.samples[: int(end * RATE)])
            mel = transform(samples / (_peak(piece.samples) if recipe.peak_normalise else 1.0))
            with torch.no_grad():
                out = network(torch.from_numpy(mel)[None].to(device))
            onset, frame, velocity = (
                getattr(out, name)[0].float().cpu().numpy() for name in ("onset", "frame", "velocity")
            )
            estimate = decode_onsets_frames(onset, frame, velocity, half_frame_shift=recipe.labels == "magenta")
            array = piece.sounding.array[piece.sounding.onset < end].copy()
            array["offset"] = np.minimum(array["offset"], end)
            reference = piece.sounding.with_array(array)
            scores.append(evaluate_transcription(reference, estimate, seconds=end))
        return {name: float(np.mean([s[name] for s in scores])) for name in metrics}

    return validate
