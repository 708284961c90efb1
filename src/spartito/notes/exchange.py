"""Notes of other libraries' objects, and back: symusic `Score` and pretty_midi `PrettyMIDI`.

What is lost on the way is what those objects have no place for: symusic keeps no channels, title or tracks that
play nothing; pretty_midi keeps no markers and one list of lyrics for all tracks.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spartito.errors import MissingExtraError, NotesError
from spartito.notes.notes import BEND_DTYPE, CONTROL_DTYPE, NOTE_DTYPE, Notes, Track
from spartito.notes.tempo import KeySignature, TempoMap, TimeSignature

__all__ = ["from_pretty_midi", "from_symusic", "to_pretty_midi", "to_symusic", "to_ticks", "whole_clock"]


def whole_clock(clock: TempoMap) -> TempoMap:
    """The same clock with whole ticks and whole microseconds per quarter, as MIDI says them."""
    changes = np.rint(clock.changes)
    if changes[:, 1].max() >= 1 << 24:
        raise NotesError("MIDI cannot say a tempo below 3.6 quarter notes per minute")
    changes[:, 1] = np.maximum(changes[:, 1], 1)
    changes[:, 0] = np.maximum(changes[:, 0], 0)
    return replace(clock, changes=changes[np.append(np.diff(changes[:, 0]) > 0, True)])


def to_ticks(times, clock: TempoMap) -> np.ndarray:
    """Whole ticks (int64) of times in seconds; what lies before second 0 is moved to 0."""
    return np.maximum(np.rint(clock.seconds_to_ticks(times)), 0).astype(np.int64)


def from_symusic(score) -> Notes:
    """`Notes` of a symusic Score (in ticks, quarters or seconds). symusic keeps neither title nor channels."""
    from spartito.notes.midi import parse_midi

    notes = parse_midi(score.to("tick").dumps_midi())
    tracks = tuple(replace(track, channel=-1) for track in notes.tracks)  # numbered by symusic, not by the music
    return replace(notes, tracks=tracks, title="", composer="")


def to_symusic(notes: Notes):
    """A symusic Score in ticks; times are rounded as in a file. Tracks correspond one to one."""
    try:
        import symusic
    except ImportError as error:
        raise MissingExtraError("symusic", extra="symusic", purpose="making a symusic Score") from error
    clock = whole_clock(notes.tempo_map)
    if len(notes) and to_ticks(notes.duration, clock) > np.iinfo(np.int32).max:
        raise NotesError("the piece is too long for symusic: more than two thousand million ticks")

    def ticks(times) -> np.ndarray:
        return to_ticks(times, clock).astype(np.int32)

    score = symusic.Score(clock.ticks_per_quarter)
    score.tempos.extend([symusic.Tempo(time=int(tick), mspq=int(mspq)) for tick, mspq in clock.changes])
    score.time_signatures.extend(
        [symusic.TimeSignature(s.tick, s.numerator, s.denominator) for s in clock.time_signatures]
    )
    score.key_signatures.extend([symusic.KeySignature(s.tick, s.fifths, s.mode) for s in clock.key_signatures])
    score.markers.extend([symusic.TextMeta(int(ticks(time)), text) for time, text in notes.markers])
    for i, source in enumerate(notes.tracks):
        track = symusic.Track(source.name, source.program, source.is_drum)
        array = notes.array[notes.array["track"] == i]
        onset = ticks(array["onset"])
        track.notes = symusic.Note.from_numpy(
            onset,
            np.maximum(ticks(array["offset"]) - onset, 0),
            array["pitch"].astype(np.int8),
            np.clip(array["velocity"], 1, 127).astype(np.int8),
        )
        track.controls = symusic.ControlChange.from_numpy(
            ticks(source.controls["time"]),
            source.controls["number"].astype(np.uint8),
            source.controls["value"].astype(np.uint8),
        )
        track.pitch_bends = symusic.PitchBend.from_numpy(
            ticks(source.bends["time"]), source.bends["value"].astype(np.int32)
        )
        track.lyrics.extend([symusic.TextMeta(int(ticks(time)), text) for time, text in source.lyrics])
        score.tracks.append(track)
    return score


def from_pretty_midi(midi) -> Notes:
    """`Notes` of a `pretty_midi.PrettyMIDI`; its times in seconds are taken over unrounded."""
    scales = np.array(midi._tick_scales, dtype=np.float64).reshape(-1, 2)  # tick, seconds per tick
    changes = np.column_stack([scales[:, 0], np.round(scales[:, 1] * midi.resolution * 1e6, 6)])
    plain = TempoMap(ticks_per_quarter=midi.resolution, changes=changes)

    def tick(seconds: float) -> int:
        return int(to_ticks(seconds, plain))

    clock = replace(
        plain,
        time_signatures=tuple(
            TimeSignature(tick(s.time), s.numerator, s.denominator) for s in midi.time_signature_changes
        ),
        key_signatures=tuple(
            KeySignature(tick(s.time), _fifths(s.key_number), s.key_number // 12) for s in midi.key_signature_changes
        ),
    )
    arrays, tracks = [], []
    for i, part in enumerate(midi.instruments):
        rows = [(n.start, n.end, n.pitch, n.velocity, i, 1.0) for n in part.notes]
        arrays.append(np.array(rows, dtype=NOTE_DTYPE))
        controls = np.array([(c.time, c.number, c.value) for c in part.control_changes], dtype=CONTROL_DTYPE)
        bends = np.array([(b.time, b.pitch) for b in part.pitch_bends], dtype=BEND_DTYPE)
        tracks.append(
            Track(
                name=part.name,
                program=part.program,
                is_drum=bool(part.is_drum),
                controls=controls[np.argsort(controls["time"], kind="stable")],
                bends=bends[np.argsort(bends["time"], kind="stable")],
                lyrics=tuple((float(t.time), t.text) for t in midi.lyrics) if i == 0 else (),
            )
        )
    return Notes(
        np.concatenate(arrays) if arrays else np.zeros(0, dtype=NOTE_DTYPE),
        tracks=tuple(tracks) or (Track(name="piano"),),
        tempo_map=clock,
    )


def to_pretty_midi(notes: Notes):
    """A `pretty_midi.PrettyMIDI`; times stay unrounded. It has no markers, and one list of lyrics for all."""
    import pretty_midi as pm

    clock = notes.tempo_map
    midi = pm.PrettyMIDI(resolution=clock.ticks_per_quarter)
    scale = 1e-6 / clock.ticks_per_quarter
    midi._tick_scales = [(round(tick), mspq * scale) for tick, mspq in clock.changes]
    last = max([notes.duration, *(c["time"][-1] for t in notes.tracks for c in (t.controls, t.bends) if len(c))])
    midi._update_tick_to_time(int(to_ticks(last, clock)) + 1)
    midi.time_signature_changes = [
        pm.TimeSignature(s.numerator, s.denominator, float(clock.ticks_to_seconds(s.tick)))
        for s in clock.time_signatures
    ]
    midi.key_signature_changes = [
        pm.KeySignature((7 * s.fifths + 9 * s.mode) % 12 + 12 * s.mode, float(clock.ticks_to_seconds(s.tick)))
        for s in clock.key_signatures
    ]
    midi.lyrics = [pm.Lyric(text, time) for t in notes.tracks for time, text in t.lyrics]
    for i, track in enumerate(notes.tracks):
        part = pm.Instrument(track.program, track.is_drum, track.name)
        array = notes.array[notes.array["track"] == i]
        part.notes = [
            pm.Note(velocity, pitch, onset, offset)
            for onset, offset, pitch, velocity in array[["onset", "offset", "pitch", "velocity"]].tolist()
        ]
        part.control_changes = [pm.ControlChange(n, v, t) for t, n, v in track.controls.tolist()]
        part.pitch_bends = [pm.PitchBend(v, t) for t, v in track.bends.tolist()]
        midi.instruments.append(part)
    return midi


def _fifths(key_number: int) -> int:
    """Sharps (flats negative) of pretty_midi's key number (0..11 major from C, 12..23 minor), -5..6."""
    tonic = key_number % 12 + (3 if key_number >= 12 else 0)  # of the relative major
    return (7 * tonic + 5) % 12 - 5
