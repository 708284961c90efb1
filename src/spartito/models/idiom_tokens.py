"""The language of the idiom model: what is known of every step of a piece, and its accompaniment as compound tokens.

Windows
    A window writes 64 steps (four bars of 4/4) of accompaniment and sees the tune, the chords and the metre of these
    and of the 16 steps behind them, so that a bass can lead into the next chord. Windows overlap: what has been written
    in the first half of one is its *prompt*, which goes on in the second half.

Lines
    `lines` holds one row of whole numbers per step of a piece, columns named by `COLUMNS`. All that depends on harmony
    is counted from the root of the chord, so that to transpose a window changes two columns only (`transposed`).
    `simplified` takes detail away: from all that is known of a chord to its triad, its root, or nothing. In training
    that happens at random; a model that is told triads and a genre then adds sevenths, inversions and colours as that
    genre does, and one that is told everything obeys.

Tokens
    As in `cover_tokens`, a token is a note: position (step of the window), hand, key, duration, velocity; keys rise at
    one position; END is position 64. The notes are those of everything but the tune (`notes.skyline`).
"""

from __future__ import annotations

import numpy as np

from spartito.analysis.note_chords import QUALITIES, TONES, TRIAD, ChordTrack
from spartito.errors import ParameterError
from spartito.models.cover_tokens import DURATIONS, KEYS, LOWEST_KEY, STEPS, VELOCITIES, nearest_duration
from spartito.models.cover_tokens import nearest_velocity as nearest_level
from spartito.style.engines import GENRES

__all__ = [
    "COLUMNS",
    "CONTROLS",
    "DETAILS",
    "END",
    "GENRES",
    "HEARD",
    "LEVELS",
    "SIZES",
    "WINDOW",
    "beyond",
    "lines",
    "simplified",
    "tokens_of",
    "tone_bits",
    "transposed",
    "windows_of",
]

WINDOW = 64  # steps that a window writes
AHEAD = 16  # steps behind them of which it knows the tune and the chords
HEARD = WINDOW + AHEAD
END = WINDOW  # the position of the mark that closes a window

CONTROLS = ("genre", "density", "register", "polyphony", "pattern")  # those of `notes.attributes` but the first
LEVELS = (len(GENRES), 5, 5, 5, 6)  # highest level of each; 0 leaves it free

# columns of lines, with the number of values of each
STATE, TUNE, ROOT, QUALITY, BASS, TONALITY, PLACE, BEYOND, MASK = range(9)
COLUMNS = ("state", "tune", "root", "quality", "bass", "tonality", "place", "beyond", "mask")
SILENT, STRUCK, HELD = range(3)  # states of the tune
NO_KEY, NO_ROOT, NO_BASS, NO_TONALITY = KEYS, 12, 12, 24
FAMILY = len(QUALITIES)  # 14, 15, 16: a major, minor, diminished chord of which only the triad is told
ANY, NO_CHORD = FAMILY + 3, FAMILY + 4  # only the root is told; nothing is
BAR_STEPS = 16  # places in a bar that are told apart
SIZES = (3, KEYS + 1, 13, NO_CHORD + 1, 13, 25, BAR_STEPS, 2)  # of all columns but the mask
DETAILS = ("none", "root", "triad", "full")  # what `simplified` leaves of a chord
OF_FAMILY = np.array([0, 1, 2])  # qualities whose tones the families have


