"""Windows written anew: thinned, longer or shorter, an octave off, narrower, on the beat; to teach sliders by example.

Job
    `variants` changes windows of states so that their attributes move, by rules that a network can learn: what comes
    out follows from the window and from how far each attribute moved. The control term (`musae_control.py`) asks a
    decoder for the variant, given the code of the window and the attributes of the variant.

Rules, one or two to a window, each as far as a draw says
    thinner     notes begin no more, the weakest places first (between eighths, off the beat, on the beat); the note
                before sounds on, or there is a rest
    busier      notes of two steps and more are struck again half-way; the longest first
    longer, shorter    notes last a multiple of their length, up to the next one of their track, at least a step
    octave      notes of upper tracks an octave higher or lower
    narrow, wide   upper notes away from the middle pitch come an octave nearer to it, or go an octave off
    straight    notes off the beat begin on the beat before, where nothing begins
    pushed      notes on a beat begin two steps early, where there is room
    fewer       a pitched track is silent

Source: ours. Augmentation in place of labels is common; here the label is computed (`notes/band_attributes.py`).
"""

from __future__ import annotations

import numpy as np

from spartito.notes.band_attributes import note_lengths
from spartito.notes.four_tracks import HOLD, SILENT, expanded, held
from spartito.notes.layouts import Layout
from spartito.notes.phrases import STEPS_PER_BEAT

__all__ = ["RULES", "variants"]

CHANCES = (0.85, 0.4)  # of a first and of a second rule
OCTAVE = 12  # semitones
LENGTHS = (0.25, 0.5, 0.5, 2.0, 2.0, 4.0)  # of notes, times their own
EARLY = 2  # steps by which a note is pushed
WEAKNESS = np.array([0, 3, 2, 3])  # of the steps of a beat
WIDTH = 6  # semitones from the middle beyond which a pitch is folded
LOWEST, HIGHEST = 24, 108  # MIDI pitches that a variant reaches
LEAST_WIDE = 2  # semitones from the middle from which on a pitch goes an octave off


def variants(states: np.ndarray, random: np.random.Generator, *, layout: Layout) -> np.ndarray:
    """(w, T, tracks) uint8: a variant of each window, after none, one or two rules."""
    out = np.array(states, dtype=np.uint8)
    for chance in CHANCES:
        rule = np.where(random.random(len(out)) < chance, random.integers(0, len(RULES), len(out)), -1)
        for number, function in enumerate(RULES.values()):
            rows = np.flatnonzero(rule == number)
            if len(rows):
                out[rows] = function(out[rows], random, layout)
    return out


