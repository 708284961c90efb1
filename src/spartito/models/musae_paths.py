"""Ways through the latent space: from one code to another, and to another genre.

linear      straight: z(a) = (1 - a) z1 + a z2. The paper's equation 19 has the weights the other way round, its figure
            and its text begin with the first piece, as here (A. Valenti, A. Carta, D. Bacciu, ECAI 2020).
spherical   along the great circle of their directions, lengths from one to the other: codes of a Gaussian in many
            dimensions lie on a shell, which a straight line leaves (T. White, 'Sampling generative networks', 2016).
petals      angle and radius of the first two dimensions, the shorter way round, the rest straight: past the petals that
            lie between, not through the centre, which belongs to no genre. Ours.

Codes are (N_z,) or (n, N_z) arrays, without torch.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spartito.errors import ParameterError
from spartito.models.musae_prior import Flower

__all__ = ["PATHS", "path", "towards"]

PATHS = ("linear", "spherical", "petals")
PARALLEL = 1e-6  # sine of an angle below which a great circle is a line


def path(first: np.ndarray, second: np.ndarray, shares, *, kind: str = "linear") -> np.ndarray:
    """(a, ..., N_z): codes on the way from `first` (share 0) to `second` (share 1)."""
    first, second = (np.asarray(z, dtype=np.float64) for z in (first, second))
    if first.shape != second.shape:
        raise ParameterError(f"a path leads between codes of one shape, not {first.shape} and {second.shape}")
    a = np.asarray(shares, dtype=np.float64).reshape(-1, *[1] * first.ndim)
    straight = (1 - a) * first + a * second
    if kind == "linear":
        return straight
    if kind == "spherical":
        return _spherical(first, second, a, straight)
    if kind != "petals":
        raise ParameterError(f"a path is one of {', '.join(PATHS)}, not {kind!r}")
    straight[..., :2] = _round(first, second, a[..., 0])
    return straight


def _round(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(..., 2): the first two dimensions of codes on the way by angle and radius, the shorter way round."""
    r1, r2 = (np.hypot(z[..., 0], z[..., 1]) for z in (first, second))
    t1, t2 = (np.arctan2(z[..., 1], z[..., 0]) for z in (first, second))
    turn = (t2 - t1 + np.pi) % (2 * np.pi) - np.pi
    angle, radius = t1 + share * turn, (1 - share) * r1 + share * r2
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def _spherical(first: np.ndarray, second: np.ndarray, a: np.ndarray, straight: np.ndarray) -> np.ndarray:
    l1, l2 = (np.maximum(np.linalg.norm(z, axis=-1, keepdims=True), 1e-12) for z in (first, second))
    u1, u2 = first / l1, second / l2
    angle = np.arccos(np.clip((u1 * u2).sum(axis=-1, keepdims=True), -1, 1))
    sine = np.sin(angle)
    flat = sine < PARALLEL
    sine = np.where(flat, 1.0, sine)
    direction = (np.sin((1 - a) * angle) * u1 + np.sin(a * angle) * u2) / sine
    return np.where(flat, straight, direction * ((1 - a) * l1 + a * l2))


def towards(
    z: np.ndarray, flower: Flower, component: int | Mapping[int, float], *, strength: float | np.ndarray = 1.0
) -> np.ndarray:
    """Codes (n, N_z) turned to a petal by the share `strength` of the way round, their distance from the centre kept.

    `component` may be several petals and their weights: then the codes go to the middle of them, so weighed. `strength`
    is one, or one for each code (n,). A code nearer to the centre than a petal reaches (three deviations of its
    length) is led out to there: at the centre no direction means anything.
    """
    strength = np.asarray(strength, dtype=np.float64)
    if not ((strength >= 0) & (strength <= 1)).all():
        raise ParameterError(f"the strength lies between 0 and 1, not at {strength}")
    weights = dict(component) if isinstance(component, Mapping) else {component: 1.0}
    if min(weights.values(), default=0.0) < 0 or sum(weights.values()) <= 0:
        raise ParameterError("petals have weights of 0 and more, and not all 0")
    mean = sum(weight * flower.mean(c)[:2] for c, weight in weights.items()) / sum(weights.values())
    z = np.asarray(z, dtype=np.float64)
    nearest = max(0.0, 1 - 3 * flower.radial**0.5)
    radius = np.maximum(np.hypot(z[..., 0], z[..., 1]), nearest)
    target = z.copy()
    target[..., :2] = radius[..., None] * mean
    target[..., :2] = np.where(strength[..., None] > 0, _round(z, target, strength), z[..., :2])
    return target
