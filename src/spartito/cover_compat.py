"""`cover(compat=True)`: the way of the published A2S program, step by step, its habits included.

Job
    Weights trained by the original authors should sound here as they do there. So everything around the network is
    done as their program does it: the table of beats and chords, the stretched song, which prediction serves which
    bar, how a step becomes a time, velocities, pedal, a MIDI file at 60 beats a minute.

Habits that look unintended and are kept here
    - The flag that chooses the way bars are served is inverted: without `auto` each prediction serves its own bar,
      with it two bars.
    - The end of the file counts as a beat of the last bar; ten more rows, as far apart as the last two, follow it.
    - A beat without chord has the bass B flat and B; beats after the end have a C.
    - Of 15 notes of a step ten are read; the ends of notes are cut neither by the next note nor by the end of the song.
    - Phases of the stretched song are added up in float32 (`audio.stretch`).
    - Pick-up beats are silent.

Habits that are not kept: where the original crashes (no downbeat, a beat at 0 s, a beat outside all chords), this
goes on.

Source
    Z. Wang et al., 'Audio-to-symbolic arrangement via cross-modal music representation learning' (ICASSP 2022) and
    the behaviour of its published program.
"""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np

from spartito.analysis.harte import NO_CHORD, QUALITIES, label_of, nearest_chord_table
from spartito.analysis.song import Analysis, Chord, beats_of
from spartito.cover_grid import Placed, place
from spartito.errors import NotesError, ParameterError
from spartito.models.pianotree import notes_of
from spartito.notes.notes import Notes, Track
from spartito.notes.tempo import TempoMap

__all__ = [
    "PublishedArranger",
    "analysis_of_table",
    "compat_limits",
    "compat_name",
    "compat_notes",
    "read_table",
    "song_table",
]

TIME, DOWN, BAR, ROOT, CHROMA, BASS = 0, 1, 2, 3, slice(4, 16), 16  # columns of the table
COLUMNS = 17
EXTRA = 10  # rows after the end
NO_BASS = 10  # (-1 + -1) mod 12
TICKS, TEMPO = 220, 60.0  # per quarter note; beats a minute
CLOSEST = 1e-3  # s between rows, at least


def compat_name(model: str, *, auto: bool) -> str:
    """How the original names its results (without `.mid`)."""
    return f"{model}-{bool(auto)}"


# -- the table of beats and chords --------------------------------------------------------------------------


def song_table(analysis: Analysis) -> np.ndarray:
    """The original's analysis of a song.

    Returns
    -------
    np.ndarray, shape=(beats + 2, 17), float64
        Second; 1 at downbeats; rows to the next downbeat, at downbeats; root (-1 none); 12 pitch classes; bass. The
        first and the last row are the beginning and the end of the recording; a beat that falls on one is that row.
    """
    beats = analysis.beats
    inner = (beats.times > -CLOSEST) & (beats.times < analysis.duration - CLOSEST)
    times, down = beats.times[inner], beats.positions[inner] == 0
    if len(times) == 0 or times[0] > CLOSEST:
        times, down = np.append(0.0, times), np.append(False, down)
    times, down = np.append(np.maximum(times, 0.0), analysis.duration), np.append(down, False)
    table = np.zeros((len(times), COLUMNS))
    table[:, TIME], table[:, DOWN] = times, down
    rows = np.flatnonzero(down)
    table[rows, BAR] = np.diff(np.append(rows, len(times)))
    starts, ends, labels = ([getattr(chord, name) for chord in analysis.chords] for name in ("start", "end", "label"))
    table[:, ROOT:] = nearest_chord_table(times, starts, ends, labels, no_bass=NO_BASS)
    return table


def read_table(path: str | os.PathLike) -> np.ndarray:
    """The table that the original stores as `.npy`. Raises NotesError when the file holds something else."""
    try:
        table = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise NotesError(f"{path} is not a stored analysis: {error}") from error
    if not isinstance(table, np.ndarray) or table.ndim != 2 or table.shape[1] != COLUMNS or len(table) < 3:
        raise NotesError(f"{path}: an analysis of the original has {COLUMNS} columns and 3 rows or more")
    table = table.astype(np.float64)
    if not np.isfinite(table).all() or (np.diff(table[:, TIME]) <= 0).any() or not table[:, DOWN].any():
        raise NotesError(f"{path}: the times of an analysis must rise, and one row must be a downbeat")
    return table


def analysis_of_table(table: np.ndarray) -> Analysis:
    """What a table of the original says, as an `Analysis`; tune, key and loudness stay unknown."""
    times, down = table[1:-1, TIME], table[1:-1, DOWN] > 0
    duration = float(table[-1, TIME])
    if len(times) < 2 or not down.any():
        raise NotesError("the stored analysis holds fewer than two beats, or no downbeat among them")
    rows = np.flatnonzero(down)
    usual = int(np.median(np.diff(rows))) if len(rows) > 1 else 4
    since = np.arange(len(times)) - rows[np.maximum(np.searchsorted(rows, np.arange(len(times)), side="right") - 1, 0)]
    positions = np.where(since < 0, since % usual, since)
    names = [_label(row) for row in table[:, ROOT:]]
    change = [i for i in range(len(names)) if i == 0 or names[i] != names[i - 1]]
    ends = np.append(table[change[1:], TIME], duration)
    chords = tuple(Chord(float(table[i, TIME]), float(e), names[i]) for i, e in zip(change, ends) if e > table[i, TIME])
    return Analysis(duration, beats_of(times, positions), chords, engine="given")


