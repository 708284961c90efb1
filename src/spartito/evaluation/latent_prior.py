"""Do codes fill the space as the prior says, and do the two dimensions of genre move anything?

`prior_match` compares codes with what the prior draws: when they differ, what is sampled is not what was learnt. All
codes are whitened first (`models.musae_prior`), so that every dimension should be N(0, 1) whatever the prior.

    code_mean, code_deviation    of every dimension: 0 and 1 when the prior is met
    sliced_wasserstein, mmd      distances of two samples; `..._of_prior`: of two samples of the prior itself, the best
                                 that can be reached with as many
    dimensions_used              (sum of eigenvalues)^2 / sum of squares, of the correlations of dimensions: 1 when all
                                 say the same, their number when each says something else

`share_moved` counts the cells of decoded windows that change when only two dimensions do. Below 0.02 the decoder does
not listen to them, and a genre knob that turns them is dead.

Source: section 5 of A. Valenti, A. Carta, D. Bacciu (ECAI 2020) for the prior; the paper measures none of this.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spartito.models.musae_paths import towards
from spartito.models.musae_prior import Flower, Gaussian

__all__ = ["dimensions_used", "mmd", "prior_match", "share_moved", "sliced_wasserstein"]

DIRECTIONS = 64  # of the sliced distance
SAMPLE = 512  # windows of which the discrepancy is taken: it needs their distances


def prior_match(whitened: np.ndarray, *, seed: int = 0) -> dict:
    """Figures of whitened codes (w, N_z), see above; lists are of the dimensions."""
    random = np.random.default_rng(seed)
    normal, other = random.standard_normal((2, *whitened.shape))
    some = random.permutation(len(whitened))[:SAMPLE]
    mean, deviation = whitened.mean(axis=0), whitened.std(axis=0)
    return {
        "code_mean": float(np.abs(mean).mean()),
        "code_deviation": float(deviation.mean()),
        "sliced_wasserstein": sliced_wasserstein(whitened, normal),
        "sliced_wasserstein_of_prior": sliced_wasserstein(other, normal),
        "mmd": mmd(whitened[some], normal[:SAMPLE]),
        "mmd_of_prior": mmd(other[:SAMPLE], normal[:SAMPLE]),
        "dimensions_used": dimensions_used(whitened),
        "dimensions_used_of_prior": dimensions_used(normal),
        "means": [round(float(v), 4) for v in mean],
        "deviations": [round(float(v), 4) for v in deviation],
    }


def dimensions_used(codes: np.ndarray) -> float:
    """The participation ratio of the correlations of the dimensions of codes (w, N_z); constant ones count nothing."""
    codes = codes - codes.mean(axis=0)
    deviation = codes.std(axis=0)
    codes = codes[:, deviation > 1e-9] / deviation[deviation > 1e-9]
    correlations = codes.T @ codes / max(len(codes), 1)
    return float(codes.shape[1] ** 2 / max((correlations**2).sum(), 1e-12))


def share_moved(
    decode: Callable[[np.ndarray], np.ndarray], z: np.ndarray, prior: Gaussian | Flower, *, seed: int = 0
) -> dict[str, float]:
    """Share of cells that change when only dimensions 0 and 1 do; `decode` turns codes (w, N_z) into states (w, T, V).

    `exchanged`: each window takes them from another window. `to_petals`, of a flower: each is turned to every other
    petal, the mean of all; a window's own petal is the nearest. `others_exchanged`: all other dimensions are taken from
    another window, for comparison.
    """
    z = np.asarray(z, dtype=np.float64)
    here = decode(z)
    order = np.random.default_rng(seed).permutation(len(z))
    other = np.empty_like(z)
    other[order] = z[np.roll(order, 1)]  # never itself
    found = {"exchanged": float((decode(np.column_stack([other[:, :2], z[:, 2:]])) != here).mean())}
    found["others_exchanged"] = float((decode(np.column_stack([z[:, :2], other[:, 2:]])) != here).mean())
    if isinstance(prior, Flower) and prior.count > 1:
        petals = np.stack([prior.mean(i)[:2] for i in range(prior.count)])
        own = (z[:, :2] @ petals.T).argmax(axis=1)
        changed = np.zeros(len(z))
        for petal in range(prior.count):
            rows = np.flatnonzero(own != petal)
            if len(rows):
                changed[rows] += (decode(towards(z[rows], prior, petal)) != here[rows]).mean(axis=(1, 2))
        found["to_petals"] = float(changed.mean() / (prior.count - 1))
    return found


def sliced_wasserstein(a: np.ndarray, b: np.ndarray, *, seed: int = 0) -> float:
    """Mean distance of sorted projections of two samples (n, d) on random directions; 0 when they are alike."""
    direction = np.random.default_rng(seed).standard_normal((a.shape[1], DIRECTIONS))
    direction /= np.linalg.norm(direction, axis=0)
    return float(np.abs(np.sort(a @ direction, axis=0) - np.sort(b @ direction, axis=0)).mean())


def mmd(a: np.ndarray, b: np.ndarray) -> float:
    """Squared maximum mean discrepancy (A. Gretton et al., JMLR 2012), unbiased, inverse multiquadratic kernel of the
    scale 2d that N(0, I) has; of two samples (n, d)."""
    scale = 2.0 * a.shape[1]

    def kernel(x, y):
        apart = (x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2 * x @ y.T
        return scale / (scale + np.maximum(apart, 0))

    n, m = len(a), len(b)
    within = (kernel(a, a).sum() - n) / (n * (n - 1)) + (kernel(b, b).sum() - m) / (m * (m - 1))
    return float(within - 2 * kernel(a, b).mean())
