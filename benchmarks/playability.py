"""What hands do in concert, and what the levels of difficulty make of pop arrangements.

    python benchmarks/playability.py DATA/ASAP DATA/POP909 [--pieces 20]

First, quantiles of leaps, repetitions and spans (`spartito.notes.playability`, definitions there) over performances of
ASAP, in the order of the SHA-1 of their paths: the limits of `playability` are their 99 %. Hands are divided by
`spartito.notes.hands`. Then the human arrangements of POP909 (melody, bridge and piano on one track; songs of the test
split) as they are and at each level of `simplify`: notes, score, difficulty, difficulty as the control measures it
(`notes.attributes`, mean over two-bar windows), share of the windows at or below the level, wide chords, seconds it
took. Last, how much of the vocal line the top line of `spartito.notes.roles` finds in them, and how much of what it
finds there is it.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path

import numpy as np

from spartito.analysis.beats import beats_from_times
from spartito.notes.attributes import measures_of_windows
from spartito.notes.midi import read_midi
from spartito.notes.playability import LEVELS, hand_strokes, playability
from spartito.notes.roles import MELODY, Grid, make_table
from spartito.notes.simplify import simplify
from spartito.notes.styles import piece_windows
from spartito.notes.two_hands import piano_in_two_hands
from spartito.training.data.pop909 import list_songs

SHARES = (0.5, 0.9, 0.95, 0.99, 0.999)


def performances(folder: Path, pieces: int) -> list[Path]:
    found = [path for path in folder.rglob("*.mid") if not path.name.startswith("midi_score")]
    return sorted(found, key=lambda path: hashlib.sha1(path.relative_to(folder).as_posix().encode()).hexdigest())[
        :pieces
    ]


def concert(paths: list[Path]) -> dict[str, np.ndarray]:
    """Quantiles (len(SHARES),) of each figure over all strokes of all hands."""
    figures = {"leap": [], "repeat": [], "span": []}
    for path in paths:
        notes = piano_in_two_hands(read_midi(path))
        for hand in (0, 1):
            rows = notes.array[notes.array["track"] == hand]
            strokes = hand_strokes(rows["onset"], rows["pitch"])
            for name, values in figures.items():
                values.append(getattr(strokes, name))
    return {name: np.quantile(np.concatenate(values), SHARES) for name, values in figures.items()}


def arrangement(folder: Path):
    """Notes and beats of one song of POP909, four beats to a bar from the first downbeat on."""
    notes = read_midi(folder / f"{folder.name}.mid")
    rows = np.loadtxt(folder / "beat_midi.txt")
    first = int(np.argmax(rows[:, 2] > 0))
    beats = beats_from_times(rows[:, 0], (np.arange(len(rows)) - first) % 4, numerator=4, denominator=4)
    array = notes.array.copy()
    array["track"] = 0
    return notes.with_array(array), beats


def melody_found(folder: Path) -> tuple[float, float]:
    """Recall and precision of the top line against the track MELODY (50 ms, within a second of it)."""
    notes = read_midi(folder / f"{folder.name}.mid")
    sung = notes.array[notes.array["track"] == [track.name for track in notes.tracks].index("MELODY")]
    together, beats = arrangement(folder)
    table = make_table(piano_in_two_hands(together), Grid.of(beats), np.zeros((0, 3))).each_key_once()
    found = table.array[table.role == MELODY]
    found = found[np.abs(found["onset"][:, None] - sung["onset"][None, :]).min(axis=1) < 1.0]
    same = (found["pitch"][:, None] == sung["pitch"][None, :]) & (
        np.abs(found["onset"][:, None] - sung["onset"][None, :]) < 0.05
    )
    return float(same.any(axis=0).mean()), float(same.any(axis=1).mean())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("asap", type=Path)
    parser.add_argument("pop909", type=Path)
    parser.add_argument("--pieces", type=int, default=20)
    options = parser.parse_args(arguments)
    print(f"| {options.pieces} performances of ASAP | " + " | ".join(f"{share:.1%}" for share in SHARES) + " |")
    print("|---" * (len(SHARES) + 1) + "|")
    for name, values in concert(performances(options.asap, options.pieces)).items():
        print(f"| {name} | " + " | ".join(f"{value:.1f}" for value in values) + " |")
    print(
        f"\n| {options.pieces} songs of POP909 | notes | score | difficulty | control | kept | wide chords | seconds |"
    )
    print("|---" * 8 + "|")
    folders = list_songs(options.pop909, split="test")[: options.pieces]
    songs = [arrangement(folder) for folder in folders]
    for level in (None, *LEVELS):
        rows = []
        for notes, beats in songs:
            began = time.process_time()
            made = simplify(notes, beats, difficulty=level)
            cost = time.process_time() - began
            report = playability(made, beats)
            windows = measures_of_windows(*piece_windows(made, beats))["difficulty"]
            windows = windows[windows > 0]
            kept = np.mean(windows <= (level or max(LEVELS)))
            rows.append([len(made), report.score, report.difficulty, windows.mean(), kept, report.wide_chords, cost])
        count, score, difficulty, control, kept, wide, cost = np.mean(rows, axis=0)
        name = "as it is" if level is None else f"level {level}"
        figures = f"{count:.0f} | {score:.3f} | {difficulty:.1f} | {control:.1f} | {kept:.0%} | {wide:.1%} | {cost:.3f}"
        print(f"| {name} | {figures} |")
    recall, precision = np.mean([melody_found(folder) for folder in folders], axis=0)
    print(f"\nthe top line finds {recall:.0%} of the vocal line; {precision:.0%} of it is the vocal line")


if __name__ == "__main__":
    main()
