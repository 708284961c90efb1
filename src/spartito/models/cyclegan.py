"""The networks that carry phrases from one genre into another and back (CycleGAN on piano rolls).

    phrase of genre A (C, 64, 84) -> generator AtoB -> logits of a phrase of genre B -> generator BtoA -> phrase of A
    phrase -> discriminator -> 16 x 21 patches: does this sound like genre A? like B? like music at all?

A phrase is four bars of 4/4, 16 steps each, and 84 keys (MIDI 24..107). One channel (what sounds) as published, or two:
onsets and what sounds, so that repeated notes survive.

Source: G. Brunner, Y. Wang, R. Wattenhofer, S. Zhao, 'Symbolic music genre transfer with CycleGAN' (ICTAI 2018,
https://arxiv.org/abs/1809.07575), after J.-Y. Zhu et al., 'Unpaired image-to-image translation using cycle-consistent
adversarial networks' (ICCV 2017). The published generator has 12,551,552 weights, the published discriminator 819,008:
no biases, instance normalisation, a ReLU behind each addition, and the padding SAME of TensorFlow, which for strides is
asymmetric (`same_pad`) and for transposed convolutions cuts the last row and column off.

Differences, all optional. `lite`: a generator that never computes at full resolution (strided convolution in, pixel
shuffle out; W. Shi et al., CVPR 2016). `skip`: the logits of the output begin with a * (2x - 1), a learnt: on rolls of
which 3 % sound the published network first falls silent, or hides the notes below the threshold, and this one cannot.
`coordinates`: where in the bar and on the keyboard a cell lies. `spectral`: T. Miyato et al., 'Spectral normalization
for generative adversarial networks' (ICLR 2018). Kernels of the discriminator are 4, 4, 1 as in the paper's table, or
7, 7, 7 as in its program.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spartito.errors import ParameterError

__all__ = [
    "CycleGan",
    "CycleGanConfig",
    "Discriminator",
    "DiscriminatorConfig",
    "Generator",
    "GeneratorConfig",
    "same_pad",
]

STEPS, KEYS = 64, 84  # of a phrase
BAR = 16  # steps
DEVIATION = 0.02  # of fresh weights; normal, cut off at two deviations
EPSILON = 1e-5  # of instance normalisation
SLOPE = 0.2  # of leaky ReLUs
SKIP = 2.0  # a of a fresh generator with skip: a probability of 0.88 where the input sounds
COORDINATES = 4  # channels: key, sine and cosine of the place in the bar, place in the beat
MODELS = ("base", "partial", "full")


class _Config:
    """From and to JSON, for the dataclasses below."""

    @classmethod
    def from_dict(cls, values: dict):
        known = {f.name for f in fields(cls)}
        if set(values) - known:
            raise ParameterError(f"a network of genres has no setting {sorted(set(values) - known)[0]!r}")
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

    def to_dict(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class GeneratorConfig(_Config):
    """What defines a generator. The defaults are those of the shipped ones; `published` is the paper's."""

    layout: str = "lite"
    """lite, or published."""
    width: int = 24
    """Channels of the first layer."""
    blocks: int = 4
    """Residual blocks."""
    channels: int = 2
    """1: what sounds; 2: onsets and what sounds."""
    skip: bool = True
    coordinates: bool = True

    @classmethod
    def published(cls, *, width: int = 64, blocks: int = 10) -> GeneratorConfig:
        return cls(layout="published", width=width, blocks=blocks, channels=1, skip=False, coordinates=False)


@dataclass(frozen=True)
class DiscriminatorConfig(_Config):
    """What defines a discriminator."""

    width: int = 32
    kernels: tuple[int, int, int] = (4, 4, 1)
    """(7, 7, 7) is the published program's."""
    channels: int = 2
    spectral: bool = True

    @classmethod
    def published(cls, *, width: int = 64, kernels: tuple[int, int, int] = (7, 7, 7)) -> DiscriminatorConfig:
        return cls(width=width, kernels=kernels, channels=1, spectral=False)


