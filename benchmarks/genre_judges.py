"""Judges of genre transfer, from sets that nothing else learned from, and what they can know.

    python benchmarks/genre_judges.py STORE FOREIGN JUDGES [--classifiers RUNS] [--pair classic,jazz] [--json]

STORE is the store of `spartito train genre`, FOREIGN one of the same layout with sets that neither a generator nor a
classifier saw. Compositions that are also in the validation or test split of STORE are left out first (JUDGES/sets
holds the rest): a judge must not know by heart what it will judge. For each pair a classifier of kind `evaluation`
(`spartito train genre-classifier`: a third family of network, onsets alone, as many notes in phrases of either genre)
learns from the train split of what is left into JUDGES/<pair>; a run that is there is taken as it is. For research
only: the licences of such sets are unclear, so it is not shipped.

Printed are accuracies in percent, of balanced phrases matched in notes

    foreign     of the judge on FOREIGN/*/test
    own         of the judge on STORE/*/test, whose sets it never saw, with the threshold that is wrong as often on
                either genre of STORE/*/validation: its sets lie elsewhere between the genres (`unmoved`: without that)
    published, independent
                of the classifiers of RUNS/<pair>-shipped and RUNS/<pair>-independent on FOREIGN/*/test
    notes, steps, runs, places
                of a regression on FOREIGN that sees only how many notes begin (they are matched: about 50); only in
                how many steps they begin; only how often a step and the next are both struck, as by running
                sixteenths or by hands that break chords; only in which step of the beat. The last three are texture
                and rhythm, and so style, but no harmony: what a judge gains beyond them is what it knows of more.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from spartito.notes.notes import Notes
from spartito.notes.phrases import PHRASE, STEPS_PER_BEAT
from spartito.training.data.duplicates import is_version_of, melody_runs
from spartito.training.data.genre_store import GENRES, PAIRS, GenrePieces, GridPiece, open_store, save_pieces
from spartito.training.genre_batches import Phrases
from spartito.training.genre_classifier import logits_of, open_classifier, train_classifier

TESTED = 1000  # phrases of each genre
LEARNED = 3000  # of each genre, by the regressions
SEED = 5


def phrases_of(store: Path, pair: tuple[str, str], split: str, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Balanced phrases of a split, matched in notes, and their labels."""
    pieces = [open_store(store, genre, split) for genre in pair]
    return Phrases.of(pieces, hop=PHRASE, matched=True).draw(count, np.random.default_rng(SEED))


def runs_of(pieces: GenrePieces) -> list[set[bytes]]:
    """Runs of the top line of each piece (`data.duplicates`)."""
    tables = [pieces.notes_of(i) for i in range(len(pieces))]
    return [melody_runs(Notes.from_arrays(t[:, 0], t[:, 0] + t[:, 1], t[:, 2], t[:, 3])) for t in tables]


def set_apart(store: Path, foreign: Path, output: Path) -> list[str]:
    """Copy FOREIGN to `output` without versions of compositions of STORE's validation and test; their names."""
    left_out = []
    for genre in GENRES:
        known = [runs for split in ("validation", "test") for runs in runs_of(open_store(store, genre, split))]
        for split in ("train", "validation", "test"):
            pieces = open_store(foreign, genre, split)
            version = [is_version_of(runs, known) for runs in runs_of(pieces)]
            left_out += [f"{pieces.sets[i]}/{pieces.names[i]}" for i in np.flatnonzero(version)]
            kept = [
                GridPiece(
                    name=str(pieces.names[i]),
                    work=str(pieces.works[i]),
                    notes=pieces.notes_of(i),
                    place=pieces.place[pieces.piece[i] : pieces.piece[i + 1]],
                    regions=pieces.regions[pieces.regions[:, 0] == i, 1:],
                )
                for i in np.flatnonzero(~np.array(version))
            ]
            save_pieces(output / genre / split / "foreign.npz", kept)
    return left_out


