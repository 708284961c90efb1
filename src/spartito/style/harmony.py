"""Another harmony under the same tune: chords as a genre uses them, learned from its pieces.

Job
    `reharmonise` gives a piece the chords of another genre: sevenths, ninths and ii-V progressions on the way to jazz,
    triads and plain dominants on the way to classic, added and suspended tones on the way to pop.

Method
    A chord is a degree of the local key and a quality. `HarmonyStatistics` holds what the training pieces of each genre
    do, in major and in minor: how often chords occur and follow each other, at which places of the bar they change, how
    the notes of a tune relate to the chord under them, which tones a player adds, which tone lies in the bass.
    Over half bars (and wherever the source changes its chord) the best path (Viterbi) maximises

        strength · (follows the habits of the target, most of all those that the source genre has not,
                    + suits the tune + stays near the source)
        + (1 - strength) · stays near the source,

    so that less of the source is left the greater the strength (what a sum of two goals is worth for one of them falls
    as the weight of the other grows). How near two chords are is learned, too: they share tones, or stand in like
    places, between the same neighbours (a substitute by function, such as the tritone substitute), or the new one
    leads to the old (the ii before its V). With a temperature, chances are disturbed by Gumbel noise, which makes a
    path a draw from them. The tones a genre adds then come chord by chord, none a semitone from the tune.

Sources
    Harmonising by chains of chords and what a tune says of each: I. Simon, D. Morris, S. Basu, 'MySong: automatic
    accompaniment generation for vocal melodies' (CHI 2008). Words known by their neighbours: Z. Harris, 'Distributional
    structure' (Word, 1954); chords so: E. Anzuoni and others, 'A historical analysis of harmonic progressions using
    chord embeddings' (SMC 2021). Draws by disturbed maxima: G. Papandreou, A. Yuille, 'Perturb-and-MAP random
    fields' (ICCV 2011). The rest is ours.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np

from spartito.analysis.note_chords import QUALITIES, TONES, TRIAD, ChordTrack
from spartito.errors import ModelError, ParameterError
from spartito.style.engines import GENRES, check_genre

__all__ = [
    "NONE",
    "STATES",
    "HarmonyConfig",
    "HarmonyStatistics",
    "absolute_states",
    "reharmonise",
    "strengths_of",
    "tune_chroma",
    "voicing",
]

KINDS = len(QUALITIES)
STATES = 12 * KINDS  # state = 12 · quality + root; relative to the tonic, or absolute
NONE = STATES  # no chord
MODES = 2  # major, minor
PLACES = 3  # a chord changes on a downbeat, on another beat that halves the bar, elsewhere
SCALES = np.array([np.isin(np.arange(12), s) for s in ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10))])
PHASES = (0.5 + 0.618 * (np.arange(12) - 2)) % 1  # golden section: tones as common as others take turns with them
_SCALE_TONES = SCALES | [[False] * 12, [i == 11 for i in range(12)]]  # the leading tone belongs to minor, too
LIKELY = 1e-4  # least probability of a chord


@dataclass(frozen=True)
class HarmonyConfig:
    """Weights; those of probabilities are exponents."""

    habit: float = 1.0  # of what the target genre usually does
    contrast: float = 0.2  # of how much likelier a chord is there than in the source genre
    most_contrast: float = 2.5  # nats
    suits: float = 1.0  # of the tune
    most_tune: float = 2.0  # beats of tune that count in one cell
    near: float = 3.0  # of nearness to the source at full strength
    source: float = 6.0  # of nearness to the source as the strength goes to nothing
    shares: tuple[float, float, float] = (0.45, 0.3, 0.25)  # common tones, like places, leads to it
    dressed: float = 0.93  # nearness of two chords on one root and third
    foreign: float = 0.85  # times nearness for each tone outside the scale that the source chord has not
    far: float = 0.02  # nearness of two chords that have nothing in common
    rare: float = 0.01  # share of the chords of a genre from which a quality is used that the source has not
    likely: float = 0.08  # share of the chords of a quality from which a tone may be added
    clash: float = 0.25  # beats of tune in a chord from which a tone a semitone off is not added


@dataclass(frozen=True, eq=False)
class HarmonyStatistics:
    """What pieces of each genre do; first axis `GENRES`.

    Attributes
    ----------
    often : np.ndarray, shape=(3, 2, 168)
        Share of each chord (12 · quality + degree of the key) among those of pieces in major, in minor.
    known : np.ndarray, shape=(3, 2, k), int
        The commonest of them.
    follows : np.ndarray, shape=(3, 2, k, k)
        Share of each among the chords after each.
    trusted : np.ndarray, shape=(3, 2, k)
        How far these shares are to be believed, 0..1 (the rest by `often`).
    changes : np.ndarray, shape=(3, 3)
        Chance that a chord changes on a downbeat, on the half bar, on another beat.
    tune : np.ndarray, shape=(3, 14, 12)
        Share of each degree above the root in the tune over a chord of each quality.
    added : np.ndarray, shape=(3, 14, 2, 12)
        Share of the chords of a quality in which the accompaniment has this tone above the root, where it is no note
        of the scale, and where it is one.
    weight : np.ndarray, shape=(3, 14, 12)
        Mean share of each tone above the root in what accompanies.
    bass : np.ndarray, shape=(3, 14, 12)
        Share of the chords of a quality that have this tone above the root as bass.
    """

    often: np.ndarray
    known: np.ndarray
    follows: np.ndarray
    trusted: np.ndarray
    changes: np.ndarray
    tune: np.ndarray
    added: np.ndarray
    weight: np.ndarray
    bass: np.ndarray

    def to_arrays(self, *, prefix: str = "harmony.") -> dict[str, np.ndarray]:
        """Arrays by name, as they go into a file of weights: float16, and int16 for `known`."""
        types = {"known": np.int16}
        return {prefix + f.name: getattr(self, f.name).astype(types.get(f.name, np.float16)) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], *, prefix: str = "harmony.") -> HarmonyStatistics:
        """The inverse of `to_arrays`. Raises ModelError when some are missing or do not belong together."""
        try:
            found = {f.name: np.asarray(arrays[prefix + f.name]) for f in fields(cls)}
        except KeyError as error:
            raise ModelError(f"statistics of harmony: {error.args[0]} is missing") from error
        if found["often"].shape != (len(GENRES), MODES, STATES) or found["tune"].shape[1:] != (KINDS, 12):
            raise ModelError("statistics of harmony: arrays of other genres or qualities")
        return cls(**{k: v.astype(np.int64 if k == "known" else np.float64) for k, v in found.items()})

    @cached_property
    def chain(self) -> np.ndarray:
        """(3, 2, 168, 168) chance of each chord after each, when it changes."""
        base = self.often + LIKELY / STATES
        base = base / base.sum(axis=2, keepdims=True)
        chain = np.repeat(base[:, :, None, :], STATES, axis=2)
        for g, m in np.ndindex(len(GENRES), MODES):
            at = self.known[g, m]
            trust = self.trusted[g, m][:, None]
            chain[g, m][at] *= 1 - trust
            chain[g, m][np.ix_(at, at)] += trust * self.follows[g, m]
        chain[:, :, np.arange(STATES), np.arange(STATES)] = 0
        return chain / chain.sum(axis=3, keepdims=True)

    @cached_property
    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Two (3, 2, 168, 36): the triads (family · 12 + degree) after, and before, each chord."""
        triad = np.zeros((STATES, 36))
        triad[np.arange(STATES), 12 * np.repeat(TRIAD, 12) + np.tile(np.arange(12), KINDS)] = 1
        joint = (self.often + LIKELY / STATES)[..., None] * self.chain
        before = np.swapaxes(joint, 2, 3) / np.maximum(joint.sum(axis=2), 1e-12)[..., None]
        return self.chain @ triad, before @ triad

    def nearness(self, source: int | None, target: int, mode: int, config: HarmonyConfig) -> np.ndarray:
        """(168, 168) 0..1: how well a chord of the target (column) can stand for one of the source (row)."""
        weight = np.where(TONES, np.array([1, 1, 1, 1, 1, 1, 0.7, 0.7, 0.7, 0.7, 0.6, 0.6]), 0)
        index = (np.arange(12)[None, :] - np.arange(12)[:, None]) % 12
        tones = weight[:, index].reshape(STATES, 12)
        absolute = tones > 0
        tones /= np.linalg.norm(tones, axis=1, keepdims=True)
        common = (tones @ tones.T) ** 2
        after, before = self.places
        genres = range(len(GENRES)) if source is None else [source]
        like = 1.0
        for side in (after, before):
            mine = np.mean([side[g, mode] for g in genres], axis=0)
            like = like * (np.sqrt(mine) @ np.sqrt(side[target, mode]).T)  # Bhattacharyya
        like = like / like.max(axis=1, keepdims=True)
        leads = self.chain[target, mode].T  # row: where it leads
        leads = leads / leads.max(axis=1, keepdims=True)
        parts = (common, like, leads)
        near = sum(share * part for share, part in zip(config.shares, parts, strict=True))
        strange = (absolute & ~_SCALE_TONES[mode]).sum(axis=1)
        near = near * config.foreign ** np.maximum(strange[None, :] - strange[:, None], 0)
        family = 12 * np.repeat(TRIAD, 12) + np.tile(np.arange(12), KINDS)
        dressed = config.dressed * config.foreign ** np.maximum(strange[None, :] - strange[:, None], 0)
        near = np.where(family[:, None] == family, dressed, near)  # the same chord with other tones on top
        near[np.arange(STATES), np.arange(STATES)] = 1.0
        return np.maximum(near, config.far)


