"""The network of the idiom model: its size, and that writing note by note asks what training asks."""

from __future__ import annotations

import pytest

from spartito.errors import ParameterError

torch = pytest.importorskip("torch")
from spartito.models.idiom import FIRST_KEY, Idiom, IdiomConfig, Known  # noqa: E402
from spartito.models.idiom_tokens import END, HEARD, SIZES  # noqa: E402

TOKENS = [[2, 0, 20, 3, 4], [2, 1, 30, 1, 1], [9, 0, 25, 0, 0], [40, 1, 50, 5, 7]]


def network() -> Idiom:
    torch.manual_seed(0)
    net = Idiom(IdiomConfig.tiny()).eval()
    for parameter in net.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.4)  # so that everything matters
    return net


def inputs(count: int = 1):
    torch.manual_seed(1)
    rows = torch.stack([torch.randint(0, n, (count, HEARD)) for n in SIZES], dim=-1)
    return rows, torch.rand(count, HEARD, 24).round(), torch.ones(count, 5, dtype=torch.long)


def test_the_shipped_size():
    assert sum(p.numel() for p in Idiom().parameters()) == 1_058_735
    assert IdiomConfig.from_dict(IdiomConfig().to_dict()) == IdiomConfig()
    with pytest.raises(ParameterError, match="hight"):
        IdiomConfig.from_dict({"hight": 3})
    with pytest.raises(ParameterError, match="heads"):
        Idiom(IdiomConfig(width=18, heads=5))


def test_writing_note_by_note_asks_what_training_asks():
    net, told = network(), inputs()
    tokens = torch.tensor([[*TOKENS, [END, 0, 0, 0, 0]]])
    with torch.no_grad():
        whole = net(*told, tokens)
        known = net.encode(*told)
        past = torch.zeros(1, 2, 2, 2, 0, 8)
        new = torch.tensor([[[END, 0, 0, 0, 0], TOKENS[0]]])  # two at once, then one by one
        for i in range(1, 5):
            hidden, position, past = net.step_on(new, past, known)
            assert torch.allclose(position, whole.position[:, i], atol=1e-5)
            if i < 4:
                step, _, key, _, _ = TOKENS[i]
                before, _, last, _, _ = TOKENS[i - 1]
                cell, seen = known.cells[:, step], known.seen[:, step]
                keys = net.keys(hidden, cell, torch.tensor([step - before]), torch.tensor([last]), seen)
                assert torch.allclose(keys[0], whole.key[i], atol=1e-5)
                hands, durations, _ = net.detail(hidden, cell, torch.tensor([key]), seen)
                assert torch.allclose(hands[0], whole.hand[i], atol=1e-5)
                assert torch.allclose(durations[0, TOKENS[i][1]], whole.duration[i], atol=1e-5)
                new = torch.tensor([[TOKENS[i]]])
        assert past.shape == (1, 2, 2, 2, 5, 8)
        first = net.step_on(new.new_tensor([[[END, 0, 0, 0, 0]]]), past[:, :, :, :, :0], known)[0]
        keys = net.keys(first, known.cells[:, 2], torch.tensor([2]), torch.tensor([FIRST_KEY]), known.seen[:, 2])
        assert torch.allclose(keys[0], whole.key[0], atol=1e-5)


def test_a_note_cannot_begin_before_the_last_and_knows_nothing_of_later_ones():
    net, told = network(), inputs()
    one, other = torch.tensor([TOKENS]), torch.tensor([[*TOKENS[:2], [30, 1, 60, 2, 2], [41, 0, 12, 1, 1]]])
    with torch.no_grad():
        a, b = net(*told, one), net(*told, other)
    assert (a.position[0, 3, :9] < -1e3).all() and (a.position[0, 3, 9:] > -1e3).all()
    assert torch.equal(a.position[:, :3], b.position[:, :3]) and torch.equal(a.key[:2], b.key[:2])
    assert not torch.allclose(a.position[:, 3], b.position[:, 3])


def test_intervals_above_the_root_are_seen_alike_in_all_keys():
    """With only the view from the root, a chord a tone higher moves the logits of the keys by a tone."""
    net = network()
    for layer in (net.to_key, net.to_interval, net.to_under):
        torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(net.to_key.bias)
    hidden, cell = torch.rand(1, 16), torch.rand(1, 8)
    wait, last = torch.tensor([1]), torch.tensor([40])
    c, d = (net.keys(hidden, cell, wait, last, torch.tensor([[50, root]])) for root in (0, 2))
    assert torch.allclose(c[0, :-2], d[0, 2:]) and not torch.allclose(c, d)
    assert isinstance(net.encode(*inputs()), Known)
