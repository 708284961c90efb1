"""The networks of genre transfer: sizes, padding, what a fresh generator gives."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from spartito.errors import ParameterError  # noqa: E402
from spartito.models.cyclegan import (  # noqa: E402
    CycleGan,
    CycleGanConfig,
    Discriminator,
    DiscriminatorConfig,
    Generator,
    GeneratorConfig,
    SameConv,
    SameTransposed,
    same_pad,
)


def size(module):
    return sum(p.numel() for p in module.parameters())


def test_published_networks_have_the_published_numbers_of_weights():
    assert size(Generator(GeneratorConfig.published())) == 12_551_552
    assert size(Discriminator(DiscriminatorConfig.published())) == 819_008


def test_kernels_of_the_papers_table():
    # 1*64*16 + 64*256*16 + 2*256 + 256*1
    assert size(Discriminator(DiscriminatorConfig.published(kernels=(4, 4, 1)))) == 263_936


def test_a_shipped_generator_is_below_half_a_megabyte():
    assert 2 * size(Generator()) < 500_000


@pytest.mark.parametrize(
    "generator, discriminator",
    [
        (GeneratorConfig.published(width=2, blocks=1), DiscriminatorConfig.published(width=2)),
        (GeneratorConfig(width=4, blocks=1), DiscriminatorConfig(width=4)),
        (GeneratorConfig(layout="published", width=2, blocks=1), DiscriminatorConfig(width=4, kernels=(7, 7, 7))),
    ],
)
def test_shapes(generator, discriminator):
    phrases = torch.zeros(3, generator.channels, 64, 84)
    assert Generator(generator)(phrases).shape == phrases.shape
    assert Discriminator(discriminator)(phrases).shape == (3, 1, 16, 21)


def test_padding_of_strides_puts_the_odd_zero_behind():
    x = torch.ones(1, 1, 64, 84)
    padded = same_pad(x, kernel=7, stride=2)  # 64 -> 32: 2 before, 3 after
    assert padded.shape == (1, 1, 69, 89)
    assert padded[0, 0, 1].sum() == 0 and padded[0, 0, 2].sum() == 84 and padded[0, 0, 66].sum() == 0
    assert same_pad(x, kernel=3, stride=2).shape == (1, 1, 65, 85)  # 0 before, 1 after
    assert same_pad(x, kernel=3, stride=2)[0, 0, 0, 0] == 1
    assert same_pad(x, kernel=7, stride=1).shape == (1, 1, 70, 90)  # 3 and 3


def test_impulse_through_a_strided_convolution():
    """k3 s2, 0 before and 1 after: output i looks at inputs 2i, 2i+1, 2i+2; an impulse at 2 meets weights 2 and 0."""
    conv = SameConv(1, 1, 3, stride=2)
    conv.weight.data = torch.arange(9.0).view(1, 1, 3, 3)
    x = torch.zeros(1, 1, 8, 8)
    x[0, 0, 2, 4] = 1
    expected = torch.zeros(4, 4)
    expected[0, 1], expected[0, 2], expected[1, 1], expected[1, 2] = 8, 6, 2, 0
    assert torch.equal(conv(x)[0, 0].detach(), expected)


def test_impulse_through_a_transposed_convolution():
    """An impulse at (1, 1) spreads from (2, 2) on; one at the end loses its last row and column."""
    conv = SameTransposed(1, 1)
    conv.weight.data = torch.arange(9.0).view(1, 1, 3, 3)
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 1, 1] = 1
    out = conv(x)[0, 0].detach()
    assert out.shape == (8, 8)
    assert torch.equal(out[2:5, 2:5], torch.arange(9.0).view(3, 3)) and out.sum() == 36
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 3, 3] = 1
    assert torch.equal(conv(x)[0, 0].detach()[6:, 6:], torch.tensor([[0.0, 1.0], [3.0, 4.0]]))


def test_a_fresh_generator_with_skip_gives_its_input_and_one_without_does_not():
    torch.manual_seed(0)
    phrases = (torch.rand(4, 2, 64, 84) < 0.035).float()
    with torch.no_grad():
        assert torch.equal((Generator()(phrases) > 0).float(), phrases)
        without = Generator(GeneratorConfig(skip=False))(phrases)
    assert not torch.equal((without > 0).float(), phrases)


def test_instance_normalisation_is_of_one_phrase_and_biased():
    network = Discriminator(DiscriminatorConfig.published(width=4, kernels=(4, 4, 1)))
    x = torch.randn(2, 16, 16, 21)
    normal = network.body[3]
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), unbiased=False, keepdim=True)
    expected = (x - mean) / (variance + 1e-5).sqrt() * normal.weight.view(1, -1, 1, 1)
    np.testing.assert_allclose(normal(x).detach(), expected.detach(), atol=1e-5)


def test_models_and_extra_discriminators():
    tiny = {"generator": GeneratorConfig(width=4, blocks=1), "discriminator": DiscriminatorConfig(width=4)}
    assert len(CycleGan(CycleGanConfig(model="base", **tiny)).discriminators()) == 2
    assert len(CycleGan(CycleGanConfig(model="full", **tiny)).discriminators()) == 4


def test_configuration_round_trip_and_refusals():
    config = CycleGanConfig(model="full", generator=GeneratorConfig(width=8))
    assert CycleGanConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ParameterError, match="no setting 'depth'"):
        CycleGanConfig.from_dict({"depth": 3})
    with pytest.raises(ParameterError, match="base, partial, full"):
        CycleGanConfig(model="whole")
    with pytest.raises(ParameterError, match="same channels"):
        CycleGanConfig(generator=GeneratorConfig.published())
    with pytest.raises(ParameterError, match="lite, published"):
        Generator(GeneratorConfig(layout="large"))
