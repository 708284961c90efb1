"""Training a classifier of genre on a store made by hand, measuring it, and running it without torch."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spartito.errors import ModelError, ParameterError
from spartito.notes.phrases import rolls as phrase_rolls

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from spartito.training.data.genre_store import GridPiece, save_pieces  # noqa: E402
from spartito.training.genre_classifier import (  # noqa: E402
    RECIPES,
    measured,
    open_classifier,
    published_rate,
    temperature_of,
    train_classifier,
)

QUICK = ("loop.steps=60", "loop.validate_every=60", "loop.warmup=5", "loop.learning_rate=0.01", "tested=20")


def piece(name: str, pitches: tuple[int, ...], rng: np.random.Generator, bars: int = 8) -> GridPiece:
    """Chords on every beat, moved by up to a fifth."""
    step = np.repeat(np.arange(0, 16 * bars, 4), len(pitches))
    pitch = np.tile(pitches, 4 * bars) + int(rng.integers(-5, 6))
    notes = np.column_stack([step, np.full_like(step, 2), pitch, np.full_like(step, 64), np.ones_like(step)])
    return GridPiece(name, name, notes, step.astype(float), np.array([[0, 16 * bars]]))


@pytest.fixture
def store(tmp_path):
    """Major triads are pop, major sevenths of as many notes jazz."""
    rng = np.random.default_rng(0)
    for split in ("train", "judge", "validation", "test"):
        for genre, pitches in (("jazz", (48, 64, 67, 71)), ("pop", (48, 55, 64, 72))):
            made = [piece(f"{split}{i}", pitches, rng) for i in range(6)]
            save_pieces(tmp_path / "store" / genre / split / "made.npz", made)
    return tmp_path / "store"


@pytest.mark.parametrize("kind", ["shipped", "independent", "evaluation", "published"])
def test_chords_are_told_apart(store, tmp_path, kind):
    said = []
    settings = [*QUICK, "network.width=8", *(["epochs=0"] if kind == "published" else [])]
    run = train_classifier(
        store, tmp_path / "run", pair=("pop", "jazz"), kind=kind, settings=settings, report=said.append
    )
    config = json.loads((run / "config.json").read_text())
    assert config["pair"] == ["jazz", "pop"] and config["kind"] == kind and 0.2 < config["temperature"] < 9
    found = config["metrics"]["test"]
    assert found["noise"]["0"] >= (75 if kind == "published" else 90)  # absolute pitch says less here
    assert config["metrics"]["different test phrases"] <= found["phrases"]
    assert list(found["noise"]) == ["0", "0.01", "0.1", "0.2", "0.3", "0.5"]
    network = open_classifier(run)
    assert config["parameters"] == sum(p.numel() for p in network.parameters())
    assert not any(p.requires_grad for p in network.parameters())
    jazz = phrase_rolls(piece("x", (50, 66, 69, 73), np.random.default_rng(1)).notes, [0])
    if kind != "published":
        assert network(torch.from_numpy(jazz).float())[0].diff() < 0


def test_measured_counts_by_hand():
    """A judge that calls a phrase B when more than half of its cells sound; noise does not change a mean of cells."""

    class Loud(torch.nn.Module):
        def forward(self, rolls):
            share = rolls[:, -1].mean(dim=(1, 2))
            return torch.stack([0.5 - share, share - 0.5], dim=1)

    rolls = torch.zeros(4, 2, 64, 84)
    rolls[2:] = 1
    rolls[3] = 0  # one of B is silent
    found = measured(Loud(), rolls, torch.tensor([0, 0, 1, 1]))
    assert found["noise"] == dict.fromkeys(["0", "0.01", "0.1", "0.2", "0.3", "0.5"], 75.0)
    assert found["of each genre"] == [100.0, 50.0] and found["phrases"] == 4 and found["flips"]["0.02"] == 75.0


def test_temperature():
    """Logits of +-4 that are right three times in four: log 3 is what they should be between the two classes."""
    logits = torch.tensor([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0], [4.0, 0.0]])
    assert temperature_of(logits, torch.tensor([0, 0, 0, 1])) == pytest.approx(4 / np.log(3), rel=0.05)


def test_the_published_schedule():
    recipe = RECIPES["published"]
    loop = type(recipe.loop)(steps=100, learning_rate=2e-4)
    assert [published_rate(step, loop) for step in (0, 50, 75, 100)] == pytest.approx([2e-4, 2e-4, 1e-4, 0.0])
    assert recipe.spoiling == type(recipe.spoiling)() and recipe.network.width == 64 and recipe.epochs == 20


def test_bad_input(store, tmp_path):
    for wrong in (("pop", "rock"), ("pop", "pop"), ("pop",)):
        with pytest.raises(ParameterError, match=r"genre|two of"):
            train_classifier(store, tmp_path / "run", pair=wrong)
    with pytest.raises(ParameterError, match="published"):
        train_classifier(store, tmp_path / "run", pair=("jazz", "pop"), kind="best")
    with pytest.raises(ParameterError, match="no pieces of classic"):
        train_classifier(store, tmp_path / "run", pair=("classic", "pop"))
    with pytest.raises(ParameterError, match="no setting 'depth'"):
        train_classifier(store, tmp_path / "run", pair=("jazz", "pop"), settings=["depth=3"])
    with pytest.raises(ModelError, match="no run"):
        open_classifier(tmp_path)


def test_command(store, tmp_path):
    from typer.testing import CliRunner

    from spartito.training.cli import app

    asked = ["genre-classifier", str(store), "-o", str(tmp_path / "run"), "--kind", "independent", "--licence", "CC0"]
    quick = [part for setting in (*QUICK, "network.width=8", "loop.steps=6") for part in ("--set", setting)]
    result = CliRunner().invoke(app, [*asked, "--pair", "jazz,pop", *quick])
    assert result.exit_code == 0, result.output
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["licence"] == "CC0" and config["recipe"]["split"] == "judge"
    assert CliRunner().invoke(app, [*asked, "--pair", "jazz"]).exit_code != 0
