"""Beats and bars of played notes.

Job
    Find where the beats and bar lines of a performance lie when nobody tells, from the notes alone, and give a
    performance a clock (`TempoMap`) in which every tracked downbeat is a bar line.

Method
    1. Onsets closer than a spread chord become one event with a weight (how many notes, how loud, how low).
    2. A hidden Markov model reads the events one by one. Its state is the position of the event inside the beat
       (eighths or sixths of a beat) and the tempo. The tempo drifts; an interval that does not fit costs; fine
       subdivisions cost more than coarse ones; every beat that passes costs, so that a tempo twice too fast
       pays in beats and one twice too slow pays in subdivisions. Heavy events are drawn to the beat.
       The best path (Viterbi) gives each event a place in the score, and by interpolation each beat a time.
    3. Beats are grouped into bars of 2, 3 or 4 by what musicians hear as a downbeat (bass notes, changes of
       harmony, long notes, accents) and by how well the piece repeats itself at that distance; beats that are
       mostly divided in three make a compound metre.

Sources
    The metrical hidden Markov model follows the idea of C. Raphael, 'Automated rhythm transcription' (ISMIR
    2001) and E. Nakamura, K. Yoshii, S. Sagayama, 'Rhythm transcription of polyphonic piano music based on
    merged-output HMM' (IEEE/ACM TASLP 25(4), 2017); the choice of metre by non-local evidence that of K. Shibata,
    E. Nakamura, K. Yoshii, 'Non-local musical statistics as guides for audio-to-score piano transcription'
    (Information Sciences 566, 2021). Here the position runs inside one beat and the bar is decided afterwards:
    the state space is fourteen positions by sixty tempos, small enough for plain numpy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spartito.errors import NotesError, ParameterError
from spartito.notes.notes import Notes
from spartito.notes.quantize import chord_groups
from spartito.notes.tempo import DEFAULT_TICKS_PER_QUARTER, TempoMap, TimeSignature

__all__ = ["Beats", "beats_from_tempo_map", "beats_from_times", "estimate_beats", "pitched", "with_beats"]


@dataclass(frozen=True, eq=False)
class Beats:
    """Beats of a piece, in the performance and in the score.

    Attributes
    ----------
    times : np.ndarray, shape=(n,), seconds, rising
    quarters : np.ndarray, shape=(n,), quarter notes, rising
        Place in the score; 0 is the first downbeat, a pick-up is negative.
    positions : np.ndarray, shape=(n,), int
        Place in the bar, in beats; 0 is a downbeat.
    signatures : tuple of (beat index, numerator, denominator)
        Time signature from that beat on; the first index is 0.
    """

    times: np.ndarray
    quarters: np.ndarray
    positions: np.ndarray
    signatures: tuple[tuple[int, int, int], ...] = ((0, 4, 4),)

    def __post_init__(self):
        times = np.asarray(self.times, dtype=np.float64)
        quarters = np.asarray(self.quarters, dtype=np.float64)
        positions = np.asarray(self.positions, dtype=np.int64)
        if not len(times) == len(quarters) == len(positions) >= 2:
            raise ParameterError(f"at least two beats with time and place are needed, not {len(times)}")
        if not (np.isfinite(times).all() and (np.diff(times) > 0).all() and (np.diff(quarters) > 0).all()):
            raise ParameterError("beats must come in rising order")
        if not (positions == 0).any():
            raise ParameterError("one of the beats must be a downbeat")
        for name, value in (("times", times), ("quarters", quarters), ("positions", positions)):
            object.__setattr__(self, name, value)

    @property
    def downbeats(self) -> np.ndarray:
        """(bars,) seconds."""
        return self.times[self.positions == 0]

    def to_quarters(self, seconds) -> np.ndarray:
        """Score position in quarter notes of each time; outside the beats the nearest tempo goes on."""
        return _extrapolated(np.asarray(seconds, dtype=np.float64), self.times, self.quarters)

    def to_seconds(self, quarters) -> np.ndarray:
        """Time in seconds of each score position in quarter notes."""
        return _extrapolated(np.asarray(quarters, dtype=np.float64), self.quarters, self.times)

    @property
    def tempo(self) -> float:
        """Typical tempo, quarter notes per minute."""
        return float(60.0 / np.median(np.diff(self.times) / np.diff(self.quarters)))


def _extrapolated(x: np.ndarray, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Linear interpolation of ys over xs; beyond the ends with the median slope of the four nearest pieces."""
    slopes = np.diff(ys) / np.diff(xs)
    y = np.interp(x, xs, ys)
    y = np.where(x < xs[0], ys[0] + (x - xs[0]) * np.median(slopes[:4]), y)
    return np.where(x > xs[-1], ys[-1] + (x - xs[-1]) * np.median(slopes[-4:]), y)


