"""How good can a perfect network be? Labels, decoded again, against the exact notes.

    python benchmarks/label_ceilings.py --maps DIR

DIR holds `tsv/matched/*.tsv` and `flac/*.flac` of MAPS; the pieces of the two real pianos (ENSTDkAm, ENSTDkCl) whose
recording is there are taken, with `--all` also those of which only the labels are. Printed are the mean F1 scores
over pieces for each scheme of labels and rule of decoding.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from spartito.decoding import decode_jongwook, decode_onsets_frames
from spartito.evaluation.transcription import evaluate_transcription
from spartito.loading import load_notes
from spartito.training.labels import jongwook_labels, magenta_labels

TEST_PIANOS = ("ENSTDkAm", "ENSTDkCl")
HOP_SECONDS = 0.032
METRICS = ("note_f1", "note_with_offset_f1", "note_with_offset_and_velocity_f1", "note_20ms_f1")


def jongwook_both(notes, *, hop_seconds=HOP_SECONDS):
    labels = jongwook_labels(notes, frames=_frames(notes, hop_seconds), hop_seconds=hop_seconds)
    return decode_jongwook(labels.onset, labels.frame, labels.velocity, hop_seconds=hop_seconds)


def jongwook_labels_reference_rule(notes):
    labels = jongwook_labels(notes, frames=_frames(notes, HOP_SECONDS))
    return decode_onsets_frames(labels.onset, labels.frame, labels.velocity)


def magenta_both(notes, *, half_frame_shift=False):
    labels = magenta_labels(notes, frames=_frames(notes, HOP_SECONDS))
    return decode_onsets_frames(labels.onset, labels.frame, labels.velocity, half_frame_shift=half_frame_shift)


def _frames(notes, hop_seconds):
    return int(np.ceil(notes.duration / hop_seconds)) + 3


SCHEMES = {
    "jongwook labels, jongwook rule, 32 ms": jongwook_both,
    "magenta labels, reference rule, 32 ms": magenta_both,
    "jongwook labels, reference rule, 32 ms": jongwook_labels_reference_rule,
    "magenta labels, reference rule, times + 16 ms": lambda n: magenta_both(n, half_frame_shift=True),
    "jongwook labels, jongwook rule, 16 ms": lambda n: jongwook_both(n, hop_seconds=0.016),
    "jongwook labels, jongwook rule, 10 ms": lambda n: jongwook_both(n, hop_seconds=0.010),
}


def ceilings(folder: Path, *, labels_only: bool = False) -> dict:
    """Number of pieces, and scheme -> metric -> mean over the pieces below `folder`."""
    recorded = {p.stem for p in folder.rglob("*") if p.suffix in (".flac", ".wav")}
    paths = sorted(p for p in folder.rglob("*.tsv") if p.stem.rsplit("_", 1)[-1] in TEST_PIANOS)
    paths = [p for p in paths if labels_only or p.stem in recorded]
    if not paths:
        raise SystemExit(f"no *_{TEST_PIANOS[0]}.tsv or *_{TEST_PIANOS[1]}.tsv below {folder}")
    pieces = [load_notes(path) for path in paths]
    result = {}
    for name, draw in SCHEMES.items():
        scores = [evaluate_transcription(notes, draw(notes)) for notes in pieces]
        result[name] = {metric: float(np.mean([s[metric] for s in scores])) for metric in METRICS}
    return {"pieces": len(pieces), "ceilings": result}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--maps", type=Path, required=True, help="folder of MAPS labels")
    parser.add_argument("--all", action="store_true", help="also pieces whose recording is not there")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    report = ceilings(arguments.maps, labels_only=arguments.all)
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{report['pieces']} pieces\n\n| labels and rule | {' | '.join(METRICS)} |")
    print("|---" * (len(METRICS) + 1) + "|")
    for name, scores in report["ceilings"].items():
        print(f"| {name} | {' | '.join(f'{scores[m]:.4f}' for m in METRICS)} |")


if __name__ == "__main__":
    main()
