"""The picture of a transcription: a piano roll over the spectrogram of the recording.

Notes are bars at their pitch, tinted by confidence (orange is doubtful, dark blue is sure; blue and orange differ
to every eye) and the more opaque the louder. A thin line goes on while the pedal lets a note sound.
Behind them lies the recording's spectrum on the same axis, one row per key, so that a wrong note shows as a
bar without a shadow, a missed one as a shadow without a bar. Long pieces run in several rows, like a score. With the
analysis of a song its bars are drawn as lines, and its chords are named above them.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from spartito.audio.audio import Audio
from spartito.errors import MissingExtraError, NotesError, ParameterError
from spartito.files import atomic_path
from spartito.notes.notes import Notes

__all__ = ["PLOT_SUFFIXES", "plot_transcription"]

PLOT_SUFFIXES = (".png", ".svg", ".pdf")
ROW_SECONDS = 20.0  # of music in one row at most
MAX_ROWS = 12  # a longer piece gets longer rows
WIDTH, ROW_HEIGHT = 13.0, 3.2  # inches
DPI = 130
PEDAL_HEIGHT = 0.06  # of the keys' height, the pedal lane below the lowest key
BAR = 0.82  # height of a note in semitones
MARGIN = 3  # semitones around the lowest and highest note
MIN_SPAN = 24  # semitones shown at least
SPECTRUM_RATE = 16000  # hertz
SPECTRUM_HOP = 320  # samples (20 ms) at least between columns
COLUMNS = 1500  # of the spectrogram in one row at most
SPECTRUM_RANGE = 50.0  # dB from white to darkest
DARKEST = 0.55  # grey of the loudest place, so that notes stand out
BLOCK = 500  # frames transformed at once, to bound the memory
WINDOWS = ((0, 8192), (48, 4096), (66, 2048))  # from this key on, samples (512, 256, 128 ms)
INK, PEDAL_COLOUR, GRID, BAR_LINE = "#222222", "#7B4FA3", "#9AA0A6", "#00695C"
CHORD_ROOM = 0.03  # of a row, between the names of chords
CONFIDENCE = ("#D55E00", "#F0A33C", "#5AA2D6", "#0B3C78")  # from 0 to 1
CS = {m: f"C{m // 12 - 1}" for m in range(0, 128, 12)}  # MIDI 60 is C4


def plot_transcription(
    notes: Notes, path: str | os.PathLike, *, audio: Audio | None = None, analysis=None, title: str = ""
) -> None:
    """Draw `notes` (over the spectrogram of `audio`, if given) into a .png, .svg or .pdf file.

    `analysis` (an `Analysis`) adds bar lines and the names of chords.

    Raises
    ------
    NotesError
        There is nothing to draw: no notes, and no recording.
    ParameterError
        Another suffix.
    OutputError
        The file cannot be written; nothing is left behind.
    MissingExtraError
        matplotlib is not installed (extra `plot`).
    """
    path = Path(path)
    if path.suffix.lower() not in PLOT_SUFFIXES:
        raise ParameterError(f"cannot draw {path.name}: pictures are {', '.join(PLOT_SUFFIXES)}")
    duration = max(notes.duration, audio.duration if audio is not None else 0.0)
    if duration <= 0:
        raise NotesError("there are no notes to draw")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", extra="plot", purpose="drawing a transcription") from error

    rows, seconds = _rows(duration)
    low, high = _span(notes)
    pedal = notes.pedal
    figure = Figure(figsize=(WIDTH, rows * ROW_HEIGHT + 0.9), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)  # draws without a screen, and leaves pyplot's state alone
    axes = figure.subplots(rows, 1, squeeze=False)[:, 0]
    spectrum, hop = (None, 0.0) if audio is None else _key_spectrogram(audio, low, high, row=seconds)
    sounding = notes.sounding().offset
    for i, axis in enumerate(axes):
        start = i * seconds
        if spectrum is not None:
            first, last = int(start / hop), math.ceil((start + seconds) / hop) + 1
            axis.imshow(
                spectrum[:, first:last],
                extent=((first - 0.5) * hop, (min(last, spectrum.shape[1]) - 0.5) * hop, low - 0.5, high + 0.5),
                aspect="auto",
                origin="lower",
                cmap="Greys",
                vmin=0.0,
                vmax=1.0 / DARKEST,
                interpolation="bilinear",
                zorder=0,
            )
        _draw_grid(axis, low, high)
        bars = _draw_notes(axis, notes, sounding, start, start + seconds)
        _draw_axes(axis, start, seconds, low, high, pedal)
        if analysis is not None:
            _draw_bars(axis, analysis, start, start + seconds)
    axes[-1].set_xlabel("time (minutes:seconds)", color=INK)
    heading = title or " – ".join(part for part in (notes.composer, notes.title) if part)
    if heading:
        figure.suptitle(heading, fontsize=13, color=INK)
    if bars is not None:
        colours = figure.colorbar(
            bars, ax=list(axes), fraction=0.015, pad=0.01, aspect=18, shrink=0.9 / rows, anchor=(0.0, 1.0)
        )
        colours.set_label("confidence", color=INK)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower())


def _rows(duration: float) -> tuple[int, float]:
    """Number of rows, and whole seconds in each, equally filled."""
    rows = min(math.ceil(duration / ROW_SECONDS), MAX_ROWS)
    return rows, float(max(math.ceil(duration / rows), 1))


def _span(notes: Notes) -> tuple[int, int]:
    """Lowest and highest key shown, widened to MIN_SPAN around the middle and kept on the keyboard's side."""
    if len(notes) == 0:
        return 21, 108
    low, high = int(notes.pitch.min()) - MARGIN, int(notes.pitch.max()) + MARGIN
    missing = max(MIN_SPAN - (high - low), 0)
    return max(low - missing // 2, 0), min(high + missing - missing // 2, 127)


def _draw_grid(axis, low: int, high: int) -> None:
    """Lines at the Cs, and a faint shade behind the black keys."""
    for key in range(low, high + 1):
        if key % 12 == 0:
            axis.axhline(key - 0.5, color=GRID, linewidth=0.7, zorder=1)
        if key % 12 in (1, 3, 6, 8, 10):
            axis.axhspan(key - 0.5, key + 0.5, color="#3060A0", alpha=0.05, linewidth=0, zorder=1)


def _draw_notes(axis, notes: Notes, sounding: np.ndarray, start: float, end: float):
    """Bars of the notes heard between `start` and `end`; gives what the colour bar needs."""
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.colors import LinearSegmentedColormap

    here = (notes.onset < end) & (sounding > start)
    onset, offset, pitch = notes.onset[here], notes.offset[here], notes.pitch[here].astype(float)
    offset = np.maximum(offset, onset + 0.02)  # a bar of 20 ms can still be seen
    rings = sounding[here] > offset
    lines = np.stack(
        [np.column_stack([offset, pitch]), np.column_stack([sounding[here], pitch])], axis=1
    )  # (n, 2 ends, 2 coordinates)
    axis.add_collection(
        LineCollection(lines[rings], colors=PEDAL_COLOUR, linewidths=1.0, alpha=0.5, zorder=2), autolim=False
    )
    bottom, top = pitch - BAR / 2, pitch + BAR / 2
    corners = np.stack(
        [np.column_stack(c) for c in ((onset, bottom), (onset, top), (offset, top), (offset, bottom))], axis=1
    )  # (n, 4 corners, 2 coordinates)
    bars = PolyCollection(
        corners,
        array=notes.array["confidence"][here],
        cmap=LinearSegmentedColormap.from_list("confidence", CONFIDENCE),
        alpha=0.4 + 0.6 * np.clip(notes.velocity[here] / 110.0, 0.0, 1.0) if here.any() else None,
        edgecolors=INK,
        linewidths=0.35,
        zorder=3,
    )
    bars.set_clim(0.0, 1.0)
    axis.add_collection(bars, autolim=False)
    return bars


def _draw_bars(axis, analysis, start: float, end: float) -> None:
    """Bar lines, and chords above the row where they begin; repeated names and those that find no room are left out."""
    downbeats = analysis.beats.downbeats
    for time in downbeats[(downbeats >= start) & (downbeats < end)]:
        axis.axvline(time, color=BAR_LINE, linewidth=0.6, alpha=0.7, zorder=1.5)
    reached, shown = -np.inf, ""
    for chord in analysis.chords:
        if not start <= chord.start < end or chord.label in (shown, "N"):
            continue
        shown = chord.label
        if chord.start - reached < CHORD_ROOM * (end - start):
            continue
        axis.annotate(
            shown.replace(":maj", "", 1) if shown.endswith(":maj") else shown.replace(":", ""),
            (chord.start, 1.0),
            xycoords=axis.get_xaxis_transform(),
            xytext=(1, 2),
            textcoords="offset points",
            fontsize=7,
            color=INK,
            annotation_clip=True,
        )
        reached = chord.start


def _draw_axes(axis, start: float, seconds: float, low: int, high: int, pedal: np.ndarray) -> None:
    """Limits, pitch names at the Cs, times, and the pedal lane."""
    bottom = low - 0.5
    if len(pedal):
        from matplotlib.collections import PolyCollection

        floor, bottom = bottom, bottom - PEDAL_HEIGHT * (high - low)
        spans = pedal[(pedal[:, 0] < start + seconds) & (pedal[:, 1] > start)]
        lane = (bottom + 0.25 * (floor - bottom), bottom + 0.75 * (floor - bottom))
        corners = [[(a, lane[0]), (a, lane[1]), (b, lane[1]), (b, lane[0])] for a, b in spans]
        axis.axhspan(bottom, floor, color="white", zorder=1.5)
        axis.axhline(floor, color=INK, linewidth=0.6, zorder=2)
        axis.add_collection(
            PolyCollection(corners, facecolors=PEDAL_COLOUR, edgecolors="white", linewidths=0.8, zorder=3),
            autolim=False,
        )
        axis.text(-0.004, (bottom + floor) / 2, "Ped.", transform=axis.get_yaxis_transform(), fontsize=8,
                  fontstyle="italic", ha="right", va="center", color=PEDAL_COLOUR)  # fmt: skip
    axis.set_ylim(bottom, high + 0.5)
    axis.set_xlim(start, start + seconds)
    cs = [key for key in CS if low + 2 <= key <= high]  # not where "Ped." stands
    axis.set_yticks(cs, [CS[key] for key in cs])
    step = next(s for s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800) if seconds / s <= 20 or s == 1800)
    times = np.arange(math.ceil(start / step) * step, start + seconds + 1e-6, step)
    axis.set_xticks(times, [f"{int(t) // 60}:{int(t) % 60:02d}" for t in times])
    axis.tick_params(colors=INK, labelsize=9)
    axis.set_axisbelow(True)
    axis.grid(axis="x", color=GRID, linewidth=0.4, alpha=0.5)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _key_spectrogram(audio: Audio, low: int, high: int, *, row: float) -> tuple[np.ndarray, float]:
    """(keys, frames) in 0..1, the level of each key's band over SPECTRUM_RANGE dB, and seconds between frames.

    A short window serves the treble and a long one the bass, where neighbouring keys lie a few hertz apart.
    """
    import soxr

    mono = audio.mono()
    if audio.rate != SPECTRUM_RATE:
        mono = soxr.resample(mono, audio.rate, SPECTRUM_RATE, quality="MQ")
    hop = max(SPECTRUM_HOP, int(row * SPECTRUM_RATE / COLUMNS))
    keys = np.arange(low, high + 1)
    frequency = 440.0 * 2 ** ((keys - 69) / 12)  # (keys,) hertz
    frames = len(mono) // hop + 1
    levels = np.zeros((len(keys), frames), dtype=np.float32)
    ends = [key for key, _ in WINDOWS[1:]] + [128]
    for (first_key, size), end_key in zip(WINDOWS, ends, strict=True):
        mine = (keys >= first_key) & (keys < end_key)
        if not mine.any():
            continue
        bins = np.fft.rfftfreq(size, 1 / SPECTRUM_RATE)  # (bins,) hertz
        # Each key takes the bins around it by a triangle reaching its neighbours (at least 1.5 bins wide).
        width = np.maximum(frequency[mine] * (2 ** (1 / 12) - 1), 1.5 * bins[1])
        weights = np.clip(1 - np.abs(bins - frequency[mine][:, None]) / width[:, None], 0, None)
        weights = weights.T.astype(np.float32)  # (bins, keys)
        window = np.hanning(size).astype(np.float32)
        padded = np.pad(mono, (size // 2, size // 2 + hop))
        pieces = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop][:frames]
        for first in range(0, frames, BLOCK):
            power = np.abs(np.fft.rfft(pieces[first : first + BLOCK] * window)) ** 2
            levels[mine, first : first + BLOCK] = (power.astype(np.float32) @ weights).T / window.sum() ** 2
    decibels = 10 * np.log10(levels + 1e-12)
    top = np.percentile(decibels, 99.5)
    return np.clip((decibels - top) / SPECTRUM_RANGE + 1, 0, 1), hop / SPECTRUM_RATE