def pitched(notes: Notes) -> Notes:
    """The notes that are no drums."""
    drums = [i for i, t in enumerate(notes.tracks) if t.is_drum]
    return notes.select(~np.isin(notes.array["track"], drums)) if drums else notes


def beats_from_times(times, positions, *, numerator: int, denominator: int) -> Beats:
    """Beats tracked elsewhere (times in seconds, positions in the bar with 0 = downbeat) under one metre."""
    positions = np.asarray(positions, dtype=np.int64)
    if not (positions == 0).any():
        raise ParameterError("one of the beats must be a downbeat")
    length = 4.0 * numerator / denominator / (positions.max() + 1)  # quarters per beat
    quarters = (np.arange(len(positions)) - int(np.argmax(positions == 0))) * length
    return Beats(np.asarray(times), quarters, positions, ((0, numerator, denominator),))


# -- the clock of a file ------------------------------------------------------------------------------------

GRID_SHARE = 0.85  # share of onsets that must fall on the file's own grid for it to be believed
GRID_TOLERANCE = 0.035  # quarter notes off the grid that still count as on it: a third of what chance would give


def beats_from_tempo_map(notes: Notes) -> Beats | None:
    """Beats of the notes' own tempo map if the onsets agree with it, else None.

    They agree when `GRID_SHARE` of the onsets lie within `GRID_TOLERANCE` of a sixteenth or an eighth triplet:
    24 % + 21 % would by chance, so a performance recorded against an idle clock never does.
    """
    notes = pitched(notes)
    if len(notes) < 2:
        return None
    clock = notes.tempo_map
    onsets = clock.seconds_to_quarters(notes.onset)
    off = np.minimum(np.abs(onsets * 4 - np.round(onsets * 4)) / 4, np.abs(onsets * 3 - np.round(onsets * 3)) / 3)
    if np.mean(off <= GRID_TOLERANCE) < GRID_SHARE:
        return None
    signatures = list(clock.time_signatures) or [TimeSignature(0, 4, 4)]
    if signatures[0].tick > 0:
        signatures.insert(0, TimeSignature(0, 4, 4))
    end = float(clock.seconds_to_quarters(notes.duration)) + 8.0
    quarters, positions, marks = [], [], []
    for i, signature in enumerate(signatures):
        start = signature.tick / clock.ticks_per_quarter
        stop = signatures[i + 1].tick / clock.ticks_per_quarter if i + 1 < len(signatures) else max(end, start + 8)
        if stop <= start:
            continue
        length = beat_length(signature.numerator, signature.denominator)
        place = np.arange(start, stop - 1e-6, length)
        marks.append((len(quarters), signature.numerator, signature.denominator))
        quarters.extend(place)
        positions.extend(np.arange(len(place)) % max(1, round(signature.quarters / length)))
    quarters = np.array(quarters)
    return Beats(clock.quarters_to_seconds(quarters), quarters, np.array(positions), tuple(marks))


def beat_length(numerator: int, denominator: int) -> float:
    """Quarter notes per beat: three eighths in 6/8, 9/8, 12/8, else the written unit."""
    unit = 4.0 / denominator
    return 3 * unit if numerator % 3 == 0 and numerator > 3 and denominator >= 8 else unit


# -- events -------------------------------------------------------------------------------------------------

SALIENCE_WINDOW = 8.0  # seconds on either side in which events are compared with one another


