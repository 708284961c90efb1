"""How well the beats of solo jazz piano are tracked: `python benchmarks/jazz_beats.py FOLDER [--peer]`.

FOLDER is DisklavierJazz. Files in 4/4 whose bass and drums (or, of a piano alone, the piano) lie on their ticks say the
truth; the tracker hears the piano part only, of a trio without its bass. Piano rolls and repetitions are left out.
Printed for solo and trio: F of beats and downbeats (70 ms, mir_eval) over whole files, and, in the stretches that
`data.pijama.steady_regions` would keep, the share of tracked beats and downbeats within 70 ms of true ones, and the
share of kept bars at twice the true tempo. `--peer` adds `analysis.beats.estimate_beats`, which knows classical and pop
music, on whole files.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np

from spartito.analysis.beats import estimate_beats
from spartito.errors import NotesError
from spartito.notes.midi import read_midi
from spartito.notes.phrases import STEPS_PER_BEAT
from spartito.training.data.genre_foreign import ROLL
from spartito.training.data.genre_store import BAR
from spartito.training.data.pijama import steady_regions
from spartito.training.jazz_beats import track_jazz

WITH_BAND, ALONE = 0.5, 0.35  # mean resultant of the phases of a whole file, from which on its ticks are the truth
LEAST = 400  # notes of the piano
TOLERANCE = 0.07  # s


def synchronous_files(folder: Path):
    """Name, whether it is a solo, notes of the piano, and times of the true beats (first of them a downbeat)."""
    seen = set()
    for path in sorted((folder / "jazz").glob("*.mid")):
        notes = read_midi(path)
        clock = notes.tempo_map
        if ROLL.search(path.name) or any((s.numerator, s.denominator) != (4, 4) for s in clock.time_signatures):
            continue
        programs = np.array([-1 if t.is_drum else t.program for t in notes.tracks])[notes.array["track"]]
        piano, bass, drums = (programs >= 0) & (programs < 8), (programs >= 32) & (programs < 40), programs < 0
        wave = np.exp(2j * np.pi * clock.seconds_to_quarters(notes.onset))
        resultants = [abs(wave[rows].mean()) for rows in (bass, drums) if rows.sum() > 100]
        solo = not resultants
        if piano.sum() < LEAST or max(resultants or [abs(wave[piano].mean())]) < (ALONE if solo else WITH_BAND):
            continue
        digest = hashlib.sha1(notes.pitch[piano].tobytes()).hexdigest()
        if digest not in seen:
            seen.add(digest)
            played = notes.select(piano)
            last = int(clock.seconds_to_quarters(played.onset[-1]))
            yield path.stem, solo, played, clock.quarters_to_seconds(np.arange(last + 1))


def right(times: np.ndarray, truth: np.ndarray) -> int:
    """How many of `times` lie near one of `truth` (both rising, seconds)."""
    at = np.clip(np.searchsorted(truth, times), 1, len(truth) - 1)
    return int(np.sum(np.minimum(np.abs(truth[at] - times), np.abs(truth[at - 1] - times)) < TOLERANCE))


def measured(notes, truth: np.ndarray, *, peer: bool) -> dict[str, float]:
    """Figures of one file; those of kept stretches are counts."""
    import mir_eval

    first = int(np.searchsorted(truth, notes.onset[0] - 0.1))
    heard, downs = truth[first:], truth[::4][-(-first // 4) :]
    found = track_jazz(notes)
    kept = np.zeros(len(found.times), dtype=bool)
    for start, stop in steady_regions(found) // STEPS_PER_BEAT:
        kept[start:stop] = True
    down = found.positions == 0
    ratio = np.median(np.diff(heard)) / np.median(np.diff(found.times))
    figures = {
        "beats F": mir_eval.beat.f_measure(heard, found.times),
        "downbeats F": mir_eval.beat.f_measure(downs, found.times[down]),
        "bars": len(truth) / 4,
        "kept bars": kept.sum() * STEPS_PER_BEAT / BAR,
        "right beats": right(found.times[kept], truth),
        "right downbeats": right(found.times[kept & down], truth[::4]),
        "double bars": (kept.sum() * STEPS_PER_BEAT / BAR) if abs(ratio - 2) < 0.1 else 0.0,
    }
    if peer:
        other = estimate_beats(notes)
        figures["peer beats F"] = mir_eval.beat.f_measure(heard, other.times)
        figures["peer downbeats F"] = mir_eval.beat.f_measure(downs, other.downbeats)
    return figures


def main(arguments: list[str] | None = None) -> dict[str, dict[str, float]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peer", action="store_true")
    options = parser.parse_args(arguments)
    rows = [
        (solo, measured(notes, truth, peer=options.peer)) for _, solo, notes, truth in synchronous_files(options.folder)
    ]
    if not rows:
        raise NotesError(f"{options.folder} holds no jazz that is synchronous with its ticks")
    report = {}
    print("| | files | beats F | downbeats F | bars kept | beats right | downbeats right | bars at twice the tempo |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for name, chosen in (("solo", [f for s, f in rows if s]), ("trio", [f for s, f in rows if not s])):
        if not chosen:
            continue
        mean = {key: float(np.mean([f[key] for f in chosen])) for key in chosen[0]}
        kept = max(mean["kept bars"], 1e-9)
        report[name] = {
            **{key: value for key, value in mean.items() if key.endswith("F")},
            "files": len(chosen),
            "bars kept": mean["kept bars"] / mean["bars"],
            "beats right": mean["right beats"] / kept / 4,
            "downbeats right": mean["right downbeats"] / kept,
            "double": mean["double bars"] / kept,
        }
        r = report[name]
        cells = [r["beats F"], r["downbeats F"], r["bars kept"], r["beats right"], r["downbeats right"], r["double"]]
        print(f"| {name} | {len(chosen)} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |")
        if options.peer:
            print(f"| {name}, note_beats | {len(chosen)} | {r['peer beats F']:.3f} | {r['peer downbeats F']:.3f} |||||")
    return report


if __name__ == "__main__":
    main()
