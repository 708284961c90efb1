"""Beats, bars, chords, keys and melodies of songs: `analyze` beside other trackers and a plain chord recogniser.

    python benchmarks/analysis.py BANDS [--excerpts 50] [--recordings FOLDER_OR_FILE...] \\
        [--peer "librosa=PYTHON benchmarks/beat_peers.py librosa {input} {output}"] -o results

BANDS is one split of a band store (`spartito.training.data.bands`): songs of POP909 orchestrated and rendered; take the
test split, whose songs, SoundFont and orchestration no model has heard. It is rendered audio: real recordings are
harder. A peer is a shell command that writes a `.beats` file; where it gives no bars, every fourth beat is taken for a
downbeat. `templates` is the chord baseline: the chroma of each beat (of `analyze`) against twenty-four triads.

With --recordings, real recordings follow, one row each. Scores stand there only where a `.beats` file lies beside the
recording; the other columns say how plausible the beats are: `unsteady`, the median change of tempo from beat to beat;
`flux`, the rise of the spectrum at the beats over that half-way between them (1 is chance).
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from spartito.analysis.analyze import analyze
from spartito.analysis.beats import Beats
from spartito.analysis.chords import cells, find_key
from spartito.analysis.harte import label_of
from spartito.analysis.listening import SongListener
from spartito.analysis.song import Analysis, Chord, beats_of, read_beats
from spartito.analysis.tracking import bars_over
from spartito.audio.chunks import spectrum
from spartito.audio.features import BINS_PER_SEMITONE, LOWEST_BIN_PITCH, front_end
from spartito.audio.io import AUDIO_SUFFIXES, read_mono
from spartito.evaluation.beats import evaluate_beats
from spartito.evaluation.chords import evaluate_chords, key_score
from spartito.files import atomic_path
from spartito.training.data.bands import Band, open_bands

RATE = 16_000  # Hz
BEAT_COLUMNS = ("beat_f1", "downbeat_f1", "cmlt", "amlt", "metre")
CHORD_COLUMNS = ("majmin", "root", "sevenths", "seg", "key")
MELODY_COLUMNS = ("pitch", "pitch_class", "false_alarm")


# -- other ways to do it --------------------------------------------------------------------------------------


def peer_beats(command: str, source: Path) -> Beats | None:
    """Beats by a shell command; None when it finds fewer than two."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "peer.beats")
        line = command.format(input=shlex.quote(str(source)), output=shlex.quote(str(target)))
        subprocess.run(line, shell=True, check=True, capture_output=True)
        if len([line for line in target.read_text().splitlines() if line.strip()]) < 2:
            return None
        times, places = read_beats(target)
    if places is None or not (places == 0).any():
        return bars_over(times, None, time_signature=(4, 4))
    return beats_of(times, places)


def template_chords(samples: np.ndarray, beats: Beats, duration: float) -> tuple[Chord, ...]:
    """The triad nearest to the chroma of each beat by cosine; `N` where it is quieter than the mean by 40 dB."""
    loud = np.exp(spectrum(samples, front_end("default")))  # (frames, bins) amplitude
    pitch = LOWEST_BIN_PITCH + np.arange(loud.shape[1]) / BINS_PER_SEMITONE
    use = (pitch > 36) & (pitch < 84)
    classes = np.rint(pitch).astype(int) % 12
    chroma = np.stack([loud[:, use & (classes == c)].sum(axis=1) for c in range(12)], axis=1)
    edges, _ = cells(beats, duration, 1e9)
    place = np.clip(np.rint(edges * 62.5).astype(int), 0, len(chroma))
    sums = np.concatenate([np.zeros((1, 12)), np.cumsum(chroma, axis=0)])
    means = (sums[place[1:]] - sums[place[:-1]]) / np.maximum(np.diff(place), 1)[:, None]
    triads = [(root, quality, third) for quality, third in (("maj", 4), ("min", 3)) for root in range(12)]
    templates = np.zeros((24, 12))
    for row, (root, _, third) in enumerate(triads):
        templates[row, [root, (root + third) % 12, (root + 7) % 12]] = 1 / np.sqrt(3)
    near = (means @ templates.T).argmax(axis=1)
    level = means.sum(axis=1)
    names = ["N" if quiet else label_of(*triads[k][:2]) for k, quiet in zip(near, level < 0.01 * level.mean())]
    return tuple(Chord(a, b, name) for a, b, name in zip(edges[:-1], edges[1:], names) if b > a)