def _events(notes: Notes) -> tuple[np.ndarray, np.ndarray]:
    """Times (m,) in seconds and weights (m,), standardised among neighbours, of the chords of `notes`."""
    group = chord_groups(notes.onset)
    count = np.bincount(group)
    time = np.bincount(group, weights=notes.onset) / count
    loud = np.bincount(group, weights=notes.velocity / 64.0)
    low = np.full(len(count), 127.0)
    np.minimum.at(low, group, notes.pitch)
    length = np.zeros(len(count))
    np.maximum.at(length, group, notes.offset - notes.onset)
    weight = np.log2(1 + loud) + (60.0 - low) / 24.0 + 0.5 * np.log2(0.1 + np.minimum(length, 2.0))
    return time, _standardised(time, weight)


def _standardised(time: np.ndarray, value: np.ndarray) -> np.ndarray:
    """`value` minus its mean, over its deviation, among the events within `SALIENCE_WINDOW`."""
    lo = np.searchsorted(time, time - SALIENCE_WINDOW)
    hi = np.searchsorted(time, time + SALIENCE_WINDOW, side="right")
    sums = np.concatenate([[0.0], np.cumsum(value)])
    squares = np.concatenate([[0.0], np.cumsum(value**2)])
    mean = (sums[hi] - sums[lo]) / (hi - lo)
    deviation = np.sqrt(np.maximum((squares[hi] - squares[lo]) / (hi - lo) - mean**2, 0.0))
    return np.clip((value - mean) / (deviation + 0.2), -2.5, 2.5)


# -- tracking -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrackerConfig:
    """Costs of the beat tracker, in nats. Set by hand and by search over performances outside the benchmark."""

    slowest: float = 1.6  # seconds per beat
    fastest: float = 0.25
    tempo_step: float = 0.03  # ratio between neighbouring tempos, minus one
    tempo_reach: int = 5  # steps the tempo may move from one event to the next
    drift: float = 0.07  # deviation of the tempo (ratio) over one beat
    jitter: float = 0.018  # seconds, deviation of an onset
    stretch: float = 0.03  # deviation of an interval, relative to it
    beat: float = 0.9  # for every beat that passes
    switch: float = 2.5  # for changing between binary and ternary division
    pull: float = 0.5  # weight of an event's salience on the beat
    centre: float = 0.62  # seconds per beat, the preferred tempo
    width: float = 0.45  # octaves, deviation of the preference
    # cost of an event at each eighth of a beat, then at each sixth
    eighths: tuple[float, ...] = (0.2, 5.0, 2.6, 5.0, 1.0, 5.0, 2.6, 5.0)
    sixths: tuple[float, ...] = (0.5, 4.5, 1.9, 4.5, 1.9, 4.5)


DEFAULT_TRACKER = TrackerConfig()


