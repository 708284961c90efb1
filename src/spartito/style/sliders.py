"""Sliders and the genre knob: codes of a song moved so that the music that comes out does what was asked.

Job
    A `Wish` says by how many slider steps attributes shall change, and what share of the way to which genres. `moved`
    does that to codes, without a look at the result. `calibrated` renders the song from many shifts, measures what
    comes out, and gives the codes that meet the wish with the least change of all other attributes.

Method
    A slider step is one standard deviation of the measured attribute among songs (`NormalScale`). Training ties
    attribute i to dimension 2 + i of a code, both of a normal distribution; so a slider of s steps moves the dimension
    by s deviations of its prior: from a quantile to the one s deviations higher. The genre knob turns the first two
    dimensions to another petal (`musae_paths.towards`), several genres to the middle of their petals. Of density,
    duration and voices each follows from the other two, since notes times their length is what sounds: a code with
    longer notes, and neither fewer of them nor more voices, is none of music, and decoders pass over it. So duration
    takes the two along, as little as that needs (`natural`).

    What a decoder then does is another matter (A. Pati, A. Lerch, 'Is disentanglement enough?', ISMIR 2021), and more
    so when a song is edited by differences. So the loop is closed over the rendering itself: a row of shifts in one
    batch, a linear model of their effects (all attributes by all dimensions, from the shifts tried, the near ones
    most), the shifts that it proposes in a second and third batch, and of all that was tried the best. One shift holds
    for the whole song; windows differ by `strength` alone, made smooth in time, so that neighbours do not jump.

Source
    Attribute sliders in the prior's quantiles: ours, on dimensions tied as in A. Pati, A. Lerch, 'Attribute-based
    regularization of latent spaces' (Neural Computing and Applications, 2020). The linear model is refitted to what was
    tried as in C. G. Broyden's method (Mathematics of Computation 19, 1965).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from spartito.errors import ParameterError
from spartito.models.musae_paths import towards
from spartito.models.musae_prior import Flower
from spartito.notes.band_attributes import ATTRIBUTES, NormalScale, attributes, chroma_similarity
from spartito.notes.four_tracks import BAR, SILENT, windows

__all__ = [
    "Wish",
    "calibrated",
    "genre_shares",
    "heard_windows",
    "measured",
    "moved",
    "natural",
    "normal_numbers",
    "placed",
    "side_by_side",
    "slider_names",
    "smooth",
]

TIED = ("density", "duration", "voices")  # notes, their length, and what sounds: two of them make the third
MIDDLE_PART = 0.7  # deviations to either side within which a scale is taken to be even
MOST = 4.0  # slider steps that can be asked for
FURTHEST = 4.0  # deviations of the prior beyond which no code is moved: nothing was learnt there
LONGEST_SHIFT = 6.0  # deviations, of any dimension, that the loop tries
ROW = (0.5, 1.0, 1.75, 2.75, 4.0)  # multiples of the wish that are tried first
PROBE = 1.0  # deviations that each dimension is moved by, to learn what it does
ROUNDS = 2  # further batches
SCALES, HELPS = (0.6, 1.0, 1.5), (0.0, 1.0)  # of a proposal: how far along it, how much of the other dimensions
OTHERS = 0.15  # weight of a squared change of an attribute that shall stay, beside the squared miss of the wish
EXPECTED = 0.6  # attribute steps by one deviation of its dimension, before anything was tried
STIFF = 0.3  # how many shifts by a deviation that expectation weighs as much as
NEAR = 0.2  # of the way to a wish that may be missing where that spares other attributes
HALF = 0.5  # of what was asked: who gets less is told
EFFORT = 0.01  # weight of a squared deviation of shift: of two that do the same, the shorter


@dataclass(frozen=True)
class Wish:
    """What shall change.

    `attributes` name -> slider steps, e.g. {"density": 1, "duration": -0.5}; `genre` tag -> share of the way to its
    petal, 0..1, together at most 1.
    """

    attributes: Mapping[str, float] = field(default_factory=dict)
    genre: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self):
        for name, steps in self.attributes.items():
            if name not in ATTRIBUTES:
                raise ParameterError(f"a slider is one of {', '.join(ATTRIBUTES)}, not {name!r}")
            if not -MOST <= steps <= MOST:
                raise ParameterError(f"slider {name} goes from {-MOST:g} to {MOST:g} steps, not to {steps:g}")
        if any(not 0 <= share <= 1 for share in self.genre.values()) or sum(self.genre.values()) > 1 + 1e-9:
            raise ParameterError(f"shares of genres lie between 0 and 1 and make 1 at most, not {dict(self.genre)}")

    @property
    def empty(self) -> bool:
        """Whether all stays."""
        return not any(self.attributes.values()) and not any(self.genre.values())

    def checked(self, model) -> Wish:
        """The wish, if `model` can do it."""
        names = slider_names(model)
        missing = [name for name in self.attributes if name not in names]
        if missing:
            raise ParameterError(
                f"model {model.name} has no slider {missing[0]!r}, but {', '.join(names) or 'none at all'}"
            )
        tags = list(model.tags)
        unknown = [tag for tag in self.genre if tag not in tags]
        if unknown:
            raise ParameterError(f"model {model.name} knows no genre {unknown[0]!r}, but {', '.join(tags) or 'none'}")
        if self.genre and not isinstance(model.prior, Flower):
            raise ParameterError(f"model {model.name} has no genre knob: its prior is one Gaussian, not a flower")
        return self


def slider_names(model) -> tuple[str, ...]:
    """The attributes that have a dimension of their own in a model."""
    return ATTRIBUTES[: model.config.attributes]


# -- without a look at the result --------------------------------------------------------------------------------------


def moved(model, z: np.ndarray, wish: Wish, *, strength: np.ndarray | None = None) -> np.ndarray:
    """Codes (w, N_z) of a song as the wish has them, if dimensions did what they are trained for.

    `strength` (w,) 0..1: how much of it in each window; all of it if not given.
    """
    wish, z = wish.checked(model), np.asarray(z, dtype=np.float64)
    strength = np.ones(len(z)) if strength is None else np.clip(np.asarray(strength, dtype=np.float64), 0, 1)
    if strength.shape != (len(z),):
        raise ParameterError(f"{len(z)} codes have as many strengths, not {strength.shape}")
    return _shifted(model, _turned(model, z, wish, strength), natural(model, wish.attributes), strength)


def placed(model, z: np.ndarray, name: str, quantile: float) -> np.ndarray:
    """Codes (w, N_z) whose slider `name` stands at `quantile`, deviations times its gain, wherever it stood before."""
    i, direction = slider_names(model).index(name), natural(model, {name: 1.0})
    dims, gain = slice(2, 2 + len(direction)), direction[i]
    spread, out = model.prior.deviations()[dims], np.array(z, dtype=np.float64)
    out[:, dims] += ((quantile - out[:, 2 + i] / (gain * spread[i]))[:, None] * direction) * spread
    return out


def natural(model, attributes: Mapping[str, float]) -> np.ndarray:
    """(k,) deviations by which the slider dimensions go for steps of attributes.

    What is asked times the gain of the slider (`evaluation.control.slider_gains`: decoders answer to less than what
    they are told), and for duration the least move of density and voices (of those not asked) that keeps the product of
    notes and length: in logarithms, at the slopes of the scale around its middle.
    """
    names, gains = slider_names(model), getattr(model, "gains", {})
    shift = np.array([attributes.get(name, 0.0) * gains.get(name, 1.0) for name in names])
    if not attributes.get("duration") or not set(TIED) <= set(names):
        return shift
    places, knots = model.scale.places(), model.scale.knots
    low, high = np.searchsorted(places, [-MIDDLE_PART, MIDDLE_PART])
    tied = np.array([names.index(name) for name in TIED])
    if (knots[low, tied] <= 0).any():
        return shift
    slope = np.array([1.0, 1.0, -1.0]) * np.log(knots[high, tied] / knots[low, tied])
    free = np.array([name not in attributes for name in TIED])
    power = float((slope[free] ** 2).sum())
    if power > 0:
        shift[tied[free]] -= slope[free] * float(slope[~free] @ shift[tied[~free]]) / power
    return shift


def _turned(model, z: np.ndarray, wish: Wish, strength: np.ndarray) -> np.ndarray:
    total = sum(wish.genre.values())
    if not total:
        return z
    tags = list(model.tags)
    petals = {tags.index(tag): share for tag, share in wish.genre.items()}
    return towards(z, model.prior, petals, strength=np.minimum(total, 1.0) * strength)


def _shifted(model, z: np.ndarray, shift: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Codes (..., w, N_z) with their attribute dimensions moved by `shift` (..., k) deviations of the prior.

    None is led further out than `FURTHEST`, nor back by that.
    """
    dims = slice(2, 2 + shift.shape[-1])
    spread = model.prior.deviations()[dims]
    before = z[..., dims] / spread
    after = before + shift[..., None, :] * strength[:, None]
    bound = np.maximum(np.abs(before), FURTHEST)
    out = np.broadcast_to(z, (*shift.shape[:-1], *z.shape[-2:])).copy()
    out[..., dims] = np.clip(after, -bound, bound) * spread
    return out


