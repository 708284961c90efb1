"""Weights in a byte each: every row of a matrix as int8 with one scale, for models that must be small.

Job
    `quantized` turns named weights into what a file holds, `restored` turns that back. A matrix `name` of (rows,
    columns), or a convolution of (rows, channels, steps), becomes int8 under its name and (rows,) float16 under
    `name.scale`; weight = number x scale of its row. Everything else is kept in float16. `models/export.py` writes
    such files and lets graphs read them.

Method
    Symmetric: the scale of a row is its largest weight, by amount, over 127, rounded upwards, so that no weight is
    wrong by more than half a scale. One scale per row suits LSTMs, linear layers and convolutions, where a row is
    what one unit listens to. What is quantized twice stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SCALE", "matrices", "quantized", "restored"]

SCALE = ".scale"  # ends the name of the scales of a matrix
LARGEST = 127  # of int8, on both sides
HALF_STEP, LEAST = 2.0**-11, 2.0**-14  # of float16: half of its spacing, relative down to LEAST


def matrices(state: dict[str, Tensor]) -> list[str]:
    """The names of the weights with two axes or more: what can be quantized."""
    return [name for name, value in state.items() if value.ndim >= 2]


def quantized(state: dict[str, Tensor], names: Collection[str]) -> dict[str, Tensor]:
    """What a file holds: the matrices `names` as int8 and scales, all other weights as float16."""
    out = {}
    for name, value in state.items():
        if name not in names:
            out[name] = value.half()
            continue
        value = value.float()
        exact = value.abs().flatten(1).amax(dim=1) / LARGEST
        scale = exact.half()
        scale = scale.where(scale.float() >= exact, (exact + HALF_STEP * exact.clamp(min=LEAST)).half())
        steps = value / _per_row(scale, value).clamp(min=HALF_STEP * LEAST)  # a row of nothing has the scale 0
        out[name] = steps.round().clamp(-LARGEST, LARGEST).char()
        out[name + SCALE] = scale
    return out


def restored(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a file under their own names: int8 times scale, in float32; what has no scale as it is."""
    scales = {name + SCALE for name in state if name + SCALE in state}
    weights = {name: value for name, value in state.items() if name not in scales}
    return {k: v.float() * _per_row(state[k + SCALE], v) if k + SCALE in scales else v for k, v in weights.items()}


def _per_row(scale: Tensor, matrix: Tensor) -> Tensor:
    """Scales (rows,), in float32, so that they multiply the rows of a matrix of any number of axes."""
    return scale.float().reshape(-1, *[1] * (matrix.ndim - 1))
