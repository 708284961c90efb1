"""`restyle`: a piece in another genre, from its first note to its last.

    notes -> beats -> grid, tune, bass, chords -> engine -> candidates -> kept notes put in -> the best one
          -> times, velocities, tracks of the source -> drums

What is done here is the same for every engine (`style.engines`). The result has the clock of the source: its tempo
map, metres, keys, pedal and markers stay. Strength 0 gives the source itself.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from spartito.analysis.beats import Beats, beats_from_tempo_map, estimate_beats, pitched
from spartito.analysis.song import Chord
from spartito.errors import ModelError, NotesError, ParameterError
from spartito.notes.notes import Notes, Track
from spartito.notes.phrases import RIGHT_HAND, STEPS_PER_BEAT, Gridded, by_quarters, gridded
from spartito.notes.roles import BASS, MELODY, make_table
from spartito.notes.skyline import skyline
from spartito.style.choose import Candidate, best_of, weighed
from spartito.style.drums import DRUMS, with_drums
from spartito.style.engines import GENRES, KEEP, StylePiece, StyleWish, check_genre, open_engine
from spartito.style.finish import joined, performed
from spartito.style.jazz_chords import chords_in
from spartito.style.pedal import lifted

__all__ = ["RestyleWarning", "Restyled", "prepare", "restyle", "restyled", "source_beats", "source_notes"]

BAR = 4  # quarter notes of the bars that engines know
MOST = 0.8  # share of bars of that length in a piece that counts as one in four; trackers slip now and then
FEW = 3  # distinct onsets below which beats cannot be found
LONGEST = 1 << 19  # steps: eighteen hours at 120 quarter notes per minute
MELODY_NAMES = ("melod", "vocal", "voice", "vox", "lead", "sing", "chant")  # in the name of a track: the tune
ENGINE_SHARE = 0.8  # of the progress bar


class RestyleWarning(UserWarning):
    """A piece can be restyled, but not quite as it was asked for."""


@dataclass(frozen=True, eq=False)
class Restyled:
    """A restyled piece and how it came about.

    Attributes
    ----------
    notes : Notes
    source, target : str
        Genres; the first is empty when nobody knows it.
    engine : str
    strength : float
    beats : Beats, optional
        Where the beats and bar lines are, as they were given or found; None when nothing was changed.
    beats_by : "given", "file", "tracked" or "even"
    heard : dict
        Genre -> probability of the source, when it was recognised.
    candidates : list of Candidate
        All that the engine offered, best first; the first one is `notes`. Empty when nothing was changed.
    piece : StylePiece, optional
        The source as the engine saw it; None when nothing was changed.
    """

    notes: Notes
    source: str
    target: str
    engine: str
    strength: float
    beats: Beats | None = None
    beats_by: str = ""
    heard: dict[str, float] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)
    piece: StylePiece | None = None

    @cached_property
    def chords(self) -> tuple[Chord, ...]:
        """The chords of the result: those that the engine chose, else those heard in it. None of an unchanged piece."""
        if self.piece is None:
            return ()
        track = self.candidates[0].written.chords
        if track is None:
            grid, notes = self.piece.grid, self.candidates[0].written.notes
            track = chords_in(notes, grid.beats, genre=self.source, positions=self.piece.positions)  # as it had them
        return track.chords(self.piece.grid.seconds(STEPS_PER_BEAT * np.arange(len(track) + 1)))

    def report(self) -> dict:
        """What a line or a JSON document says of it."""
        told = {"from": self.source or "not known", "to": self.target, "engine": self.engine, "strength": self.strength}
        if self.heard:
            told["heard"] = {genre: round(float(share), 3) for genre, share in self.heard.items()}
        if self.beats_by:
            told["beats_by"] = self.beats_by
        if self.candidates:
            told["candidates"] = [candidate.report() for candidate in self.candidates]
        return told


def restyle(
    source: str | os.PathLike | Notes,
    *,
    to: str,
    genre: str | None = None,
    engine=None,
    strength: float = 1.0,
    keep: str | Sequence[str] = (),
    candidates: int = 1,
    drums: str = "keep",
    keep_tracks: bool | None = None,
    analysis=None,
    seed: int = 0,
    device: str = "auto",
    progress: Callable[[float], None] | None = None,
    report: dict | None = None,
) -> Notes:
    """A piece in another genre.

    Parameters
    ----------
    source : path or Notes
        A MIDI file, a table of notes, or the notes themselves; of any length and number of tracks.
    to : "classic", "jazz" or "pop"
    genre : str, optional
        What the source is; recognised by the classifiers when not given.
    engine : str, path or StyleEngine, optional
        "cyclegan", "idiom", "comping" (see `style.engines`), a model of `spartito models`, or what `load_model` gives.
    strength : 0..1
        0 gives the source back, its tracks and drums included; 1 goes as far as the engine does.
    keep : "melody", "bass" or both
        Notes that stay as they are, to the last bit: a list, or words with commas between.
    candidates : int
        Let the engine try so many times and take what the judges find most like the target, among those that keep the
        harmony of the source (`style.choose`).
    drums : "keep", "drop" or "genre"
        Pass the drums through, leave them out, or replace them by a groove of the target.
    keep_tracks : bool, optional
        Keep the tracks (and instruments) of the source; False: everything becomes one piano in two hands. When not
        given, pieces for piano do that and others keep their tracks.
    analysis : Analysis or Beats, optional
        What is known of the piece: beats, and of an `Analysis` also chords and tune. Otherwise the clock of the file is
        taken if its notes keep to it, else beats are found in the notes.
    seed : int
        Draws the candidates.
    device : "auto", "cpu", "cuda" or "mps"
    progress : callable, optional
        Called with the part done, 0..1.
    report : dict, optional
        Filled with what was found and chosen (`Restyled.report`).

    Raises
    ------
    NotesError, ParameterError, ModelError, DeviceError
    """
    result = restyled(
        source,
        to=to,
        genre=genre,
        engine=engine,
        strength=strength,
        keep=keep,
        candidates=candidates,
        drums=drums,
        keep_tracks=keep_tracks,
        analysis=analysis,
        seed=seed,
        device=device,
        progress=progress,
    )
    if report is not None:
        report |= result.report()
    return result.notes


def restyled(
    source: str | os.PathLike | Notes,
    *,
    to: str,
    genre: str | None = None,
    engine=None,
    strength: float = 1.0,
    keep: str | Sequence[str] = (),
    candidates: int = 1,
    drums: str = "keep",
    keep_tracks: bool | None = None,
    analysis=None,
    seed: int = 0,
    device: str = "auto",
    progress: Callable[[float], None] | None = None,
) -> Restyled:
    """As `restyle`, with how it came about."""
    keep = parse_keep(keep)
    check_options(to=to, genre=genre, strength=strength, candidates=candidates, drums=drums)
    engine = open_engine(engine, device=device)
    engine.check(to, genre)
    notes = source if isinstance(source, Notes) else source_notes(source)
    if len(pitched(notes)) == 0:
        raise NotesError("no notes: restyling needs at least one pitched note (are there only drums?)")
    if genre == to or strength == 0:
        if genre == to:
            _warn(f"the source is {genre} already: it stays as it is")
        return Restyled(notes, genre or "", to, engine.name, float(strength))
    beats, beats_by = source_beats(notes, analysis)
    if beats_by == "tracked":
        _warn("the file tells no beats that its notes keep to: they are found in the notes, and may be wrong")
    elif beats_by == "even":
        _warn("too few notes to find a beat in: an even one is assumed")
    piece = prepare(notes, beats, analysis=analysis)
    if not piece.four:
        metres = ", ".join(dict.fromkeys(f"{n}/{d}" for _, n, d in beats.signatures))
        bars = "has bars of several lengths" if metres == "4/4" else f"is in {metres}"
        _warn(f"the engines learned from bars of four quarter notes; this piece {bars}: it is gone through by beats")
    taken, heard = (genre, {}) if genre is not None else _recognised(piece, to, needed=engine.needs_source)
    wish = StyleWish(taken, to, float(strength), keep, candidates, seed)
    answers = engine.restyle(
        piece, wish, progress=None if progress is None else lambda part: progress(ENGINE_SHARE * part)
    )
    ranked = weighed([joined(answer, piece, keep) for answer in answers], piece, wish, judge=candidates > 1)
    best = best_of(ranked)
    if candidates > 1 and not best.holds:
        _warn("no candidate keeps enough of the harmony of the source: the nearest is taken")
    apart = not _is_piano(notes) if keep_tracks is None else keep_tracks
    result = performed(best.written, notes, piece, keep=keep, apart=apart)
    result = lifted(result, piece, best.written.chords)
    result = with_drums(result, drums, to, piece, seed=seed)
    if progress is not None:
        progress(1.0)
    ranked = sorted(ranked, key=lambda candidate: candidate is not best)
    known = taken if genre or heard else ""
    return Restyled(result, known, to, engine.name, float(strength), beats, beats_by, heard, ranked, piece)


# -- what is asked for --------------------------------------------------------------------------------------


def parse_keep(keep: str | Sequence[str]) -> tuple[str, ...]:
    """What stays: words of `KEEP`, in its order."""
    words = keep.replace(",", " ").split() if isinstance(keep, str) else list(keep)
    unknown = [word for word in words if word not in KEEP]
    if unknown:
        raise ParameterError(f"what can be kept is {', '.join(KEEP)}, not {', '.join(map(str, unknown))}")
    return tuple(word for word in KEEP if word in words)


def check_options(
    *, to: str, genre: str | None = None, strength: float = 1.0, candidates: int = 1, drums: str = "keep"
) -> None:
    """Complain of options outside their domain."""
    check_genre(to)
    if genre is not None:
        check_genre(genre)
    if not 0.0 <= strength <= 1.0:
        raise ParameterError(f"the strength lies between 0 and 1, not at {strength}")
    if not 1 <= candidates <= 64:
        raise ParameterError(f"between 1 and 64 candidates are tried, not {candidates}")
    if drums not in DRUMS:
        raise ParameterError(f"drums are one of {', '.join(DRUMS)}, not {drums!r}")


def played_tracks(notes: Notes) -> list[int]:
    """Tracks with pitched notes."""
    used = set(np.unique(notes.array["track"]).tolist())
    return [i for i, track in enumerate(notes.tracks) if i in used and not track.is_drum]


def _is_piano(notes: Notes) -> bool:
    """Whether all that is pitched is played on pianos (General MIDI 0 to 7)."""
    return all(0 <= notes.tracks[i].program <= 7 for i in played_tracks(notes))


# -- what is known of the piece -----------------------------------------------------------------------------


def source_beats(notes: Notes, analysis=None) -> tuple[Beats, str]:
    """Beats and bars of a piece, and who says so: "given", "file" (its clock), "tracked" or "even" (nobody)."""
    if analysis is not None:
        beats = analysis if isinstance(analysis, Beats) else getattr(analysis, "beats", None)
        if not isinstance(beats, Beats):
            raise ParameterError("an analysis for restyling must hold its beats (analysis.beats)")
        return beats, "given"
    beats = beats_from_tempo_map(notes)
    if beats is not None:
        return beats, "file"
    few = len(np.unique(pitched(notes).onset)) < FEW
    return estimate_beats(notes), "even" if few else "tracked"


def prepare(notes: Notes, beats: Beats, *, analysis=None) -> StylePiece:
    """The piece as engines see it: on the grid of quarter notes, with roles and what is known of its chords."""
    quarters = by_quarters(beats)
    length = STEPS_PER_BEAT * (quarters.to_quarters(notes.duration) - quarters.quarters[0])
    if length > LONGEST:
        raise NotesError(f"the piece lasts {notes.duration / 3600:.1f} hours by its beats: too long to restyle at once")
    grid = gridded(notes, quarters)
    melody, bass = _roles(notes, grid, getattr(analysis, "melody", None))
    chords = None
    if getattr(analysis, "chords", ()):
        chords = _known_chords(analysis, grid)
    down = np.diff(np.flatnonzero(grid.grid.beats.positions == 0))
    four = bool(np.mean(down == BAR) >= MOST) if len(down) else int(grid.grid.beats.positions.max()) + 1 == BAR
    return StylePiece(grid, melody, bass, chords, four)


def _roles(notes: Notes, grid: Gridded, heard) -> tuple[np.ndarray, np.ndarray]:
    """(k,) bool each: which notes of the grid carry the tune, and the bass.

    The tune is the line that an analysis heard, the tracks that say so (and where they rest for a bar, the top line),
    or the top line.
    """
    order = np.argsort(grid.rows)
    hands = notes.array[grid.rows[order]].copy()
    hands["track"] = np.where(grid.notes[order, 4] == RIGHT_HAND, 0, 1)
    two = Notes(hands, tracks=(Track(), Track()))
    given = heard is not None and len(heard) > 0
    table = make_table(two, grid.grid, np.asarray(heard) if given else np.zeros((0, 3)))
    role = np.zeros(len(grid.rows), dtype=np.int64)
    role[order] = table.role
    played = played_tracks(notes)
    sung = [i for i in played if any(word in notes.tracks[i].name.lower() for word in MELODY_NAMES)]
    if given:
        melody = role == MELODY
    elif sung and len(sung) < len(played):
        melody = np.isin(notes.array["track"][grid.rows], sung)
        others = np.flatnonzero(_resting(grid.notes[melody], grid.steps)[grid.notes[:, 0]])
        melody[others[skyline(grid.notes[others])]] = True
    else:
        melody = np.zeros(len(role), dtype=bool)
        melody[skyline(grid.notes)] = True
    return melody, (role == BASS) & ~melody


def _resting(tune: np.ndarray, steps: int) -> np.ndarray:
    """(steps + 1,) bool: a tune ((k, 5)) has rested for a bar, or will; somebody else has the word there."""
    steps = max(steps, int((tune[:, 0] + tune[:, 1]).max(initial=0)))
    change = np.bincount(tune[:, 0], minlength=steps + 2) - np.bincount(tune[:, 0] + tune[:, 1], minlength=steps + 2)
    silent = np.concatenate([[False], np.cumsum(change)[: steps + 1] == 0, [False]])
    edges = np.flatnonzero(np.diff(silent)).reshape(-1, 2)  # first step of each silence, and the one after it
    resting = np.zeros(steps + 1, dtype=bool)
    for first, last in edges[edges[:, 1] - edges[:, 0] >= BAR * STEPS_PER_BEAT]:
        resting[first:last] = True
    return resting


def _known_chords(analysis, grid: Gridded):
    """The chords of an analysis on the beats of the grid."""
    from spartito.analysis.note_chords import ChordTrack

    middle = grid.seconds(STEPS_PER_BEAT * (np.arange(grid.beats) + 0.5))
    number = analysis.chord_at(middle)
    return ChordTrack.of_labels([analysis.chords[i].label for i in number.tolist()], key=analysis.key)


def _recognised(piece: StylePiece, target: str, *, needed: bool) -> tuple[str, dict[str, float]]:
    """The likeliest genre of the source that is not the target, and what was heard; a guess when nothing can be."""
    from spartito.style.genres import phrase_starts, recognise

    others = [name for name in GENRES if name != target]
    downbeats = piece.grid.downbeats
    first = int(downbeats[0]) if piece.four and len(downbeats) else 0
    try:
        heard = recognise(piece.notes, phrase_starts(piece.notes, first=first))
    except NotesError:
        if needed:
            _warn(f"too few notes to tell the genre of the source: it is taken for {others[0]} (genre, --from: say it)")
        return others[0], {}
    except ModelError:
        if needed:
            raise
        return others[0], {}
    genre = max(others, key=lambda name: heard[name])
    if needed and heard[target] > heard[genre]:
        _warn(f"this looks like {target} already; it is taken for {genre} (genre, --from: say what it is)")
    return genre, heard


def source_notes(source: str | os.PathLike) -> Notes:
    """Notes of a file. Raises NotesError for one that holds none, with a way out for recordings."""
    from spartito.audio.io import AUDIO_SUFFIXES
    from spartito.loading import load_notes

    if Path(source).suffix.lower() in AUDIO_SUFFIXES:
        raise NotesError(
            f"{source} is a recording, and restyling needs notes: spartito cover --genre does both, "
            "spartito transcribe writes down a piano"
        )
    return load_notes(source)


def _warn(text: str) -> None:
    warnings.warn(text, RestyleWarning, stacklevel=4)