def smooth(strength: np.ndarray, *, reach: int) -> np.ndarray:
    """(w,) strengths as a triangle of `reach` windows to either side has them; the ends go on as they are."""
    strength = np.asarray(strength, dtype=np.float64)
    if reach < 1 or len(strength) < 2:
        return strength
    weights = np.concatenate([np.arange(1, reach + 1), np.arange(reach + 1, 0, -1)]).astype(float)
    return np.convolve(np.pad(strength, reach, mode="edge"), weights / weights.sum(), mode="valid")


# -- what comes out ----------------------------------------------------------------------------------------------------


def normal_numbers(scale: NormalScale, values: np.ndarray) -> np.ndarray:
    """(n, k): attributes (n, k) in deviations. Beyond the ends of a scale they go on at the slope of its outer part, so
    that more of what is already extreme is still more."""
    values = np.asarray(values, dtype=np.float64)
    k = min(values.shape[1], scale.knots.shape[1])
    places, knots = scale.places(), scale.knots[:, :k]
    inner = np.searchsorted(places, 1.0)  # from one deviation to the end
    found = NormalScale(knots).to_normal(values[:, :k])
    for end, near, sign in ((-1, inner, 1), (0, len(places) - 1 - inner, -1)):
        slope = np.abs(knots[end] - knots[near])
        beyond = np.maximum(sign * (values[:, :k] - knots[end]), 0)
        slope = np.where(slope > 1e-9, slope, np.maximum(np.ptp(knots, axis=0), 1.0)) / abs(places[end] - places[near])
        found += sign * beyond / slope
    return found


