"""Does a classifier take a transfer for the other genre? Success, and the published strength in both ways of counting.

Method
    P_A is a classifier's probability of genre A; x_A a phrase of A, x̂_B its transfer into B, x̃_A the transfer of that
    back into A (the cycle).

    A transfer succeeds when P_A(x_A) > 0.5 and P_A(x̂_B) < 0.5: what was never taken for its own genre cannot succeed.

    Strength  S_A = ½ [ (P_A(x_A) - P_A(x̂_B)) + (P_A(x̃_A) - P_A(x̂_B)) ],  S_B likewise,  S_D = ½ (S_A + S_B)

    In the published percentages P is the *share of phrases* that the classifier takes for A ('fraction'); the paper's
    formula reads as if it were the mean probability ('probability'). Both are here.

    A strength alone says nothing about music: silence, or a few cells that fool one classifier, can win it. Measure
    with a classifier that no generator has seen and whose training set is another one, and set beside it what is kept
    of the piece (`evaluation.style`).

Source
    G. Brunner, Y. Wang, R. Wattenhofer, S. Zhao, 'Symbolic music genre transfer with CycleGAN' (ICTAI 2018), and the
    tables of its repository. Different: without a cycle the second term of S is left out.
"""

from __future__ import annotations

import numpy as np

from spartito.errors import ParameterError

__all__ = ["COUNTS", "strength", "strengths", "success"]

COUNTS = ("fraction", "probability")
SURE = 0.5  # probability above which a phrase is taken for a genre


def success(source: np.ndarray, transfer: np.ndarray) -> np.ndarray:
    """(n,) bool of the probabilities (n,) of the *source* genre, of the phrases and of their transfers."""
    source, transfer = np.asarray(source), np.asarray(transfer)
    if source.shape != transfer.shape:
        raise ParameterError(f"each phrase has one transfer: {source.shape} and {transfer.shape} do not match")
    return (source > SURE) & (transfer < SURE)


def strength(source, transfer, cycle=None, *, count: str = "fraction") -> float:
    """S of one direction, -1 .. 1, of probabilities (n,) of the source genre.

    `count` is "fraction" (of phrases taken for the source genre) or "probability" (mean).
    """
    if count not in COUNTS:
        raise ParameterError(f"count is one of {', '.join(COUNTS)}, not {count!r}")

    def level(p) -> float:
        p = np.asarray(p, dtype=np.float64)
        return float(np.mean(p > SURE) if count == "fraction" else np.mean(p))

    falls = [level(given) - level(transfer) for given in (source, cycle) if given is not None]
    return sum(falls) / len(falls)


def strengths(a_to_b, b_to_a, *, count: str = "fraction") -> dict[str, float]:
    """S_A, S_B and S_D; each direction is (source, transfer, cycle or None), probabilities of its source genre."""
    s_a, s_b = strength(*a_to_b, count=count), strength(*b_to_a, count=count)
    return {"S_A": s_a, "S_B": s_b, "S_D": (s_a + s_b) / 2}
