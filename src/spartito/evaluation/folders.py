"""Many pieces at once: two folders whose files are paired by name, and the means of their scores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from spartito.errors import MissingExtraError, NotesError, ParameterError, SpartitoError
from spartito.evaluation.tasks import evaluate
from spartito.evaluation.transcription import as_scored, frame_counts
from spartito.loading import load_notes

__all__ = ["ESTIMATE_ENDINGS", "NOTE_SUFFIXES", "evaluate_folders"]

NOTE_SUFFIXES = (".mid", ".midi", ".csv", ".tsv")  # the first found wins when a piece has several
ESTIMATE_ENDINGS = (
    *("_transcription", "_transcribed", "_basic_pitch", "_transkun"),
    *("_cover", "_estimate", "_est"),
)
RESTYLED = "_restyle_"  # what stands between the name of a piece and a genre
COMPANIONS = {  # option: suffixes and endings of the files that a folder of them holds
    "analysis": ((".json", ".beats"), ("_analysis", *ESTIMATE_ENDINGS)),
    "chords": ((".lab",), ()),
    "pitch": ((".csv", ".txt", ".f0"), ("_pitch",)),
    "recording": (None, ()),
}


def evaluate_folders(
    reference_folder: str | os.PathLike,
    estimate_folder: str | os.PathLike,
    *,
    task: str = "transcription",
    progress: Callable[[int, int], None] | None = None,
    **options,
) -> dict:
    """Scores of every piece that both folders hold, and their unweighted means.

    Files (.mid, .midi, .csv, .tsv, sub-folders included) are paired by name; endings that programs add to an
    estimate (`_transcription`, `_cover`, `_basic_pitch`, ...) are ignored. `progress(done, total)` is called per piece.

    Parameters
    ----------
    task : {"transcription", "cover", "restyle"}
    options
        Those of `evaluate`; `analysis`, `chords`, `pitch` and `recording` are folders, whose files are named like the
        pieces (`song_analysis.json` or `song.beats`, `song.lab`, ...). A piece without such a file does without. `plot`
        is a folder for pictures. For "restyle" only files in the genre `to` count (`song_restyle_jazz.mid` beside
        `song.mid`); both folders may be one.

    Returns
    -------
    dict
        `pieces`: name -> scores; `mean`: unweighted mean of each score over the pieces that have it; for
        transcriptions with `frame_accuracy_pooled` over the cells of all pieces; `missing_estimates`,
        `missing_references`: names that have no partner; `unreadable`: name -> message. Pieces without a readable
        estimate are in no mean: look at the lists before you quote one.

    Raises
    ------
    NotesError
        When a folder is not there, two files of one folder share a name, or no piece is in both.
    """
    if task == "restyle":
        references = _notes_of(reference_folder, takes=lambda stem: RESTYLED not in stem)
        estimates = _restyled(estimate_folder, options.get("to") or "")
    else:
        references, estimates = _notes_of(reference_folder), _notes_of(estimate_folder)
    names = sorted(references.keys() & estimates.keys())
    if not names:
        raise NotesError(
            f"no piece is in both folders: {len(references)} references in {reference_folder}, "
            f"{len(estimates)} estimates in {estimate_folder}; they are paired by file name"
        )
    beside = {option: _companions(option, options.pop(option, None)) for option in COMPANIONS}
    pictures = options.pop("plot", None)
    if pictures is not None:
        Path(pictures).mkdir(parents=True, exist_ok=True)
    pieces, unreadable, counts = {}, {}, np.zeros(3, dtype=np.int64)
    for done, name in enumerate(names, start=1):
        files = {option: found[name] for option, found in beside.items() if name in found}
        if pictures is not None:
            files["plot"] = Path(pictures, f"{name}.png")
        try:
            reference, estimate = load_notes(references[name]), load_notes(estimates[name])
            pieces[name] = evaluate(estimate, reference, task=task, **options, **files)
        except MissingExtraError:
            raise
        except SpartitoError as error:
            unreadable[name] = str(error)
        else:
            if task == "transcription":
                counts += frame_counts(*as_scored(reference, estimate, options.get("reference_times", "exact")))
        if progress is not None:
            progress(done, len(names))
    metrics = list(dict.fromkeys(metric for scores in pieces.values() for metric in scores))
    mean = {m: float(np.mean([s[m] for s in pieces.values() if m in s])) for m in metrics}
    if counts.any():
        mean["frame_accuracy_pooled"] = float(counts[0] / counts.sum())
    return {
        "pieces": pieces,
        "mean": mean,
        "missing_estimates": sorted(references.keys() - estimates.keys()),
        "missing_references": sorted(estimates.keys() - references.keys()),
        "unreadable": unreadable,
    }


def _notes_of(folder: str | os.PathLike, *, endings=ESTIMATE_ENDINGS, takes=lambda stem: True) -> dict[str, Path]:
    """Piece name -> its file of notes. One in several formats in one place gives the first of NOTE_SUFFIXES."""
    if not Path(folder).is_dir():
        raise NotesError(f"{folder} is not a folder of MIDI, CSV or TSV files")
    return _by_name(folder, NOTE_SUFFIXES, endings, takes)


def _restyled(folder: str | os.PathLike, genre: str) -> dict[str, Path]:
    """Piece name -> its file in that genre; files without any genre in their names, when no name has one."""
    ending = f"{RESTYLED}{genre}"
    found = _notes_of(folder, endings=(ending,), takes=lambda stem: stem.endswith(ending))
    return found or _notes_of(folder, takes=lambda stem: RESTYLED not in stem)


def _companions(option: str, folder: str | os.PathLike | None) -> dict[str, Path]:
    """Piece name -> what is known of it, from a folder of such files."""
    if folder is None:
        return {}
    if not (isinstance(folder, str | os.PathLike) and Path(folder).is_dir()):
        raise ParameterError(f"for folders of pieces, {option} is a folder of files named like them")
    suffixes, endings = COMPANIONS[option]
    if suffixes is None:
        from spartito.audio.io import AUDIO_SUFFIXES

        suffixes = tuple(sorted(AUDIO_SUFFIXES))
    return _by_name(folder, suffixes, endings)


def _by_name(
    folder: str | os.PathLike, suffixes: tuple[str, ...], endings: Iterable[str], takes=lambda stem: True
) -> dict[str, Path]:
    found: dict[str, Path] = {}
    files = [p for p in Path(folder).rglob("*") if p.suffix.lower() in suffixes and p.is_file() and takes(p.stem)]
    for path in sorted(files, key=lambda p: (suffixes.index(p.suffix.lower()), str(p))):
        name = path.stem
        for ending in endings:
            name = name.removesuffix(ending)
        other = found.setdefault(name, path)
        if other is not path and (other.parent != path.parent or other.suffix == path.suffix):
            raise NotesError(f"{other} and {path} are both named {name}: pieces are paired by name")
    return found