def measured(model, states: np.ndarray, *, weight: np.ndarray | None = None) -> np.ndarray:
    """(k,): attributes of a song's states (T, V), in deviations, mean over its windows side by side.

    `weight` (windows,) as `heard_windows` gives it; by it, windows without notes count for nothing.
    """
    cut = side_by_side(model, states)
    weight = heard_windows(cut) if weight is None else weight
    numbers = normal_numbers(model.scale, attributes(cut, layout=model.layout))
    return weight @ numbers[:, : model.config.attributes] / max(weight.sum(), 1e-9)


def side_by_side(model, states: np.ndarray) -> np.ndarray:
    """(c, steps, V) windows side by side; a rest of less than half a window goes with none."""
    steps = BAR * model.bars
    count = max(1, round(len(states) / steps))
    return windows(np.asarray(states), steps * np.arange(count), steps=steps)


def heard_windows(cut: np.ndarray) -> np.ndarray:
    """(c,) float: 1 for windows (c, steps, V) in which a note begins, else 0."""
    return (cut < SILENT).any(axis=(1, 2)).astype(np.float64)


def genre_shares(model, z: np.ndarray) -> dict[str, float]:
    """Tag -> how much codes (w, N_z) are of it, mean over windows, sum 1; nothing without a flower.

    By their angle alone, softly: petals are so thin along the circle that codes of real music lie between them, and
    their probabilities would be 0 or 1. A petal counts here as wide as half the way to the next one.
    """
    if not isinstance(model.prior, Flower):
        return {}
    count = model.prior.count
    angle = np.arctan2(z[:, 1], z[:, 0])[None] - model.prior.angle(np.arange(count))[:, None]  # (tags, w)
    apart = (angle + np.pi) % (2 * np.pi) - np.pi
    share = np.exp(-0.5 * (apart * count / np.pi) ** 2)
    share /= share.sum(axis=0)
    return {str(tag): float(p) for tag, p in zip(model.tags, share.mean(axis=1))}


