"""All that is measured of a latent space, on windows of songs it has never seen, as one dictionary for a JSON file.

Parts of a model's report
    reconstruction   `mean`, `sampled`: track -> figures (`evaluation.latent`), decoded from the mean of a window's code
                     and from a code drawn around it, as published; `mean` of the tracks, `all` cells together
    genres           of each genre: windows, songs, and the chief figures of reconstruction, of all cells
    interpolation    curves of 256 pairs of windows of different songs, for each kind of path, and `data`, cells
                     exchanged one by one; `density_bend`, `pitch_range_bend`: how far an attribute leaves the straight
                     way between its values at both ends, in its deviations among windows
    heat_map         `rows`, `genres` (around the circle), `change` (rows, genres): relative change of low-level
                     measures of 256 windows decoded from each component; `real`: of real windows of the genre;
                     `agreement`: correlation of the two tables; `smooth`: circular autocorrelation and chance of
                     it, of each row, of all together and of all real ones; `contrast`: how large the changes are,
                     in those of real music; `recognised`: how often a listener who knows real windows takes them, real
                     windows rebuilt and draws for their genre (`drawn`: as `sample` draws, with sliders as usual in the
                     genre, where the model tells; `drawn_plain`: of the prior alone). None with one Gaussian
    pairs            `evaluation.latent_pairs`
    prior            `evaluation.latent_prior`; `sigma`: mean deviation of a window's code, in those of the prior
    control          sliders and genre knob, `evaluation.control`

`measure` gives these and, as `Drawn`, what pictures need besides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from spartito.errors import ParameterError
from spartito.evaluation import latent
from spartito.evaluation.latent_pairs import Pair, genre_pairs, recognised
from spartito.evaluation.latent_prior import prior_match, share_moved
from spartito.models.musae_paths import path
from spartito.models.musae_prior import Flower
from spartito.models.musae_runtime import LatentModel
from spartito.notes.band_attributes import ATTRIBUTES, attributes
from spartito.notes.layouts import Layout
from spartito.style.latent_sample import with_sliders

__all__ = ["PUBLISHED", "Drawn", "HeldOut", "decoder", "measure"]

PAIRS = 256  # of windows, published
PER_COMPONENT = 256  # draws, published
BENT = ("density", "pitch_range")  # attributes whose way is measured
CHIEF = ("accuracy", "hold_baseline", "onset_accuracy", "pitch_f1", "note_f1")  # of a genre
MOVED = 256  # windows on which only two dimensions are moved

PUBLISHED = {
    "source": "A. Valenti, A. Carta, D. Bacciu (ECAI 2020), table 1: categorical accuracy",
    "why_it_does_not_compare": (
        "windows of one song lie on both sides of the published split, and its program validates on training batches; "
        "hold cells count, and silence after silence is hold; other data; networks of 160 million weights, here of one "
        "or two"
    ),
    "two_bars": {
        "MusAE, Gaussian": {"drums": 0.999, "melody": 0.991},
        "MusicVAE, flat": {"drums": 0.917, "melody": 0.951},
    },
    "sixteen_bars": {
        "MusAE, Gaussian": {"drums": 0.773, "bass": 0.763, "guitar": 0.710, "strings": 0.802, "mean": 0.762},
        "MusAE, mixture": {"drums": 0.911, "bass": 0.880, "guitar": 0.797, "strings": 0.825, "mean": 0.853},
        "MusicVAE, flat": {"drums": 0.641, "bass": 0.651, "guitar": 0.660},
        "MusicVAE, hierarchical": {"drums": 0.895, "bass": 0.782, "guitar": 0.760},
    },
}


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Windows of songs that were not learnt from.

    `states` (w, T, tracks) uint8; `songs` (w,) names; `tags` (w, n) bool, of the genres `names`.
    """

    states: np.ndarray
    songs: np.ndarray
    tags: np.ndarray
    names: tuple[str, ...]

    def __post_init__(self):
        if len(np.unique(self.songs)) < 2:
            raise ParameterError("a latent space is measured on windows of two songs at least")


@dataclass(eq=False)
class Drawn:
    """What pictures show and no report needs.

    The first path as `way` (shares, T, tracks) between `ends` (2, T, tracks); codes of all windows in two dimensions,
    `flat` (w, 2), and the number of their `genre` (w,), -1 for none; `pairs`.
    """

    way: np.ndarray
    ends: np.ndarray
    flat: np.ndarray
    genre: np.ndarray
    pairs: list[Pair] = field(default_factory=list)


def decoder(model: LatentModel) -> Callable[[np.ndarray], np.ndarray]:
    """A function from codes (w, N_z) to the likeliest states (w, T, tracks) uint8."""

    def decode(z: np.ndarray) -> np.ndarray:
        states = np.empty((len(z), model.steps, len(model.layout)), dtype=np.uint8)
        for part, told in model.decode_parts(np.asarray(z, dtype=np.float32)):
            states[part] = told.argmax(axis=-1)
        return states

    return decode