# -- rendered songs -------------------------------------------------------------------------------------------


def reference_of(band: Band) -> Analysis:
    """The annotation of a band as an analysis."""
    return Analysis(
        duration=band.duration,
        beats=beats_of(band.beats, band.positions),
        chords=tuple(Chord(*chord) for chord in band.chords),
        key=band.key,
        melody=band.melody[:, :3],
    )


def melody_scores(reference: np.ndarray, estimate: np.ndarray, duration: float) -> dict[str, float]:
    """Shares of the time: right pitch and right pitch class where there is a melody, a melody where there is none."""
    clock = np.arange(0.0, duration, 0.01)
    truth, found = _sounding(reference, clock), _sounding(estimate, clock)
    led = truth > 0
    return {
        "pitch": float(np.mean(found[led] == truth[led])) if led.any() else float("nan"),
        "pitch_class": float(np.mean((found[led] % 12 == truth[led] % 12) & (found[led] > 0)))
        if led.any()
        else float("nan"),
        "false_alarm": float(np.mean(found[~led] > 0)) if (~led).any() else float("nan"),
    }


def _sounding(notes: np.ndarray, clock: np.ndarray) -> np.ndarray:
    """(n,) pitch that sounds at each time, the latest note first; 0 for silence."""
    if len(notes) == 0:
        return np.zeros(len(clock))
    notes = notes[np.argsort(notes[:, 0])]
    index = np.searchsorted(notes[:, 0], clock, side="right") - 1
    inside = (index >= 0) & (clock < notes[np.maximum(index, 0), 1])
    return np.where(inside, np.rint(notes[np.maximum(index, 0), 2]), 0)


def rendered(bands: list[Band], peers: dict[str, str], listener: SongListener) -> dict[str, dict[str, list[dict]]]:
    """Scores of every band by task and by who did it."""
    scores: dict[str, dict[str, list[dict]]] = {"beats": {}, "chords": {}, "melody": {}}
    for band in bands:
        truth = reference_of(band)
        samples = band.samples(RATE)
        start = time.perf_counter()
        found = analyze(band.audio, model=listener)
        seconds = time.perf_counter() - start
        mine = evaluate_beats(truth.beats, found.beats) | {"seconds": seconds, "duration": found.duration}
        scores["beats"].setdefault("spartito", []).append(mine)
        for name, command in peers.items():
            other = peer_beats(command, band.audio)
            nothing = dict.fromkeys(BEAT_COLUMNS, 0.0)
            scores["beats"].setdefault(name, []).append(evaluate_beats(truth.beats, other) if other else nothing)
        plain = template_chords(samples, found.beats, found.duration)
        for name, chords, key in (
            ("spartito", found.chords, found.key),
            ("spartito, annotated beats", *_chords_on(band, truth.beats, listener)),
            ("templates", plain, find_key(np.zeros((24, 0)), plain)),
        ):
            row = evaluate_chords(truth.chords, chords) | {"key": key_score(truth.key, key)}
            scores["chords"].setdefault(name, []).append(row)
        if band.meta.get("lead", 0) is not None:
            row = melody_scores(truth.melody, found.melody, band.duration)
            scores["melody"].setdefault("spartito", []).append(row)
    return scores


def _chords_on(band: Band, beats: Beats, listener: SongListener):
    found = analyze(band.audio, model=listener, beats=beats, melody=False)
    return found.chords, found.key


# -- real recordings ------------------------------------------------------------------------------------------


def flux_ratio(samples: np.ndarray, beats: Beats) -> float:
    """Rise of the spectrum within 35 ms of the beats over that within 35 ms of half-way between them."""
    loud = spectrum(samples, front_end("default"))
    rise = np.maximum(np.diff(loud, axis=0, prepend=loud[:1]), 0.0).mean(axis=1)
    around = np.array([rise[max(0, i - 2) : i + 3].max() for i in range(len(rise))])
    times = beats.times
    at, between = times, (times[1:] + times[:-1]) / 2
    frames = [np.clip(np.rint(t * 62.5).astype(int), 0, len(rise) - 1) for t in (at, between)]
    return float(around[frames[0]].mean() / max(around[frames[1]].mean(), 1e-9))


