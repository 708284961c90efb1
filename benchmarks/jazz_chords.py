"""How well are the chords of jazz heard? Voiced solos of the Weimar Jazz Database, whose chords are known.

    python benchmarks/jazz_chords.py STORE [--split validation]
    python benchmarks/jazz_chords.py STORE --count

STORE is a store of genres (`spartito train genre`); its piece set `wjazzd` has solos over voicings without roots and
walking basses that a rule made of the annotated chords, so what is easy or hard here is partly the rule's. Shares of
beats: root right; root and family (major, minor, diminished) right; tones in common (intersection over union, mean);
and how often the chords change for each change of the annotation. `usual` is what all other genres are heard with
(`analysis.note_chords`), `jazz` is `style.jazz_chords`. The second line prints the tables of `style.jazz_chords`,
counted in the split train.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from spartito.analysis.note_chords import QUALITIES, TRIAD, ChordTrack, beat_chroma, chords_of
from spartito.style.jazz_chords import jazz_chords, on_their_beats, shipped_harmony
from spartito.training.data.genre_store import open_store

STEPS = 4  # of a beat
SET = "wjazzd"


def solos(store: Path, split: str) -> list[tuple[np.ndarray, ChordTrack]]:
    """Notes (k, 5) on the grid and the annotated chords of every stretch in 4/4."""
    pieces, found = open_store(store, "jazz", split, sets=[SET]), []
    for piece, first, last in pieces.regions:
        notes = pieces.notes_of(piece)
        notes = notes[(notes[:, 0] >= first) & (notes[:, 0] < last)] - [first, 0, 0, 0, 0]
        mine = np.flatnonzero(pieces.chords[:, 0] == piece)
        if len(mine) == 0:
            continue
        beats = int(last - first) // STEPS
        at = np.searchsorted(pieces.chords[mine, 1], first + STEPS * np.arange(beats) + 1, side="right") - 1
        names = pieces.labels[mine]
        found.append((notes, ChordTrack.of_labels([names[i] if i >= 0 else "N" for i in at])))
    return found


def agreement(found: ChordTrack, truth: ChordTrack) -> np.ndarray:
    """(6,) beats with a chord, those with the right root, and family, sum of common tones, changes found and true."""
    there = truth.root >= 0
    root = (found.root == truth.root)[there]
    family = root & (TRIAD[found.quality] == TRIAD[truth.quality])[there]
    mine, theirs = found.tones(added=False)[there], truth.tones(added=False)[there]
    common = (mine & theirs).sum(axis=1) / np.maximum((mine | theirs).sum(axis=1), 1)
    changes = [int((np.diff(12 * t.quality + t.root) != 0).sum()) for t in (found, truth)]
    return np.array([there.sum(), root.sum(), family.sum(), common.sum(), *changes], dtype=np.float64)


def shares(finder: Callable[[np.ndarray, int], ChordTrack], given: list[tuple[np.ndarray, ChordTrack]]) -> dict:
    """Figures of a way to find chords."""
    beats, root, family, common, found, true = sum(agreement(finder(n, len(t)), t) for n, t in given)
    return {"root": root / beats, "family": family / beats, "tones": common / beats, "changes": found / max(true, 1)}


def counted(given: list[tuple[np.ndarray, ChordTrack]]) -> tuple[np.ndarray, np.ndarray]:
    """(14, 12) twice, percent: what sounds at each semitone above the root, and the bass where a chord begins."""
    sound, low = np.full((len(QUALITIES), 12), 0.5), np.full((len(QUALITIES), 12), 0.5)
    for notes, track in given:
        chroma, bass = beat_chroma(on_their_beats(notes), len(track))
        share = chroma / np.maximum(chroma.sum(axis=1, keepdims=True), 1e-9)
        above = (track.root[:, None] + np.arange(12)) % 12
        first = np.isin(np.arange(len(track)), track.starts)
        for table, values, there in ((sound, share, track.root >= 0), (low, bass, (track.root >= 0) & first)):
            np.add.at(table, track.quality[there], np.take_along_axis(values, above, axis=1)[there])
    return tuple(np.rint(100 * table / table.sum(axis=1, keepdims=True)).astype(int) for table in (sound, low))


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--split", choices=("test", "validation"), default="test")
    parser.add_argument("--count", action="store_true", help="print the tables of style.jazz_chords instead")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.count:
        tables = [table.tolist() for table in counted(solos(options.store, "train"))]
        print("\n\n".join("\n".join(map(str, table)) for table in tables))
        return dict(zip(("sound", "first_bass"), tables, strict=True))
    statistics = shipped_harmony()
    given = solos(options.store, options.split)
    ways = {"usual": chords_of, "jazz": lambda notes, beats: jazz_chords(notes, beats, statistics)}
    found = {name: shares(way, given) for name, way in ways.items()}
    if options.json:
        print(json.dumps(found, indent=1))
        return found
    print(f"{len(given)} stretches, {sum(len(truth) for _, truth in given)} beats\n")
    print("| chords | root | root and family | tones in common | changes |\n|---|---|---|---|---|")
    for name, row in found.items():
        print(f"| {name} | {row['root']:.3f} | {row['family']:.3f} | {row['tones']:.3f} | {row['changes']:.2f} |")
    return found


if __name__ == "__main__":
    main()
