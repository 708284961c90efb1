"""What can be asked of an arrangement, and how much of it is there: density, register, texture, difficulty.

Job
    `CONTROLS` names what the token model can be told before it writes, and the levels of each. The same definitions
    measure what was written: `controls_of_windows` gives levels for training and for judging, `measures_of_windows`
    the figures behind them, `song_vector` a whole piece for `notes.styles`.

Definitions, on a grid of quarter beats; a *stroke* is what one hand strikes in one step
    - density: notes struck per beat;
    - register: mean MIDI number of the notes struck;
    - polyphony: notes that sound, mean over all steps (the 'polyphony score' of Wu and Yang);
    - pattern of the left hand, first rule that holds:
      sustained: at most one stroke in two beats; stride: a third of the moves go between a bass (one key or its octave)
      and a chord at least a fifth away from it; octave bass: a third of the strokes are octaves or leap by one; block:
      a third of the strokes are chords; walking: single notes, on the beats, that move by step and small leaps; broken:
      single notes (three strokes in four), half of the moves reach another note. Any other left hand, one that only
      repeats its note, or a silent one has none (level 0);
    - difficulty: the easiest level of `playability.LEVELS` whose keys, span and shortest unit of each hand hold for
      nine strokes in ten. Those are the limits `notes.simplify` enforces, in beats; `playability.difficulty` counts
      strokes per second where this counts units of the beat, since a control is asked for before there is a tempo;
    - rhythm: steps in which something is struck, per beat ('rhythmic intensity', there); spread: standard deviation of
      the pitches; sustain: mean length in beats; doubling: share of the strokes of the right hand with an octave under
      the top; left rate: strokes of the left hand per beat;
    - syncopation: share of the struck steps off the beat after which nothing is struck on the next stronger step
      (H. C. Longuet-Higgins and C. S. Lee, 'The rhythmic interpretation of monophonic music', Music Perception 1(4),
      1984).

Source
    Controls by levels of measured attributes: S.-L. Wu and Y.-H. Yang, 'MuseMorphose: full-song and fine-grained piano
    music style transfer with one Transformer VAE' (IEEE/ACM TASLP 31, 2023), with quantiles of the training set as
    limits. The patterns of the left hand, their rules and the other measures are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spartito.errors import ParameterError
from spartito.notes.playability import LEVELS

__all__ = [
    "CONTROLS",
    "EDGES",
    "LEFT_HAND",
    "PATTERNS",
    "RIGHT_HAND",
    "VECTOR",
    "control_level",
    "controls_of",
    "controls_of_windows",
    "level_of",
    "measures_of_windows",
    "song_vector",
    "vector_of",
    "windows_of_piece",
]

STEPS = 4  # of a beat
WINDOW = 32  # steps that a whole piece is cut into
LEFT_HAND, RIGHT_HAND = 0, 1  # as tokens say it; `notes.hands` counts the other way round
FREE = 0  # level that asks for nothing

PATTERNS = ("block", "broken", "octave bass", "stride", "walking", "sustained")
# levels 1, 2 ... of each control in words; those of a style are the names of its clusters (`notes.styles`)
CONTROLS = {
    "style": (),
    "density": ("sparse", "light", "medium", "busy", "dense"),
    "register": ("low", "lower", "middle", "higher", "high"),
    "polyphony": ("thin", "slender", "medium", "rich", "full"),
    "pattern": PATTERNS,
    "difficulty": ("very easy", "easy", "medium", "hard", "full"),
    "melody": ("include", "omit"),
}
# four limits between five levels: quintiles of two-bar windows of the training songs of POP909 (melody, bridge and
# piano), printed by  spartito train styles POP909 -o styles.json
EDGES = {
    "density": (3.375, 4.375, 5.25, 6.375),  # notes per beat
    "register": (59.8, 61.7, 63.4, 65.5),  # MIDI number
    "polyphony": (3.06, 3.5, 3.84, 4.25),  # notes
}
VECTOR = (  # what a song is known by
    *("density", "rhythm", "register", "polyphony", "spread", "sustain", "syncopation", "doubling", "left rate"),
    *PATTERNS,
)

HOLDS = 0.9  # share of the strokes of a window that must keep to a level: one in ten may not
SLOW = 0.5  # strokes per beat up to which a left hand only sustains
A_THIRD = 1 / 3  # share of strokes or moves that makes a pattern: one window in ten or twenty of POP909 has it
MOVING, SINGLE = 0.5, 0.75  # shares of moves and of strokes of a broken chord
FIFTH, OCTAVE = 7, 12  # semitones
STEP, SMALL = 2, 5  # semitones: a step, a small leap
STEPWISE, NEAR, ON_BEATS = 0.35, 0.7, 0.75  # shares of a walking bass: moves by step, small moves, notes on beats


# -- levels -------------------------------------------------------------------------------------------------------


def control_level(name: str, value: int | str | None) -> int:
    """The level of a control as a person gives it: a number, a word of `CONTROLS`, or nothing (free, 0)."""
    if name not in CONTROLS:
        raise ParameterError(f"there is no control {name!r}, only {', '.join(CONTROLS)}")
    words = CONTROLS[name]
    text = "" if value is None else " ".join(str(value).lower().split())
    if text in ("", "0", "free"):
        return FREE
    if text.replace("-", " ") in words:
        return words.index(text.replace("-", " ")) + 1
    if text.isdigit() and (int(text) <= len(words) or not words):
        return int(text)
    raise ParameterError(f"{name} is 1 to {len(words)} or one of {', '.join(words)} (free if not given), not {value!r}")


def level_of(name: str, values) -> np.ndarray:
    """(n,) int level 1..5 of measured `values` ((n,)); 0 where there is none (nan)."""
    values = np.asarray(values, dtype=np.float64)
    return np.where(np.isnan(values), FREE, 1 + np.searchsorted(EDGES[name], values, side="right"))


def controls_of(notes: np.ndarray, *, steps: int) -> np.ndarray:
    """(7,) int: the levels of one window of `steps` steps; see `controls_of_windows`."""
    notes = np.asarray(notes, dtype=np.int64).reshape(-1, 5)
    return controls_of_windows(notes, np.zeros(len(notes), dtype=np.int64), 1, steps)[0]


def controls_of_windows(notes: np.ndarray, window: np.ndarray, n: int, steps) -> np.ndarray:
    """Levels of each window, in the order of `CONTROLS`; style and melody are 0, and all of an empty window.

    Parameters
    ----------
    notes : np.ndarray, shape=(k, 5), int
        Step from the beginning of its window, duration in steps, MIDI pitch, velocity, hand; in any order.
    window : np.ndarray, shape=(k,), int
        Number of the window of each note.
    n : int
        Windows.
    steps : int, or np.ndarray, shape=(n,)
        Steps of each window.

    Returns
    -------
    np.ndarray, shape=(n, 7), int
    """
    measures = measures_of_windows(notes, window, n, steps)
    levels = np.zeros((n, len(CONTROLS)), dtype=np.int64)
    for column, name in enumerate(CONTROLS):
        if name in EDGES:
            levels[:, column] = level_of(name, measures[name])
        elif name in measures:
            levels[:, column] = measures[name]
    return levels


# -- measures -----------------------------------------------------------------------------------------------------


def measures_of_windows(notes: np.ndarray, window: np.ndarray, n: int, steps) -> dict[str, np.ndarray]:
    """The figures of each window, (n,) each; nan (pattern and difficulty 0) where there is nothing to measure.

    Parameters as those of `controls_of_windows`. "pattern" and "difficulty" are levels.
    """
    notes, window = np.asarray(notes, dtype=np.int64).reshape(-1, 5), np.asarray(window, dtype=np.int64)
    steps = np.broadcast_to(np.asarray(steps, dtype=np.float64), (n,))
    order = np.lexsort((notes[:, 2], notes[:, 0], notes[:, 4], window))
    notes, window = notes[order], window[order]
    start, length, pitch, _, hand = notes.T
    beats = steps / STEPS
    count = np.bincount(window, minlength=n)

    def mean(values: np.ndarray) -> np.ndarray:
        return _share(np.bincount(window, weights=values, minlength=n), count)

    inside = np.minimum(length, steps[window] - start)
    full = np.where(count > 0, 1.0, np.nan)
    register = mean(pitch.astype(np.float64))
    left, right = (_strokes(notes[hand == h], window[hand == h], n) for h in (LEFT_HAND, RIGHT_HAND))
    return {
        "density": count / beats * full,
        **_rhythm(start, window, n, beats),
        "register": register,
        "polyphony": np.bincount(window, weights=inside, minlength=n) / steps * full,
        "spread": np.sqrt(np.maximum(mean(pitch.astype(np.float64) ** 2) - register**2, 0.0)),
        "sustain": mean(length / STEPS),
        "doubling": right.share(right.doubled),
        "left rate": left.per_window / beats * full,
        "pattern": _pattern(left, beats),
        "difficulty": _difficulty(left, right),
    }


def song_vector(notes: np.ndarray, steps: int) -> np.ndarray:
    """(15,) float, `VECTOR`: the means over the windows of a piece that have notes, and the shares of the patterns.

    `notes` (k, 5) count their steps from a downbeat on; `steps` is the length of the piece. nan without notes.
    """
    return vector_of(measures_of_windows(*windows_of_piece(notes, steps)))


def windows_of_piece(notes: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray, int, int]:
    """A piece in windows of `WINDOW` steps: the first four parameters of `measures_of_windows`.

    `notes` (k, 5) count their steps, 0 to `steps` - 1, from the beginning of the piece.
    """
    notes = np.array(notes, dtype=np.int64).reshape(-1, 5)
    window = notes[:, 0] // WINDOW
    notes[:, 0] -= WINDOW * window
    return notes, window, max(1, -(-int(steps) // WINDOW)), WINDOW


def vector_of(measures: dict[str, np.ndarray]) -> np.ndarray:
    """(15,) float: `VECTOR` of a piece from the measures of its windows."""
    vector = np.full(len(VECTOR), np.nan)
    for i, name in enumerate(VECTOR):
        values = measures["pattern"] == 1 + PATTERNS.index(name) if name in PATTERNS else measures[name]
        known = ~np.isnan(measures["density"]) & ~np.isnan(values)
        if known.any():
            vector[i] = values[known].mean()
        elif ~np.isnan(measures["density"]).all():  # only "doubling": there is no right hand
            vector[i] = 0.0
    return vector


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _rhythm(start: np.ndarray, window: np.ndarray, n: int, beats: np.ndarray) -> dict[str, np.ndarray]:
    """Rhythm and syncopation."""
    width = int(start.max(initial=0)) + 3
    struck = np.unique(window * width + start)
    owner, step = struck // width, struck % width
    count = np.bincount(owner, minlength=n)
    stronger = np.where(step % 2 == 1, 1, 2)  # steps to the next stronger one
    following = np.append(struck[1:], np.iinfo(np.int64).max)
    held = (step % STEPS != 0) & (following > struck + stronger)
    return {
        "rhythm": _share(count * 1.0, beats * (count > 0)),
        "syncopation": _share(np.bincount(owner, weights=held, minlength=n), count),
    }


@dataclass(frozen=True, eq=False)
class _Strokes:
    """What one hand strikes; columns (m,), in the order of windows and steps."""

    window: np.ndarray
    step: np.ndarray
    count: np.ndarray  # keys
    low: np.ndarray  # MIDI number
    high: np.ndarray
    one: np.ndarray  # bool: a single pitch class
    doubled: np.ndarray  # bool: the octave under the top is struck, too
    per_window: np.ndarray  # (n,) strokes

    def share(self, which: np.ndarray) -> np.ndarray:
        """(n,) share of the strokes of each window."""
        return _share(self.total(self.window, which), self.per_window)

    def total(self, window: np.ndarray, which: np.ndarray) -> np.ndarray:
        return np.bincount(window, weights=which, minlength=len(self.per_window))


def _strokes(notes: np.ndarray, window: np.ndarray, n: int) -> _Strokes:
    """`notes` (k, 5) of one hand, sorted by window, step and pitch."""
    start, pitch = notes[:, 0], notes[:, 2]
    other = (np.diff(window, prepend=-1) != 0) | (np.diff(start, prepend=-1) != 0)
    first = np.flatnonzero(other)
    stroke = np.cumsum(other) - 1  # (k,)
    low = pitch[first]
    high = pitch[np.append(first[1:], len(pitch)) - 1] if len(first) else low
    classes = np.bincount(stroke, weights=(pitch - low[stroke]) % OCTAVE != 0, minlength=len(first))
    doubled = np.bincount(stroke, weights=pitch == high[stroke] - OCTAVE, minlength=len(first))
    owner = window[first]
    return _Strokes(
        owner,
        start[first],
        np.bincount(stroke, minlength=len(first)),
        low,
        high,
        classes == 0,
        doubled > 0,
        np.bincount(owner, minlength=n),
    )


def _pattern(left: _Strokes, beats: np.ndarray) -> np.ndarray:
    """(n,) level of the pattern; the rules stand at the top of the file."""
    here, after = np.arange(len(left.low))[:-1], np.arange(len(left.low))[1:]
    same = left.window[here] == left.window[after]
    here, after = here[same], after[same]
    moves = np.bincount(left.window[here], minlength=len(beats))
    move = np.abs(left.low[after] - left.low[here])

    def of_moves(which: np.ndarray) -> np.ndarray:
        return np.nan_to_num(_share(left.total(left.window[here], which), moves))

    lower, upper = np.where(left.low[here] < left.low[after], (here, after), (after, here))
    strides = of_moves(left.one[lower] & ~left.one[upper] & (move >= FIFTH))
    single = left.count == 1
    leaps = np.zeros(len(left.low), dtype=bool)
    leaps[after] = single[here] & single[after] & (move == OCTAVE)
    near = of_moves((move > 0) & (move <= SMALL)) >= NEAR
    steps = of_moves((move > 0) & (move <= STEP)) >= STEPWISE
    alone = left.share(single) >= SINGLE
    beaten = left.share(left.step % STEPS == 0) >= ON_BEATS
    rules = (
        (6, left.per_window <= SLOW * beats),
        (4, strides >= A_THIRD),
        (3, left.share((left.one & ~single) | leaps) >= A_THIRD),
        (1, left.share(~left.one) >= A_THIRD),
        (5, near & steps & beaten & alone),
        (2, alone & (of_moves(move > 0) >= MOVING)),
    )
    pattern = np.select([holds for _, holds in rules], [level for level, _ in rules], default=FREE)
    return np.where(left.per_window > 0, pattern, FREE)


def _difficulty(left: _Strokes, right: _Strokes) -> np.ndarray:
    """(n,) level."""
    strokes = left.per_window + right.per_window
    difficulty = np.where(strokes > 0, max(LEVELS), FREE)
    for number in sorted(LEVELS, reverse=True)[1:]:
        level = LEVELS[number]
        kept = np.zeros(len(strokes))
        for s, keys, unit in ((left, level.left_notes, level.left_unit), (right, level.right_notes, level.right_unit)):
            gap = np.diff(s.step, prepend=0)
            gap[np.diff(s.window, prepend=-1) != 0] = WINDOW
            kept += s.total(s.window, (s.count <= keys) & (s.high - s.low <= level.span) & (gap >= unit * STEPS))
        difficulty[(strokes > 0) & (kept >= HOLDS * strokes - 1e-9)] = number
    return difficulty
