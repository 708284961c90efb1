"""How the CycleGAN of genres is trained (`models/cyclegan.py`).

`published` is G. Brunner et al., 'Symbolic music genre transfer with CycleGAN' (ICTAI 2018) as its public program has
it: least squares; half-normal noise, one tensor per step, added to whatever a discriminator sees; L1 cycle times 10; a
pool of batches, which `base` does without; Adam at 2e-4 with beta1 0.5, constant for ten epochs, then falling to zero.
Generators first, by one optimiser, then all discriminators on the phrases that were made before that update. The extra
discriminators (`partial`: music of the pair; `full`: of all genres) learn what music is, *but tell no one*: in the
program no gradient of theirs reaches a generator.

`fixed` is ours and differs in this:

- the extra discriminators reach the generators (`gamma_generators`);
- the cycle is a weighted cross-entropy and, for every second batch, runs over notes that are really struck
  (`binarised`), so that nothing can hide below the threshold; discriminators and guides see struck notes only;
- guides (`cyclegan_guides.py`), trained beside on the train split alone, pull towards the target genre; discriminators
  and guides see phrases in which cells are dropped and struck at random, so that single cells convince nobody;
- what is asked of the generators is another genre of the same piece: a floor under the likeness of the chroma, bounds
  of density and of notes foreign to the source, and the onsets of the tune stay;
- part of a batch is shown to the generator that it needs no change from (identity);
- two rates, spectral norm, averaged weights (EMA), transposition by up to five semitones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spartito.models.cyclegan import CycleGan, CycleGanConfig, DiscriminatorConfig, GeneratorConfig
from spartito.training.cyclegan_guides import Guides, misled
from spartito.training.cyclegan_losses import (
    Pool,
    above_tune,
    adversarial,
    beyond_range,
    binarised,
    chroma_floor,
    clash_bound,
    crumb_bound,
    cycle_entropy,
    density_bounds,
    discrimination,
    flipped,
    foreign_share,
    heard,
    l1,
    phantoms,
    tune_entropy,
)
from spartito.training.loop import LoopConfig

__all__ = ["CONFIGS", "Game", "GenreRecipe", "Players", "new_network", "optimizers", "rate"]

CONSTANT_EPOCHS = 10  # published: then the rate falls
MISLED = 48  # cells that are flipped to mislead a guide, at most; a phrase has some 60 onsets and 200 that sound
WIDE = (4, 7, 7)  # kernels of discriminators that see 40 steps and keys at once; with (4, 4, 1) they see 10
SOFT = 0.05  # of the labels of guides


@dataclass(frozen=True)
class GenreRecipe:
    """Networks, losses, data handling and loop."""

    network: CycleGanConfig = field(default_factory=CycleGanConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    batch: int = 16
    """Phrases of each genre."""
    epochs: int = 0
    """Published: passes over the smaller genre, which give the number of steps and the rate; 0: `loop` says it."""
    noise: float = 0.1
    """sigma_D, deviation of the half-normal noise that discriminators see."""
    pool: int = 50
    """Pairs of batches; not used by `base`."""
    cycle: float = 3.0
    """Weight of the cycle; of the published L1 it is 10."""
    positives: float = 9.0
    """By how much heavier cells that sound are in the fixed cycle."""
    adversarial: float = 0.75
    """Weight of the discriminators of the genres for the generators."""
    gamma: float = 1.0
    """Weight of the extra discriminators' own losses."""
    gamma_generators: float = 0.5
    """Weight of the extra discriminators for the generators; no effect when published."""
    identity: float = 1.0
    """Weight of the identity; on a quarter of each batch."""
    guidance: float = 12.0
    """Weight of the guides for the generators; 0 does without guides."""
    guidance_from: int = 150
    """Step at which the guides begin to be heard."""
    guidance_rise: int = 1_500
    """Steps until they are heard fully; full weight within 50 steps has driven generators into silence."""
    chroma: float = 10.0
    """Weight of the floor under the likeness of the chroma."""
    chroma_floor: float = 0.8
    tune: float = 0.5
    """Weight of the tune's onsets, which are to stay."""
    foreign: float = 5.0
    """Weight of the bound of foreign notes: of pitch classes that the source does not have."""
    foreign_bound: float = 0.12
    """Share of all notes of a phrase; free below."""
    range: float = 10.0
    """Weight of the bound of notes outside of the range of the source."""
    range_margin: int = 5
    """Keys by which the range may grow on either side."""
    range_bound: float = 0.01
    """Share of all notes of a phrase; free below."""
    clash: float = 5.0
    """Weight of the bound of onsets with a semitone beside them."""
    clash_bound: float = 0.03
    """By how much their share may be greater than that of the source."""
    crumbs: float = 4.0
    """Weight of the bound of notes that last a single step."""
    crumb_bound: float = 0.03
    """By how much their share may be greater than that of the source."""
    above: float = 5.0
    """Weight of the bound of notes above all that sounds in the source."""
    above_bound: float = 0.01
    """Share of all notes of a phrase; free below."""
    phantoms: float = 4.0
    """Weight of keys that begin to sound without an onset."""
    density: float = 2.0
    """Weight of the bounds of density."""
    density_bound: float = 0.35
    """Of the natural logarithm of the ratio of cells that sound, and of onsets; free within."""
    dropped: float = 0.05
    """Chance of a sounding cell to be hidden from discriminators and guides."""
    struck: float = 0.001
    """Chance of a silent cell to be shown as sounding."""
    judge_rate: float = 0.25
    """Rate of discriminators as part of that of the generators (TTUR)."""
    transpose: int = 5
    """Semitones up or down, drawn for each phrase."""
    hop: int = 16
    """Steps between the beginnings of phrases; 64: they do not overlap, as published."""
    even: bool = True
    """Every set is drawn equally often, in it every work; else every phrase."""

    @property
    def published(self) -> bool:
        return self.network.variant == "published"


