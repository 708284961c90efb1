"""Does `restyle` reach the other genre, and what is left of the piece? All engines, side by side, on held-out works.

    python benchmarks/restyle.py STORE --classifiers RUNS --judges JUDGES [--excerpts 24] [--bars 16] [--pieces 2]
        [--engines identity rule cyclegan idiom real] [--foreign FOREIGN] -o results

STORE is a store of grid pieces (`spartito train genre --asap ... --pop909 ...`); its test split is used, whose works no
generator, engine or classifier has seen (`--split validation` to choose by). Excerpts of `--bars` bars are taken evenly
over its sets and works, each is restyled as a user's file would be (`spartito.restyle`, strength 1, beats given) to
both other genres, and cut into phrases of four bars. `--pieces` whole pieces of each genre follow. Engines:

    identity   the phrases as they are
    rule       swing, sevenths and ninths, or their removal (`benchmarks/fixed_rule.py`): what must be beaten
    real       phrases of the target genre instead of a transfer: the most a classifier will ever say, and what an
               unrelated piece has in common with this one
    cyclegan, idiom, ...  engines of `restyle`; `idiom+melody` with `--keep melody`; `new=FOLDER` one of a model

JUDGES holds the evaluation judges (`benchmarks/genre_judges.py`), `<a>-<b>`: they learned from sets that nothing else
has seen, on onsets alone, with genres matched in density. Pop of another collection lies elsewhere between two genres
than this store's, so their threshold is set on its validation works (equal errors on both genres). RUNS holds runs of
`spartito train genre-classifier`, `<a>-<b>-<kind>`: `independent` learned from works that no generator or engine
learned from, `published`, the paper's (or `shipped`, a narrower one), from those they learned from.

*Success*: phrases taken for their own genre before and for the target after. S is the strength of the direction, with
the cycle (the result restyled back). A figure of success is to be read with three others: how many of the phrases are
known for what they are (`known`), the success of `real`, and what is kept of the piece (`evaluation.style`).
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spartito import __version__
from spartito.analysis.beats import Beats, with_beats
from spartito.errors import ModelError, SpartitoError
from spartito.evaluation.restyle import genre_profiles
from spartito.evaluation.strength import strength, success
from spartito.evaluation.style import compare, seams
from spartito.files import atomic_path
from spartito.notes.notes import Notes
from spartito.notes.phrases import HIGHEST, KEYS, LOWEST, PHRASE, STEPS_PER_BEAT, gridded, rolls
from spartito.notes.playability import playability
from spartito.notes.skyline import skyline
from spartito.notes.two_hands import hand_tracks
from spartito.style.engines import GENRES, PAIRS, pair_of
from spartito.training.data.genre_store import BAR, GenrePieces, open_store
from spartito.training.genre_profiles import evenly, profile_of

sys.path.insert(0, str(Path(__file__).parent))
from fixed_rule import fixed_rule
from style_tables import means, successes, table

SETTINGS = ("split", "excerpts", "bars", "pieces")
PLAIN = ("identity", "rule", "real")
SEED = 7
TEMPO = 110.0  # quarter notes per minute where the set does not say
LEAD = 1.0  # seconds before the first beat
CALIBRATED = 400  # phrases of a genre that set the threshold of the evaluation judge
BATCH = 256  # phrases judged at once
PROFILED = 1000  # phrases of a genre that make its profile

SETTINGS = ("split", "excerpts", "bars", "pieces")
PLAIN = ("identity", "rule", "real")
SEED = 7
TEMPO = 110.0  # quarter notes per minute where the set does not say
LEAD = 1.0  # seconds before the first beat
CALIBRATED = 400  # phrases of a genre that set the threshold of the evaluation judge
BATCH = 256  # phrases judged at once
PROFILED = 1000  # phrases of a genre that make its profile


# -- pieces ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Excerpt:
    """Some bars of a piece: on the grid (k, 5) from step 0, a downbeat, and as notes in seconds with their beats."""

    name: str
    genre: str
    steps: int
    grid: np.ndarray
    notes: Notes
    beats: Beats

    def on_grid(self, notes: Notes) -> np.ndarray:
        """(k, 5) of other notes on the same beats."""
        array = notes.array.copy()
        array["onset"] = np.maximum(array["onset"], self.beats.times[0])  # or a beat would be added in front
        array["offset"] = np.maximum(array["offset"], array["onset"])
        table = gridded(Notes(array, tracks=notes.tracks), self.beats).notes
        return table[table[:, 0] < self.steps]

    def played(self, grid: np.ndarray) -> Notes:
        """Notes on the grid in seconds, a hand a track."""
        step = float(np.diff(self.beats.times).mean()) / STEPS_PER_BEAT
        onset = self.beats.times[0] + grid[:, 0] * step
        return in_hands(onset, onset + (grid[:, 1] - 0.1) * step, grid)

    def phrases(self, grid: np.ndarray) -> np.ndarray:
        """(n, 2, 64, 84) of notes on the grid."""
        return rolls(grid, np.arange(0, self.steps - PHRASE + 1, PHRASE))

    def tune(self) -> np.ndarray:
        """(n, 64, 84) bool: onsets of the tune of the excerpt in each phrase."""
        out = np.zeros((self.steps, KEYS), dtype=bool)
        line = self.grid[skyline(self.grid)]
        line = line[(line[:, 2] >= LOWEST) & (line[:, 2] <= HIGHEST)]
        out[line[:, 0], line[:, 2] - LOWEST] = True
        return out[: self.steps // PHRASE * PHRASE].reshape(-1, PHRASE, KEYS)


def cut(pieces: GenrePieces, piece: int, start: int, steps: int) -> Excerpt:
    """The notes that begin in some steps of a piece."""
    first, last = pieces.piece[piece], pieces.piece[piece + 1]
    table, place = pieces.notes[first:last].copy(), pieces.place[first:last] - start
    here = (table[:, 0] >= start) & (table[:, 0] < start + steps)
    table, place = table[here], np.maximum(place[here].astype(np.float64), 0.0)
    table[:, 0] -= start
    table[:, 1] = np.minimum(table[:, 1], steps - table[:, 0])
    tempo = float(pieces.tempo[piece]) or TEMPO
    step = 60.0 / tempo / STEPS_PER_BEAT  # seconds
    count = np.arange(steps // STEPS_PER_BEAT + 1)
    beats = Beats(LEAD + count * step * STEPS_PER_BEAT, count, count % 4)
    onset = LEAD + place * step
    notes = with_beats(in_hands(onset, onset + (table[:, 1] - 0.1) * step, table), beats)
    name = f"{pieces.sets[piece]}/{pieces.names[piece]}@{start // BAR}"
    return Excerpt(name, pieces.genre, steps, table, notes, beats)


def in_hands(onset: np.ndarray, offset: np.ndarray, grid: np.ndarray) -> Notes:
    """Notes of the grid (k, 5) at these seconds, a hand a track."""
    track = np.where(grid[:, 4] == 1, 0, 1)
    return Notes.from_arrays(onset, offset, grid[:, 2], grid[:, 3], track=track, tracks=hand_tracks())


def excerpts(store: Path, genre: str, count: int, bars: int, *, split: str = "test") -> list[Excerpt]:
    """`count` stretches of a split: of every set alike, of as many works as possible."""
    pieces = open_store(store, genre, split)
    windows = pieces.windows(hop=BAR * bars, steps=BAR * bars)
    chosen = evenly(pieces.sets[windows[:, 0]], pieces.works[windows[:, 0]], count)
    return [cut(pieces, piece, start, BAR * bars) for piece, start in windows[chosen].tolist()]


def whole(store: Path, genre: str, count: int, *, bars: int = 64, split: str = "test") -> list[Excerpt]:
    """The longest stretches in 4/4 of `count` works of a split, up to so many bars."""
    pieces = open_store(store, genre, split)
    regions = pieces.regions[np.argsort(pieces.regions[:, 1] - pieces.regions[:, 2], kind="stable")]
    _, first = np.unique(pieces.works[regions[:, 0]], return_index=True)
    regions = regions[np.sort(first)]
    regions = regions[evenly(pieces.sets[regions[:, 0]], pieces.works[regions[:, 0]], count)]
    return [cut(pieces, p, a, min(b - a, BAR * bars) // PHRASE * PHRASE) for p, a, b in regions.tolist()]


# -- judges and engines ---------------------------------------------------------------------------------------


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
    """Probabilities of a network whose log odds of genre A are `threshold` where both genres are alike."""

    def say(phrases: np.ndarray) -> np.ndarray:
        a = 1 / (1 + np.exp(threshold - odds(network, phrases)))
        return np.column_stack([a, 1 - a])

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


def phrases_of(store: Path, genre: str, split: str, count: int) -> np.ndarray:
    """(n, 2, 64, 84) phrases, spread over sets and works."""
    pieces = open_store(store, genre, split)
    windows = pieces.windows(hop=PHRASE)
    return pieces.rolls(windows[evenly(pieces.sets[windows[:, 0]], pieces.works[windows[:, 0]], count)])


def judge_folders(options, pair: tuple[str, str]) -> dict[str, Path]:
    """Name -> run, for a pair."""
    name = "-".join(pair)
    folders = {"evaluation": options.judges / name} if options.judges is not None else {}
    independent, published, shipped = (
        options.classifiers / f"{name}-{kind}" for kind in ("independent", "published", "shipped")
    )
    return folders | {"independent": independent, "published": published if published.exists() else shipped}


def transfer(engine: str, opened, excerpt: Excerpt, target: str, source: str, notes: Notes) -> Notes:
    """`notes` (on the beats of the excerpt) in another genre by an engine of `restyle`."""
    from spartito.style.transfer import restyle

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keep = engine.partition("=")[0].split("+")[1:]  # "idiom+melody"
        return restyle(notes, to=target, genre=source, engine=opened, keep=keep, analysis=excerpt.beats, seed=SEED)


def made_by(engine: str, opened, pieces: Sequence[Excerpt], others: Sequence[Excerpt], target: str, *, cycle: bool):
    """Notes on the grid of every piece in the target genre, then back again (or None), and seconds of one core."""
    source = pieces[0].genre
    if engine == "identity":
        return [p.grid for p in pieces], None, 0.0
    if engine == "real":
        return [others[i % len(others)].grid for i in range(len(pieces))], None, 0.0
    begin = time.process_time()
    if engine == "rule":
        there = [fixed_rule(p.grid, target) for p in pieces]
        spent = time.process_time() - begin
        return there, [fixed_rule(grid, source) for grid in there] if cycle else None, spent
    results = [transfer(engine, opened, p, target, source, p.notes) for p in pieces]
    spent = time.process_time() - begin
    there = [p.on_grid(notes) for p, notes in zip(pieces, results, strict=True)]
    if not cycle:
        return there, None, spent
    returned = [transfer(engine, opened, p, source, target, n) for p, n in zip(pieces, results, strict=True)]
    return there, [p.on_grid(notes) for p, notes in zip(pieces, returned, strict=True)], spent


# -- measuring ------------------------------------------------------------------------------------------------


def measured(pieces: Sequence[Excerpt], there, back, judges: dict, profiles: dict, target: str) -> dict[str, float]:
    """All figures of one engine and direction; `there` and `back` are notes on the grid of each piece."""
    source = pieces[0].genre
    before = np.concatenate([p.phrases(p.grid) for p in pieces])
    after = np.concatenate([p.phrases(grid) for p, grid in zip(pieces, there, strict=True)])
    cycle = None if back is None else np.concatenate([p.phrases(g) for p, g in zip(pieces, back, strict=True)])
    tune = np.concatenate([p.tune() for p in pieces])
    measures = compare(before, after, target=profiles.get(target), source=profiles.get(source), tune=tune)
    figures = {name: float(np.nanmean(values)) for name, values in measures.items() if np.isfinite(values).any()}
    joints = [_seams(p, grid) for p, grid in zip(pieces, there, strict=True) if p.steps > PHRASE]
    for name in ("seam_density", "seam_chroma"):
        values = np.array([joint[name] for joint in joints])
        if np.isfinite(values).any():
            figures[name] = float(np.nanmean(values))
    figures["playable"] = float(np.mean([playability(p.played(g)).score for p, g in zip(pieces, there, strict=True)]))
    index = pair_of(source, target).index(source)
    for name, judge in judges.items():
        p, q = judge(before)[:, index], judge(after)[:, index]
        r = None if cycle is None else judge(cycle)[:, index]
        figures[f"success_{name}"] = float(success(p, q).mean())
        figures[f"known_{name}"] = float(np.mean(p > 0.5))  # of the source, before
        figures[f"strength_{name}"] = strength(p, q, r)
        figures[f"prob_{name}"] = strength(p, q, r, count="probability")
    return figures | {"phrases": len(before)}


def _seams(piece: Excerpt, grid: np.ndarray) -> dict[str, float]:
    return seams(*(rolls(notes, [0], steps=piece.steps)[0] for notes in (piece.grid, grid)), hop=PHRASE)


def profiles_of(foreign: Path | None) -> dict[str, np.ndarray]:
    """Pairs of notes of each genre: of the sets nothing has seen, else those that ship."""
    if foreign is None:
        return genre_profiles()
    return {genre: profile_of(foreign, genre, "test", phrases=PROFILED) for genre in GENRES}


# -- all of it ------------------------------------------------------------------------------------------------


def run(options, *, opened: dict) -> list[dict]:
    """Rows of all directions and engines; `opened` holds the engines of `restyle` by their names here."""
    profiles = profiles_of(options.foreign)
    store, split = options.store, options.split
    cuts = {g: excerpts(store, g, options.excerpts, options.bars, split=split) for g in options.genres}
    kinds = [("excerpts", cuts)]
    if options.pieces:
        kinds.append(("pieces", {g: whole(store, g, options.pieces, split=split) for g in options.genres}))
    rows, judges_of_pair = [], {}
    for kind, pieces in kinds:
        for source in options.genres:
            for target in options.genres:
                direction = f"{source}→{target}"
                if source == target or (options.directions and direction.replace("→", "-") not in options.directions):
                    continue
                pair = pair_of(source, target)
                judges = judges_of_pair[pair] = judges_of_pair.get(pair) or judges_of(options, pair)
                minutes = sum(p.beats.times[-1] - p.beats.times[0] for p in pieces[source]) / 60
                for engine in options.engines:
                    if engine not in (*PLAIN, *opened) or (kind == "pieces" and engine in ("identity", "real")):
                        continue
                    try:
                        there, back, spent = made_by(
                            engine,
                            opened.get(engine),
                            pieces[source],
                            pieces[target],
                            target,
                            cycle=not options.no_cycle,
                        )
                    except SpartitoError as error:
                        print(f"{kind} {direction} {engine}: {error}", file=sys.stderr)
                        continue
                    figures = measured(pieces[source], there, back, judges, profiles, target)
                    figures["seconds_per_minute"] = spent / minutes
                    rows.append({"kind": kind, "direction": direction, "engine": engine, **figures})
                    print(table([rows[-1]]).splitlines()[-1], file=sys.stderr, flush=True)
    return rows


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--classifiers", type=Path, required=True, help="folder of runs <a>-<b>-<kind>")
    parser.add_argument("--judges", type=Path, help="folder of evaluation judges <a>-<b>")
    parser.add_argument("--foreign", type=Path, help="store of sets for evaluation only: their profiles for style_fit")
    parser.add_argument("--genres", nargs="+", choices=GENRES, default=list(GENRES))
    parser.add_argument("--directions", nargs="+", help="such as classic-jazz; default all")
    parser.add_argument("--split", choices=("test", "validation"), default="test")
    parser.add_argument("--excerpts", type=int, default=24)
    parser.add_argument("--bars", type=int, default=16)
    parser.add_argument("--pieces", type=int, default=0)
    parser.add_argument("--engines", nargs="+", default=[*PLAIN, "cyclegan", "idiom"])
    parser.add_argument("--no-cycle", action="store_true")
    parser.add_argument("--add", action="store_true", help="keep what an earlier run says of other engines")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the results")
    options = parser.parse_args(arguments)
    rows = earlier(options) + run(options, opened=opened_engines(options.engines))
    kinds = ("excerpts", "pieces")
    rows.sort(key=lambda row: (kinds.index(row["kind"]), row["direction"]))
    parts = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        mine = [row for row in rows if row["kind"] == kind]
        parts += [f"### {kind.capitalize()}: success in percent, evaluation judge / independent", successes(mine)]
        parts += [table(means(mine)), table(mine)]
    engines = dict.fromkeys(row["engine"] for row in rows)
    speed = {engine: [r["seconds_per_minute"] for r in rows if r["engine"] == engine] for engine in engines}
    speed = {engine: float(np.mean(spent)) for engine, spent in speed.items() if spent and engine not in PLAIN}
    parts += ["### Seconds of one core for a minute of music", "| engine | seconds |\n|---|---|"]
    parts[-1] += "".join(f"\n| {engine} | {seconds:.2f} |" for engine, seconds in speed.items())
    text = "\n\n".join(parts)
    report = {
        "spartito": __version__,
        "python": platform.python_version(),
        **{name: getattr(options, name) for name in SETTINGS},
        "seed": SEED,
        "classifiers": accuracies(options),
        "rows": rows,
    }
    options.output.mkdir(parents=True, exist_ok=True)
    for name, content in (("restyle.md", text), ("restyle.json", json.dumps(report, indent=1))):
        with atomic_path(options.output / name) as path:
            path.write_text(content + "\n", encoding="utf-8")
    print(text)
    return report


def earlier(options) -> list[dict]:
    """Rows of other engines that an earlier run with the same settings left, if they are to be kept."""
    path = options.output / "restyle.json"
    if not (options.add and path.exists()):
        return []
    found = json.loads(path.read_text(encoding="utf-8"))
    if [found[name] for name in SETTINGS] != [getattr(options, name) for name in SETTINGS]:
        raise SystemExit(f"{path} is of other settings: {', '.join(f'{name} {found[name]}' for name in SETTINGS)}")
    return [row for row in found["rows"] if row["engine"] not in options.engines]


def opened_engines(names: Sequence[str]) -> dict:
    """The engines of `restyle` by their names here; those whose weights are not there are left out, and said."""
    from spartito.style.engines import open_engine

    opened = {}
    for name in names:
        if name in PLAIN:
            continue
        try:
            label, _, folder = name.partition("=")
            if folder and label.startswith("comping"):  # its statistics lie with the model of `idiom`
                from spartito.style.accompany import open_comping

                opened[name] = open_comping(folder)
            else:
                opened[name] = open_engine(folder or label.split("+")[0])
        except (SpartitoError, ImportError) as error:
            print(f"{name}: {error}", file=sys.stderr)
    return opened


def accuracies(options) -> dict:
    """What each classifier reached on its own held-out phrases, as its run says."""
    found = {}
    for pair in PAIRS:
        for kind, folder in judge_folders(options, pair).items():
            if (folder / "config.json").exists():
                config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
                found[f"{'-'.join(pair)} {kind}"] = config.get("metrics", {}).get("test", {})
    return found


if __name__ == "__main__":
    main()
