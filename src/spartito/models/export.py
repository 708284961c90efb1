"""From trained weights to a folder that runs anywhere: `model.safetensors`, `model.onnx`, `config.json`.

There is one copy of the numbers. The weights lie in the safetensors file in float16; the graph names each of them as
external data, a place and length *in that very file*, followed by a cast to float32. ONNX Runtime folds the casts and
merges batch normalisation into the convolutions when it opens the graph, so this costs nothing afterwards.
"""

from __future__ import annotations

import io
import json
import os
import struct
import warnings
from pathlib import Path

from spartito.errors import MissingExtraError, ModelError
from spartito.files import atomic_path

__all__ = ["export_model", "write_folder"]

OPSET = 17
WEIGHTS, GRAPH, CONFIG = "model.safetensors", "model.onnx", "config.json"


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


def write_weights(module, folder: Path) -> None:
    """`module`'s numbers in float16 as `folder`/model.safetensors."""
    try:
        import torch
        from safetensors.torch import save
    except ImportError as error:
        raise MissingExtraError("torch", extra="train", purpose="exporting a model") from error
    state = {
        name: value.detach().to(torch.float16).contiguous().cpu()
        for name, value in module.state_dict().items()
        if value.dtype.is_floating_point
    }
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
    _point_into(graph, path.parent / WEIGHTS)
    with atomic_path(path) as temporary:
        temporary.write_bytes(graph.SerializeToString())


def write_graphs(graphs: dict[str, tuple], network, state: dict, folder: Path, config: dict, *, lengths=None) -> Path:
    """A network with several graphs as `folder`: weights once, each graph, `config`. Returns `folder`.

    Parameters
    ----------
    graphs : dict
        File -> (class, inputs by name, names of the outputs). The first class has all weights of `state`.
    network
        What the classes are made with.
    lengths : dict, optional
        Name of an input or output -> its axes of varying length beside the first, which always is ({4: "notes"}).
    """
    folder.mkdir(parents=True, exist_ok=True)
    for i, (name, (kind, example, outputs)) in enumerate(graphs.items()):
        module = kind(network)
        module.load_state_dict(state)
        if i == 0:
            write_weights(module, folder)
        axes = {part: {0: "windows", **(lengths or {}).get(part, {})} for part in (*example, *outputs)}
        write_graph(module, tuple(example.values()), folder / name, inputs=list(example), outputs=outputs, dynamic=axes)
    write_config(config, folder)
    return folder


def read_run(source: str | os.PathLike, config: dict | None = None) -> tuple[dict, dict]:
    """`config.json` of a run or a folder of weights, with the entries of `config` in it, and its weights in float32.

    Raises ModelError when one of the two files is missing.
    """
    from safetensors.torch import load_file

    source = Path(source)
    if not ((source / CONFIG).exists() and (source / WEIGHTS).exists()):
        raise ModelError(f"{source} lacks {CONFIG} or {WEIGHTS}: give the folder of a training run or of a model")
    settings = json.loads((source / CONFIG).read_text(encoding="utf-8")) | (config or {})
    return settings, {name: value.float() for name, value in load_file(str(source / WEIGHTS)).items()}


def write_config(config: dict, folder: Path) -> None:
    """`config` as `folder`/config.json."""
    with atomic_path(folder / CONFIG) as path:
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _point_into(graph, weights: Path) -> None:
    """Replace the initialisers that the safetensors file holds by references into it, each with a cast."""
    from onnx import StringStringEntryProto, TensorProto, helper

    with weights.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    casts = []
    for tensor in graph.graph.initializer:
        if tensor.name not in header:
            continue
        begin, end = header[tensor.name]["data_offsets"]
        name, kept = f"{tensor.name}.half", tensor.name
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")
        tensor.name, tensor.data_type, tensor.data_location = name, TensorProto.FLOAT16, TensorProto.EXTERNAL
        place = {"location": weights.name, "offset": str(8 + length + begin), "length": str(end - begin)}
        del tensor.external_data[:]
        tensor.external_data.extend(StringStringEntryProto(key=k, value=v) for k, v in place.items())
        casts.append(helper.make_node("Cast", [name], [kept], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def export_model(source: str | os.PathLike, output: str | os.PathLike, *, config: dict | None = None) -> Path:
    """Make a runnable folder of a transcriber or an arranger from a training run or from another weights folder.

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
    if settings.get("architecture") == "cyclegan":
        from spartito.models.cyclegan_export import export_pair

        return export_pair(source, output, config=config)
    if settings.get("job") == "analysis":
        raise ModelError(f"{source} holds a song analyzer, which `spartito train analysis` exports when it ends")
    if (source / "checkpoint.pt").exists():
        state = torch.load(source / "checkpoint.pt", map_location="cpu", weights_only=True)["average"]
    elif (source / WEIGHTS).exists():
        from safetensors.torch import load_file

        state = {name: value.float() for name, value in load_file(str(source / WEIGHTS)).items()}
    else:
        raise ModelError(f"{source} holds neither checkpoint.pt nor {WEIGHTS}")
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