def published_recipe(*, width: int, blocks: int, judges: int, kernels=(7, 7, 7), **loop) -> GenreRecipe:
    """The published training around networks of a size."""
    settings = {"steps": 1, "learning_rate": 2e-4, "clip": 0.0, "average": 0.0, "precision": "32-true"} | loop
    return GenreRecipe(
        network=CycleGanConfig(
            variant="published",
            generator=GeneratorConfig.published(width=width, blocks=blocks),
            discriminator=DiscriminatorConfig.published(width=judges, kernels=kernels),
        ),
        loop=LoopConfig(**settings),
        epochs=20,
        noise=1.0,
        cycle=10.0,
        adversarial=1.0,
        identity=0.0,
        guidance=0.0,
        chroma=0.0,
        tune=0.0,
        foreign=0.0,
        range=0.0,
        clash=0.0,
        crumbs=0.0,
        above=0.0,
        phantoms=0.0,
        density=0.0,
        dropped=0.0,
        struck=0.0,
        gamma_generators=0.0,
        judge_rate=1.0,
        transpose=0,
        hop=64,
        even=False,
    )


def fixed_recipe(*, width: int, blocks: int, judges: int, **loop) -> GenreRecipe:
    """Our training around generators of a size."""
    settings = {
        "steps": 4_000,
        "learning_rate": 7e-4,
        "warmup": 100,
        "clip": 5.0,
        "average": 0.995,
        "precision": "bf16-mixed",
        "channels_last": False,
    } | loop
    return GenreRecipe(
        network=CycleGanConfig(
            generator=GeneratorConfig(width=width, blocks=blocks),
            discriminator=DiscriminatorConfig(width=judges, kernels=WIDE),
        ),
        loop=LoopConfig(**settings),
    )


TINY = {"steps": 6, "report_every": 3, "validate_every": 6, "precision": "32-true"}
CONFIGS: dict[tuple[str, str], GenreRecipe] = {
    ("fixed", "tiny"): replace(
        fixed_recipe(width=4, blocks=1, judges=4, **TINY), batch=4, guidance_from=1, guidance_rise=1, pool=2
    ),
    ("fixed", "lite"): fixed_recipe(width=24, blocks=4, judges=16, report_every=50, validate_every=250),
    ("fixed", "small"): fixed_recipe(width=48, blocks=6, judges=32, steps=20_000),
    ("fixed", "paper"): replace(
        fixed_recipe(width=64, blocks=10, judges=64, steps=20_000, learning_rate=2e-4),
        network=CycleGanConfig(
            generator=GeneratorConfig(layout="published", width=64, blocks=10),
            discriminator=DiscriminatorConfig(width=64),
        ),
    ),
    ("published", "tiny"): replace(published_recipe(width=2, blocks=1, judges=2, **TINY), batch=4, epochs=0, pool=2),
    ("published", "lite"): published_recipe(width=16, blocks=4, judges=16, kernels=(4, 4, 1)),
    ("published", "small"): published_recipe(width=32, blocks=6, judges=32, kernels=(4, 4, 1)),
    ("published", "paper"): published_recipe(width=64, blocks=10, judges=64),
}


# -- networks and rates ---------------------------------------------------------------------------------------------


class Players(CycleGan):
    """All that is trained: the networks of a pair and, if they are asked for, its guides."""

    def __init__(self, config: CycleGanConfig, *, guides: bool = False):
        super().__init__(config)
        if guides:
            self.guides = Guides()


def new_network(recipe: GenreRecipe) -> Players:
    torch.manual_seed(recipe.loop.seed)
    return Players(recipe.network, guides=recipe.guidance > 0)


