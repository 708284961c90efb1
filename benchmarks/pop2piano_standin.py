"""Weights of Pop2Piano's shape that behave like trained ones, for benchmarks where the published ones are not at hand.

    python benchmarks/pop2piano_standin.py BANDS/train --excerpts 12 --minutes 7 -o standin

Random weights write no ends and choose between near ties, so how much of their output survives rounding says nothing.
This trains a network of the published depth and vocabulary, by default of half its width (15 million parameters), on
bands rendered from POP909 (`docs/bands.md`): spectrograms in, piano arrangements out. A few minutes are enough for the
grammar and lengths, and for the songs it is trained on. It is no model for music.

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
from torch.nn import functional as F

from spartito.files import atomic_path
from spartito.models.pop2piano_input import SEGMENT, segments
from spartito.models.pop2piano_network import Pop2PianoConfig, Pop2PianoNetwork
from spartito.models.pop2piano_tokens import COMPOSER, encode

LONGEST = 160  # tokens of a segment; the few longer ones are left out
PEAK_RATE, WARM_UP = 1e-3, 0.05  # learning rate, share of the time in which it rises
CLIP = 1.0


def excerpt(path: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    """Features (n, T, 512) and token rows of the segments of a band, but for the last, which is cut off."""
    samples, _ = soundfile.read(path.with_suffix(".flac"), dtype="float32")
    with np.load(path) as fields:
        made = segments(samples, fields["beats"])
        notes = np.concatenate([fields[f"{name}_q"] for name in ("melody", "bridge", "piano")])
    onset = (4 * notes[:, 0] + notes[:, 1]) // 2  # half beats
    offset = np.maximum(onset + 1, -(-(4 * notes[:, 0] + notes[:, 1] + notes[:, 2]) // 2))
    table = np.unique(np.column_stack([onset, notes[:, 3], offset]), axis=0)
    last = np.append(np.any(np.diff(table[:, :2], axis=0) != 0, axis=1), True)  # one note per onset and key
    table = table[last][:, [0, 2, 1]]
    rows = []
    for i in range(len(made) - 1):
        inside = table[(table[:, 0] >= SEGMENT * i) & (table[:, 0] < SEGMENT * (i + 1))]
        rows.append(encode(inside - [SEGMENT * i, SEGMENT * i, 0]))
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


def fresh(width: int) -> Pop2PianoNetwork:
    """With the deviations that T5 begins with, but a small output."""
    network = Pop2PianoNetwork(Pop2PianoConfig(d_model=width, d_ff=4 * width, num_heads=width // 64))
    c = network.config
    for name, weight in network.named_parameters():
        kind = name.split(".")[-2]
        deviation = {"q": (c.d_model * c.d_kv) ** -0.5, "o": (c.num_heads * c.d_kv) ** -0.5, "wo": c.d_ff**-0.5}
        if "norm" not in kind:
            wide = kind in ("shared", "embedding")
            torch.nn.init.normal_(weight, std=1.0 if wide else deviation.get(kind, c.d_model**-0.5))
    return network


def batch(features, rows, composers, chosen):
    """Padded tensors: mel, heard, composers, tokens with the start, what is to follow (-100: nothing)."""
    frames = max(len(features[i]) for i in chosen)
    length = max(len(rows[i]) for i in chosen)
    mel = np.zeros((len(chosen), frames, features[0].shape[1]), np.float32)
    heard = np.zeros((len(chosen), frames), bool)
    tokens = np.zeros((len(chosen), length), np.int64)
    follow = np.full((len(chosen), length), -100)
    for k, i in enumerate(chosen):
        mel[k, : len(features[i])], heard[k, : len(features[i])] = features[i], True
        tokens[k, 1 : len(rows[i])], follow[k, : len(rows[i])] = rows[i][:-1], rows[i]
    return [torch.from_numpy(a) for a in (mel, heard, composers[chosen], tokens, follow)]


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
                mel, heard, who, tokens, follow = batch(features, rows, composers, parts[k])
                with torch.autocast("cpu", torch.bfloat16):
                    logits = network(mel, who, tokens, heard)
                loss = F.cross_entropy(logits.float().flatten(0, 1), follow.flatten())
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
                optimiser.step()
                losses.append(loss.item())
                if len(losses) % 20 == 0:
                    print(f"{share:.0%}  step {len(losses)}  {np.mean(losses[-20:]):.3f} nats", flush=True)
                if len(losses) % 100 == 0:
                    keep(losses)


def save(network: Pop2PianoNetwork, folder: Path, about: dict):
    """As `save_pretrained` of transformers would, the composers as the hub names them."""
    from transformers import GenerationConfig
    from transformers import Pop2PianoConfig as PortConfig
    from transformers import Pop2PianoForConditionalGeneration as Port

    c = network.config
    sizes = {"d_model": c.d_model, "d_ff": c.d_ff, "num_heads": c.num_heads, "tie_word_embeddings": False}
    model = Port(PortConfig(**sizes, dense_act_fn=c.activation))
    model.load_state_dict(network.state_dict(), strict=False)
    model.generation_config = GenerationConfig(
        composer_to_feature_token={f"composer{i + 1}": COMPOSER + i for i in range(21)},
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
        max_length=256,
    )
    model.save_pretrained(folder)
    with atomic_path(folder / "standin.json") as temporary:
        temporary.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bands", type=Path, help="folder of rendered bands")
    parser.add_argument("--excerpts", type=int, default=12)
    parser.add_argument("--width", type=int, default=256, help="of the network; the published one has 512")
    parser.add_argument("--minutes", type=float, default=7.0, help="processor time")
    parser.add_argument("--batch", type=int, default=16, help="segments")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    data = load(options.bands, options.excerpts, options.width)
    print(f"{len(data[1])} segments, {np.mean([len(row) for row in data[1]]):.1f} tokens each", flush=True)
    network = fresh(options.width)
    about = {"width": options.width, "excerpts": options.excerpts, "segments": len(data[1]), "batch": options.batch}

    def keep(losses):
        save(network, options.output, about | {"steps": len(losses), "loss_nats": float(np.mean(losses[-20:]))})

    keep(train(network, data, minutes=options.minutes, size=options.batch, seed=options.seed, keep=keep))


if __name__ == "__main__":
    main()
