"""From trained weights to a folder that runs anywhere: `model.safetensors`, `model.onnx`, `config.json`.

There is one copy of the numbers. The weights lie in the safetensors file in float16; the graph names each of them as
external data, a place and length *in that very file*, followed by a cast to float32. ONNX Runtime folds the casts and
merges batch normalisation into the convolutions when it opens the graph, so this costs nothing afterwards. Matrices may
lie there in a byte a number (`models/quantized.py`); the graph then has their scales, too, and a product.
"""

from __future__ import annotations

import io
import json
import os
import re
import struct
import warnings
from collections.abc import Collection
from pathlib import Path

from spartito.errors import MissingExtraError, ModelError
from spartito.files import atomic_path
from spartito.models.quantized import SCALE, quantized, restored

__all__ = ["export_model", "write_folder"]

OPSET = 17
WEIGHTS, GRAPH, CONFIG, CHECKPOINT = "model.safetensors", "model.onnx", "config.json", "checkpoint.pt"


def write_folder(module, example, folder: str | os.PathLike, config: dict, *, inputs, outputs, dynamic) -> Path:
    """Write a torch `module` with its weights, graph and `config` into `folder`.

    Parameters
    ----------
    example : tuple of Tensor
        Inputs to trace the module with.
    inputs, outputs : list of str
        Names for the graph.
    dynamic : dict
        Axes of varying length, as `torch.onnx.export` takes them.
    """
    folder = Path(folder)
    write_weights(module, folder)
    write_graph(module, example, folder / GRAPH, inputs=inputs, outputs=outputs, dynamic=dynamic)
    write_config(config, folder)
    return folder


def write_weights(module, folder: Path, *, in_bytes: Collection[str] = ()) -> None:
    """`module`'s numbers in float16 as `folder`/model.safetensors; matrices `in_bytes` as int8, a scale per row."""
    try:
        from safetensors.torch import save
    except ImportError as error:
        raise MissingExtraError("torch", extra="train", purpose="exporting a model") from error
    state = {name: value.detach().cpu() for name, value in module.state_dict().items() if value.is_floating_point()}
    state = {name: value.contiguous() for name, value in quantized(state, in_bytes).items()}
    with atomic_path(folder / WEIGHTS) as path:
        path.write_bytes(save(state))  # save_file would make a file that only its owner can read


def write_graph(module, example, path: Path, *, inputs, outputs, dynamic) -> None:
    """The graph of `module`, its weights those of the model.safetensors beside `path` with the same names.

    A folder may hold several graphs of one network. Arguments as in `write_folder`.
    """
    try:
        import onnx
        import torch
    except ImportError as error:
        raise MissingExtraError("onnx", extra="train", purpose="exporting a model") from error
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter announces its successor
        torch.onnx.export(
            module.eval(),
            example,
            buffer,
            dynamo=False,
            opset_version=OPSET,
            input_names=inputs,
            output_names=outputs,
            dynamic_axes=dynamic,
            training=torch.onnx.TrainingMode.PRESERVE,  # batch normalisation keeps its own weights and names
            do_constant_folding=False,
        )
    graph = onnx.load_model_from_string(buffer.getvalue())
    _shorten(graph)
    _point_into(graph, path.parent / WEIGHTS)
    with atomic_path(path) as temporary:
        temporary.write_bytes(graph.SerializeToString())


