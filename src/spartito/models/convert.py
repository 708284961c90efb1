"""Weights that others published, made safe and plain: a folder with `model.safetensors` and `config.json`.

Three kinds of file are understood:

- a PyTorch file of jongwook/onsets-and-frames. Its author saved the whole module by `torch.save`, which is a
  pickle: a program that runs when it is loaded. Here nothing of it runs. An unpickler that knows a short
  list of names gives an inert stand-in for each and refuses every other name; tensors are only noted
  (which storage, offset, size, stride) and cut out of the raw bytes afterwards. Both containers are read:
  the zip archive of torch 1.6 and later, and the sequence of pickles before it, which torch itself no
  longer loads safely.
- a PyTorch file that holds a plain dictionary of such tensors.
- an `.npz` archive of the variables of magenta's checkpoint under their names in TensorFlow. Where that is
  installed: `reader = tf.train.load_checkpoint("model.ckpt")`, then
  `np.savez("magenta.npz", **{n: reader.get_tensor(n) for n in reader.get_variable_to_shape_map()})`.

Whatever comes in must have exactly the tensors, shapes and finite values that the network wants.
"""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import re
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from spartito.errors import MissingExtraError, ModelError
from spartito.files import atomic_path

__all__ = ["convert_checkpoint", "from_magenta_variables", "read_module_tensors"]

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # first pickle of a file of torch < 1.6
LEGACY_PROTOCOL = 1001  # second pickle
MODULES = {  # classes that may occur; none is imported
    "onsets_and_frames.transcriber": {"OnsetsAndFrames", "ConvStack"},
    "onsets_and_frames.lstm": {"BiLSTM"},
    "torch.nn.modules.container": {"Sequential"},
    "torch.nn.modules.conv": {"Conv2d"},
    "torch.nn.modules.batchnorm": {"BatchNorm2d"},
    "torch.nn.modules.activation": {"ReLU", "Sigmoid"},
    "torch.nn.modules.pooling": {"MaxPool2d"},
    "torch.nn.modules.dropout": {"Dropout"},
    "torch.nn.modules.linear": {"Linear"},
    "torch.nn.modules.rnn": {"LSTM"},
    "torch.nn.backends.thnn": {"_get_thnn_function_backend"},  # an attribute of modules until torch 1.3
}
STORAGES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}
MAGENTA_SCOPES = {  # stack of ours: scope of theirs, name of its output layer
    "onset_stack": ("onsets", "onset_probs"),
    "offset_stack": ("offsets", "offset_probs"),
    "frame_stack": ("frame", "activation_probs"),
    "velocity_stack": ("velocity", "onset_velocities"),
}
CONV_INDEX = (0, 3, 8)  # of the three convolutions in `ConvStack.cnn`; their normalisation follows
BANDS_LEFT = 229 // 4  # mel positions behind two poolings


