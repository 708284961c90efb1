"""Pairs of songs and covers with known truth through `spartito train pairs`.

    python benchmarks/pairs.py BANDS/test [--pairs 14] [--audio 4] [--work FOLDER] [--json]

Songs are rendered bands of held-out songs of POP909 (`spartito train bands`), covers their human piano arrangement,
bent on purpose: another key (-5 .. 6 semitones), another tempo (0.9 to 1.1) that wanders by five percent within 8 to 20
s, 0 to 4 s of silence before, onsets scattered by 10 ms, a tenth of the notes left out. `--audio` of them are played on
a piano of a SoundFont and transcribed. Of each there is a wrong pair (the cover of another song) and a cut one (8 s
taken out of the middle of the cover). Printed are

    error           of the clock at the onsets of the cover, ms: median of the absolute error, and what 90 % stay under
    early           median of the signed error, ms; negative is too early
    tempo           median error of the local pace (over 4 s), percent
    key             pairs whose transposition is found, octaves apart
    kept            pairs that pass the filters; of cut ones also the share of the kept beats that lie in the cut
    in_place        share of the cover's notes in the kept bars that the pieces have within 70 ms of where the song has
                    them: what beats and quarters of beats cost on top

In half of the bands an instrument plays the piano arrangement itself, which real bands do not: `own` are the figures of
the others. Rendered bands are no recordings: figures on real pairs will be worse.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from spartito.analysis.song import Analysis
from spartito.audio.io import save_audio
from spartito.notes.midi import write_midi
from spartito.notes.notes import Notes
from spartito.render.synthesize import synthesize
from spartito.training.data.bands import Band, open_bands
from spartito.training.data.pair_alignment import Alignment
from spartito.training.data.pairs import PACE_SPAN, Pair
from spartito.training.data.pop909 import STEPS, seconds_of
from spartito.training.pair_commands import prepare_pairs

SEED = 909
CUT = 8.0  # s
NEAR = 0.070  # s
SCATTER = 0.010  # s
LOST = 0.1  # share of the notes


def bent(band: Band, number: int, *, cut: bool = False) -> tuple[Notes, np.ndarray, np.ndarray, int]:
    """A cover of `band`: notes, their clock (times of the song and of the cover), and its transposition."""
    rng = np.random.default_rng([SEED, number])
    table = np.concatenate([band.piano, band.melody, band.bridge])
    song = np.linspace(0.0, band.duration, 200)
    wander = 0.05 * np.sin(2 * np.pi * song / rng.uniform(8.0, 20.0) + rng.uniform(0, 2 * np.pi))
    slower = np.exp(rng.uniform(np.log(0.9), np.log(1.1)) + wander)
    cover = rng.uniform(0.0, 4.0) + np.concatenate([[0.0], np.cumsum(slower[:-1] * np.diff(song))])
    semitones = int(rng.integers(-6, 6))  # so that -5 .. 6 bring it back
    table = table[rng.random(len(table)) >= LOST]
    if cut:
        middle = band.duration / 2
        table = table[np.abs(table[:, 0] - middle) >= CUT / 2]
        cover = cover - np.interp(
            song, [middle - CUT / 2, middle + CUT / 2], [0.0, np.interp(CUT, song, cover - cover[0])]
        )
        cover = np.maximum.accumulate(cover)
    scatter = SCATTER * rng.standard_normal(len(table))
    onset, offset = (np.interp(table[:, i], song, cover) + scatter for i in (0, 1))
    onset = np.maximum(onset, 0.0)
    notes = Notes.from_arrays(onset, np.maximum(offset, onset + 0.05), table[:, 2] + semitones, table[:, 3])
    return notes, song, cover, semitones


def measure(
    store: Path, pair: Pair, row: dict, song: np.ndarray, cover: np.ndarray, notes: Notes, semitones: int
) -> dict:
    """Errors of one right pair."""
    with np.load(store / "work" / "pairs" / pair.name / "alignment.npz") as data:
        alignment = Alignment(**{name: data[name] for name in data.files})
    inside = notes.onset[alignment.inside(notes.onset)]
    error = 1000 * (alignment.to_song(inside) - np.interp(inside, cover, song))
    true = Alignment(0, 0.0, cover, song, np.ones(len(song)))
    times = np.arange(PACE_SPAN, song[-1] - PACE_SPAN, 1.0)
    pace = alignment.pace(times, span=PACE_SPAN) / true.pace(times, span=PACE_SPAN)
    return {
        "error": error,
        "inside": len(inside) / len(notes),
        "tempo": 100 * np.abs(pace - 1),
        "key": (row["transposition"] + semitones) % 12 == 0,
        "kept": row["status"] == "kept",
        "in_place": in_place(store, row, np.interp(notes.onset, cover, song), notes.pitch - semitones),
    }


def in_place(store: Path, row: dict, onset: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """(k,) bool: of the notes (seconds of the song, MIDI) within the pieces of a pair those that are in a piece."""
    found = []
    for name in row.get("pieces", []):
        with np.load(store / "labels" / row["split"] / f"{name}.npz") as data:
            table, beats = np.concatenate([data["melody_q"], data["piano_q"]]), data["beats"]
        times = seconds_of(table[:, 0] + table[:, 1] / STEPS, beats)
        here = (onset >= beats[0]) & (onset < beats[-1])
        near = np.abs(onset[here][:, None] - times) <= NEAR
        same = (pitch[here][:, None] - table[:, 3]) % 12 == 0  # what would leave the keyboard came back an octave
        found.append((near & same).any(axis=1))
    return np.concatenate(found) if found else np.zeros(0, dtype=bool)


def in_the_cut(store: Path, pair: Pair, row: dict, duration: float) -> float:
    """Share of the kept beats that lie in the part that was cut out of the cover."""
    (folder,) = (store / "work" / "songs").glob(f"{pair.song.stem}-*")
    beats = Analysis.load(folder / "analysis.json").beats.times
    state = json.loads((store / "work" / "pairs" / pair.name / "measures.json").read_text())
    kept = np.concatenate([beats[first:last] for first, last, _ in state["pieces"]] or [np.zeros(0)])
    return float(np.mean(np.abs(kept - duration / 2) < CUT / 2)) if len(kept) else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bands", type=Path)
    parser.add_argument("--pairs", type=int, default=14)
    parser.add_argument("--audio", type=int, default=4)
    parser.add_argument("--work", type=Path, help="folder that is kept; what is in it is not made again")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        table = run(options, (options.work or Path(temporary)).resolve())
    print(json.dumps(table, indent=1) if options.json else shown(table))


def run(options, work: Path) -> dict:
    sung = [band for band in open_bands(options.bands) if band.meta.get("lead") is not None]
    bands = sung[:: max(1, len(sung) // options.pairs)][: options.pairs]
    covers, truth = work / "covers", {}
    for number, band in enumerate(bands):
        audio = number < options.audio
        for kind in ("right", "cut"):
            notes, *clock = bent(band, number, cut=kind == "cut")
            path = covers / f"{band.name}-{kind}.{'flac' if audio and kind == 'right' else 'mid'}"
            truth[number, kind] = (path, notes, *clock)
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                save_audio(synthesize(notes), path) if path.suffix == ".flac" else write_midi(notes, path)
    pairs = {}
    for number, band in enumerate(bands):
        pairs[number, "right"] = Pair(band.audio.resolve(), truth[number, "right"][0])
        pairs[number, "wrong"] = Pair(band.audio.resolve(), truth[(number + 1) % len(bands), "right"][0])
        pairs[number, "cut"] = Pair(band.audio.resolve(), truth[number, "cut"][0])
    store = work / "store"
    rows = dict(zip(pairs, prepare_pairs(list(pairs.values()), store, jobs=options.jobs), strict=True))
    found = {
        number: measure(
            store,
            pairs[number, "right"],
            rows[number, "right"],
            *truth[number, "right"][2:4],
            truth[number, "right"][1],
            truth[number, "right"][4],
        )
        for number in range(len(bands))
    }
    groups = {
        "MIDI covers": [n for n in found if n >= options.audio],
        "audio covers": [n for n in found if n < options.audio],
        "own": [n for n in found if not bands[n].meta.get("copies_piano")],
    }
    table: dict = {name: _figures([found[n] for n in numbers]) for name, numbers in groups.items() if numbers}
    for kind in ("right", "wrong", "cut"):
        here = [rows[n, kind] for n in range(len(bands))]
        table[kind] = {"pairs": len(here), "kept": sum(row["status"] == "kept" for row in here)}
        for name in ("likeness", "aligned", "melody"):
            values = [row[name] for row in here if name in row]
            table[kind][name] = [round(float(f(values)), 3) for f in (np.min, np.median, np.max)]
    cuts = [in_the_cut(store, pairs[n, "cut"], rows[n, "cut"], bands[n].duration) for n in range(len(bands))]
    table["cut"]["kept_beats_in_the_cut"] = round(float(np.mean(cuts)), 4)
    return table


def _figures(rows: list[dict]) -> dict:
    error = np.concatenate([row["error"] for row in rows])
    return {
        "pairs": len(rows),
        "notes": len(error),
        "error_median_ms": round(float(np.median(np.abs(error))), 1),
        "error_90_ms": round(float(np.percentile(np.abs(error), 90)), 1),
        "early_ms": round(float(np.median(error)), 1),
        "within_50_ms": round(float(np.mean(np.abs(error) <= 50)), 3),
        "tempo_error_percent": round(float(np.median(np.concatenate([row["tempo"] for row in rows]))), 2),
        "keys": sum(row["key"] for row in rows),
        "kept": sum(row["kept"] for row in rows),
        "in_place": round(float(np.mean(np.concatenate([row["in_place"] for row in rows]))), 3),
        "notes_inside": round(float(np.mean([row["inside"] for row in rows])), 3),
    }


def shown(table: dict) -> str:
    return "\n".join(f"{name:13} " + "  ".join(f"{k} {v}" for k, v in row.items()) for name, row in table.items())


if __name__ == "__main__":
    main()
