"""Phrases for classifiers of genre: drawn evenly, matched in notes, spoiled as asked."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import ParameterError

torch = pytest.importorskip("torch")
from spartito.training.data.genre_store import GridPiece, open_store, save_pieces  # noqa: E402
from spartito.training.genre_batches import (  # noqa: E402
    Phrases,
    Spoiling,
    matched_chances,
    onsets_in,
    spoiled,
    transposed,
    without,
)


def piece(name: str, work: str, bars: int, every: int, pitch: int = 60) -> GridPiece:
    """A note of one step every `every` steps."""
    step = np.arange(0, 16 * bars, every)
    notes = np.column_stack([step, np.ones_like(step), np.full_like(step, pitch), step * 0 + 64, step * 0 + 1])
    return GridPiece(name, work, notes, step.astype(float), np.array([[0, 16 * bars]]))


def store(folder, genre: str, *pieces: GridPiece):
    save_pieces(folder / genre / "train" / "made.npz", pieces)
    return open_store(folder, genre, "train")


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_every_work_is_drawn_equally_often(tmp_path):
    long, short, version = piece("a", "A", 16, 4), piece("b", "B", 4, 4), piece("b2", "B", 4, 4)
    pieces = store(tmp_path, "jazz", long, short, version)
    phrases = Phrases.of([pieces, pieces], hop=16)
    assert len(phrases.windows[0]) == 13 + 1 + 1
    by_piece = np.bincount(phrases.windows[0][:, 0], weights=phrases.chances[0])
    assert np.allclose(by_piece, [0.5, 0.25, 0.25])
    assert np.allclose(Phrases.of([pieces, pieces], hop=64, even=False).chances[0], 1 / 6)


def test_drawn_phrases_and_labels(tmp_path):
    jazz, pop = store(tmp_path, "jazz", piece("a", "A", 8, 4)), store(tmp_path, "pop", piece("b", "B", 8, 8, pitch=72))
    rolls, labels = Phrases.of([jazz, pop], hop=16).draw(3, np.random.default_rng(0))
    assert rolls.shape == (6, 2, 64, 84) and labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert rolls[:, 0].sum(dim=(1, 2)).tolist() == [16] * 3 + [8] * 3
    assert rolls[:3, 0, 0, 60 - 24].tolist() == [1] * 3 and rolls[3:, 0, 0, 72 - 24].tolist() == [1] * 3
    rolls, labels = Phrases.of([jazz, pop], hop=64).draw(100, np.random.default_rng(0), again=False)
    assert labels.tolist() == [0, 0, 1, 1]  # two phrases of each, and no more


def test_without_phrases(tmp_path):
    empty = piece("a", "A", 4, 4)
    pieces = store(tmp_path, "jazz", GridPiece("a", "A", empty.notes[:1], empty.place[:1], empty.regions))
    with pytest.raises(ParameterError, match="no phrase of four bars of jazz"):
        Phrases.of([pieces, pieces], hop=16)


def test_matched_in_notes(tmp_path):
    """A has phrases of 16 (two works) and 64 notes, B of 16 and 8: both are drawn from those of 16 alone."""
    a = store(tmp_path, "jazz", piece("a", "A", 4, 4), piece("b", "B", 4, 4), piece("c", "C", 4, 1))
    b = store(tmp_path, "pop", piece("a", "A", 4, 4), piece("b", "B", 4, 8))
    assert onsets_in(a, a.windows(hop=16)).tolist() == [16, 16, 64]
    phrases = Phrases.of([a, b], hop=16, matched=True)
    assert np.allclose(phrases.chances[0], [0.5, 0.5, 0]) and np.allclose(phrases.chances[1], [1, 0])
    shares = matched_chances([np.array([10, 30]), np.array([10, 30])], [np.array([0.9, 0.1]), np.array([0.3, 0.7])])
    assert np.allclose(shares[0], [0.75, 0.25]) and np.allclose(shares[1], [0.75, 0.25])  # 0.3 and 0.1 in common
    with pytest.raises(ParameterError, match="as many notes"):
        matched_chances([np.array([10]), np.array([100])], [np.ones(1), np.ones(1)])


def test_transposed():
    rolls = torch.zeros(2, 2, 64, 84)
    rolls[..., 0, 40] = 1
    rolls[..., 1, 83] = 1
    moved = transposed(rolls, torch.tensor([2, -3]))
    assert moved[0, 1].nonzero().tolist() == [[0, 42]]  # the highest has left
    assert moved[1, 1].nonzero().tolist() == [[0, 37], [1, 80]]


def test_a_note_taken_away_sounds_no_more():
    onset, sounding = torch.zeros(1, 64, 84), torch.zeros(1, 64, 84)
    sounding[0, 0:12, 40] = 1  # held into the phrase for four steps, then struck at 4 and at 8
    onset[0, 4, 40] = onset[0, 8, 40] = 1
    gone = torch.zeros_like(onset)
    gone[0, 4, 40] = 1
    assert without(sounding, onset, gone)[0, :, 40].nonzero().flatten().tolist() == [0, 1, 2, 3, 8, 9, 10, 11]


def test_spoiling():
    rolls = torch.zeros(40, 2, 64, 84)
    rolls[:, 1, ::4, 20:60:4] = rolls[:, 0, ::4, 20:60:4] = 1
    assert torch.equal(spoiled(rolls, Spoiling(), generator()), rolls)
    thin = spoiled(rolls, Spoiling(thinned=0.5), generator())
    assert torch.equal(thin[:, 0], thin[:, 1])  # each lasts a step, and onset and sound go together
    assert 0.15 < 1 - float(thin.sum() / rolls.sum()) < 0.35  # half at most, a quarter in the mean
    flipped = spoiled(rolls, Spoiling(flips=0.02), generator())
    assert 0.006 < float((flipped[:, 1] != rolls[:, 1]).float().mean()) < 0.014
    assert not (flipped[:, 0] > flipped[:, 1]).any()  # an onset sounds
    soft = spoiled(rolls, Spoiling(soft=0.4), generator())
    assert torch.equal((soft > 0.5).float(), rolls) and 0.3 < float(soft[rolls == 0].max()) <= 0.4
    noisy = spoiled(rolls, Spoiling(noise=1.0), generator()) - rolls
    assert float(noisy[0].std()) != float(noisy[1].std()) and float(noisy.std(dim=(1, 2, 3)).max()) < 0.51
    long = torch.zeros(40, 2, 64, 84)
    long[:, 1, 0:8, 40] = 1
    long[:, 0, 0, 40] = long[:, 0, 4, 40] = 1  # one key twice, without a gap
    merged = spoiled(long, Spoiling(merged=0.5), generator())[:, 0].sum(dim=(1, 2))
    assert set(merged.tolist()) == {1.0, 2.0}