def convert_checkpoint(path: str | Path, output: str | Path) -> Path:
    """Turn a published checkpoint of the Onsets and Frames family, or of A2S, into the folder `output`.

    Parameters
    ----------
    path : str or Path
        jongwook's `.pt` file, an `.npz` of magenta's variables, or a `.pt` file of the A2S program.
    output : str or Path
        Folder to make. It receives `model.safetensors` (float32) and `config.json`.

    Returns
    -------
    Path
        `output`.

    Raises
    ------
    ModelError
        When the file is damaged, holds another network, or names anything outside the known list.
    MissingExtraError
        When torch is not installed.
    OutputError
        When the folder cannot be written.
    """
    path, output = Path(path), Path(output)
    if not path.is_file():
        raise ModelError(f"there is no checkpoint file {path}")
    if path.suffix.lower() == ".npz":
        config, tensors = from_magenta_variables(_read_npz(path))
    else:
        tensors = read_module_tensors(path)
        if any("pianotree_dec." in name for name in tensors):
            from spartito.models.arranger_convert import convert_arranger

            return convert_arranger(path, output)
        config = _jongwook_config(tensors)
    frontend = _check(tensors, config)

    from safetensors.numpy import save_file

    with atomic_path(output / "model.safetensors") as temporary:
        save_file({name: t.copy(order="C") for name, t in tensors.items()}, temporary)
    description = {
        "name": output.name,
        "job": "transcription",
        "summary": f"Onsets and Frames, {config.layout} layout, converted from published weights",
        "licence": "that of the original weights",
        "data": "that of the original weights",
        "architecture": "onsets_frames",
        "network": asdict(config),
        "front_end": frontend,
        "decoder": {
            "rule": "onsets_frames",
            "half_frame_shift": config.layout == "magenta",  # its labels are rounded down
            "pedal": False,
        },
        "source": {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
    }
    with atomic_path(output / "config.json") as temporary:
        temporary.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    return output


# -- magenta --------------------------------------------------------------------------------------------


def from_magenta_variables(variables: Mapping[str, np.ndarray]):
    """Config and state dict of ours from magenta's variables by name.

    Convolutions change from (time, band, in, out) to (out, in, time, band); LSTM gates from input, cell,
    forget, output to input, forget, cell, output, and the joint kernel is cut into input and recurrent
    rows; the rows of `fc_end` change from band first to channel first. Optimiser slots and other
    variables are left out.

    Returns
    -------
    (OnsetsFramesConfig, dict of str to np.ndarray float32)
    """
    config_class = _network()[0]
    tensors: dict[str, np.ndarray] = {}

    def variable(name: str) -> np.ndarray:
        if name not in variables:
            raise ModelError(f"the checkpoint has no variable {name}: it is not one of Onsets and Frames")
        return np.asarray(variables[name], dtype=np.float32)

    def linear(target: str, source: str, names=("weights", "biases")):
        tensors[f"{target}.weight"] = variable(f"{source}/{names[0]}").T
        tensors[f"{target}.bias"] = variable(f"{source}/{names[1]}")

    def lstm(target: str, scope: str) -> int:
        units = 0
        for direction, suffix in (("fw", ""), ("bw", "_reverse")):
            pattern = re.compile(rf"{scope}/(.*/)?{direction}/cudnn_compatible_lstm_cell/kernel")
            found = [name for name in variables if pattern.fullmatch(name)]
            if len(found) != 1:
                raise ModelError(f"{scope} has {len(found)} LSTM kernels named {direction}, not 1")
            kernel = _torch_gates(variable(found[0]))  # (inputs + units, 4 units)
            units = kernel.shape[1] // 4
            tensors[f"{target}.rnn.weight_ih_l0{suffix}"] = kernel[:-units].T
            tensors[f"{target}.rnn.weight_hh_l0{suffix}"] = kernel[-units:].T
            bias = variable(found[0].removesuffix("kernel") + "bias")
            tensors[f"{target}.rnn.bias_ih_l0{suffix}"] = _torch_gates(bias)
        return units

    has_offset = any(name.startswith("offsets/") for name in variables)
    channels, units = variable("onsets/conv0/weights").shape[-1], 0
    for stack, (scope, output) in MAGENTA_SCOPES.items():
        if stack == "offset_stack" and not has_offset:
            continue
        for i, index in enumerate(CONV_INDEX):
            source, target = f"{scope}/conv{i}", f"{stack}.0.cnn.{index + 1}"
            tensors[f"{stack}.0.cnn.{index}.weight"] = variable(f"{source}/weights").transpose(3, 2, 0, 1)
            tensors[f"{target}.bias"] = variable(f"{source}/BatchNorm/beta")
            tensors[f"{target}.running_mean"] = variable(f"{source}/BatchNorm/moving_mean")
            tensors[f"{target}.running_var"] = variable(f"{source}/BatchNorm/moving_variance")
        linear(f"{stack}.0.fc.0", f"{scope}/fc_end")
        weight = tensors[f"{stack}.0.fc.0.weight"]  # (features, band * channels + channel)
        try:
            weight = weight.reshape(len(weight), BANDS_LEFT, 2 * channels).transpose(0, 2, 1)
        except ValueError as error:
            raise ModelError(f"{scope}/fc_end has shape {weight.T.shape}: not for 229 mel bands") from error
        tensors[f"{stack}.0.fc.0.weight"] = weight.reshape(len(weight), -1)
        recurrent = stack in ("onset_stack", "offset_stack")
        if recurrent:
            units = lstm(f"{stack}.1", scope)
        linear(f"{stack}.{2 if recurrent else 1}", f"{scope}/{output}")
    lstm("combined_stack.0", "frame")
    linear("combined_stack.1", "frame/frame_probs")
    named = config_class.named("magenta" if has_offset else "magenta-2018")
    config = config_class(**{**asdict(named), "channels": channels, "lstm_units": units})
    return config, tensors


def _torch_gates(values: np.ndarray) -> np.ndarray:
    """Last axis from the order input, cell, forget, output to input, forget, cell, output."""
    i, c, f, o = np.split(values, 4, axis=-1)
    return np.concatenate([i, f, c, o], axis=-1)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name.removesuffix(":0"): archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} is not a readable .npz archive of arrays: {error}") from error


# -- checks ---------------------------------------------------------------------------------------------