def measure(
    model: LatentModel, held: HeldOut, *, pairs: int = PAIRS, per_component: int = PER_COMPONENT, seed: int = 0
) -> tuple[dict, Drawn]:
    """The report of a model, see above, and what its pictures show."""
    random = np.random.default_rng(seed)
    decode, layout = decoder(model), model.layout
    mean, sigma = (part.astype(np.float64) for part in model.encode(held.states))
    sampled = mean + sigma * random.standard_normal(mean.shape)
    made = decode(mean)
    known = [held.names.index(tag) if tag in held.names else -1 for tag in model.tags]
    component = _components(held, known, model.prior.components)

    ways, way, ends = interpolations(model, decode, mean, held, count=pairs, random=random)
    drawn = Drawn(way, ends, mean[:, :2], _genre(held))
    rows = latent.heat_rows(held.states, layout=layout)
    drawn.pairs = genre_pairs(mean, np.column_stack(list(rows.values())), held.tags, held.songs, held.names, seed=seed)
    report = {
        "bars": model.bars,
        "layout": layout.name,
        "prior": model.prior.to_dict(),
        "tags": list(model.tags),
        "windows": len(held.states),
        "songs": len(np.unique(held.songs)),
        "reconstruction": {
            "mean": with_mean(latent.reconstruction(held.states, made, layout=layout)),
            "sampled": with_mean(latent.reconstruction(held.states, decode(sampled), layout=layout)),
        },
        "genres": by_genre(held, made, layout),
        "interpolation": ways,
        "heat_map": None,
        "pairs": [{"first": pair.names[0], "second": pair.names[1], **pair.figures} for pair in drawn.pairs],
        "prior_match": prior_match(model.prior.whitened(sampled, component), seed=seed)
        | {"sigma": float((sigma / model.prior.deviations()).mean())},
        "moved_by_two_dimensions": share_moved(decode, mean[:MOVED], model.prior, seed=seed),
    }
    if isinstance(model.prior, Flower):
        report["heat_map"] = heat_map(model, decode, held, made, count=per_component, random=random)
    return report, drawn


def _components(held: HeldOut, known: list[int], centre: int) -> np.ndarray:
    """(w,) the component of each window: that of its first genre, or the centre."""
    tags = np.column_stack([held.tags[:, i] if i >= 0 else np.zeros(len(held.tags), dtype=bool) for i in known] or [[]])
    if not tags.size:
        return np.full(len(held.tags), centre)
    return np.where(tags.any(axis=1), tags.argmax(axis=1), centre)


def _genre(held: HeldOut) -> np.ndarray:
    """(w,) number of the first genre, -1 for none."""
    if not held.tags.shape[1]:
        return np.full(len(held.tags), -1)
    return np.where(held.tags.any(axis=1), held.tags.argmax(axis=1), -1)


# -- reconstruction -------------------------------------------------------------------------------------------------


