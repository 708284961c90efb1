"""Coding and decoding a whole song in the latent space: seconds, against eager torch, and the memory of an hour.

    python benchmarks/latent_speed.py latent latent-16 --threads 1 --threads 2 -o results

Models are names or folders that `spartito export` wrote. Three minutes at 120 beats a minute are 90 bars: 89 windows of
2 bars at each bar, 19 of 16 bars at every fourth. Their states are drawn by lot: what they are costs nothing. torch
runs the same weights on all windows at once, ONNX Runtime in parts (`models/musae_runtime.py`). Runs alternate; shown
are medians. "x" is torch's seconds divided by ours. "open" is what the first call takes more, for making the graphs
ready. An hour is coded, and decoded in parts, in a process of its own; "MB" is the most memory that it ever had, with
Python, numpy and ONNX Runtime, and "of which" what it had before that, with the model opened and a window decoded.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from spartito.files import atomic_path
from spartito.models.musae_runtime import LatentModel, open_latent
from spartito.notes.four_tracks import STATES

BARS_A_MINUTE = 30  # of four beats, at 120 beats a minute
SONG, HOUR = 3, 60  # minutes
HOPS = {2: 1, 16: 4}  # bars from window to window, by the length of a window in bars


def windows(model: LatentModel, minutes: int, *, hop: int | None = None) -> np.ndarray:
    """(n, T, V) uint8: states by lot for all windows of so much music."""
    count = (BARS_A_MINUTE * minutes - model.bars) // (hop or HOPS.get(model.bars, 1)) + 1
    shape = (count, model.steps, len(model.layout))
    return np.random.default_rng(0).integers(0, STATES, shape, dtype=np.uint8)


def clock(work) -> tuple[float, float]:
    """Seconds by the processor's and by the wall's clock."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def compare(name: str, *, threads: int, repeats: int) -> dict:
    """Seconds of a song, coded and decoded, by each engine."""
    import torch

    from spartito.models.export import read_run
    from spartito.models.musae import MusAE, MusaeConfig

    torch.set_num_threads(threads)
    model = open_latent(name, device="cpu", threads=threads)
    settings, state = read_run(model.info.folder)
    network = MusAE(MusaeConfig.from_dict(settings["network"])).eval()
    network.load_state_dict(state, strict=False)  # weights of a folder lack the critic's
    states = windows(model, SONG)
    z = model.encode(states[:1])[0].repeat(len(states), axis=0)

    def eager(part, values):
        with torch.inference_mode():
            made = network(part, torch.from_numpy(values))
            return made[0].numpy() if part == "encoder" else made.log_softmax(dim=-1).numpy()

    engines = {
        "torch": (lambda: eager("encoder", states.astype(np.int64)), lambda: eager("decoder", z)),
        "spartito": (lambda: model.encode(states), lambda: model.decode(z)),
    }
    fresh = open_latent(name, device="cpu", threads=threads)
    first = clock(lambda: fresh.decode(fresh.encode(states)[0]))
    runs: dict[str, list] = {engine: [] for engine in engines}
    for _ in range(repeats):
        for engine, parts in engines.items():
            runs[engine].append([clock(part) for part in parts])
    report = {}
    for engine, made in runs.items():
        encode, decode = np.median(np.array(made), axis=0)
        report[engine] = dict(zip(("encode_cpu", "encode_wall", "decode_cpu", "decode_wall"), (*encode, *decode)))
        report[engine] |= {"cpu": float(encode[0] + decode[0]), "wall": float(encode[1] + decode[1])}
    opening = float(first[0] - report["spartito"]["cpu"])
    return {"model": model.name, "windows": len(states), "threads": threads, "open_cpu": opening, "engines": report}


def hour(name: str) -> dict:
    """What an hour of music takes of this process: megabytes at most, those before it, and seconds."""
    model = open_latent(name, device="cpu", threads=1)
    states = windows(model, HOUR)
    model.decode(model.encode(states[:1])[0])
    before = most_memory()
    began, likely = time.process_time(), 0
    for _, told in model.decode_parts(model.encode(states)[0]):
        likely += int((told > -1.0).sum())
    spent = time.process_time() - began
    return {"windows": len(states), "megabytes": most_memory(), "before": before, "cpu": spent, "likely": likely}


def most_memory() -> float:
    """Megabytes that this process ever had at once."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says begins with the memory of the process that started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def table(comparisons: list[dict], hours: dict[str, dict]) -> str:
    headings = (
        "model, windows, threads, encode, decode, both, torch, x, clock, open; hour: windows, CPU s, MB, of which"
    )
    lines = [f"| {headings.replace(', ', ' | ').replace('; ', ' | ')} |", "|---" * 14 + "|"]
    for made in comparisons:
        ours, torch, long = made["engines"]["spartito"], made["engines"]["torch"], hours[made["model"]]
        times = f"{ours['encode_cpu']:.3f} | {ours['decode_cpu']:.3f} | {ours['cpu']:.3f} | {torch['cpu']:.3f}"
        ratio = f"{torch['cpu'] / ours['cpu']:.2f} | {ours['wall']:.3f} | {made['open_cpu']:.3f}"
        lasting = f"{long['windows']} | {long['cpu']:.2f} | {long['megabytes']:.0f} | {long['before']:.0f}"
        place = f"{made['model']} | {made['windows']} | {made['threads']}"
        lines.append(f"| {place} | {times} | {ratio} | {lasting} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="names or folders")
    parser.add_argument("--threads", type=int, action="append", help="may be repeated (1)")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--hour", action="store_true", help="only code an hour of the first model, here")
    parser.add_argument("-o", "--output", type=Path, help="folder for the report")
    options = parser.parse_args(arguments)
    if options.hour:
        found = hour(options.models[0])
        print(json.dumps(found))
        return found
    comparisons, hours = [], {}
    for name in options.models:
        made = [compare(name, threads=t, repeats=options.repeats) for t in options.threads or [1]]
        alone = subprocess.run([sys.executable, __file__, "--hour", name], capture_output=True, text=True, check=True)
        hours[made[0]["model"]] = json.loads(alone.stdout)
        comparisons += made
    report = {"comparisons": comparisons, "hours": hours, "machine": platform.machine(), "system": platform.system()}
    print(table(comparisons, hours))
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        with atomic_path(options.output / "latent_speed.json") as path:
            path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


if __name__ == "__main__":
    main()
