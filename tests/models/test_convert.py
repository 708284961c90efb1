"""Published checkpoints: both PyTorch containers, magenta's variables, and files that want to do harm."""

from __future__ import annotations

import json
import os
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest

from spartito.errors import ModelError
from spartito.models import convert

torch = pytest.importorskip("torch")
from spartito.models.onsets_frames import OnsetsFrames, OnsetsFramesConfig  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
CHANNELS = 4


def original_module(seed=0):
    """A module as the port pickles it: its class names under its module names, no code of ours inside."""
    torch.manual_seed(seed)
    ours = OnsetsFrames(OnsetsFramesConfig.named("jongwook", channels=CHANNELS))
    transcriber, lstm = (
        types.ModuleType("onsets_and_frames.transcriber"),
        types.ModuleType("onsets_and_frames.lstm"),
    )
    for place, name in ((transcriber, "OnsetsAndFrames"), (transcriber, "ConvStack"), (lstm, "BiLSTM")):
        setattr(place, name, type(name, (torch.nn.Module,), {"__module__": place.__name__}))

    def like(name, place, module):
        copy = getattr(place, name)()
        for child, value in module.named_children():
            setattr(copy, child, value)
        return copy

    for stack in (ours.onset_stack, ours.offset_stack, ours.frame_stack, ours.velocity_stack):
        stack[0] = like("ConvStack", transcriber, stack[0])
    for stack, place in ((ours.onset_stack, 1), (ours.offset_stack, 1), (ours.combined_stack, 0)):
        stack[place] = like("BiLSTM", lstm, stack[place])
        stack.append(torch.nn.Sigmoid())
    root = like("OnsetsAndFrames", transcriber, ours)
    for number, parameter in enumerate(root.buffers()):
        if parameter.is_floating_point():
            parameter.uniform_(0.5, 1.5)
        else:
            parameter.fill_(number)
    return root, {m.__name__: m for m in (transcriber, lstm)}


@pytest.fixture
def original(monkeypatch):
    root, modules = original_module()
    monkeypatch.setitem(sys.modules, "onsets_and_frames", types.ModuleType("onsets_and_frames"))
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return root


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
def test_pickled_module_becomes_plain_tensors(tmp_path, original, zipped, monkeypatch):
    torch.save(original, tmp_path / "model.pt", _use_new_zipfile_serialization=zipped)
    for name in [name for name in sys.modules if name.startswith("onsets_and_frames")]:
        monkeypatch.delitem(sys.modules, name)  # the file's classes need not exist
    folder = convert.convert_checkpoint(tmp_path / "model.pt", tmp_path / "out")

    from safetensors.torch import load_file

    found, wanted = load_file(folder / "model.safetensors"), original.state_dict()
    assert found.keys() == wanted.keys() and len(found) == 126
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor), name
    description = json.loads((folder / "config.json").read_text())
    assert description["architecture"] == "onsets_frames" and description["front_end"] == "jongwook"
    network = OnsetsFrames(OnsetsFramesConfig(**description["network"]))
    network.load_state_dict(found)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