@dataclass(frozen=True)
class CycleGanConfig(_Config):
    """All networks of a pair of genres; stored beside their weights."""

    variant: str = "fixed"
    """fixed, or published: which losses and which training."""
    model: str = "partial"
    """base: no extra discriminators; partial: their music is that of the pair; full: of all genres."""
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)

    def __post_init__(self):
        if self.model not in MODELS:
            raise ParameterError(f"the model is one of {', '.join(MODELS)}, not {self.model!r}")
        if self.variant not in ("published", "fixed"):
            raise ParameterError(f"the variant is published or fixed, not {self.variant!r}")
        if self.generator.channels != self.discriminator.channels:
            raise ParameterError("generators and discriminators see the same channels")

    @classmethod
    def from_dict(cls, values: dict) -> CycleGanConfig:
        parts = {"generator": GeneratorConfig, "discriminator": DiscriminatorConfig}
        return super().from_dict({k: parts[k].from_dict(v) if k in parts else v for k, v in values.items()})


# -- padding --------------------------------------------------------------------------------------------------------


def same_pad(x: Tensor, *, kernel: int, stride: int) -> Tensor:
    """`x` (B, C, time, key) with the zeros around it that TensorFlow's SAME gives: the odd one comes after."""
    pads = []
    for size in (int(x.shape[-1]), int(x.shape[-2])):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


class SameConv(nn.Conv2d):
    """A convolution without bias, padded by `same_pad`."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1):
        super().__init__(inputs, outputs, kernel, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(same_pad(x, kernel=self.kernel_size[0], stride=self.stride[0]))


class SameTransposed(nn.ConvTranspose2d):
    """A transposed convolution without bias that doubles both axes: the last row and column are cut off."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, 3, stride=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[..., :-1, :-1]


def norm(channels: int) -> nn.InstanceNorm2d:
    return nn.InstanceNorm2d(channels, eps=EPSILON, affine=True)


def conv3(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)


# -- generators -----------------------------------------------------------------------------------------------------


