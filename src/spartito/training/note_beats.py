"""Training of the beat tracker for notes (`models.note_beats`).

    python -m spartito.training.note_beats --asap ASAP --pop909 POP909 --out runs/note_beats

Data: ASAP performances with annotated beats (F. Foscarin et al., ISMIR 2020; CC BY-NC-SA 4.0) and POP909 songs with
their `beat_midi.txt` (Z. Wang et al., ISMIR 2020; MIT). The split is by work: SHA-1 of 'composer/title' modulo 10
for ASAP, song number modulo 10 for POP909; 7 is the test set, 8 the validation set, the rest is learnt from.

Each step takes crops of `crop` chords from `batch` performances, three in four from ASAP, every work equally often.
Varied on the fly: tempo by up to a quarter of an octave, key by up to half an octave, dynamics kept, halved or
flattened, pedal hidden, note lengths blurred (a transcription knows less about lengths and pedal than a keyboard).
Losses: cross-entropies of beat, downbeat, tempo class and time signature at every chord between the first and the
last annotated beat. The weights kept are an exponential average over steps.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spartito.analysis.beats import pitched
from spartito.analysis.events import FEATURES, find_events
from spartito.errors import MissingExtraError, NotesError, SpartitoError
from spartito.models.note_beats import METRES, PERIODS, NoteBeatsConfig, save_note_beats, torch_note_beats
from spartito.notes.midi import read_midi
from spartito.training.data.asap import asap_rows, asap_work, read_asap_beats
from spartito.training.data.splits import TEST, VALIDATION

__all__ = ["NoteBeatsTraining", "label_events", "train_note_beats"]

LABELS = ("beat", "downbeat", "tempo class", "metre class", "annotated")


@dataclass(frozen=True)
class NoteBeatsTraining:
    """Settings of one training run."""

    steps: int = 3000
    batch: int = 24  # performances per step
    crop: int = 384  # chords per performance
    rate: float = 2e-3  # learning rate after warm-up; it falls to a fiftieth along a cosine
    warm_up: int = 100  # steps
    decay: float = 1e-2  # weight decay
    average: float = 0.995  # of the exponential average of the weights
    asap_share: float = 0.72
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Example:
    """One performance: features (m, 22) and labels (m, 5) as in `LABELS`, -1 where unknown."""

    work: str
    split: int
    features: np.ndarray
    labels: np.ndarray


def label_events(
    times: np.ndarray, beats: np.ndarray, downbeats: np.ndarray, metres: list[tuple[float, str]]
) -> np.ndarray:
    """(m, 5) int16 labels of events at `times` (m,) seconds from annotated beats (seconds)."""
    right = np.clip(np.searchsorted(beats, times), 1, len(beats) - 1)
    nearest = np.where(np.abs(times - beats[right - 1]) < np.abs(times - beats[right]), right - 1, right)
    period = np.gradient(beats)[nearest]
    beat = np.abs(times - beats[nearest]) < np.minimum(0.08, 0.15 * period)  # seconds, or part of a beat
    is_down = np.isin(np.round(beats, 4), np.round(downbeats, 4))[nearest]
    inside = (times > beats[0] - 0.1) & (times < beats[-1] + 0.1)
    metre = np.full(len(times), -1)
    if metres:
        place = np.maximum(np.searchsorted([t for t, _ in metres], times + 0.05, side="right") - 1, 0)
        known = np.array([METRES.index(name) if name in METRES else -1 for _, name in metres])
        metre = known[place]
    tempo = np.round(np.interp(np.log(period), np.log(PERIODS), np.arange(len(PERIODS))))
    columns = (beat, beat & is_down, np.where(inside, tempo, -1), np.where(inside, metre, -1), inside)
    return np.column_stack(columns).astype(np.int16)


def asap_examples(folder: Path):
    """Examples of ASAP."""
    for row in asap_rows(folder):
        work, split = asap_work(row)
        said = read_asap_beats(folder / row["performance_annotations"])
        try:
            notes = pitched(read_midi(folder / row["midi_performance"]))
        except SpartitoError:
            continue
        if len(said.beats) >= 10 and len(notes):
            yield _example(work, split, notes, said.beats, said.downbeats, said.metres)


def pop909_examples(folder: Path):
    """Examples of POP909: each song with melody, bridge and piano, and its piano alone."""
    for song in sorted(p for p in folder.iterdir() if p.name.isdigit()):
        table = np.loadtxt(song / "beat_midi.txt")  # seconds, downbeat in 2/4, downbeat in 3/4 or 4/4
        beats, opening = table[:, 0], np.flatnonzero(table[:, 2] == 1)
        if len(opening) < 5:
            continue
        metre = [(0.0, f"{int(np.median(np.diff(opening)))}/4")]
        notes = pitched(read_midi(song / f"{song.name}.mid"))
        piano = [i for i, track in enumerate(notes.tracks) if track.name == "PIANO"]
        for name, part in (("all", notes), ("piano", notes.select(np.isin(notes.array["track"], piano)))):
            if len(part):
                yield _example(f"pop/{name}/{song.name}", int(song.name) % 10, part, beats, beats[opening], metre)


def _example(work, split, notes, beats, downbeats, metres) -> Example:
    events = find_events(notes)
    return Example(work, split, events.features, label_events(events.times, beats, downbeats, metres))


def vary(example: Example, crop: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A varied crop: features (crop, 22) and labels (crop, 5), padded at the end."""
    start = rng.integers(0, max(1, len(example.features) - crop + 1))
    x = example.features[start : start + crop].copy()
    y = example.labels[start : start + crop].copy()
    intervals, lengths, pedal = slice(0, 4), slice(11, 14), slice(19, 21)
    classes = int(rng.integers(-3, 4))  # a quarter of an octave is three tempo classes
    stretch = classes * np.log(PERIODS[1] / PERIODS[0])
    x[:, intervals] += stretch + rng.normal(0, 0.02, x[:, intervals].shape)
    x[:, lengths] += stretch
    timed = y[:, 2] >= 0
    y[timed, 2] = np.clip(y[timed, 2] + classes, 0, len(PERIODS) - 1)
    x[:, 7:9] += rng.integers(-5, 7) / 12  # octaves
    x[:, 5] *= rng.choice([1.0, 1.0, 0.5, 0.0])
    if rng.random() < 0.5:
        x[:, pedal] = 0
    if rng.random() < 0.2:
        x[:, lengths] += rng.normal(0, 0.5, x[:, lengths].shape)
    missing = crop - len(x)
    return np.pad(x, ((0, missing), (0, 0))), np.pad(y, ((0, missing), (0, 0)))


