"""Do the controls of a model with styles do what they say?

    python benchmarks/controls.py BANDS [--excerpts 8] [--model tokens] [--controls density register ...] -o results

BANDS is a folder of a band store (`spartito.training.data.bands`), test or validation split; excerpts are taken evenly
over it. Each is analysed and heard once, then arranged with nothing asked and with every level of every control, one
control at a time, all side by side and greedy. What is measured is what the arranger writes: without the performance,
and without the reducer (`notes.simplify`) that `difficulty` adds. The comparison is that of
`spartito.evaluation.controls`; the aim is a rank correlation of 0.8 for each control.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from spartito import __version__
from spartito.errors import SpartitoError
from spartito.evaluation.controls import ORDERED, Trial, control_scores, measured_controls
from spartito.files import atomic_path
from spartito.notes.attributes import CONTROLS, PATTERNS
from spartito.notes.notes import Notes

ASKED = ("style", *ORDERED, "pattern")


def requests(controls: Sequence[str], styles: Sequence[str]) -> list[tuple[str, int, dict]]:
    """Control, level and the options of `cover` that ask for it; first nothing at all ("", 0)."""
    asked = [("", 0, {})]
    for name in controls:
        if name == "style":
            asked += [(name, level, {"style": style}) for level, style in enumerate(styles, start=1)]
        else:
            asked += [(name, level, {"controls": {name: level}}) for level in range(1, len(CONTROLS[name]) + 1)]
    return asked


def tried(
    songs: Sequence[tuple[str, Callable[[list[dict]], list[Notes]], object]], controls: Sequence[str], *, styles=None
) -> list[Trial]:
    """Trials of songs (name, function from options to arrangements, beats); `styles` are those of the model."""
    asked = requests(controls, () if styles is None else styles.names)
    trials = []
    for number, (song, arrange, beats) in enumerate(songs, start=1):
        print(f"{number}/{len(songs)} {song}", file=sys.stderr)
        try:
            made = arrange([options for _, _, options in asked])
        except SpartitoError as error:
            print(f"  {error}", file=sys.stderr)
            continue
        for (control, level, _), notes in zip(asked, made, strict=True):
            measured = measured_controls(notes, beats, styles=styles)
            trials += [Trial(song, name, level, measured) for name in ([control] if control else controls)]
    return trials


def table(scores: dict, styles: Sequence[str]) -> str:
    """Markdown: the ordered controls, then patterns and styles."""
    lines = ["| control | correlation | within songs | free | 1 | 2 | 3 | 4 | 5 |", "|---" * 9 + "|"]
    for name in (name for name in ORDERED if name in scores):
        row = scores[name]
        means = " | ".join(f"{row['means'].get(level, np.nan):.2f}" for level in range(6))
        lines.append(f"| {name} | {row['correlation']:.2f} | {row['within']:.2f} | {means} |")
    if "pattern" in scores:
        lines += ["", "| pattern | windows with it | when nothing is asked |", "|---|---|---|"]
        for level, row in scores["pattern"].items():
            lines.append(f"| {PATTERNS[int(level) - 1]} | {row['share']:.0%} | {row['free']:.0%} |")
    if "style" in scores:
        lines += ["", "| style | covers nearer to it than unasked | covers nearest to it | when nothing is asked |"]
        lines.append("|---|---|---|---|")
        for level, row in scores["style"].items():
            figures = " | ".join(f"{row[name]:.0%}" for name in ("nearer", "share", "free"))
            lines.append(f"| {styles[int(level) - 1]} | {figures} |")
    return "\n".join(lines)


def covers(bands: Path, excerpts: int, model: str):
    """Songs as `tried` wants them, and the styles of the model."""
    from spartito.arrangement import Stopwatch, prepared, wished
    from spartito.cover_arrangers import open_arranger
    from spartito.training.data.bands import open_bands

    arranger = open_arranger(model)
    found = open_bands(bands)
    chosen = [
        found[i] for i in np.unique(np.linspace(0, len(found) - 1, min(excerpts, len(found))).round().astype(int))
    ]
    songs = []
    for band in chosen:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            piece = prepared(band.audio)

        def arrange(asked: list[dict], piece=piece) -> list[Notes]:
            return arranger.arrange_songs([(piece, wished(arranger, **options)) for options in asked], Stopwatch())

        songs.append((band.name, arrange, piece.song.beats))
    return songs, getattr(arranger, "known", None)  # its `Styles`


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bands", type=Path)
    parser.add_argument("--excerpts", type=int, default=8)
    parser.add_argument("--model", default="tokens")
    parser.add_argument("--controls", nargs="+", choices=ASKED, default=list(ASKED))
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the results")
    options = parser.parse_args(arguments)
    songs, styles = covers(options.bands, options.excerpts, options.model)
    trials = tried(songs, options.controls, styles=styles)
    scores = control_scores(trials)
    text = table(scores, () if styles is None else styles.names)
    report = {
        "spartito": __version__,
        "python": platform.python_version(),
        "model": options.model,
        "songs": [name for name, *_ in songs],
        "scores": scores,
        "trials": [vars(trial) for trial in trials],
    }
    options.output.mkdir(parents=True, exist_ok=True)
    for name, content in (("controls.md", text), ("controls.json", json.dumps(report, indent=1))):
        with atomic_path(options.output / name) as path:
            path.write_text(content + "\n", encoding="utf-8")
    print(text)
    return report


if __name__ == "__main__":
    main()
