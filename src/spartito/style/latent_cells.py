"""What happens in each cell of a song, what a latent model expects there, and which of it changes in an edit.

Job
    `chances` reads the log-probabilities of a model as expectations: does a note begin, sound on, or is it silent, and
    which pitch if one begins. `edited` and `mixed` choose from them the states of an edited song, and of one between
    two songs. `drawn` is the plain way: the likeliest state of each cell, or one drawn.

Method
    States say 'as before' for a note that sounds on *and* for silence after silence, so two states are no fair rivals.
    Here a cell has one of three kinds: silence, a note sounding on, a note beginning. The chance of silence follows
    from the states by q_t = p_t(silent) + q_{t-1} p_t(hold), step by step through a window.

    *An edit is a difference.* A small network rebuilds a song in part only; its reconstruction must not take the song's
    place. What the source does in a cell scores log (p(it | edited z) + e) / (p(it | z) + e) + `weight`: by how much
    its chance has changed. A rival scores log (p(rival | edited z) + e) / (1 + e), so it must be likely now, not just
    likelier than before. (Were rivals, too, judged by their change, edits that reach as far would change the other
    attributes twice as much.) First the kinds of a cell compete, then pitches. So an edit of nothing changes nothing,
    a small one the cells whose source it makes least likely, and what the network never understood stays.

    *Between two songs* each kind scores log (p(kind | z between) + e), and what a and b do gets a pull that fades from
    the one to the other: at the ends only their own states are left.

    New pitches are drawn to the harmony around them: to their score comes the logarithm of how much their pitch class
    sounds in the songs at that place.

Source: ours; the sum of log-probabilities that pull different ways is a product of experts (G. Hinton, 2002).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spartito.errors import ParameterError
from spartito.notes.four_tracks import HOLD, SILENT, STATES, expanded, held
from spartito.notes.layouts import Layout

__all__ = ["BEGINS", "QUIET", "SOUNDS", "Chances", "Lean", "chances", "drawn", "edited", "kinds", "mixed"]

QUIET, SOUNDS, BEGINS = range(3)  # kinds of cells: silence, a note sounding on, a note beginning
WEIGHT = 0.2  # nats by which the source's own kind and pitch are preferred in an edit
KIND_FLOOR, PITCH_FLOOR = 0.05, 0.02  # e of kinds and of pitches: what is rarer counts as never expected
FINE_FLOOR = 1e-3  # e of rivals where the scores lean: what is next likeliest must be told from what never is
PULL = 3.0  # nats by which a blend is drawn to what its songs do
HARMONY = 1.0  # weight of the harmony in the choice of a pitch
RARE = 0.05  # of the strongest pitch class of a place: what counts for one that does not sound there
LONGEST_TAIL = 8  # steps that a new note may sound on into what was silence


@dataclass(frozen=True, eq=False)
class Chances:
    """What a model expects of every cell of a song.

    Attributes
    ----------
    kind : np.ndarray, shape=(T, V, 3), float32
        Probability of silence, of a note sounding on, of one beginning.
    pitch : np.ndarray, shape=(T, V, 128), float32
        Probability of each pitch, if a note begins.
    goes_on : np.ndarray, shape=(T, V), bool
        A note that sounds up to here is likelier to sound on than to end.
    """

    kind: np.ndarray
    pitch: np.ndarray
    goes_on: np.ndarray


@dataclass(frozen=True, eq=False)
class Lean:
    """Nats by which an edit is drawn to kinds of cells, (T, V, 3), and to pitches, (V, 128)."""

    kind: np.ndarray
    pitch: np.ndarray


def chances(windows: np.ndarray, starts: np.ndarray, length: int) -> Chances:
    """From log-probabilities (w, T_w, V, 130) of windows at `starts` (w,), steps; a song of `length` steps.

    Where windows overlap their logarithms are averaged. The first step of a window cannot tell a note that begins from
    one held into it, so it counts only where no other window reaches.
    """
    windows = np.asarray(windows, dtype=np.float32)
    if windows.ndim != 4 or windows.shape[-1] != STATES:
        raise ParameterError(f"log-probabilities are (windows, steps, tracks, {STATES}), not {windows.shape}")
    p = np.exp(windows[..., SILENT:])  # (w, T_w, V, 2): silent, hold
    quiet = np.empty(p.shape[:-1], dtype=np.float32)
    quiet[:, 0] = p[:, 0].sum(axis=-1)  # a hold at the first step is silent
    for step in range(1, p.shape[1]):  # of a window, all windows and tracks at once
        quiet[:, step] = p[:, step, :, 0] + p[:, step, :, 1] * quiet[:, step - 1]
    begins = np.clip(1 - p.sum(axis=-1), 0, 1)
    kind = np.stack([quiet, np.clip(1 - quiet - begins, 0, 1), begins], axis=-1)
    kind = np.exp(overlapped(np.log(kind + 1e-6), starts, length))
    states = overlapped(windows, starts, length)
    pitch = states[..., :SILENT]
    pitch = np.exp(pitch - pitch.max(axis=-1, keepdims=True))
    pitch /= pitch.sum(axis=-1, keepdims=True)
    kind /= kind.sum(axis=-1, keepdims=True)
    return Chances(kind, pitch, states[..., HOLD] >= states[..., SILENT])


def overlapped(parts: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """(length, ...): the mean of windows (w, T_w, ...) at `starts`; first steps only where nothing else is."""
    total = np.zeros((length, *parts.shape[2:]), dtype=np.float32)
    count = np.zeros(length, dtype=np.float32)
    for part, start in zip(parts, np.asarray(starts).tolist()):
        stop = min(start + parts.shape[1], length)
        total[start + 1 : stop] += part[1 : stop - start]
        count[start + 1 : stop] += 1
    for part, start in zip(parts, np.asarray(starts).tolist()):
        if start < length and count[start] == 0:
            total[start], count[start] = part[0], 1
    return total / np.maximum(count, 1).reshape(-1, *[1] * (total.ndim - 1))


def kinds(states: np.ndarray) -> np.ndarray:
    """(T, V) int: the kind of each cell of states (T, V)."""
    states = np.asarray(states)
    return np.where(states < SILENT, BEGINS, np.where(expanded(states) == SILENT, QUIET, SOUNDS))


# -- choosing -------------------------------------------------------------------------------------------------------


def edited(
    source: np.ndarray,
    before: Chances,
    after: Chances,
    *,
    layout: Layout,
    free: np.ndarray | None = None,
    harmony: np.ndarray | None = None,
    weight: float | np.ndarray = WEIGHT,
    lean: Lean | None = None,
    temperature: float = 0.0,
    seed: int = 0,
) -> np.ndarray:
    """States of an edited song.

    Parameters
    ----------
    source : (T, V) uint8, states of the song
    before, after : expectations from the codes of the song, and from the edited ones
    free : (T, V) bool, optional
        Cells that may change; all, if not given.
    harmony : (T, 12), optional
        How much each pitch class sounds around a step, 1 for the strongest.
    weight : nats by which what the source does is preferred, one or (T, V); higher changes less
    lean : nats added to kinds and pitches (`style/latent_lean.py`)
    temperature : noise on the scores, for variants; 0: none

    Returns
    -------
    np.ndarray, shape=(T, V), uint8
    """
    rng = np.random.default_rng(seed)
    own, free = kinds(source), np.ones(source.shape, dtype=bool) if free is None else free
    floor, pitch_floor = (KIND_FLOOR, PITCH_FLOOR) if lean is None else (FINE_FLOOR, FINE_FLOOR)
    score = np.log((after.kind + floor) / (1 + floor))
    mine = np.log((after.kind + KIND_FLOOR) / (before.kind + KIND_FLOOR))
    weight = np.broadcast_to(np.asarray(weight, dtype=np.float32), source.shape)
    here = np.take_along_axis(mine, own[..., None], -1) + weight[..., None]
    np.put_along_axis(score, own[..., None], here, axis=-1)
    if lean is not None:
        score = score + lean.kind
    kind = np.where(free, _best(score, temperature, rng), own)
    bonus = _harmony(harmony, layout)
    told = own == BEGINS
    pitch = np.log((after.pitch + pitch_floor) / (1 + pitch_floor)) + bonus
    t, v = np.nonzero(told)
    p = source[t, v]  # needs no harmony to stay
    pitch[t, v, p] = np.log((after.pitch[t, v, p] + PITCH_FLOOR) / (before.pitch[t, v, p] + PITCH_FLOOR)) + weight[t, v]
    if lean is not None:
        pitch = pitch + lean.pitch
    pitch = np.where(told & ~free, source, _best(pitch, temperature, rng))
    return _states(kind, pitch, rests=own == QUIET, goes_on=after.goes_on, free=free)


def mixed(
    first: np.ndarray,
    second: np.ndarray,
    between: Chances,
    share: np.ndarray,
    *,
    layout: Layout,
    free: np.ndarray | None = None,
    harmony: np.ndarray | None = None,
    pull: float = PULL,
    temperature: float = 0.0,
    seed: int = 0,
) -> np.ndarray:
    """States (T, V) on the way from `first` to `second`, (T, V) each, as far as `share` (T,), 0..1, says.

    `between` are the expectations from codes between theirs; cells that are not `free` are silent between the two; the
    rest as in `edited`.
    """
    rng = np.random.default_rng(seed)
    share = np.broadcast_to(share, len(first)).astype(np.float64)[:, None]
    pulls = [(first, pull * (1 - share)), (second, pull * share)]
    score = np.log(between.kind + KIND_FLOOR)
    pitch = np.log(between.pitch + PITCH_FLOOR) + _harmony(harmony, layout)
    for states, strength in pulls:
        own = kinds(states)[..., None]
        np.put_along_axis(score, own, np.take_along_axis(score, own, -1) + strength[..., None], axis=-1)
        t, v = np.nonzero(states < SILENT)
        pitch[t, v, states[t, v]] += strength[t, 0]
    rests = np.where(share < 0.5, kinds(first), kinds(second)) == QUIET
    kind = _best(score, temperature, rng)
    kind = np.where(free, kind, QUIET) if free is not None else kind
    found = _states(kind, _best(pitch, temperature, rng), rests=rests, goes_on=between.goes_on, free=free)
    found = np.where(share <= 0, first, found)
    return np.where(share >= 1, second, found).astype(np.uint8)


def drawn(
    log_probabilities: np.ndarray, *, temperature: float = 0.0, hold_bias: float = 0.0, seed: int = 0
) -> np.ndarray:
    """States (T, V) of log-probabilities (T, V, 130): the likeliest, or drawn at a `temperature` above 0.

    `hold_bias` nats are added to hold; below 0 more happens.
    """
    scores = np.array(log_probabilities, dtype=np.float64)
    scores[..., HOLD] += hold_bias
    states = _best(scores, temperature, np.random.default_rng(seed)).astype(np.uint8)
    begins = states < SILENT
    return _told(held(expanded(states), attack=begins))


def _best(score: np.ndarray, temperature: float, rng: np.random.Generator) -> np.ndarray:
    """Index of the highest score of the last axis; with Gumbel noise that is a draw from their soft maximum."""
    if temperature > 0:
        score = score + temperature * rng.gumbel(size=score.shape)
    return score.argmax(axis=-1)


def _harmony(harmony: np.ndarray | None, layout: Layout) -> np.ndarray | float:
    """(T, V, 128) or 0: what a pitch gains by its class; drums have none."""
    if harmony is None:
        return 0.0
    gain = HARMONY * np.log((np.asarray(harmony, dtype=np.float32) + RARE) / (1 + RARE))
    gain = gain[:, np.arange(128) % 12]  # (T, 128)
    return gain[:, None, :] * layout.pitched[None, :, None]


def _states(
    kind: np.ndarray, pitch: np.ndarray, *, rests: np.ndarray, goes_on: np.ndarray, free: np.ndarray | None
) -> np.ndarray:
    """States of kinds and pitches (T, V). A note that begins where the source is silent (`rests`) gets a tail."""
    begins = kind == BEGINS
    place = np.arange(len(kind))[:, None]
    last = np.maximum.accumulate(np.where(begins, place, -LONGEST_TAIL - 1), axis=0)  # where the last note began
    tail = (kind == QUIET) & rests & goes_on & (place - last <= LONGEST_TAIL)
    if free is not None:
        tail &= free
    silent = (kind == QUIET) & ~tail
    broken = np.maximum.accumulate(np.where(silent, place, -1), axis=0)  # the last silence ends what sounded before
    alive = last > broken
    begun_quiet = np.take_along_axis(rests, np.maximum(last, 0), axis=0)  # only notes new in a silence have tails
    silent |= tail & ~begun_quiet
    broken = np.maximum.accumulate(np.where(silent, place, -1), axis=0)
    alive = last > broken
    sounding = np.where(alive, np.take_along_axis(pitch, np.maximum(last, 0), axis=0), SILENT)
    return _told(held(sounding.astype(np.uint8), attack=begins))


def _told(states: np.ndarray) -> np.ndarray:
    """The first step says what it is; it has nothing to hold."""
    states[0] = np.where(states[0] == HOLD, SILENT, states[0])
    return states
