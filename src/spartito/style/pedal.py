"""The sustain pedal under new chords.

A restyled piece keeps the pedal of its source, which was changed where the source changed its chords. Where an engine
put others there (`Written.chords`) and the pedal lies through the change, two harmonies would run into each other: the
pedal is lifted just after the new chord is struck and pressed again when the old one has died away (legato pedalling,
as `render.perform` does it). All other moves stay as they are, and no pedal comes where there was none.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spartito.analysis.note_chords import TONES, ChordTrack
from spartito.notes.notes import CONTROL_DTYPE, SUSTAIN, Notes, pedal_intervals
from spartito.notes.phrases import STEPS_PER_BEAT
from spartito.render.perform import DOWN_AFTER, SEEK, UP_AFTER
from spartito.style.engines import StylePiece

__all__ = ["lifted", "new_changes"]

PRESSED = 127  # value of a pedal that is all the way down


def new_changes(new: ChordTrack, old: ChordTrack) -> np.ndarray:
    """Beats on which a chord begins that is not the one of the source there, or ends one that was not."""
    if len(new) != len(old):
        return np.zeros(0, dtype=np.int64)
    plain = lambda track: np.column_stack([track.root, TONES[track.quality] & (track.root >= 0)[:, None]])  # noqa: E731
    now, before = plain(new), plain(old)
    other = (now != before).any(axis=1)
    begins = (np.diff(now, axis=0, prepend=now[:1]) != 0).any(axis=1)
    return np.flatnonzero(begins & (other | np.append(False, other[:-1])))


def lifted(notes: Notes, piece: StylePiece, chords: ChordTrack | None) -> Notes:
    """The notes of a restyled piece, with the pedal lifted at chord changes that its source has not.

    Parameters
    ----------
    notes : Notes
        Of the result, with the pedal of the source.
    chords : ChordTrack, optional
        Of the result; without them nothing changes.
    """
    if chords is None or len(notes) == 0 or not len(notes.pedal):
        return notes
    beats = new_changes(chords, piece.chords)
    onset = np.sort(notes.onset)
    time, until = (piece.grid.seconds(STEPS_PER_BEAT * (beats + later)) for later in (0, 0.5))
    struck = np.append(onset, np.inf)[np.searchsorted(onset, time - SEEK)]
    struck = np.unique(struck[struck < until])  # where nothing is struck nothing new sounds
    return replace(notes, tracks=tuple(_with_lifts(track, struck, notes.duration) for track in notes.tracks))


def _with_lifts(track, struck: np.ndarray, end: float):
    """A track whose pedal rises after each of `struck` (seconds) through which it is down."""
    spans = pedal_intervals(track.controls, end=end)
    if track.is_drum or len(spans) == 0 or len(struck) == 0:
        return track
    row = np.searchsorted(spans[:, 0], struck - SEEK, side="right") - 1
    through = (row >= 0) & (spans[np.maximum(row, 0), 1] > struck + DOWN_AFTER)
    at = struck[through]
    moves = np.zeros(2 * len(at), dtype=CONTROL_DTYPE)
    moves["number"] = SUSTAIN
    moves["time"] = np.column_stack([at + UP_AFTER, at + DOWN_AFTER]).ravel()
    moves["value"] = np.tile([0, PRESSED], len(at))
    inside = np.zeros(len(track.controls), dtype=bool)  # half-pedal moves between up and down would press it early
    place = np.searchsorted(at + UP_AFTER, track.controls["time"], side="right") - 1
    inside[:] = (place >= 0) & (track.controls["number"] == SUSTAIN)
    inside &= track.controls["time"] < np.append(at, np.inf)[place] + DOWN_AFTER
    controls = np.concatenate([track.controls[~inside], moves])
    return replace(track, controls=controls[np.argsort(controls["time"], kind="stable")])
