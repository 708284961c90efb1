"""Make the sets that the judges of genre transfer learn from: `python benchmarks/genre_foreign.py STORE OUT ...`.

    python benchmarks/genre_foreign.py STORE OUT --pianomidide F --disklavierjazz F --multitrack-pop F

STORE is what `spartito train genre` made; works that it holds for validation and test are left out of what the judges
learn from. Prints pieces and phrases of four bars of each split, onsets per phrase, and the share of onsets on each
quarter of a beat.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from spartito.errors import ParameterError
from spartito.notes.phrases import PHRASE, STEPS_PER_BEAT
from spartito.training.data.genre_foreign import FOREIGN, write_foreign
from spartito.training.data.genre_store import open_store

SHOWN = 3000  # phrases whose onsets are counted


def describe(folder: Path, genre: str, split: str, name: str) -> str:
    """A line of the table."""
    pieces = open_store(folder, genre, split, sets=[name])
    windows = pieces.windows(hop=PHRASE)
    onsets = pieces.rolls(windows[:: max(1, len(windows) // SHOWN)])[:, 0]
    steps = np.bincount(pieces.notes[:, 0] % STEPS_PER_BEAT, minlength=STEPS_PER_BEAT) / len(pieces.notes)
    shares = " ".join(f"{share:.2f}" for share in steps)
    density = onsets.sum() / max(len(onsets), 1)
    return f"| {genre} | {name} | {split} | {len(pieces)} | {len(windows)} | {density:.0f} | {shares} |"


def main(arguments: list[str] | None = None) -> dict[str, dict[str, int]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("out", type=Path)
    for name in FOREIGN:
        parser.add_argument(f"--{name}", type=Path, default=None, metavar="FOLDER")
    options = parser.parse_args(arguments)
    folders = {name: getattr(options, name.replace("-", "_")) for name in FOREIGN}
    if not any(folders.values()):
        raise ParameterError(f"give the folder of at least one set: {', '.join('--' + name for name in FOREIGN)}")
    print("| genre | set | split | pieces | phrases | onsets per phrase | shares of the quarters of a beat |")
    print("|---|---|---|--:|--:|--:|---|")
    counts = {}
    for name, folder in folders.items():
        if folder is not None:
            counts[name] = write_foreign(name, folder, options.out, held_out=options.store)
            for split in counts[name]:
                print(describe(options.out, FOREIGN[name][0], split, name), flush=True)
    return counts


if __name__ == "__main__":
    main()
