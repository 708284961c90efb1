"""Scores from performances: spartito beside partitura's own import of the same MIDI, on ASAP.

    python benchmarks/score.py DATA/ASAP [--pieces 10] [--json]

The pieces are chosen by rule: works of the test split (`training.data.splits`), which the beat network did
not learn from (an early search for the tracker's costs may have touched some), in the order of the SHA-1 of
'composer/title'; one performance each (lowest SHA-1 of its path), performance and score with the same annotated
beats, 150 to 4000 notes, a score of two tracks (staves), at most four works per composer and five per time signature.
Beats are estimated by spartito from the notes, unless the file keeps to its own clock; partitura reads the performance
MIDI with `load_score_midi`, its default quantisation and its key estimate.
The reference is `midi_score.mid` with its annotations. Errors are shares of matched notes: see
`spartito.evaluation.score`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
import warnings
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from spartito.evaluation.score import SCORE_NOTE_DTYPE, evaluate_score, match_performance, score_notes
from spartito.notes.midi import read_midi
from spartito.score.build import to_score
from spartito.training.data.asap import AsapBeats, asap_rows, asap_work, read_asap_beats
from spartito.training.data.splits import TEST

NOTES = (150, 4000)
PER_COMPOSER, PER_METRE = 4, 5
COLUMNS = (
    "onset_in_bar",
    "onset_any_level",
    "duration",
    "duration_any_level",
    "staff",
    "key",
    "metre",
    "missing",
)


def choose(folder: Path, pieces: int) -> list[dict]:
    """Rows of the metadata table, by the rule above."""

    def digest(text):
        return hashlib.sha1(text.encode()).hexdigest()

    works = defaultdict(list)
    for row in asap_rows(folder):
        work, split = asap_work(row)
        if split == TEST:
            works[work].append(row)
    chosen, composers, metres = [], Counter(), Counter()
    for work in sorted(works, key=digest):
        row = min(works[work], key=lambda r: digest(r["midi_performance"]))
        performed = read_asap_beats(folder / row["performance_annotations"])
        written = read_asap_beats(folder / row["midi_score_annotations"])
        if len(performed.beats) != len(written.beats) or not written.metres:
            continue
        metre = written.metres[0][1]
        if composers[row["composer"]] >= PER_COMPOSER or metres[metre] >= PER_METRE:
            continue
        score = read_midi(folder / row["midi_score"])
        count = len(read_midi(folder / row["midi_performance"]))
        if len(np.unique(score.array["track"])) != 2 or not NOTES[0] <= count <= NOTES[1]:
            continue
        composers[row["composer"]] += 1
        metres[metre] += 1
        chosen.append(row)
        if len(chosen) == pieces:
            break
    return chosen


def reference_notes(path: Path, annotations: AsapBeats) -> np.ndarray:
    """SCORE_NOTE_DTYPE of `midi_score.mid`: bars, metre and key from its annotations, staves from its tracks."""
    notes = read_midi(path)
    clock = notes.tempo_map
    out = np.zeros(len(notes), dtype=SCORE_NOTE_DTYPE)
    out["index"], out["pitch"] = np.arange(len(notes)), notes.pitch
    out["onset"] = clock.seconds_to_quarters(notes.onset)
    out["duration"] = clock.seconds_to_quarters(notes.offset) - out["onset"]
    out["staff"] = np.searchsorted(np.unique(notes.array["track"]), notes.array["track"]) + 1
    metre_at = np.array([t for t, _ in annotations.metres])
    metre = np.array([[int(x) for x in text.split("/")] for _, text in annotations.metres])
    place = np.maximum(np.searchsorted(metre_at, notes.onset + 1e-3, side="right") - 1, 0)
    out["numerator"], out["denominator"] = metre[place, 0], metre[place, 1]
    key_at = np.array([t for t, _ in annotations.keys] or [0.0])
    key = np.array([k for _, k in annotations.keys] or [0])
    out["fifths"] = key[np.maximum(np.searchsorted(key_at, notes.onset + 1e-3, side="right") - 1, 0)]
    down = clock.seconds_to_quarters(annotations.downbeats)
    bar = np.searchsorted(down, out["onset"] + 1e-3, side="right") - 1
    length = out["numerator"] * 4.0 / out["denominator"]
    out["in_bar"] = np.where(bar >= 0, out["onset"] - down[np.maximum(bar, 0)], (out["onset"] - down[0]) % length)
    return out


def partitura_notes(path: Path, performed) -> np.ndarray:
    """SCORE_NOTE_DTYPE of partitura's import; the k-th note of a pitch is the k-th performed one."""
    import partitura
    import partitura.score as ps
    from partitura.musicanalysis import estimate_key
    from partitura.utils.music import key_name_to_fifths_mode

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        score = partitura.load_score_midi(str(path), quiet=True)
        # its importer's own key option fails in 1.9 (two values where three are expected); this is what it calls
        fifths = key_name_to_fifths_mode(estimate_key(score.note_array()))[0]
        tables = []
        for part in score.parts:
            bars = np.array(sorted(m.start.t for m in part.iter_all(ps.Measure)), dtype=float)
            notes = [n for n in part.iter_all(ps.Note, include_subclasses=True) if n.tie_prev is None]
            table = np.zeros(len(notes), dtype=SCORE_NOTE_DTYPE)
            quarter = float(part.quarter_duration_map(0))
            for row, note in zip(table, notes):
                row["pitch"], row["onset"] = note.midi_pitch, note.start.t / quarter
                row["duration"] = note.duration_tied / quarter
                bar = bars[max(0, np.searchsorted(bars, note.start.t, side="right") - 1)] if len(bars) else 0.0
                row["in_bar"] = (note.start.t - bar) / quarter
                row["staff"] = note.staff or 1
                row["numerator"], row["denominator"] = part.time_signature_map(note.start.t)[:2]
                row["fifths"] = fifths
            tables.append(table)
    table = np.concatenate(tables)
    table = table[np.lexsort((table["onset"], table["pitch"]))]
    table["index"] = -1
    for pitch in np.unique(table["pitch"]):
        mine = np.flatnonzero(table["pitch"] == pitch)
        theirs = np.flatnonzero(performed.pitch == pitch)
        k = min(len(mine), len(theirs))
        table["index"][mine[:k]] = theirs[:k]
    return table


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("asap", type=Path, help="folder of the ASAP data set (with metadata.csv)")
    parser.add_argument("--pieces", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    results = []
    for row in choose(options.asap, options.pieces):
        path = options.asap / row["midi_performance"]
        performed = read_midi(path)
        played = read_asap_beats(options.asap / row["performance_annotations"])
        written = read_asap_beats(options.asap / row["midi_score_annotations"])
        reference = reference_notes(options.asap / row["midi_score"], written)
        score_seconds = read_midi(options.asap / row["midi_score"]).onset
        match = match_performance(
            performed.onset, performed.pitch, played.beats, score_seconds, reference["pitch"], written.beats
        )
        before = time.perf_counter()
        ours = score_notes(to_score(performed))
        seconds = time.perf_counter() - before
        results.append(
            {
                "piece": f"{row['composer']} {row['title']}",
                "metre": written.metres[0][1],
                "written": f"{ours['numerator'][0]}/{ours['denominator'][0]}",
                "notes": len(performed),
                "matched": float(np.mean(match >= 0)),
                "seconds": seconds,
                "spartito": evaluate_score(reference, ours, match),
                "partitura": evaluate_score(reference, partitura_notes(path, performed), match),
            }
        )
    mean = {
        who: {c: float(np.mean([r[who][c] for r in results])) for c in COLUMNS} for who in ("spartito", "partitura")
    }
    if options.json:
        json.dump({"pieces": results, "mean": mean}, sys.stdout, indent=1)
        print()
        return 0
    head = f"{'piece':34}{'metre':>6}{'notes':>6}{'found':>6}  {'':10}" + "".join(f"{c[:11]:>12}" for c in COLUMNS)
    print(head)
    for r in results:
        for who in ("spartito", "partitura"):
            first = who == "spartito"
            left = f"{r['piece'][:33]:34}{r['metre']:>6}{r['notes']:>6}{r['matched']:>6.2f}" if first else " " * 52
            tail = f"  {r['written']} {r['seconds']:.1f} s" if first else ""
            print(f"{left}  {who:10}" + "".join(f"{r[who][c]:>12.3f}" for c in COLUMNS) + tail)
    for who in ("spartito", "partitura"):
        print(f"{'mean of ' + str(len(results)):52}  {who:10}" + "".join(f"{mean[who][c]:>12.3f}" for c in COLUMNS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