def _network():
    try:
        from spartito.models.onsets_frames import OnsetsFrames, OnsetsFramesConfig
    except ImportError as error:
        raise MissingExtraError("torch", extra="torch", purpose="converting weights") from error
    return OnsetsFramesConfig, OnsetsFrames


def _jongwook_config(tensors: Mapping[str, np.ndarray]):
    first = tensors.get("onset_stack.0.cnn.0.weight")
    if first is None or first.ndim != 4:
        raise ModelError("the file holds no Onsets and Frames network: onset_stack.0.cnn.0.weight is missing")
    return _network()[0].named("jongwook", channels=len(first))


def _check(tensors: dict[str, np.ndarray], config) -> str:
    """Refuse anything but the tensors of the network of `config`; return its front end's name."""
    import torch

    with torch.device("meta"):
        network = _network()[1](config)
    wanted = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    for name, shape in wanted.items():  # counters of steps, which old files lack and nothing reads
        if name.endswith("num_batches_tracked") and shape == ():
            tensors.setdefault(name, np.zeros((), dtype=np.int64))
    missing, extra = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    if missing or extra:
        told = f"{len(missing)} tensors are missing {missing[:3]}, {len(extra)} unknown {extra[:3]}"
        raise ModelError(f"not the {config.layout} layout of Onsets and Frames: {told}")
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != wanted[name]:
            raise ModelError(f"{name} has shape {tuple(tensor.shape)}; {wanted[name]} is needed")
        if not np.isfinite(tensor).all():
            raise ModelError(f"{name} holds values that are not finite: the file is damaged")
        if tensor.dtype.kind == "f":
            tensors[name] = tensor.astype(np.float32)
    return network.frontend


# -- PyTorch files, without PyTorch ---------------------------------------------------------------------


