"""A transcription as two tracks, one for each hand, as piano MIDI files have them.

Notation and sequencer programs put each track on a staff of its own. Both tracks carry the pedal: in a MIDI file a
pedal moves the notes of its own channel only.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spartito.notes.hands import LEFT, RIGHT, split_hands
from spartito.notes.notes import Notes
from spartito.notes.quantize import chord_groups

__all__ = ["in_two_hands"]


def in_two_hands(notes: Notes) -> Notes:
    """The notes of a one-track piano piece on the tracks "right hand" and "left hand"; others as they are."""
    if len(notes) == 0 or len(notes.tracks) != 1 or notes.tracks[0].is_drum:
        return notes
    group = chord_groups(notes.onset)
    together = (np.bincount(group, weights=notes.onset) / np.bincount(group))[group]  # (n,) seconds, of its chord
    hands = split_hands(together, np.maximum(notes.offset, together), notes.pitch.astype(np.int64), notes.onset)
    array = notes.array.copy()
    array["track"] = np.where(hands == RIGHT, 0, 1)
    piano = notes.tracks[0]
    names = {RIGHT: "right hand", LEFT: "left hand"}
    tracks = tuple(replace(piano, name=names[hand], channel=-1) for hand in (RIGHT, LEFT))
    return replace(notes, array=array, tracks=tracks)