def lines(tune: np.ndarray, chords: ChordTrack, positions: np.ndarray, *, steps: int) -> np.ndarray:
    """What is known of each step of a piece.

    Parameters
    ----------
    tune : np.ndarray, shape=(m, 5), int
        Grid notes, in the order of time; a note ends where the next begins.
    chords : ChordTrack
        Of its beats.
    positions : np.ndarray, shape=(beats,), int
        Place of each beat in its bar; 0 is a downbeat.
    steps : int
        Length of the piece.

    Returns
    -------
    np.ndarray, shape=(steps, 9), int64
        Columns as in `COLUMNS`: state of the tune (0 silent, 1 struck, 2 held), its key, root of the chord, quality,
        bass and tonic above the root (12 more in minor), step in the bar (15 from the sixteenth on), 1 beyond the end,
        tones above the root as bits.
    """
    beat = np.arange(steps) // STEPS
    if steps and (len(chords) <= beat[-1] or len(positions) <= beat[-1]):
        raise ParameterError(f"{len(chords)} chords and {len(positions)} beats are too few for {steps} steps")
    rows = beyond(steps)
    rows[:, BEYOND] = 0
    rows[:, PLACE] = np.minimum(np.asarray(positions)[beat] * STEPS + np.arange(steps) % STEPS, BAR_STEPS - 1)
    tune = np.asarray(tune, dtype=np.int64).reshape(-1, 5)
    tune = tune[(tune[:, 0] >= 0) & (tune[:, 0] < steps) & (tune[:, 2] >= LOWEST_KEY)]
    tune = tune[tune[:, 2] < LOWEST_KEY + KEYS]
    length = np.minimum(tune[:, 1], np.diff(np.append(tune[:, 0], steps)))
    note = np.repeat(np.arange(len(tune)), np.maximum(length, 1))
    step = np.minimum(tune[note, 0] + _counted(np.maximum(length, 1)), steps - 1)
    rows[step, STATE], rows[step, TUNE] = HELD, tune[note, 2] - LOWEST_KEY
    rows[tune[:, 0], STATE] = STRUCK
    there = chords.root[beat] >= 0
    beat, step = beat[there], np.flatnonzero(there)
    root, quality = chords.root[beat], chords.quality[beat]
    rows[step, ROOT], rows[step, QUALITY] = root, quality
    rows[step, BASS] = np.where(chords.bass[beat] >= 0, (chords.bass[beat] - root) % 12, NO_BASS)
    key = chords.keys[beat]
    rows[step, TONALITY] = np.where(key >= 0, (key % 12 - root) % 12 + 12 * (key // 12), NO_TONALITY)
    rows[step, MASK] = (TONES[quality] | chords.added[beat]) @ (1 << np.arange(12))
    return rows


def beyond(steps: int) -> np.ndarray:
    """(steps, 9) rows of steps that lie beyond a piece."""
    row = np.array([SILENT, NO_KEY, NO_ROOT, NO_CHORD, NO_BASS, NO_TONALITY, 0, 1, 0])
    return np.tile(row, (steps, 1))


def windows_of(rows: np.ndarray, starts) -> np.ndarray:
    """(n, 80, 9): the rows that windows from steps `starts` ((n,)) see; beyond the piece where it has ended."""
    index = np.asarray(starts, dtype=np.int64)[:, None] + np.arange(HEARD)
    inside = (index >= 0) & (index < len(rows))
    found = rows[np.where(inside, index, 0)]
    found[~inside] = beyond(1)
    return found


def transposed(rows: np.ndarray, shift) -> np.ndarray:
    """Rows (n, 80, 9) moved up by `shift` semitones ((n,)); a tune that leaves the keyboard goes back an octave."""
    rows, shift = rows.copy(), np.asarray(shift)[:, None]
    key = rows[..., TUNE] + shift
    key = np.where(key < 0, key + 12, np.where(key >= KEYS, key - 12, key))
    rows[..., TUNE] = np.where(rows[..., TUNE] == NO_KEY, NO_KEY, key)
    rows[..., ROOT] = np.where(rows[..., ROOT] == NO_ROOT, NO_ROOT, (rows[..., ROOT] + shift) % 12)
    return rows


def simplified(rows: np.ndarray, detail) -> np.ndarray:
    """Rows (n, 80, 9) in which chords are told as `DETAILS` names it: `detail` (n,) 0..3."""
    rows, detail = rows.copy(), np.asarray(detail)[:, None]
    known = (rows[..., ROOT] != NO_ROOT) & (rows[..., QUALITY] < FAMILY)
    family = TRIAD[np.where(known, rows[..., QUALITY], 0)]
    triad, root, none = known & (detail == 2), known & (detail == 1), known & (detail == 0)
    bits = TONES @ (1 << np.arange(12))
    rows[..., QUALITY] = np.select([triad, root, none], [FAMILY + family, ANY, NO_CHORD], rows[..., QUALITY])
    rows[..., MASK] = np.select([triad, root, none], [bits[OF_FAMILY[family]], 1, 0], rows[..., MASK])
    rows[..., BASS] = np.where(triad | root | none, NO_BASS, rows[..., BASS])
    rows[..., TONALITY] = np.where(none, NO_TONALITY, rows[..., TONALITY])
    rows[..., ROOT] = np.where(none, NO_ROOT, rows[..., ROOT])
    return rows


def tone_bits(rows: np.ndarray) -> np.ndarray:
    """(..., 24) float32 of rows (..., 9): the tones of the chord counted from its root, and from C."""
    above = (rows[..., MASK, None] >> np.arange(12)) & 1
    index = (np.arange(12) - rows[..., ROOT, None] % 12) % 12
    return np.concatenate([above, np.take_along_axis(above, index, axis=-1)], axis=-1).astype(np.float32)


def tokens_of(notes: np.ndarray) -> np.ndarray:
    """(k, 5) tokens of grid notes (k, 5), in their order: positions are steps as they are, see `cover_tokens.encode`.

    For tables of whole pieces, of which windows are cut later.
    """
    step, duration, pitch, velocity, hand = np.asarray(notes, dtype=np.int64).reshape(-1, 5).T
    return np.column_stack([step, hand, pitch - LOWEST_KEY, nearest_duration(duration), nearest_level(velocity)])


def notes_of(tokens: np.ndarray) -> np.ndarray:
    """The grid notes of tokens; the inverse of `tokens_of` up to the nearest duration and velocity."""
    position, hand, key, duration, velocity = np.asarray(tokens, dtype=np.int64).reshape(-1, 5).T
    return np.column_stack([position, DURATIONS[duration], LOWEST_KEY + key, VELOCITIES[velocity], hand])


def _counted(lengths: np.ndarray) -> np.ndarray:
    """0 .. length - 1 for each of `lengths`, one behind the other."""
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
