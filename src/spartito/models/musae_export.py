"""From a run of `spartito train latent` to a folder that runs without torch, see `musae_runtime.py`.

`encoder.onnx` gives mean and log-variance of the codes of windows, `decoder.onnx` the log-probabilities of the states
of each cell. Both read the one `model.safetensors`, in which matrices take a byte a number (`models/quantized.py`), and
on which training can go on. The critic is left out: it judges codes while a space is trained and is not needed to use
one. A training that starts from such a folder begins with a fresh critic.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor

from spartito.errors import ModelError
from spartito.models.export import read_run, write_graphs
from spartito.models.musae import HIGHEST_S, LOWEST_S, MusAE, MusaeConfig
from spartito.models.musae_runtime import DECODER, ENCODER
from spartito.models.quantized import matrices
from spartito.notes.layouts import layout_of

__all__ = ["export_latent"]


class Codec(MusAE):
    """Encoder and decoder under the names that they have in training."""

    def __init__(self, config: MusaeConfig):
        super().__init__(config)
        del self.critic


class EncoderGraph(Codec):
    """What `encoder.onnx` computes: mean and log-variance, each (n, N_z)."""

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        mean, spread = self.encoder(states)
        return mean, spread.clamp(LOWEST_S, HIGHEST_S)


class DecoderGraph(Codec):
    """What `decoder.onnx` computes: the logarithms of probabilities, (n, T, tracks, 130)."""

    def forward(self, z: Tensor) -> Tensor:
        return self.decoder(z).log_softmax(dim=-1)


def export_latent(
    source: str | os.PathLike,
    output: str | os.PathLike,
    *,
    config: dict | None = None,
    in_halves: Collection[str] = (),
) -> Path:
    """Make a runnable folder from a run, also from one that is still going on, or from another folder of weights.

    Parameters
    ----------
    source : folder with `config.json` and `checkpoint.pt` or `model.safetensors`
    output : folder to write
    config : dict, optional
        Entries that replace those of the source's `config.json` (name, licence, metrics ...).
    in_halves : collection of str
        Names of matrices that stay in float16, as all vectors do.

    Raises
    ------
    ModelError
        The source lacks weights or a configuration, or they do not fit each other.
    """
    settings, state = read_run(source, config)
    network = MusaeConfig.from_dict(settings["network"])
    own = Codec(network).state_dict()
    wrong = [name for name, value in own.items() if name not in state or state[name].shape != value.shape]
    if wrong:
        raise ModelError(f"the weights in {source} are of another layout: {wrong[0]} is missing or of another size")
    state = {name: state[name] for name in own}
    unknown = set(in_halves) - set(matrices(state))
    if unknown:
        raise ModelError(f"{source} has no matrix {sorted(unknown)[0]!r}")
    in_bytes = [name for name in matrices(state) if name not in in_halves]
    return write_graphs(_graphs(network), network, state, Path(output), settings, in_bytes=in_bytes)


def _graphs(c: MusaeConfig) -> dict[str, tuple]:
    """File -> class, inputs of two windows by name, names of the outputs."""
    states = torch.zeros(2, c.steps, len(layout_of(c.layout)), dtype=torch.int64)
    return {
        ENCODER: (EncoderGraph, {"states": states}, ["mean", "log_variance"]),
        DECODER: (DecoderGraph, {"z": torch.zeros(2, c.latent)}, ["log_probabilities"]),
    }
