"""The beat network: numpy against torch, weights that are there, labels by hand."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import ModelError
from spartito.models.note_beats import (
    METRES,
    PERIODS,
    NoteBeatsConfig,
    NoteBeatsNetwork,
    load_note_beats,
    save_note_beats,
    torch_note_beats,
)


def test_numpy_equals_torch(tmp_path):
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    torch.manual_seed(0)
    config = NoteBeatsConfig(features=5, channels=8, dilations=(1, 4, 2))
    network = torch_note_beats(config)
    for norm in network.norm:
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2.0)
    network.eval()
    weights = {k: v.numpy() for k, v in network.state_dict().items()}
    weights["mean"], weights["deviation"] = np.full(5, 0.3, np.float32), np.full(5, 2.0, np.float32)
    x = np.random.default_rng(0).normal(size=(37, 5)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.tensor((x - 0.3) / 2.0).T[None])[0].T.numpy()
    ours = NoteBeatsNetwork(weights, config)
    assert np.allclose(ours.logits(x), expected, atol=1e-4)
    save_note_beats(weights, config, tmp_path)
    again = load_note_beats(tmp_path)  # float16 on disk
    assert np.allclose(again.logits(x), expected, atol=2e-2)


def test_opinions_are_probabilities():
    opinions = load_note_beats()(np.zeros((50, 22), dtype=np.float32))
    assert np.allclose(np.exp(opinions.tempo).sum(axis=1), 1) and opinions.tempo.shape == (50, len(PERIODS))
    assert np.allclose(np.exp(opinions.metre).sum(axis=1), 1) and opinions.metre.shape == (50, len(METRES))
    assert np.allclose(np.exp(opinions.beat) + np.exp(opinions.no_beat), 1)


def test_missing_weights(tmp_path):
    with pytest.raises(ModelError, match="beat tracker"):
        load_note_beats(tmp_path / "nothing")
    with pytest.raises(ModelError, match="lack"):
        NoteBeatsNetwork({"mean": np.zeros(22), "deviation": np.ones(22)})


def test_labels_by_hand():
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    from spartito.training.note_beats import label_events

    beats = np.arange(1.0, 9.0)  # one per second
    labels = label_events(np.array([0.2, 1.0, 1.5, 3.05, 5.3]), beats, beats[::4], [(1.0, "4/4")])
    assert labels[:, 0].tolist() == [0, 1, 0, 1, 0]
    assert labels[:, 1].tolist() == [0, 1, 0, 0, 0]
    assert labels[:, 4].tolist() == [0, 1, 1, 1, 1]
    assert labels[1, 3] == METRES.index("4/4") and labels[0, 3] == -1
    assert np.isclose(PERIODS[labels[1, 2]], 1.0, rtol=0.03)
