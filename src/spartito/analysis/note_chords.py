"""Chords and keys of a piece from its notes.

Job
    Given notes on a grid of quarter beats, say for every beat which chord sounds, on which bass, and in which key:
    `chords_of` gives a `ChordTrack`.

Method
    Each note adds to the chroma of every beat in which it sounds, the more the longer it sounds there and the stronger
    the place on which it is struck; a note held over from before counts less. The lowest notes of a beat give a second
    chroma, that of the bass. A chord explains a beat by the probability of drawing those pitch classes from its own
    (a chord of many tones spreads its probability thinner, so that a triad is not called a ninth), of its bass, and of
    its quality. The best path over beats (Viterbi) pays for each change, less on a downbeat or a half bar. The local
    key is a second such path: over 24 keys, by the profiles of Krumhansl and Kessler on the chroma of the beats
    around; the key of the piece is voted by `analysis.chords.find_key` from those profiles and the chords.

Source
    Chords by templates and Viterbi: T. Fujishima, 'Realtime chord recognition of musical sound' (ICMC 1999); B. Pardo
    and W. Birmingham, 'Algorithms for chordal analysis' (Computer Music Journal 26(2), 2002). Profiles: C. Krumhansl,
    'Cognitive foundations of musical pitch' (1990).

    The weights were tuned on the validation songs of POP909 (of 39, the roots of 93 % of the time are found). Jazz is
    another matter: `style.jazz_chords`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from spartito.analysis.chords import find_key, key_name, steadiest
from spartito.analysis.harte import QUALITIES as INTERVALS
from spartito.analysis.harte import absolute, encode, is_no_chord, label_of
from spartito.analysis.song import Chord
from spartito.errors import ParameterError

__all__ = [
    "DEFAULT_NOTE_CHORDS",
    "QUALITIES",
    "TONES",
    "ChordTrack",
    "NoteChordConfig",
    "beat_chroma",
    "chords_of",
    "local_keys",
    "quality_of",
]

STEPS = 4  # of a beat
QUALITIES = (
    *("maj", "min", "dim", "aug", "sus4", "maj7", "min7", "7", "hdim7", "dim7", "minmaj7", "maj6", "min6", "sus2"),
)
"""Qualities a chord may have; a `ChordTrack` gives them by number."""
TONES = np.array([[i in INTERVALS[name] for i in range(12)] for name in QUALITIES])  # (qualities, 12) from the root
TRIAD = np.array([0, 1, 2, 0, 0, 0, 1, 0, 2, 2, 1, 0, 1, 0])  # of each quality: major, minor or diminished
MAJOR_KEY = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)  # Krumhansl and Kessler
MINOR_KEY = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
ADDED = ("1", "b9", "9", "#9", "3", "11", "#11", "5", "b13", "13", "b7", "7")  # degrees of added tones, from the root
FOURTH_TONES = (10, 11, 9)  # semitones above the root
WITH_FOURTH = {  # triad and added tone: the quality that has both
    **{("maj", 10): "7", ("maj", 11): "maj7", ("maj", 9): "maj6"},
    **{("min", 10): "min7", ("min", 11): "minmaj7", ("min", 9): "min6"},
    **{("dim", 10): "hdim7", ("dim", 9): "dim7"},
}


@dataclass(frozen=True)
class NoteChordConfig:
    """Shares, and costs in nats."""

    held: float = 0.7  # weight of a note in a beat in which it was not struck
    places: tuple[float, ...] = (1.0, 0.7, 0.9, 0.7)  # weight of a note struck on each quarter of a beat
    power: float = 1.0  # of the length of a note in a beat
    stray: float = 0.25  # share of pitch classes that are none of the chord's
    evidence: float = 5.0  # weight of the pitch classes of a beat
    enough: float = 0.6  # beats of sound at which half of that weight is reached
    bass: float = 0.6  # weight of the bass
    near: float = 5.0  # semitones above the lowest note at which a note is a third as much bass
    basses: tuple[float, ...] = (0.72, 0.08, 0.11, 0.03)  # shares of root, third, fifth and other tones as bass
    change: tuple[float, ...] = (1.0, 1.4, 2.1)  # for a change on a downbeat, half bar, other beat
    rare: tuple[float, ...] = (0.0, 0.05, 0.6, 0.8, 0.35, 0.15, 0.15, 0.15, 0.4, 0.5, 0.9, 0.5, 0.6, 0.5)  # per beat
    silence: float = 0.4  # a beat without notes speaks for no chord
    nothing: float = 0.6  # against no chord in a beat with notes
    key_change: float = 6.0
    key_evidence: float = 4.0  # weight of one beat in the path of keys
    key_around: int = 4  # beats before and after one that say its key


DEFAULT_NOTE_CHORDS = NoteChordConfig()


@dataclass(frozen=True, eq=False)
class ChordTrack:
    """The chord of every beat.

    Attributes
    ----------
    root : np.ndarray, shape=(beats,), int
        0..11, -1 for no chord.
    quality : np.ndarray, shape=(beats,), int
        Index into `QUALITIES`, -1 for no chord.
    bass : np.ndarray, shape=(beats,), int
        Pitch class of the lowest note, -1 for no chord.
    key : str
        Of the whole, "C:maj"; "" when nothing speaks for any.
    keys : np.ndarray, shape=(beats,), int
        Local key: 0..11 major, 12..23 minor, -1 unknown.
    added : np.ndarray, shape=(beats, 12), bool
        Tones beyond the quality (ninths, thirteenths ...), counted from the root.
    again : np.ndarray, shape=(beats,), bool
        A chord begins here even though it is the one of the beat before.
    """

    root: np.ndarray
    quality: np.ndarray
    bass: np.ndarray
    key: str = ""
    keys: np.ndarray | None = None
    added: np.ndarray | None = None
    again: np.ndarray | None = field(default=None, repr=False)

    def __post_init__(self):
        n = len(self.root)
        for name, value in (
            ("keys", np.full(n, -1)),
            ("added", np.zeros((n, 12), bool)),
            ("again", np.zeros(n, bool)),
        ):
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.root)

    @property
    def starts(self) -> np.ndarray:
        """(chords,) the beats on which a chord begins; the first is 0 unless there are no beats."""
        if len(self) == 0:
            return np.zeros(0, dtype=np.int64)
        rows = np.column_stack([self.root, self.quality, self.bass, self.added])
        return np.flatnonzero(np.concatenate([[True], (np.diff(rows, axis=0) != 0).any(axis=1) | self.again[1:]]))

    @property
    def segments(self) -> np.ndarray:
        """(chords, 5) int: first beat, beat after the last, root, quality, bass."""
        at = self.starts
        return np.column_stack([at, np.append(at[1:], len(self)), self.root[at], self.quality[at], self.bass[at]])

    def tones(self, *, added: bool = True) -> np.ndarray:
        """(beats, 12) bool: pitch classes of the chords, C first; the bass too, and tones added if `added`."""
        bits = TONES[self.quality] | self.added if added else TONES[self.quality].copy()
        index = (np.arange(12) - self.root[:, None]) % 12
        bits = np.take_along_axis(bits, index, axis=1)
        sounding = self.root >= 0
        bits[np.flatnonzero(sounding), self.bass[sounding]] = True
        return bits & sounding[:, None]

    def labels(self) -> list[str]:
        """Harte's name of the chord of each of `starts`."""
        at = self.starts
        names = (_label(self.root[b], self.quality[b], self.bass[b], self.added[b], self.key) for b in at)
        return list(names)

    def harte(self) -> list[str]:
        """Harte's name of the chord of each beat."""
        number = np.searchsorted(self.starts, np.arange(len(self)), side="right") - 1
        names = self.labels()
        return [names[i] for i in number]

    def chords(self, times: np.ndarray) -> tuple[Chord, ...]:
        """The chords from second 0 on; `times` (beats + 1,) are those of the beats and of the end."""
        times = np.maximum(times, 0.0)
        rows = zip(self.segments, self.labels(), strict=True)
        timed = (Chord(float(times[row[0]]), float(times[row[1]]), name) for row, name in rows)
        return tuple(chord for chord in timed if chord.end > chord.start)

    def simplified(self) -> ChordTrack:
        """Major, minor and diminished triads only, on their roots."""
        quality = np.where(self.root >= 0, TRIAD[self.quality], -1)
        return replace(self, quality=quality, bass=self.root.copy(), added=None, again=None)

    def transposed(self, semitones: int) -> ChordTrack:
        """The same chords higher or lower."""

        def moved(values):
            return np.where(values >= 0, (values + semitones) % 12, -1)

        keys = np.where(self.keys >= 0, (self.keys + semitones) % 12 + 12 * (self.keys // 12), -1)
        key = ""
        if self.key:
            root, bits, _ = encode(self.key)
            key = key_name((root + semitones) % 12 + (12 if bits[3] else 0))
        return replace(self, root=moved(self.root), bass=moved(self.bass), keys=keys, key=key)

    @classmethod
    def of_labels(cls, labels, *, key: str = "") -> ChordTrack:
        """From one Harte name per beat."""
        rows = [(*_read(name), absolute(name)[2]) for name in labels]
        table = np.array([(root, quality, bass) for root, quality, _, bass in rows], dtype=np.int64).reshape(-1, 3)
        added = np.array([extra for _, _, extra, _ in rows], dtype=bool).reshape(-1, 12)
        number = -1
        if key:
            root, bits, _ = encode(key)
            number = root + (12 if bits[3] else 0)
        return cls(*table.T, key=key, keys=np.full(len(table), number), added=added)


def quality_of(bits: np.ndarray) -> np.ndarray:
    """(n,) the quality most like each set of tones from the root ((n, 12) bool).

    Fewest tones too many or missing, those from the second to the fifth counting double; of those the simplest.
    """
    weight = np.where(np.isin(np.arange(12), range(2, 9)), 2, 1)
    return ((np.asarray(bits, bool)[:, None, :] != TONES) * weight).sum(axis=2).argmin(axis=1)


def _read(label: str) -> tuple[int, int, np.ndarray]:
    """Root, quality and added tones of a Harte name."""
    if is_no_chord(label):
        return -1, -1, np.zeros(12, bool)
    name = label.split("/")[0]
    root, bits, _ = encode(name)
    quality = int(quality_of(bits[None].astype(bool))[0])
    extra = bits.astype(bool) & ~TONES[quality]
    short, _, inside = name.partition(":")[2].partition("(")
    beyond = [part.strip() for part in inside.rstrip(")").split(",")]
    beyond += {"9": ["9"], "b9": ["b9"], "#9": ["#9"], "maj9": ["9"], "min9": ["9"], "#11": ["9", "#11"]}.get(short, [])
    beyond += ["9", "13"] if short in ("13", "maj13", "min13") else ["b13"] if short == "b13" else []
    beyond += ["9", "11"] if short in ("11", "maj11", "min11") else []
    extra[[ADDED.index(part) for part in beyond if part in ADDED]] = True
    return root, quality, extra & ~TONES[quality]


def _label(root: int, quality: int, bass: int, added: np.ndarray, key: str) -> str:
    if root < 0:
        return "N"
    named = QUALITIES[quality]
    for tone in FOURTH_TONES:  # a triad with a seventh or a sixth has a name of its own
        if added[tone]:
            named = WITH_FOURTH.get((named, tone), named)
    name = label_of(int(root), named, key=key)
    whole = label_of(int(root), named, bass=int(bass), key=key)
    inside = ",".join(ADDED[i] for i in np.flatnonzero(added & ~TONES[QUALITIES.index(named)]))
    return f"{name}({inside}){whole[len(name) :]}" if inside else whole


# -- evidence -------------------------------------------------------------------------------------------------


def _spread(notes: np.ndarray, n_beats: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row of the note, beat and steps of sound for each beat that each note touches."""
    start, stop = notes[:, 0], np.minimum(notes[:, 0] + notes[:, 1], n_beats * STEPS)
    first, last = start // STEPS, (stop - 1) // STEPS
    count = np.where((stop > start) & (first >= 0), last - first + 1, 0)
    row = np.repeat(np.arange(len(notes)), count)
    beat = first[row] + np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    sound = np.minimum(stop[row], (beat + 1) * STEPS) - np.maximum(start[row], beat * STEPS)
    return row, beat, sound


def beat_chroma(
    notes: np.ndarray, n_beats: int, *, config: NoteChordConfig = DEFAULT_NOTE_CHORDS
) -> tuple[np.ndarray, np.ndarray]:
    """(beats, 12) weights of the pitch classes of each beat, about one for a note that lasts it, and of its bass.

    The second adds up to at most one per beat.
    """
    row, beat, sound = _spread(notes, n_beats)
    struck = notes[row, 0] // STEPS == beat
    weight = (sound / STEPS) ** config.power
    weight = weight * np.where(struck, np.asarray(config.places)[notes[row, 0] % STEPS], config.held)
    pitch = notes[row, 2]
    cell = beat * 12 + pitch % 12
    chroma = np.bincount(cell, weight, minlength=n_beats * 12).reshape(n_beats, 12)
    lowest = np.full(n_beats, 127)
    np.minimum.at(lowest, beat, pitch)
    low = weight * np.exp((lowest[beat] - pitch) / config.near)
    bass = np.bincount(cell, low, minlength=n_beats * 12).reshape(n_beats, 12)
    return chroma, bass / np.maximum(bass.sum(axis=1, keepdims=True), 0.25)


def _templates(config: NoteChordConfig) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities (states, 12) of the pitch classes and of the bass; state = 12 · quality + root."""
    size = TONES.sum(axis=1, keepdims=True)
    sound = np.where(TONES, (1 - config.stray) / size, config.stray / (12 - size))
    root, third, fifth, other = config.basses
    bass = np.zeros(TONES.shape)
    for i, bits in enumerate(TONES):
        tones = np.flatnonzero(bits)
        bass[i, tones] = other
        bass[i, 0] = root
        bass[i, tones[1]] = third
        bass[i, tones[2]] = fifth
        bass[i] += (1 - bass[i].sum()) / 12
    index = (np.arange(12)[None, :] - np.arange(12)[:, None]) % 12  # (root, pitch class)
    return np.log(sound[:, index]).reshape(-1, 12), np.log(bass[:, index]).reshape(-1, 12)


def chords_of(
    notes: np.ndarray,
    n_beats: int,
    *,
    positions: np.ndarray | None = None,
    bar: int = 4,
    config: NoteChordConfig = DEFAULT_NOTE_CHORDS,
) -> ChordTrack:
    """Chords and keys of notes on the grid.

    Parameters
    ----------
    notes : np.ndarray, shape=(k, 5), int
        Step, duration in steps (four a beat), MIDI pitch, velocity, hand.
    n_beats : int
    positions : np.ndarray, shape=(n_beats,), int
        Place of each beat in its bar, 0 is a downbeat; without it bars of `bar` beats from the first.
    """
    notes = np.asarray(notes, dtype=np.int64).reshape(-1, 5)
    places = np.arange(n_beats) % bar if positions is None else np.asarray(positions)
    if len(places) != n_beats:
        raise ParameterError(f"positions of {len(places)} beats were given for {n_beats}")
    if n_beats == 0:
        return ChordTrack(*(np.zeros(0, dtype=np.int64) for _ in range(3)))
    chroma, bass = beat_chroma(notes, n_beats, config=config)
    total = chroma.sum(axis=1, keepdims=True)
    share = chroma / np.maximum(total, 1e-9)
    weight = config.evidence * total / (total + config.enough)
    sound, low = _templates(config)
    heard = weight * (share @ sound.T) + config.bass * (bass @ low.T)
    heard -= np.repeat(config.rare, 12)
    heard[total[:, 0] == 0] = 0
    quiet = weight[:, 0] * np.log(1 / 12) + config.bass * bass.sum(axis=1) * np.log(1 / 12)
    none = np.where(total[:, 0] == 0, config.silence, quiet - config.nothing)
    change = np.asarray(config.change)[_strength(places)]
    path = steadiest(np.column_stack([none, heard]), change)
    root = np.where(path > 0, (path - 1) % 12, -1)
    quality = np.where(path > 0, (path - 1) // 12, -1)
    track = ChordTrack(root, quality, root.copy())
    track = replace(track, bass=_basses(track, bass))
    keys, logits = local_keys(chroma, config=config), config.key_evidence * _fit(chroma.sum(axis=0))[:, None]
    key = find_key(logits, track.chords(np.arange(n_beats + 1.0)))
    return replace(track, key=key, keys=keys if key else np.full(n_beats, -1))


def _strength(places: np.ndarray) -> np.ndarray:
    """(n,) 0 on a downbeat, 1 on the half of a bar of even length, 2 elsewhere."""
    down = np.flatnonzero(places == 0)
    length = np.diff(np.append(down, len(places)))
    bar = np.searchsorted(down, np.arange(len(places)), side="right") - 1
    usual = int(np.median(length)) if len(length) else 4
    long = np.where(bar >= 0, length[np.maximum(bar, 0)], usual) if len(length) else np.full(len(places), usual)
    half = (long % 2 == 0) & (long > 2) & (places == long // 2)
    return np.where(places == 0, 0, np.where(half, 1, 2))


def _basses(track: ChordTrack, bass: np.ndarray) -> np.ndarray:
    """(beats,) the pitch class under each chord: that of most weight in its beats, first of all in its first one."""
    spans = track.segments
    first = np.zeros(len(track), dtype=bool)
    first[spans[:, 0]] = True
    number = np.cumsum(first) - 1
    weight = np.zeros((len(spans), 12))
    np.add.at(weight, number, bass * np.where(first, 2.0, 1.0)[:, None])
    tones = track.tones()[spans[:, 0]]
    weight = np.where(tones, weight, 0)
    rooted = np.take_along_axis(weight, np.maximum(spans[:, 2:3], 0), axis=1)[:, 0]
    lowest = np.where(weight.max(axis=1) > 1.5 * rooted, weight.argmax(axis=1), spans[:, 2])
    return np.where(track.root >= 0, lowest[number], -1)


def _fit(chroma: np.ndarray) -> np.ndarray:
    """(..., 24) correlation of chroma (..., 12) with the profile of each key."""
    profiles = np.array([np.roll(p, k) for p in (MAJOR_KEY, MINOR_KEY) for k in range(12)])
    profiles = (profiles - profiles.mean(axis=1, keepdims=True)) / profiles.std(axis=1, keepdims=True)
    centred = chroma - chroma.mean(axis=-1, keepdims=True)
    return (centred @ profiles.T) / (12 * np.maximum(centred.std(axis=-1, keepdims=True), 1e-6))


def local_keys(chroma: np.ndarray, *, config: NoteChordConfig = DEFAULT_NOTE_CHORDS) -> np.ndarray:
    """(beats,) the key around each beat, 0..11 major, 12..23 minor, from the chroma (beats, 12) of notes or chords."""
    n, r = len(chroma), config.key_around
    sums = np.concatenate([np.zeros((1, 12)), np.cumsum(chroma, axis=0)])
    beat = np.arange(n)
    around = sums[np.minimum(beat + r + 1, n)] - sums[np.maximum(beat - r, 0)]
    return steadiest(config.key_evidence * 4 / (2 * r + 1) * _fit(around), np.full(n, config.key_change))
