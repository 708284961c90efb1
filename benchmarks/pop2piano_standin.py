"""Weights of Pop2Piano's shape that behave like trained ones, for benchmarks where the published ones are not at hand.

    python benchmarks/pop2piano_standin.py BANDS/train --excerpts 12 --minutes 5 -o standin

Random weights write no ends and choose between near ties, so how much of their output survives rounding says nothing.
This trains a network of the published depth and vocabulary, a quarter as wide by default, on bands rendered from
POP909 (`docs/bands.md`): spectrograms in, piano arrangements out. A few minutes are enough for the grammar. Left to
itself it often repeats itself: its rows are two to three times as long as the arrangements'. It is no model for music.

Written are config.json, generation_config.json and model.safetensors, as the hub has them, and standin.json with the
loss. `--minutes` counts processor time of one thread.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

from spartito.files import atomic_path
from spartito.models.pop2piano_input import segments
from spartito.models.pop2piano_network import Pop2PianoConfig, Pop2PianoNetwork
from spartito.training.data.pair_shards import half_beat_notes, pop2piano_rows
from spartito.training.data.pop2piano_windows import BEATS
from spartito.training.data.pop909 import TRACKS
from spartito.training.pop2piano import Pop2PianoRecipe, collate, initialise, loss
from spartito.training.pop2piano_commands import describe, write_weights

LONGEST = 160  # tokens of a segment; the few longer ones are left out
PEAK_RATE, WARM_UP = 1e-3, 0.05  # learning rate, share of the time in which it rises
CLIP = 1.0


def excerpt(path: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    """Features (n, T, 512) and token rows of the segments of a band, but for the last, which is cut off."""
    samples, _ = soundfile.read(path.with_suffix(".flac"), dtype="float32")
    with np.load(path) as fields:
        made = segments(samples, fields["beats"])
        table = np.concatenate([fields[track] for track in TRACKS])
        notes = half_beat_notes(table, fields["beats"])
    rows = pop2piano_rows(notes, BEATS * np.arange(len(made) - 1))
    return made.features[: len(rows)], rows


def load(folder: Path, count: int, width: int) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Segments of `count` excerpts: features (T, width) each, tokens each, and a row of the composer table per song."""
    features, rows, composers = [], [], []
    for number, path in enumerate(sorted(folder.glob("*.npz"))[:count]):
        heard, written = excerpt(path)
        keep = [i for i, row in enumerate(written) if len(row) <= LONGEST]
        heard = heard.reshape(*heard.shape[:2], width, -1).mean(-1)  # neighbouring bands
        features += [heard[i] for i in keep]
        rows += [written[i] for i in keep]
        composers += [number % 21] * len(keep)
    if not rows:
        raise SystemExit(f"there are no bands in {folder}")
    return features, rows, np.array(composers)


def train(network: Pop2PianoNetwork, data, *, minutes: float, size: int, seed: int, keep) -> list[float]:
    """Losses in nats per token, one per step; `keep(losses)` is called now and then."""
    features, rows, composers = data
    random = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(network.parameters(), PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    losses, began = [], time.process_time()
    while True:
        shuffled = random.permutation(len(rows))
        for chunk in np.array_split(shuffled, max(1, len(shuffled) // (16 * size))):  # of like length within a chunk
            chunk = chunk[np.argsort([len(rows[i]) for i in chunk], kind="stable")]
            parts = np.array_split(chunk, max(1, len(chunk) // size))
            for k in random.permutation(len(parts)):
                share = (time.process_time() - began) / (60.0 * minutes)
                if share >= 1.0:
                    return losses
                rate = PEAK_RATE * min(share / WARM_UP, 1.0) * min(1.0, (1.0 - share) / (1.0 - WARM_UP) + 0.01)
                for group in optimiser.param_groups:
                    group["lr"] = rate
                batch = collate([features[i] for i in parts[k]], [rows[i] for i in parts[k]], composers[parts[k]])
                with torch.autocast("cpu", torch.bfloat16):
                    nats = loss(network, batch)["tokens"]
                optimiser.zero_grad()
                nats.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
                optimiser.step()
                losses.append(nats.item())
                if len(losses) % 20 == 0:
                    print(f"{share:.0%}  step {len(losses)}  {np.mean(losses[-20:]):.3f} nats", flush=True)
                if len(losses) % 100 == 0:
                    keep(losses)


def save(network: Pop2PianoNetwork, folder: Path, about: dict):
    """As the hub has it, the composers named as there."""
    describe(folder, Pop2PianoRecipe(network=network.config), {f"composer{i + 1}": i for i in range(21)}, card={})
    write_weights(folder, network.state_dict())
    with atomic_path(folder / "standin.json") as temporary:
        temporary.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bands", type=Path, help="folder of rendered bands")
    parser.add_argument("--excerpts", type=int, default=12)
    parser.add_argument("--width", type=int, default=128, help="of the network; the published one has 512")
    parser.add_argument("--minutes", type=float, default=5.0, help="processor time")
    parser.add_argument("--batch", type=int, default=16, help="segments")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    data = load(options.bands, options.excerpts, options.width)
    print(f"{len(data[1])} segments, {np.mean([len(row) for row in data[1]]):.1f} tokens each", flush=True)
    width = options.width
    sizes = Pop2PianoConfig(d_model=width, d_ff=4 * width, num_heads=width // 64, dropout_rate=0.0)
    network = initialise(Pop2PianoNetwork(sizes))
    about = {"width": options.width, "excerpts": options.excerpts, "segments": len(data[1]), "batch": options.batch}

    def keep(losses):
        save(network, options.output, about | {"steps": len(losses), "loss_nats": float(np.mean(losses[-20:]))})

    keep(train(network, data, minutes=options.minutes, size=options.batch, seed=options.seed, keep=keep))


if __name__ == "__main__":
    main()
