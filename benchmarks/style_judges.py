"""The judges of genres, for the benchmarks; which they are, `benchmarks/restyle.py` says."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from spartito.errors import ModelError
from spartito.style.engines import PAIRS
from style_pieces import phrases_of

__all__ = ["accuracies", "equal_errors", "judge", "judge_folders", "judges_of", "odds"]

CALIBRATED = 400  # phrases of a genre that set the threshold of the evaluation judge
BATCH = 256  # phrases judged at once


def judges_of(options, pair: tuple[str, str]) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Name -> function from phrases (n, 2, 64, 84) to probabilities (n, 2) of the pair."""
    from spartito.training.genre_classifier import open_classifier

    found = {}
    for name, folder in judge_folders(options, pair).items():
        try:
            network = open_classifier(folder)
        except ModelError:
            print(f"  no classifier in {folder}", file=sys.stderr)
            continue
        found[name] = judge(network, 0.0)
        if name == "evaluation":
            sides = [phrases_of(options.store, genre, "validation", CALIBRATED) for genre in pair]
            found[name] = judge(network, equal_errors(*(odds(network, side) for side in sides)))
    return found


def judge(network, threshold: float) -> Callable[[np.ndarray], np.ndarray]:
    """Probabilities of a network whose log odds of genre A are `threshold` where both genres are alike.

    What it said of the same phrases before is remembered: those of the source are judged for every engine.
    """
    said: dict[bytes, np.ndarray] = {}

    def say(phrases: np.ndarray) -> np.ndarray:
        key = hashlib.sha1(phrases.tobytes()).digest()
        if key not in said:
            a = 1 / (1 + np.exp(threshold - odds(network, phrases)))
            said[key] = np.column_stack([a, 1 - a])
        return said[key]

    return say


def odds(network, phrases: np.ndarray) -> np.ndarray:
    """(n,) log odds of genre A."""
    import torch

    with torch.inference_mode():
        parts = [
            network(torch.from_numpy(part.astype(np.float32)))
            for part in np.array_split(phrases, -(-len(phrases) // BATCH))
        ]
    logits = torch.cat(parts).double().numpy()
    return logits[:, 0] - logits[:, 1]


def equal_errors(a: np.ndarray, b: np.ndarray) -> float:
    """The threshold between log odds of genres A and B that is wrong on both as often."""
    every = np.sort(np.concatenate([a, b]))
    missed = np.searchsorted(np.sort(a), every) / len(a)
    taken = 1 - np.searchsorted(np.sort(b), every) / len(b)
    return float(every[np.abs(missed - taken).argmin()])


def judge_folders(options, pair: tuple[str, str]) -> dict[str, Path]:
    """Name -> run, for a pair."""
    name = "-".join(pair)
    folders = {"evaluation": options.judges / name} if options.judges is not None else {}
    independent, published, shipped = (
        options.classifiers / f"{name}-{kind}" for kind in ("independent", "published", "shipped")
    )
    return folders | {"independent": independent, "published": published if published.exists() else shipped}


def accuracies(options) -> dict:
    """What each classifier reached on its own held-out phrases, as its run says."""
    found = {}
    for pair in PAIRS:
        for kind, folder in judge_folders(options, pair).items():
            if (folder / "config.json").exists():
                config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
                found[f"{'-'.join(pair)} {kind}"] = config.get("metrics", {}).get("test", {})
    return found
