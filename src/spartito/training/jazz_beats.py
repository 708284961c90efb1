"""Beats of solo jazz piano: a tracker that knows swing, for performances without any grid.

Job
    `track_jazz` gives beats and downbeats of a performance in four, and for every beat how far it can be trusted, so
    that what is played freely can be left out. For making training data; `analysis.beats` is the tracker for
    everybody's files, and it was trained on classical and pop pieces.

Method
    1. Attacks in two classes, with a low note and without, on frames of 10 ms (20 ms in a first, coarse look).
    2. A beat of a given length explains the attacks inside it by a density over its phase: most on the beat, many on
       the second quaver, straight or swung, few elsewhere; low notes nearly all on the beat. The logarithm of this
       density, laid against the attacks, gives the worth of a beat of every length at every frame (convolution by FFT).
    3. The best chain of beats: dynamic programming over start and length, where neighbours of unlike length cost, and
       very short and long beats, too. All starts within the shortest beat are done at once. A second look allows only
       lengths near the typical one.
    4. Beat times are drawn to the attacks that lie on them and smoothed.
    5. Downbeats: change of harmony, low notes and long notes speak for a place in the bar of four; a path over the four
       places that seldom jumps.
    6. Trust in a beat: how much better than chance the attacks around it lie on the grid, how even the beats are, and
       how sure the downbeats.

Source
    Beats as a chain by dynamic programming: D. P. W. Ellis, 'Beat tracking by dynamic programming' (Journal of New
    Music Research 36(1), 2007); position in the beat as a hidden state with observation densities: F. Krebs, S. Böck,
    G. Widmer, 'An efficient state-space model for joint tempo and meter tracking' (ISMIR 2015). Here a whole beat is
    one state with a length, the density is made for swing, and the numbers are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spartito.errors import NotesError
from spartito.notes.notes import Notes
from spartito.notes.quantize import chord_groups

__all__ = ["JazzBeats", "JazzTracker", "track_jazz"]

RATE = 100  # frames per second
COARSE = 50  # of the first look
SPAN = (0.2, 1.2)  # s, shortest and longest beat: 300 to 50 a minute
NEIGHBOURS = 6  # lengths on either side that the next beat may have
LOW = 50  # MIDI number below which a note is bass
MIDDLE = 60  # MIDI number below which a note is the left hand's
BAR_SHAPE = (1.0, -0.5, 0.0, -0.3)  # what speaks for a downbeat speaks against the beats beside it
AROUND = 16  # beats before and after over which trust is measured


@dataclass(frozen=True)
class JazzTracker:
    """Numbers of the tracker; chosen on pieces that the genre models never see (DisklavierJazz)."""

    spread: float = 0.022  # s, deviation of an attack from its place
    relative: float = 0.03  # of a beat, added to it
    # phase of the beat and share of attacks there: without and with a low note
    upper: tuple[tuple[float, float], ...] = (
        (0.0, 0.42),
        (0.5, 0.13),
        (0.6, 0.1),
        (0.67, 0.15),
        (0.33, 0.05),
        (0.25, 0.02),
        (0.75, 0.02),
    )
    lower: tuple[tuple[float, float], ...] = ((0.0, 0.65), (0.5, 0.06), (0.6, 0.04), (0.67, 0.06))
    weight: float = 0.5  # of an attack: neighbours are no independent witnesses
    rough_change: float = 30.0  # nats per unit of the logarithm of the ratio of neighbouring beats, at first
    change: float = 40.0  # and in the fine look
    near: float = 1.3  # ratio to the typical beat that the fine look allows
    usual: float = 0.42  # s, the most likely beat
    width: float = 0.45  # standard deviation of the logarithm of beats around it
    prior: float = 0.35  # weight of that
    jump: float = 10.0  # price of a jump of the downbeat, standard deviations of the evidence on a beat


DEFAULT_JAZZ_TRACKER = JazzTracker()


@dataclass(frozen=True, eq=False)
class JazzBeats:
    """Beats of one performance.

    Attributes
    ----------
    times : np.ndarray, shape=(b,), seconds
    positions : np.ndarray, shape=(b,)
        Beat in the bar of four, 0 = downbeat.
    fit : np.ndarray, shape=(b,)
        How well the attacks of the beat lie on the grid: 0 as by chance, 1 perfectly; over eight bars.
    even : np.ndarray, shape=(b,)
        Deviation of the lengths of the beats around it from their running median, share of a beat.
    sure : np.ndarray, shape=(b,)
        How much more evidence per bar there is for its place than for the next best, over eight bars.
    four : float
        How much better bars of four explain the evidence than bars of three; below 0: rather a waltz.
    """

    times: np.ndarray
    positions: np.ndarray
    fit: np.ndarray
    even: np.ndarray
    sure: np.ndarray
    four: float


def track_jazz(notes: Notes, *, config: JazzTracker = DEFAULT_JAZZ_TRACKER) -> JazzBeats:
    """Beats and downbeats of a performance in four. Raises NotesError when it is too short to have any."""
    onset = notes.onset
    if len(onset) < 16 or onset[-1] - onset[0] < 4.0:
        raise NotesError("at least 16 notes over 4 seconds are needed to find beats")
    group = chord_groups(onset)
    first = np.flatnonzero(np.diff(group, prepend=-1))
    count = np.diff(np.append(first, len(onset)))
    time = np.add.reduceat(onset, first) / count  # (m,) s
    lowest = np.minimum.reduceat(notes.pitch.astype(np.int64), first)
    loud = np.maximum.reduceat(notes.velocity.astype(np.float64), first) / max(np.median(notes.velocity), 1.0)
    strength = config.weight * np.minimum(loud, 1.5) * (1.0 + 0.2 * np.minimum(count - 1, 3))
    start = time[0] - 0.1
    bass = lowest < LOW
    times = _beats(time - start, np.stack([strength * ~bass, strength * bass]), config) + start
    times = _drawn(times, time, strength, config)
    positions, sure, four = _places(times, notes, config)
    return JazzBeats(times, positions, *_trust(times, time), sure, four)


# -- beats ----------------------------------------------------------------------------------------------------


def _density(phase: np.ndarray, length: float, peaks, config: JazzTracker) -> np.ndarray:
    """Density of attacks over the phase (mean 1) of beats of `length` seconds."""
    width = np.hypot(config.spread / length, config.relative)
    away = np.mod(phase[:, None] - np.array([p for p, _ in peaks]) + 0.5, 1.0) - 0.5
    bumps = np.exp(-0.5 * (away / width) ** 2) / (width * np.sqrt(2 * np.pi))
    share = np.array([s for _, s in peaks])
    return bumps @ share + 1.0 - share.sum()


@lru_cache(maxsize=16)
def _templates(rate: int, lengths: tuple[int, ...], size: int, config: JazzTracker) -> np.ndarray:
    """(lengths, 2, bins) conjugate spectra of the logarithms of both densities."""
    out = np.zeros((len(lengths), 2, size // 2 + 1), dtype=np.complex64)
    for row, length in zip(out, lengths, strict=True):
        phase = np.arange(length) / length
        for spectrum, peaks in zip(row, (config.upper, config.lower), strict=True):
            spectrum[:] = np.conj(np.fft.rfft(np.log(_density(phase, length / rate, peaks, config)), size))
    return out


def _worth_of_beats(time: np.ndarray, strength: np.ndarray, rate: int, lengths: tuple[int, ...], config) -> np.ndarray:
    """(frames, lengths): how well a beat that begins at each frame, of each length, explains the attacks in it.

    `time` (m,) seconds from the first frame; `strength` (2, m) weights of attacks without and with a low note.
    """
    frames = int(np.ceil(time[-1] * rate)) + lengths[-1]
    at = np.round(time * rate).astype(np.int64)
    size = 1 << int(np.ceil(np.log2(frames + lengths[-1])))
    attacks = np.stack([np.bincount(at, weights=row, minlength=frames) for row in strength])
    spectrum = np.fft.rfft(attacks, size).astype(np.complex64)
    match = (_templates(rate, lengths, size, config) * spectrum).sum(axis=1)
    return np.fft.irfft(match, size)[:, :frames].T.astype(np.float32)


def _chain(worth: np.ndarray, lengths: np.ndarray, change: float) -> np.ndarray:
    """(b,) frames of the best chain of beats from the first seconds to the end.

    All frames within the shortest length are done at once; the next length is one of the `NEIGHBOURS` on either side.
    """
    frames, many = worth.shape
    block, longest = int(lengths[0]), int(lengths[-1])
    columns = np.arange(many)
    others = columns[:, None] + np.arange(-NEIGHBOURS, NEIGHBOURS + 1)  # (many, choices)
    cost = change * np.abs(np.log(lengths[np.clip(others, 0, many - 1)] / lengths[:, None])).astype(np.float32)
    cost[(others < 0) | (others >= many)] = np.inf
    others = np.clip(others, 0, many - 1)
    total = np.full((frames + longest + 1, many), -np.inf, dtype=np.float32)  # best chain whose last beat ended here
    back = np.zeros((frames, many), dtype=np.int8)  # choice of the length before; -1: a chain begins here
    free = 2 * longest  # frames in which a chain may begin
    for start in range(0, frames, block):
        stop = min(start + block, frames)
        step = total[start:stop][:, others] - cost
        choice = step.argmax(axis=2)
        best = np.take_along_axis(step, choice[..., None], axis=2)[..., 0]
        if start < free:
            choice[best < 0] = -1
            best = np.maximum(best, 0.0)
        back[start:stop] = choice
        total[np.arange(start, stop)[:, None] + lengths, columns] = best + worth[start:stop]
    last = np.arange(frames - longest, frames)  # the chain ends behind the last attack
    row, column = np.unravel_index(np.argmax(total[last]), (len(last), many))
    frame, column = int(last[row]), int(column)
    beats = [frame]
    while True:
        frame -= int(lengths[column])
        beats.append(frame)
        choice = int(back[frame, column])
        if choice < 0:
            return np.array(beats[::-1])
        column = int(others[column, choice])


def _beats(time: np.ndarray, strength: np.ndarray, config: JazzTracker) -> np.ndarray:
    """(b,) seconds from the first frame: beats of any length coarsely, then of nearly the length found, finely."""
    rough = np.unique(np.round(COARSE * np.geomspace(*SPAN, 40)).astype(int))
    worth = _worth_of_beats(time, strength, COARSE, tuple(rough.tolist()), config)
    unusual = np.log(rough / COARSE / config.usual) / config.width
    found = _chain(worth - config.prior * 0.5 * (unusual**2).astype(np.float32), rough, config.rough_change)
    typical = float(np.median(np.diff(found))) / COARSE
    span = typical / config.near, min(typical * config.near, SPAN[1] * 1.2)
    fine = np.unique(np.round(RATE * np.geomspace(*span, 24)).astype(int))
    worth = _worth_of_beats(time, strength, RATE, tuple(fine.tolist()), config)
    return _chain(worth, fine, config.change) / RATE


def _drawn(times: np.ndarray, attacks: np.ndarray, strength: np.ndarray, config: JazzTracker) -> np.ndarray:
    """Beat times moved to the attacks on them (weighted mean of what lies near) and smoothed a little."""
    number = np.clip(np.round(np.interp(attacks, times, np.arange(len(times)))).astype(int), 0, len(times) - 1)
    away = attacks - times[number]
    near = np.abs(away) < 2 * config.spread
    weight = np.bincount(number[near], weights=strength[near], minlength=len(times))
    shift = np.bincount(number[near], weights=(strength * away)[near], minlength=len(times))
    moved = times + shift / (weight + 0.3)
    smooth = moved.copy()
    smooth[1:-1] = 0.25 * moved[:-2] + 0.5 * moved[1:-1] + 0.25 * moved[2:]
    return smooth


# -- bars -----------------------------------------------------------------------------------------------------


def _places(times: np.ndarray, notes: Notes, config: JazzTracker) -> tuple[np.ndarray, np.ndarray, float]:
    """Place in the bar of each beat, (b,) 0..3, how sure, (b,) 0..1, and how much more it is in four than in three."""
    evidence = downbeat_evidence(times, notes)
    b = len(times)
    place = (np.arange(b)[:, None] + np.arange(4)) % 4  # of each beat on the four paths
    score = np.array(BAR_SHAPE)[place] * evidence[:, None]
    best, back = score[0], np.zeros((b, 4), dtype=np.int8)
    for i in range(1, b):  # four numbers per beat
        top = int(best.argmax())
        stay = best >= best[top] - config.jump
        back[i] = np.where(stay, np.arange(4), top)
        best = np.where(stay, best, best[top] - config.jump) + score[i]
    way = np.empty(b, dtype=np.int64)
    way[-1] = best.argmax()
    for i in range(b - 1, 0, -1):
        way[i - 1] = back[i, way[i]]
    total = np.pad(np.cumsum(np.pad(score, ((1, 0), (0, 0))), axis=0), ((AROUND, AROUND), (0, 0)), mode="edge")
    around = (total[2 * AROUND + 1 :] - total[: -2 * AROUND - 1])[:b] / AROUND * 2  # per bar, nearly
    own = around[np.arange(b), way]
    around[np.arange(b), way] = -np.inf
    sure = own - around.max(axis=1)
    return (np.arange(b) + way) % 4, sure, fold_strength(evidence, 4) - fold_strength(evidence, 3)


def fold_strength(evidence: np.ndarray, beats: int) -> float:
    """How much of the variance of the evidence a bar of so many beats explains, an F ratio (1 by chance)."""
    many = len(evidence) // beats
    if many < 2:
        return 1.0
    folded = evidence[: many * beats].reshape(many, beats)
    between = many * np.var(folded.mean(axis=0), ddof=1)
    within = np.mean(np.var(folded, axis=0, ddof=1))
    return float(between / max(within, 1e-9))


def downbeat_evidence(times: np.ndarray, notes: Notes) -> np.ndarray:
    """(b,) mean 0, deviation 1: change of harmony, low and long notes on each beat.

    Harmony is compared over one, two and four beats before and after, and over two beats in the left hand alone.
    """
    b = len(times)
    grid = np.interp(notes.onset, times, np.arange(b))
    beat = np.clip(np.floor(grid + 0.15).astype(int), 0, b - 1)  # a little early still belongs to the beat
    long = np.clip(np.interp(notes.offset, times, np.arange(b)) - grid, 0.1, 4.0)
    pitch = notes.pitch.astype(np.int64)
    weight = np.sqrt(long) * np.where(pitch < LOW, 1.5, 1.0)
    both = np.bincount(beat * 12 + pitch % 12, weights=weight, minlength=b * 12).reshape(b, 12)
    left = np.bincount(beat * 12 + pitch % 12, weights=weight * (pitch < MIDDLE), minlength=b * 12).reshape(b, 12)
    on = np.abs(grid - beat) < 0.15
    low, held, low_held = np.full(b, 128), np.zeros(b), np.zeros(b)
    np.minimum.at(low, beat[on], pitch[on])
    np.maximum.at(held, beat[on], long[on])
    np.maximum.at(low_held, beat[on & (pitch < LOW + 5)], long[on & (pitch < LOW + 5)])
    parts = [
        *((1.0, _novelty(both, beats)) for beats in (1, 2, 4)),
        (1.0, _novelty(left, 2)),
        (0.7, np.sqrt(held)),
        (0.7, np.sqrt(low_held)),
        (0.5, np.clip((60 - low) / 12.0, 0.0, 2.0)),
    ]
    total = sum(w * (p - p.mean()) / (p.std() + 1e-9) for w, p in parts)
    return (total - total.mean()) / (total.std() + 1e-9)


def _novelty(profile: np.ndarray, beats: int) -> np.ndarray:
    """(b,) 0..1: how unlike the pitch classes of the `beats` from each beat on are to those before it."""
    total = np.pad(np.cumsum(np.pad(profile, ((1, 0), (0, 0))), axis=0), ((beats, beats), (0, 0)), mode="edge")
    after = total[2 * beats : -1] - total[beats : -beats - 1]
    before = total[beats : -beats - 1] - total[: -2 * beats - 1]
    norm = np.linalg.norm(after, axis=1) * np.linalg.norm(before, axis=1)
    return 1.0 - (after * before).sum(axis=1) / np.maximum(norm, 1e-9)


# -- trust ----------------------------------------------------------------------------------------------------


def _trust(times: np.ndarray, attacks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit of the attacks and evenness of the beats, each (b,)."""
    b = len(times)
    length = np.diff(times)
    length = np.append(length, length[-1])
    place = np.interp(attacks, times, np.arange(b))
    beat = np.clip(place.astype(int), 0, b - 1)
    phase = place - beat
    slots = np.array([0.0, 0.5, 2 / 3, 1.0])
    away = np.abs(phase[:, None] - slots).min(axis=1)
    tolerance = np.minimum(0.03 / length[beat] + 0.02, 0.1)  # of a beat
    chance = np.minimum(6 * tolerance, 1.0)  # three slots, both sides
    hit = ((away < tolerance) - chance) / np.maximum(1.0 - chance, 0.05)
    total = np.bincount(beat, weights=hit, minlength=b)
    many = np.bincount(beat, minlength=b)
    window = np.ones(2 * AROUND + 1)
    fit = np.convolve(total, window, "same") / np.maximum(np.convolve(many, window, "same"), 1)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(length, 4, mode="edge"), 9)
    median = np.median(around, axis=1)
    even = np.median(np.abs(around / median[:, None] - 1.0), axis=1)
    return fit, even