# -- what a piece says ----------------------------------------------------------------------------------------


def tune_chroma(tune: np.ndarray, n_beats: int) -> np.ndarray:
    """(beats, 12) beats of sound of the pitch classes of a tune ((k, 5) grid notes), stressed ones more.

    A note struck on a beat counts whole, on its half three quarters, on another quarter half.
    """
    from spartito.analysis.note_chords import NoteChordConfig, beat_chroma

    config = NoteChordConfig(places=(1.0, 0.5, 0.75, 0.5), held=0.75, power=1.0)
    return beat_chroma(np.asarray(tune, dtype=np.int64).reshape(-1, 5), n_beats, config=config)[0]


def strengths_of(positions: np.ndarray) -> np.ndarray:
    """(beats,) place of each beat: 0 downbeat, 1 half of a bar of four (or six ...), 2 other."""
    bar = int(positions.max(initial=3)) + 1
    half = (bar % 2 == 0) & (bar > 2) & (positions == bar // 2)
    return np.where(positions == 0, 0, np.where(half, 1, 2))


def reharmonise(
    track: ChordTrack,
    tune: np.ndarray,
    statistics: HarmonyStatistics,
    *,
    target: str,
    source: str | None = None,
    strength: float = 1.0,
    positions: np.ndarray | None = None,
    seed: int = 0,
    temperature: float = 0.0,
    config: HarmonyConfig | None = None,
) -> ChordTrack:
    """The chords of a piece as another genre would set them.

    Parameters
    ----------
    track : ChordTrack
        Of the source.
    tune : np.ndarray, shape=(k, 5), int
        The notes that stay, on the grid of four steps a beat.
    target, source : str
        Genres; without a source any may be.
    strength : float, 0..1
        0 gives back `track` itself.
    positions : np.ndarray, shape=(beats,), int
        Place of each beat in its bar; bars of four if not given.
    temperature : float
        0 is the best path; 1 draws one by its chances. `seed` says which.
    """
    if not 0 <= strength <= 1:
        raise ParameterError(f"the strength is 0 to 1, not {strength}")
    aim = GENRES.index(check_genre(target))
    origin = None if source is None else GENRES.index(check_genre(source))
    if strength == 0 or len(track) == 0 or (track.root < 0).all():
        return track
    config = config or HarmonyConfig()
    rng = np.random.default_rng(seed)
    positions = np.arange(len(track)) % 4 if positions is None else np.asarray(positions)
    chroma = tune_chroma(tune, len(track))

    changed = np.zeros(len(track), dtype=bool)
    changed[track.starts] = True
    place = strengths_of(positions)
    first = np.flatnonzero((place < 2) | changed | (np.arange(len(track)) == 0))
    length = np.diff(np.append(first, len(track)))
    heard = np.add.reduceat(chroma, first, axis=0)  # (cells, 12)
    heard = heard * np.minimum(1, config.most_tune / np.maximum(heard.sum(axis=1, keepdims=True), 1e-9))
    old = np.where(track.root[first] < 0, NONE, 12 * track.quality[first] + track.root[first])
    keys = _filled(track.keys)[first]
    score = _cells(old, heard, length, keys, statistics, (origin, aim, strength, config))
    if temperature > 0:
        score[:, :NONE] += temperature * strength * rng.gumbel(size=(len(first), STATES))
    path = _path(score, place[first], keys, statistics, (aim, strength, config))
    return _track(track, path, first, length, chroma, keys, statistics, (aim, strength, temperature, config), rng)


def _filled(keys: np.ndarray) -> np.ndarray:
    """Local keys, C major where none is known."""
    return np.where(keys < 0, 0, keys)


def absolute_states(states: np.ndarray, tonic: int) -> np.ndarray:
    """For each absolute state (168,) the state relative to the tonic."""
    return 12 * (states // 12) + (states - tonic) % 12


def _cells(old, heard, length, keys, statistics: HarmonyStatistics, wish) -> np.ndarray:
    """(cells, 169) what speaks for each chord in each cell, without its neighbours."""
    origin, aim, strength, config = wish
    every = np.arange(STATES)
    table = np.log(12 * statistics.tune[aim] + 0.02)
    index = (np.arange(12)[None, :] - np.arange(12)[:, None]) % 12
    suits = heard @ table[:, index].reshape(STATES, 12).T
    score = np.zeros((len(old), STATES + 1))
    score[:, :NONE] = strength * config.suits * suits
    weight = strength * config.near + (1 - strength) * config.source
    for key in np.unique(keys):
        near = np.log(statistics.nearness(origin, aim, int(key) // 12, config))
        rows = np.flatnonzero((keys == key) & (old < NONE))
        relative = absolute_states(every, int(key) % 12)
        shares = np.log(statistics.often[:, int(key) // 12] + 0.002)[:, relative]
        others = [g for g in range(len(GENRES)) if g != aim] if origin is None else [origin]
        contrast = np.clip(shares[aim] - shares[others].mean(axis=0), -config.most_contrast, config.most_contrast)
        score[rows, :NONE] += strength * config.contrast * contrast
        score[rows, :NONE] += weight * near[relative[old[rows]]][:, relative] * np.sqrt(length[rows] / 2)[:, None]
    kinds = statistics.often[aim].mean(axis=0).reshape(KINDS, 12).sum(axis=1)
    unused = np.repeat(kinds < config.rare, 12) & (every != old[:, None])
    score[:, :NONE][unused | (old == NONE)[:, None]] = -np.inf
    score[old < NONE, NONE] = -np.inf
    return score


def _path(score, place, keys, statistics: HarmonyStatistics, wish) -> np.ndarray:
    """(cells,) the best path; to change costs what it does in the genre, by place, and by what follows what."""
    aim, strength, config = wish
    weight = strength * config.habit
    changes = np.clip(statistics.changes[aim], 0.02, 0.98)
    every = np.arange(STATES)
    chains, opens = {}, {}
    for key in np.unique(keys):
        relative = absolute_states(every, int(key) % 12)
        chance = statistics.chain[aim, int(key) // 12][np.ix_(relative, relative)] + 1e-7
        usual = -(chance * np.log(chance)).sum(axis=1, keepdims=True)  # else the best path would hardly ever move
        chains[key] = np.zeros((STATES + 1, STATES + 1))
        chains[key][:NONE, :NONE] = np.log(chance) + usual
        opens[key] = np.append(np.log(statistics.often[aim, int(key) // 12][relative] + LIKELY), 0.0)
    best = score[0] + weight * opens[keys[0]]
    back = np.zeros((len(score), STATES + 1), dtype=np.int16)
    diagonal = np.arange(STATES + 1)
    for i in range(1, len(score)):
        move = chains[keys[i]] + np.log(changes[place[i]])
        move[diagonal, diagonal] = np.log(1 - changes[place[i]])
        total = best[:, None] + weight * move
        back[i] = total.argmax(axis=0)
        best = total[back[i], diagonal] + score[i]
    path = np.zeros(len(score), dtype=np.int64)
    path[-1] = best.argmax()
    for i in range(len(score) - 1, 0, -1):
        path[i - 1] = back[i, path[i]]
    return path


def _track(track, path, first, length, chroma, keys, statistics: HarmonyStatistics, wish, rng) -> ChordTrack:
    """The chords of a path: on their basses, with the tones that the genre adds."""
    aim, strength, temperature, config = wish
    root = np.where(path < NONE, path % 12, -1)
    quality = np.where(path < NONE, path // 12, -1)
    begins = np.concatenate([[True], np.diff(path) != 0])
    number = np.cumsum(begins) - 1
    at = np.flatnonzero(begins)
    tune = np.zeros((len(at), 12))
    np.add.at(tune, number, np.add.reduceat(chroma, first, axis=0))
    bits = _added(root[at], quality[at], tune, keys[at], statistics, (aim, strength, temperature, config), rng)
    bits = bits[number]
    low = track.bass[first]
    # an inversion stays where the chord is the old one at root and third, as often as the genre turns its chords
    above = (low - root) % 12
    same = (track.root[first] == root) & TONES[quality, above]
    turned = statistics.bass[aim][quality, above] / np.maximum(statistics.bass.mean(axis=0)[quality, above], 1e-6)
    keep = same & (rng.random(len(path)) >= strength * (1 - np.minimum(turned, 1)))
    bass = np.where(root < 0, -1, np.where(keep & (low >= 0), low, root))
    spread = np.repeat(np.arange(len(path)), length)
    return replace(track, root=root[spread], quality=quality[spread], bass=bass[spread], added=bits[spread], again=None)


def _added(root, quality, tune, keys, statistics: HarmonyStatistics, wish, rng) -> np.ndarray:
    """(chords, 12) bool: tones beyond the quality, above the root, that the genre would have in each chord."""
    aim, strength, temperature, config = wish
    classes = (root[:, None] + np.arange(12)) % 12
    rows = np.arange(len(root))[:, None]
    inside = SCALES[keys // 12][rows, (classes - (keys % 12)[:, None]) % 12]
    more = statistics.added[aim] - statistics.added.min(axis=0)  # the least of all genres are passing notes
    rate = strength * more[quality[:, None], inside.astype(int), np.arange(12)]
    sung = tune[rows, classes]  # beats of each tone in the tune
    # a semitone above a tone of the chord is to be avoided, but for the dominant's flat ninth and thirteenth
    avoided = np.roll(TONES[quality], 1, axis=1)
    avoided &= ~((quality == QUALITIES.index("7"))[:, None] & np.isin(np.arange(12), (1, 8)))
    rate = np.where(TONES[quality] | avoided, 0, rate)
    rough = np.maximum(np.roll(sung, 1, axis=1), np.roll(sung, -1, axis=1)) > config.clash
    rate = np.where(rough | (rate < strength * config.likely), 0, rate)
    if temperature > 0:
        chosen = rate > rng.random(rate.shape)
    else:  # as often as the rate says, spread evenly over the chords of a quality
        chosen = np.zeros(rate.shape, dtype=bool)
        for kind in np.unique(quality[root >= 0]):
            mine = np.flatnonzero(quality == kind)
            chosen[mine] = np.diff(np.floor(np.cumsum(rate[mine], axis=0) + PHASES), axis=0, prepend=0) > 0
    # of two that lie a semitone apart the commoner
    rival = np.maximum(np.roll(rate * chosen, 1, axis=1), np.roll(rate * chosen, -1, axis=1))
    return chosen & (rate >= rival) & (root >= 0)[:, None]


def voicing(track: ChordTrack, statistics: HarmonyStatistics, *, genre: str) -> np.ndarray:
    """(beats, 12) weights, sum 1, of the pitch classes (C first) that an accompaniment of `genre` gives each chord.

    Zero outside the chord and its added tones.
    """
    aim = GENRES.index(check_genre(genre))
    weight = statistics.weight[aim][track.quality] * (TONES[track.quality] | track.added) + 1e-9
    weight = np.where(TONES[track.quality] | track.added, weight, 0)
    weight = np.take_along_axis(weight, (np.arange(12) - track.root[:, None]) % 12, axis=1)
    weight = np.where((track.root >= 0)[:, None], weight, 0)
    return weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-12)