def test_state_dict_and_missing_step_counters(tmp_path, original, zipped):
    tensors = {k: v for k, v in original.state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save({"state_dict": tensors, "step": 5}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    convert.convert_checkpoint(tmp_path / "a.pt", tmp_path / "out")
    assert (tmp_path / "out" / "model.safetensors").is_file()


class Harmful:
    """A pickle that runs a command when it is loaded."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
def test_file_that_runs_a_command_is_refused_and_does_not_run(tmp_path, original, zipped):
    trace = tmp_path / "it_ran"
    original.extra = Harmful(f"echo > {trace}")
    torch.save(original, tmp_path / "model.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=r"(posix|nt)\.system"):
        convert.convert_checkpoint(tmp_path / "model.pt", tmp_path / "out")
    assert not trace.exists() and not (tmp_path / "out" / "model.safetensors").exists()


def test_harm_in_the_old_header_is_refused(tmp_path):
    trace = tmp_path / "it_ran"
    (tmp_path / "model.pt").write_bytes(pickle.dumps(Harmful(f"echo > {trace}"), protocol=2))
    with pytest.raises(ModelError, match="system"):
        convert.convert_checkpoint(tmp_path / "model.pt", tmp_path / "out")
    assert not trace.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [("builtins", "eval"), ("builtins", "getattr"), ("torch", "load"), ("torch.nn.modules.conv", "os.system"),
     ("torch.serialization", "load"), ("numpy", "load"), ("functools", "partial"), ("torch", "Tensor")],
)  # fmt: skip
def test_no_other_name_is_known(module, name):
    import io

    code = b"\x80\x02c" + module.encode() + b"\n" + name.encode() + b"\n."
    with pytest.raises(ModelError, match="harmful"):
        convert._Unpickler(io.BytesIO(code)).load()


def test_damaged_files(tmp_path, original):
    path = tmp_path / "model.pt"
    for zipped in (True, False):
        torch.save(original, path, _use_new_zipfile_serialization=zipped)
        whole = path.read_bytes()
        for cut in (0, 1, 20, len(whole) // 2, len(whole) - 3):
            path.write_bytes(whole[:cut])
            with pytest.raises(ModelError):
                convert.read_module_tensors(path)
    path.write_bytes(b"This is a letter, not a network." * 100)
    with pytest.raises(ModelError):
        convert.read_module_tensors(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "no network")
    with pytest.raises(ModelError, match=r"data\.pkl"):
        convert.read_module_tensors(path)
    with pytest.raises(ModelError, match="no checkpoint file"):
        convert.convert_checkpoint(tmp_path / "nowhere.pt", tmp_path / "out")


def test_tensors_that_lie_outside_their_storage_are_refused():
    storage = convert._Storage(np.dtype("<f4"), "0", 6)
    content = np.arange(6, dtype="<f4").tobytes()
    good = convert._cut(convert._Tensor(storage, 1, (2, 2), (1, 2)), lambda _: content)
    np.testing.assert_array_equal(good, [[1, 3], [2, 4]])
    for offset, size, stride in ((3, (2, 2), (1, 2)), (-1, (2,), (1,)), (0, (2,), (-1,)), (0, (10**9,), (0,))):
        with pytest.raises(ModelError):
            convert._cut(convert._Tensor(storage, offset, size, stride), lambda _: content)


def test_other_networks_and_broken_values_are_refused(tmp_path, original):
    tensors = original.state_dict()
    for change in ("missing", "shape", "nan", "extra"):
        changed = dict(tensors)
        if change == "missing":
            del changed["velocity_stack.1.bias"]
        elif change == "shape":
            changed["velocity_stack.1.bias"] = torch.zeros(87)
        elif change == "nan":
            changed["velocity_stack.1.bias"] = torch.full((88,), torch.nan)
        else:
            changed["pedal_stack.bias"] = torch.zeros(3)
        torch.save(changed, tmp_path / "model.pt")
        with pytest.raises(ModelError):
            convert.convert_checkpoint(tmp_path / "model.pt", tmp_path / "out")
    torch.save(torch.nn.Linear(3, 3).state_dict(), tmp_path / "model.pt")
    with pytest.raises(ModelError, match="no Onsets and Frames network"):
        convert.convert_checkpoint(tmp_path / "model.pt", tmp_path / "out")


# -- magenta: an independent forward pass in numpy, in TensorFlow's layouts -----------------------------


def magenta_variables(seed, *, channels, units, features, offset=True):
    rng = np.random.default_rng(seed)

    def draw(*shape, scale=None):
        return rng.normal(0, scale or 1 / np.sqrt(np.prod(shape[:-1])), shape).astype(np.float32)

    variables = {"global_step": np.int64(7)}
    heads = {
        "onsets": ("onset_probs", True),
        "offsets": ("offset_probs", True),
        "velocity": ("onset_velocities", False),
    }
    heads["frame"] = ("activation_probs", False)
    if not offset:
        del heads["offsets"]

    def lstm(scope, inputs):
        for direction in ("fw", "bw"):
            place = f"{scope}/cudnn_lstm/stack_bidirectional_rnn/cell_0/bidirectional_rnn/{direction}"
            place += "/cudnn_compatible_lstm_cell"
            variables[f"{place}/kernel"] = draw(inputs + units, 4 * units)
            variables[f"{place}/bias"] = draw(4 * units, scale=0.5)
        variables[f"{scope}/cudnn_lstm/opaque_kernel"] = draw(5)

    for scope, (output, recurrent) in heads.items():
        for i, (a, b) in enumerate([(1, channels), (channels, channels), (channels, 2 * channels)]):
            variables[f"{scope}/conv{i}/weights"] = draw(3, 3, a, b)
            variables[f"{scope}/conv{i}/weights/Adam"] = draw(3, 3, a, b)
            variables[f"{scope}/conv{i}/BatchNorm/beta"] = draw(b, scale=0.3)
            variables[f"{scope}/conv{i}/BatchNorm/moving_mean"] = draw(b, scale=0.3)
            variables[f"{scope}/conv{i}/BatchNorm/moving_variance"] = rng.uniform(0.5, 2, b).astype(np.float32)
        variables[f"{scope}/fc_end/weights"] = draw(57 * 2 * channels, features)
        variables[f"{scope}/fc_end/biases"] = draw(features, scale=0.3)
        width = 2 * units if recurrent else features
        variables[f"{scope}/{output}/weights"] = draw(width, 88)
        variables[f"{scope}/{output}/biases"] = draw(88, scale=0.3)
        if recurrent:
            lstm(scope, features)
    lstm("frame", 88 * (3 if offset else 2))
    variables["frame/frame_probs/weights"] = draw(2 * units, 88)
    variables["frame/frame_probs/biases"] = draw(88, scale=0.3)
    return variables


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Numpy:
    """The network as TensorFlow lays it out: (time, band, channel), joint kernels, gates i c f o."""

    def __init__(self, variables):
        self.v = {name: np.asarray(value, dtype=np.float64) for name, value in variables.items()}

    def conv(self, scope, x):
        weights, out = self.v[f"{scope}/weights"], 0.0
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        for dt in range(3):
            for db in range(3):
                out = out + padded[dt : dt + len(x), db : db + x.shape[1]] @ weights[dt, db]
        norm = f"{scope}/BatchNorm/"
        out = (out - self.v[norm + "moving_mean"]) / np.sqrt(self.v[norm + "moving_variance"] + 1e-3)
        return np.maximum(out + self.v[norm + "beta"], 0)

    def stack(self, scope, mel):
        def pool(x):
            even = x.shape[1] // 2 * 2
            return np.maximum(x[:, 0:even:2], x[:, 1:even:2])

        x = self.conv(f"{scope}/conv1", self.conv(f"{scope}/conv0", mel[:, :, None]))
        x = pool(self.conv(f"{scope}/conv2", pool(x)))
        return np.maximum(self.linear(f"{scope}/fc_end", x.reshape(len(x), -1)), 0)

    def linear(self, name, x):
        return x @ self.v[f"{name}/weights"] + self.v[f"{name}/biases"]

    def lstm(self, scope, x):
        halves = []
        for direction, order in (("fw", 1), ("bw", -1)):
            place = f"{scope}/cudnn_lstm/stack_bidirectional_rnn/cell_0/bidirectional_rnn/{direction}"
            place += "/cudnn_compatible_lstm_cell"
            kernel, bias = self.v[f"{place}/kernel"], self.v[f"{place}/bias"]
            h = c = np.zeros(len(bias) // 4)
            rows = []
            for row in x[::order]:
                i, new, f, o = np.split(np.concatenate([row, h]) @ kernel + bias, 4)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(new)
                h = sigmoid(o) * np.tanh(c)
                rows.append(h)
            halves.append(np.array(rows[::order]))
        return np.concatenate(halves, axis=1)

    def __call__(self, mel):
        onset = sigmoid(self.linear("onsets/onset_probs", self.lstm("onsets", self.stack("onsets", mel))))
        parts = [onset, sigmoid(self.linear("frame/activation_probs", self.stack("frame", mel)))]
        offset = None
        if "offsets/fc_end/biases" in self.v:
            offset = self.lstm("offsets", self.stack("offsets", mel))
            offset = sigmoid(self.linear("offsets/offset_probs", offset))
            parts.append(offset)
        combined = self.lstm("frame", np.concatenate(parts, axis=1))
        frame = sigmoid(self.linear("frame/frame_probs", combined))
        velocity = self.linear("velocity/onset_velocities", self.stack("velocity", mel))
        return onset, offset, parts[1], frame, velocity


@pytest.mark.parametrize("offset", [True, False], ids=["2019", "2018"])
def test_magenta_variables_give_the_same_network(tmp_path, offset):
    variables = magenta_variables(1, channels=4, units=6, features=64, offset=offset)
    np.savez(tmp_path / "magenta.npz", **variables)
    folder = convert.convert_checkpoint(tmp_path / "magenta.npz", tmp_path / "out")

    from safetensors.torch import load_file

    description = json.loads((folder / "config.json").read_text())
    assert description["decoder"]["half_frame_shift"] is True
    assert description["front_end"] == ("magenta" if offset else "magenta-2018")
    network = OnsetsFrames(OnsetsFramesConfig(**description["network"])).eval()
    network.load_state_dict(load_file(folder / "model.safetensors"))
    mel = np.random.default_rng(2).normal(0, 1, (9, 229)).astype(np.float32)
    with torch.no_grad():
        found = network(torch.from_numpy(mel)[None])
    for ours, theirs in zip(found, Numpy(variables)(mel.astype(np.float64)), strict=True):
        if theirs is not None:
            np.testing.assert_allclose(ours[0].numpy(), theirs, atol=2e-5)


def test_magenta_variables_that_lack_one(tmp_path):
    variables = magenta_variables(1, channels=2, units=3, features=32)
    del variables["velocity/fc_end/biases"]
    with pytest.raises(ModelError, match="velocity/fc_end/biases"):
        convert.from_magenta_variables(variables)
    (tmp_path / "a.npz").write_bytes(b"PK nothing")
    with pytest.raises(ModelError, match="not a readable"):
        convert.convert_checkpoint(tmp_path / "a.npz", tmp_path / "out")