def plain_features(rolls: torch.Tensor) -> dict[str, torch.Tensor]:
    """What can be told without pitch: name -> (n, f) of (n, 2, 64, 84) rolls."""
    onset = rolls[:, 0]
    struck = onset.sum(dim=2)  # (n, 64) notes begun in each step
    notes = struck.sum(dim=1).clamp(min=1)
    busy = (struck > 0).float()
    neighbours = (busy[:, 1:] * busy[:, :-1]).sum(dim=1) / busy.sum(dim=1).clamp(min=1)
    late = functional.pad(struck, (0, 1))[:, 1:]
    broken = (torch.minimum(struck, late)).sum(dim=1) / notes
    places = struck.reshape(len(rolls), -1, STEPS_PER_BEAT).sum(dim=1) / notes[:, None]
    return {
        "notes": notes.log()[:, None],
        "steps": busy.sum(dim=1)[:, None] / PHRASE,
        "runs": torch.stack([neighbours, broken], dim=1),
        "places": places,
    }


def regression(train: torch.Tensor, labels: torch.Tensor, test: torch.Tensor, answers: torch.Tensor) -> float:
    """Accuracy in percent of a logistic regression on features and their squares."""
    mean, deviation = train.mean(dim=0), train.std(dim=0) + 1e-6
    train, test = (torch.cat([z, z**2], dim=1) for z in ((train - mean) / deviation, (test - mean) / deviation))
    weights = torch.zeros(train.shape[1] + 1, 2, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=50)

    def scores(x: torch.Tensor) -> torch.Tensor:
        return x @ weights[:-1] + weights[-1]

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = functional.cross_entropy(scores(train), labels) + 1e-3 * (weights**2).sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    with torch.no_grad():
        return percent(scores(test), answers)


def equal_errors(odds: torch.Tensor, labels: torch.Tensor) -> float:
    """The threshold of log odds of genre B that is wrong on both genres as often."""
    a, b = odds[labels == 0], odds[labels == 1]
    every = odds.sort().values
    missed = (a[None] >= every[:, None]).float().mean(dim=1) - (b[None] < every[:, None]).float().mean(dim=1)
    return float(every[missed.abs().argmin()])


def percent(logits: torch.Tensor, labels: torch.Tensor) -> float:
    return round(100 * float((logits.argmax(dim=1) == labels).float().mean()), 1)


def judged(store: Path, foreign: Path, judges: Path, classifiers: Path | None, pair: tuple[str, str]) -> dict:
    """One row of the table."""
    run = judges / "-".join(pair)
    if not (run / "config.json").exists():
        train_classifier(foreign, run, pair=pair, kind="evaluation", report=lambda line: print(line, flush=True))
    judge = open_classifier(run)
    rolls, labels = phrases_of(foreign, pair, "test", TESTED)
    own, answers = phrases_of(store, pair, "test", TESTED)
    known, truths = phrases_of(store, pair, "validation", TESTED)
    shift = torch.tensor([equal_errors(logits_of(judge, known).diff(dim=1)[:, 0], truths), 0.0])
    said = logits_of(judge, own)
    row = {
        "pair": "-".join(pair),
        "foreign": percent(logits_of(judge, rolls), labels),
        "own": percent(said + shift, answers),
        "unmoved": percent(said, answers),
    }
    for name, kind in (("published", "shipped"), ("independent", "independent")):
        folder = None if classifiers is None else classifiers / f"{'-'.join(pair)}-{kind}"
        if folder is not None and (folder / "config.json").exists():
            row[name] = percent(logits_of(open_classifier(folder), rolls), labels)
    learned, truth = phrases_of(foreign, pair, "train", LEARNED)
    known, asked = plain_features(learned), plain_features(rolls)
    return row | {name: regression(known[name], truth, asked[name], labels) for name in known}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("foreign", type=Path)
    parser.add_argument("judges", type=Path)
    parser.add_argument("--classifiers", type=Path, help="folder of runs of `spartito train genre-classifier`")
    parser.add_argument("--pair", action="append", help="as classic,jazz; all if not given")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    apart = given.judges / "sets"
    if not apart.exists():
        print("left out:", ", ".join(set_apart(given.store, given.foreign, apart)) or "nothing")
    pairs = PAIRS if given.pair is None else [tuple(p.split(",")) for p in given.pair]
    rows = [judged(given.store, apart, given.judges, given.classifiers, pair) for pair in pairs]
    if given.json:
        print(json.dumps(rows, indent=2))
        return
    columns = list(max(rows, key=len))
    print("  ".join(f"{name:>12}" for name in columns))
    for row in rows:
        print("  ".join(f"{row.get(name, ''):>12}" for name in columns))


if __name__ == "__main__":
    main()
