"""From a run of `spartito train arranger` to a folder that runs without torch, see `arranger_runtime.py`.

`model.onnx` encodes segments (sound, chords), `prompt.onnx` prompts; both take their weights from the one
`model.safetensors`, from which the decoder is read as well, and on which training can go on.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor

from spartito.errors import ModelError
from spartito.models.arranger import ArrangerConfig, ArrangerNetwork
from spartito.models.arranger_input import BEATS, CHANNELS, KEYS, SEGMENT, TRANSCRIBER
from spartito.models.export import WEIGHTS, read_run, write_config, write_graph, write_weights
from spartito.models.hub import WEIGHTS as SHIPPED
from spartito.models.pianotree import PITCHES, STEPS

__all__ = ["ears", "export_arranger"]


class SegmentGraph(ArrangerNetwork):
    """What `model.onnx` computes."""

    def forward(self, frames: Tensor, condition: Tensor, chords: Tensor | None = None):
        encoded = self.encode(frames, chords, None, condition)
        chord = () if encoded.chord is None else (encoded.chord.mean,)
        return encoded.audio.mean, *chord, encoded.local, encoded.keys


class PromptGraph(ArrangerNetwork):
    """What `prompt.onnx` computes."""

    def forward(self, prompt: Tensor) -> Tensor:
        return self.prmat_enc(prompt).mean


def export_arranger(source: str | os.PathLike, output: str | os.PathLike, *, config: dict | None = None) -> Path:
    """Make a runnable folder from a run of `spartito train arranger` or from another folder of weights.

    Parameters
    ----------
    source : folder with `config.json` and `model.safetensors`
    output : folder to write
    config : dict, optional
        Entries that replace those of the source's `config.json` (name, licence, metrics ...).
    """
    output = Path(output)
    settings, state = read_run(source, config)
    network = ArrangerConfig.from_dict(settings["network"])
    if network.transcriber or not (network.key_channels and network.local_features and network.conditions):
        raise ModelError("only arrangers that hear ready frames become graphs; the paper's runs in torch")
    module = SegmentGraph(network)
    module.load_state_dict(state)
    output.mkdir(parents=True, exist_ok=True)
    write_weights(module, output)
    batch = {0: "segments"}
    example = [torch.zeros(2, CHANNELS, SEGMENT, KEYS), torch.ones(2, 1)]
    inputs, outputs = ["frames", "condition"], ["audio", "local", "keys"]
    if network.has_chords:
        example.append(torch.zeros(2, BEATS, 36))
        inputs.append("chords")
        outputs.insert(1, "chord")
    dynamic = {name: batch for name in inputs + outputs}
    write_graph(module, tuple(example), output / "model.onnx", inputs=inputs, outputs=outputs, dynamic=dynamic)
    if network.has_symbols:
        prompts = PromptGraph(network)
        prompts.load_state_dict(state)
        example = (torch.zeros(2, STEPS, PITCHES),)
        names = {"inputs": ["prompt"], "outputs": ["symbol"], "dynamic": {"prompt": batch, "symbol": batch}}
        write_graph(prompts, example, output / "prompt.onnx", **names)
    write_config(settings | {"transcriber": ears()}, output)
    return output


def ears() -> dict:
    """The transcriber that an arranger hears through, by name and checksum, for its `config.json`."""
    weights = SHIPPED / TRANSCRIBER / WEIGHTS
    return {"name": TRANSCRIBER, "sha256": sha256(weights.read_bytes()).hexdigest()}