def optimizers(recipe: GenreRecipe) -> Callable[[Players, LoopConfig], list[torch.optim.Optimizer]]:
    """Adam for the generators, for the discriminators and for the guides, for `training.loop.fit`."""

    def made(network: Players, config: LoopConfig) -> list[torch.optim.Optimizer]:
        groups = [
            (network.generators(), 1.0, (0.5, 0.999)),
            (network.discriminators(), recipe.judge_rate, (0.5, 0.999)),
        ]
        if recipe.guidance > 0:
            groups.append(([network.guides], 2.0, (0.9, 0.99)))
        return [
            torch.optim.Adam(
                [{"params": [p for part in parts for p in part.parameters()], "scale": scale}],
                lr=config.learning_rate,
                betas=betas,
                eps=1e-8,
            )
            for parts, scale, betas in groups
        ]

    return made


def rate(recipe: GenreRecipe, *, per_epoch: int) -> Callable[[int, LoopConfig], float]:
    """The learning rate at a step.

    Published: by epochs, constant for ten, then a line that reaches zero when they are over. Fixed: a short warm-up,
    constant for half of the steps, then a line to a twentieth.
    """

    def published(step: int, config: LoopConfig) -> float:
        epoch, epochs = step // per_epoch, max(1, config.steps // per_epoch)
        if epoch < CONSTANT_EPOCHS or epochs <= CONSTANT_EPOCHS:
            return config.learning_rate
        return config.learning_rate * (epochs - epoch) / (epochs - CONSTANT_EPOCHS)

    def fixed(step: int, config: LoopConfig) -> float:
        if step < config.warmup:
            return config.learning_rate * (step + 1) / config.warmup
        return config.learning_rate * min(1.0, 0.05 + 1.9 * (1 - step / config.steps))

    return published if recipe.published else fixed


# -- the game -------------------------------------------------------------------------------------------------------


