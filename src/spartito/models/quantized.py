"""Weights in a byte each: every row of a matrix as int8 with one scale, for models that must be small.

Job
    `quantized` turns named weights into what a file holds, `restored` turns that back. A matrix `name` of (rows,
    columns) becomes int8 under its name and (rows,) float32 under `name.scale`; weight = number x scale of its row.
    Everything else is kept in float16. `models/export.py` writes such files and lets graphs read them.

Method
    Symmetric: the scale of a row is its largest weight, by amount, over 127, so that no weight is wrong by more than
    half a scale. One scale per row suits LSTMs and linear layers, where a row is what one unit listens to. What is
    quantized twice stays as it is.

Works on numpy arrays and on torch tensors; needs neither torch nor a graph.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

__all__ = ["SCALE", "matrices", "quantized", "restored"]

SCALE = ".scale"  # ends the name of the scales of a matrix
LARGEST = 127  # of int8, on both sides


def matrices(state: dict) -> list[str]:
    """The names of the weights with two axes: what can be quantized."""
    return [name for name, value in state.items() if value.ndim == 2]


def quantized(state: dict[str, np.ndarray], names: Collection[str]) -> dict[str, np.ndarray]:
    """What a file holds: the matrices `names` as int8 and scales, all other weights as float16.

    Parameters
    ----------
    state : dict
        Weights by name, float32.
    """
    out = {}
    for name, value in state.items():
        if name not in names:
            out[name] = value.astype(np.float16)
            continue
        scale = (np.abs(value).max(axis=1, initial=0.0) / LARGEST).astype(np.float32)
        steps = np.divide(value, scale[:, None], out=np.zeros_like(value, dtype=np.float32), where=scale[:, None] > 0)
        out[name] = np.rint(steps).clip(-LARGEST, LARGEST).astype(np.int8)
        out[name + SCALE] = scale
    return out


def restored(state: dict) -> dict:
    """The weights of a file under their own names: int8 times scale, in float32; what has no scale as it is."""
    scales = {name + SCALE for name in state if name + SCALE in state}
    weights = {name: value for name, value in state.items() if name not in scales}
    return {k: v * state[k + SCALE][:, None] if k + SCALE in scales else v for k, v in weights.items()}
