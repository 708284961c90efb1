import json
import subprocess
import sys

import numpy as np
import pytest

from spartito import load_model
from spartito.errors import ModelError, ParameterError
from spartito.models import musae_runtime
from spartito.models.hub import ModelInfo
from spartito.models.musae_runtime import LatentModel, LatentSettings, open_latent
from spartito.notes.band_attributes import ATTRIBUTES, KNOTS

NETWORK = {"bars": 2, "latent": 4, "hidden": 8, "layout": "band"}
PRIOR = {"kind": "flower", "latent": 4, "count": 2}


def described(**more) -> ModelInfo:
    """A model without a folder: its networks are put in by hand."""
    config = {"network": NETWORK, "prior": PRIOR, "tags": ["pop", "jazz"], **more}
    return ModelInfo("m", None, "latent", 0, "", "", "", {}, config)


def mirrored(model: LatentModel) -> list[int]:
    """Networks that copy: a code is the mean of its states, and decodes to its own first number. Gives batch sizes."""
    seen = []

    def encoder(inputs):
        states = inputs["states"]
        seen.append(len(states))
        assert states.dtype == np.int64
        mean = np.repeat(states.mean(axis=(1, 2))[:, None], 4, axis=1)
        return [mean.astype(np.float32), np.full_like(mean, 2 * np.log(0.5), np.float32)]

    def decoder(inputs):
        z = inputs["z"]
        seen.append(len(z))
        return [np.broadcast_to(z[:, :1, None, None], (len(z), 32, 4, 130)).astype(np.float32)]

    model._networks = {"encoder.onnx": encoder, "decoder.onnx": decoder}
    return seen


def test_windows_go_through_in_parts_and_come_back_in_order(monkeypatch):
    monkeypatch.setattr(musae_runtime, "STEPS_AT_ONCE", 3 * 32)
    model = LatentModel(described())
    seen = mirrored(model)
    states = np.broadcast_to(np.arange(7)[:, None, None], (7, 32, 4)).astype(np.uint8)
    mean, deviation = model.encode(states)
    assert mean.dtype == deviation.dtype == np.float32 and mean.shape == (7, 4)
    assert mean[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6] and np.allclose(deviation, 0.5)
    assert model.decode(mean)[:, 31, 3, 129].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert seen == [3, 3, 1, 3, 3, 1]
    parts = list(model.decode_parts(mean))
    assert [(part.start, part.stop, len(told)) for part, told in parts] == [(0, 3, 3), (3, 6, 3), (6, 7, 1)]


def test_a_window_longer_than_a_call_goes_alone(monkeypatch):
    monkeypatch.setattr(musae_runtime, "STEPS_AT_ONCE", 8)
    assert LatentModel(described()).at_once == 1


def test_no_windows_give_no_codes():
    model = LatentModel(described())
    mirrored(model)
    mean, deviation = model.encode(np.zeros((0, 32, 4), np.uint8))
    assert mean.shape == deviation.shape == (0, 4)
    assert model.decode(mean).shape == (0, 32, 4, 130)


def test_what_a_folder_tells():
    knots = np.linspace(0, 1, KNOTS)[:, None].repeat(len(ATTRIBUTES), axis=1)
    velocity = np.arange(4 * 16).reshape(4, 16)
    model = LatentModel(described(scale=knots.tolist(), tempo={"pop": 96}, velocity={"": velocity.tolist()}))
    assert (model.name, model.bars, model.steps, model.latent) == ("m", 2, 32, 4)
    assert model.config == LatentSettings(bars=2, latent=4) and model.layout.name == "band"
    assert model.tags == ["pop", "jazz"] and [model.component(tag) for tag in ("pop", "jazz", None)] == [0, 1, 2]
    assert model.prior.components == 2
    np.testing.assert_allclose(model.scale.knots, knots)
    assert model.tempo == {"pop": 96.0} and np.array_equal(model.velocity[""], velocity)
    bare = LatentModel(described())
    assert bare.scale is None and bare.tempo == bare.velocity == bare.sliders == {}
    network = NETWORK | {"latent": 5, "attributes": 2}
    usual = LatentModel(
        described(network=network, prior=PRIOR | {"latent": 5}, sliders={"pop": [[1, 2], [3, 0], [4, 5]]})
    )
    assert usual.sliders["pop"].tolist() == [[1, 2], [3, 0], [4, 5]]


@pytest.mark.parametrize(
    "states",
    [
        np.zeros((2, 32, 6), np.uint8),
        np.zeros((2, 16, 4), np.uint8),
        np.zeros((32, 4), np.uint8),
        np.zeros((2, 32, 4)),
        np.full((2, 32, 4), 130, np.uint8),
        np.full((2, 32, 4), -1),
    ],
)
def test_wrong_windows_are_refused(states):
    model = LatentModel(described())
    mirrored(model)
    with pytest.raises(ParameterError):
        model.encode(states)


@pytest.mark.parametrize("z", [np.zeros((2, 5)), np.zeros(4), np.full((1, 4), np.nan)])
def test_wrong_codes_are_refused(z):
    model = LatentModel(described())
    mirrored(model)
    with pytest.raises(ParameterError):
        model.decode(z)


def test_wrong_names_and_folders_are_refused(tmp_path):
    with pytest.raises(ParameterError, match="pop, jazz"):
        LatentModel(described()).component("polka")
    with pytest.raises(ModelError, match="'transcription'"):
        open_latent("transcribe")
    for bad in (
        {"prior": {"kind": "moon"}},
        {"network": {"bars": 2}},
        {"velocity": {"": [1, 2]}},
        {"sliders": {"": [1]}},
        {"prior": None},
    ):
        with pytest.raises(ModelError, match="does not describe"):
            LatentModel(described(**bad))
    run = {"name": "r", "job": "latent", "network": NETWORK, "prior": PRIOR}
    (tmp_path / "config.json").write_text(json.dumps(run))
    model = load_model(tmp_path)
    assert isinstance(model, LatentModel)
    with pytest.raises(ModelError, match="spartito export"):
        model.decode(np.zeros((1, 4)))


def test_no_torch_is_needed():
    program = "import sys; sys.modules['torch'] = None; import spartito.models.musae_runtime"
    subprocess.run([sys.executable, "-c", program], check=True)
