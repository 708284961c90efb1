"""Shapes, counts and behaviour of the Onsets and Frames networks."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from spartito.errors import ParameterError

torch = pytest.importorskip("torch")
from spartito.models.onsets_frames import OnsetsFrames, OnsetsFramesConfig  # noqa: E402

SPECIFICATION = Path(__file__).parents[3] / "shared" / "specs" / "onsets_frames_state_dict.json"


def network(name, channels=4, seed=0):
    torch.manual_seed(seed)
    return OnsetsFrames(OnsetsFramesConfig.named(name, channels=channels))


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def expected_jongwook_shapes(c=48):
    """Names and shapes as the port has them, in order."""
    f, u, shapes = 16 * c, 8 * c, {}

    def conv_stack(prefix):
        for index, (inputs, outputs) in zip((0, 3, 8), ((1, c), (c, c), (c, 2 * c))):
            shapes[f"{prefix}.cnn.{index}.weight"] = (outputs, inputs, 3, 3)
            shapes[f"{prefix}.cnn.{index}.bias"] = (outputs,)
            for name in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{prefix}.cnn.{index + 1}.{name}"] = (outputs,)
            shapes[f"{prefix}.cnn.{index + 1}.num_batches_tracked"] = ()
        linear(f"{prefix}.fc.0", 2 * c * 57, f)

    def linear(prefix, inputs, outputs):
        shapes[f"{prefix}.weight"], shapes[f"{prefix}.bias"] = (outputs, inputs), (outputs,)

    def lstm(prefix, inputs):
        for suffix in ("", "_reverse"):
            shapes[f"{prefix}.rnn.weight_ih_l0{suffix}"] = (4 * u, inputs)
            shapes[f"{prefix}.rnn.weight_hh_l0{suffix}"] = (4 * u, u)
            shapes[f"{prefix}.rnn.bias_ih_l0{suffix}"] = (4 * u,)
            shapes[f"{prefix}.rnn.bias_hh_l0{suffix}"] = (4 * u,)

    for stack in ("onset_stack", "offset_stack"):
        conv_stack(f"{stack}.0")
        lstm(f"{stack}.1", f)
        linear(f"{stack}.2", 2 * u, 88)
    conv_stack("frame_stack.0")
    linear("frame_stack.1", f, 88)
    lstm("combined_stack.0", 264)
    linear("combined_stack.1", 2 * u, 88)
    conv_stack("velocity_stack.0")
    linear("velocity_stack.1", f, 88)
    return shapes


def test_jongwook_tensors_by_name_and_shape():
    with torch.device("meta"):
        found = OnsetsFrames().state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
    assert shapes == expected_jongwook_shapes()
    assert len(shapes) == 126
    if SPECIFICATION.is_file():  # the list read from the original itself
        listed = json.loads(SPECIFICATION.read_text())["state_dict"]
        assert list(found) == list(listed)
        for name, entry in listed.items():
            assert list(found[name].shape) == entry["shape"]
            assert str(found[name].dtype) == f"torch.{entry['dtype']}"


@pytest.mark.parametrize(
    ("name", "channels", "parameters"),
    [
        ("jongwook", None, 26_491_256),
        ("jongwook", 8, 899_416),
        ("jongwook", 16, 3_204_856),
        ("jongwook", 24, 6_916_760),
        ("jongwook", 32, 12_035_128),
        ("magenta-2018", None, 6_793_280),
        ("magenta-2019", None, 22_600_568),
        ("magenta", None, 22_600_568),
    ],
)
def test_parameter_counts(name, channels, parameters):
    with torch.device("meta"):
        assert count(OnsetsFrames(OnsetsFramesConfig.named(name, channels=channels))) == parameters


def test_parameter_counts_per_stack():
    with torch.device("meta"):
        ours, magenta = OnsetsFrames(), OnsetsFrames(OnsetsFramesConfig.named("magenta-2019"))
        old = OnsetsFrames(OnsetsFramesConfig.named("magenta-2018"))
    assert count(ours.onset_stack) == count(ours.offset_stack) == 7_879_240
    assert count(ours.frame_stack) == count(ours.velocity_stack) == 4_334_152
    assert count(ours.combined_stack) == 2_064_472
    assert count(magenta.onset_stack) == 6_410_440 and count(magenta.velocity_stack) == 4_333_768
    assert count(magenta.frame_stack) + count(magenta.combined_stack) == 5_445_920
    assert count(old.onset_stack) == 2_575_352 and count(old.velocity_stack) == 1_941_496
    assert count(old.frame_stack) + count(old.combined_stack) == 2_276_432


@pytest.mark.parametrize("name", ["jongwook", "magenta-2019", "magenta-2018"])
@pytest.mark.parametrize("frames", [1, 511, 512, 513, 2000])
def test_chunks_change_nothing(name, frames):
    model = network(name, channels=2).eval()
    mel = torch.randn(1, frames, 229, generator=torch.Generator().manual_seed(frames))
    with torch.no_grad():
        assert model.chunk_frames == 512
        chunked = model(mel)
        model.chunk_frames = None
        whole = model(mel)
    for a, b in zip(chunked, whole):
        if b is not None:
            assert a.shape == (1, frames, 88)
            torch.testing.assert_close(a, b, atol=1e-6, rtol=0)


def test_small_chunks_in_a_batch():
    model = network("jongwook").eval()
    mel = torch.randn(3, 50, 229)
    with torch.no_grad():
        model.chunk_frames = 4  # margins overlap on both sides
        chunked = model(mel)
        model.chunk_frames = None
        for a, b in zip(chunked, model(mel)):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=0)


def test_outputs_by_name_and_range():
    model = network("jongwook").eval()
    with torch.no_grad():
        found = model(torch.randn(2, 20, 229))
    assert found._fields == ("onset", "offset", "activation", "frame", "velocity")
    for name in ("onset", "offset", "activation", "frame"):
        values = getattr(found, name)
        assert values.shape == (2, 20, 88) and values.min() > 0 and values.max() < 1
    assert network("magenta-2018").eval()(torch.randn(1, 5, 229)).offset is None
    assert [network(n).frontend for n in ("jongwook", "magenta-2019", "magenta-2018")] == [
        "jongwook", "magenta", "magenta-2018",
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "stopped"), [("jongwook", True), ("magenta-2019", True), ("magenta-2018", False)])
def test_frame_loss_stops_before_onset_and_offset(name, stopped):
    model = network(name)
    model(torch.randn(2, 12, 229)).frame.sum().backward()

    def reached(stack):
        return any(p.grad is not None and p.grad.abs().sum() > 0 for p in stack.parameters())

    assert reached(model.frame_stack) and reached(model.combined_stack)
    assert reached(model.onset_stack) is not stopped
    assert not reached(model.velocity_stack)
    if model.config.offset:
        assert not reached(model.offset_stack)


def test_dropout_values():
    for name, conv in (("jongwook", 0.25), ("magenta-2018", 0.75), ("magenta-2019", 0.75), ("magenta", 0.25)):
        drops = [m.p for m in network(name).onset_stack[0].modules() if isinstance(m, torch.nn.Dropout)]
        assert drops == [conv, conv, 0.5]


@pytest.mark.parametrize(("name", "order"), [("jongwook", "012"), ("magenta-2019", "021")])
def test_order_of_the_combined_input(name, order):
    model = network(name).eval()
    seen = []
    model.combined_stack[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        out = model(torch.randn(1, 6, 229))
    parts = [(out.onset, out.offset, out.activation)[int(i)] for i in order]
    torch.testing.assert_close(seen[0], torch.cat(parts, dim=-1), atol=0, rtol=0)


def test_magenta_has_one_bias_vector_that_survives_copy_and_conversion():
    model = network("magenta-2019").eval()
    mel = torch.randn(1, 30, 229)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        before = model(mel).frame
        for parameter in twin.parameters():
            parameter.mul_(1.5)
        assert (twin(mel).frame - before).abs().max() > 1e-3
        torch.testing.assert_close(model(mel).frame, before, atol=0, rtol=0)
        twin.load_state_dict(model.state_dict())
        torch.testing.assert_close(twin(mel).frame, before, atol=0, rtol=0)
        torch.testing.assert_close(twin.double()(mel.double()).frame.float(), before, atol=1e-5, rtol=0)
    assert "onset_stack.1.rnn.bias_hh_l0" not in dict(model.named_parameters())


def test_shift_norm_trains_its_statistics():
    model = network("magenta-2019")
    norm = model.onset_stack[0].cnn[1]
    model(torch.randn(2, 8, 229))
    assert norm.running_mean.abs().sum() > 0
    assert norm.running_var.sub(1).abs().max() < 0.01  # decay 0.999


@pytest.mark.parametrize("name", ["jongwook", "magenta-2018"])
@pytest.mark.filterwarnings("ignore")
def test_exports_to_onnx_for_any_length(name, tmp_path):
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    model = network(name).eval()
    names = [n for n in ("onset", "offset", "activation", "frame", "velocity") if n != "offset" or model.config.offset]
    torch.onnx.export(
        model,
        (torch.randn(1, 20, 229),),
        tmp_path / "model.onnx",
        input_names=["mel"],
        output_names=names,
        dynamic_axes={"mel": {0: "batch", 1: "frames"}},
        dynamo=False,  # the newer exporter unrolls the LSTM to a fixed length
    )
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    mel = torch.randn(1, 700, 229)
    with torch.no_grad():
        expected = {n: t for n, t in model(mel)._asdict().items() if t is not None}
    for output, found in zip(names, session.run(names, {"mel": mel.numpy()})):
        np.testing.assert_allclose(found, expected[output].numpy(), atol=1e-4)


def test_unknown_names():
    with pytest.raises(ParameterError, match="magenta-2019"):
        OnsetsFramesConfig.named("kelz")
    with pytest.raises(ParameterError, match="layout"):
        OnsetsFramesConfig(layout="keras")
    with pytest.raises(ParameterError):
        OnsetsFramesConfig(channels=0)
