"""Preparing data for genre transfer, as functions: `spartito train genre` only calls them.

`prepare_folders` takes anyone's folders of MIDI files through the published steps (`data/genre_phrases.py`) and reports
what became of every file; `prepare_sets` puts the sets our own models learn from into a store (`data/genre_store.py`).
What songs of folders gave goes to the same store as the set "own", with onsets, for the models that ask for them.

Layout of the output
    genres/<genre>/     arrays, single phrases, copies and check MIDI of each genre; two index files, as published
    JC_J/train ...      equally many phrases of both sides of a pair; JCP_mixed: of three genres, training only
    <genre>/<split>/    the store
    report.json, report.txt
    work/               what is known of each song by its content, so that an interrupted run goes on
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import combinations
from pathlib import Path

from spartito import batch
from spartito.batch import Job
from spartito.errors import OutputError, ParameterError
from spartito.files import atomic_path
from spartito.notes.midi import MIDI_SUFFIXES
from spartito.notes.phrases import PHRASE
from spartito.training.data.genre_phrases import (
    ORDER,
    Rules,
    Song,
    draw_test,
    keep_song,
    load_song,
    pair_name,
    write_mode,
    write_pair,
)
from spartito.training.data.genre_store import SPLITS, genre_split, open_store, write_set
from spartito.training.data.states import write_state

__all__ = ["parse_folders", "prepare_folders", "prepare_sets", "store_table", "summary"]

SHARE = 0.1  # of the songs, for testing, as published
SEED = 19  # the published programs' default
OWN = "own"  # name of the set that folders become in the store
MODES = ("train", "test")
Report = Callable[[str], None]


def parse_folders(texts: Sequence[str]) -> dict[str, list[Path]]:
    """Folders by genre, from "jazz=FOLDER", or FOLDER alone, whose name is the genre.

    Raises ParameterError when there is no such folder or two genres begin with one letter.
    """
    found: dict[str, list[Path]] = {}
    for text in texts:
        genre, told, folder = text.rpartition("=")
        path = Path(folder if told else text)
        genre = genre if told else path.resolve().name
        if not path.is_dir():
            raise ParameterError(f"{path} is no folder: --prepare takes GENRE=FOLDER, or a folder named as its genre")
        if not genre.replace("-", "").isalnum():
            raise ParameterError(f"the name of a genre is letters and figures, not {genre!r}: write GENRE={path}")
        found.setdefault(genre, []).append(path)
    letters = Counter(genre[0].upper() for genre in found)
    if any(count > 1 for count in letters.values()):
        raise ParameterError(f"{', '.join(found)}: folders are named by first letters, so give genres different ones")
    return dict(sorted(found.items(), key=lambda item: ORDER.index(item[0]) if item[0] in ORDER else len(ORDER)))


def prepare_folders(
    folders: Mapping[str, Sequence[Path]],
    output: Path,
    *,
    rules: Rules | None = None,
    share: float = SHARE,
    cap: int = 0,
    seed: int = SEED,
    jobs: int | str = 1,
    report: Report = print,
) -> dict:
    """All published steps for folders of MIDI files by genre; returns the report that is also written.

    Parameters
    ----------
    folders : genre -> folders
    share : of the songs of a genre, for testing
    cap : most phrases of a genre and mode; 0 for all
    jobs : songs that are read at a time, or "ray"

    Raises
    ------
    ParameterError
        A folder holds no MIDI files, or of all songs of a genre none qualifies (the report is written first).
    OutputError
        The output cannot be written.
    """
    rules, output = rules or Rules(), Path(output)
    if not 0 <= share < 1 or cap < 0:
        raise ParameterError(f"the share for testing is from 0 to below 1, the cap 0 or more, not {share:g} and {cap}")
    found = {genre: _files(genre, paths) for genre, paths in folders.items()}
    content: dict = {"rules": vars(rules) | {"share": share, "cap": cap, "seed": seed}, "genres": {}, "pairs": {}}
    for genre, files in found.items():
        rows, songs = _read_songs(files, output / "work" / genre, rules=rules, jobs=jobs, report=report)
        test = draw_test([song.name for song in songs], share=share, seed=seed)
        counts = {}
        folder = output / "genres" / genre
        for mode in MODES:
            chosen = [song for song in songs if (song.name in test) == (mode == "test")]
            counts[mode] = write_mode(chosen, output / "work" / genre, folder, genre=genre, mode=mode, cap=cap)
        for row in rows:
            row["mode"] = "" if row["refused"] else "test" if row["file"] in test else "train"
        _write_index(folder, songs, rows)
        content["genres"][genre] = {"phrases": counts, "songs": len(songs), "files": rows}
        pieces = (load_song(song, output / "work" / genre) for song in songs)
        write_set(output, genre, OWN, pieces, split=partial(_own_split, test=test))
        report(f"{genre}: {len(songs)} of {len(files)} songs, {counts['train']} + {counts['test']} phrases")
    _write_pairs(content, output, seed=seed, first=rules.compat)
    write_state(output / "report.json", content)
    with atomic_path(output / "report.txt") as path:
        path.write_text(summary(content, every=True) + "\n", encoding="utf-8")
    empty = [genre for genre, told in content["genres"].items() if not told["songs"]]
    if empty:
        raise ParameterError(f"no song of {', '.join(empty)} qualifies: {output / 'report.txt'} says why")
    return content


def _files(genre: str, folders: Sequence[Path]) -> dict[str, Path]:
    """The MIDI files of a genre by name. Raises ParameterError when there are none."""
    found = batch.find_inputs(folders, suffixes=MIDI_SUFFIXES)
    files = {(item.folder / item.path.name).as_posix(): item.path for item in found if item.path.is_file()}
    if not files:
        where = ", ".join(map(str, folders))
        raise ParameterError(f"{where} holds no MIDI files for {genre} ({', '.join(MIDI_SUFFIXES)})")
    return dict(sorted(files.items()))


def _read_songs(files: dict[str, Path], work: Path, *, rules: Rules, jobs, report: Report):
    """Rows of the report for all files, and the songs that qualify, each content once."""
    tasks = [Job(path, {name: work}) for name, path in files.items()]
    outcomes = {}
    with closing(batch.run(tasks, partial(_song, rules=rules), workers=jobs)) as results:
        for number, outcome in enumerate(results, start=1):
            (name,) = outcome.job.outputs
            if "unwritable" in outcome.details:
                raise OutputError(outcome.details["unwritable"])
            outcomes[name] = outcome
            if number % 100 == 0:
                report(f"{number}/{len(files)} songs read")
    rows, songs, seen = [], [], {}
    for name, path in files.items():
        outcome = outcomes[name]
        if outcome.status == "failed":
            rows.append({"file": name, "phrases": 0, "refused": outcome.message})
            continue
        song = Song(name, path, **outcome.details)
        same = seen.setdefault(song.key, name)
        refused = song.refused or (f"it is the same as {same}" if same != name else "")
        rows.append({"file": name, "phrases": 0 if refused else song.phrases, "refused": refused, **song.facts})
        if not refused:
            songs.append(song)
    return rows, songs


def _song(source: Path, outputs: dict[str, Path], *, rules: Rules, progress=None) -> dict:
    """One file, as a job of `batch.run`."""
    ((name, work),) = outputs.items()
    try:
        found = keep_song(source, work, name=name, rules=rules)
    except OutputError as error:  # is no fault of the file: all others would fail, too
        return {"unwritable": str(error)}
    return {field: getattr(found, field) for field in ("key", "facts", "refused", "phrases")}


def _own_split(name: str, *, test: set[str]) -> str:
    """Of a song in the store: drawn songs test, of the others some are for the independent classifier, as always."""
    if name in test:
        return "test"
    split = genre_split(name)
    return "train" if split == "test" else split


def _write_index(folder: Path, songs: Sequence[Song], rows: Sequence[dict]) -> None:
    """`midis.json` and `midis_clean.json`: what step 2 looked at, of all files and of those that qualify."""
    facts = {row["file"]: {k: row[k] for k in row.keys() - {"file", "phrases", "refused", "mode"}} for row in rows}
    write_state(folder / "midis.json", facts)
    write_state(folder / "midis_clean.json", {song.name: facts[song.name] for song in songs})


def _write_pairs(content: dict, output: Path, *, seed: int, first: bool) -> None:
    """The folders of all pairs, and of three genres together."""
    genres = list(content["genres"])
    for pair in combinations(genres, 2):
        name = pair_name(pair)
        content["pairs"][name] = {}
        for mode in MODES:
            sides = [output / "genres" / genre / mode for genre in pair]
            targets = [output / f"{name}_{genre[0].upper()}" / mode for genre in pair]
            content["pairs"][name][mode] = write_pair(sides, targets, seed=seed, first=first)
    for three in combinations(genres, 3):
        name = f"{pair_name(three)}_mixed"
        sides = [output / "genres" / genre / "train" for genre in three]
        content["pairs"][name] = {"train": write_pair(sides, [output / name] * 3, seed=seed, first=first)}


def summary(content: dict, *, every: bool = False) -> str:
    """The report in words; with `every`, each refused file with its reason."""
    rules = content["rules"]
    mode = "strict" if rules["strict"] else "lenient"
    lines = [f"{mode} qualification, {'published' if rules['compat'] else 'all'} phrases, seed {rules['seed']}"]
    for genre, told in content["genres"].items():
        counts = told["phrases"]
        lines.append(
            f"{genre}: {told['songs']} of {len(told['files'])} songs; {counts['train']} phrases for training, "
            f"{counts['test']} for testing"
        )
        refused = [row for row in told["files"] if row["refused"]]
        if every:
            lines += [f"  {row['file']}: {row['refused']}" for row in refused]
        elif refused:
            lines.append(f"  {len(refused)} refused, the first: {refused[0]['file']}: {refused[0]['refused']}")
        free = [row["file"] for row in told["files"] if not row["refused"] and not row["on_the_beat"]]
        if free:
            lines.append(f"  {len(free)} are played freely, not on the beats of their file: {_some(free, every)}")
    for name, counts in content["pairs"].items():
        lines.append(f"{name}: " + ", ".join(f"{n} {mode}" for mode, n in counts.items()) + " of each genre")
    return "\n".join(lines)


def _some(names: Sequence[str], every: bool) -> str:
    shown = names if every else names[:3]
    return ", ".join(shown) + (" ..." if len(shown) < len(names) else "")


# -- the sets of our own models -------------------------------------------------------------------------------------


def prepare_sets(
    output: Path,
    *,
    asap: Path | None = None,
    pop909: Path | None = None,
    pijama: Path | None = None,
    wjazzd: Path | None = None,
    report: Report = print,
) -> dict[str, dict[str, int]]:
    """Put known sets into the store `output`; how many pieces of each set went to each split."""
    from spartito.training.data import genre_sets

    output, counts = Path(output), {}
    if asap:
        counts["asap-scores"] = write_set(output, "classic", "asap-scores", genre_sets.asap_pieces(asap, scores=True))
        counts["asap"] = write_set(output, "classic", "asap", genre_sets.asap_pieces(asap))
    if pop909:
        pieces = genre_sets.pop909_pieces(pop909)
        counts["pop909"] = write_set(output, "pop", "pop909", pieces, split=genre_sets.pop909_split)
    if wjazzd:
        from spartito.training.data.wjazzd import write_wjazzd

        counts["wjazzd"] = write_wjazzd(wjazzd, output)
    if pijama:
        from spartito.training.data.pijama import write_pijama

        counts["pijama"] = write_pijama(pijama, output, report=report)
    report(store_table(output))
    return counts


def store_table(store: Path) -> str:
    """What a store holds: works, pieces and phrases (side by side, not overlapping) of each set by split, as Markdown.

    Raises ParameterError when it is none.
    """
    found: dict[tuple[str, str], dict[str, str]] = {}
    for path in sorted(Path(store).glob("*/*/*.npz"), key=lambda path: path.stem):
        genre, split = path.parts[-3:-1]
        if split in SPLITS:
            pieces = open_store(Path(store), genre, split, sets=[path.stem])
            cell = f"{len(set(pieces.works))} / {len(pieces)} / {len(pieces.windows(hop=PHRASE))}"
            found.setdefault((genre, path.stem), {})[split] = cell
    if not found:
        raise ParameterError(
            f"{store} holds no prepared pieces: give --prepare, --asap, --pop909, --pijama or --wjazzd"
        )
    lines = ["| genre | set | " + " | ".join(SPLITS) + " |", "|---|---|" + "--:|" * len(SPLITS)]
    for (genre, name), cells in sorted(found.items()):
        lines.append(f"| {genre} | {name} | " + " | ".join(cells.get(split, "0") for split in SPLITS) + " |")
    return "\n".join(lines)
