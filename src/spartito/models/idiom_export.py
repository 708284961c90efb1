"""From a run of `spartito train idiom` to a folder that runs without torch, see `idiom_runtime.py`.

`model.onnx` encodes windows, `step.onnx` tells where the next note begins, `keys.onnx` which key it is, `detail.onnx`
its hand, duration and velocity. All take their weights from the one `model.safetensors`, on which training can go on.
Statistics of harmony and feel (`spartito train harmony`) go along when they lie in the folder of the run.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor

from spartito.files import atomic_path
from spartito.models.export import read_run, write_graphs
from spartito.models.idiom import TONES, Idiom, IdiomConfig, Known
from spartito.models.idiom_runtime import STATISTICS
from spartito.models.idiom_tokens import END, HEARD, SIZES, WINDOW

__all__ = ["export_idiom"]


class EncodeGraph(Idiom):
    """What `model.onnx` computes."""

    def forward(self, rows: Tensor, tones: Tensor, controls: Tensor):
        return tuple(self.encode(rows, tones, controls))[:3]


class StepGraph(Idiom):
    """What `step.onnx` computes."""

    def forward(self, tokens: Tensor, past: Tensor, steps: Tensor, pointers: Tensor, seen: Tensor):
        return self.step_on(tokens, past, Known(steps, pointers, steps, seen))


class KeysGraph(Idiom):
    """What `keys.onnx` computes."""

    def forward(self, hidden: Tensor, cell: Tensor, wait: Tensor, last: Tensor, seen: Tensor):
        return self.keys(hidden, cell, wait, last, seen)


class DetailGraph(Idiom):
    """What `detail.onnx` computes."""

    def forward(self, hidden: Tensor, cell: Tensor, key: Tensor, seen: Tensor):
        return self.detail(hidden, cell, key, seen)


def export_idiom(source: str | os.PathLike, output: str | os.PathLike, *, config: dict | None = None) -> Path:
    """Make a runnable folder from a run of `spartito train idiom` or from another folder of weights.

    Parameters
    ----------
    source : folder with `config.json` and `model.safetensors`
    output : folder to write
    config : dict, optional
        Entries that replace those of the source's `config.json` (name, licence, metrics ...).
    """
    settings, state = read_run(source, config)
    network = IdiomConfig.from_dict(settings["network"])
    lengths = {"tokens": {1: "new"}, "past": {4: "notes"}, "past_after": {4: "notes_after"}}
    folder = write_graphs(_graphs(network), network, state, Path(output), settings, lengths=lengths)
    statistics = Path(source, STATISTICS)
    if statistics.exists() and statistics.parent.resolve() != folder.resolve():
        with atomic_path(folder / STATISTICS) as path:
            path.write_bytes(statistics.read_bytes())
    return folder


def _graphs(c: IdiomConfig) -> dict[str, tuple]:
    """File -> class, inputs of two windows by name, names of the outputs."""
    window = torch.zeros(2, WINDOW, 2, dtype=torch.int64)
    steps = torch.zeros(2, HEARD, c.width)
    pointers = torch.zeros(2, WINDOW + 1, c.cell_units)
    number = torch.zeros(2, dtype=torch.int64)
    chosen = {"hidden": torch.zeros(2, c.width), "cell": torch.zeros(2, c.cell_units)}
    seen = torch.zeros(2, 2, dtype=torch.int64)
    told = {
        "rows": torch.zeros(2, HEARD, len(SIZES), dtype=torch.int64),
        "tones": torch.zeros(2, HEARD, TONES),
        "controls": torch.zeros(2, len(c.levels), dtype=torch.int64),
    }
    notes = {
        "tokens": torch.tensor([[[END, 0, 0, 0, 0], [1, 1, 40, 2, 5], [9, 0, 20, 2, 5]]] * 2),
        "past": torch.zeros(2, c.decoder_layers, 2, c.heads, 4, c.width // c.heads),
        "steps": steps,
        "pointers": pointers,
        "seen": window,
    }
    return {
        "model.onnx": (EncodeGraph, told, ["steps", "pointers", "cells"]),
        "step.onnx": (StepGraph, notes, ["hidden", "position", "past_after"]),
        "keys.onnx": (KeysGraph, chosen | {"wait": number, "last": number, "seen": seen}, ["keys"]),
        "detail.onnx": (DetailGraph, chosen | {"key": number, "seen": seen}, ["hand", "duration", "velocity"]),
    }
