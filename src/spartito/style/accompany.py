"""The engine `comping`: the tune stays, bars of accompaniment as players of the target genre have them go under it.

Job
    A second way to write an accompaniment, beside the sequence model of `idiom`: by statistics, in milliseconds.

Method
    `CompingStatistics` holds, for each genre, the bars that stand for clusters of its real accompaniments: where
    something is struck, how long, how high, and which tone of its chord each note is; which cluster follows which, and
    where a tune over it has its notes. The best sequence of bars (Viterbi, or a draw when disturbed) follows the habits
    of the genre, is as dense as the source is in that bar for its piece, leaves room where the tune moves, and turns
    where the chords turn. Each note then becomes the same tone (root, third, ninth ...) of the chord that the target
    has there (`style.harmony`), on the key nearest to where the player had it: an accompaniment moves little from chord
    to chord. What would lie over the tune goes an octave down. Swing and accents come from `style.feel`.

Source
    Sequences of recorded units: A. Hunt and A. Black, 'Unit selection in a concatenative speech synthesis system'
    (ICASSP 1996). Patterns transposed to other chords are as old as accompaniment by machines; here they are learned.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from spartito.analysis.note_chords import QUALITIES, TONES, ChordTrack
from spartito.errors import ModelError
from spartito.notes.phrases import STEPS_PER_BEAT
from spartito.style.engines import COMPING, GENRES, Progress, StylePiece, StyleWish, Written, check_genre
from spartito.style.feel import Feel, FeelStatistics
from spartito.style.harmony import SCALES, HarmonyStatistics, reharmonise
from spartito.style.plan import Plan, chords_changed, chords_written, planned, tidied, until_foreign

__all__ = ["ROLES", "CompingConfig", "CompingEngine", "CompingStatistics", "chord_beats", "open_comping", "roles_of"]

STATISTICS = "statistics.safetensors"
BAR = 16
ROLES = ("root", "third", "fifth", "seventh", "ninth", "eleventh", "thirteenth")
OTHER = len(ROLES)  # from here on: a tone outside the chord, by semitones above the root
LOWEST, MUD, THICK = 28, 43, 3  # MIDI numbers, semitones: lowest note; below it nearer notes than that make mud
MIDDLE = 50  # MIDI number from which notes are the chord's rather than the bass's
PEDALLED = ("jazz",)  # genres whose players were heard with the pedal, but written without it
BASS_HELD, CHORD_HELD = 8, 2  # steps: a bass then sounds to the next one, at most that long, a chord at least that long
PASSING = 2  # steps: foreign tones as short as that stay as they are
SECTION = 8  # bars that share a mood: what was drawn for a pattern holds for all of them
STEP, LENGTH, PITCH, HAND, ROLE, LOUD = range(6)  # columns of `CompingStatistics.notes`
_THIRD = np.array([(4, 3, 3, 4, 5, 4, 3, 4, 3, 3, 3, 4, 3, 2)]).ravel()  # of each quality
_FIFTH = np.array([np.flatnonzero(bits)[2] for bits in TONES])
_SEVENTH = np.array([np.flatnonzero(bits)[3] if bits.sum() > 3 else -1 for bits in TONES])


@dataclass(frozen=True)
class CompingConfig:
    """Weights of what a bar is chosen by; the density in octaves (of e)."""

    follows: float = 0.7
    often: float = 0.3
    sung: float = 0.3
    typical: float = 0.75
    most_typical: float = 3.0  # nats: what is most typical of all is no longer what is usual
    turns: float = 0.7  # nats for a bar that turns where the chords do not, or the other way round
    spread: float = 0.35  # of the logarithm of the notes in a bar about the wanted one
    source: float = 0.5  # share of the source, against that of the genre, in how dense the piece is
    heat: float = 0.6  # Gumbel noise in the choice: the best path would hold on to one pattern
    with_tune: float = 0.6  # semitones that chords go up for each that the tune is higher than usual, and down
    most_up: tuple[float, float] = (-7.0, 12.0)  # semitones


@dataclass(frozen=True, eq=False)
class CompingStatistics:
    """Bars of accompaniments; first axis `GENRES`, second the clusters of a genre, k of them.

    Attributes
    ----------
    first : np.ndarray, shape=(3, k + 1), int
        Bar c of genre g is `notes[first[g, c]:first[g, c + 1]]`.
    notes : np.ndarray, shape=(n, 6), int
        Step in the bar, duration in steps, MIDI pitch, hand, role (`ROLES`, or 7 + semitones above the root), velocity
        above that of the bar.
    often : np.ndarray, shape=(3, k)
    follows : np.ndarray, shape=(3, k, k)
        Shares of the bars, and of the bars after each.
    sung : np.ndarray, shape=(3, k, 16)
        Share of the bars of a cluster in which the tune has an onset on each step.
    high : np.ndarray, shape=(3, k), MIDI number
        Mean of the tunes over the bars of a cluster.
    turns : np.ndarray, shape=(3, k), 0 or 1
        The chord changes within the bar.
    typical : np.ndarray, shape=(3, 3, k)
        Log odds of the bars of a cluster for its genre against each other genre.
    dense : np.ndarray, shape=(3, 2)
        Mean and standard deviation of log(1 + notes of a bar).
    """

    first: np.ndarray
    notes: np.ndarray
    often: np.ndarray
    follows: np.ndarray
    sung: np.ndarray
    high: np.ndarray
    turns: np.ndarray
    typical: np.ndarray
    dense: np.ndarray

    def to_arrays(self, *, prefix: str = "comping.") -> dict[str, np.ndarray]:
        """Arrays by name, as they go into a file of weights."""
        types = {"first": np.int32, "notes": np.int8, "turns": np.int8}
        return {prefix + f.name: getattr(self, f.name).astype(types.get(f.name, np.float16)) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], *, prefix: str = "comping.") -> CompingStatistics:
        """The inverse of `to_arrays`. Raises ModelError when some are missing or do not belong together."""
        try:
            found = {f.name: np.asarray(arrays[prefix + f.name]) for f in fields(cls)}
        except KeyError as error:
            raise ModelError(f"statistics of accompaniment: {error.args[0]} is missing") from error
        whole = ("first", "notes", "turns")
        found = {k: v.astype(np.int64 if k in whole else np.float64) for k, v in found.items()}
        if found["first"].shape[0] != len(GENRES) or found["first"][-1, -1] != len(found["notes"]):
            raise ModelError("statistics of accompaniment: arrays do not belong together")
        return cls(**found)

    def bar(self, genre: int, cluster: int) -> np.ndarray:
        """(m, 6) notes of a bar."""
        return self.notes[self.first[genre, cluster] : self.first[genre, cluster + 1]]


# -- tones and their roles ----------------------------------------------------------------------------------


def chord_beats(notes: np.ndarray, track: ChordTrack) -> np.ndarray:
    """(k,) beat of `track` whose chord each note belongs to: its own, or the next one's that it anticipates.

    Anticipations are struck in the second half of a beat and held into the next.
    """
    last = len(track) - 1
    beat = np.minimum(notes[:, 0] // STEPS_PER_BEAT, last)
    inside = notes[:, 0] % STEPS_PER_BEAT
    early = (inside >= STEPS_PER_BEAT // 2) & (inside + notes[:, 1] > STEPS_PER_BEAT)
    return np.where(early, np.minimum(beat + 1, last), beat)


def roles_of(above: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """(k,) role of tones `above` (k,) semitones over the root of chords of these qualities (indices)."""
    natural = np.array([0, 4, 4, OTHER + 3, OTHER + 4, 5, 5, OTHER + 7, 6, 6, 3, 3])  # outside the chord
    role = natural[above]
    role = np.where((above == 1) & (quality != QUALITIES.index("7")), OTHER + 1, role)
    role = np.where((above >= 10) & (_SEVENTH[quality] >= 0), OTHER + above, role)  # it has another seventh
    for number, tones in enumerate((np.zeros_like(_THIRD), _THIRD, _FIFTH, _SEVENTH)):
        role = np.where(above == tones[quality], number, role)
    return role


def role_table(track: ChordTrack) -> np.ndarray:
    """(beats, 19) pitch class of each role in the chord of each beat; -1 without chord."""
    quality, root = track.quality, track.root
    beats = np.arange(len(track))
    keys = np.where(track.keys < 0, 0, track.keys)
    degrees = (root[:, None] + np.arange(12) - (keys % 12)[:, None]) % 12
    scale = SCALES[keys // 12][beats[:, None], degrees]  # by semitones above the root
    chord = TONES[quality]

    def extra(options, usual, otherwise):
        """The first added tone of `options`, else `usual` where the scale has it, else `otherwise`."""
        out = np.where(scale[:, usual], usual, otherwise)
        for option in reversed(options):
            out = np.where(track.added[:, option], option, out)
        return out

    third, fifth = _THIRD[quality], _FIFTH[quality]
    seventh = np.where(_SEVENTH[quality] >= 0, _SEVENTH[quality], 0)
    ninth = np.where(third == 2, 2, extra((1, 2, 3), 2, 0))
    major = np.where(track.added[:, 6], 6, np.where(track.added[:, 5], 5, third))
    eleventh = np.where(third == 4, major, extra((5,), 5, third))
    thirteenth = np.where(fifth == 7, extra((8, 9), 9, fifth), fifth)
    tones = np.column_stack([0 * third, third, fifth, seventh, ninth, eleventh, thirteenth])
    # any other tone stays one where the scale has it, else it goes to the nearest tone of the chord
    distance = (np.arange(12)[:, None] - np.arange(12) + 6) % 12 - 6
    nearest = np.where(chord[:, None, :], np.abs(distance) + 0.1 * (distance > 0), 99).argmin(axis=2)
    others = np.where(scale, np.arange(12), nearest)
    table = (np.concatenate([tones, others], axis=1) + root[:, None]) % 12
    return np.where((root >= 0)[:, None], table, -1)


# -- the engine ---------------------------------------------------------------------------------------------


def open_comping(folder: str | Path | None = None) -> CompingEngine:
    """The engine with the statistics that ship, or those in `folder`. Raises ModelError when there are none."""
    from safetensors.numpy import load_file

    from spartito.models.hub import find_model

    path = find_model(COMPING if folder is None else folder).folder / STATISTICS
    if not path.exists():
        raise ModelError(f"{path.parent} holds no {STATISTICS}: `spartito train harmony` makes it")
    arrays = load_file(str(path))
    return CompingEngine(*(kind.from_arrays(arrays) for kind in (CompingStatistics, HarmonyStatistics, FeelStatistics)))


class CompingEngine:
    """See the module's text."""

    name, needs_source, keeps_melody = COMPING, False, True

    def __init__(
        self,
        comping: CompingStatistics,
        harmony: HarmonyStatistics,
        feel: FeelStatistics,
        *,
        config: CompingConfig | None = None,
        temperature: float = 0.7,
    ):
        self.comping, self.harmony, self.feel = comping, harmony, feel
        self.config = config or CompingConfig()
        self.temperature = temperature  # of candidates beyond the first

    def check(self, target: str, source: str | None = None) -> None:
        """All genres are served, from any other."""
        check_genre(target)

    def restyle(self, piece: StylePiece, wish: StyleWish, *, progress: Progress | None = None) -> list[Written]:
        """See `style.engines.StyleEngine`."""
        plan = planned(piece, wish.strength)
        tune, rest = piece.notes[piece.melody], piece.notes[~piece.melody]
        last = max(piece.steps - 1, 0)
        kept = rest[~plan.anew[plan.bars[np.minimum(rest[:, 0], last)]]]
        heard, found = piece.chords, []
        for number in range(wish.candidates):
            heat = 0.0 if number == 0 else self.temperature  # of the chords
            chords = reharmonise(
                heard,
                tune,
                self.harmony,
                target=wish.target,
                source=wish.source,
                strength=wish.strength,
                positions=piece.positions,
                seed=wish.seed + number,
                temperature=heat,
            )
            genres, seed = {"target": wish.target, "source": wish.source}, wish.seed + number
            new = self.written(tune, rest, chords, plan, **genres, heat=heat, seed=seed)
            new = tidied(until_foreign(new, chords), tune, kept, piece.steps)
            figures = {"chords_changed": round(chords_changed(chords, heard), 3)}
            felt = self._felt(new, kept, piece, plan, wish, number)
            found.append(replace(felt, chords=chords_written(plan, chords, heard), figures=figures))
            if progress is not None:
                progress((number + 1) / wish.candidates)
        return found

    def written(self, tune, rest, chords: ChordTrack, plan, *, target, source=None, heat=0.0, seed: int = 0):
        """(k, 5) accompaniment of the bars that are written anew."""
        genre = GENRES.index(target)
        edges = np.concatenate([[0], np.cumsum(np.bincount(plan.bars))])
        anew = np.flatnonzero(plan.anew)
        if len(anew) == 0:
            return np.zeros((0, 5), dtype=np.int64)
        config = self.config
        units = self._choose(tune, rest, chords, plan, (genre, source), heat, np.random.default_rng(seed))[anew]
        counts = np.diff(self.comping.first[genre])[units]
        bar = np.repeat(anew, counts)
        row = np.repeat(self.comping.first[genre][units], counts) + _numbers(counts)
        unit, units_of = self.comping.notes[row], np.repeat(units, counts)
        inside = edges[bar] + unit[:, STEP] < edges[bar + 1]
        unit, bar, units_of = unit[inside], bar[inside], units_of[inside]
        notes = np.column_stack(
            [edges[bar] + unit[:, STEP], unit[:, LENGTH], unit[:, PITCH], np.full(len(unit), 64), unit[:, HAND]]
        )
        chordal = unit[:, PITCH] >= MIDDLE  # the bass stays where it is
        shift = config.with_tune * (_heights(tune, plan)[bar] - self.comping.high[genre][units_of])
        notes[:, 2] += np.where(chordal, np.rint(np.clip(shift, *config.most_up)), 0).astype(np.int64)
        beat = chord_beats(notes, chords)
        wanted = role_table(chords)[beat, unit[:, ROLE]]
        passing = (unit[:, ROLE] >= OTHER) & (unit[:, LENGTH] <= PASSING) & (wanted >= 0)
        wanted = np.where(passing, (chords.root[beat] + unit[:, ROLE] - OTHER) % 12, wanted)
        notes[:, 2] += (wanted - notes[:, 2] + 6) % 12 - 6
        notes[:, 2] = np.where(notes[:, 2] < LOWEST, notes[:, 2] + 12, notes[:, 2])
        notes[:, 3] += unit[:, LOUD]
        notes[:, 2] += _spread(notes, chords.tones()[beat])
        if len(notes) == 0:
            return notes
        notes = _cleared(_under(notes, tune)[wanted >= 0])
        return _held(notes) if target in PEDALLED else notes

    def _choose(self, tune, rest, chords, plan, genres, heat, rng) -> np.ndarray:
        """(bars,) the cluster of every bar of the piece, written anew or not."""
        table, config, (genre, source) = self.comping, self.config, genres
        many, count = len(plan.anew), table.often.shape[1]
        end = len(plan.bars) - 1
        edges = np.concatenate([[0], np.cumsum(np.bincount(plan.bars, minlength=many))])[:-1]
        dense = np.log1p(np.bincount(plan.bars[np.minimum(rest[:, 0], end)], minlength=many))
        mean, spread = table.dense[genre]
        usual = dense[dense > 0] if (dense > 0).any() else np.full(1, mean)
        wish = mean + spread * (dense - usual.mean()) / max(usual.std(), 0.15)
        wish = config.source * dense + (1 - config.source) * np.clip(wish, mean - 2 * spread, mean + 2 * spread)
        size = np.log1p(np.diff(table.first[genre]))
        score = -0.5 * ((size[None] - wish[:, None]) / config.spread) ** 2
        onsets = np.zeros((many, BAR))
        bar = plan.bars[np.minimum(tune[:, 0], end)]
        onsets[bar, np.minimum(tune[:, 0] - edges[bar], BAR - 1)] = 1
        sung = np.clip(table.sung[genre], 0.03, 0.97)
        score += config.sung * (onsets @ np.log(sung).T + (1 - onsets) @ np.log(1 - sung).T)
        turn = np.zeros(many, dtype=bool)
        at = chords.starts
        at = at[STEPS_PER_BEAT * at <= end]
        turn[plan.bars[STEPS_PER_BEAT * at]] |= STEPS_PER_BEAT * at != edges[plan.bars[STEPS_PER_BEAT * at]]
        score -= config.turns * (turn[:, None] != (table.turns[genre] > 0)[None])
        others = [GENRES.index(source)] if source is not None else [g for g in range(len(GENRES)) if g != genre]
        typical = table.typical[genre][others].mean(axis=0)
        score += config.typical * np.clip(typical, -config.most_typical, config.most_typical)
        score += config.often * np.log(table.often[genre] + 1e-4)
        mood = rng.gumbel(size=(many // SECTION + 1, count))[np.arange(many) // SECTION]
        score += max(heat, config.heat) * mood
        move = config.follows * np.log(table.follows[genre] + 0.1 * table.often[genre] + 1e-4)
        best, back = score[0], np.zeros((many, count), dtype=np.int64)
        for i in range(1, many):
            total = best[:, None] + move
            back[i] = total.argmax(axis=0)
            best = total[back[i], np.arange(count)] + score[i]
        path = np.zeros(many, dtype=np.int64)
        path[-1] = best.argmax()
        for i in range(many - 1, 0, -1):
            path[i - 1] = back[i, path[i]]
        return path

    def _felt(self, new, kept, piece: StylePiece, plan: Plan, wish: StyleWish, number: int) -> Written:
        """The new notes with the tune and what is kept of the rest, as the target plays them."""
        tune = np.flatnonzero(piece.melody)
        notes = np.concatenate([new, kept, piece.notes[tune]])
        what = np.repeat([0, 1, 2], [len(new), len(kept), len(tune)])
        place = np.concatenate([np.full(len(new) + len(kept), np.nan), piece.grid.place[tune]])
        movable = plan.anew[plan.bars[np.minimum(notes[:, 0], len(plan.bars) - 1)]] & (what != 1)
        movable &= (what == 0) | ("melody" not in wish.keep)
        felt = Feel(self.feel, wish.source, wish.target, tempo=piece.tempo).apply(
            notes,
            tune=what == 2,
            movable=movable,
            pushable=what == 2,
            place=place,
            positions=piece.positions,
            strength=wish.strength,
            seed=wish.seed + number,
        )
        accent = np.where(what == 0, notes[:, 3] - 64, np.where(movable, felt.accent, 0.0))
        order = np.lexsort((felt.notes[:, 2], felt.notes[:, 0]))
        return Written(felt.notes[order], felt.place[order], accent[order], hands=True)


def _heights(tune: np.ndarray, plan: Plan) -> np.ndarray:
    """(bars,) mean MIDI number of the tune in two bars on either side of each; of all of it where it rests."""
    many = len(plan.anew)
    if len(tune) == 0:
        return np.full(many, 72.0)
    bar = plan.bars[np.minimum(tune[:, 0], len(plan.bars) - 1)]
    window = np.ones(5)
    count = np.convolve(np.bincount(bar, minlength=many), window, "same")
    total = np.convolve(np.bincount(bar, tune[:, 2], minlength=many), window, "same")
    if many < len(window):
        return np.full(many, tune[:, 2].mean())
    return np.where(count > 0, total / np.maximum(count, 1), tune[:, 2].mean())


def _spread(notes: np.ndarray, tones: np.ndarray) -> np.ndarray:
    """(k,) semitones up to the next tone of its chord ((k, 12) bool) for a note that another one strikes already."""
    order = np.lexsort((notes[:, 2], notes[:, 0]))
    again = np.zeros(len(notes), dtype=bool)
    again[order[1:]] = (np.diff(notes[order, 0]) == 0) & (np.diff(notes[order, 2]) == 0)
    above = (notes[:, 2:3] + np.arange(1, 12)) % 12
    there = np.take_along_axis(tones, above, axis=1)
    return np.where(again & there.any(axis=1), there.argmax(axis=1) + 1, 0)


def _numbers(counts: np.ndarray) -> np.ndarray:
    """0 1 2 ... for each count, one behind the other."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def _under(notes: np.ndarray, tune: np.ndarray) -> np.ndarray:
    """Octaves down for what would lie on or over the tune while that sounds; too low a note stays above `LOWEST`."""
    if len(tune) == 0:
        return notes
    steps = int(max((notes[:, 0] + notes[:, 1]).max(), (tune[:, 0] + tune[:, 1]).max())) + 1
    lowest = np.full(steps + 1, 128)
    row = np.repeat(np.arange(len(tune)), tune[:, 1])
    np.minimum.at(lowest, tune[row, 0] + _numbers(tune[:, 1]), tune[row, 2])
    ends = np.column_stack([notes[:, 0], notes[:, 0] + np.maximum(notes[:, 1], 1)]).ravel()
    roof = np.minimum.reduceat(lowest, ends)[::2]
    notes = notes.copy()
    down = np.ceil(np.maximum(notes[:, 2] - roof + 1, 0) / 12).astype(np.int64)
    notes[:, 2] -= 12 * down
    return notes


def _held(notes: np.ndarray) -> np.ndarray:
    """Basses that sound to the next one, chords of an eighth at least; notes sorted by step and pitch."""
    low = (np.diff(notes[:, 0], prepend=-1) != 0) & (notes[:, 2] < MIDDLE)
    at = notes[low, 0]
    notes = notes.copy()
    notes[:, 1] = np.maximum(notes[:, 1], CHORD_HELD)
    until = np.minimum(np.diff(at, append=at[-1:] + BASS_HELD), BASS_HELD)
    notes[low, 1] = np.maximum(notes[low, 1], until)
    return notes


def _cleared(notes: np.ndarray) -> np.ndarray:
    """Each key once at a step, nothing too low, and no close intervals deep down."""
    notes = notes[notes[:, 2] >= LOWEST]
    notes = notes[np.lexsort((-notes[:, 1], notes[:, 2], notes[:, 0]))]
    again = (np.diff(notes[:, 0], prepend=-1) == 0) & (np.diff(notes[:, 2], prepend=-1) == 0)
    notes = notes[~again]
    near = (np.diff(notes[:, 0], prepend=-1) == 0) & (np.diff(notes[:, 2], prepend=-99) < THICK) & (notes[:, 2] < MUD)
    return notes[~near]