def loss(logits, labels):
    """Sum of the four losses and the four apart. `logits` (batch, outputs, crop), `labels` (batch, crop, 5)."""
    import torch
    import torch.nn.functional as functional

    n = len(PERIODS)
    logits = logits.transpose(1, 2)
    known = (labels[..., 4] > 0).float()
    parts = []
    for k in (0, 1):
        each = functional.binary_cross_entropy_with_logits(logits[..., k], labels[..., k].float(), reduction="none")
        parts.append((each * known).sum() / known.sum().clamp(min=1))
    hidden = labels[..., 4] == 0
    for k, (scores, smoothing) in enumerate(((logits[..., 2 : 2 + n], 0.05), (logits[..., 2 + n :], 0.0))):
        target = labels[..., 2 + k].long().masked_fill(hidden, -1)
        if (target >= 0).any():
            flat = scores.reshape(-1, scores.shape[-1])
            parts.append(functional.cross_entropy(flat, target.reshape(-1), ignore_index=-1, label_smoothing=smoothing))
        else:
            parts.append(logits.sum() * 0)
    beat, downbeat, tempo, metre = parts
    return beat + downbeat + 0.4 * tempo + 0.3 * metre, torch.stack(parts).detach()


def train_note_beats(
    examples: list[Example], out: Path, *, settings: NoteBeatsTraining | None = None, start: Path | None = None
) -> dict[str, float]:
    """Train on `examples`, write weights into `out`, and return the figures on the validation split.

    `start` is a folder with weights to go on from.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", extra="train", purpose="training the beat tracker") from error
    settings = settings or NoteBeatsTraining()
    rng = np.random.default_rng(settings.seed)
    torch.manual_seed(settings.seed)
    works: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        if example.split not in (TEST, VALIDATION):
            works[example.work].append(example)
    classical = [w for w in works if not w.startswith("pop/")]
    popular = [w for w in works if w.startswith("pop/")]
    if not works:
        raise NotesError("no performances to train on were found")
    config = NoteBeatsConfig(features=len(FEATURES))
    everything = np.concatenate([e.features for w in works.values() for e in w])
    mean, deviation = everything.mean(axis=0), everything.std(axis=0) + 1e-3
    mean[19:21], deviation[19:21] = 0, 1  # flags
    network = torch_note_beats(config)
    if start is not None:
        from safetensors.torch import load_file

        state = {k: v.float() for k, v in load_file(start / "model.safetensors").items()}
        mean, deviation = state.pop("mean").numpy(), state.pop("deviation").numpy()
        network.load_state_dict(state, strict=False)
    optimizer = torch.optim.AdamW(network.parameters(), settings.rate, weight_decay=settings.decay)
    average, began = None, time.monotonic()
    for step in range(settings.steps):
        share = step / settings.steps
        rate = settings.rate * min(1, step / settings.warm_up) * max(0.02, 0.5 * (1 + np.cos(np.pi * share)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        crops = []
        for _ in range(settings.batch):
            pool = classical if (rng.random() < settings.asap_share and classical) or not popular else popular
            of_work = works[pool[rng.integers(len(pool))]]
            crops.append(vary(of_work[rng.integers(len(of_work))], settings.crop, rng))
        x = torch.tensor(np.array([(x - mean) / deviation for x, _ in crops]), dtype=torch.float32)
        y = torch.tensor(np.array([y for _, y in crops]))
        network.train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(x.transpose(1, 2))
        total, parts = loss(logits.float(), y)
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        state = network.state_dict()
        if average is None:
            average = {k: v.clone() for k, v in state.items()}
        for k, v in state.items():
            average[k] = v.clone() if not v.is_floating_point() else average[k].lerp(v, 1 - settings.average)
        if step % 100 == 99:
            figures = " ".join(f"{p:.3f}" for p in parts)
            print(f"step {step + 1}  {time.monotonic() - began:.0f} s  losses {figures}", flush=True)
    network.load_state_dict(average)
    figures = validate(network, [e for e in examples if e.split == VALIDATION], mean, deviation)
    weights = {k: v.numpy() for k, v in average.items()}
    weights["mean"], weights["deviation"] = mean.astype(np.float32), deviation.astype(np.float32)
    save_note_beats(weights, config, out)
    return figures


def validate(network, examples: list[Example], mean, deviation) -> dict[str, float]:
    """Mean losses and F1 of single chords (threshold 0.4) over one performance per work."""
    import torch

    network.eval()
    first = {e.work: e for e in reversed(examples)}
    losses, found = [], []
    with torch.no_grad():
        for e in first.values():
            x = torch.tensor((e.features - mean) / deviation, dtype=torch.float32).T[None]
            logits = network(x)
            losses.append(loss(logits, torch.tensor(e.labels)[None])[1].numpy())
            known = e.labels[:, 4] > 0
            scores = []
            for k in (0, 1):
                said = (logits[0, k] > np.log(0.4 / 0.6)).numpy() & known
                true = (e.labels[:, k] > 0) & known
                scores.append(2 * (said & true).sum() / max(1, said.sum() + true.sum()))
            found.append(scores)
    means = np.concatenate([np.mean(losses, axis=0), np.mean(found, axis=0)]) if first else np.zeros(6)
    names = ("beat loss", "downbeat loss", "tempo loss", "metre loss", "chord beat f1", "chord downbeat f1")
    return {name: float(value) for name, value in zip(names, means)}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--asap", type=Path)
    parser.add_argument("--pop909", type=Path, help="folder with the numbered songs")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="folder with weights to go on from")
    parser.add_argument("--steps", type=int, default=NoteBeatsTraining.steps)
    parser.add_argument("--seed", type=int, default=NoteBeatsTraining.seed)
    options = parser.parse_args(arguments)
    examples = []
    if options.asap:
        examples += asap_examples(options.asap)
    if options.pop909:
        examples += pop909_examples(options.pop909)
    settings = NoteBeatsTraining(steps=options.steps, seed=options.seed)
    print(json.dumps(train_note_beats(examples, options.out, settings=settings, start=options.start), indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
