"""What it costs that the weights of a latent space take a byte each (`models/quantized.py`).

    python benchmarks/latent_bytes.py RUN STORE --windows 400 -o results

On windows of a split, spread over its songs, the same network with its matrices in bytes is compared with that in
float16: "equal" is the share of cells with the same likeliest state, both decoded from the mean codes that each has
made itself; "codes" how far those lie apart, in deviations of the codes, root mean square. Then what comes back of the
windows (`evaluation/latent.py`) with either. `--each` also tells of every matrix how many cells change if it alone is
in bytes, the worst first: what `export_latent(in_halves=...)` is for.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from spartito.evaluation.latent import mean_of_tracks, reconstruction
from spartito.files import atomic_path
from spartito.models.export import read_run
from spartito.models.musae import MusAE, MusaeConfig, deviation
from spartito.models.quantized import matrices, quantized, restored
from spartito.training.data.band_store import open_bands
from spartito.training.musae import LatentRecipe

AT_ONCE = 64  # windows
RIGHT = ("accuracy", "onset_accuracy", "note_f1")


def spread_windows(store: Path, split: str, config: MusaeConfig, *, count: int) -> np.ndarray:
    """(w, T, V) windows at equal distances among all of a split, songs one after the other."""
    bands = open_bands(store, split)
    windows = bands.windows(bars=config.bars, optional=LatentRecipe().optional)
    chosen = windows[np.unique(np.linspace(0, len(windows) - 1, min(count, len(windows))).astype(int))]
    return bands.states_of(chosen, bars=config.bars)


def stored(state: dict, names) -> dict:
    """Weights as a folder gives them back: `names` from bytes, the others from float16."""
    return {name: value.float() for name, value in restored(quantized(state, names)).items()}


def run(network: MusAE, states: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean codes, their deviations and the likeliest states that are decoded from the means."""
    made = []
    with torch.inference_mode():
        for part in torch.from_numpy(states.astype(np.int64)).split(AT_ONCE):
            mean, spread = network.encoder(part)
            made.append((mean, deviation(spread), network.decoder(mean).argmax(dim=-1).to(torch.uint8)))
    return tuple(torch.cat(parts).numpy() for parts in zip(*made))


def compare(network: MusAE, state: dict, states: np.ndarray, *, each: bool = False) -> dict:
    """Figures of bytes against float16 on windows `states` (w, T, V)."""
    names = matrices(state)

    def with_bytes(chosen):
        network.load_state_dict(stored(state, chosen), strict=False)
        return run(network, states)

    mean, sigma, halves = with_bytes(())
    other, _, from_bytes = with_bytes(names)
    report = {
        "windows": len(states),
        "equal": float((from_bytes == halves).mean()),
        "codes": float(np.sqrt(np.mean(((other - mean) / sigma) ** 2))),
    }
    layout = network.config.rows
    for name, made in (("float16", halves), ("bytes", from_bytes)):
        figures = reconstruction(states, made, layout=layout)
        report[name] = {key: mean_of_tracks(figures, key) for key in RIGHT}
    if each:
        changed = {name: float((with_bytes([name])[2] != halves).mean()) for name in names}
        report["changed_by_each"] = dict(sorted(changed.items(), key=lambda item: -item[1]))
    return report


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a training run, also one that has not ended")
    parser.add_argument("store", type=Path, help="of `spartito train latent-data` or `train piano-data`")
    parser.add_argument("--split", default="test")
    parser.add_argument("--windows", type=int, default=400)
    parser.add_argument("--each", action="store_true", help="every matrix alone, too")
    parser.add_argument("-o", "--output", type=Path, help="folder for the report")
    options = parser.parse_args(arguments)
    settings, state = read_run(options.run)
    network = MusAE(MusaeConfig.from_dict(settings["network"])).eval()
    states = spread_windows(options.store, options.split, network.config, count=options.windows)
    report = compare(
        network, {k: v for k, v in state.items() if not k.startswith("critic.")}, states, each=options.each
    )
    print(json.dumps(report, indent=2))
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        with atomic_path(options.output / f"bytes_{options.run.name}.json") as path:
            path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


if __name__ == "__main__":
    main()
