"""What the options of `restyle` are worth: does the change grow with the strength, and what do more candidates give?

    python benchmarks/restyle_options.py STORE --classifiers RUNS --judges JUDGES [--engine idiom] [--excerpts 2]
        [--bars 16] [--strengths 0.25 0.5 0.75 1] [--candidates 1 3 8] -o results

Excerpts of the test split (`--split validation` to choose by), as in `benchmarks/restyle.py`, to both other genres.

Strength: of each excerpt the share of cells that changed (`content_diff`) at growing strengths; it must never fall.
`target` is the mean probability of the target genre by the independent classifier, `kept` the chroma similarity.

Candidates: success by the judges, what is kept, and the seconds that one core spends on a minute of music. The shipped
classifiers choose, the `independent` one among them, so its figures say little here: read the evaluation judge's.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from spartito.evaluation.style import chroma_similarity, content_difference
from spartito.files import atomic_path
from spartito.style.engines import GENRES, USUAL, pair_of

sys.path.insert(0, str(Path(__file__).parent))
from restyle import measured, opened_engines, profiles_of, transfer
from style_judges import judges_of
from style_pieces import Excerpt, excerpts
from style_tables import means, successes, table

TOLERANCE = 1e-9
CANDIDATES = {  # key: heading
    "chroma_sim": "chroma",
    "melody_near": "melody ±1",
    "density_ratio": "density",
    "clashes": "clashes",
    "playable": "playable",
    "seconds": "seconds a minute",
}


def rolls_of(piece: Excerpt, grid: np.ndarray) -> np.ndarray:
    """(1, 2, steps, 84): the excerpt as one long phrase."""
    phrases = piece.phrases(grid)
    return phrases.transpose(1, 0, 2, 3).reshape(1, 2, -1, phrases.shape[-1])


def strength_rows(engine: str, opened, pieces: list[Excerpt], target: str, judge, strengths) -> list[dict]:
    """A row for each excerpt and strength, the source itself (0) first."""
    rows = []
    for piece in pieces:
        before = rolls_of(piece, piece.grid)
        column = pair_of(piece.genre, target).index(target)
        for strength in (0.0, *strengths):
            notes = transfer(engine, opened, piece, target, piece.genre, piece.notes, strength=strength)
            grid = piece.on_grid(notes)
            after = rolls_of(piece, grid)
            row = {"direction": f"{piece.genre}→{target}", "piece": piece.name, "strength": float(strength)}
            row["content_diff"] = float(content_difference(before, after)[0])
            row["chroma_sim"] = float(chroma_similarity(before, after)[0])
            row["target"] = float(np.mean(judge(piece.phrases(grid))[:, column]))
            rows.append(row)
    return rows


def monotone(rows: list[dict], *, key: str = "content_diff") -> float:
    """Share of the excerpts in which a figure never falls as the strength grows."""
    pieces = dict.fromkeys((row["direction"], row["piece"]) for row in rows)
    kept = []
    for name in pieces:
        mine = [row for row in rows if (row["direction"], row["piece"]) == name]
        values = [row[key] for row in sorted(mine, key=lambda row: row["strength"])]
        kept.append(bool((np.diff(values) >= -TOLERANCE).all()))
    return float(np.mean(kept)) if kept else float("nan")


def strength_table(rows: list[dict]) -> str:
    """Markdown: means at each strength, and in how many excerpts the change never falls."""
    lines = ["| strength | cells changed | chroma | probability of the target |", "|---|---|---|---|"]
    for strength in sorted({row["strength"] for row in rows}):
        mine = [row for row in rows if row["strength"] == strength]
        changed, kept, target = (np.mean([row[k] for row in mine]) for k in ("content_diff", "chroma_sim", "target"))
        lines.append(f"| {strength:g} | {changed:.4f} | {kept:.2f} | {target:.2f} |")
    count = len({(row["direction"], row["piece"]) for row in rows})
    told = f"Of {count} excerpts the change never falls in {100 * monotone(rows):.0f} %"
    return (
        "\n".join(lines) + f"\n\n{told}, the probability of the target in {100 * monotone(rows, key='target'):.0f} %."
    )


def candidate_row(engine: str, opened, pieces: list[Excerpt], target: str, judges, profiles, count: int) -> dict:
    """Figures of one direction with so many candidates."""
    begin = time.process_time()
    results = [transfer(engine, opened, p, target, p.genre, p.notes, candidates=count) for p in pieces]
    spent = time.process_time() - begin
    there = [p.on_grid(notes) for p, notes in zip(pieces, results, strict=True)]
    minutes = sum(p.beats.times[-1] - p.beats.times[0] for p in pieces) / 60
    figures = measured(pieces, there, None, judges, profiles, target)
    return {"direction": f"{pieces[0].genre}→{target}", "engine": str(count), **figures, "seconds": spent / minutes}


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--classifiers", type=Path, required=True, help="folder of runs <a>-<b>-<kind>")
    parser.add_argument("--judges", type=Path, help="folder of evaluation judges <a>-<b>")
    parser.add_argument("--engine", default=USUAL)
    parser.add_argument("--split", choices=("test", "validation"), default="test")
    parser.add_argument("--excerpts", type=int, default=2, help="of each genre")
    parser.add_argument("--bars", type=int, default=16)
    parser.add_argument("--strengths", type=float, nargs="*", default=[0.25, 0.5, 0.75, 1.0])
    parser.add_argument("--candidates", type=int, nargs="*", default=[1, 3, 8])
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the results")
    options = parser.parse_args(arguments)
    opened = opened_engines([options.engine]).get(options.engine)
    if opened is None:
        raise SystemExit(1)
    profiles = profiles_of(None)
    cuts = {g: excerpts(options.store, g, options.excerpts, options.bars, split=options.split) for g in GENRES}
    strengths, candidates = [], []
    for source, target in ((a, b) for a in GENRES for b in GENRES if a != b):
        judges = judges_of(options, pair_of(source, target))
        if options.strengths:
            strengths += strength_rows(
                options.engine, opened, cuts[source], target, judges["independent"], sorted(options.strengths)
            )
        for count in options.candidates:
            candidates.append(candidate_row(options.engine, opened, cuts[source], target, judges, profiles, count))
            print(table(candidates[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    parts = []
    if strengths:
        parts += [f"### Strength, {options.engine}", strength_table(strengths)]
    if candidates:
        parts += ["### Candidates: success in percent, evaluation judge / independent", successes(candidates)]
        parts += [table(means(candidates), columns=CANDIDATES, heads=("direction", "engine"))]
    text = "\n\n".join(parts)
    report = {"strength": strengths, "monotone": monotone(strengths), "candidates": candidates}
    options.output.mkdir(parents=True, exist_ok=True)
    for name, content in (("options.md", text), ("options.json", json.dumps(report, indent=1))):
        with atomic_path(options.output / name) as path:
            path.write_text(content + "\n", encoding="utf-8")
    print(text)
    return report


if __name__ == "__main__":
    main()
