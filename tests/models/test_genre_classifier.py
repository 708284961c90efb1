"""Classifiers of genre: sizes and layers as published, and counts worked out by hand."""

from __future__ import annotations

import pytest

from spartito.errors import ParameterError

torch = pytest.importorskip("torch")
from spartito.models.genre_classifier import (  # noqa: E402
    BAR,
    CHANGES,
    CHORD_REACH,
    LAGS,
    PULSE_GAIN,
    REACH,
    GenreClassifierConfig,
    counts,
    make_classifier,
    onsets_of,
)

KINDS = (("published", 64, 1_156_608), ("published", 22, 138_864), ("intervals", 64, 40_886), ("octaves", 16, 39_042))


def phrase(*notes: tuple[int, int, int]) -> torch.Tensor:
    """(1, 2, 64, 84) roll of notes: step, duration in steps, MIDI pitch."""
    rolls = torch.zeros(1, 2, 64, 84)
    for step, duration, pitch in notes:
        rolls[0, 0, step, pitch - 24] = 1
        rolls[0, 1, step : step + duration, pitch - 24] = 1
    return rolls


@pytest.mark.parametrize(("kind", "width", "parameters"), KINDS)
def test_sizes(kind, width, parameters):
    network = make_classifier(GenreClassifierConfig(kind, width)).eval()
    assert sum(p.numel() for p in network.parameters()) == parameters
    with torch.no_grad():
        assert network(torch.rand(3, 2, 64, 84)).shape == (3, 2)
        assert network(torch.rand(1, 1, 64, 84)).shape == (1, 2)


def test_layers_as_published():
    network = make_classifier(GenreClassifierConfig())
    kernels = [tuple(conv.weight.shape) for conv in network.convs]
    assert kernels == [(64, 1, 1, 12), (128, 64, 4, 1), (256, 128, 2, 1), (512, 256, 8, 1), (2, 512, 1, 7)]
    assert [conv.stride for conv in network.convs] == [(1, 12), (4, 1), (2, 1), (8, 1), (1, 7)]
    assert all(conv.bias is None for conv in network.convs)
    assert 0.015 < float(network.convs[3].weight.detach().std()) < 0.02  # a normal of 0.02 cut at twice that
    assert float(network.convs[3].weight.detach().abs().max()) <= 0.04


def test_the_published_one_sees_minus_one_and_one():
    """With one weight of 1 in the first kernel the first layer gives that cell of each octave, leaky below 0."""
    network = make_classifier(GenreClassifierConfig("published", 1))
    for conv in network.convs:
        torch.nn.init.zeros_(conv.weight)
    network.convs[0].weight.data[0, 0, 0, 3] = 1.0
    seen = []
    network.convs[1].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network(phrase((5, 1, 24 + 12 + 3)))
    assert seen[0].shape == (1, 1, 64, 7)
    assert float(seen[0][0, 0, 5, 1]) == 1.0
    assert float(seen[0][0, 0, 5, 0]) == pytest.approx(-0.2)


def test_the_published_one_looks_at_what_sounds():
    network = make_classifier(GenreClassifierConfig("published", 4)).eval()
    rolls = (torch.rand(2, 2, 64, 84) < 0.1).float()
    other = rolls.clone()
    other[:, 0] = 0
    with torch.no_grad():
        torch.testing.assert_close(network(rolls), network(other))
        torch.testing.assert_close(network(rolls), network(rolls[:, 1:]))


def test_onsets_of_a_single_channel_are_rising_edges():
    rolls = phrase((0, 2, 60), (2, 2, 60), (8, 4, 64))
    assert torch.equal(onsets_of(rolls), rolls[:, 0])
    edges = onsets_of(rolls[:, 1:])
    assert sorted(map(tuple, edges[0].nonzero().tolist())) == [(0, 36), (8, 40)]  # the repeated note is one


def test_counts_by_hand():
    """C4 for four steps, then E4 for two: one pair of onsets, four steps and four semitones apart."""
    found = torch.expm1(counts(phrase((0, 4, 60), (4, 2, 64))))[0] / PULSE_GAIN
    notes, cells = 2 + 4.0, 6 + 4.0  # with what is added so that few notes count little
    wide = 2 * REACH + 1
    follows = found[: len(LAGS) * wide].reshape(len(LAGS), wide) * notes
    assert [
        (lag, k - REACH, round(float(v), 3)) for lag, k in follows.nonzero().tolist() for v in [follows[lag, k]]
    ] == [
        (0, 0, 2.0),
        (4, 4, 1.0),
    ]
    at = len(LAGS) * wide
    together, above = found[at : at + 2 * (CHORD_REACH + 1)].reshape(2, -1) * cells
    assert together.nonzero().flatten().tolist() == [0] and above.nonzero().flatten().tolist() == [0]
    assert float(together[0]) == pytest.approx(6.0) and float(above[0]) == pytest.approx(6.0)
    at += 2 * (CHORD_REACH + 1)
    changes = found[at : at + 12 * len(CHANGES)].reshape(len(CHANGES), 12) * cells
    assert float(changes[0, 4]) == pytest.approx(2.0)  # E a beat after C, for two steps
    assert float(changes[0, 8]) == 0.0 and float(changes[1].sum()) == 0.0
    at += 12 * len(CHANGES)
    bar = found[at : at + BAR] * notes
    assert bar.nonzero().flatten().tolist() == [0, 4]


def test_intervals_above_the_lowest_note():
    """C3, E4, B4 together: 16 and 23 semitones above the bass; among all also the seven between E and B."""
    found = torch.expm1(counts(phrase((0, 1, 48), (0, 1, 64), (0, 1, 71))))[0] / PULSE_GAIN
    at = len(LAGS) * (2 * REACH + 1)
    together, above = found[at : at + 2 * (CHORD_REACH + 1)].reshape(2, -1)
    assert together.nonzero().flatten().tolist() == [0, 7, 16, 23]
    assert above.nonzero().flatten().tolist() == [0, 16, 23]


@pytest.mark.parametrize("kind", ["intervals", "octaves"])
def test_own_kinds_see_notes_not_shades(kind):
    torch.manual_seed(0)
    network = make_classifier(GenreClassifierConfig(kind, 8)).eval()
    rolls = (torch.rand(2, 2, 64, 84) < 0.05).float()
    shaded = (rolls - 0.4).abs()
    with torch.no_grad():
        torch.testing.assert_close(network(rolls), network(shaded))
    network(shaded.requires_grad_()).sum().backward()
    assert shaded.grad is None  # no generator can follow it


def test_transposition_changes_nothing_for_intervals():
    torch.manual_seed(0)
    network = make_classifier(GenreClassifierConfig("intervals", 8)).eval()
    rolls = torch.zeros(1, 2, 64, 84)
    rolls[..., 20:60] = (torch.rand(1, 2, 64, 40) < 0.05).float()
    with torch.no_grad():
        torch.testing.assert_close(network(rolls), network(rolls.roll(7, dims=3)))


def test_unknown_settings():
    with pytest.raises(ParameterError, match="published, intervals, octaves"):
        make_classifier(GenreClassifierConfig("forest"))
    with pytest.raises(ParameterError, match="depth"):
        GenreClassifierConfig.from_dict({"depth": 3})
    with pytest.raises(ParameterError, match="at least 1"):
        make_classifier(GenreClassifierConfig("published", 0))
    assert GenreClassifierConfig.from_dict(GenreClassifierConfig("octaves", 8).to_dict()).width == 8
