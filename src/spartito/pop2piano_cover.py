"""`cover --model pop2piano`: songs to the public model and its tokens back to notes.

    song -> beats of our analysis -> segments of four beats, as the model hears them -> tokens -> notes of the recording

Job
    `Pop2PianoArranger` is the face of Pop2Piano among the arrangers of `cover`. Its composers are styles: one for a
    song, several side by side, one for each section. All segments of all songs and composers asked for at once lie in
    one flat list, those of like length side by side (`models.pop2piano`).

What differs from the published program
    - The beats are those of our analysis, or given; essentia is not needed. Beats outside the recording are left out;
      with fewer than four an even grid stands in. A silent recording has no notes.
    - Where segments meet a key may be struck while it is down: the first note ends there. Nothing begins in silence.
    - Dynamics, pedal, hands and bar lines come afterwards, as with other arrangers.

    With `compat` the notes are those of the port of the program to `transformers`, given the beats: one track, one
    velocity, overlaps and all. Bar lines are put to them here, too.

Source
    J. Choi, K. Lee, 'Pop2Piano: pop audio-based piano cover generation' (ICASSP 2023, https://arxiv.org/abs/2211.00895).
"""

from __future__ import annotations

import os
import warnings

import numpy as np

from spartito.analysis.beats import START_TOLERANCE, with_beats
from spartito.analysis.song import Analysis
from spartito.cover_arrangers import Piece, Watch, Wish
from spartito.cover_grid import Placed, to_notes
from spartito.errors import ParameterError
from spartito.models.pop2piano import Pop2Piano, open_pop2piano
from spartito.models.pop2piano_input import RATE, Segments, segments
from spartito.models.pop2piano_tokens import SEGMENT, decode
from spartito.notes.notes import Notes

__all__ = ["Pop2PianoArranger", "open_pop2piano_arranger"]

AT_ONCE = 64  # segments; more need memory (6 MB each) and gain nothing on a CPU
FEWEST = 4  # beats: a segment
QUIET = 1e-4  # amplitude (-80 dBFS) that a recording stays below when nothing is to be heard
VELOCITY = 77  # of all notes of the published program
TEMPO = 120.0  # beats a minute, where nothing is to be heard of beats


class Pop2PianoArranger:
    """Pop2Piano as `cover` knows arrangers; see `cover_arrangers.SongArranger`."""

    name, style_word, has_chords = "pop2piano", "composer", False

    def __init__(self, model: Pop2Piano):
        self.model, self.styles, self.plain = model, tuple(model.composers), model.compat

    def check(self, wish: Wish) -> None:
        asked = {"like": wish.like, "controls": wish.controls, "hop": wish.hop, "temperature": wish.temperature}
        unknown = [name for name, value in asked.items() if value]
        if unknown:
            raise ParameterError(f"{', '.join(unknown)}: Pop2Piano knows composers and nothing else")

    def share(self, piece: Piece, watch: Watch) -> float:
        return len(watch("listening", lambda _: heard(piece))) / AT_ONCE

    def arrange_songs(self, jobs, watch: Watch) -> list[Notes]:
        """The notes of each (piece, wish); composers of one song share what is heard of it."""
        if any(wish.melody == "omit" for _, wish in jobs):
            _warn("Pop2Piano always plays the tune as well")
        songs = watch("listening", lambda _: [heard(piece) for piece, _ in jobs])
        rows = [self._rows(song, *job) for song, job in zip(songs, jobs, strict=True)]
        tokens = watch(
            "arranging",
            lambda progress: self.model.generate(
                [(song.features, row) for song, row in zip(songs, rows, strict=True)],
                batch_size=min([AT_ONCE, *(wish.batch_size for _, wish in jobs)]),
                progress=progress,
            ),
        )
        return [self._notes(*made, piece.song) for *made, (piece, _) in zip(songs, tokens, jobs, strict=True)]

    def _rows(self, song: Segments, piece: Piece, wish: Wish) -> np.ndarray:
        """(segments,) rows of the composer table; the first composer when none is asked for."""
        if wish.style is None:
            return self.model.rows([self.styles[0]] * len(song))
        return self.model.rows(wish.style.at(song.times, piece.song.downbeats))

    def _notes(self, song: Segments, tokens: np.ndarray, known: Analysis) -> Notes:
        if len(song) == 0:
            return Notes()
        found = decode(tokens, compat=self.model.compat)
        if self.plain:
            onset, offset = song.seconds(found)
            kept = (found[:, 1] >= 0) & (offset > onset)
            return _with_bars(Notes.from_arrays(onset[kept], offset[kept], found[kept, 3], VELOCITY), known)
        onset, end = found[:, 1] / 2, found[:, 2] / 2  # beats
        placed = Placed(onset, end, found[:, 3], onset - found[:, 0] * SEGMENT / 2)
        return to_notes(placed, song.start + song.steps[::2], analysis=known)


def _with_bars(notes: Notes, known: Analysis) -> Notes:
    """With the beats of the song as tempo map; the published program writes 120 a minute for every song."""
    return with_beats(notes, known.beats) if np.sum(known.beats.times > START_TOLERANCE) >= 2 else notes


# -- what is heard ------------------------------------------------------------------------------------------


def heard(piece: Piece) -> Segments:
    """The segments of a song; none when it is silent. They are kept for other composers of the same song."""
    if "pop2piano" not in piece.kept:
        samples = piece.samples(RATE)
        if np.abs(samples).max(initial=0.0) < QUIET:
            piece.kept["pop2piano"] = Segments.none()
        else:
            piece.kept["pop2piano"] = segments(samples, beats_of(piece.song, len(samples) / RATE))
    return piece.kept["pop2piano"]


def beats_of(song: Analysis, duration: float) -> np.ndarray:
    """(B,) beats within a recording of `duration` seconds; an even grid when they are too few."""
    times = song.beats.times
    times = times[(times >= 0) & (times < duration)]
    if len(times) >= FEWEST:
        return times
    pace = float(np.median(np.diff(song.beats.times)))
    if not 60.0 / pace <= 240.0:  # seconds per beat; nothing to go by
        pace = 60.0 / TEMPO
    _warn(f"{len(times)} beats are too few to go by: an even grid of {60.0 / pace:.0f} beats a minute stands in")
    return np.arange(times[0] if len(times) else 0.0, max(duration, 2 * pace), pace)


def _warn(text: str) -> None:
    from spartito.arrangement import CoverWarning

    warnings.warn(text, CoverWarning, stacklevel=3)


# -- opening ------------------------------------------------------------------------------------------------


def open_pop2piano_arranger(
    model: str | os.PathLike = "pop2piano",
    *,
    device: str = "auto",
    threads: int = 0,
    compat: bool = False,
    generator: str = "fast",
    precision: str = "fp32",
) -> Pop2PianoArranger:
    """Pop2Piano from the hub (fetched once), from a hub id or a folder; the options are those of `open_pop2piano`."""
    from spartito.models.hub import find_model

    info = find_model(model)
    return Pop2PianoArranger(
        open_pop2piano(
            info.folder,
            name=info.name,
            generator=generator,
            compat=compat,
            precision=precision,
            device=device,
            threads=threads,
        )
    )
