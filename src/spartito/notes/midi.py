"""MIDI files in and out, through symusic (Liao, Luo et al., ISMIR 2023 late-breaking demo)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from spartito.errors import NotesError
from spartito.files import atomic_path
from spartito.notes.notes import BEND_DTYPE, CONTROL_DTYPE, NOTE_DTYPE, Notes, Track
from spartito.notes.tempo import KeySignature, TempoMap, TimeSignature

__all__ = ["MIDI_SUFFIXES", "from_symusic", "read_midi", "to_symusic", "write_midi"]

MIDI_SUFFIXES = (".mid", ".midi", ".smf", ".kar", ".rmi")


def read_midi(path: str | os.PathLike) -> Notes:
    """`Notes` of a MIDI file, in seconds by its own tempo map."""
    from symusic import Score

    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise NotesError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        score = Score.from_midi(data)
    except (RuntimeError, ValueError) as error:
        raise NotesError(f"{path} is not a MIDI file that can be read ({error})") from error
    return from_symusic(score)


def write_midi(notes: Notes, path: str | os.PathLike) -> None:
    """Write `notes` as a MIDI file of format 1; the file is complete or not there."""
    data = to_symusic(notes).dumps_midi()
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def from_symusic(score) -> Notes:
    """`Notes` of a symusic Score (ticks, quarters or seconds)."""
    score = score.to("tick")
    tempos = score.tempos.numpy()
    changes = np.column_stack([tempos["time"], tempos["mspq"]]).astype(np.float64)
    changes = changes[(changes[:, 1] > 0) & (changes[:, 0] >= 0)]
    changes = changes[np.argsort(changes[:, 0], kind="stable")]
    changes = changes[np.append(np.diff(changes[:, 0]) > 0, True)[: len(changes)]]  # the last of equals counts
    tempo_map = TempoMap(
        ticks_per_quarter=score.tpq,
        changes=changes,
        time_signatures=tuple(
            TimeSignature(s.time, s.numerator, s.denominator) for s in score.time_signatures
        ),
        key_signatures=tuple(KeySignature(s.time, s.key, s.tonality) for s in score.key_signatures),
    )
    seconds = tempo_map.ticks_to_seconds
    arrays, tracks = [], []
    for i, source in enumerate(score.tracks):
        columns = source.notes.numpy()
        array = np.zeros(len(columns["time"]), dtype=NOTE_DTYPE)
        array["onset"] = seconds(columns["time"])
        array["offset"] = seconds(columns["time"].astype(np.int64) + np.maximum(columns["duration"], 0))
        array["pitch"], array["velocity"] = columns["pitch"], columns["velocity"]
        array["track"], array["confidence"] = i, 1.0
        arrays.append(array)
        moves, wheel = source.controls.numpy(), source.pitch_bends.numpy()
        controls = np.zeros(len(moves["time"]), dtype=CONTROL_DTYPE)
        controls["time"] = seconds(moves["time"])
        controls["number"], controls["value"] = moves["number"], moves["value"]
        bends = np.zeros(len(wheel["time"]), dtype=BEND_DTYPE)
        bends["time"], bends["value"] = seconds(wheel["time"]), wheel["value"]
        tracks.append(
            Track(
                name=source.name,
                program=source.program,
                is_drum=source.is_drum,
                controls=controls,
                bends=bends,
                lyrics=tuple((float(seconds(text.time)), text.text) for text in source.lyrics),
            )
        )
    return Notes(
        np.concatenate(arrays) if arrays else np.zeros(0, dtype=NOTE_DTYPE),
        tracks=tuple(tracks),
        tempo_map=tempo_map,
        markers=tuple((float(seconds(text.time)), text.text) for text in score.markers),
    )


def to_symusic(notes: Notes):
    """A symusic Score in ticks of the tempo map; times are rounded to the nearest tick."""
    import symusic

    clock = notes.tempo_map

    def ticks(times) -> np.ndarray:
        return np.maximum(np.rint(clock.seconds_to_ticks(times)), 0).astype(np.int32)

    score = symusic.Score(clock.ticks_per_quarter)
    score.tempos.extend(
        [symusic.Tempo(time=int(tick), mspq=round(mspq)) for tick, mspq in clock.changes]
    )
    score.time_signatures.extend(
        [symusic.TimeSignature(s.tick, s.numerator, s.denominator) for s in clock.time_signatures]
    )
    score.key_signatures.extend(
        [symusic.KeySignature(s.tick, s.fifths, s.mode) for s in clock.key_signatures]
    )
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
