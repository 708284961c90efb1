"""What codes of the latent space are meant to look like: one Gaussian, or a flower of them, one petal per genre.

Job
    `Gaussian` and `Flower` draw codes, tell mean and covariance of a component, and whiten codes (so that a critic sees
    deviations of 0.03 as well as those of 1). `circular_order` puts related genres side by side on the circle.

Method
    Component i of n lies at the angle 2 pi i / n on the unit circle of the first two dimensions. Its variance is 0.1
    along the radius, 0.001 along the tangent and in every other dimension. A draw needs no matrix: with e ~ N(0, I),
    z_0 = cos (1 + r) - sin t, z_1 = sin (1 + r) + cos t, where r = sqrt(0.1) e_0 and t = sqrt(0.001) e_1; z_k =
    sqrt(0.001) e_k. Neighbours of 32 lie 0.196 apart, 6.2 deviations along the tangent.

Source
    A. Valenti, A. Carta, D. Bacciu, 'Learning a latent space of style-aware symbolic music representations by
    adversarial autoencoders' (ECAI 2020), where M S M^-1 is factorised for every draw. Neither the genres nor their
    order are published: the order here is the shortest round trip (2-opt, G. Croes 1958) from the angles that the
    second and third eigenvector of the normalised Laplacian give (M. Belkin and P. Niyogi, 2003).

Difference
    Songs without a known genre get a component at the centre (component n), variance 0.05 in the first two dimensions;
    the program gives them a petal of their own.

Without torch; codes may be numpy arrays or torch tensors, and come back as what they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spartito.errors import ParameterError

__all__ = [
    "FAMILIES",
    "Flower",
    "Gaussian",
    "circular_order",
    "cooccurrence",
    "family_order",
    "prior_from_dict",
    "similarity",
]

RADIAL, OTHERS, CENTRE = 0.1, 0.001, 0.05  # variances
FAMILIES = (
    "classical", "soundtrack/ambient", "new age/folk", "country", "blues", "jazz", "soul/r&b", "funk/disco",
    "hip hop", "electronic", "pop", "rock/metal",
)  # fmt: skip
"""Twelve broad families around the circle, neighbours akin; the last is beside the first."""


# -- priors ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gaussian:
    """N(0, variance I) in `latent` dimensions, whatever the component. Variance 0.001 is the control of `Flower`."""

    latent: int
    variance: float = 1.0

    @property
    def components(self) -> int:
        """Components that a critic is told; one needs no telling."""
        return 0

    def mean(self, component: int = 0) -> np.ndarray:
        """(N_z,)"""
        return np.zeros(self.latent)

    def covariance(self, component: int = 0) -> np.ndarray:
        """(N_z, N_z)"""
        return self.variance * np.eye(self.latent)

    def deviations(self) -> np.ndarray:
        """(N_z,) of every dimension; for a flower, those along radius and tangent first."""
        return np.full(self.latent, np.sqrt(self.variance))

    def from_noise(self, noise, component=None):
        """Codes (n, N_z) from standard normal noise of that shape."""
        return noise * float(np.sqrt(self.variance))

    def whitened(self, z, component=None):
        """Back from codes to noise."""
        return z / float(np.sqrt(self.variance))

    def sample(self, component, rng: np.random.Generator) -> np.ndarray:
        """(n, N_z) float32 codes, one for each entry of `component`."""
        return self.from_noise(rng.standard_normal((len(component), self.latent)), component).astype(np.float32)

    def sample_torch(self, component, *, generator=None):
        """(n, N_z) tensor of codes, on the device of `component` (n,)."""
        return self.from_noise(_noise(component, self.latent, generator), component)

    def to_dict(self) -> dict:
        return {"kind": "gaussian", "latent": self.latent, "variance": self.variance}


@dataclass(frozen=True)
class Flower:
    """`count` Gaussians on a circle, and one at its centre, component `count`, for what has no genre."""

    latent: int
    count: int = 32
    radial: float = RADIAL
    others: float = OTHERS
    centre: float = CENTRE

    def __post_init__(self):
        if self.latent < 2 or self.count < 1:
            raise ParameterError("a flower needs two dimensions and a petal")

    @property
    def components(self) -> int:
        return self.count

    def angle(self, component) -> np.ndarray:
        """Radians."""
        return 2 * np.pi * np.asarray(component) / self.count

    def mean(self, component: int) -> np.ndarray:
        """(N_z,)"""
        out = np.zeros(self.latent)
        if component < self.count:
            out[:2] = np.cos(self.angle(component)), np.sin(self.angle(component))
        return out

    def covariance(self, component: int) -> np.ndarray:
        """(N_z, N_z)"""
        out = self.others * np.eye(self.latent)
        if component >= self.count:
            out[:2, :2] = self.centre * np.eye(2)
            return out
        cos, sin = np.cos(self.angle(component)), np.sin(self.angle(component))
        turn = np.array([[cos, -sin], [sin, cos]])
        out[:2, :2] = turn @ np.diag([self.radial, self.others]) @ turn.T
        return out

    def deviations(self) -> np.ndarray:
        """(N_z,) along radius, tangent and all other dimensions of a petal."""
        return np.sqrt(np.concatenate([[self.radial], np.full(self.latent - 1, self.others)]))

    def _tables(self) -> np.ndarray:
        """(count + 1, 5): cos, sin, distance from the centre, deviations along radius and tangent."""
        angle = self.angle(np.arange(self.count + 1))
        petal = np.arange(self.count + 1) < self.count
        along = np.sqrt(np.where(petal, self.radial, self.centre))
        across = np.sqrt(np.where(petal, self.others, self.centre))
        return np.column_stack([np.cos(angle), np.sin(angle), petal, along, across])

    def from_noise(self, noise, component):
        """Codes (n, N_z) of components (n,) from standard normal noise of that shape."""
        cos, sin, distance, along, across = _columns(self._tables(), component, noise)
        r, t = distance + along * noise[:, :1], across * noise[:, 1:2]
        return _joined([cos * r - sin * t, sin * r + cos * t, noise[:, 2:] * float(np.sqrt(self.others))])

    def whitened(self, z, component):
        """Codes (n, N_z) in the frame of their components: standard normal where they follow the prior."""
        cos, sin, distance, along, across = _columns(self._tables(), component, z)
        r, t = cos * z[:, :1] + sin * z[:, 1:2], cos * z[:, 1:2] - sin * z[:, :1]
        return _joined([(r - distance) / along, t / across, z[:, 2:] / float(np.sqrt(self.others))])

    sample, sample_torch = Gaussian.sample, Gaussian.sample_torch

    def to_dict(self) -> dict:
        values = {"latent": self.latent, "count": self.count, "radial": self.radial}
        return {"kind": "flower", **values, "others": self.others, "centre": self.centre}


def prior_from_dict(values: dict) -> Gaussian | Flower:
    """What `to_dict` gave."""
    kinds = {"gaussian": Gaussian, "flower": Flower}
    kind = values.get("kind")
    if kind not in kinds:
        raise ParameterError(f"a prior is one of {', '.join(kinds)}, not {kind!r}")
    return kinds[kind](**{name: value for name, value in values.items() if name != "kind"})


def _columns(table: np.ndarray, component, like):
    """The rows of `table` that `component` (n,) picks, as columns (n, 1) of the same kind as `like`."""
    if isinstance(like, np.ndarray):
        rows = table[np.asarray(component)]
    else:
        rows = like.new_tensor(table)[component]
    return [rows[:, i : i + 1] for i in range(table.shape[1])]


def _joined(parts):
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts, axis=1)
    import torch

    return torch.cat(parts, dim=1)


def _noise(component, latent: int, generator):
    import torch

    return torch.randn(len(component), latent, device=component.device, generator=generator)


# -- the order of genres --------------------------------------------------------------------------------------------


def cooccurrence(tags: np.ndarray) -> np.ndarray:
    """(n, n): how many songs have both tags; `tags` (songs, n) bool."""
    tags = np.asarray(tags, dtype=np.float64)
    return tags.T @ tags


def similarity(counts: np.ndarray, *, measure: str = "cosine") -> np.ndarray:
    """(n, n) in 0..1 from co-occurrences: cosine of rows, or positive pointwise mutual information over its maximum.

    A tag that no song has is like no other.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if measure == "cosine":
        length = np.linalg.norm(counts, axis=1)
        scale = np.outer(length, length)
        return np.divide(counts @ counts.T, scale, out=np.zeros_like(counts), where=scale > 0)
    if measure != "ppmi":
        raise ParameterError(f"the similarity is cosine or ppmi, not {measure!r}")
    counts = counts - np.diag(np.diag(counts))
    total, expected = counts.sum(), np.outer(counts.sum(1), counts.sum(0))
    ratio = np.divide(counts * total, expected, out=np.ones_like(counts), where=(expected > 0) & (counts > 0))
    found = np.maximum(np.log(ratio), 0.0)
    np.fill_diagonal(found, 0.0)
    found /= max(found.max(), 1e-12)
    np.fill_diagonal(found, 1.0)
    return found