class Game:
    """The losses of one step, which `fit` minimises in order: generators, discriminators, guides.

    It holds the pool and, from the first loss to the second, the phrases that the generators just made.
    """

    def __init__(self, network: Players, recipe: GenreRecipe):
        self.network, self.recipe = network, recipe
        self.pool = Pool(recipe.pool if recipe.network.model != "base" else 0, seed=recipe.loop.seed)
        self.fakes: tuple[Tensor, Tensor] | None = None

    def losses(self) -> list[Callable]:
        guides = [self.guides] if self.recipe.guidance > 0 else []
        return [self.generators, self.discriminators, *guides]

    def only(self, *parts: nn.Module) -> None:
        """Let only these parts of the network collect gradients: the others judge or write, and do not learn."""
        self.network.requires_grad_(False)
        for part in parts:
            part.requires_grad_(True)

    def shown(self, logits: Tensor) -> Tensor:
        """What of the generators' logits the others see."""
        return logits.float().sigmoid() if self.recipe.published else binarised(logits)

    def noisy(self, phrases: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Phrases as a discriminator sees them."""
        r = self.recipe
        if r.dropped or r.struck:
            phrases = flipped(phrases, dropped=r.dropped, struck=r.struck)
        return phrases + batch["noise"]

    def generators(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Adversarial, cycle and, when fixed, the other terms of both generators."""
        r, a, b = self.recipe, batch["a"], batch["b"]
        self.only(*self.network.generators())
        few = max(1, len(a) // 4) if r.identity > 0 else 0
        to_b, same_b = network("AtoB", torch.cat([a, b[:few]])).split([len(a), few])
        to_a, same_a = network("BtoA", torch.cat([b, a[:few]])).split([len(b), few])
        raw_b, raw_a = self.shown(to_b), self.shown(to_a)
        made_b, made_a = (raw_b, raw_a) if r.published else (heard(raw_b), heard(raw_a))
        self.fakes = made_a.detach(), made_b.detach()
        hard = not r.published and int(batch["step"]) % 2 == 0
        back_a = network("BtoA", made_b if hard else to_b.float().sigmoid())
        back_b = network("AtoB", made_a if hard else to_a.float().sigmoid())
        if r.published:
            cycle = l1(a, back_a) + l1(b, back_b)
        else:
            cycle = cycle_entropy(a, back_a, positives=r.positives) + cycle_entropy(b, back_b, positives=r.positives)
        seen_a, seen_b = self.noisy(made_a, batch), self.noisy(made_b, batch)
        terms = {
            "cycle": r.cycle * cycle,
            "adversarial": r.adversarial * (adversarial(network("D_B", seen_b)) + adversarial(network("D_A", seen_a))),
        }
        if r.network.model != "base" and not r.published and r.gamma_generators > 0:
            music = adversarial(network("D_A_music", seen_a)) + adversarial(network("D_B_music", seen_b))
            terms["music"] = r.gamma_generators * music
        if few:
            same = sum(
                cycle_entropy(truth[:few], logits, positives=r.positives)
                for truth, logits in ((a, same_a), (b, same_b))
            )
            terms["identity"] = r.identity * same
        terms |= self.kept(batch, made_a, made_b)
        if r.phantoms > 0:
            terms["phantoms"] = r.phantoms * (phantoms(raw_a) + phantoms(raw_b))
        if r.tune > 0:
            terms["tune"] = r.tune * (tune_entropy(a, to_b) + tune_entropy(b, to_a))
        if r.guidance > 0:
            terms["guidance"] = self.guidance(network, made_a, made_b, step=int(batch["step"]))
        return terms

    def kept(self, batch: dict[str, Tensor], made_a: Tensor, made_b: Tensor) -> dict[str, Tensor]:
        """What transfers may not change, each with its bound; nothing of it is published."""
        r, pairs = self.recipe, ((batch["a"], made_b), (batch["b"], made_a))
        found = {
            "chroma": (r.chroma, lambda x, y: chroma_floor(x, y, floor=r.chroma_floor)),
            "foreign": (r.foreign, lambda x, y: foreign_share(x, y, bound=r.foreign_bound)),
            "range": (r.range, lambda x, y: beyond_range(x, y, margin=r.range_margin, bound=r.range_bound)),
            "clash": (r.clash, lambda x, y: clash_bound(x, y, bound=r.clash_bound)),
            "crumbs": (r.crumbs, lambda x, y: crumb_bound(x, y, bound=r.crumb_bound)),
            "above": (r.above, lambda x, y: above_tune(x, y, bound=r.above_bound)),
            "density": (r.density, lambda x, y: density_bounds(x, y, bound=r.density_bound)),
        }
        return {name: w * sum(loss(*pair) for pair in pairs) for name, (w, loss) in found.items() if w > 0}

    def guidance(self, network: nn.Module, made_a: Tensor, made_b: Tensor, *, step: int) -> Tensor:
        """Cross-entropy of what was made towards its target genre, for all guides but the watch."""
        r = self.recipe
        share = min(1.0, max(0, step - r.guidance_from) / max(1, r.guidance_rise))
        if share == 0:
            return made_a.new_zeros(())
        both = flipped(torch.cat([made_a, made_b]), dropped=r.dropped, struck=r.struck)
        logits = network("guides", both)[:, :-1]
        return share * r.guidance * F.binary_cross_entropy_with_logits(logits, labels(logits))

    def discriminators(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Of the genres and, unless the model is `base`, of music."""
        r = self.recipe
        self.only(*self.network.discriminators())
        made = self.pool(*self.fakes)
        real = {"A": self.noisy(batch["a"], batch), "B": self.noisy(batch["b"], batch)}
        fake = {side: self.noisy(x, batch) for side, x in zip("AB", made)}
        both = {side: torch.cat([real[side], fake[side]]) for side in "AB"}
        count = len(batch["a"])
        found = {side: discrimination(*network(f"D_{side}", both[side]).split(count)) for side in "AB"}
        terms = {"discriminators": sum(found.values())}
        if r.network.model != "base":
            music = self.noisy(batch["m"], batch)
            extra = [
                discrimination(*network(f"D_{side}_music", torch.cat([music, fake[side]])).split([len(music), count]))
                for side in "AB"
            ]
            terms["music_discriminators"] = r.gamma * sum(extra)
        return terms

    def guides(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Cross-entropy of the guides on real phrases, half of them changed so as to mislead."""
        r = self.recipe
        self.only(self.network.guides)
        both = torch.cat([batch["a"], batch["b"]])
        changed = both.clone()
        changed[::2] = self.misled(both[::2])
        logits = network("guides", flipped(changed, dropped=r.dropped, struck=r.struck))
        loss = F.binary_cross_entropy_with_logits(logits, labels(logits))
        hits = ((logits > 0) == (labels(logits) > 0.5)).float().mean()
        return {"guides": loss * logits.shape[1], "_guides_right": hits.detach()}

    def misled(self, phrases: Tensor) -> Tensor:
        """Phrases, the first half of genre A, with the cells flipped that would most mislead the guides as they are."""
        changed = phrases.clone().requires_grad_()
        with torch.autocast(phrases.device.type, torch.bfloat16, enabled=self.recipe.loop.precision == "bf16-mixed"):
            logits = self.network.guides(changed)  # not the wrapped network, which minds gradients of its own
        (slope,) = torch.autograd.grad(F.binary_cross_entropy_with_logits(logits, labels(logits)), changed)
        return misled(phrases, slope, most=MISLED)


def labels(logits: Tensor) -> Tensor:
    """Genre A for the first half of the rows, B for the second; softened."""
    half = len(logits) // 2
    target = torch.full_like(logits, SOFT)
    target[half:] = 1 - SOFT
    return target