def _label(row: np.ndarray) -> str:
    """The name of a chord (14 numbers of a table)."""
    root, bits, bass = int(row[0]), row[1:13] > 0, int(row[13])
    if root < 0 or not bits.any():
        return NO_CHORD
    shape = {int(i) for i in np.flatnonzero(np.roll(bits, -root))}
    above = (bass - root) % 12
    for extra in ((), (above,)):  # the bass sets a bit, too
        for name, degrees in QUALITIES.items():
            if shape == {*degrees, *extra}:
                return label_of(root, name, bass=bass)
    return label_of(root, "min" if 3 in shape and 4 not in shape else "maj", bass=bass)


# -- from predictions to notes ------------------------------------------------------------------------------


def compat_limits(table: np.ndarray, *, auto: bool) -> np.ndarray:
    """(downbeats,) beats of each prediction that sound.

    Without `auto` one bar each. With it two, and the next downbeat is passed over; the last bar and bars of fewer
    than four beats stand alone.
    """
    rows = np.flatnonzero(table[:, DOWN])
    sizes = table[rows, BAR].astype(int)
    if not auto:
        return sizes
    limits, jump = np.zeros(len(rows), dtype=int), False
    for i, (row, size) in enumerate(zip(rows, sizes, strict=True)):  # each depends on the one before
        if jump:
            jump = False
        elif i == len(rows) - 1 or size < 4:
            limits[i] = size
        else:
            following = table[row + 4, BAR] if row + 4 < len(table) else 0
            limits[i], jump = 4 + int(following), True
    return limits


def compat_notes(placed: Placed, table: np.ndarray) -> tuple[Notes, np.ndarray]:
    """Notes of one track in seconds, and (n,) their onsets in beats within their segment, in the same order."""
    times = table[:, TIME]
    times = np.append(times, times[-1] + (times[-1] - times[-2]) * np.arange(1, EXTRA + 1))
    rows = np.arange(len(times))
    onset, offset = np.interp(placed.onset, rows, times), np.interp(placed.end, rows, times)
    order = np.lexsort((placed.pitch, onset))
    notes = Notes.from_arrays(
        onset[order],
        offset[order],
        placed.pitch[order],
        tracks=(Track(name="piano"),),
        tempo_map=TempoMap.constant(TEMPO, ticks_per_quarter=TICKS),
    )
    return notes, placed.within[order]


def pedal_moves(table: np.ndarray) -> np.ndarray:
    """Control changes (CONTROL_DTYPE): the pedal is lifted and pressed anew at 0 s and wherever the chord changes."""
    from spartito.render.perform import compat_pedal

    return compat_pedal(np.append(0.0, table[1:, TIME]), table[:, ROOT:])


# -- the whole ----------------------------------------------------------------------------------------------


class PublishedArranger:
    """A2S models as their program uses them, see `cover_arrangers.SongArranger`; `first` opens songs with `--auto`."""

    styles, style_word, plain = (), "style", True

    def __init__(self, model, first=None):
        self.model, self.first = model, first
        self.name, self.has_chords = model.kind, model.has_chords

    def check(self, wish) -> None:
        wish.no_styles(f"{self.name} with compat")
        if wish.hop is not None or wish.temperature:
            raise ParameterError("hop, temperature: not with compat, which does what the published program does")

    def share(self, piece, watch) -> float:
        return 1.0

    def arrange_songs(self, jobs, watch) -> list[Notes]:
        return [self._song(piece, wish, watch) for piece, wish in jobs]

    def _song(self, piece, wish, watch) -> Notes:
        from spartito.audio.stretch import RATE
        from spartito.models.arranger_input import chord_vectors
        from spartito.render.perform import compat_loudness, perform

        table = song_table(piece.song) if piece.table is None else piece.table
        rows = np.flatnonzero(table[:, DOWN])
        samples = piece.samples(RATE)
        inputs = self._inputs(piece, samples, table, rows, watch)
        vectors = chord_vectors(table[:, ROOT:].astype(np.int64), rows, compat=True)
        lengths = table[rows, BAR].astype(int)
        grid = watch("arranging", lambda _: self._grid(inputs, vectors, lengths, wish.batch_size))
        placed = place(notes_of(grid, compat=True), rows, compat_limits(table, auto=self.first is not None))
        notes, within = compat_notes(placed, table)
        curve = compat_loudness(samples)
        notes = perform(notes, piece.song, compat=True, pedal=False, loudness_curve=curve, onset_beats=within)
        return replace(notes, tracks=(replace(notes.tracks[0], controls=pedal_moves(table)),))

    def _grid(self, inputs, vectors, lengths, batch_size: int) -> np.ndarray:
        if self.first is None:
            return self.model.arrange(inputs, vectors, melody="omit", batch_size=batch_size, compat=True)
        from spartito.models.arranger_runtime import Song, arrange_autoregressive

        songs = [Song(inputs, vectors, lengths)]
        return arrange_autoregressive(songs, model=self.model, first_model=self.first, melody="omit", compat=True)[0]

    def _inputs(self, piece, samples, table, rows, watch) -> np.ndarray:
        """Mel spectrograms of the stretched song, or frames for arrangers that hear those."""
        if self.model.input == "mel":
            from spartito.audio.stretch import beat_segments, beat_stretch
            from spartito.models.arranger_mel import log_mel

            def stretched(_):
                sound, places = beat_stretch(samples, table[:, TIME], float32_phase=True)
                return log_mel(beat_segments(sound, places[rows]))

            return watch("listening", stretched)
        from spartito.models.arranger_input import beat_cells, cut

        return cut(beat_cells(piece.transcribed(watch), table[:, TIME]), rows)