def real(files: list[Path], peers: dict[str, str], listener: SongListener) -> dict[str, dict]:
    """A row for every recording."""
    rows = {}
    for path in files:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = analyze(path, model=listener)
        samples = read_mono(path, rate=RATE)
        intervals = np.diff(found.beats.times)
        changes = np.abs(np.diff(np.log(intervals)))
        row = {
            "seconds": found.duration,
            "engine": found.engine,
            "tempo": found.tempo,
            "metre": " ".join(f"{n}/{d}" for _, n, d in found.beats.signatures[:3]),
            "unsteady": float(100 * np.median(changes)) if len(changes) else 0.0,
            "flux": flux_ratio(samples, found.beats),
            "key": found.key or "-",
            "chords": " ".join(c.label for c in found.chords[:8]),
        }
        annotated = path.with_suffix(".beats")
        if annotated.exists():
            times, places = read_beats(annotated)
            truth = beats_of(times, places if places is not None else np.arange(len(times)) % 4)
            row |= {"scores": {"spartito": evaluate_beats(truth, found.beats)}}
        for name, command in peers.items():
            other = peer_beats(command, path)
            if other is not None:
                row[f"tempo {name}"] = 60.0 / float(np.median(np.diff(other.times)))
                row[f"flux {name}"] = flux_ratio(samples, other)
                if annotated.exists():
                    row["scores"][name] = evaluate_beats(truth, other)
        rows[path.name] = row
    return rows


# -- tables ---------------------------------------------------------------------------------------------------


def tables(scores: dict, rows: dict) -> str:
    lines = []
    for task, columns in (("beats", BEAT_COLUMNS), ("chords", CHORD_COLUMNS), ("melody", MELODY_COLUMNS)):
        if not scores.get(task):
            continue
        lines += [f"| {task} | songs | " + " | ".join(columns) + " |", "|---" * (len(columns) + 2) + "|"]
        for name, songs in scores[task].items():
            means = [np.nanmean([song[column] for song in songs]) for column in columns]
            lines.append(f"| {name} | {len(songs)} | " + " | ".join(f"{value:.3f}" for value in means) + " |")
        lines.append("")
    if scores.get("beats"):
        mine = scores["beats"]["spartito"]
        speed = sum(s["duration"] for s in mine) / sum(s["seconds"] for s in mine)
        lines += [f"analyze: {speed:.0f} times as fast as the music", ""]
    if rows:
        lines += [
            "| recording | s | tempo | metre | unsteady % | flux | key | chords | others | scores |",
            "|---" * 10 + "|",
        ]
        for name, row in rows.items():
            others = ", ".join(
                f"{k.removeprefix('tempo ')} {v:.0f} ({row['flux ' + k.removeprefix('tempo ')]:.2f})"
                for k, v in row.items()
                if k.startswith("tempo ")
            )
            marks = "; ".join(
                f"{who}: beat {s['beat_f1']:.2f} down {s['downbeat_f1']:.2f}"
                for who, s in row.get("scores", {}).items()
            )
            lines.append(
                f"| {name} | {row['seconds']:.0f} | {row['tempo']:.0f} ({row['engine']}) | {row['metre']} | "
                f"{row['unsteady']:.1f} | {row['flux']:.2f} | {row['key']} | {row['chords']} | {others} | {marks} |"
            )
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bands", type=Path, nargs="?")
    parser.add_argument("--excerpts", type=int, default=50)
    parser.add_argument("--peer", action="append", default=[], help="NAME=COMMAND with {input} and {output}")
    parser.add_argument("--recordings", type=Path, nargs="*", default=[])
    parser.add_argument("--model", default="analyze")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args(arguments)
    peers = dict(text.split("=", 1) for text in options.peer)
    listener = SongListener(options.model, threads=1)
    scores, rows = {}, {}
    if options.bands:
        bands = open_bands(options.bands)
        chosen = np.unique(np.linspace(0, len(bands) - 1, min(options.excerpts, len(bands))).round().astype(int))
        scores = rendered([bands[i] for i in chosen], peers, listener)
    files = [f for place in options.recordings for f in (sorted(place.iterdir()) if place.is_dir() else [place])]
    if files:
        rows = real([f for f in files if f.suffix.lower() in AUDIO_SUFFIXES], peers, listener)
    text = tables(scores, rows)
    print(text)
    if options.output:
        with atomic_path(options.output / "analysis.md") as path:
            path.write_text(text, encoding="utf-8")
        with atomic_path(options.output / "analysis.json") as path:
            path.write_text(json.dumps({"rendered": scores, "real": rows}, indent=1), encoding="utf-8")
    return text


if __name__ == "__main__":
    main()
