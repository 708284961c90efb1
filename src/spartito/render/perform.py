"""From the notes of an arrangement to a performance: touch, pedal and a little freedom.

Job
    `perform` gives every note a velocity, moves it by a few milliseconds and adds the pedal. The tempo is that of the
    song already: the times of the notes are those of the recording.

Method
    - *Loudness.* The velocity follows the loudness of the song (`Analysis.loudness`, smoothed over two seconds), the
      place in the bar, and the role: melody over bass over inner voices, and inner voices softer the thicker the
      chord. Within the melody the higher note is the louder. Where the velocities given are not all alike, half of
      their differences is kept, or as much as `given` says: all, of those that an arranger wrote.
    - *Timing.* All notes of a chord move together by a small random walk, the melody comes a little early, and each
      finger adds its own millisecond or two. No note moves more than `MOST`, nor by more than a quarter of the way to
      the next stroke of its key.
    - *Pedal.* Changed where the harmony changes and at bar lines, if something is struck there, and with each new bass
      note on a half bar: up just after the new chord is struck, down again when the old one has died away (legato
      pedalling).

    With `compat=True` the rules of the original A2S instead, to the letter: base velocity by register, accents on every
    second beat and every beat, the local loudness of the accompaniment, pedal at chord changes, no freedom in time.

Source
    Metrical accent, 'high-loud' and the random walk in time are rules of the KTH system (A. Friberg, R. Bresin,
    J. Sundberg, 'Overview of the KTH rule system for musical performance', Advances in Cognitive Psychology 2(2-3),
    2006). Melody lead: W. Goebl, 'Melody lead in piano performance: expressive device or artifact?' (JASA 110(1),
    2001), who found about 20 to 30 ms; we stay below, since the lead is heard against the singer. Compat mode: Z. Wang,
    D. Xu, G. Xia, Y. Shan, 'Audio-to-symbolic arrangement via cross-modal music representation learning' (ICASSP 2022).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spartito.analysis.harte import nearest_chord_table
from spartito.errors import ParameterError
from spartito.notes.notes import CONTROL_DTYPE, SUSTAIN, Notes
from spartito.notes.quantize import chord_groups
from spartito.notes.roles import BASS, INNER, MELODY, Grid, make_table
from spartito.notes.two_hands import piano_in_two_hands

__all__ = ["compat_loudness", "compat_pedal", "perform"]

# velocities
ROLE_VELOCITY = {MELODY: 82.0, BASS: 68.0, INNER: 58.0}  # mezzo forte on most instruments, voiced for the melody
ACCENT = (-4.0, -2.0, 1.0, 3.0, 5.0)  # by `Grid.strength`: elsewhere, half a beat, beat, half bar, downbeat
THICK = 1.5  # taken from inner notes for each further note of their chord
PER_DECIBEL = 1.6  # velocity per decibel of the song
SWING = 22.0  # velocity the loudness of the song moves at most
HIGH_LOUD = 0.5  # velocity per semitone above the melody around it
AROUND = 16  # melody notes taken for its surroundings
GIVEN = 0.5  # share of the given differences of velocity that is kept
TOUCH = 2.5  # velocity, deviation of a finger
SOFTEST, LOUDEST = 20, 118
SMOOTH = 2.0  # seconds over which the loudness is smoothed
LOUDNESS_HOP = 0.1  # seconds between values of Analysis.loudness
FLOOR = 30.0  # dB below the typical level at which a song counts as silent
# times, seconds
MOST = 0.020
LEAD = 0.012  # of the melody
WALK, STEP = 0.006, 0.5  # deviation of the random walk of the chords, and how much of it is new at each
FINGER = 0.0015  # deviation of single notes
# pedal, seconds
UP_AFTER, DOWN_AFTER = 0.04, 0.16  # after the new chord is struck
SEEK = 0.10  # how far before the change its notes may come
SPREAD = 0.05  # how far before the bass the notes of its chord may come
HALF_BAR = 3  # `Grid.strength` from which a bass note is worth a change of pedal
RELEASE = 1.0  # after the last key is up and nothing follows
# the rules of the original
COMPAT_RATE = 22050  # hertz
COMPAT_HALF = 3  # seconds on either side of a value of its loudness
COMPAT_PEDAL, COMPAT_DOWN = 80, 0.01  # value, and seconds from up to down


def perform(
    notes: Notes,
    analysis,
    *,
    compat: bool = False,
    seed: int = 0,
    humanise: float = 1.0,
    pedal: bool = True,
    given: float = GIVEN,
    loudness_curve: np.ndarray | None = None,
    onset_beats: np.ndarray | None = None,
) -> Notes:
    """A performance of an arrangement.

    Parameters
    ----------
    notes : Notes
        A piano arrangement on one track or two hands, at the times of the recording; drums are left as they are.
    analysis : Analysis
        Of the song: beats, and loudness, chords and melody where it has them. `Beats` alone will do for the default.
    compat : bool
        The rules of the original A2S.
    seed : int
        The same seed gives the same performance.
    humanise : float
        Freedom of timing and touch: 0 none, 1 slight, at most 2.
    pedal : bool
        Write the sustain pedal (instead of what the notes have).
    given : float
        Share of the differences between the velocities of `notes` that is kept, 0..1.
    loudness_curve : np.ndarray, shape=(m,), optional
        For `compat`, from `compat_loudness`: one value every half second.
    onset_beats : np.ndarray, shape=(n,), optional
        For `compat`: beats since the downbeat that opened the segment, for each note of `notes.array`. When missing,
        beats since the last downbeat.
    """
    if not 0.0 <= humanise <= 2.0:
        raise ParameterError(f"humanise lies between 0 (none) and 2, not {humanise}")
    if not 0.0 <= given <= 1.0:
        raise ParameterError(f"given is a share between 0 and 1, not {given}")
    beats = getattr(analysis, "beats", analysis)
    if len(notes) == 0:
        return notes
    if compat:
        return _compat(notes, analysis, beats, pedal, loudness_curve, onset_beats)
    drums = [i for i, track in enumerate(notes.tracks) if track.is_drum]
    rows = np.flatnonzero(~np.isin(notes.array["track"], drums))
    if len(rows) == 0:
        return notes
    grid = Grid.of(beats)
    melody = getattr(analysis, "melody", None)
    table = make_table(piano_in_two_hands(notes), grid, np.zeros((0, 3)) if melody is None else melody)
    random = np.random.default_rng(seed)
    array = notes.array.copy()
    group = chord_groups(table.array["onset"])
    velocity = _roles(table, group) + _song_accents(table, grid, getattr(analysis, "loudness", None))
    velocity += given * (table.array["velocity"] - table.array["velocity"].mean())
    velocity += humanise * TOUCH * random.standard_normal(len(table))
    array["velocity"][rows] = np.clip(np.round(velocity), SOFTEST, LOUDEST).astype(np.int16)
    array["onset"][rows], array["offset"][rows] = _times(table, group, humanise, random)
    out = notes.with_array(array)
    if not pedal:
        return out
    bass = array["onset"][rows[(table.role == BASS) & (grid.strength(table.start) >= HALF_BAR)]]
    return _with_pedal(out, _pedal_moves(out.select(~np.isin(out.array["track"], drums)), analysis, bass))


# -- touch and time -----------------------------------------------------------------------------------------


def _roles(table, group) -> np.ndarray:
    """(n,) velocities of the notes of `table`, whose chords are numbered by `group` (n,), as their roles ask for."""
    velocity = np.choose(table.role, [ROLE_VELOCITY[INNER], ROLE_VELOCITY[BASS], ROLE_VELOCITY[MELODY]])
    velocity = velocity - np.where(table.role == INNER, THICK * (np.bincount(group)[group] - 1), 0.0)
    sung = np.flatnonzero(table.role == MELODY)
    if len(sung):
        pitch = table.pitch[sung].astype(np.float64)
        window = np.ones(min(AROUND, len(sung)))
        around = np.convolve(pitch, window, mode="same") / np.convolve(np.ones(len(sung)), window, mode="same")
        velocity[sung] += np.clip(HIGH_LOUD * (pitch - around), -5.0, 5.0)
    return velocity


def _song_accents(table, grid: Grid, loudness) -> np.ndarray:
    """(n,) velocity to add for the place in the bar and for the loudness of the song."""
    accent = np.array(ACCENT)[grid.strength(table.start).astype(int)]
    return accent + _song_dynamics(table.array["onset"], loudness)


def _song_dynamics(onset: np.ndarray, loudness) -> np.ndarray:
    """(n,) velocity to add at each onset (seconds) for the loudness of the song (m,) in dB, one value per 0.1 s."""
    if loudness is None or len(loudness) < 2:
        return np.zeros(len(onset))
    loudness = np.asarray(loudness, dtype=np.float64)
    finite = loudness[np.isfinite(loudness)]
    if len(finite) == 0:
        return np.zeros(len(onset))
    typical = float(np.median(finite[finite >= finite.max() - FLOOR]))
    level = np.maximum(np.where(np.isfinite(loudness), loudness, typical - FLOOR), typical - FLOOR)
    window = np.hanning(round(SMOOTH / LOUDNESS_HOP) + 2)[1:-1]
    weight = np.convolve(np.ones(len(level)), window, mode="full")[len(window) // 2 :][: len(level)]
    smooth = np.convolve(level, window, mode="full")[len(window) // 2 :][: len(level)] / weight
    at = np.interp(onset, np.arange(len(smooth)) * LOUDNESS_HOP, smooth)
    return np.clip(PER_DECIBEL * (at - typical), -SWING, SWING)


def _times(table, group, humanise: float, random) -> tuple[np.ndarray, np.ndarray]:
    """Onsets and offsets (n,) seconds of the notes of `table`, played with some freedom."""
    onset, offset = table.array["onset"], table.array["offset"]
    n = len(onset)
    if humanise == 0.0:
        return onset.copy(), offset.copy()
    new = random.standard_normal(int(group[-1]) + 1)
    memory = (1 - STEP) ** np.arange(16)  # a random walk that is drawn back to the beat
    walk = WALK * np.convolve(new, memory / np.sqrt(np.sum(memory**2)))[: len(new)]
    move = walk[group] + FINGER * random.standard_normal(n)
    chord = np.bincount(group)[group]
    move -= np.where((table.role == MELODY) & (chord > 1), LEAD, 0.0)
    move = np.clip(humanise * move, -MOST, MOST)
    order = np.lexsort((onset, table.pitch))  # a key never overtakes itself
    gap = np.diff(onset[order])
    gap = np.where(np.diff(table.pitch[order]) == 0, gap, np.inf)
    room = np.empty(n)
    room[order] = np.minimum(np.append(gap, np.inf), np.concatenate([[np.inf], gap])) / 4
    move = np.maximum(np.clip(move, -room, room), -onset)
    played, released = onset + move, offset + move
    # a key that was up before its next stroke still is
    following = np.full(n, np.inf)
    following[order[:-1]] = np.where(np.isfinite(gap), played[order[1:]], np.inf)
    released = np.minimum(released, following)
    return played, np.maximum(released, played + 0.5 * np.minimum(MOST, offset - onset))  # half the gap is always left


# -- pedal --------------------------------------------------------------------------------------------------


def _pedal_moves(notes: Notes, analysis, bass: np.ndarray) -> np.ndarray:
    """(k,) CONTROL_DTYPE: legato pedalling of the notes; `bass` (m,) seconds at which the bass is struck anew."""
    beats = getattr(analysis, "beats", analysis)
    changes = beats.positions == 0
    if getattr(analysis, "chords", ()):
        rows = analysis.chord_rows()
        changes = changes | np.concatenate([[True], np.any(rows[1:] != rows[:-1], axis=1)])
    place = np.flatnonzero(changes)
    time = beats.times[place]
    until = time + 0.5 * np.append(np.diff(beats.times), np.diff(beats.times)[-1])[place]
    onset = notes.onset
    first = np.searchsorted(onset, time - SEEK)
    struck = np.append(onset, np.inf)[first]
    # where all keys are up for long, the pedal does not hold on to the next chord
    reach = np.maximum.accumulate(notes.offset)
    holes = np.flatnonzero(onset[1:] - reach[:-1] > 2 * RELEASE)
    last = np.append(reach[holes], reach[-1]) + RELEASE
    # the first note of each new chord, of each new bass, and the first after silence
    renewed = onset[np.searchsorted(onset, bass - SPREAD)]
    change = np.unique(np.concatenate([struck[struck < until], renewed, onset[:1], onset[holes + 1]]))
    after = np.diff(np.append(change, np.inf))
    keep = np.concatenate([[True], after[:-1] > DOWN_AFTER])
    change = change[keep]
    after = np.diff(np.append(change, np.inf))
    up = change + np.minimum(UP_AFTER, 0.2 * after)
    down = change + np.minimum(DOWN_AFTER, 0.6 * after)
    lifted = np.concatenate([up[1:], last])
    times = np.concatenate([down, lifted])
    values = np.concatenate([np.full(len(down), 127), np.zeros(len(lifted), dtype=np.int64)])
    order = np.lexsort((values, times))
    moves = np.zeros(len(order), dtype=CONTROL_DTYPE)
    moves["time"], moves["number"], moves["value"] = times[order], SUSTAIN, values[order]
    return moves


def _with_pedal(notes: Notes, moves: np.ndarray) -> Notes:
    """`notes` with the pedal `moves` on every pitched track, in place of the pedal it had."""
    tracks = []
    for track in notes.tracks:
        if not track.is_drum:
            others = track.controls[track.controls["number"] != SUSTAIN]
            controls = np.concatenate([others, moves])
            track = replace(track, controls=controls[np.argsort(controls["time"], kind="stable")])
        tracks.append(track)
    return replace(notes, tracks=tuple(tracks))


# -- the original's rules -----------------------------------------------------------------------------------


def compat_loudness(samples: np.ndarray, *, rate: int = COMPAT_RATE) -> np.ndarray:
    """(2D + 1,) local loudness of the accompaniment, 0..1, one value every half second (D: whole seconds + 1).

    `samples` (n,) mono at 22 050 Hz. Silence gives zeros, where the original gave not-a-number.
    """
    if rate != COMPAT_RATE:
        raise ParameterError(f"the original measures loudness at {COMPAT_RATE} Hz, not at {rate}")
    power = np.log10(1.0 + np.asarray(samples, dtype=np.float64) ** 2)
    entries = 2 * (len(power) // rate + 1) + 1
    peak = power.max(initial=0.0)
    if peak == 0.0:
        return np.zeros(entries)
    total = np.concatenate([[0.0], np.cumsum(power / peak)])
    centre = (np.arange(entries) * rate / 2).astype(np.int64)
    first = np.clip(centre - COMPAT_HALF * rate, 0, len(power))
    last = np.clip(centre + COMPAT_HALF * rate, 0, len(power))
    curve = total[last] - total[first]
    return curve / curve.max()


def _compat(notes: Notes, analysis, beats, pedal: bool, curve, onset_beats) -> Notes:
    if curve is None:
        raise ParameterError("the original's rules need the loudness of the accompaniment: pass compat_loudness(...)")
    if onset_beats is None:
        grid = Grid.of(beats)
        onset_beats = np.round(grid.in_bar(grid.place(notes.onset))[0] * 4) / 4
    onset_beats = np.asarray(onset_beats, dtype=np.float64)
    if len(onset_beats) != len(notes):
        raise ParameterError(f"{len(notes)} notes need as many places in beats, not {len(onset_beats)}")
    velocity = np.where((notes.pitch >= 48) & (notes.pitch <= 69), 80, 85)
    velocity = velocity + np.where(onset_beats % 2 == 0, 3, np.where(onset_beats % 1 == 0, 0, -3))
    place = np.clip(np.round(2 * notes.onset).astype(np.int64), 0, len(curve) - 1)
    array = notes.array.copy()
    array["velocity"] = np.trunc(velocity + (-6 + 9 * np.asarray(curve)[place]))
    out = notes.with_array(array)
    if not pedal:
        return out
    # the original's table: the beats between second 0 and the end of the file
    times = np.concatenate([[0.0], beats.times, [max(analysis.duration, beats.times[-1])]])
    starts, ends, labels = ([getattr(chord, name) for chord in analysis.chords] for name in ("start", "end", "label"))
    return _with_pedal(out, compat_pedal(times, nearest_chord_table(times, starts, ends, labels)))


def compat_pedal(times: np.ndarray, chords: np.ndarray) -> np.ndarray:
    """(k,) CONTROL_DTYPE: the pedal is lifted and pressed anew in the first row and wherever the chord changes.

    `times` (rows,) seconds and `chords` (rows, 14) are of the original's table.
    """
    moments = times[np.concatenate([[True], np.any(chords[1:] != chords[:-1], axis=1)])]
    moves = np.zeros(2 * len(moments), dtype=CONTROL_DTYPE)
    moves["time"] = (moments[:, None] + np.array([0.0, COMPAT_DOWN])).ravel()
    moves["number"], moves["value"] = SUSTAIN, np.tile([0, COMPAT_PEDAL], len(moments))
    return moves