def _track(time: np.ndarray, weight: np.ndarray, config: TrackerConfig) -> np.ndarray:
    """Score position, in beats, of each event (m,): the best path through positions and tempos."""
    period = np.exp(np.arange(np.log(config.fastest), np.log(config.slowest), np.log1p(config.tempo_step)))
    phase = np.concatenate([np.arange(8) / 8, np.arange(6) / 6])  # (P,) beats
    ternary = np.arange(14) >= 8
    place_cost = np.concatenate([config.eighths, config.sixths])
    on_beat = phase == 0
    half = np.isclose(phase, 0.5)
    p, v = len(phase), len(period)

    move = phase[:, None] - phase[None, :]  # (to, from) beats, before whole beats are added
    same = ternary[:, None] == ternary[None, :]
    # a change of division needs a beat between, or starts on one
    least = np.where(same | on_beat[None, :], np.where(move > 0, 0, 1), np.where(move > 0, 1, 1))
    switching = np.where(same, 0.0, config.switch)
    shifts = np.arange(-config.tempo_reach, config.tempo_reach + 1)
    source = np.arange(v)[:, None] - shifts[None, :]  # (V, shifts) tempo before
    outside = (source < 0) | (source >= v)
    source = np.clip(source, 0, v - 1)
    shift_cost = (shifts * np.log1p(config.tempo_step)) ** 2 / (2 * config.drift**2)
    preference = (np.log2(period / config.centre) / config.width) ** 2 / 2  # (V,)

    # a heavy event is drawn to the beat, a light one away from it
    attraction = np.where(on_beat, 1.0, np.where(half, 0.0, -0.6)) * config.pull
    best = place_cost[:, None] - attraction[:, None] * weight[0] + preference[None, :]
    back = np.zeros((len(time), p, v), dtype=np.int16)
    crossed = np.zeros((len(time), p, v), dtype=np.int16)  # whole beats passed, for the chosen step
    rows, columns = np.arange(p)[:, None], np.arange(v)[None, :]
    for i in range(1, len(time)):
        interval = time[i] - time[i - 1]
        elapsed = interval / period  # (V,) beats
        cost = shift_cost[None, :] / np.clip(elapsed, 0.15, 4.0)[:, None]
        cost[outside] = np.inf
        options = best[:, source] + cost[None]  # (P from, V, shifts)
        chosen = options.argmin(axis=2)
        arrived = np.take_along_axis(options, chosen[:, :, None], axis=2)[:, :, 0]  # (P from, V)
        whole = np.maximum(np.round(elapsed[None, None, :] - move[:, :, None]), least[:, :, None])
        error = interval - (whole + move[:, :, None]) * period[None, None, :]
        variance = config.jitter**2 + (config.stretch * interval) ** 2
        total = (
            arrived[None]
            + error**2 / (2 * variance)
            + whole * (config.beat + 0.15 * preference[None, None, :])
            + (switching + 0.0)[:, :, None]
        )
        came = total.argmin(axis=1)  # (P to, V)
        best = total[rows, came, columns] + place_cost[:, None] - attraction[:, None] * weight[i]
        tempo = source[columns, chosen[came, columns]]
        back[i] = came * v + tempo
        crossed[i] = np.minimum(whole[rows, came, columns], 32000)
    position = np.zeros(len(time))
    a, b = np.unravel_index(best.argmin(), best.shape)
    steps = np.zeros(len(time))
    for i in range(len(time) - 1, 0, -1):
        before, tempo = divmod(int(back[i, a, b]), v)
        steps[i] = crossed[i, a, b] + phase[a] - phase[before]
        a, b = before, tempo
    position[:] = phase[a] + np.cumsum(steps)
    return position


def _beat_times(time: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, int]:
    """Times of the whole beats from just before the first event to just after the last, and the first's number."""
    first, last = int(np.floor(position[0] + 1e-6)), int(np.ceil(position[-1] - 1e-6))
    last = max(last, first + 1)
    return _extrapolated(np.arange(first, last + 1), position, time), first


# -- metre --------------------------------------------------------------------------------------------------

TEMPLATES = {  # expected strength of the beats of a bar; standardised before use
    2: (1.0, -1.0),
    3: (1.0, -0.5, -0.5),
    4: (1.0, -0.7, 0.3, -0.6),
}
METRE_PRIOR = {2: 0.0, 3: -0.02, 4: 0.06}  # added to the mean agreement per beat
REPETITION = 0.6  # weight of repetition at the distance of a bar


