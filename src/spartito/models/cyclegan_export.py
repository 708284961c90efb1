"""From the trained generators of a pair of genres to a folder that runs without torch, see `cyclegan_runtime.py`.

`model.safetensors` (float16) holds both directions, and later the judges of the pair (`judge_export.py`);
`generator.onnx` is the one graph of both, its weights named and left out; `config.json` says what it is. The graph
gives probabilities: the sigmoid is in it.
"""

from __future__ import annotations

import copy
import io
import math
import os
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from spartito.errors import MissingExtraError, ModelError
from spartito.files import atomic_path
from spartito.models.cyclegan import KEYS, STEPS, CycleGan, CycleGanConfig, Generator
from spartito.models.cyclegan_runtime import DIRECTIONS, GENERATOR
from spartito.models.export import OPSET, WEIGHTS, read_run, write_config
from spartito.models.judge_export import judge_state, write_judge_graphs

__all__ = ["export_genre", "export_pair", "generator_state", "write_generator_graph"]


class Probabilities(nn.Module):
    """What `generator.onnx` computes."""

    def __init__(self, generator: Generator):
        super().__init__()
        self.generator = generator

    def forward(self, phrases: Tensor) -> Tensor:
        return torch.sigmoid(self.generator(phrases))


def export_genre(
    network: CycleGan, folder: str | os.PathLike, config: dict, *, more: dict[str, Tensor] | None = None
) -> Path:
    """Write weights, graph and configuration of a pair.

    Parameters
    ----------
    config : `config.json`; "pair" names genres A and B. The settings of the networks are added.
    more : further weights for the same file (the judges').
    """
    from safetensors.torch import save

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = generator_state(network) | (more or {})
    with atomic_path(folder / WEIGHTS) as path:
        path.write_bytes(save({k: v.detach().to(torch.float16).contiguous().cpu() for k, v in state.items()}))
    write_generator_graph(network.AtoB, folder / GENERATOR)
    described = {"job": "restyling", "architecture": "cyclegan", "generator": network.config.generator.to_dict()}
    write_config(config | described, folder)
    return folder


def export_pair(
    source: str | os.PathLike,
    output: str | os.PathLike,
    *,
    published: str | os.PathLike | None = None,
    independent: str | os.PathLike | None = None,
    config: dict | None = None,
) -> Path:
    """Make a runnable folder from a run of `spartito train genre-pair`.

    Parameters
    ----------
    published, independent : runs of `spartito train genre-classifier`, both or none: the judges of the pair, without
        which no genre is recognised
    config : dict, optional
        Entries that replace those of the run's `config.json` (name, licence, data, metrics ...).
    """
    settings, state = read_run(source, config)
    network = CycleGan(CycleGanConfig.from_dict(settings["network"]))
    own = generator_state(network)
    missing = [name for name in own if name not in state]
    if missing:
        raise ModelError(f"the weights in {source} are of another layout: {missing[0]} is missing")
    network.load_state_dict({name: state[name] for name in own}, strict=False)
    told, more = {}, {}
    if published is not None and independent is not None:
        more, told = judge_state(Path(published), Path(independent))
    kept = {k: v for k, v in settings.items() if k not in ("network", "init")}
    folder = export_genre(network, output, kept | told, more=more)
    if told:
        write_judge_graphs(folder)
    return folder


def generator_state(network: CycleGan) -> dict[str, Tensor]:
    """The weights of both generators under "AtoB." and "BtoA."."""
    return {k: v for k, v in network.state_dict().items() if k.split(".")[0] in DIRECTIONS}


def write_generator_graph(generator: Generator, path: Path) -> None:
    """The graph of a generator with named weights that are to be put in (`models.runtime.open_filled_graph`)."""
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("onnx", extra="train", purpose="exporting a model") from error
    buffer, channels = io.BytesIO(), generator.config.channels
    generator = copy.deepcopy(generator)
    for parameter in generator.parameters():  # the exporter merges weights that are equal, as fresh offsets are
        nn.init.normal_(parameter)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter announces its successor
        torch.onnx.export(
            Probabilities(generator).eval(),
            (torch.zeros(2, channels, STEPS, KEYS),),
            buffer,
            dynamo=False,
            opset_version=OPSET,
            input_names=["phrases"],
            output_names=["probabilities"],
            dynamic_axes={"phrases": {0: "phrases"}, "probabilities": {0: "phrases"}},
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
        )
    graph = onnx.load_model_from_string(buffer.getvalue())
    weights = set(generator.state_dict())
    for node in graph.graph.node:
        node.input[:] = [name.removeprefix("generator.") for name in node.input]
    for tensor in graph.graph.initializer:
        tensor.name = tensor.name.removeprefix("generator.")
        if tensor.name in weights:
            size = 4 * math.prod(tensor.dims)
            tensor.ClearField("raw_data")
            tensor.ClearField("float_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            del tensor.external_data[:]
            for key, value in (("location", WEIGHTS), ("offset", "0"), ("length", str(size))):
                tensor.external_data.add(key=key, value=value)
    with atomic_path(path) as temporary:
        temporary.write_bytes(graph.SerializeToString())
