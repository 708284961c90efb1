"""How often a piano is taken for a band and a band for a piano: the error rates of the warning.

    python benchmarks/instrumentation.py --piano MAPS/flac --match ENSTDk --bands bands/test bands/validation

prints for each folder how many recordings are called a piano, a band, or neither.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from spartito.analysis.instrumentation import instrumentation
from spartito.audio.io import AUDIO_SUFFIXES
from spartito.errors import SpartitoError


def count(folder: Path, match: str = "") -> Counter:
    """How many recordings of `folder` are called what."""
    counts: Counter = Counter()
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in AUDIO_SUFFIXES and match in path.name:
            try:
                counts[instrumentation(path) or "unsure"] += 1
            except SpartitoError as error:
                print(f"{path}: {error}")
    return counts


def main(arguments: list[str] | None = None) -> dict[str, Counter]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--piano", nargs="*", type=Path, default=[], help="folders of solo piano")
    parser.add_argument("--match", default="", help="only piano recordings with this in their name")
    parser.add_argument("--bands", nargs="*", type=Path, default=[], help="folders of anything else")
    given = parser.parse_args(arguments)
    print("| folder | recordings | piano | band | unsure |\n|---|---|---|---|---|")
    report = {}
    for folder, match in [*((f, given.match) for f in given.piano), *((f, "") for f in given.bands)]:
        counts = report[str(folder)] = count(folder, match)
        cells = [folder.name, counts.total(), counts["piano"], counts["band"], counts["unsure"]]
        print("| " + " | ".join(map(str, cells)) + " |")
    return report


if __name__ == "__main__":
    main()
