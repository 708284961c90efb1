"""Real recordings through `cover`: what can be said of the result when nobody has arranged the song.

    python benchmarks/real_songs.py FOLDER_OR_FILE... [--model a2s] [--score] -o results

Printed is one row per recording (also `results/real_songs.md` and `.json`); `results/` holds the MIDI and the sound of
each cover, with `--score` also its PDF. Columns:

    agreement     correlation of the chroma of recording and cover, mean over the beats found; `shuffled`: what the
                  beats of the cover in a random order would give (`evaluation.likeness.chroma_agreement`)
    tempo, metre, key, chords    as `analyze` understood the song; chords per minute
    unsteady      median change of tempo from beat to beat, in per cent: a few for a played song, more where the
                  tracker stumbles
    notes/beat    how dense the cover is; `playable`, `level`: `notes.playability`
    s             seconds for analysis and cover

A recording that fails gets a row that says why.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from spartito.audio.io import AUDIO_SUFFIXES, load_audio, save_audio
from spartito.errors import SpartitoError
from spartito.evaluation.likeness import chroma_agreement
from spartito.files import atomic_path

COLUMNS = {  # key: heading, format
    "seconds_of_audio": ("length", "{:.0f} s"),
    "chroma_agreement": ("agreement", "{:.2f}"),
    "chroma_agreement_shuffled": ("shuffled", "{:.2f}"),
    "tempo": ("tempo", "{:.0f}"),
    "metre": ("metre", "{}"),
    "key": ("key", "{}"),
    "chords_per_minute": ("chords/min", "{:.0f}"),
    "unsteady": ("unsteady", "{:.1f} %"),
    "notes_per_beat": ("notes/beat", "{:.1f}"),
    "playability": ("playable", "{:.2f}"),
    "difficulty": ("level", "{}"),
    "seconds": ("s", "{:.1f}"),
}


def find_recordings(places: list[Path]) -> list[Path]:
    """Recordings among `places` and in the folders among them."""
    files = []
    for place in places:
        files += sorted(place.iterdir()) if place.is_dir() else [place]
    found = [path for path in files if path.suffix.lower() in AUDIO_SUFFIXES]
    if not found:
        raise SystemExit(f"no recording in {', '.join(map(str, places))}")
    return found


def unsteadiness(times: np.ndarray) -> float:
    """Median change of the interval between beats (n,) from one to the next, in per cent."""
    intervals = np.diff(times)
    return float(100 * np.median(np.abs(np.diff(np.log(intervals))))) if len(intervals) > 1 else 0.0


def listen(path: Path, folder: Path, *, model: str, score: bool) -> dict:
    """Cover one recording into `folder`, and what there is to say about it."""
    from spartito import analyze, cover, synthesize, to_score, write_midi
    from spartito.notes.playability import playability

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        start = time.perf_counter()
        analysis = analyze(path)
        notes = cover(path, model=model, analysis=analysis)
        seconds = time.perf_counter() - start
        recording = load_audio(path)
        sound = synthesize(notes)
        place = folder / f"{path.stem}_cover"
        write_midi(notes, place.with_suffix(".mid"))
        save_audio(sound, place.with_suffix(".wav"))
        analysis.save(folder / f"{path.stem}_analysis.json")
        if score:
            to_score(notes, analysis).save(place.with_suffix(".pdf"))
    hard = playability(notes, analysis.beats)
    _, numerator, denominator = analysis.beats.signatures[0]
    return {
        "seconds_of_audio": analysis.duration,
        **chroma_agreement(recording, sound, analysis.beats),
        "tempo": analysis.tempo,
        "metre": f"{numerator}/{denominator}" + ("…" if len(analysis.beats.signatures) > 1 else ""),
        "key": analysis.key or "-",
        "chords_per_minute": 60 * len(analysis.chords) / analysis.duration,
        "unsteady": unsteadiness(analysis.beats.times),
        "notes_per_beat": len(notes) / len(analysis.beats.times),
        "playability": hard.score,
        "difficulty": hard.difficulty,
        "seconds": seconds,
        "engine": analysis.engine,
        "warnings": sorted(
            {str(w.message) for w in said if w.category.__module__ != "builtins"} | set(analysis.warnings)
        ),
    }


def table(rows: dict[str, dict]) -> str:
    lines = ["| recording | " + " | ".join(heading for heading, _ in COLUMNS.values()) + " |"]
    lines.append("|---" * (len(COLUMNS) + 1) + "|")
    for name, row in rows.items():
        if "error" in row:
            cells = [row["error"].replace("|", "/"), *[""] * (len(COLUMNS) - 1)]
        else:
            cells = [form.format(row[key]) for key, (_, form) in COLUMNS.items()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    said = [f"{name}: {text}" for name, row in rows.items() for text in row.get("warnings", [])]
    return "\n".join([*lines, "", *said]) + "\n"


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path, nargs="+", help="recordings, or folders of them")
    parser.add_argument("--model", default="a2s", help="model of `cover`; 'chords' needs no weights")
    parser.add_argument("--score", action="store_true", help="write PDFs, too")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for covers and results")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    rows = {}
    for path in find_recordings(options.recordings):
        print(path.name, file=sys.stderr)
        try:
            rows[path.name] = listen(path, options.output, model=options.model, score=options.score)
        except SpartitoError as error:
            rows[path.name] = {"error": str(error)}
    text = table(rows)
    for suffix, content in ((".md", text), (".json", json.dumps(rows, indent=1) + "\n")):
        with atomic_path(options.output / f"real_songs{suffix}") as temporary:
            temporary.write_text(content, encoding="utf-8")
    print(text)
    return rows


if __name__ == "__main__":
    main()
