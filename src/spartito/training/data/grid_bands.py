"""Bands of four tracks from sets that hold none: jazz solos with chords, and piano scores.

Jazz
    A solo of the Weimar Jazz Database (`wjazzd.py`) is a horn, which belongs to the strings track ("all others"); its
    annotated chords are comped (`jazz_comping.comping`), walked under (`jazz_comping.walking_bass`), and a drummer
    swings. Everything but the solo and its chords is made up, from a seed. The bass notes that the database gives are
    not used: on 43 % of the new chords (median of the solos) only they are the root.

Classic
    A score of ASAP (`genre_sets.py`) given out to players: the top line (`notes.skyline`) to the strings; of the left
    hand what is lowest in its beat to the bass, held through the beat as the pedal would; the rest to the guitar or
    piano. No one drums.

Both are quantised to the steps they are learnt on, and split by work, as in every other job.

Sources and licences: Weimar Jazz Database (ODbL 1.0), ASAP (CC BY-NC-SA 4.0). What a swinging drummer plays is that of
the textbooks (J. Riley, 'The art of bop drumming', 1994): ride cymbal, hi-hat with the foot on two and four, feathered
kick, snare and kick in between; the weights are ours, not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from spartito.analysis.beats import Beats
from spartito.notes.four_tracks import BASS, DRUMS, GUITAR, STRINGS, TRACKS, Band, band
from spartito.notes.notes import Notes, Track
from spartito.notes.phrases import LEFT_HAND, STEPS_PER_BEAT
from spartito.notes.skyline import skyline
from spartito.training.band_patterns import CRASH, HAT, KICK, PEDAL_HAT, RIDE, SNARE, TOMS
from spartito.training.data.band_store import BandPiece, piece_of
from spartito.training.data.genre_sets import asap_pieces
from spartito.training.data.genre_store import GridPiece
from spartito.training.data.jazz_chords import JazzChord
from spartito.training.data.wjazzd import Solo, feel_of, list_solos, on_beats, read_solo
from spartito.training.jazz_comping import Feel, comping, walking_bass

__all__ = ["asap_bands", "jazz_band", "score_band", "swing_drums", "walked", "wjazzd_bands"]

JAZZ, CLASSIC = "jazz", "classic"
BEATS_PER_BAR = 4
SECTION = 8  # bars in which the drummer and the bass keep their way of playing
KEEP = 0.6  # chance that the ride cymbal repeats its bar
RIDES: tuple[tuple[tuple[int, ...], float], ...] = (  # quavers of the bar; weight
    ((0, 2, 3, 4, 6, 7), 6.0),
    ((0, 2, 4, 6), 1.5),
    ((0, 2, 3, 4, 6), 1.5),
    ((0, 2, 4, 6, 7), 1.5),
    ((0, 1, 2, 4, 5, 6), 0.5),
    ((0, 2, 3, 5, 6, 7), 0.5),
)
FEATHERED = 0.4  # chance that a section has a kick on every beat, softly
COMPED = (1, 3, 5, 7, 4, 2)  # quavers on which kick and snare answer the soloist, likeliest first
FILLED = 0.5  # chance that the last bar of a section is a fill
TWO = {"slow": 0.6, "middle": 0.25, "fast": 0.05}  # chance that a section of the bass is in two
SKIP = 0.12  # chance that a beat of the bass is struck again on its second quaver
SOFT, LOUD = 46, 92  # velocities


def on_grid(rows: np.ndarray, roles: np.ndarray) -> Band:
    """A band of notes on beats: `rows` (k, 4) onset and release in beats, pitch, velocity; `roles` (k,) tracks."""
    count = int(np.ceil(rows[:, 1].max(initial=0))) + 2
    place = np.arange(count)
    tracks = tuple(Track(name=name) for name in TRACKS)
    notes = Notes.from_arrays(rows[:, 0], rows[:, 1], rows[:, 2], np.round(rows[:, 3]), track=roles, tracks=tracks)
    return band(notes, Beats(place, place, place % BEATS_PER_BAR), roles=np.arange(len(TRACKS)))


# -- jazz -----------------------------------------------------------------------------------------------------------


def wjazzd_bands(
    folder: Path, *, bands: int = 2, seed: int = 0, report: Callable[[str], None] = print
) -> Iterator[BandPiece]:
    """`bands` bands of each solo of the Weimar Jazz Database that has bars of four beats."""
    files = list_solos(folder)
    for number, path in enumerate(files):
        solo = read_solo(path)
        for one in range(bands):
            yield jazz_band(solo, name=f"{solo.name}#{one}", seed=[seed, one])
        if (number + 1) % 100 == 0:
            report(f"{number + 1} of {len(files)} solos")


def jazz_band(solo: Solo, *, name: str, seed: Sequence[int] = (0,)) -> BandPiece:
    """A quartet for a solo: horn, guitar or piano, bass, drums; they play where bars have four beats."""
    rng = np.random.default_rng([*seed, *solo.name.encode()])
    chords, regions, tune = on_beats(solo)
    feel = feel_of(solo)
    parts, roles = [tune], [np.full(len(tune), STRINGS)]
    for start, end in regions // STEPS_PER_BEAT:
        under = chords[start:end]
        for role, made in (
            (DRUMS, swing_drums(end - start, feel=feel, rng=rng)),
            (BASS, walked(under, feel=feel, rng=rng)),
            (GUITAR, comping(under, feel=feel, rng=rng)),
        ):
            made[:, 1] += made[:, 0]  # lengths to ends
            made[:, :2] += start
            made[:, 1] = np.minimum(made[:, 1], end)
            parts.append(made)
            roles.append(np.full(len(made), role))
    return piece_of(
        on_grid(np.concatenate(parts), np.concatenate(roles)),
        name=name,
        song=solo.work,
        tags=(JAZZ,),
        licence="free",
        regions=regions,
        tempo=solo.tempo,
    )


def walked(chords: Sequence[JazzChord | None], *, feel: Feel, rng: np.random.Generator) -> np.ndarray:
    """(k, 4) place and length in beats, pitch, velocity of a bass: in four, or sections in two."""
    line = walking_bass(chords, rng)
    beat = np.flatnonzero(line >= 0)
    sections = -(-len(chords) // (SECTION * BEATS_PER_BAR))
    two = (rng.random(sections) < TWO[feel.pace])[beat // (SECTION * BEATS_PER_BAR)]
    turn = np.array([chords[b] != chords[b - 1] if b else True for b in beat], dtype=bool)
    played = ~two | (beat % 2 == 0) | turn  # a chord that begins on a weak beat is told also in two
    beat, two = beat[played], two[played]
    room = np.minimum(np.diff(beat, append=len(chords)), 2)
    again = ~two & (rng.random(len(beat)) < SKIP)
    length = np.where(again, 0.9 * feel.offbeat, np.where(two, room - 0.1, 0.95))
    first = np.column_stack([beat, length, line[beat], rng.normal(74, 4, len(beat))])
    second = np.column_stack(
        [
            beat[again] + feel.offbeat,
            np.full(again.sum(), 0.9 - feel.offbeat),
            line[beat[again]],
            np.full(again.sum(), 58),
        ]
    )
    return np.concatenate([first, second])


def swing_drums(beats: int, *, feel: Feel, rng: np.random.Generator) -> np.ndarray:
    """(k, 4) place and length in beats, key of the kit, velocity, for whole bars of four beats."""
    weights = np.array([w for _, w in RIDES])
    hits: list[tuple[int, int, float]] = []  # quaver, key, velocity
    ride, cymbal, feathered = RIDES[0][0], RIDE, False
    for bar in range(beats // BEATS_PER_BAR):
        first = 2 * BEATS_PER_BAR * bar
        if bar % SECTION == 0:
            cymbal = RIDE if rng.random() < 0.8 else HAT
            feathered = rng.random() < FEATHERED
            if bar:
                hits += [(first, CRASH, LOUD), (first, KICK, LOUD)]
        if bar % SECTION == SECTION - 1 and rng.random() < FILLED:
            hits += [(first + q, key, v) for q, key, v in _fill(rng)]
            continue
        if rng.random() > KEEP:
            ride = RIDES[rng.choice(len(RIDES), p=weights / weights.sum())][0]
        hits += [(first + q, cymbal, 78 if q in (2, 6) else 70 if q % 2 == 0 else 58) for q in ride]
        hits += [(first + q, PEDAL_HAT, 60) for q in (2, 6)] if cymbal == RIDE else []
        hits += [(first + q, KICK, 30) for q in (0, 2, 4, 6)] if feathered else []
        answers = rng.poisson(0.9)
        chosen = rng.choice(COMPED, size=min(answers, 3), replace=False, p=np.array([4, 4, 4, 4, 1, 1]) / 18)
        hits += [(first + q, SNARE if rng.random() < 0.7 else KICK, SOFT + 8 * (q % 2)) for q in chosen]
    rows = np.array(hits, dtype=np.float64).reshape(-1, 3)
    quaver, key, velocity = rows.T
    place = quaver // 2 + np.where(quaver % 2 == 1, feel.offbeat, 0.0)
    velocity = np.clip(velocity + rng.normal(0, 4, len(rows)), 1, 127)
    return np.column_stack([place, np.full(len(rows), 0.25), key, velocity])


def _fill(rng: np.random.Generator) -> list[tuple[int, int, float]]:
    """Quaver of the bar, key and velocity: a beat or two of time, then snare and toms downwards."""
    begin = int(rng.choice([2, 4]))
    time = [(q, RIDE, 70) for q in range(0, begin, 2)]
    keys = np.sort(rng.choice(len(TOMS) + 1, size=8 - begin))  # 0 is the snare
    played = rng.random(8 - begin) < 0.85
    told = [(begin + i, SNARE if k == 0 else TOMS[k - 1], 72 + 3 * i) for i, k in enumerate(keys) if played[i]]
    return time + told


# -- classic --------------------------------------------------------------------------------------------------------


def asap_bands(folder: Path) -> Iterator[BandPiece]:
    """A band of each score of ASAP that has bars of 4/4."""
    for piece in asap_pieces(folder, scores=True):
        yield score_band(piece)


def score_band(piece: GridPiece) -> BandPiece:
    """A piece for two hands given out to strings, guitar or piano, and bass."""
    notes = piece.notes
    tune = np.zeros(len(notes), dtype=bool)
    tune[skyline(notes)] = True
    left = np.flatnonzero((notes[:, 4] == LEFT_HAND) & ~tune)
    bass, length = _lowest(notes[left])
    role = np.where(tune, STRINGS, GUITAR)
    role[left[bass]] = BASS
    stop = notes[:, 0] + notes[:, 1]
    stop[left[bass]] = notes[left[bass], 0] + length
    rows = np.column_stack([notes[:, 0] / STEPS_PER_BEAT, stop / STEPS_PER_BEAT, notes[:, 2], notes[:, 3]])
    return piece_of(
        on_grid(rows.astype(np.float64), role),
        name=piece.name,
        song=piece.work,
        tags=(CLASSIC,),
        licence="NC",
        regions=piece.regions,
        tempo=piece.tempo,
    )


def _lowest(notes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `notes` (k, 5) that make the bass, and how many steps each lasts.

    The lowest note that begins in its beat and is not above one that is held; it lasts as written, and at least to the
    end of its beat or to the next one.
    """
    if len(notes) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    step, many, pitch = notes[:, 0], np.maximum(notes[:, 1], 1), notes[:, 2]
    beat = step // STEPS_PER_BEAT
    floor = np.full(beat.max() + 1, 128)
    np.minimum.at(floor, beat, pitch)
    row = np.repeat(np.arange(len(notes)), many)
    at = step[row] + np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
    low = np.full(at.max() + 1, 128)
    np.minimum.at(low, at, pitch[row])
    found = np.flatnonzero((pitch == floor[beat]) & (pitch == low[step]))
    found = found[np.argsort(step[found], kind="stable")]
    found = found[np.diff(step[found], prepend=-1) != 0]  # one of notes that are told twice
    after = np.diff(step[found], append=step[found[-1]] + STEPS_PER_BEAT) if len(found) else np.zeros(0, dtype=np.int64)
    to_beat = STEPS_PER_BEAT - step[found] % STEPS_PER_BEAT
    return found, np.maximum(many[found], np.minimum(to_beat, after))