def read_module_tensors(path: str | Path) -> dict[str, np.ndarray]:
    """Name -> array of every parameter and buffer in a PyTorch file, without executing anything in it.

    Raises
    ------
    ModelError
        When the file is damaged or names anything outside `MODULES` and the few helpers of tensors.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            if zipfile.is_zipfile(file):
                root, bytes_of = _read_zip(file)
            else:
                file.seek(0)
                root, bytes_of = _read_legacy(file)
        found = dict(_walk(root, ""))
        if not found:
            raise ModelError(f"{path} holds no tensors")
        return {name: _cut(tensor, bytes_of) for name, tensor in found.items()}
    except ModelError:
        raise
    except Exception as error:  # the unpickler fails in many ways on bytes that are no pickle
        raise ModelError(f"{path} is not a readable PyTorch file: {error}") from error


@dataclass(frozen=True)
class _Storage:
    dtype: np.dtype
    key: str
    length: int  # elements


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int  # elements
    size: tuple[int, ...]
    stride: tuple[int, ...]  # elements


class _StandIn:
    """What takes the place of a module: attributes, no behaviour."""

    def __init__(self, *_arguments):
        pass


class _StorageKind:
    """What takes the place of a storage class."""

    def __init__(self, name: str):
        self.name = name


def _helpers() -> dict[tuple[str, str], Callable]:
    """The functions a checkpoint may call. Made anew for each file, as a pickle can set their attributes."""

    def rebuild_tensor(storage, offset, size, stride, *_rest):
        return _Tensor(storage, offset, tuple(size), tuple(stride))

    def rebuild_parameter(tensor, *_rest):
        return tensor

    return {
        ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): rebuild_parameter,
        ("collections", "OrderedDict"): OrderedDict,
        ("builtins", "set"): set,
        ("__builtin__", "set"): set,
    }


class _Unpickler(pickle.Unpickler):
    """Knows a list of names; everything they stand for is inert."""

    def __init__(self, file: BinaryIO, *, names: bool = True):
        super().__init__(file, encoding="utf-8")
        self.names = names  # False: not even the list
        self.helpers = _helpers()
        self.storages: dict[str, _Storage] = {}  # all that were referred to, by key

    def find_class(self, module: str, name: str) -> Any:
        if self.names:
            if name in MODULES.get(module, ()):
                return type(name, (_StandIn,), {})
            if module == "torch" and name in STORAGES:
                return _StorageKind(name)
            if (module, name) in self.helpers:
                return self.helpers[module, name]
        raise ModelError(
            f"the file asks for {module}.{name}, which no Onsets and Frames checkpoint needs: "
            "it may be harmful and was not loaded"
        )

    def persistent_load(self, identifier: Any) -> Any:
        if isinstance(identifier, tuple) and identifier:
            tag, *rest = identifier
            if tag == "module" and len(rest) >= 1:
                return rest[0]
            if tag == "storage" and len(rest) >= 4:
                kind, key, _device, length, *view = rest
                if isinstance(kind, _StorageKind) and isinstance(length, int) and not any(view):
                    return self.storages.setdefault(str(key), _Storage(STORAGES[kind.name], str(key), length))
        raise ModelError("the file refers to data in a way that no Onsets and Frames checkpoint does")


def _read_zip(file: BinaryIO) -> tuple[Any, Callable[[_Storage], bytes]]:
    """Container of torch 1.6 and later."""
    contents = {}
    with zipfile.ZipFile(file) as archive:
        members = [name for name in archive.namelist() if name.endswith("/data.pkl") or name == "data.pkl"]
        if len(members) != 1:
            raise ModelError("the archive has no data.pkl: it is not a PyTorch file")
        folder = members[0].removesuffix("data.pkl")
        if folder + "byteorder" in archive.namelist() and archive.read(folder + "byteorder") != b"little":
            raise ModelError("the file was written on a big-endian computer, which is not supported")
        with archive.open(members[0]) as pickled:
            unpickler = _Unpickler(pickled)
            root = unpickler.load()
        for key, storage in unpickler.storages.items():
            name, wanted = f"{folder}data/{key}", storage.length * storage.dtype.itemsize
            if archive.getinfo(name).file_size != wanted:
                raise ModelError(f"{name} is not {wanted} bytes long: the file is damaged")
            contents[key] = archive.read(name)
    return root, lambda storage: contents[storage.key]


def _read_legacy(file: BinaryIO) -> tuple[Any, Callable[[_Storage], bytes]]:
    """Container of torch before 1.6: five pickles, then for each storage its length and raw bytes."""
    start = file.read(1)
    file.seek(0)
    if start != pickle.PROTO or _Unpickler(file, names=False).load() != LEGACY_MAGIC:
        raise ModelError("the file is neither of PyTorch's containers")
    if _Unpickler(file, names=False).load() != LEGACY_PROTOCOL:
        raise ModelError("the file has an unknown version of PyTorch's old container")
    if not _Unpickler(file, names=False).load().get("little_endian", False):
        raise ModelError("the file was written on a big-endian computer, which is not supported")
    unpickler = _Unpickler(file)
    root = unpickler.load()
    keys = _Unpickler(file, names=False).load()
    contents = {}
    for key in map(str, keys):
        (length,) = struct.unpack("<q", file.read(8))
        storage = unpickler.storages.get(key)
        if storage is None or storage.length != length:
            raise ModelError(f"storage {key} does not fit its description: the file is damaged")
        wanted = length * storage.dtype.itemsize
        contents[key] = file.read(wanted)
        if len(contents[key]) != wanted:
            raise ModelError("the file ends before its weights do")
    return root, lambda storage: contents[storage.key]


def _walk(node: Any, prefix: str) -> Iterator[tuple[str, _Tensor]]:
    """Names and tensors below a stand-in module or a dictionary of tensors, as `state_dict` names them."""
    if isinstance(node, _StandIn):
        inside = vars(node)
        for name, value in [*inside.get("_parameters", {}).items(), *inside.get("_buffers", {}).items()]:
            if isinstance(value, _Tensor):
                yield prefix + name, value
        for name, child in inside.get("_modules", {}).items():
            yield from _walk(child, f"{prefix}{name}.")
    elif isinstance(node, dict):
        for name, value in node.items():
            if isinstance(value, _Tensor):
                yield f"{prefix}{name}", value
            elif name in ("state_dict", "model", "model_state_dict"):
                yield from _walk(value, prefix)


def _cut(tensor: _Tensor, bytes_of: Callable[[_Storage], bytes]) -> np.ndarray:
    """The array a tensor describes, after checking that it lies inside its storage."""
    storage, numbers = tensor.storage, (tensor.offset, *tensor.size, *tensor.stride)
    if len(tensor.size) != len(tensor.stride) or not all(isinstance(n, int) and n >= 0 for n in numbers):
        raise ModelError("a tensor has an impossible shape: the file is damaged")
    last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.size, tensor.stride))
    if 0 in tensor.size:
        return np.zeros(tensor.size, dtype=storage.dtype)
    if last >= storage.length or math.prod(tensor.size) > storage.length:
        raise ModelError("a tensor reaches beyond its data: the file is damaged")
    flat = np.frombuffer(bytes_of(storage), dtype=storage.dtype)[tensor.offset :]
    strides = [s * storage.dtype.itemsize for s in tensor.stride]
    return np.lib.stride_tricks.as_strided(flat, tensor.size, strides, writeable=False).copy()