def with_mean(figures: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Figures of tracks with those of `mean`, every one the mean of the tracks that have it."""
    tracks = [values for track, values in figures.items() if track != "all"]
    mean = {}
    for name in tracks[0]:
        there = [values[name] for values in tracks if np.isfinite(values[name])]
        mean[name] = float(np.mean(there)) if there else float("nan")
    return figures | {"mean": mean}


def by_genre(held: HeldOut, made: np.ndarray, layout: Layout) -> dict[str, dict[str, float]]:
    """Of each genre that has windows: their number, that of their songs, and the chief figures of all cells."""
    found = {}
    for i, name in enumerate(held.names):
        rows = held.tags[:, i]
        if rows.any():
            figures = latent.reconstruction(held.states[rows], made[rows], layout=layout)["all"]
            counts = {"windows": int(rows.sum()), "songs": len(np.unique(held.songs[rows]))}
            found[name] = counts | {key: figures[key] for key in CHIEF}
    return found


# -- interpolation --------------------------------------------------------------------------------------------------


def pairs_of(songs: np.ndarray, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `count` pairs of windows of different songs, each (count,)."""
    first, second = random.integers(0, len(songs), (2, 20 * count + 100))
    good = np.flatnonzero(songs[first] != songs[second])[:count]
    return first[good], second[good]


def interpolations(model: LatentModel, decode, mean: np.ndarray, held: HeldOut, *, count: int, random):
    """Curves of every kind of path, and of the first pair the straight path with its two ends."""
    shares = latent.SHARES
    a, b = pairs_of(held.songs, count, random)
    first, second = held.states[a], held.states[b]
    deviation = attributes(held.states, layout=model.layout).std(axis=0)
    kinds = ["linear", "spherical"] + ["petals"] * isinstance(model.prior, Flower)
    found, way = {}, None
    for kind in [*kinds, "data"]:
        if kind == "data":
            states = latent.data_path(first, second, random, shares=shares)
        else:
            codes = path(mean[a], mean[b], shares, kind=kind)
            states = decode(codes.reshape(-1, codes.shape[-1])).reshape(len(shares), *first.shape)
        way = states[:, 0] if way is None else way
        found[kind] = latent.interpolation(states, first, second, shares=shares)
        found[kind] |= bends(states, model.layout, deviation, shares)
    return found, way, np.stack([first[0], second[0]])


def bends(states: np.ndarray, layout: Layout, deviation: np.ndarray, shares: np.ndarray) -> dict[str, float]:
    """How far attributes of paths of states (a, w, T, tracks) leave the straight way between their ends: mean of the
    points between, in `deviation`s (attributes,)."""
    values = attributes(states.reshape(-1, *states.shape[2:]), layout=layout).reshape(*states.shape[:2], -1)
    straight = (1 - shares)[:, None, None] * values[0] + shares[:, None, None] * values[-1]
    off = np.abs(values - straight)[1:-1].mean(axis=(0, 1)) / np.maximum(deviation, 1e-9)
    return {f"{name}_bend": float(off[ATTRIBUTES.index(name)]) for name in BENT}


# -- components -----------------------------------------------------------------------------------------------------


def rows_of(states: np.ndarray, layout: Layout) -> np.ndarray | None:
    """(rows,) means of the low-level measures of windows; None of no windows."""
    if not len(states):
        return None
    rows = np.stack(list(latent.heat_rows(states, layout=layout).values()))
    there = np.isfinite(rows)
    count = there.sum(axis=1)
    return np.where(count > 0, np.where(there, rows, 0).sum(axis=1) / np.maximum(count, 1), np.nan)


def heat_map(model: LatentModel, decode, held: HeldOut, made: np.ndarray, *, count: int, random) -> dict:
    """What windows drawn from each component are like, beside real ones; `made` are these rebuilt."""
    genres = list(model.tags) or [str(i) for i in range(model.prior.count)]
    noise = random.standard_normal((len(genres), count, model.latent))
    plain = [decode(model.prior.from_noise(some, np.full(count, i))) for i, some in enumerate(noise)]
    drawn = plain
    if model.sliders:  # as `sample` draws: these dimensions are no matter of the prior
        spread = [with_sliders(model, some, genre) for some, genre in zip(noise, genres)]
        drawn = [decode(model.prior.from_noise(some, np.full(count, i))) for i, some in enumerate(spread)]
    means = np.column_stack([rows_of(states, model.layout) for states in drawn])
    names = list(latent.heat_rows(drawn[0][:1], layout=model.layout))
    missing = np.full(len(names), np.nan)
    real = [
        rows_of(held.states[held.tags[:, held.names.index(g)]], model.layout) if g in held.names else None
        for g in genres
    ]
    truth = np.column_stack([missing if row is None else row for row in real])
    change, true_change = latent.relative_change(means), latent.relative_change(truth)
    both = np.isfinite(change) & np.isfinite(true_change)
    several = both.sum() > 2 and change[both].std() > 0 and true_change[both].std() > 0
    size, true_size = (
        np.sqrt(np.mean(np.clip(c[both], -1, 1) ** 2)) if several else np.nan for c in (change, true_change)
    )
    return {
        "rows": names,
        "genres": genres,
        "draws": count,
        "means": means.tolist(),
        "change": change.tolist(),
        "real_means": truth.tolist(),
        "real": true_change.tolist(),
        "agreement": float(np.corrcoef(change[both], true_change[both])[0, 1]) if several else float("nan"),
        "contrast": float(size / true_size),
        "recognised": listened(model, held, made, {"drawn": drawn, "drawn_plain": plain}, genres),
        "smooth": [list(latent.smoothness(row)) for row in change],
        "smooth_of_all": list(latent.smoothness_of_all(change)),
        "smooth_of_real": list(latent.smoothness_of_all(true_change)),
    }


def listened(
    model: LatentModel, held: HeldOut, made: np.ndarray, draws: dict[str, list], genres: list[str]
) -> dict[str, float]:
    """`latent_pairs.recognised` of windows that have one genre of two songs or more, rebuilt, and of `draws` of all
    genres, by name."""

    def features(states: np.ndarray) -> np.ndarray:
        return np.column_stack(list(latent.heat_rows(states, layout=model.layout).values()))

    single = held.tags.sum(axis=1) == 1
    genre = held.tags.argmax(axis=1)
    several = [i for i in range(len(held.names)) if len(np.unique(held.songs[single & (genre == i)])) > 1]
    rows = single & np.isin(genre, several)
    if len(several) < 2:
        return {}
    others = {"rebuilt": (features(made[rows]), genre[rows])}
    for name, drawn in draws.items():
        kinds = np.repeat([held.names.index(g) if g in held.names else -1 for g in genres], [len(d) for d in drawn])
        known = np.isin(kinds, several)
        if known.any():
            others[name] = (features(np.concatenate(drawn)[known]), kinds[known])
    return recognised(features(held.states[rows]), genre[rows], held.songs[rows], others)
