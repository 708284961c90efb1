"""The body of the latent space without recurrence: what each code and each step can reach."""

import numpy as np
import pytest
import torch

from spartito.models.musae import MusAE, MusaeConfig
from spartito.models.musae_conv import Near, Reader, Writer


def moved(change: torch.Tensor) -> list[int]:
    """Places (of the middle axis) at which something changed."""
    return np.flatnonzero(change.detach().abs().amax(dim=(0, 2)).numpy() > 1e-6).tolist()


def test_near_sees_one_step_on_either_side():
    torch.manual_seed(0)
    layer, x = Near(6), torch.randn(1, 9, 6)
    other = x.clone()
    other[:, 4] += torch.randn(6)
    assert moved(layer(other) - layer(x)) == [3, 4, 5]


def test_features_of_two_bars_are_beats():
    torch.manual_seed(0)
    reader, x = Reader(5, bars=2, width=6), torch.randn(2, 32, 5)
    assert reader(x).shape == (2, 8, 6) == (2, reader.count, reader.channels)


def test_bars_with_codes_are_read_alone():
    torch.manual_seed(0)
    reader, x = Reader(5, bars=8, width=6, bars_code=4), torch.randn(1, 128, 5)
    other = x.clone()
    other[:, 4 * 16 + 15] += 1  # the last step of the fifth bar
    assert reader(x).shape == (1, 8, 4)
    assert moved(reader(other) - reader(x)) == [2, 3, 4, 5, 6]  # two layers over bars, one bar each way


@pytest.mark.parametrize("bars_code", [0, 4])
def test_a_code_reaches_every_step_and_steps_differ(bars_code):
    torch.manual_seed(0)
    writer, z = Writer(7, bars=2, tracks=3, width=6, bars_code=bars_code), torch.randn(2, 7)
    logits = writer(z)
    assert logits.shape == (2, 32, 3, 130)
    other = z.clone()
    other[:, 5] += 1
    assert moved((writer(other) - logits).flatten(2)) == list(range(32))
    steps = logits[0].flatten(1)
    assert (torch.cdist(steps, steps) + 9 * torch.eye(32)).min() > 1e-4


def test_codes_bear_at_least_the_noise_of_the_floor():
    config = MusaeConfig(body="conv", hidden=8, latent=10, embedding=4, floor=0.25, deviation=0.3, unit=0.5)
    encoder = MusAE(config).encoder
    torch.nn.init.constant_(encoder.spread.bias, -20.0)
    with torch.no_grad():
        _, s = encoder(torch.randint(0, 130, (3, 32, 4)))
    assert (0.5 * s).exp().numpy() == pytest.approx(0.25 * 0.5)
