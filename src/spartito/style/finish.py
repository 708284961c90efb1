"""From what an engine wrote on the grid to notes as somebody plays them.

Job
    `joined` puts the notes that must stay among those an engine wrote; `performed` gives every note of the result a
    time, a length, a velocity and a track, all learned from the source.

Method
    - A note that stands in the source at the same step, pitch and length *is* that note: its times and its velocity are
      taken over to the last bit.
    - Timing: how far the nearest source note (same pitch, at most a step away) lies off the grid; else how far the
      chord of that step does; else nothing.
    - Velocity (the specification, 9.2): that of the nearest source note; else of its pitch class in that beat; else the
      mean of the beat; else the mean of four bars with an accent by the place in the bar.
    - Tracks: one piano in two hands, or each note on the track of the source note that is nearest in time and pitch.
    - Kept notes win: what was written on a key while a kept note holds it goes, what reaches into one ends there, and
      nothing new lies over a kept tune or under a kept bass while that sounds.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spartito.notes.notes import NOTE_DTYPE, Notes, Track
from spartito.notes.phrases import PHRASE, RIGHT_HAND, STEPS_PER_BEAT, from_rolls, rolls
from spartito.notes.two_hands import in_playable_hands, piano_in_two_hands
from spartito.style.engines import StylePiece, Written

__all__ = ["joined", "kept_notes", "performed", "struck_once"]

PITCHES = 128
SHORTEST = 0.02  # seconds; what a note keeps when the next stroke of its key comes at once
ACCENT = (6, 2, -3)  # velocity on a downbeat, on another beat, off the beat: a MIDI step each that one just hears
LOOK = 24  # neighbours in time among which the nearest source note is looked for, on either side
LAST_PIANO = 7  # General MIDI program
SEMITONES_PER_STEP = 6  # how far in pitch counts like a step in time


def struck_once(written: Written) -> Written:
    """Each key once at a step, the longest of its notes, in the order of steps and pitches; none beyond MIDI."""
    notes = np.asarray(written.notes, dtype=np.int64).reshape(-1, 5)
    notes = np.column_stack([notes[:, 0], np.maximum(notes[:, 1], 1), notes[:, 2], notes[:, 3], notes[:, 4]])
    order = np.lexsort((-notes[:, 1], notes[:, 2], notes[:, 0]))
    key = (notes[:, 0] * PITCHES + notes[:, 2])[order]
    legal = (notes[order, 2] >= 0) & (notes[order, 2] < PITCHES) & (notes[order, 0] >= 0)
    return _picked(replace(written, notes=notes), order[(np.diff(key, prepend=-1) != 0) & legal])


def _picked(written: Written, chosen: np.ndarray) -> Written:
    column = lambda values: None if values is None else np.asarray(values, dtype=np.float64)[chosen]  # noqa: E731
    return replace(written, notes=written.notes[chosen], place=column(written.place), accent=column(written.accent))


# -- notes that stay ----------------------------------------------------------------------------------------


def joined(written: Written, piece: StylePiece, keep: tuple[str, ...]) -> Written:
    """What was written, with the kept notes of the source in it and what they displace gone."""
    written = struck_once(written)
    chosen = kept_notes(piece, keep)
    if not chosen.any():
        return written
    kept = piece.notes[chosen]
    steps = int(max(written.notes[:, 0].max(initial=0), (kept[:, 0] + kept[:, 1]).max())) + 1
    start, pitch = written.notes[:, 0], written.notes[:, 2]
    gone = _sounding(kept, steps)[start, pitch]
    if "melody" in keep and piece.melody.any():
        tune = _sounding(piece.notes[piece.melody], steps)
        top = np.where(tune.any(axis=1), PITCHES - 1 - tune[:, ::-1].argmax(axis=1), PITCHES)
        gone |= pitch > top[start]
    if "bass" in keep and piece.bass.any():
        bass = _sounding(piece.notes[piece.bass], steps)
        gone |= pitch < np.where(bass.any(axis=1), bass.argmax(axis=1), -1)[start]
    old = np.isin(_cells(written.notes), _cells(piece.notes))  # what the source strikes there may stay
    written = _picked(written, np.flatnonzero(~gone | old))
    notes = written.notes.copy()
    notes[:, 1] = np.where(old[~gone | old], notes[:, 1], np.minimum(notes[:, 1], _until_next(notes, kept)))
    count = len(kept)
    return struck_once(
        replace(
            written,
            notes=np.concatenate([notes, kept]),
            place=None if written.place is None else np.append(written.place, np.full(count, np.nan)),
            accent=None if written.accent is None else np.append(written.accent, np.zeros(count)),
        )
    )


def kept_notes(piece: StylePiece, keep: tuple[str, ...]) -> np.ndarray:
    """(k,) bool: the notes of the piece that stay."""
    chosen = np.zeros(len(piece.notes), dtype=bool)
    if "melody" in keep:
        chosen |= piece.melody
    if "bass" in keep:
        chosen |= piece.bass
    return chosen


def _sounding(notes: np.ndarray, steps: int) -> np.ndarray:
    """(steps, 128) bool."""
    begin = np.minimum(notes[:, 0], steps)
    end = np.minimum(notes[:, 0] + notes[:, 1], steps)
    size = (steps + 1) * PITCHES
    change = np.bincount(begin * PITCHES + notes[:, 2], minlength=size).astype(np.int32)
    change -= np.bincount(end * PITCHES + notes[:, 2], minlength=size).astype(np.int32)
    return np.cumsum(change.reshape(steps + 1, PITCHES)[:-1], axis=0) > 0


def _until_next(notes: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """(n,) steps from each note to the next kept note on its key; very many where there is none."""
    far = 1 << 40
    struck = np.sort(kept[:, 2] * far + kept[:, 0])
    place = np.searchsorted(struck, notes[:, 2] * far + notes[:, 0], side="right")
    following = np.append(struck, -1)[place]
    same = following // far == notes[:, 2]
    return np.where(same, following % far - notes[:, 0], far)


# -- from the grid to a performance -------------------------------------------------------------------------


def performed(
    written: Written, source: Notes, piece: StylePiece, *, keep: tuple[str, ...] = (), apart: bool = False
) -> Notes:
    """The written notes with the times, velocities and tracks that the source suggests.

    Parameters
    ----------
    written : Written
        As `joined` gives it.
    source : Notes
        The piece it comes from. Its tempo map, markers, title and composer stay; so do its drum tracks and their notes.
    keep : tuple of "melody", "bass"
        As `joined` was told; these notes come straight from the source.
    apart : bool
        Keep the tracks of the source. Otherwise the result is one piano in two hands.
    """
    rows = piece.grid.rows
    notes, near = written.notes, _near(written.notes, piece.notes)
    array = np.zeros(len(notes), dtype=NOTE_DTYPE)
    array["pitch"], array["confidence"] = notes[:, 2], 1.0
    place = notes[:, 0] + _off_grid(notes, piece, near)
    as_source = _as_source(notes, piece.notes)
    if written.place is not None:
        as_source &= np.isnan(written.place)
        place = np.where(np.isnan(written.place), place, written.place)
    array["onset"] = np.maximum(piece.grid.seconds(place), 0.0)
    array["offset"] = np.maximum(piece.grid.seconds(place + notes[:, 1]), array["onset"] + SHORTEST)
    velocity = _velocities(notes, piece, near)
    if written.accent is not None:
        velocity = velocity + written.accent
    array["velocity"] = np.clip(np.floor(velocity + 0.5), 1, 127).astype(np.int16)
    nearest = _nearest(notes, piece.notes, near)
    array["track"] = source.array["track"][rows[nearest]] if apart else _hand_track(notes, piece, nearest, written)
    kept = kept_notes(piece, keep)
    given = kept | np.isin(_cells(piece.notes), _cells(notes[as_source]))  # all that the grid shows as one note
    array = array[~np.isin(_cells(notes), _cells(piece.notes[given]))]
    stays = source.array[rows[given]]
    if not apart:
        stays["track"] = np.where(piece.notes[given, 4] == RIGHT_HAND, 0, 1)
    exact = np.arange(len(array) + len(stays)) >= len(array)
    array = np.concatenate([array, stays])
    _give_way(array, exact, apart=apart)
    result = source.with_array(array) if apart else _one_piano(array, source, as_found=bool(exact.all()))
    return _with_drums(result, source, apart=apart)


def _hand_track(notes: np.ndarray, piece: StylePiece, nearest: np.ndarray, written: Written) -> np.ndarray:
    """(n,) 0 for the right hand, 1 for the left: as the engine says, or that of the nearest note of the source."""
    hand = notes[:, 4] if written.hands else piece.notes[nearest, 4]
    return np.where(hand == RIGHT_HAND, 0, 1)


def _cells(notes: np.ndarray) -> np.ndarray:
    """(n,) step and pitch in one number."""
    return notes[:, 0] * PITCHES + notes[:, 2]


def _near(notes: np.ndarray, source: np.ndarray) -> np.ndarray:
    """(n,) the note of the source on that pitch and step, else a step before or after; -1 where there is none."""
    key = _cells(source)
    order = np.lexsort((-source[:, 1], key))
    order = order[np.diff(key[order], prepend=-1) != 0]  # of several on one key and step the longest
    found = np.full(len(notes), -1)
    if len(order) == 0:
        return found
    for away in (1, -1, 0):  # the last one found wins
        wanted = _cells(notes) + away * PITCHES
        place = np.minimum(np.searchsorted(key[order], wanted), len(order) - 1)
        found = np.where(key[order][place] == wanted, order[place], found)
    return found


def _as_source(notes: np.ndarray, source: np.ndarray) -> np.ndarray:
    """(n,) bool: the source has this note, as it stands or as its roll shows it (cut where the key is struck again)."""
    if len(source) == 0:
        return np.zeros(len(notes), dtype=bool)
    shown = from_rolls(*rolls(source, [0], steps=int((source[:, 0] + source[:, 1]).max()))[0])
    source = np.concatenate([source, shown])
    length = 1 + int(max(notes[:, 1].max(initial=1), source[:, 1].max()))
    return np.isin(_cells(notes) * length + notes[:, 1], _cells(source) * length + source[:, 1])


def _off_grid(notes: np.ndarray, piece: StylePiece, near: np.ndarray) -> np.ndarray:
    """(n,) steps that a player would be away from the grid."""
    if len(piece.notes) == 0:
        return np.zeros(len(notes))
    off = piece.grid.place - piece.notes[:, 0]
    steps = 1 + int(max(notes[:, 0].max(initial=0), piece.notes[:, 0].max()))
    chord = _mean_by(piece.notes[:, 0], off, steps)[notes[:, 0]]
    return np.where(near >= 0, off[near], np.nan_to_num(chord))


def _velocities(notes: np.ndarray, piece: StylePiece, near: np.ndarray) -> np.ndarray:
    """(n,) float: the rules at the top of the file, the first that applies."""
    source, step = piece.notes, notes[:, 0]
    if len(source) == 0:
        return np.full(len(notes), 64.0)
    loud = source[:, 3].astype(np.float64)
    last = int(max(step.max(initial=0), source[:, 0].max()))
    beats, phrases = last // STEPS_PER_BEAT + 1, last // PHRASE + 1
    beat, own = step // STEPS_PER_BEAT, source[:, 0] // STEPS_PER_BEAT
    class_mean = _mean_by(own * 12 + source[:, 2] % 12, loud, beats * 12)[beat * 12 + notes[:, 2] % 12]
    beat_mean = _mean_by(own, loud, beats)[beat]
    phrase_mean = _mean_by(source[:, 0] // PHRASE, loud, phrases)[step // PHRASE]
    phrase_mean = np.where(np.isnan(phrase_mean), loud.mean(), phrase_mean) + _accents(step, piece)
    velocity = np.where(np.isnan(beat_mean), phrase_mean, beat_mean)
    velocity = np.where(np.isnan(class_mean), velocity, class_mean)
    return np.where(near >= 0, loud[near], velocity)


def _accents(step: np.ndarray, piece: StylePiece) -> np.ndarray:
    part, _ = piece.grid.grid.in_bar(step / STEPS_PER_BEAT)
    sixteenth = np.round(part * STEPS_PER_BEAT).astype(np.int64)
    return np.where(sixteenth == 0, ACCENT[0], np.where(sixteenth % STEPS_PER_BEAT == 0, ACCENT[1], ACCENT[2]))


def _mean_by(group: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """(count,) mean of the values of each group; nan where it has none."""
    size = np.bincount(group, minlength=count)
    total = np.bincount(group, weights=values, minlength=count)
    return np.divide(total, size, out=np.full(len(size), np.nan), where=size > 0)


def _nearest(notes: np.ndarray, source: np.ndarray, near: np.ndarray) -> np.ndarray:
    """(n,) the note of the source that lies nearest in time and pitch: its match, else among its neighbours."""
    if len(notes) == 0:
        return np.zeros(0, dtype=np.int64)
    place = np.searchsorted(source[:, 0], notes[:, 0])
    around = np.clip(place[:, None] + np.arange(-LOOK, LOOK), 0, len(source) - 1)  # (n, 2 LOOK)
    time = np.abs(source[around, 0] - notes[:, :1])
    away = time + np.abs(source[around, 2] - notes[:, 2:3]) / SEMITONES_PER_STEP
    found = around[np.arange(len(notes)), away.argmin(axis=1)]
    return np.where(near >= 0, near, found)


def _give_way(array: np.ndarray, exact: np.ndarray, *, apart: bool) -> None:
    """Let no note reach into the next on its key; those of the source (`exact`, (n,) bool) stay as they are."""
    key = array["pitch"] + PITCHES * array["track"].astype(np.int64) * apart
    order = np.lexsort((array["onset"], key))
    here, following = order[:-1], order[1:]
    clash = (key[here] == key[following]) & (array["offset"][here] > array["onset"][following])
    here, following = here[clash], following[clash]
    free = here[~exact[here]]
    room = np.maximum(array["onset"][following[~exact[here]]], array["onset"][free] + SHORTEST)
    array["offset"][free] = np.minimum(array["offset"][free], room)
    late = exact[here] & ~exact[following]  # a note of the source overhangs, by less than a step: the new one waits
    wait = following[late]
    array["onset"][wait] = np.minimum(array["offset"][here[late]], array["offset"][wait] - SHORTEST)


def _one_piano(array: np.ndarray, source: Notes, *, as_found: bool) -> Notes:
    """Notes with tracks 0 (right hand) and 1 as one piano with the pedal of the source.

    Unless they are those of the source (`as_found`), other hands take them where those can play more of it.
    """
    tracks = piano_in_two_hands(source.select(np.zeros(0, dtype=np.int64))).tracks
    lyrics = tuple(sorted(line for track in source.tracks if not track.is_drum for line in track.lyrics))
    tracks = tuple(replace(track, program=0 if track.program > LAST_PIANO else track.program) for track in tracks)
    piano = replace(source, array=array, tracks=(replace(tracks[0], lyrics=lyrics), tracks[1]))
    return piano if as_found else replace(in_playable_hands(piano), tracks=piano.tracks)


def _with_drums(notes: Notes, source: Notes, *, apart: bool) -> Notes:
    """The drums of the source beside the notes: bit by bit what they were."""
    drums = [i for i, track in enumerate(source.tracks) if track.is_drum]
    hits = source.array[np.isin(source.array["track"], drums)].copy()
    if apart:
        return notes.with_array(np.concatenate([notes.array, hits]))
    tracks: tuple[Track, ...] = (*notes.tracks, *(source.tracks[i] for i in drums))
    number = np.zeros(len(source.tracks), dtype=np.int16)
    number[drums] = len(notes.tracks) + np.arange(len(drums))
    hits["track"] = number[hits["track"]]
    return replace(notes, array=np.concatenate([notes.array, hits]), tracks=tracks)
