"""A converted Onsets and Frames checkpoint transcribes a recording through the public door."""

from __future__ import annotations

import json

import numpy as np
import pytest

import spartito
from spartito.audio.audio import Audio
from spartito.audio.features import front_end
from spartito.decoding import decode_onsets_frames
from spartito.errors import ModelError, ParameterError

torch = pytest.importorskip("torch")
from spartito.models.convert import convert_checkpoint  # noqa: E402
from spartito.models.onsets_frames import OnsetsFrames, OnsetsFramesConfig  # noqa: E402

RATE = 16_000


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).normal(0, 0.1, 5 * RATE).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network that has learnt nothing, converted from a plain dictionary of tensors."""
    torch.manual_seed(3)
    place = tmp_path_factory.mktemp("model")
    network = OnsetsFrames(OnsetsFramesConfig.named("jongwook", channels=4))
    for stack in (network.onset_stack, network.combined_stack):  # so that it fires now and then
        torch.nn.init.normal_(stack[-1].weight, std=3.0)
    torch.save(network.state_dict(), place / "model.pt")
    return convert_checkpoint(place / "model.pt", place / "converted")


def test_curves_and_notes_are_those_of_the_network(folder, samples):
    model = spartito.load_model(str(folder), device="cpu")
    curves = model.curves(samples)
    mel = torch.from_numpy(front_end("jongwook")(samples))[None]
    with torch.inference_mode():
        heard = model.network(mel)
    for name in ("onset", "offset", "frame", "velocity"):
        np.testing.assert_allclose(getattr(curves, name), getattr(heard, name)[0].numpy(), atol=2e-3)
    expected = decode_onsets_frames(curves.onset, curves.frame, curves.velocity)
    found = model.notes(curves, shortest=0.0)
    assert len(found) == len(expected) > 10
    np.testing.assert_array_equal(found["onset"], expected.onset)
    assert (found["velocity"] >= 1).all() and (found["velocity"] <= 127).all()
    assert (np.diff(np.stack([found["onset"], found["offset"]]), axis=0) > 0).all()
    strict = model.notes(curves, high_notes="strict")
    assert (strict["pitch"] > 84).sum() <= (found["pitch"] > 84).sum()
    with pytest.raises(ParameterError):
        model.notes(curves, high_notes="loose")


def test_parts_of_a_long_recording_fit_together(folder, samples, monkeypatch):
    from spartito import transcription_onsets_frames as module

    model = spartito.load_model(str(folder), device="cpu")
    whole, done = model.curves(samples), []
    monkeypatch.setattr(module, "PART", 40)
    monkeypatch.setattr(module, "MARGIN", 60)
    parts = model.curves(samples, progress=done.append)
    assert len(done) == 4 and done[-1] == 1.0
    for name in ("onset", "frame"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), atol=0.02)


def test_transcribes_through_the_public_function(folder, samples):
    notes = spartito.transcribe(Audio(samples[None], RATE), model=str(folder), tuning=None, device="cpu")
    assert len(notes) > 0 and len(notes.pedal) == 0
    assert notes.pitch.min() >= 21 and notes.pitch.max() <= 108


def test_damaged_folders_are_refused(folder, tmp_path):
    description = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(description))
    with pytest.raises(ModelError, match="does not hold"):
        spartito.load_model(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    for key, value in (("network", {"channels": 5}), ("decoder", {"rule": "guess"}), ("front_end", None)):
        changed = dict(description)
        changed[key] = value
        if value is None:
            del changed[key]
        (tmp_path / "config.json").write_text(json.dumps(changed))
        with pytest.raises(ModelError):
            spartito.load_model(str(tmp_path))
