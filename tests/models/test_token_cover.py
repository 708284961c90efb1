"""The network of the token model: its sizes, and that writing step by step asks what training asks."""

from __future__ import annotations

import pytest

from spartito.errors import ParameterError

torch = pytest.importorskip("torch")
from spartito.models.cover_tokens import END  # noqa: E402
from spartito.models.token_cover import TokenCover, TokenCoverConfig  # noqa: E402
from spartito.training.token_cover import told_of  # noqa: E402


def network() -> TokenCover:
    torch.manual_seed(0)
    made = TokenCover(TokenCoverConfig.tiny()).eval()
    for layer in (made.to_keys, made.to_features):
        torch.nn.init.normal_(layer.weight)  # so that what was written matters
    return made


def inputs(count: int = 2):
    torch.manual_seed(1)
    metre = torch.zeros(count, 16, 3, dtype=torch.long)
    metre[..., 0], metre[..., 1] = torch.arange(16) % 4, 4
    return torch.rand(count, 4, 264, 88), torch.rand(count, 16, 36), metre, torch.zeros(count, 7, dtype=torch.long)


def test_the_shipped_size():
    assert sum(p.numel() for p in TokenCover().parameters()) == 3_238_339
    assert TokenCoverConfig.from_dict(TokenCoverConfig().to_dict()) == TokenCoverConfig()
    with pytest.raises(ParameterError, match="hight"):
        TokenCoverConfig.from_dict({"hight": 3})


def test_writing_step_by_step_asks_what_training_asks():
    """Two windows, one told three notes, the other one: every cell behind a note has the same logit both ways."""
    tokens = torch.tensor(
        [
            [[0, 0, 10, 2, 3], [0, 1, 40, 1, 4], [5, 1, 87, 0, 5], [END, 0, 0, 0, 0]],
            [[7, 1, 3, 0, 0], [END, 0, 0, 0, 0], [END, 0, 0, 0, 0], [END, 0, 0, 0, 0]],
        ]
    )
    told = torch.zeros(2, 32, 88, dtype=torch.bool)
    details = torch.zeros(2, 32, 88, 3, dtype=torch.long)
    for window, (position, hand, key, duration, velocity) in (
        (0, tokens[0, 0]),
        (0, tokens[0, 1]),
        (0, tokens[0, 2]),
        (1, tokens[1, 0]),
    ):
        told[window, position, key] = True
        details[window, position, key] = torch.stack([hand, duration, velocity])
    net, given = network(), inputs()
    with torch.no_grad():
        learned = net(*given, tell=lambda evidence: told_of(told, details, tokens))
        known = net.encode(*given)
        past = known.memory.new_zeros(*known.memory.shape[:4], 0, known.memory.shape[-1])
        mark = torch.tensor([[END, 0, 0, 0, 0]])
        last, shown = torch.tensor([-1, -1]), torch.zeros(2, 32 * 88)
        for row in range(4):  # each cell is asked under the last note before it
            token = mark.expand(2, -1) if row == 0 else tokens[:, row - 1]
            if row:
                last = torch.where(token[:, 0] < END, 88 * token[:, 0] + token[:, 2], last)
            hidden, past = net.step_on(token, past, known.memory, known.asked)
            logits = (net.judge(hidden, known.steps, known.cells) + known.cells[..., 0]).flatten(1)
            fresh = (token[:, :1] < END) | (row == 0)
            shown = torch.where((torch.arange(32 * 88) > last[:, None]) & fresh, logits, shown)
            if row == 1:  # the note at key 40 of the first window is asked under the one at key 10
                hand, duration, velocity = net.detail(hidden, known.steps[:, 0], known.cells[:, 0, 40], tokens[:, 1, 2])
                torch.testing.assert_close(hand[0], learned.hand[1])
                torch.testing.assert_close(duration[0, 1], learned.duration[1])
                torch.testing.assert_close(velocity[0, 1, 1], learned.velocity[1])
    torch.testing.assert_close(learned.cells.flatten(1), shown, atol=1e-4, rtol=1e-4)


def test_what_is_asked_and_what_is_heard_reach_the_evidence():
    net = network()
    frames, chords, metre, controls = inputs(1)
    torch.nn.init.normal_(net.hearing.asked[1].weight)
    with torch.no_grad():
        free = net.encode(frames, chords, metre, controls).evidence
        dense = net.encode(frames, chords, metre, controls + torch.tensor([0, 5, 0, 0, 0, 0, 0])).evidence
        silent = net.encode(torch.zeros_like(frames), chords, metre, controls).evidence
    assert not torch.allclose(free, dense) and not torch.allclose(free, silent)


def test_later_notes_do_not_reach_back():
    """Changing a note told changes only the cells behind it."""
    net, given = network(), inputs(1)
    told = torch.zeros(1, 32, 88, dtype=torch.bool)
    told[0, 4, 30] = told[0, 9, 50] = True
    details = torch.zeros(1, 32, 88, 3, dtype=torch.long)
    tokens = torch.tensor([[[4, 0, 30, 0, 0], [END, 0, 0, 0, 0]]])
    with torch.no_grad():
        one = net(*given, tell=lambda evidence: told_of(told, details, tokens)).cells.flatten()
        details[0, 9, 50, 1] = 5
        other = net(*given, tell=lambda evidence: told_of(told, details, tokens)).cells.flatten()
    cell = 9 * 88 + 50
    torch.testing.assert_close(one[: cell + 1], other[: cell + 1])
    assert not torch.allclose(one[cell + 1 :], other[cell + 1 :])
