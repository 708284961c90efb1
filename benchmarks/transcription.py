"""spartito and its peers on the same recordings, in one run: accuracy, speed, memory.

    python benchmarks/transcription.py --audio MAPS/flac --references MAPS/tsv --match ENSTDk \\
        --peer "basic-pitch=basic-pitch {folder} {input}" --peer "transkun=transkun {input} {output}" \\
        -o results

A peer is a name and a shell command. `{input}` stands for the recording, `{output}` for the MIDI file it is to
write, `{folder}` for the folder of that file, for programs that choose the name themselves; `{python}` for this
Python. Every recording is one call, so all pay their start. spartito runs as `--spartito` says.

Printed is one table (also `results/transcription.md`, with everything in `results/transcription.json`): mean F1
over pieces with onsets within 50, 100 and 20 ms, with offsets, with velocities, per frame at 31.25 a second;
false notes above MIDI 84 per minute; seconds of audio per second of processor and per second of clock; the
largest process; and spartito's figures divided by the first peer's. A recording on which a command fails counts
as an empty transcription.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import soundfile

from spartito import __version__
from spartito.audio.io import AUDIO_SUFFIXES
from spartito.errors import NotesError
from spartito.evaluation.folders import NOTE_SUFFIXES
from spartito.evaluation.speed import Cost, measure
from spartito.evaluation.transcription import evaluate_transcription
from spartito.files import atomic_path
from spartito.loading import load_notes
from spartito.notes.notes import Notes

SPARTITO = "{python} -m spartito.cli transcribe {input} --formats mid --output {output} --quiet"
COLUMNS = {  # key of the report: heading, format
    "note_f1": ("note", "{:.4f}"),
    "note_with_offset_f1": ("+ offset", "{:.4f}"),
    "note_with_offset_and_velocity_f1": ("+ offset + velocity", "{:.4f}"),
    "note_100ms_f1": ("note 100 ms", "{:.4f}"),
    "note_20ms_f1": ("note 20 ms", "{:.4f}"),
    "frame_f1": ("frame", "{:.4f}"),
    "note_aligned_f1": ("note, lag removed", "{:.4f}"),
    "false_high_notes_per_minute": ("false > MIDI 84 /min", "{:.2f}"),
    "real_time_per_cpu": ("x real time, CPU", "{:.2f}"),
    "real_time_per_clock": ("x real time, clock", "{:.2f}"),
    "peak_megabytes": ("peak MB", "{:.0f}"),
    "failed": ("failed", "{:.0f}"),
}


def find_pieces(audio: Path, references: Path, *, match: str, shortest: int | None) -> list[dict]:
    """Recordings below `audio` with a reference of the same name below `references`."""
    labels = {}
    for path in sorted(references.rglob("*"), key=lambda p: (p.suffix.lower() != ".tsv", str(p))):
        if path.suffix.lower() in NOTE_SUFFIXES:
            labels.setdefault(path.stem, path)
    pieces = []
    for path in sorted(audio.rglob("*")):
        if path.suffix.lower() in AUDIO_SUFFIXES and path.stem in labels and re.search(match, path.stem):
            seconds = soundfile.info(path).duration
            pieces.append({"name": path.stem, "audio": path, "reference": labels[path.stem], "seconds": seconds})
    if not pieces:
        raise SystemExit(f"no recording below {audio} has a reference of its name below {references}")
    if shortest is not None:
        pieces = sorted(pieces, key=lambda piece: piece["seconds"])[:shortest]
    return pieces


def filled(template: str, *, audio: Path, midi: Path) -> str:
    """The shell command for one recording. Only the four names are replaced; other braces stay."""
    quote = subprocess.list2cmdline if os.name == "nt" else shlex.join
    places = {"input": audio, "output": midi, "folder": midi.parent, "python": sys.executable}
    return re.sub(r"\{(input|output|folder|python)\}", lambda m: quote([str(places[m[1]])]), template)


def run_one(template: str, piece: dict, folder: Path, *, timeout: float | None) -> tuple[Notes | None, Cost]:
    """Transcribe one recording into a folder of its own; None for the notes when that fails."""
    place = folder / piece["name"]
    place.mkdir(parents=True, exist_ok=True)
    for old in place.iterdir():
        if old.is_file():
            old.unlink()
    midi = place / f"{piece['name']}.mid"
    cost = measure(filled(template, audio=piece["audio"].resolve(), midi=midi.resolve()), timeout=timeout)
    written = [midi] if midi.is_file() else sorted(p for p in place.rglob("*") if p.suffix in (".mid", ".midi"))
    if cost.returncode != 0 or not written:
        print(f"  failed ({cost.returncode}): {cost.output.strip()[-300:]}", file=sys.stderr)
        return None, cost
    try:
        return load_notes(written[0]), cost
    except NotesError as error:
        print(f"  unreadable: {error}", file=sys.stderr)
        return None, cost


def benchmark(name: str, template: str, pieces: list[dict], folder: Path, *, timeout: float | None) -> dict:
    """Scores per piece and their means, with what it all cost."""
    scores, costs, failed = {}, [], []
    for number, piece in enumerate(pieces, start=1):
        print(f"{name}: {number}/{len(pieces)} {piece['name']}", file=sys.stderr)
        estimate, cost = run_one(template, piece, folder / name, timeout=timeout)
        if estimate is None:
            failed.append(piece["name"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a failed piece is an empty one, and said to be
            result = evaluate_transcription(
                load_notes(piece["reference"]), estimate or Notes(), seconds=piece["seconds"]
            )
        costs.append(cost)
        scores[piece["name"]] = {**result, "wall": cost.wall, "cpu": cost.cpu, "peak": cost.peak_memory}
    seconds = sum(piece["seconds"] for piece in pieces)
    metrics = list(dict.fromkeys(key for result in scores.values() for key in result))
    mean = {}
    for metric in metrics:
        values = [result[metric] for result in scores.values() if result.get(metric) is not None]
        if values:
            mean[metric] = float(np.mean(values))
    known = all(cost.cpu is not None for cost in costs)
    mean["real_time_per_cpu"] = seconds / sum(cost.cpu for cost in costs) if known else None
    mean["real_time_per_clock"] = seconds / sum(cost.wall for cost in costs)
    mean["peak_megabytes"] = max(cost.peak_memory for cost in costs) / 1e6 if known else None
    mean["failed"] = float(len(failed))
    return {"command": template, "mean": mean, "failed": failed, "pieces": scores}


def table(systems: dict[str, dict]) -> str:
    """Markdown: one row per system, then the first one's figures divided by the second's."""

    def row(cells):
        return "| " + " | ".join(cells) + " |"

    def shown(value, form):
        return "-" if value is None else form.format(value)

    lines = [row(["system", *(heading for heading, _ in COLUMNS.values())]), "|---" * (len(COLUMNS) + 1) + "|"]
    for name, system in systems.items():
        lines.append(row([name, *(shown(system["mean"][key], form) for key, (_, form) in COLUMNS.items())]))
    if len(systems) > 1:
        (first, ours), (second, theirs) = list(systems.items())[:2]
        ratios = []
        for key in COLUMNS:
            a, b = ours["mean"][key], theirs["mean"][key]
            ratios.append(f"{a / b:.3f}" if a is not None and b else "-")
        lines.append(row([f"{first} / {second}", *ratios]))
    return "\n".join(lines)


def onset_errors(systems: dict[str, dict]) -> str:
    """Markdown: median onset error in ms of each system on each piano of MAPS (the end of a piece's name)."""
    pianos = sorted({name.rsplit("_", 1)[-1] for s in systems.values() for name in s["pieces"] if "MAPS_" in name})
    if not pianos:
        return ""
    lines = [f"| median onset error, ms | {' | '.join(pianos)} |", "|---" * (len(pianos) + 1) + "|"]
    for name, system in systems.items():
        cells = []
        for piano in pianos:
            values = [s["onset_error_median_ms"] for p, s in system["pieces"].items() if p.endswith(f"_{piano}")]
            cells.append(f"{np.median(values):+.1f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n" + "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", type=Path, required=True, help="folder of recordings")
    parser.add_argument("--references", type=Path, help="folder of MIDI, CSV or TSV files; default: that of --audio")
    parser.add_argument("--match", default="", help="regular expression that names must contain")
    parser.add_argument("--shortest", type=int, help="only so many pieces, the shortest")
    parser.add_argument("--spartito", default=SPARTITO, help="command of spartito; '' leaves it out")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("--timeout", type=float, help="seconds per recording")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for transcriptions and results")
    options = parser.parse_args(arguments)
    commands = {"spartito": options.spartito} if options.spartito else {}
    for peer in options.peer:
        name, separator, command = peer.partition("=")
        if not (separator and re.fullmatch(r"[\w.-]+", name) and command.strip()):
            parser.error(f"--peer is NAME=COMMAND, not {peer!r}")
        commands[name] = command
    if not commands:
        parser.error("there is nothing to run")
    pieces = find_pieces(
        options.audio, options.references or options.audio, match=options.match, shortest=options.shortest
    )
    systems = {
        name: benchmark(name, command, pieces, options.output, timeout=options.timeout)
        for name, command in commands.items()
    }
    report = {
        "pieces": len(pieces),
        "seconds": sum(piece["seconds"] for piece in pieces),
        "machine": {"system": platform.platform(), "processors": os.cpu_count(), "python": platform.python_version()},
        "spartito": __version__,
        "systems": systems,
    }
    heading = f"{report['pieces']} pieces, {report['seconds'] / 60:.1f} minutes of audio"
    text = f"{heading}\n\n{table(systems)}\n{onset_errors(systems)}"
    for suffix, content in ((".md", text), (".json", json.dumps(report, indent=2) + "\n")):
        with atomic_path(options.output / f"transcription{suffix}") as temporary:
            temporary.write_text(content, encoding="utf-8")
    print(text)
    return report


if __name__ == "__main__":
    main()