def _notes(states: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(w, T, tracks) each: bool, a note begins; its length in steps, else 0; what sounds, 0..128."""
    return states < SILENT, note_lengths(states), expanded(states)


def _written(pitch: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """States of notes that begin where `lengths` > 0, with `pitch` there, and last so many steps or to the next one."""
    begins = lengths > 0
    place = np.arange(lengths.shape[1])[None, :, None]
    last = np.maximum.accumulate(np.where(begins, place, -1), axis=1)
    at = np.maximum(last, 0)
    sounds = (last >= 0) & (place < at + np.take_along_axis(lengths, at, axis=1))
    sounding = np.where(sounds, np.take_along_axis(pitch, at, axis=1), SILENT).astype(np.uint8)
    return held(sounding, attack=begins)


def _share(random: np.random.Generator, count: int, *, least: float, most: float) -> np.ndarray:
    return random.uniform(least, most, (count, 1, 1))


def _order(weak: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """(w, T, tracks): share of the chosen cells of a window that come before each when sorted by `weak`, 1 for others.

    Of equals the later steps come first.
    """
    steps = weak.shape[1]
    key = weak * 4.0 * steps + np.arange(steps)[None, :, None]
    flat = np.where(chosen, -key, np.inf).reshape(len(weak), -1)
    rank = flat.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable").reshape(weak.shape)
    return np.where(chosen, rank / np.maximum(chosen.sum(axis=(1, 2), keepdims=True), 1), 1.0)


def _thinner(states, random, layout):
    begins, lengths, sounding = _notes(states)
    weak = np.broadcast_to(WEAKNESS[np.arange(states.shape[1]) % STEPS_PER_BEAT][None, :, None], states.shape)
    gone = begins & (_order(weak, begins) < _share(random, len(states), least=0.15, most=0.7))
    rest = random.random((len(states), 1, 1)) < 0.5
    kept = np.where(gone, 0, lengths)
    place = np.arange(states.shape[1])[None, :, None]
    after = np.where(begins & ~gone, place, states.shape[1])
    after = np.minimum.accumulate(after[:, ::-1], axis=1)[:, ::-1]
    after = np.concatenate([after[:, 1:], np.full_like(after[:, :1], states.shape[1])], axis=1)
    followed = np.take_along_axis(begins, np.minimum(place + lengths, states.shape[1] - 1), axis=1)
    on = np.where((kept > 0) & followed & ~rest, after - place, kept)  # the note before sounds on
    return _written(sounding, np.maximum(on, kept))


def _busier(states, random, layout):
    begins, lengths, sounding = _notes(states)
    again = begins & (lengths >= 2)
    chosen = again & (_order(lengths, again) < _share(random, len(states), least=0.2, most=1.0))
    half = lengths // 2
    out = np.where(chosen, half, lengths)
    w, t, v = np.nonzero(chosen)
    out[w, t + half[w, t, v], v] = (lengths - half)[w, t, v]
    return _written(sounding, out)


def _longer(states, random, layout):
    begins, lengths, sounding = _notes(states)
    factor = random.choice(LENGTHS, (len(states), 1, 1))
    changed = np.maximum(np.floor(lengths * factor + 0.5).astype(int), 1)
    return _written(sounding, np.where(begins, np.where(layout.pitched, changed, lengths), 0))


def _upper(layout: Layout) -> np.ndarray:
    return np.isin(np.arange(len(layout)), layout.upper)


def _pitched(states: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """States whose notes are `shift` (w, T, tracks) semitones higher, where that is a pitch of a piano's middle."""
    pitch = states.astype(int) + shift
    good = (states < SILENT) & (pitch >= LOWEST) & (pitch <= HIGHEST)
    return np.where(good, pitch, states).astype(np.uint8)


def _octave(states, random, layout):
    shift = OCTAVE * random.choice([-1, 1], (len(states), 1, 1)) * _upper(layout)
    return _pitched(states, np.broadcast_to(shift, states.shape))


def _middle(states: np.ndarray, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """(w, T, tracks): whether an upper note begins; (w, 1, 1): mean pitch of these."""
    upper = (states < SILENT) & _upper(layout)
    count = np.maximum(upper.sum(axis=(1, 2), keepdims=True), 1)
    return upper, (states * upper.astype(int)).sum(axis=(1, 2), keepdims=True) / count


def _narrow(states, random, layout):
    upper, middle = _middle(states, layout)
    away = states - middle
    return _pitched(states, np.where(upper & (np.abs(away) > WIDTH), -OCTAVE * np.sign(away), 0).astype(int))


def _wide(states, random, layout):
    upper, middle = _middle(states, layout)
    away = states - middle
    side = random.choice([-1, 1], (len(states), 1, 1))
    return _pitched(states, np.where(upper & (side * away > LEAST_WIDE), OCTAVE * side, 0).astype(int))


def _moved(states: np.ndarray, where: np.ndarray, by: int, layout: Layout) -> np.ndarray:
    """Notes of pitched tracks in cells `where` (w, T, tracks) begin `by` steps from there, if none begins there."""
    begins, lengths, sounding = _notes(states)
    w, t, v = np.nonzero(where & begins & layout.pitched)
    to = t + by
    free = (to >= 0) & (to < states.shape[1])
    free[free] = ~begins[w[free], to[free], v[free]]
    w, t, v, to = w[free], t[free], v[free], to[free]
    pitch, out = sounding.copy(), lengths.copy()
    out[w, t, v] = 0
    out[w, to, v] = np.maximum(lengths[w, t, v] - min(by, 0), 1)
    pitch[w, to, v] = sounding[w, t, v]
    return _written(pitch, out)


def _straight(states, random, layout):
    place = np.arange(states.shape[1])[None, :, None] % STEPS_PER_BEAT
    for off in range(1, STEPS_PER_BEAT):
        states = _moved(states, np.broadcast_to(place == off, states.shape), -off, layout)
    return states


def _pushed(states, random, layout):
    place = np.arange(states.shape[1])[None, :, None]
    return _moved(states, np.broadcast_to((place % STEPS_PER_BEAT == 0) & (place > 0), states.shape), -EARLY, layout)


def _fewer(states, random, layout):
    out, tracks = states.copy(), np.flatnonzero(layout.pitched)
    quiet = tracks[random.integers(0, len(tracks), len(states))]
    rows = np.arange(len(states))
    out[rows, :, quiet] = HOLD
    out[rows, 0, quiet] = SILENT
    return out


RULES = {
    "thinner": _thinner,
    "busier": _busier,
    "longer": _longer,
    "octave": _octave,
    "narrow": _narrow,
    "wide": _wide,
    "straight": _straight,
    "pushed": _pushed,
    "fewer": _fewer,
}