# -- with a look at the result -----------------------------------------------------------------------------------------

Render = Callable[[np.ndarray], np.ndarray]


def calibrated(
    model, song, codes, wish: Wish, render: Render, *, strength: np.ndarray | None = None, rounds: int = ROUNDS
) -> tuple[np.ndarray, dict]:
    """Codes of a song moved so that what is rendered meets the wish, and what came of it.

    Parameters
    ----------
    model : as `open_latent` gives it
    song : with `.states` (T, V): the song as it is
    codes : with `.z` (w, N_z): of its windows
    render : codes (m, w, N_z) -> states (m, T, V): the whole song, rendered from each of m sets of codes
    strength : (w,) 0..1, how much of the wish in each window; made smooth over `bars` of the model
    rounds : batches after the first

    Returns
    -------
    np.ndarray, shape=(w, N_z)
    dict
        `asked`, `open` (reached without a look at the result) and `reached` slider steps of each attribute asked;
        `others`: change of each other attribute; `shift`: deviations by which dimensions were moved; `genre`: share of
        each genre asked, before and after, as the model itself hears it; `chroma`: similarity of what sounds to
        before; `cells`: share of cells that changed; `short`: sliders that got less than half of what was asked;
        `tried`: renderings.
    """
    wish, names = wish.checked(model), slider_names(model)
    z, source = np.asarray(codes.z, dtype=np.float64), np.asarray(song.states)
    strength = np.ones(len(z)) if strength is None else smooth(np.clip(strength, 0, 1), reach=model.bars)
    if wish.empty:
        return z, {"asked": {}, "reached": {}, "others": {}, "chroma": 1.0, "cells": 0.0, "short": [], "tried": 0}
    start = _turned(model, z, wish, strength)
    wanted = np.array([wish.attributes.get(name, 0.0) for name in names])
    turned = np.asarray(render(start[None])[0])
    weight = heard_windows(side_by_side(model, source))
    base, begun = (measured(model, states, weight=weight) for states in (source, turned))
    asked = np.array([name in wish.attributes for name in names], dtype=bool)
    target = np.where(asked, base + wanted, begun)  # what stays, stays as the genre made it

    search = _Search(np.zeros((1, len(names))), begun[None], [turned], target, asked)

    def attempt(shifts: np.ndarray) -> None:
        rendered = render(_shifted(model, start, shifts, strength))
        search.add(shifts, np.stack([measured(model, states, weight=weight) for states in rendered]), rendered)

    if (wanted != 0).any():
        attempt(_first_row(natural(model, wish.attributes), asked))
        for _ in range(rounds):
            attempt(search.proposals())
    best = search.best
    result = _shifted(model, start, search.shifts[best], strength)
    change = search.found[best] - base
    plain = search.found[1 + ROW.index(1.0)] - base if len(search.shifts) > 1 else change
    report = {
        "asked": dict(wish.attributes),
        "open": _named(names, plain, asked),
        "reached": _named(names, change, asked),
        "others": _named(names, change, ~asked),
        "shift": _named(names, search.shifts[best], np.abs(search.shifts[best]) > 1e-6),
        "chroma": _chroma(source, search.states[best], model.layout),
        "cells": round(float((source != search.states[best]).mean()), 4),
        "short": [n for n, steps in wish.attributes.items() if steps and change[names.index(n)] / steps < HALF],
        "tried": len(search.shifts),
    }
    if wish.genre:
        before, after = (genre_shares(model, _heard(model, states)) for states in (source, search.states[best]))
        report["genre"] = {
            tag: {"asked": share, "before": round(before[tag], 3), "after": round(after[tag], 3)}
            for tag, share in wish.genre.items()
        }
    return result, report


