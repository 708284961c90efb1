"""Where the time of Pop2Piano's generation goes, and what drafting in bf16 and checking in fp32 could give at best.

    python benchmarks/pop2piano_steps.py --repeats 3 -o results

The network is the published one with random weights. Measured are, in processor time of one thread, the encoder for 16
segments of 47 frames, and for 16, 45 and 90 rows a step of the decoder with 32 tokens behind it: its multiplications by
weights, its attention, and the whole. From this follows what a song of 90 segments takes, whose rows end as in
`pop2piano.py`: the steps, each with as many rows as are left, and the encoder.

Speculation: bf16 writes, float32 reads blocks of what it wrote and replaces the first token that differs, so that the
tokens are those of float32. "at best" counts a bf16 decoder that is never wrong, the encoder in float32, and one
multiplication of each written token by the weights in float32, in blocks of 16 tokens a row. It counts no attention of
the check, no encoder for the draft and no token that is thrown away. "gain" is by fp32's seconds.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from pop2piano import FRAMES, noise
from spartito.files import atomic_path
from spartito.models.pop2piano_generate import ENCODED_ROWS, PRECISIONS, FastGenerator, attend
from spartito.models.pop2piano_network import Pop2PianoConfig, Pop2PianoNetwork

ROWS = (16, 45, 90)
BEHIND = 32  # tokens written before the step that is measured: half of a row
BLOCK = 16  # tokens of a row that are checked at once


def parts(made: FastGenerator, rows: int) -> dict:
    """What a step consists of, as functions without arguments."""
    layers, sizes = made.decoder.layers, made.config
    x, bias = torch.randn(rows, sizes.d_model), torch.randn(1, sizes.num_heads, 1, BEHIND + 1)
    for layer in layers:
        layer.begin(torch.randn(rows, FRAMES + 1, sizes.d_model), BEHIND + 1)
        layer.keys.zero_(), layer.values.zero_()
    query = layers[0].keys.new_ones(rows, sizes.num_heads, 1, sizes.d_kv)

    def attention():
        for layer in layers:
            attend(query, layer.other_keys, layer.other_values, None)
            attend(query, layer.keys, layer.values, bias)

    def step():
        y = x
        for layer in layers:
            y = layer.step(y, BEHIND, bias, None)

    return {"weights": lambda: multiply(made, x), "attention": attention, "step": step}


def multiply(made: FastGenerator, x: torch.Tensor):
    """x (tokens, d_model) by every matrix of the decoder that a token meets."""
    for layer in made.decoder.layers:
        for matrix in (layer.own_in, layer.own_out, layer.other_in, layer.other_out):
            matrix(x)
        layer.gate_out(layer.gate_in(x)[:, : made.config.d_ff])


def measured(works: dict, *, repeats: int) -> dict[str, float]:
    """Processor seconds of each, the least of runs that alternate: the machine may be busy with something else."""
    seconds = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(repeats):
        for name, work in works.items():
            began = time.process_time()
            work()
            work()
            seconds[name].append((time.process_time() - began) / 2)
    return {name: min(found) for name, found in seconds.items()}


def song_seconds(lengths: np.ndarray, step: dict[int, float], encoder: float) -> float:
    """Seconds of a song whose rows end after `lengths`: `step` by rows, `encoder` for `ENCODED_ROWS` segments."""
    rows = (np.arange(lengths.max()) < lengths[:, None]).sum(0)  # active at each step
    known = sorted(step)
    slope = (step[known[-1]] - step[known[0]]) / (known[-1] - known[0])
    steps = np.interp(rows, known, [step[r] for r in known]) - slope * np.maximum(known[0] - rows, 0)
    return float(steps.sum() + encoder * len(lengths) / ENCODED_ROWS)


def table(report: dict) -> str:
    lines = ["| rows | precision | weights, ms | attention, ms | step, ms |", "|---|---|---|---|---|"]
    for count, found in report["rows"].items():
        for p in PRECISIONS:
            cells = " | ".join(f"{1e3 * found[f'{p} {name}']:.1f}" for name in ("weights", "attention", "step"))
            lines.append(f"| {count} | {p} | {cells} |")
    lines += ["", "| 90 segments | encoder of 16, ms | s | gain |", "|---|---|---|---|"]
    for name, seconds in report["song"].items():
        encoder = report["encoder"].get(name, report["encoder"]["fp32"])
        lines.append(f"| {name} | {1e3 * encoder:.0f} | {seconds:.1f} | {report['song']['fp32'] / seconds:.2f} |")
    return "\n".join(lines) + f"\n\nA token by the decoder's weights in blocks, fp32: {1e3 * report['check']:.2f} ms\n"


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, action="append", help="may be repeated (16, 45, 90)")
    parser.add_argument("--layers", type=int, default=6, help="of encoder and decoder; fewer to try it")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the report")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = Pop2PianoNetwork(Pop2PianoConfig(num_layers=options.layers)).requires_grad_(False)
    made = {p: FastGenerator(network.state_dict(), network.config, precision=p, threads=1) for p in PRECISIONS}
    heard, composers = torch.randn(ENCODED_ROWS, FRAMES, network.config.d_model), torch.zeros(ENCODED_ROWS).long()
    rows = tuple(sorted(options.rows or ROWS))
    report: dict = {"encoder": {}, "rows": {count: {} for count in rows}, "song": {}}
    with torch.inference_mode():
        works = {p: lambda g=g: g._encoded(heard, composers) for p, g in made.items()}
        report["encoder"] = measured(works, repeats=options.repeats)
        for count in rows:
            works = {f"{p} {name}": work for p, g in made.items() for name, work in parts(g, count).items()}
            report["rows"][count] = measured(works, repeats=options.repeats)
        block = torch.randn(BLOCK * rows[len(rows) // 2], network.config.d_model)
        check = measured({"check": lambda: multiply(made["fp32"], block)}, repeats=options.repeats)["check"]
        report["check"] = check / len(block)
    _, lengths = noise(90, 1)
    steps = {p: {count: report["rows"][count][f"{p} step"] for count in rows} for p in PRECISIONS}
    song = {p: song_seconds(lengths, steps[p], report["encoder"][p]) for p in PRECISIONS}
    song["speculation, at best"] = (
        song_seconds(lengths, steps["bf16"], report["encoder"]["fp32"]) + report["check"] * lengths.sum()
    )
    report["song"] = song
    text = table(report)
    for suffix, content in ((".md", text), (".json", json.dumps(report, indent=2) + "\n")):
        with atomic_path(options.output / f"pop2piano_steps{suffix}") as temporary:
            temporary.write_text(content, encoding="utf-8")
    print(text)
    return report


if __name__ == "__main__":
    main()
