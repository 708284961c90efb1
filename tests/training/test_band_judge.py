"""Judges of tags learn registers, read hard and soft states alike, and come back in the order asked for."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional as F  # noqa: E402

from spartito.errors import ModelError, ParameterError  # noqa: E402
from spartito.training import band_judge as job  # noqa: E402
from spartito.training.data.band_store import BandPiece, write_bands  # noqa: E402


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Busy jazz and calm pop."""
    random, pieces = np.random.default_rng(0), []
    for i in range(12):
        busy = i % 2 == 0
        states = random.integers(55, 67, (160, 4)).astype(np.uint8)
        states[random.random(states.shape) < (0.5 if busy else 0.9)] = 129
        tag = ("jazz",) if busy else ("pop",)
        name = f"{i:02}"
        where = np.array([[0, 160]])
        pieces.append(BandPiece(name, name, states, np.zeros_like(states), where, tag, "free", 120.0))
    path = tmp_path_factory.mktemp("bands") / "store"
    write_bands(path, "x", pieces, split=lambda s: "test" if int(s) >= 8 else "train")
    return path


@pytest.mark.parametrize("kind", job.KINDS)
def test_a_judge_learns_and_comes_back(store, tmp_path, kind):
    said = []
    figures = job.train_judge(store, tmp_path / kind, kind=kind, steps=30, report=said.append)
    assert figures["accuracy"] > 0.8 and figures["linear_accuracy"] > 0.8 and figures["chance"] == 0.5
    assert figures["test_songs"] == 4 and set(figures["each"]) == {"jazz", "pop"}
    told = json.loads((tmp_path / kind / "config.json").read_text())
    assert told["metrics"] == figures and told["tags"] == ["jazz", "pop"] and any("loss" in line for line in said)
    states = np.random.default_rng(1).integers(0, 130, (5, 32, 4)).astype(np.uint8)
    forth, back = (job.probabilities(job.open_judge(tmp_path / kind, tags), states) for tags in (None, ["pop", "jazz"]))
    np.testing.assert_allclose(forth, back[:, ::-1], atol=1e-6)
    assert forth.sum(axis=1) == pytest.approx(np.ones(5))
    with pytest.raises(ModelError, match="rock"):
        job.open_judge(tmp_path / kind, ["rock"])


@pytest.mark.parametrize("kind", job.KINDS)
@pytest.mark.parametrize("layout", ["band", "piano"])
def test_one_hot_states_are_heard_as_states(kind, layout):
    judge = job.StateJudge(job.JudgeConfig(("a", "b", "c"), kind=kind, layout=layout)).eval()
    states = torch.randint(0, 130, (3, 32, 4 if layout == "band" else 6))
    soft = F.one_hot(states, 130).float().requires_grad_(True)
    torch.testing.assert_close(judge(soft), judge(states), atol=1e-5, rtol=1e-5)
    judge(soft)[:, 0].sum().backward()
    assert soft.grad.abs().sum() > 0


def test_halves_share_no_song(store, tmp_path):
    counts = [
        job.train_judge(store, tmp_path / str(half), half=half, steps=1, report=lambda _: None)["songs"]
        for half in (0, 1)
    ]
    assert sum(counts) == 8 and min(counts) > 0


def test_accuracy_is_a_mean_over_tags():
    answers = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.4, 0.6]])
    tags = np.array([[1, 0], [1, 0], [0, 1], [1, 1]], dtype=bool)
    mean, each = job.accuracies(answers, tags)
    assert each == {0: 1.0, 1: 0.5} and mean == 0.75


def test_what_is_no_judge(tmp_path):
    with pytest.raises(ModelError):
        job.open_judge(tmp_path)
    with pytest.raises(ParameterError):
        job.JudgeConfig(("a", "b"), kind="oracle")
    with pytest.raises(ParameterError):
        job.JudgeConfig(("a",))