def _strengths(notes: Notes, position: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """How much each beat (count,) sounds like a downbeat, and a pattern (count, 24) of what happens in it.

    `position` ((n,) beats, from 0) is the place of every note.
    """
    near = np.clip(np.round(position).astype(int), 0, count - 1)
    on = np.abs(position - near) < 0.12
    pitch, velocity = notes.pitch.astype(float), notes.velocity.astype(float)
    length = np.minimum(notes.offset - notes.onset, 3.0)
    low = np.full(count, 90.0)
    np.minimum.at(low, near[on], pitch[on])
    loud = np.zeros(count)
    np.add.at(loud, near[on], velocity[on] / 64)
    longest = np.zeros(count)
    np.maximum.at(longest, near[on], length[on])
    beat = np.clip(np.floor(position + 0.06).astype(int), 0, count - 1)
    chroma = np.zeros((count, 12))
    np.add.at(chroma, (beat, notes.pitch % 12), np.sqrt(np.maximum(length, 0.05)))
    rhythm = np.zeros((count, 12))
    np.add.at(rhythm, (beat, np.clip(((position + 0.06 - beat) * 12).astype(int), 0, 11)), 1.0)

    def smooth(x):
        padded = np.vstack([np.zeros((1, 12)), x, np.zeros((1, 12))])
        return padded[:-2], padded[2:]

    before, after = chroma.copy(), chroma.copy()
    before[1:] = chroma[:-1] + 0.0
    before[2:] += 0.5 * chroma[:-2]
    after[:-1] += 0.5 * chroma[1:]
    norm = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    change = 1 - np.sum(before * after, axis=1) / np.maximum(norm, 1e-9)

    def z(x):
        return np.clip((x - x.mean()) / (x.std() + 1e-6), -2.5, 2.5)

    strength = 0.9 * z(-low) + 0.9 * z(change) + 0.6 * z(loud) + 0.5 * z(np.log2(0.1 + longest))
    pattern = np.hstack([np.minimum(rhythm, 2.0), 0.7 * chroma / np.maximum(chroma.max(), 1e-9) * 3])
    return z(strength), pattern


def _group_bars(strength: np.ndarray, pattern: np.ndarray, *, sizes) -> tuple[int, int]:
    """Beats per bar and the number of the first downbeat (below one bar)."""
    count = len(strength)
    norm = np.linalg.norm(pattern, axis=1) + 1e-9
    scores = {}
    for size in sizes:
        template = np.array(TEMPLATES[size])
        template = (template - template.mean()) / template.std()
        lag = np.sum(pattern[size:] * pattern[:-size], axis=1) / (norm[size:] * norm[:-size])
        again = float(lag.mean()) if len(lag) else 0.0
        for first in range(size):
            agreement = float(np.mean(strength * template[(np.arange(count) - first) % size]))
            scores[size, first] = agreement + REPETITION * again + METRE_PRIOR[size]
    return max(scores, key=scores.get)


def estimate_beats(
    notes: Notes,
    *,
    tempo_hint: float | None = None,
    time_signature: tuple[int, int] | None = None,
    config: TrackerConfig = DEFAULT_TRACKER,
) -> Beats:
    """Beats, bars and metre heard in the notes alone.

    Parameters
    ----------
    notes : Notes
        Drum tracks are left out.
    tempo_hint : float, optional
        Beats per minute; the tracker stays within a third of it.
    time_signature : (int, int), optional
        Numerator and denominator, when known.

    Raises
    ------
    NotesError
        When there are no notes.
    """
    notes = pitched(notes)
    if len(notes) == 0:
        raise NotesError("no notes: beats can only be found in a piece that has some")
    if tempo_hint is not None:
        if not 20 <= tempo_hint <= 400:
            raise ParameterError(f"a tempo hint lies between 20 and 400 beats per minute, not {tempo_hint:g}")
        period = 60.0 / tempo_hint
        config = replace(
            config, fastest=period / 1.5, slowest=period * 1.5, centre=period, width=config.width / 3
        )
    time, weight = _events(notes)
    if len(time) < 3:  # too few to have a tempo: the first opens a bar, at a walking pace
        quarter = 60.0 / (tempo_hint or 96.0)
        numerator, denominator = time_signature or (4, 4)
        length = beat_length(numerator, denominator)
        n = 1 + int(np.ceil((notes.duration - time[0] + 1e-9) / (quarter * length)))
        size = max(1, round(4 * numerator / denominator / length))
        return Beats(
            time[0] + quarter * length * np.arange(max(n, 2)),
            length * np.arange(max(n, 2)),
            np.arange(max(n, 2)) % size,
            ((0, numerator, denominator),),
        )
    position = _track(time, weight, config)
    times, first = _beat_times(time, position)
    position -= first
    note_position = _extrapolated(notes.onset, times, np.arange(len(times), dtype=float))
    strength, pattern = _strengths(notes, note_position, len(times))
    if time_signature is None:
        size, offset = _group_bars(strength, pattern, sizes=(2, 3, 4))
        compound = _ternary_share(position) > 0.6
        numerator, denominator = (3 * size, 8) if compound else (size, 4)
        if compound and size == 4:
            numerator = 12
    else:
        numerator, denominator = time_signature
        size = max(1, round(4 * numerator / denominator / beat_length(numerator, denominator)))
        sizes = (size,) if size in TEMPLATES else (2,)
        _, offset = _group_bars(strength, pattern, sizes=sizes)
    length = 4.0 * numerator / denominator / size
    number = np.arange(len(times)) - offset
    return Beats(times, number * length, number % size, ((0, numerator, denominator),))


def _ternary_share(position: np.ndarray) -> float:
    """Share of the divided beats whose events lie on thirds or sixths rather than on halves or quarters."""
    part = position - np.floor(position + 1e-6)
    beat = np.floor(position + 1e-6).astype(int)
    third = np.minimum(np.abs(part - 1 / 3), np.abs(part - 2 / 3)) < 0.02
    quarter = np.minimum(np.minimum(np.abs(part - 0.25), np.abs(part - 0.75)), np.abs(part - 0.5)) < 0.02
    thirds = len(np.unique(beat[third]))
    others = len(np.setdiff1d(np.unique(beat[quarter]), np.unique(beat[third])))
    return thirds / max(1, thirds + others)


# -- a clock for the performance ----------------------------------------------------------------------------

START_TOLERANCE = 0.03  # seconds; a first beat this close to second 0 is put there, as nothing can come before


def with_beats(notes: Notes, beats: Beats) -> Notes:
    """The same notes at the same seconds, with a tempo map in which every downbeat of `beats` is a bar line.

    Second 0 stays second 0. The time before the first beat is filled with its own tempo so that the first
    downbeat opens a measure; beats before second 0 are dropped.
    """
    keep = beats.times > START_TOLERANCE
    times, quarters = beats.times[keep], beats.quarters[keep]
    if len(times) < 2:
        raise ParameterError("at least two beats after the start of the recording are needed")
    ticks_per_quarter = DEFAULT_TICKS_PER_QUARTER
    numerator, denominator = beats.signatures[0][1:]
    bar = 4.0 * numerator / denominator
    pace = float(np.median(np.diff(beats.times) / np.diff(beats.quarters)))  # seconds per quarter
    kept_down = np.flatnonzero(beats.positions[keep] == 0)
    origin = quarters[kept_down[0]] if len(kept_down) else 0.0
    dropped = beats.times[~keep]
    if len(dropped) and dropped[-1] >= -START_TOLERANCE and beats.positions[~keep][-1] == 0:
        start = beats.quarters[~keep][-1]  # a downbeat at second 0 itself
    else:
        wanted = quarters[0] - times[0] / pace  # where second 0 would lie at the usual tempo
        bars = max(1, int(round((origin - wanted) / bar)))
        bars = max(bars, int(np.ceil((origin - quarters[0] + 1e-6) / bar)))
        start = origin - bars * bar
        if start >= quarters[0] - 1e-9:
            start -= bar
    knots = np.concatenate([[start], quarters]) - start  # quarter notes from tick 0
    ticks = np.round(knots * ticks_per_quarter)
    seconds = np.concatenate([[0.0], times])
    # whole microseconds per quarter, as a file stores them; each rounds away the error of those before
    changes, reached = [], 0.0
    for i in range(len(ticks) - 1):
        span = (ticks[i + 1] - ticks[i]) / ticks_per_quarter
        tempo = max(1.0, round((seconds[i + 1] - reached) / span * 1e6))
        reached += tempo * 1e-6 * span
        if not changes or changes[-1][1] != tempo:
            changes.append((ticks[i], tempo))
    marks = [TimeSignature(0, numerator, denominator)]
    for index, top, bottom in beats.signatures[1:]:
        tick = round((beats.quarters[index] - start) * ticks_per_quarter)
        if tick > 0:
            marks.append(TimeSignature(int(tick), top, bottom))
    clock = TempoMap(
        ticks_per_quarter=ticks_per_quarter,
        changes=np.array(changes),
        time_signatures=tuple(marks),
        key_signatures=(),
    )
    return replace(notes, tempo_map=clock)