def _heard(model, states: np.ndarray) -> np.ndarray:
    return np.asarray(model.encode(side_by_side(model, states))[0], dtype=np.float64)


def _chroma(source: np.ndarray, states: np.ndarray, layout) -> float:
    """Similarity of two songs (T, V), 1 where neither has pitches."""
    found = float(chroma_similarity(source[None], states[None], layout=layout)[0])
    return round(found, 3) if np.isfinite(found) else 1.0


def _named(names: tuple[str, ...], values: np.ndarray, chosen: np.ndarray) -> dict[str, float]:
    return {name: round(float(v), 3) for name, v, yes in zip(names, values, chosen) if yes}


def _first_row(shift: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(m, k) shifts: the natural one at several strengths, and each dimension alone, if that does not move it alone."""
    row = np.array(ROW)[:, None] * shift
    alone = PROBE * np.eye(len(shift)) * np.where(shift < 0, -1, 1)[:, None]
    if (shift != 0).sum() == 1:
        alone = alone[~asked]
    return np.clip(np.concatenate([row, alone]), -LONGEST_SHIFT, LONGEST_SHIFT)


class _Search:
    """What was tried, and what to try next. `shifts` and `found` (n, k), in deviations; `states` what came out."""

    def __init__(self, shifts: np.ndarray, found: np.ndarray, states: list, target: np.ndarray, asked: np.ndarray):
        self.shifts, self.found, self.states = shifts, found, states
        self.target, self.asked = target, asked
        self.weight = np.where(asked, 1.0, OTHERS)

    def add(self, shifts: np.ndarray, found: np.ndarray, states) -> None:
        self.shifts, self.found = np.concatenate([self.shifts, shifts]), np.concatenate([self.found, found])
        self.states.extend(states)

    @property
    def best(self) -> int:
        """The one that meets the wish with the least change of the others, among those that are near to it or not
        further from it than the plain move: who asks for density wants density."""
        apart = (self.found - self.target) ** 2
        miss = apart[:, self.asked].sum(axis=1)
        bound = miss[1 + ROW.index(1.0)] if len(miss) > len(ROW) else np.inf
        bound = max(bound, NEAR**2 * miss[0])
        cost = apart @ self.weight + 0.1 * EFFORT * (self.shifts**2).sum(axis=1)
        return int(np.argmin(np.where(miss <= bound + 1e-9, cost, np.inf)))

    def slopes(self) -> np.ndarray:
        """(k, k): change of attribute (row) by a deviation of a dimension (column), near the best shift so far."""
        best, k = self.best, self.shifts.shape[1]
        x, f = (
            np.delete(self.shifts - self.shifts[best], best, axis=0),
            np.delete(self.found - self.found[best], best, axis=0),
        )
        near = 1 / (0.3 + (x**2).sum(axis=1))
        gram = (x * near[:, None]).T @ x + STIFF * np.eye(k)
        return np.linalg.solve(gram, (x * near[:, None]).T @ f + STIFF * EXPECTED * np.eye(k)).T

    def proposals(self) -> np.ndarray:
        """(m, k) shifts from the best one on: towards what the linear model says, more and less, with and without the
        help of dimensions whose attributes shall stay; and half-way between the two best."""
        slopes, here = self.slopes(), self.shifts[self.best]
        lack = self.target - self.found[self.best]
        out = []
        for help_ in HELPS:
            use = np.where(self.asked, 1.0, help_)
            j = slopes * use
            gram = j.T @ (self.weight[:, None] * j) + EFFORT * np.eye(len(here))
            step = use * np.linalg.solve(gram, j.T @ (self.weight * lack) - EFFORT * here)
            out += [here + scale * step for scale in SCALES]
        miss = (self.weight * (self.found - self.target) ** 2).sum(axis=1)
        first, second = np.argsort(miss)[:2]
        out.append((self.shifts[first] + self.shifts[second]) / 2)
        return np.clip(np.stack(out), -LONGEST_SHIFT, LONGEST_SHIFT)