def circular_order(similar: np.ndarray) -> np.ndarray:
    """(n,) int: the genres around the circle, so that neighbours are similar; begins with genre 0.

    Without tags that occur together, 1 / (1 + distance) of the means of low-level features serves as well.
    """
    similar = np.asarray(similar, dtype=np.float64)
    n = len(similar)
    if similar.shape != (n, n) or not np.allclose(similar, similar.T):
        raise ParameterError("similarities are a symmetric matrix")
    if n < 4:
        return np.arange(n)  # all round trips are one
    weight = similar - np.diag(np.diag(similar))
    scale = 1 / np.sqrt(np.maximum(weight.sum(axis=1), 1e-12))
    laplacian = np.eye(n) - scale[:, None] * weight * scale[None, :]
    vectors = np.linalg.eigh(laplacian)[1][:, 1:3] * scale[:, None]
    order = np.argsort(np.arctan2(vectors[:, 1], vectors[:, 0]), kind="stable")
    order = _two_opt(order, 1.0 - weight)
    order = np.roll(order, -int(np.flatnonzero(order == 0)[0]))
    return order if order[1] < order[-1] else np.roll(order[::-1], 1)


def _two_opt(order: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """The round trip after all exchanges of two steps that make it shorter, the best first."""
    n = len(order)
    i, j = np.triu_indices(n, k=2)
    i, j = i[(i > 0) | (j < n - 1)], j[(i > 0) | (j < n - 1)]
    while True:
        here, after = order, np.roll(order, -1)
        a, b, c, d = here[i], after[i], here[j], after[j]
        gain = distance[a, b] + distance[c, d] - distance[a, c] - distance[b, d]
        best = int(np.argmax(gain))
        if gain[best] <= 1e-12:
            return order
        order = order.copy()
        order[i[best] + 1 : j[best] + 1] = order[i[best] + 1 : j[best] + 1][::-1]


def family_order(families: list[str]) -> np.ndarray:
    """(n,) int: genres around the circle by the fixed order of `FAMILIES`, when nothing is known of their likeness.

    `families` says for each genre to which it belongs; genres of one family stay as they come.
    """
    unknown = set(families) - set(FAMILIES)
    if unknown:
        raise ParameterError(f"a family of genres is one of {', '.join(FAMILIES)}, not {sorted(unknown)[0]!r}")
    return np.argsort([FAMILIES.index(family) for family in families], kind="stable")
