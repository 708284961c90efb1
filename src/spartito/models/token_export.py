"""From a run of `spartito train tokens` to a folder that runs without torch, see `token_runtime.py`.

`model.onnx` encodes windows, `step.onnx` tells of each cell whether the next note lies there, `detail.onnx` gives that
note its hand, duration and velocity. All take their weights from the one `model.safetensors`, on which training can go
on.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor

from spartito.models.arranger_export import ears
from spartito.models.cover_tokens import CORE, END, FRAMES, KEYS, WINDOW, WINDOW_BEATS
from spartito.models.export import read_run, write_graphs
from spartito.models.token_cover import CHANNELS, CHORD, TokenCover, TokenCoverConfig

__all__ = ["export_tokens"]


class EncodeGraph(TokenCover):
    """What `model.onnx` computes."""

    def forward(self, frames: Tensor, chords: Tensor, metre: Tensor, controls: Tensor):
        return tuple(self.encode(frames, chords, metre, controls))[1:]


class StepGraph(TokenCover):
    """What `step.onnx` computes."""

    def forward(self, token: Tensor, past: Tensor, memory: Tensor, asked: Tensor, steps: Tensor, cells: Tensor):
        hidden, past = self.step_on(token, past, memory, asked)
        return hidden, past, self.judge(hidden, steps, cells)


class DetailGraph(TokenCover):
    """What `detail.onnx` computes."""

    def forward(self, hidden: Tensor, step: Tensor, cell: Tensor, key: Tensor):
        return self.detail(hidden, step, cell, key)


def export_tokens(source: str | os.PathLike, output: str | os.PathLike, *, config: dict | None = None) -> Path:
    """Make a runnable folder from a run of `spartito train tokens` or from another folder of weights.

    Parameters
    ----------
    source : folder with `config.json` and `model.safetensors`
    output : folder to write
    config : dict, optional
        Entries that replace those of the source's `config.json` (name, licence, metrics ...).
    """
    settings, state = read_run(source, config)
    network = TokenCoverConfig.from_dict(settings["network"])
    lengths = {"past": {4: "notes"}, "past_after": {4: "notes_after"}}
    settings |= {"transcriber": ears()}
    return write_graphs(_graphs(network), network, state, Path(output), settings, lengths=lengths)


def _graphs(c: TokenCoverConfig) -> dict[str, tuple]:
    """File -> class, inputs of two windows by name, names of the outputs."""
    head = c.width // c.heads
    windows = {
        "frames": torch.zeros(2, CHANNELS, FRAMES, KEYS),
        "chords": torch.zeros(2, WINDOW_BEATS, CHORD),
        "metre": torch.zeros(2, WINDOW_BEATS, 3, dtype=torch.int64),
        "controls": torch.zeros(2, len(c.levels), dtype=torch.int64),
    }
    notes = {
        "token": torch.tensor([[END, 0, 0, 0, 0], [3, 1, 40, 2, 5]]),
        "past": torch.zeros(2, c.decoder_layers, 2, c.heads, 4, head),
        "memory": torch.zeros(2, c.decoder_layers, 2, c.heads, WINDOW, head),
        "asked": torch.zeros(2, c.width),
        "steps": torch.zeros(2, CORE, c.cell_units),
        "cells": torch.zeros(2, CORE, KEYS, 1 + c.features),
    }
    chosen = {
        "hidden": torch.zeros(2, c.width),
        "step": torch.zeros(2, c.cell_units),
        "cell": torch.zeros(2, 1 + c.features),
        "key": torch.zeros(2, dtype=torch.int64),
    }
    return {
        "model.onnx": (EncodeGraph, windows, ["cells", "steps", "memory", "asked"]),
        "step.onnx": (StepGraph, notes, ["hidden", "past_after", "rest"]),
        "detail.onnx": (DetailGraph, chosen, ["hand", "duration", "velocity"]),
    }
