"""Many pairs of songs and covers into one store, as a function: `spartito train pairs` only calls it.

A list is a CSV file with the columns `song` and `cover` (paths, beside the list if they are relative) and perhaps
`composer`. Each pair is done apart from the others (`batch.run`), so that a broken file costs that pair alone. At the
end, or when the run is interrupted, `report.csv` and `report.json` tell of every line of the list what became of it.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np

from spartito import batch
from spartito.batch import Job, Outcome
from spartito.errors import ParameterError
from spartito.files import atomic_path
from spartito.training.commands import override
from spartito.training.data.pairs import Filters, Pair, prepare_pair

__all__ = ["prepare_pairs", "read_pairs", "summary"]

COLUMNS = ("song", "cover", "composer", "status", "reasons", "split", "bars")  # then the measures
MEASURES = ("length", "transposition", "clarity", "likeness", "aligned", "melody")
MEASURES += ("level", "density", "tempo", "pace", "steady")
STATUSES = ("kept", "dropped", "failed", "not reached")
Report = Callable[[str], None]


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a list, each once. Raises ParameterError when it cannot be read or holds none."""
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            missing = {"song", "cover"} - set(rows.fieldnames or ())
            if missing:
                raise ParameterError(f"the first line of {path} must name the columns song and cover, not others alone")
            found = [{name: (row.get(name) or "").strip() for name in ("song", "cover", "composer")} for row in rows]
    except OSError as error:
        raise ParameterError(f"{path} cannot be read: {error.strerror or error}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise ParameterError(f"{path} is no list of pairs: {error}") from error
    half = [i for i, row in enumerate(found, start=2) if bool(row["song"]) != bool(row["cover"])]
    if half:
        raise ParameterError(f"{path}, line {half[0]}: a pair needs a song and a cover")
    pairs = {}
    for row in found:
        if row["song"]:
            pair = Pair(path.parent / row["song"], path.parent / row["cover"], row["composer"])
            pairs.setdefault(pair.name, pair)
    if not pairs:
        raise ParameterError(f"{path} holds no pairs: a line for each, with the paths of song and cover")
    return list(pairs.values())


def prepare_pairs(
    pairs: Sequence[Pair],
    store: Path,
    *,
    jobs: int | str = 1,
    model: str = "transcribe",
    settings: Sequence[str] = (),
    report: Report = print,
) -> list[dict]:
    """Do all pairs, `jobs` at a time, and write the report; returns its rows in the order of the list.

    `settings` change the filters ("melody=0.1"). What is done already is not done again.
    """
    store = Path(store)
    filters = override(Filters(), settings)
    by_name = {pair.name: pair for pair in pairs}
    task = partial(_task, pairs=by_name, store=store, filters=filters, model=model)
    work = [Job(pair.cover, {pair.name: store / "work" / "pairs" / pair.name / "measures.json"}) for pair in pairs]
    rows = {pair.name: _row(pair) for pair in pairs}
    try:
        with closing(batch.run(work, task, workers=jobs)) as outcomes:
            for number, outcome in enumerate(outcomes, start=1):
                (name,) = outcome.job.outputs
                rows[name] = _row(by_name[name], outcome)
                report(f"{number}/{len(pairs)} {name}: {_line(rows[name])}")
    finally:
        _write_report(store, list(rows.values()), filters)
    return list(rows.values())


def _task(source: Path, outputs: dict[str, Path], *, pairs, store, filters, model, progress=None) -> dict:
    (name,) = outputs
    return prepare_pair(pairs[name], store, filters=filters, model=model)


def _row(pair: Pair, outcome: Outcome | None = None) -> dict:
    """A line of the report."""
    row = {"name": pair.name, "song": str(pair.song), "cover": str(pair.cover), "composer": pair.composer}
    if outcome is None:
        return row | {"status": "not reached", "reasons": []}
    if outcome.status == "failed":
        return row | {"status": "failed", "reasons": [outcome.message]}
    details = dict(outcome.details)
    status = "kept" if details.pop("kept") else "dropped"
    return row | {"status": status, **details}


def _line(row: dict) -> str:
    if row["status"] == "kept":
        return f"kept, {row['bars']} bars, {row['transposition']:+d} semitones, tune {row['melody']:.2f}"
    return f"{row['status']}: {'; '.join(row['reasons'])}"


# -- the report ---------------------------------------------------------------------------------------------------


def _write_report(store: Path, rows: list[dict], filters: Filters) -> None:
    with atomic_path(store / "report.json") as path:
        content = {"counts": _counts(rows), "filters": vars(filters), "pairs": rows}
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    with atomic_path(store / "report.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ["name", *COLUMNS, *MEASURES], extrasaction="ignore")
        table.writeheader()
        table.writerows(row | {"reasons": "; ".join(row["reasons"])} for row in rows)


def _counts(rows: Sequence[dict]) -> dict[str, int]:
    counted = Counter(row["status"] for row in rows)
    return {status: counted[status] for status in STATUSES}


def summary(rows: Sequence[dict]) -> str:
    """What was kept and why the rest was not, in a few lines."""
    counts = _counts(rows)
    lines = [f"{len(rows)} pairs: " + ", ".join(f"{n} {status}" for status, n in counts.items() if n)]
    kept = [row for row in rows if row["status"] == "kept"]
    if kept:
        splits = Counter(row["split"] for row in kept)
        lines.append(
            f"  kept: {sum(row['bars'] for row in kept)} bars in {sum(len(row['pieces']) for row in kept)} pieces ("
            + ", ".join(f"{n} pairs {split}" for split, n in sorted(splits.items()))
            + f"); median likeness {np.median([row['likeness'] for row in kept]):.2f}, "
            f"tune {np.median([row['melody'] for row in kept]):.2f}"
        )
    for status in ("dropped", "failed"):
        lines += [f"  {row['name']} {status}: {'; '.join(row['reasons'])}" for row in rows if row["status"] == status]
    return "\n".join(lines)
