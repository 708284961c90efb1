"""The control term of the latent space: what a moved code is decoded to must have what it was moved to.

Job
    Dimensions 0 and 1 of a code are to be the genre, the next ones the attributes. Reconstruction alone does not ask
    that: whatever they tell is told by the other dimensions once more, so a decoder may ignore them. Here codes are
    moved as the user moves them, to another petal or along sliders, decoded, and the decoder learns from what came out.

Method
    By example (`examples`): a window is changed by rules (`musae_variants.py`: thinned, struck again, longer, an octave
    off, ...). The code of the window, with the slider dimensions set to the attributes of the variant, must decode to
    the variant, and the code of the variant, likewise, to the window: plain cross-entropy, for encoder and decoder. So
    the other dimensions learn to leave to the sliders what is theirs.

    By judgement, without examples: of a part of each batch, half is led to the petal of another tag, drawn evenly, and
    a frozen judge (`training/band_judge.py`) must find that tag in the result (`genre`). The other half has one or two
    slider dimensions moved by normal steps; the attributes of the result must then be those of the new quantiles, and
    the ones of the window itself where nothing was moved (`attributes`). They are not estimated by a network:
    `soft_attributes` computes them, exactly and differentiably, from states. Both halves must keep the pitch classes of
    the window (`content`, a hinge on the chroma similarity). States are chosen by arg-max, and gradients pass as if by
    softmax ("straight through"); `noise` adds Gumbel noise before the choice. Codes are detached: only the decoder
    learns from judgements. On a decoder that is sure of itself such gradients move little (`docs/lab-notes.md`).

Source
    Ours. Straight-through choice: Y. Bengio, N. Léonard, A. Courville (2013, https://arxiv.org/abs/1308.3432); Gumbel
    noise: E. Jang, S. Gu, B. Poole, 'Categorical reparameterization with Gumbel-softmax' (ICLR 2017). Classifiers on
    what a moved code gives: Z. Hu et al., 'Toward controlled generation of text' (ICML 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spartito.errors import ParameterError
from spartito.models.musae_prior import Flower, Gaussian
from spartito.notes.band_attributes import ATTRIBUTES, MIDDLE, NormalScale, attributes
from spartito.notes.four_tracks import BAR, SILENT
from spartito.notes.layouts import Layout
from spartito.notes.phrases import STEPS_PER_BEAT
from spartito.training.musae_losses import reconstruction
from spartito.training.musae_variants import variants

__all__ = ["Control", "ControlConfig", "chosen", "chroma_loss", "control_of", "soft_attributes", "soft_chroma"]

Part = Callable[[Tensor], Tensor]
FARTHEST = 2.5  # deviations to which a slider is moved at most
FLOOR = 0.8  # chroma similarity below which content counts as lost


@dataclass(frozen=True)
class ControlConfig:
    """Weights of the parts of the control term, 0: off, and how codes are moved."""

    examples: float = 0.0
    attributes: float = 0.0
    genre: float = 0.0
    content: float = 0.0
    judge: str = ""
    """Folder of a judge of tags (`spartito train latent-judge`); needed for `genre`."""
    start: float = 0.0
    """Share of all steps after which the term begins."""
    part: float = 0.5
    """Of the batch that is changed or moved, and decoded once more."""
    reach: float = 1.2
    """Deviation of the steps that sliders are moved by."""
    noise: float = 0.0
    """Gumbel noise before a state is chosen, 1: states are drawn, 0: the likeliest."""

    @property
    def on(self) -> bool:
        return max(self.examples, self.attributes, self.genre, self.content) > 0


class Control:
    """The control term for one network. `judge` (states or their one-hot form) -> (B, tags) logits, frozen."""

    def __init__(
        self,
        config: ControlConfig,
        *,
        prior: Gaussian | Flower,
        scale: NormalScale,
        layout: Layout,
        attributes: int,
        judge: nn.Module | None = None,
    ):
        if config.genre > 0 and not isinstance(prior, Flower):
            raise ParameterError(
                "a genre is controlled by the petals of a flower: take --prior flower or control.genre=0"
            )
        if config.genre > 0 and judge is None:
            raise ParameterError("control.genre needs control.judge: the folder of a judge of tags")
        if max(config.attributes, config.examples) > 0 and attributes < 1:
            raise ParameterError("sliders need dimensions for attributes: network.attributes=6")
        self.config, self.prior, self.layout = config, prior, layout
        self.scale, self.count = scale, attributes
        self.judge = None if judge is None else judge.requires_grad_(False).eval()
        self.places = torch.tensor(scale.places(), dtype=torch.float32)
        self.knots = torch.tensor(scale.knots[:, :attributes], dtype=torch.float32)
        ends = torch.tensor([[-1.0], [1.0]]).expand(2, attributes)
        self.spread = (self._values(ends)[1] - self._values(ends)[0]).clamp(min=1e-3) / 2  # (k,) of attributes
        self.deviations = torch.tensor(prior.deviations()[2 : 2 + attributes], dtype=torch.float32)

    def terms(
        self, parts: tuple[Part, Part], z: Tensor, batch: dict[str, Tensor], *, share: float = 1.0
    ) -> dict[str, Tensor]:
        """What is minimised, from encoder (states to codes) and decoder and the codes (B, N_z) of a batch; `share` of
        the training that is done."""
        c, (encode, decode) = self.config, parts
        if not c.on or share < c.start:
            return {}
        count = max(2, round(c.part * len(z)))
        some = {name: values[:count] for name, values in batch.items() if values.dim()}
        found = {}
        if c.examples > 0:
            found["control_examples"] = c.examples * self.example(encode, decode, z[:count].float(), some["states"])
        if max(c.attributes, c.genre, c.content) > 0:
            found |= self.judged(decode, z[:count].detach().float(), some)
        return found

    def example(self, encode: Part, decode: Part, z: Tensor, states: Tensor) -> Tensor:
        """Cross-entropy of variants of windows, sum over tracks, from the codes of the windows with the sliders of the
        variants; of the second half, that of the windows from the codes of their variants.

        Of every other one only the slider is moved whose attribute changed most, as a user moves it: what else changes
        with it is then for the decoder to learn.
        """
        random = np.random.default_rng(int(torch.randint(1 << 31, ())))
        source, half = states.cpu().numpy().astype(np.uint8), len(states) // 2
        made = variants(source, random, layout=self.layout)
        source[half:], made[half:] = made[half:], source[half:].copy()
        z = torch.cat([z[:half], encode(torch.from_numpy(source[half:].astype(np.int64)).to(z.device))])
        before, after = (
            self.scale.to_normal(attributes(x, layout=self.layout))[:, : self.count] for x in (source, made)
        )
        most = np.abs(after - before).argmax(axis=1)[:, None] == np.arange(self.count)
        numbers = np.where(most | (np.arange(len(made)) % 2 == 0)[:, None], after, before)
        dims = torch.from_numpy(numbers).to(z) * self.deviations.to(z.device)
        moved = torch.cat([z[:, :2], dims, z[:, 2 + self.count :]], dim=1)
        truth = torch.from_numpy(made.astype(np.int64)).to(z.device)
        return sum(reconstruction(decode(moved), truth, layout=self.layout).values())

    def judged(self, decode: Part, z: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """What judge, attributes and chroma say of moved codes."""
        c, count = self.config, len(z)
        half = count // 2 if c.genre > 0 and c.attributes > 0 else count if c.genre > 0 else 0
        moved = z.clone()
        if half:
            goal = self.other(batch["component"][:half])
            moved[:half] = self.turned(z[:half], goal)
        if half < count and self.count:
            moved[half:], aims = self.slid(z[half:], batch["attributes"][half:])
        y = chosen(decode(moved).float(), noise=c.noise)
        found = {}
        if half:
            found["control_genre"] = c.genre * F.cross_entropy(self.judge.to(y.device)(y[:half]), goal)
        if half < count and c.attributes > 0:
            got = soft_attributes(y[half:], self.layout)[:, : self.count]
            apart = (got - self._values(aims)) / self.spread.to(y.device)
            found["control_attributes"] = c.attributes * F.smooth_l1_loss(apart, torch.zeros_like(apart), beta=0.5)
        if c.content > 0:
            found["control_content"] = c.content * chroma_loss(y, batch["states"], self.layout)
        return found

    def other(self, component: Tensor) -> Tensor:
        """(B,) another petal than each code's own, all the others alike."""
        petals = self.prior.count
        step = torch.randint(1, max(petals, 2), component.shape, device=component.device)
        any_ = torch.randint(0, petals, component.shape, device=component.device)
        return torch.where(component < petals, (component + step) % petals, any_)

    def turned(self, z: Tensor, component: Tensor) -> Tensor:
        """Codes at the angle of a petal, as far from the centre as they were (`musae_paths.towards`)."""
        angle = 2 * torch.pi * component / self.prior.count
        nearest = max(0.0, 1 - 3 * self.prior.radial**0.5)
        radius = z[:, :2].norm(dim=1).clamp(min=nearest)
        return torch.cat([torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1), z[:, 2:]], dim=1)

    def slid(self, z: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Codes with one or two slider dimensions moved, and the attributes (B, k), standard normal, to aim at."""
        k, spread = self.count, self.deviations.to(z.device)
        first = torch.randint(0, k, (len(z), 1), device=z.device)
        second = torch.randint(0, k, (len(z), 1), device=z.device)
        which = torch.zeros(len(z), k, device=z.device).scatter(1, first, 1.0).scatter(1, second, 1.0) > 0
        u = z[:, 2 : 2 + k] / spread
        to = torch.where(which, (u + self.config.reach * torch.randn_like(u)).clamp(-FARTHEST, FARTHEST), u)
        return torch.cat([z[:, :2], to * spread, z[:, 2 + k :]], dim=1), torch.where(which, to, values)

    def _values(self, numbers: Tensor) -> Tensor:
        """(n, k) attributes of standard normal numbers, as `NormalScale.from_normal`."""
        places, knots = self.places.to(numbers.device), self.knots.to(numbers.device)
        x = numbers.clamp(float(places[0]), float(places[-1])).contiguous()
        above = torch.searchsorted(places, x).clamp(1, len(places) - 1)
        low, high = knots.gather(0, above - 1), knots.gather(0, above)
        share = (x - places[above - 1]) / (places[above] - places[above - 1])
        return low + share * (high - low)


def control_of(
    config: ControlConfig,
    *,
    prior: Gaussian | Flower,
    scale: NormalScale,
    layout: Layout,
    attributes: int,
    tags: Sequence[str],
) -> Control | None:
    """The control term of a recipe, with its judge of `tags` (in the order of the prior's petals); None: it is off."""
    if not config.on:
        return None
    judge = None
    if config.genre > 0 and config.judge:
        from spartito.training.band_judge import open_judge

        judge = open_judge(Path(config.judge), tags)
    return Control(config, prior=prior, scale=scale, layout=layout, attributes=attributes, judge=judge)


# -- states that gradients pass ----------------------------------------------------------------------------------------


def chosen(logits: Tensor, *, noise: float = 0.0) -> Tensor:
    """(..., 130) one-hot of the likeliest state, whose gradient is that of the probabilities."""
    soft = logits.softmax(dim=-1)
    if noise:
        logits = logits.detach() - noise * torch.empty_like(logits).exponential_().log()
    hard = F.one_hot(logits.argmax(dim=-1), logits.shape[-1]).to(soft.dtype)
    return hard + soft - soft.detach()


def _sounding(begins: Tensor, hold: Tensor) -> Tensor:
    """(B, T, V, c): what sounds at each step, from what begins (B, T, V, c) and what is held (B, T, V, 1)."""
    now, steps = torch.zeros_like(begins[:, 0]), []
    for begin, held in zip(begins.unbind(1), hold.unbind(1)):
        now = begin + held * now
        steps.append(now)
    return torch.stack(steps, dim=1)


def soft_attributes(y: Tensor, layout: Layout) -> Tensor:
    """(B, 6): the attributes of `notes/band_attributes.py` from one-hot states (B, T, V, 130), differentiable."""
    steps, device = y.shape[1], y.device
    pitched = torch.as_tensor(layout.pitched, device=device)
    begin, hold = y[..., :SILENT].sum(-1), y[..., SILENT + 1]
    pitch = (y[..., :SILENT] * torch.arange(SILENT, device=device)).sum(-1)  # 0 where none begins
    sounding = _sounding(begin[..., None], hold[..., None])[..., 0]
    notes = (begin * pitched).sum(dim=(1, 2))
    upper, height = begin[:, :, list(layout.upper)].flatten(1), pitch[:, :, list(layout.upper)].flatten(1)
    heads, there = upper.sum(1), upper > 0.5
    top = height.masked_fill(~there, -1.0).amax(1)
    bottom = height.masked_fill(~there, float(SILENT)).amin(1)
    some = there.any(1)
    found = [
        begin.sum(dim=(1, 2)) / (steps / BAR),
        (sounding * pitched).sum(dim=(1, 2)) / notes.clamp(min=1.0),
        torch.where(some, top - bottom, heads),
        torch.where(some, height.sum(1) / heads.clamp(min=1.0), heads + MIDDLE),
        (_syncopated(begin, layout) * pitched).sum(dim=(1, 2)) / notes.clamp(min=1.0),
        (sounding * pitched).sum(dim=2).mean(dim=1),
    ]
    assert len(found) == len(ATTRIBUTES)
    return torch.stack(found, dim=1)


def _syncopated(begin: Tensor, layout: Layout) -> Tensor:
    """(B, T, V): a note begins off the beat, and none of its section on the next beat; the last beat has none."""
    steps = begin.shape[1]
    place = torch.arange(steps, device=begin.device)
    following = (place // STEPS_PER_BEAT + 1) * STEPS_PER_BEAT
    free = torch.stack([(1 - begin[:, :, tracks]).prod(dim=2) for tracks in layout.members()], dim=2)
    free = torch.cat([free, torch.zeros_like(free[:, :1])], dim=1)  # behind the end there is always a beat
    free = free[:, following.clamp(max=steps)][:, :, list(layout.sections)]
    return begin * free * (place % STEPS_PER_BEAT != 0)[None, :, None]


def soft_chroma(y: Tensor, layout: Layout) -> Tensor:
    """(B, beats, 12): steps in which each pitch class sounds in pitched tracks, in a beat and the one after it."""
    pitched = torch.as_tensor(layout.pitched, device=y.device)
    classes = torch.arange(SILENT, device=y.device) % 12
    begins = y[:, :, pitched, :SILENT] @ F.one_hot(classes, 12).to(y.dtype)
    sounds = _sounding(begins, y[:, :, pitched, SILENT + 1, None]).sum(dim=2)
    beats = sounds.unflatten(1, (-1, STEPS_PER_BEAT)).sum(dim=2)
    return beats + torch.cat([beats[:, 1:], torch.zeros_like(beats[:, :1])], dim=1)


def chroma_loss(y: Tensor, states: Tensor, layout: Layout) -> Tensor:
    """How far the chroma similarity of one-hot states to `states` (B, T, V) lies below `FLOOR`, mean over windows."""
    with torch.no_grad():
        truth = soft_chroma(F.one_hot(states, y.shape[-1]).to(y.dtype), layout)
    made = soft_chroma(y, layout)
    counted = (truth.sum(2) + made.detach().sum(2)) > 0
    alike = F.cosine_similarity(truth, made, dim=2, eps=1e-3) * counted
    return (FLOOR - alike.sum(1) / counted.sum(1).clamp(min=1)).clamp(min=0).mean()