class Residual(nn.Module):
    """Two convolutions of three by three around which the input goes; ReLU behind the addition, as published."""

    def __init__(self, channels: int, *, reflect: bool):
        super().__init__()
        around = (nn.ReflectionPad2d(1),) if reflect else ()
        conv = [nn.Conv2d(channels, channels, 3, padding=0 if reflect else 1, bias=False) for _ in range(2)]
        self.body = nn.Sequential(*around, conv[0], norm(channels), nn.ReLU(), *around, conv[1], norm(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


class Generator(nn.Module):
    """Phrases (B, C, 64, 84) of one genre, 0..1, to logits of phrases of another."""

    def __init__(self, config: GeneratorConfig | None = None):
        super().__init__()
        self.config = c = config or GeneratorConfig()
        if c.layout not in LAYOUTS:
            raise ParameterError(f"the layout of a generator is one of {', '.join(LAYOUTS)}, not {c.layout!r}")
        self.body = LAYOUTS[c.layout](c)
        if c.skip:
            self.skip = nn.Parameter(torch.tensor(SKIP))
        if c.coordinates:
            for name, values in zip(("key", "place"), coordinates()):
                self.register_buffer(name, values, persistent=False)
        initialise(self)

    def forward(self, phrases: Tensor) -> Tensor:
        x = phrases
        if self.config.coordinates:
            places = [values.expand(x.shape[0], -1, STEPS, KEYS) for values in (self.key, self.place)]
            x = torch.cat([x, *places], dim=1)
        logits = self.body(x)
        return logits + self.skip * (2 * phrases - 1) if self.config.skip else logits


def published_layers(c: GeneratorConfig) -> nn.Sequential:
    """At width g: g x 64 x 84, 2g x 32 x 42, blocks at 4g x 16 x 21, and back."""
    g = c.width
    return nn.Sequential(
        nn.ReflectionPad2d(3),
        nn.Conv2d(inputs_of(c), g, 7, bias=False),
        *(norm(g), nn.ReLU()),
        SameConv(g, 2 * g, 3, stride=2),
        *(norm(2 * g), nn.ReLU()),
        SameConv(2 * g, 4 * g, 3, stride=2),
        *(norm(4 * g), nn.ReLU()),
        *(Residual(4 * g, reflect=True) for _ in range(c.blocks)),
        SameTransposed(4 * g, 2 * g),
        *(norm(2 * g), nn.ReLU()),
        SameTransposed(2 * g, g),
        *(norm(g), nn.ReLU()),
        nn.ReflectionPad2d(3),
        nn.Conv2d(g, c.channels, 7, bias=False),
    )


def lite_layers(c: GeneratorConfig) -> nn.Sequential:
    """At width g: g x 32 x 42, blocks at 2g x 16 x 21, g x 32 x 42, phrases."""
    g = c.width
    return nn.Sequential(
        SameConv(inputs_of(c), g, 4, stride=2),
        *(norm(g), nn.ReLU()),
        SameConv(g, 2 * g, 3, stride=2),
        *(norm(2 * g), nn.ReLU()),
        *(Residual(2 * g, reflect=False) for _ in range(c.blocks)),
        *(conv3(2 * g, 4 * g), nn.PixelShuffle(2)),
        *(norm(g), nn.ReLU()),
        *(conv3(g, 4 * c.channels), nn.PixelShuffle(2)),
    )


LAYOUTS = {"lite": lite_layers, "published": published_layers}


def inputs_of(c: GeneratorConfig) -> int:
    return c.channels + (COORDINATES if c.coordinates else 0)


def coordinates() -> tuple[Tensor, Tensor]:
    """(1, 1, 1, 84) keys and (1, 3, 64, 1) places: in the bar on a circle, in the beat; all from -1 to 1."""
    step, key = torch.arange(STEPS).float(), torch.arange(KEYS).float()
    turn = 2 * torch.pi * step / BAR
    places = torch.stack([turn.sin(), turn.cos(), (step % 4 - 1.5) / 1.5])
    return (2 * key / (KEYS - 1) - 1)[None, None, None], places[None, :, :, None]


# -- discriminator --------------------------------------------------------------------------------------------------


class Discriminator(nn.Module):
    """Phrases (B, C, 64, 84) to (B, 1, 16, 21): near 1 where they look real."""

    def __init__(self, config: DiscriminatorConfig | None = None):
        super().__init__()
        self.config = c = config or DiscriminatorConfig()
        first, second, last = c.kernels
        layers = [
            SameConv(c.channels, c.width, first, stride=2),
            SameConv(c.width, 4 * c.width, second, stride=2),
            SameConv(4 * c.width, 1, last),
        ]
        for layer in layers:
            initialise(layer)
        if c.spectral:
            layers = [nn.utils.parametrizations.spectral_norm(layer) for layer in layers]
        leaky = [nn.LeakyReLU(SLOPE) for _ in range(2)]
        self.body = nn.Sequential(layers[0], leaky[0], layers[1], norm(4 * c.width), leaky[1], layers[2])
        initialise(self.body[3])

    def forward(self, phrases: Tensor) -> Tensor:
        return self.body(phrases)


def initialise(module: nn.Module) -> None:
    """Fresh weights as published: convolutions N(0, 0.02) cut off at two deviations, scales N(1, 0.02), offsets 0."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.trunc_normal_(part.weight, std=DEVIATION, a=-2 * DEVIATION, b=2 * DEVIATION)
        elif isinstance(part, nn.InstanceNorm2d):
            nn.init.normal_(part.weight, 1.0, DEVIATION)
            nn.init.zeros_(part.bias)


# -- all of a pair --------------------------------------------------------------------------------------------------


class CycleGan(nn.Module):
    """Both generators of a pair, its discriminators and, unless the model is `base`, the extra ones.

    `forward` takes the name of a network, so that training tools which wrap a module see every call.
    """

    def __init__(self, config: CycleGanConfig | None = None):
        super().__init__()
        self.config = c = config or CycleGanConfig()
        self.AtoB, self.BtoA = Generator(c.generator), Generator(c.generator)
        self.D_A, self.D_B = Discriminator(c.discriminator), Discriminator(c.discriminator)
        if c.model != "base":
            self.D_A_music, self.D_B_music = Discriminator(c.discriminator), Discriminator(c.discriminator)

    def forward(self, name: str, phrases: Tensor) -> Tensor:
        return getattr(self, name)(phrases)

    def generators(self) -> list[nn.Module]:
        return [self.AtoB, self.BtoA]

    def discriminators(self) -> list[nn.Module]:
        extra = [] if self.config.model == "base" else [self.D_A_music, self.D_B_music]
        return [self.D_A, self.D_B, *extra]
