"""Swing, pushes and accents: where in the beat a genre plays, learned from its players.

Job
    `Feel.apply` gives notes on the grid the rhythm of another genre: eighths swing as far as they do at that tempo, or
    are straightened; notes arrive half a beat early as often as they do there, or fall back on the beat; steps of the
    bar are stressed as they are there.

Method
    `FeelStatistics` holds, learned from the training pieces of each genre: where the second of two notes in a beat is
    played, by tempo (of the pieces in the upper quarter: in a mean, players who swing cancel with tunes that do not);
    how many of the notes that arrive at a beat come half a beat before it and are held over; how much louder or softer
    than its surroundings each step of the bar is.
    A beat swings when it has an onset on its half and none on its other quarters: what lies on the half moves, ends of
    notes too. A beat whose late eighth lies on step 3 alone counts as swung already. Notes that must not move are
    followed: where one lies on the half of a beat, that beat stays as it is. Draws depend on the seed alone.

Source
    That the swing ratio falls with the tempo: A. Friberg and A. Sundström, 'Swing ratios and ensemble timing in jazz
    performance' (Music Perception 19(3), 2002); the numbers here are those of the data.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from spartito.errors import ModelError, ParameterError
from spartito.notes.phrases import RIGHT_HAND, STEPS_PER_BEAT, nearest_step
from spartito.style.engines import GENRES, check_genre

__all__ = ["PARTS", "TEMPI", "Feel", "FeelStatistics", "Felt", "part_of"]

PARTS = ("tune", "right", "left")  # what accompanies is told apart by hand
TEMPI = np.array([75.0, 105.0, 135.0, 165.0, 200.0, 240.0, 300.0])  # quarter notes a minute, middles of the classes
HALF, LATE = 2, 3  # steps of the beat: its half, and where a late eighth is rounded to
DOTTED = 2.9  # steps from which a late note is no swung eighth but a sixteenth
BAR = 16


@dataclass(frozen=True, eq=False)
class FeelStatistics:
    """First axis `GENRES`.

    Attributes
    ----------
    late : np.ndarray, shape=(3, 7), steps
        Place in the beat of the late eighth at each of `TEMPI`; 2 is straight, 2.67 a triplet.
    push : np.ndarray, shape=(3, 3, 4)
        For each of `PARTS` and beat of the bar, the share of arrivals that come half a beat early.
    accent : np.ndarray, shape=(3, 3, 16)
        For each of `PARTS` and step of the bar, velocity above that of its surroundings.
    """

    late: np.ndarray
    push: np.ndarray
    accent: np.ndarray

    def to_arrays(self, *, prefix: str = "feel.") -> dict[str, np.ndarray]:
        """Float16 arrays by name, as they go into a file of weights."""
        return {prefix + f.name: getattr(self, f.name).astype(np.float16) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], *, prefix: str = "feel.") -> FeelStatistics:
        """The inverse of `to_arrays`. Raises ModelError when some are missing or do not belong together."""
        try:
            found = {f.name: np.asarray(arrays[prefix + f.name], dtype=np.float64) for f in fields(cls)}
        except KeyError as error:
            raise ModelError(f"statistics of feel: {error.args[0]} is missing") from error
        shapes = {"late": (3, len(TEMPI)), "push": (3, len(PARTS), 4), "accent": (3, len(PARTS), BAR)}
        if any(found[name].shape != shape for name, shape in shapes.items()):
            raise ModelError("statistics of feel: arrays of other genres or tempi")
        return cls(**found)


@dataclass(frozen=True, eq=False)
class Felt:
    """Notes with a feel; rows as they were given.

    Attributes
    ----------
    notes : np.ndarray, shape=(k, 5), int
    place : np.ndarray, shape=(k,), steps
        Exact place of the onsets that swing or were straightened, nan of the others.
    accent : np.ndarray, shape=(k,)
        To be added to the velocity.
    """

    notes: np.ndarray
    place: np.ndarray
    accent: np.ndarray


def _positions(positions, beats: int) -> np.ndarray:
    """(beats,) place of each beat in its bar: as given, and counted on in bars of the length they end with."""
    if positions is None or len(positions) == 0:
        return np.arange(beats) % 4
    positions = np.asarray(positions)[:beats]
    missing = np.arange(1, beats - len(positions) + 1)
    return np.append(positions, (positions[-1] + missing) % (int(positions.max()) + 1))


def part_of(notes: np.ndarray, tune: np.ndarray) -> np.ndarray:
    """(k,) index into `PARTS` of each note; `tune` (k,) bool."""
    return np.where(tune, 0, np.where(notes[:, 4] == RIGHT_HAND, 1, 2))


@dataclass(frozen=True, eq=False)
class Feel:
    """How a piece of one genre is played in another, at one tempo (quarter notes a minute)."""

    statistics: FeelStatistics
    source: str
    target: str
    tempo: float = 120.0

    def __post_init__(self):
        check_genre(self.source), check_genre(self.target)

    @property
    def late(self) -> float:
        """Place of the late eighth in the target, in steps of the beat."""
        return float(np.interp(self.tempo, TEMPI, self.statistics.late[GENRES.index(self.target)]))

    def apply(
        self,
        notes: np.ndarray,
        *,
        tune: np.ndarray | None = None,
        movable: np.ndarray | None = None,
        pushable: np.ndarray | None = None,
        place: np.ndarray | None = None,
        positions: np.ndarray | None = None,
        strength: float = 1.0,
        seed: int = 0,
    ) -> Felt:
        """Notes as the target would play them.

        Parameters
        ----------
        notes : np.ndarray, shape=(k, 5), int
            Step, duration in steps, MIDI pitch, velocity, hand.
        tune : np.ndarray, shape=(k,), bool
            Which are the tune; none if not given.
        movable : np.ndarray, shape=(k,), bool
            Which may be moved at all; all if not given.
        pushable : np.ndarray, shape=(k,), bool
            Which may come early, or fall back on the beat; those that are movable if not given.
        place : np.ndarray, shape=(k,), steps
            Where onsets are played, not rounded; nan, or nothing, where only the step is known.
        positions : np.ndarray, shape=(beats,), int
            Place of each beat in its bar; bars of four from step 0 if not given.
        strength : float, 0..1
        """
        if not 0 <= strength <= 1:
            raise ParameterError(f"the strength is 0 to 1, not {strength}")
        notes = np.array(notes, dtype=np.int64).reshape(-1, 5)
        k = len(notes)
        tune = np.zeros(k, dtype=bool) if tune is None else np.asarray(tune, dtype=bool)
        movable = np.ones(k, dtype=bool) if movable is None else np.asarray(movable, dtype=bool)
        pushable = movable if pushable is None else movable & np.asarray(pushable, dtype=bool)
        place = np.full(k, np.nan) if place is None else np.array(place, dtype=np.float64)
        if k == 0 or strength == 0:
            return Felt(notes, np.full(k, np.nan), np.zeros(k))
        beats = int((notes[:, 0] + notes[:, 1]).max()) // STEPS_PER_BEAT + 2
        in_bar = _positions(positions, beats) % 4
        part = part_of(notes, tune)
        notes, moved = self._arrivals(notes, part, pushable, in_bar, strength, np.random.default_rng(seed))
        place[moved] = np.nan
        notes, exact = self._eighths(notes, movable, place, beats, strength)
        step_of_bar = STEPS_PER_BEAT * in_bar[notes[:, 0] // STEPS_PER_BEAT] + notes[:, 0] % STEPS_PER_BEAT
        accent = strength * self.statistics.accent[GENRES.index(self.target), part, step_of_bar]
        return Felt(notes, exact, accent)

    def _arrivals(self, notes, part, pushable, in_bar, strength, rng) -> tuple[np.ndarray, np.ndarray]:
        """Notes pushed half a beat ahead or set back on the beat, chord by chord, and which they are."""
        notes = notes.copy()
        source, target = (self.statistics.push[GENRES.index(g)] for g in (self.source, self.target))
        ahead = strength * np.clip((target - source) / np.maximum(1 - source, 1e-3), 0, 1)  # (parts, beats of the bar)
        back = strength * np.clip((source - target) / np.maximum(source, 1e-3), 0, 1)
        steps = STEPS_PER_BEAT * len(in_bar)
        struck = np.zeros((len(PARTS), steps + BAR), dtype=bool)
        struck[part, notes[:, 0]] = True
        draw = rng.random(struck.shape)  # one for each part and step, whatever the notes
        step, end = notes[:, 0], notes[:, 0] + notes[:, 1]
        inside = step % STEPS_PER_BEAT
        free = ~struck[part, np.maximum(step - 1, 0)] & ~struck[part, np.maximum(step - 2, 0)]
        on_beat = (inside == 0) & (step >= HALF) & free
        chance = ahead[part, in_bar[step // STEPS_PER_BEAT]]
        early = pushable & on_beat & (draw[part, step] < chance)
        beat = (step // STEPS_PER_BEAT + 1) * STEPS_PER_BEAT  # the next
        held = (inside >= HALF) & (end > beat) & ~struck[part, beat]
        chance = back[part, in_bar[np.minimum(beat // STEPS_PER_BEAT, len(in_bar) - 1)]]
        fallen = pushable & held & (draw[part, beat] < chance)
        new = np.where(early, step - HALF, np.where(fallen, beat, step))
        # what sounded up to a pushed note on its key ends where that now begins
        taken = np.zeros((128, steps + BAR), dtype=bool)
        taken[notes[early, 2], step[early]] = True
        cut = taken[notes[:, 2], np.minimum(end, steps)] & (notes[:, 1] > HALF)
        notes[:, 0] = new
        notes[:, 1] = np.where(cut, end - HALF, end) - new
        return notes, early | fallen

    def _eighths(self, notes, movable, place, beats, strength) -> tuple[np.ndarray, np.ndarray]:
        """Late eighths where the target has them, and the exact places of those that lie there."""
        beat, inside = notes[:, 0] // STEPS_PER_BEAT, notes[:, 0] % STEPS_PER_BEAT
        has = np.zeros((beats, STEPS_PER_BEAT), dtype=bool)
        has[beat, inside] = True
        locked = np.zeros((beats, STEPS_PER_BEAT), dtype=bool)
        locked[beat[~movable], inside[~movable]] = True
        known = ~np.isnan(place)
        dotted = np.zeros(beats, dtype=bool)
        dotted[beat[known & (inside == LATE) & (place - STEPS_PER_BEAT * beat >= DOTTED)]] = True
        plain = ~has[:, 1] & ~(locked[:, HALF] | locked[:, LATE])
        straight = plain & has[:, HALF] & ~has[:, LATE]
        swung = plain & has[:, LATE] & ~has[:, HALF] & ~dotted
        exact = np.full(len(notes), np.nan)
        if self.target == "jazz":
            aim, warped = (
                HALF + strength * (self.late - HALF),
                straight | (swung & (self.source == "jazz" or strength > 0)),
            )
        elif self.source == "jazz":
            aim, warped = float(HALF), straight | swung
        else:
            return notes, exact
        step = int(nearest_step(aim))
        notes = notes.copy()
        end = notes[:, 0] + notes[:, 1]
        at = movable & warped[beat] & np.isin(inside, (HALF, LATE))
        begin = np.where(at, STEPS_PER_BEAT * beat + step, notes[:, 0])
        last, rest = end // STEPS_PER_BEAT, end % STEPS_PER_BEAT
        ends = movable & warped[np.minimum(last, beats - 1)] & np.isin(rest, (HALF, LATE))
        end = np.where(ends, STEPS_PER_BEAT * last + step, end)
        notes[:, 0], notes[:, 1] = begin, np.maximum(end - begin, 1)
        exact[at] = (STEPS_PER_BEAT * beat + aim)[at]
        if self.target != "jazz":  # as far as the strength goes
            old = np.where(known, place, STEPS_PER_BEAT * beat + np.where(inside == LATE, 8 / 3, HALF))
            exact[at] = (old + strength * (exact - old))[at]
        return notes, exact
