"""Losses of the latent space (`training/musae.py`): reconstruction, critic, attributes, and how they come in.

The critic follows I. Gulrajani et al., 'Improved training of Wasserstein GANs' (NIPS 2017), with the signs used there:
it minimises E[D(made)] - E[D(prior)] + 10 E[(|grad D| - 1)^2], and the encoder -E[D(made)]. The equations of Valenti,
Carta and Bacciu have the first two the other way round, as for a critic that maximises, but still add the penalty.

Attributes follow A. Pati and A. Lerch, 'Attribute-based regularization of latent spaces' (Neural Computing and
Applications, 2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from spartito.errors import ParameterError
from spartito.notes.layouts import BAND, Layout

__all__ = [
    "attribute_loss",
    "beta_at",
    "critic_loss",
    "encoder_loss",
    "gradient_penalty",
    "likeness_loss",
    "moment_loss",
    "rate_at",
    "reconstruction",
    "told_elsewhere",
]

PENALTY = 10.0  # lambda of the gradient penalty, published
SHARPNESS = 10.0  # delta of the attribute loss, published
DECAY = 1e-4  # of the learning rate, per update, published
SCHEDULES = ("linear", "paper", "program", "program-gaussian", "first")


def reconstruction(logits: Tensor, states: Tensor, *, layout: Layout = BAND) -> dict[str, Tensor]:
    """Cross-entropy of each track, mean over windows and steps, in nats; their sum is minimised.

    `logits` (B, T, tracks, 130), `states` (B, T, tracks) int64.
    """
    cost = F.cross_entropy(logits.float().movedim(-1, 1), states, reduction="none").mean(dim=(0, 1))
    return dict(zip(layout.tracks, cost))


def critic_loss(made: Tensor, prior: Tensor) -> Tensor:
    """What a critic minimises, without the penalty, from its scores (B,) of both."""
    return made.mean() - prior.mean()


def encoder_loss(made: Tensor) -> Tensor:
    """What an encoder minimises, from the critic's scores (B,) of its codes."""
    return -made.mean()


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], prior: Tensor, made: Tensor, *, share: Tensor | None = None
) -> Tensor:
    """E[(|grad D| - 1)^2] between codes (B, N_z) of the prior and of the encoder; `share` (B, 1) of the prior's."""
    share = torch.rand(len(prior), 1, device=prior.device) if share is None else share
    between = (share * prior.detach() + (1 - share) * made.detach()).requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (slope.norm(dim=1) - 1).square().mean()


def attribute_loss(z: Tensor, values: Tensor, *, deviation: Tensor | float = 1.0) -> Tensor:
    """How far the order of dimensions is from the order of attributes, over all pairs of a batch, 0..2.

    `z` (B, k): the dimensions; `values` (B, k): the attributes. `deviation`, of those dimensions in the prior, makes
    differences comparable whatever the prior.
    """
    z = z.float() / deviation
    apart, truth = z[:, None] - z[None], values[:, None] - values[None]
    return (torch.tanh(SHARPNESS * apart) - truth.sign()).abs().mean()


def moment_loss(white: Tensor, component: Tensor | None = None, *, components: int = 1) -> Tensor:
    """How far mean and deviation of whitened codes (B, N_z) are from 0 and 1, mean of squares over dimensions.

    A critic's slope is bounded, reconstruction's is not: codes that have run away are brought back by this (ours). With
    `component` (B,) int64, up to `components`, the codes of each component are measured for themselves: what tells
    genres apart has then to be told by the dimensions of genre, or a step from petal to petal would change nothing.
    """
    if component is None or components < 2:
        component, components = torch.zeros(len(white), dtype=torch.int64, device=white.device), 1
    member = F.one_hot(component, components + 1).to(white.dtype)  # (B, components and the centre)
    count = member.sum(dim=0)
    mean = (member.T @ white) / count.clamp_min(1)[:, None]
    square = (member.T @ (white - member @ mean).square()) / (count - 1).clamp_min(1)[:, None]
    each = mean.square().mean(dim=1) + ((square + 1e-6).sqrt() - 1).square().mean(dim=1)
    weight = torch.where(count > 1, count, torch.zeros_like(count))  # one code has no deviation
    return (weight * each).sum() / weight.sum().clamp_min(1)


def likeness_loss(codes: Tensor) -> Tensor:
    """How much the dimensions of codes (B, k) tell the same: squared correlations with all others, their sum, mean over
    dimensions; 0 when none does, k - 1 when all are one. In a batch of B it is (k - 1) / (B - 1) by chance.

    Codes that must bear noise are else repeated in several dimensions, and a draw from the prior, in which dimensions
    are independent, looks like no code at all (ours).
    """
    unit = _standard(codes)
    return (unit.T @ unit).square().sum() / codes.shape[1] - 1


def told_elsewhere(others: Tensor, values: Tensor) -> Tensor:
    """How much of attributes (B, k) dimensions tell that are not theirs (B, n): squared correlations, their sum, mean
    over attributes. Of independent dimensions it is the share of an attribute's variance that they foretell linearly,
    plus n / (B - 1) by chance.

    A decoder that hears an attribute in other dimensions, too, does not listen to its slider (ours).
    """
    return (_standard(values).T @ _standard(others)).square().sum() / values.shape[1]


def _standard(x: Tensor) -> Tensor:
    """(B, k) columns of mean 0 and length 1; a constant one is 0."""
    centred = x - x.mean(dim=0)
    return centred / centred.norm(dim=0).clamp_min(1e-6)


# -- schedules ------------------------------------------------------------------------------------------------------


def beta_at(step: int, *, schedule: str = "linear", steps: int = 0, most: float = 1.0, rise: float = 0.6) -> float:
    """Weight of the critic's opinion for the encoder at a step.

    paper: 0.1 more every 10,000 updates, up to 1. program: 0.1 from 5,000, 0.2 from 10,000 on (flower);
    program-gaussian: from 10,000 and 15,000. first: the program's first version, 0.1 more every 5,000. linear (ours):
    from 0 to `most` over the share `rise` of all `steps`.
    """
    if schedule == "linear":
        return most * min(1.0, step / max(1.0, rise * steps))
    if schedule == "paper":
        return min(1.0, step // 10_000 / 10)
    if schedule == "first":
        return min(1.0, step // 5_000 / 10)
    if schedule in ("program", "program-gaussian"):
        first, second = (5_000, 10_000) if schedule == "program" else (10_000, 15_000)
        return 0.2 if step >= second else 0.1 if step >= first else 0.0
    raise ParameterError(f"the schedule of beta is one of {', '.join(SCHEDULES)}, not {schedule!r}")


def rate_at(
    step: int, *, rate: float, decay: str = "cosine", steps: int = 0, warmup: int = 0, final: float = 0.0
) -> float:
    """Learning rate at a step.

    cosine (ours): a warm-up, then half a cosine to `final`. inverse: rate / (1 + 1e-4 step), what the paper's "decay"
    does in Keras: half after 10,000. exponential: rate exp(-1e-4 step), what the paper calls it. constant: the program.
    """
    if decay == "inverse":
        return rate / (1 + DECAY * step)
    if decay == "exponential":
        return rate * math.exp(-DECAY * step)
    if decay == "constant":
        return rate
    if decay != "cosine":
        raise ParameterError(f"the decay is cosine, inverse, exponential or constant, not {decay!r}")
    if step < warmup:
        return rate * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return final + (rate - final) * 0.5 * (1 + math.cos(math.pi * progress))