def write_graphs(
    graphs: dict[str, tuple], network, state: dict, folder: Path, config: dict, *, lengths=None, in_bytes=()
) -> Path:
    """A network with several graphs as `folder`: weights once, each graph, `config`. Returns `folder`.

    Parameters
    ----------
    graphs : dict
        File -> (class, inputs by name, names of the outputs). The first class has all weights of `state`.
    network
        What the classes are made with.
    lengths : dict, optional
        Name of an input or output -> its axes of varying length beside the first, which always is ({4: "notes"}).
    in_bytes : collection of str
        Names of matrices that are kept as int8, see `models/quantized.py`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for i, (name, (kind, example, outputs)) in enumerate(graphs.items()):
        module = kind(network)
        module.load_state_dict(state)
        if i == 0:
            write_weights(module, folder, in_bytes=in_bytes)
        axes = {part: {0: "windows", **(lengths or {}).get(part, {})} for part in (*example, *outputs)}
        write_graph(module, tuple(example.values()), folder / name, inputs=list(example), outputs=outputs, dynamic=axes)
    write_config(config, folder)
    return folder


def read_run(source: str | os.PathLike, config: dict | None = None) -> tuple[dict, dict]:
    """`config.json` of a run or a folder of weights, with the entries of `config` in it, and its weights in float32.

    Of a run that has not ended, the weights are the averages of its checkpoint. Raises ModelError when a file is
    missing.
    """
    source = Path(source)
    state = source / WEIGHTS if (source / WEIGHTS).exists() else source / CHECKPOINT
    if not ((source / CONFIG).exists() and state.exists()):
        raise ModelError(f"{source} lacks {CONFIG} or {WEIGHTS}: give the folder of a training run or of a model")
    settings = json.loads((source / CONFIG).read_text(encoding="utf-8")) | (config or {})
    if state.name == CHECKPOINT:
        import torch

        return settings, torch.load(state, map_location="cpu", weights_only=True)["average"]
    from safetensors.torch import load_file

    return settings, {name: value.float() for name, value in restored(load_file(str(state))).items()}


def write_config(config: dict, folder: Path) -> None:
    """`config` as `folder`/config.json; rows of numbers are lines."""
    text = re.sub(r"\[\n[-+.\deE,\s]+\]", lambda row: " ".join(row[0].split()), json.dumps(config, indent=2))
    with atomic_path(folder / CONFIG) as path:
        path.write_text(text + "\n", encoding="utf-8")


def _shorten(graph) -> None:
    """Drop what makes a graph long: each equal constant but the first, names of nodes, long names of what they pass on.

    A graph of eight LSTMs, 828 nodes, shrinks from 121 kB to 30.
    """
    nodes = list(graph.graph.node)
    if any(attribute.HasField("g") for node in nodes for attribute in node.attribute):
        return  # a graph within the graph may use any of the names
    kept = {value.name for value in (*graph.graph.input, *graph.graph.output, *graph.graph.initializer)}
    new, constants, left = {name: name for name in kept} | {"": ""}, {}, []
    for node in nodes:
        value = b"".join(a.SerializeToString() for a in node.attribute) if node.op_type == "Constant" else None
        if value in constants and node.output[0] not in kept:
            new[node.output[0]] = constants[value]
            continue
        node.ClearField("name")
        node.input[:] = [new[name] for name in node.input]
        for name in node.output:
            new.setdefault(name, f"v{len(new)}")
        node.output[:] = [new[name] for name in node.output]
        if value is not None:
            constants[value] = node.output[0]
        left.append(node)
    del graph.graph.node[:], graph.graph.value_info[:]
    graph.graph.node.extend(left)


def _point_into(graph, weights: Path) -> None:
    """Replace the initialisers that the safetensors file holds by references into it, each with a cast to float32.

    What lies there in bytes is multiplied by the scales of its rows.
    """
    from onnx import TensorProto, helper

    with weights.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    initialisers, nodes = [], []

    def widened(name: str, wide: str, *, axes: int = 0) -> None:
        stored = f"{name}.stored"
        initialisers.append(_part_of_file(stored, header[name], 8 + length, weights.name, axes=axes))
        nodes.append(helper.make_node("Cast", [stored], [wide], to=TensorProto.FLOAT))

    for tensor in graph.graph.initializer:
        name, scale = tensor.name, tensor.name + SCALE
        if name not in header:
            initialisers.append(tensor)
        elif scale not in header:
            widened(name, name)
        else:
            widened(name, f"{name}.steps")
            widened(scale, scale, axes=len(tensor.dims))
            nodes.append(helper.make_node("Mul", [f"{name}.steps", scale], [name]))
    nodes += list(graph.graph.node)
    del graph.graph.node[:], graph.graph.initializer[:]
    graph.graph.node.extend(nodes)
    graph.graph.initializer.extend(initialisers)


def _part_of_file(name: str, entry: dict, start: int, file: str, *, axes: int = 0):
    """The numbers that `entry` of a safetensors header tells of, as data outside the graph; `start` of all, bytes.

    They get as many axes as asked for, those behind their own of length 1.
    """
    from onnx import StringStringEntryProto, TensorProto

    begin, end = entry["data_offsets"]
    kind = {"F16": TensorProto.FLOAT16, "I8": TensorProto.INT8}[entry["dtype"]]
    tensor = TensorProto(name=name, data_type=kind, data_location=TensorProto.EXTERNAL)
    tensor.dims.extend([*entry["shape"], *[1] * (axes - len(entry["shape"]))])
    place = {"location": file, "offset": str(start + begin), "length": str(end - begin)}
    tensor.external_data.extend(StringStringEntryProto(key=k, value=v) for k, v in place.items())
    return tensor


def export_model(source: str | os.PathLike, output: str | os.PathLike, *, config: dict | None = None) -> Path:
    """Make a runnable folder of a model from a training run or from another weights folder.

    Parameters
    ----------
    source : folder of a run (`checkpoint.pt` and `config.json`) or of weights (`model.safetensors` and `config.json`)
    output : folder to write
    config : dict, optional
        Entries that replace those of the source's `config.json` (name, licence, thresholds ...).

    Raises
    ------
    ModelError
        The source lacks weights or a configuration.
    """
    import torch

    from spartito.models.harmonic_transcriber import HarmonicTranscriber, HarmonicTranscriberConfig

    source = Path(source)
    if not (source / CONFIG).exists():
        raise ModelError(f"{source} holds no {CONFIG}: give the folder of a training run or of a model")
    settings = json.loads((source / CONFIG).read_text(encoding="utf-8")) | (config or {})
    if settings.get("architecture") == "tokens":
        from spartito.models.token_export import export_tokens

        return export_tokens(source, output, config=config)
    if settings.get("architecture") == "idiom":
        from spartito.models.idiom_export import export_idiom

        return export_idiom(source, output, config=config)
    if settings.get("job") == "arrangement":
        from spartito.models.arranger_export import export_arranger

        return export_arranger(source, output, config=config)
    if settings.get("architecture") == "musae":
        from spartito.models.musae_export import export_latent

        return export_latent(source, output, config=config)
    if settings.get("architecture") == "cyclegan":
        from spartito.models.cyclegan_export import export_pair

        return export_pair(source, output, config=config)
    if settings.get("job") == "analysis":
        raise ModelError(f"{source} holds a song analyzer, which `spartito train analysis` exports when it ends")
    if (source / CHECKPOINT).exists():
        state = torch.load(source / CHECKPOINT, map_location="cpu", weights_only=True)["average"]
    elif (source / WEIGHTS).exists():
        from safetensors.torch import load_file

        state = {name: value.float() for name, value in load_file(str(source / WEIGHTS)).items()}
    else:
        raise ModelError(f"{source} holds neither {CHECKPOINT} nor {WEIGHTS}")
    module = HarmonicTranscriber(HarmonicTranscriberConfig.from_dict(settings["network"]))
    missing, unexpected = module.load_state_dict(state, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ModelError(f"the weights in {source} are of another layout: {(missing + unexpected)[:3]} ...")
    example = torch.zeros(1, 64, len(module.mean))
    return write_folder(
        module,
        (example,),
        output,
        settings,
        inputs=["spectrum"],
        outputs=["keys", "pedal"],
        dynamic={
            "spectrum": {0: "batch", 1: "frames"},
            "keys": {0: "batch", 2: "frames"},
            "pedal": {0: "batch", 1: "frames"},
        },
    )
