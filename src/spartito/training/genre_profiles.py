"""The mean pair profile of each genre, by which `spartito evaluate restyle` measures the fit to a style.

    python -m spartito.training.genre_profiles STORE -o src/spartito/weights/genre-profiles

Phrases of four bars are taken from the training split of a store, as many of every set and work as possible; what is
counted in them is told in `evaluation.style`. Three histograms of 8 by 41 shares are written, two kilobytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from spartito.evaluation.style import genre_profile
from spartito.files import atomic_path
from spartito.notes.phrases import PHRASE
from spartito.training.data.genre_store import GENRES, open_store

__all__ = ["evenly", "learn_profiles", "profile_of"]

PHRASES = 3000  # of a genre at most
SEED = 7


def learn_profiles(store: Path, output: Path) -> dict[str, np.ndarray]:
    """Write `output`/profiles.npz and give genre -> (8, 41) shares."""
    found = {genre: profile_of(store, genre, "train") for genre in GENRES}
    with atomic_path(Path(output) / "profiles.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **{genre: profile.astype(np.float16) for genre, profile in found.items()})
    return found


def profile_of(store: Path, genre: str, split: str, *, phrases: int = PHRASES) -> np.ndarray:
    """(8, 41) mean profile of phrases spread over the sets and works of a split."""
    pieces = open_store(store, genre, split)
    windows = pieces.windows(hop=PHRASE)
    chosen = evenly(pieces.sets[windows[:, 0]], pieces.works[windows[:, 0]], phrases)
    return genre_profile(pieces.rolls(windows[chosen]))


def evenly(sets: np.ndarray, works: np.ndarray, count: int) -> np.ndarray:
    """(count,) indices of rows, drawn from every set alike and from no work again before all others."""
    order = np.random.default_rng(SEED).permutation(len(works))
    sets, works = sets[order], works[order]
    turn = np.argsort(_rank(works), kind="stable")
    within = np.empty(len(order), dtype=np.int64)
    within[turn] = _rank(sets[turn])
    return order[np.lexsort((sets, within))[:count]]


def _rank(names: np.ndarray) -> np.ndarray:
    """(n,) how many equal ones come before each."""
    _, group = np.unique(names, return_inverse=True)
    order = np.argsort(group, kind="stable")
    first = np.searchsorted(group[order], group[order])
    out = np.empty(len(names), dtype=np.int64)
    out[order] = np.arange(len(names)) - first
    return out


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for profiles.npz")
    options = parser.parse_args(arguments)
    learn_profiles(options.store, options.output)


if __name__ == "__main__":
    main()
