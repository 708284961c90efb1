"""The ways to arrange that one run of `cover` has: models, how each is used, and the styles each is asked for.

`open_variant` keeps what it opened for the next file and the next style; `styled` makes of `--style` (and of
`--composer`, where composers are styles) one variant each; `present_variants` is `--model all`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from spartito.cover_arrangers import A2S, TOKENS, open_arranger, variant_name
from spartito.cover_styles import ALL, StylePlan, parse_styles
from spartito.errors import ModelError, ParameterError
from spartito.outputs import THREADS

__all__ = ["Variant", "open_variant", "present_variants", "styled"]


@dataclass(frozen=True)
class Variant:
    """One way to arrange: a model and how it is used, as `open_arranger` takes it, and the style it is asked for."""

    model: str = A2S
    auto: bool = False
    alt: bool = False
    compat: bool = False
    generator: str | None = None
    precision: str | None = None
    style: StylePlan | None = None

    @property
    def label(self) -> str:
        """How files and messages call it."""
        if self.style is not None:
            return self.style.label
        return f"{Path(self.model).name}{'-alt' * self.alt}{'-auto' * self.auto}"


ALL_VARIANTS = (  # what `--model all` means; but for the last those of the published program
    *(Variant(A2S, auto=auto, alt=alt) for auto in (False, True) for alt in (False, True)),
    *(Variant("a2s-nochd", auto=auto) for auto in (False, True)),
    Variant("supervised"),
    Variant("supervised+kl"),
    Variant(TOKENS),
)


def open_variant(variant: Variant, device: str):
    """The arranger of a variant, kept for the next file and the next style."""
    return _opened(replace(variant, style=None), device)


@lru_cache(maxsize=4)
def _opened(variant: Variant, device: str):
    return open_arranger(
        variant.model,
        auto=variant.auto,
        alt=variant.alt,
        compat=variant.compat,
        generator=variant.generator,
        precision=variant.precision,
        device=device,
        threads=int(os.environ.get(THREADS, 0)),
    )


def styled(variant: Variant, styles: str | None, composer: str, device: str) -> tuple[tuple[Variant, ...], str]:
    """The variants that `--style` makes of one, and what is left of `--composer`.

    An arranger whose styles are composers takes them by either option; other text stays the composer of the score.
    """
    if styles is None and not composer:
        return (variant,), composer
    arranger = open_variant(variant, device)
    named = re.split("[@,]", composer.strip().lower())[0].strip()
    if arranger.style_word == "composer" and named in (ALL, *(name.lower() for name in arranger.styles)):
        if styles is not None:
            raise ParameterError("--style and --composer both name a composer: give one of them")
        styles, composer = composer, ""
    if styles is None:
        return (variant,), composer
    plans = parse_styles(styles, arranger.styles, word=arranger.style_word)
    return tuple(replace(variant, style=plan) for plan in plans), composer


def present_variants(*, compat: bool = False) -> tuple[tuple[Variant, ...], tuple[Variant, ...]]:
    """Of all ways to arrange those whose weights are here, and those whose weights are missing."""
    from spartito.models.hub import find_model

    def here(variant: Variant) -> bool:
        needed = [variant_name(variant.model, alt=variant.alt)]
        needed += [variant_name(variant.model, auto=True)] if variant.auto else []
        try:
            return all(find_model(name).job == "arrangement" for name in needed)
        except ModelError:
            return False

    every = tuple(replace(variant, compat=True) for variant in ALL_VARIANTS[:-1]) if compat else ALL_VARIANTS
    present = tuple(variant for variant in every if here(variant))
    return present, tuple(variant for variant in every if variant not in present)
