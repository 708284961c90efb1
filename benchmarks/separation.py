"""Vocals and accompaniment: the built-in separation beside doing nothing, and demucs where it is installed.

    python benchmarks/separation.py DATA/POP909 --soundfont TimGM6mb.sf2 [--songs 16] [--seconds 40] [--json]

The mixtures are rendered here: songs of the test split of POP909, given to bands by patterns and a SoundFont that no
model has heard (`training.bands.render_stems`), stereo at 22 050 Hz, the lead played by a voice-like instrument; songs
without a lead are left out. Rendered leads are no singers: figures on recordings will differ. Systems:

    mix           the mixture itself for both parts: what doing nothing scores
    built-in      `separate(engine="built-in")`, from the sound alone
    mono          the same from the mean of both channels (against the mean of the parts)
    told by us    with the melody that `spartito analyze` hears (when its model is there)
    told truly    with the true melody: what a perfect ear would bring
    demucs        when that package and its weights are there

SI-SDR (J. Le Roux et al., 'SDR: half-baked or well done?', ICASSP 2019) does not change with the level of an estimate,
so a timid mask wins nothing by being quiet; SDR is the plain ratio of signal to error, as in the Music Demixing
Challenge. Means over songs, in dB. `VOCAL_SDR` and `VOCAL_SDR_TOLD` in `spartito.analysis.separation` are the
SI-SDR of the vocals of "built-in" and "told by us".
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from spartito.analysis.separation import separate
from spartito.audio.audio import Audio
from spartito.errors import SpartitoError
from spartito.training.bands import excerpt_of, render_stems
from spartito.training.data.bands import RATE
from spartito.training.data.pop909 import agrees, list_songs, read_song

SEED = 909
SILENT = 1e-3  # peak of vocals that are not there


def si_sdr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio in dB; both (channels, n)."""
    reference, estimate = reference.ravel().astype(np.float64), estimate.ravel().astype(np.float64)
    target = reference * (reference @ estimate) / max(reference @ reference, 1e-12)
    return _ratio(target, estimate - target)


def sdr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Signal to error in dB; both (channels, n)."""
    return _ratio(reference.astype(np.float64), estimate - reference.astype(np.float64))


def _ratio(signal: np.ndarray, error: np.ndarray) -> float:
    return float(10 * np.log10((np.sum(signal**2) + 1e-12) / (np.sum(error**2) + 1e-12)))


def mixtures(folder: Path, soundfonts: list[Path], *, songs: int, seconds: float):
    """(name, vocals, accompaniment, melody) of each song: (2, n) float32 twice, (m, 3) onset s, offset s, pitch."""
    chosen = [song for song in map(read_song, list_songs(folder, split="test")) if agrees(song)][:songs]
    excerpts = [excerpt_of(song, [SEED, int(song.name)], seconds=seconds, name=song.name) for song in chosen]
    for excerpt, (sounds, labels) in zip(excerpts, render_stems(excerpts, soundfonts, SEED, split="test")):
        if np.abs(sounds["vocals"]).max() > SILENT:
            yield excerpt.name, sounds["vocals"], sounds["accompaniment"], np.asarray(labels["melody"])[:, :3]


def systems(model) -> dict:
    """Name -> function from (mixture (2, n), true melody) to (vocals, accompaniment)."""

    def parts(samples, **options):
        found = separate(Audio(samples, RATE), **options)
        return found["vocals"].samples, found["accompaniment"].samples

    rows = {
        "mix": lambda mix, melody: (mix, mix),
        "built-in": lambda mix, melody: parts(mix, engine="built-in"),
        "mono": lambda mix, melody: parts(mix.mean(axis=0, keepdims=True), engine="built-in"),
    }
    try:
        from spartito.analysis.analyze import analyze
        from spartito.analysis.listening import SongListener

        listener = SongListener(model)

        def told(mix, melody):
            heard = analyze(Audio(mix, RATE), model=listener).melody
            return parts(mix, engine="built-in", melody=heard)

        rows["told by us"] = told
    except (ImportError, SpartitoError) as error:
        print(f"told by us is left out: {error}")
    rows["told truly"] = lambda mix, melody: parts(mix, engine="built-in", melody=melody)
    try:
        parts(np.zeros((2, RATE), dtype=np.float32), engine="demucs")
        rows["demucs"] = lambda mix, melody: parts(mix, engine="demucs")
    except SpartitoError as error:
        print(f"demucs is left out: {error}")
    return rows


def measure(pieces, rows) -> dict[str, dict[str, float]]:
    """Mean figures of each system."""
    scores = {name: [] for name in rows}
    for _, vocals, accompaniment, melody in pieces:
        for name, system in rows.items():
            began = time.process_time()
            found = system(vocals + accompaniment, melody)
            cost = time.process_time() - began
            true = [part.mean(axis=0, keepdims=True) if name == "mono" else part for part in (vocals, accompaniment)]
            figures = [measured(t, f) for t, f in zip(true, found) for measured in (si_sdr, sdr)]
            scores[name].append([*figures, vocals.shape[1] / RATE / max(cost, 1e-9)])
    columns = ("vocals_si_sdr", "vocals_sdr", "accompaniment_si_sdr", "accompaniment_sdr", "real_time_per_cpu")
    table = {name: dict(zip(columns, np.mean(rows, axis=0).tolist())) for name, rows in scores.items()}
    for name, rows in scores.items():
        table[name]["vocals_si_sdr_median"] = float(np.median(np.array(rows)[:, 0]))
        table[name]["songs"] = len(rows)
    return table


def shown(table: dict[str, dict[str, float]]) -> str:
    """Markdown."""
    lines = [
        "| system | vocals SI-SDR (median) | SDR | accompaniment SI-SDR | SDR | real time per core |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in table.items():
        speed = "-" if name == "mix" else f"{row['real_time_per_cpu']:.0f} x"
        lines.append(
            f"| {name} | {row['vocals_si_sdr']:.2f} ({row['vocals_si_sdr_median']:.2f}) | {row['vocals_sdr']:.2f} "
            f"| {row['accompaniment_si_sdr']:.2f} | {row['accompaniment_sdr']:.2f} | {speed} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pop909", type=Path, help="folder of POP909")
    parser.add_argument("--soundfont", type=Path, action="append", required=True, help="one no model has heard")
    parser.add_argument("--songs", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--model", default="analyze", help="song analyzer for 'told by us'")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    pieces = mixtures(options.pop909, options.soundfont, songs=options.songs, seconds=options.seconds)
    table = measure(pieces, systems(options.model))
    print(json.dumps(table, indent=2) if options.json else shown(table))
    return table


if __name__ == "__main__":
    main()
