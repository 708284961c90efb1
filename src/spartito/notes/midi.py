"""MIDI in and out: `Notes` of a file, and a file of `Notes`.

Bytes are handled by `notes/smf.py`; objects of symusic and pretty_midi by `notes/exchange.py`.

Kept by reading and writing, to the tick: notes (pitch, velocity, both ends), every control change, pitch bends,
programs, channels, drum flags, track names (also of empty tracks), lyrics, markers, tempo map, time and key
signatures, ticks per quarter note, title and composer. Not kept, because `Notes` has no place for it: release
velocities, aftertouch, system-exclusive messages, free texts, copyright, SMPTE offset, and the program of
stretches without notes. MIDI in turn has no place for `confidence`.

How a file is understood:

* A note-off ends the oldest open note of its key, channel and track (first in, first out); a note that is never
  ended lasts to the last event of the file (specification, 3.1); an end without a beginning is dropped. MIDI cannot
  tell a note that starts later and ends earlier than another on its key, so two such notes exchange their ends.
* One `Track` for each track of the file, channel and program. Controls belong to a channel, so those before the
  first program change, or under a program that plays no note, go with the nearest program that does. A track that
  says nothing is dropped, as are controls of a channel on which nothing plays, where a track mixes channels.
* The title is a text 'Title: ...' or else the name of the first track, when that track plays no notes or is the
  only one; the composer a text 'Composer: ...'. In karaoke files the texts are the lyrics. Cue points become
  markers.
* Names are UTF-8, or Latin-1 where that fails.

In writing, at equal ticks: program, controls, bends, then note-offs before note-ons (a note of zero length keeps
its order), so that a struck-again key is not silenced. The two hands of one piano share a channel, so its pedal
serves both. Times are rounded to the tick after the tempos are rounded to whole microseconds: a note keeps its time
within half a tick however long the piece is. What lies before second 0 is moved to 0.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from spartito.errors import NotesError
from spartito.files import atomic_path
from spartito.notes import smf
from spartito.notes.exchange import (
    from_pretty_midi,
    from_symusic,
    to_pretty_midi,
    to_symusic,
    to_ticks,
    whole_clock,
)
from spartito.notes.notes import BEND_DTYPE, CONTROL_DTYPE, NOTE_DTYPE, Notes, Track
from spartito.notes.tempo import KeySignature, TempoMap, TimeSignature

__all__ = [
    "MIDI_SUFFIXES",
    "from_pretty_midi",
    "from_symusic",
    "midi_bytes",
    "parse_midi",
    "read_midi",
    "to_pretty_midi",
    "to_symusic",
    "write_midi",
]

MIDI_SUFFIXES = (".mid", ".midi", ".smf", ".kar", ".rmi")
MAX_FILE_SIZE = 1 << 28  # bytes; ten times the largest orchestral MIDI, far below the memory of any machine
HANDS = ("right hand", "left hand")
DRUM_CHANNEL = 9  # General MIDI; channels count from 0 here
TEXT, COPYRIGHT, NAME, LYRIC, MARKER, CUE, TEMPO, TIME, KEY = 1, 2, 3, 5, 6, 7, 0x51, 0x58, 0x59  # meta events
OFF, ON, CONTROL, PROGRAM, BEND = 0x80, 0x90, 0xB0, 0xC0, 0xE0  # upper halves of status bytes
BEND_CENTRE = 8192
RELEASE_VELOCITY = 64  # what the MIDI specification recommends where none is known
_SILENT_NAMES = {"", "untitled", "tempo track", "tempo", "conductor", "conductor track", "control track", "track 0"}
_TAG = re.compile(r"\s*(title|composer)\s*:\s*(.*?)\s*\Z", re.IGNORECASE | re.DOTALL)


# -- files ----------------------------------------------------------------------------------------------------


def read_midi(path: str | os.PathLike) -> Notes:
    """The `Notes` of a MIDI file, in seconds by its own tempo map. A file without notes gives empty `Notes`.

    Raises
    ------
    NotesError
        The file is missing, empty, cut short, damaged, or no MIDI file.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise NotesError(f"{path} is a folder; a MIDI file is needed")
        if path.stat().st_size > MAX_FILE_SIZE:
            raise NotesError(f"{path} is too large for a MIDI file ({path.stat().st_size >> 20} MB)")
        data = path.read_bytes()
    except OSError as error:
        raise NotesError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        return parse_midi(data)
    except NotesError as error:
        raise NotesError(f"{path} {error}") from None


def write_midi(notes: Notes, path: str | os.PathLike) -> None:
    """Write `notes` as a MIDI file of format 1; the file is either complete or not there.

    Raises
    ------
    NotesError
        Something in `notes` cannot be said in MIDI (pitches outside 0..127, more than 38 hours of silence, ...).
    OutputError
        The file cannot be written.
    """
    data = midi_bytes(notes)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def parse_midi(data: bytes) -> Notes:
    """`Notes` of the bytes of a MIDI file; errors as `read_midi`, without the file's name."""
    file = smf.parse(data)
    clock = _clock(file)
    last = max(chunk.end for chunk in file.chunks)
    programs = _channel_programs(file)
    playing = {
        int(c) for chunk in file.chunks for c in np.unique(chunk.messages["status"][_is_on(chunk.messages)] & 15)
    }
    karaoke = any(k == TEXT and t[:2] == b"@K" for chunk in file.chunks for _, k, t in chunk.metas)
    arrays, tracks, markers = [], [], []
    for number, chunk in enumerate(file.chunks):
        kinds = {LYRIC, TEXT} if karaoke else {LYRIC}
        lyrics = [(tick, _text(t)) for tick, k, t in chunk.metas if k in kinds and t[:1] != b"@"]
        markers += [(tick, _text(t)) for tick, k, t in chunk.metas if k in (MARKER, CUE)]
        name = next((_text(t) for _, k, t in chunk.metas if k == NAME and t), "")
        found = list(_parts(chunk.messages, programs, playing))
        if not found:
            conductor = number == 0 and (len(file.chunks) > 1 or not lyrics)
            if lyrics or (name and not conductor):
                found = [(-1, 0, chunk.messages)]
        spoken = next((i for i, part in enumerate(found) if _is_on(part[2]).any()), 0)  # whose lyrics they are
        for i, (channel, program, messages) in enumerate(found):
            arrays.append(_notes(messages, last, clock, len(tracks)))
            tracks.append(
                Track(
                    name=name,
                    program=program,
                    is_drum=channel == DRUM_CHANNEL,
                    controls=_controls(messages, clock),
                    bends=_bends(messages, clock),
                    lyrics=_timed(lyrics, clock) if i == spoken else (),
                    channel=channel,
                )
            )
    title, composer = _title(file)
    return Notes(
        np.concatenate(arrays) if arrays else np.zeros(0, dtype=NOTE_DTYPE),
        tracks=tuple(tracks) or (Track(name="piano"),),
        tempo_map=clock,
        markers=_timed(sorted(markers, key=lambda marker: marker[0]), clock),
        title=title,
        composer=composer,
    )


def midi_bytes(notes: Notes) -> bytes:
    """The bytes of a MIDI file of format 1 that says what `notes` says; errors as `write_midi`."""
    clock = whole_clock(notes.tempo_map)
    array = notes.array
    if len(array) and (array["pitch"].min() < 0 or array["pitch"].max() > 127):
        raise NotesError("MIDI has the pitches 0 to 127; some notes lie outside")
    conductor = [(s.tick, TIME, _time_signature(s)) for s in clock.time_signatures]
    conductor += [(s.tick, KEY, bytes([s.fifths & 0xFF, s.mode])) for s in clock.key_signatures]
    conductor += [(int(tick), TEMPO, int(mspq).to_bytes(3, "big")) for tick, mspq in clock.changes]
    conductor += [(tick, MARKER, text) for tick, text in _ticked(notes.markers, clock)]
    conductor.sort(key=lambda event: event[0])
    if notes.composer:
        conductor.insert(0, (0, TEXT, _encoded(f"Composer: {notes.composer}")))
    if notes.title:
        conductor.insert(0, (0, NAME, _encoded(notes.title)))
    chunks = [smf.chunk_bytes(np.zeros(0, dtype=smf.MESSAGE_DTYPE), conductor)]
    for i, (track, channel) in enumerate(zip(notes.tracks, _channels(notes))):
        metas = [(0, NAME, _encoded(track.name))] if track.name else []
        metas += [(tick, LYRIC, text) for tick, text in _ticked(track.lyrics, clock)]
        chunks.append(smf.chunk_bytes(_messages(array[array["track"] == i], track, channel, clock), metas))
    return smf.build(clock.ticks_per_quarter, chunks)


# -- from messages --------------------------------------------------------------------------------------------


def _clock(file: smf.MidiFile) -> TempoMap:
    metas = sorted((m for chunk in file.chunks for m in chunk.metas), key=lambda m: m[0])
    tempos, times, keys = {}, {}, {}  # by tick: of several at one tick the last counts
    for tick, kind, data in metas:
        if kind == TEMPO and len(data) >= 3 and any(data[:3]):
            tempos[tick] = int.from_bytes(data[:3], "big")
        elif kind == TIME and len(data) >= 2 and data[0] and data[1] <= 7:
            times[tick] = TimeSignature(tick, data[0], 1 << data[1])
        elif kind == KEY and len(data) >= 2 and data[1] <= 1 and (data[0] <= 7 or data[0] >= 249):
            keys[tick] = KeySignature(tick, data[0] - 256 if data[0] > 127 else data[0], data[1])
    if file.fixed_tempo:
        tempos = {0: file.fixed_tempo}
    return TempoMap(
        ticks_per_quarter=file.ticks_per_quarter,
        changes=np.array(list(tempos.items()), dtype=np.float64).reshape(-1, 2),
        time_signatures=tuple(times.values()),
        key_signatures=tuple(keys.values()),
    )


def _is_on(messages: np.ndarray) -> np.ndarray:
    return (messages["status"] & 0xF0 == ON) & (messages["data2"] > 0)


def _channel_programs(file: smf.MidiFile) -> dict[int, int]:
    """The first program of each channel in the whole file, for tracks that leave it to another track to set."""
    first = {}
    for chunk in file.chunks:
        for change in chunk.messages[chunk.messages["status"] & 0xF0 == PROGRAM]:
            channel, tick = int(change["status"]) & 15, int(change["tick"])
            if channel not in first or tick < first[channel][0]:
                first[channel] = (tick, int(change["data1"]))
    return {channel: program for channel, (_, program) in first.items()}


def _parts(messages: np.ndarray, programs: dict[int, int], playing: set[int]):
    """(channel, program, messages) for each instrument of one track."""
    channels = messages["status"] & 15
    present = [int(c) for c in np.unique(channels)]
    for channel in present:
        if len(present) > 1 and channel not in playing:
            continue
        own = messages[channels == channel]
        default = programs.get(channel, 0)
        changes = np.flatnonzero(own["status"] & 0xF0 == PROGRAM)
        ons = np.flatnonzero(_is_on(own))
        if len(changes) == 0 or len(ons) == 0:
            yield channel, int(own["data1"][changes[-1]]) if len(changes) else default, own
            continue
        # Notes before, between and after the changes; a program that plays nothing is passed over.
        edges = np.concatenate([[0], changes, [len(own)]])
        plays = np.diff(np.searchsorted(ons, edges)) > 0
        begin = edges[:-1][plays]
        values = np.concatenate([[default], own["data1"][changes].astype(np.int64)])[plays]
        if len(np.unique(values)) == 1:
            yield channel, int(values[0]), own
            continue
        segment = np.maximum(np.searchsorted(begin, np.arange(len(own)), side="right") - 1, 0)
        value = values[segment]
        # An off belongs to the program under which its note began, so ends are paired before the split.
        onset, end = _pair(own)
        ended = end >= 0
        value[end[ended]] = value[onset[ended]]
        for program in dict.fromkeys(values.tolist()):
            yield channel, int(program), own[value == program]


def _pair(messages: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of each note-on and of the note-off that ends it (-1: none), oldest first, within each key."""
    kind = messages["status"] & 0xF0
    index = np.flatnonzero((kind == ON) | (kind == OFF))
    is_on = (kind[index] == ON) & (messages["data2"][index] > 0)
    key = messages["data1"][index].astype(np.int64)
    order = np.argsort(key, kind="stable")
    index, is_on, key = index[order], is_on[order], key[order]
    # Open notes after each event; an off that finds none open makes a new minimum, and is left out. Lowering each
    # key's level below all earlier ones lets one running minimum serve them all.
    level = np.cumsum(np.where(is_on, 1, -1))
    first = np.searchsorted(key, key)  # where the key's events begin
    level = level - np.concatenate([[0], level])[first] - key * (2 * len(key) + 2)
    floor = -key * (2 * len(key) + 2)
    lowest = np.minimum.accumulate(np.minimum(level, floor)) if len(level) else level
    before = np.minimum(np.concatenate([[0], lowest[:-1]]), floor) if len(level) else level
    useful = is_on | (level >= before)
    index, is_on, key = index[useful], is_on[useful], key[useful]
    ons, offs, on_key, off_key = index[is_on], index[~is_on], key[is_on], key[~is_on]
    rank = np.arange(len(ons)) - np.searchsorted(on_key, on_key)  # the how-manieth note of its key
    target = np.searchsorted(off_key, on_key) + rank
    found = target < np.searchsorted(off_key, on_key, side="right")
    end = np.full(len(ons), -1, dtype=np.int64)
    end[found] = offs[target[found]]
    return ons, end


def _notes(messages: np.ndarray, last: int, clock: TempoMap, track: int) -> np.ndarray:
    ons, end = _pair(messages)
    order = np.argsort(ons)  # file order, which decides among notes of equal onset and pitch
    ons, end = ons[order], end[order]
    array = np.zeros(len(ons), dtype=NOTE_DTYPE)
    array["onset"] = clock.ticks_to_seconds(messages["tick"][ons])
    array["offset"] = clock.ticks_to_seconds(np.where(end >= 0, messages["tick"][end], last))
    array["pitch"], array["velocity"] = messages["data1"][ons], messages["data2"][ons]
    array["track"], array["confidence"] = track, 1.0
    return array


def _controls(messages: np.ndarray, clock: TempoMap) -> np.ndarray:
    messages = messages[messages["status"] & 0xF0 == CONTROL]
    controls = np.zeros(len(messages), dtype=CONTROL_DTYPE)
    controls["time"] = clock.ticks_to_seconds(messages["tick"])
    controls["number"], controls["value"] = messages["data1"], messages["data2"]
    return controls


def _bends(messages: np.ndarray, clock: TempoMap) -> np.ndarray:
    messages = messages[messages["status"] & 0xF0 == BEND]
    bends = np.zeros(len(messages), dtype=BEND_DTYPE)
    bends["time"] = clock.ticks_to_seconds(messages["tick"])
    bends["value"] = messages["data1"].astype(np.int16) + 128 * messages["data2"].astype(np.int16) - BEND_CENTRE
    return bends


def _timed(events, clock: TempoMap) -> tuple[tuple[float, str], ...]:
    return tuple((float(clock.ticks_to_seconds(tick)), text) for tick, text in events)


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _title(file: smf.MidiFile) -> tuple[str, str]:
    first = file.chunks[0]
    said = {"title": "", "composer": ""}
    for _, kind, data in first.metas:
        if kind == TEXT and (tag := _TAG.match(_text(data))):
            said[tag[1].lower()] = said[tag[1].lower()] or tag[2]
    if not said["title"] and (len(file.chunks) == 1 or not len(first.messages)):
        names = [_text(data).strip(" \0\r\n\t") for tick, kind, data in first.metas if kind == NAME and tick == 0]
        said["title"] = ", ".join(dict.fromkeys(n for n in names if n.lower() not in _SILENT_NAMES))
    return said["title"], said["composer"]


# -- to messages ----------------------------------------------------------------------------------------------


def _ticked(events, clock: TempoMap) -> list[tuple[int, bytes]]:
    return sorted(((int(to_ticks(time, clock)), _encoded(text)) for time, text in events), key=lambda e: e[0])


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", errors="replace")


def _time_signature(signature: TimeSignature) -> bytes:
    power = int(signature.denominator).bit_length() - 1
    if signature.denominator != 1 << power or not 0 < signature.numerator < 256:
        raise NotesError(f"MIDI cannot say the metre {signature.numerator}/{signature.denominator}")
    return bytes([signature.numerator, power, 24, 8])  # a metronome click and 8 thirty-seconds per quarter note


def _channels(notes: Notes) -> list[int]:
    """A channel for each track: the one it came with, unless another program holds it; else a free one."""
    programs: dict[int, int] = {}  # channel -> program
    chosen = [DRUM_CHANNEL if track.is_drum else -1 for track in notes.tracks]
    for i, track in enumerate(notes.tracks):
        wanted = track.channel
        if chosen[i] < 0 and 0 <= wanted <= 15 and wanted != DRUM_CHANNEL:
            if programs.setdefault(wanted, track.program) == track.program:
                chosen[i] = wanted
    hands: dict[int, int] = {}  # program -> channel of the first hand
    sounding = set(np.unique(notes.array["track"]).tolist())
    melodic = [c for c in range(16) if c != DRUM_CHANNEL]
    # Tracks without notes come last: their controls are meant for an instrument that plays.
    for i in sorted((i for i, c in enumerate(chosen) if c < 0), key=lambda i: i not in sounding):
        track = notes.tracks[i]
        same = [c for c, program in programs.items() if program == track.program]
        hand = track.name.lower() in HANDS
        if hand and track.program in hands:
            chosen[i] = hands[track.program]
        elif i not in sounding and same:
            chosen[i] = same[0]
        else:
            free = [c for c in melodic if c not in programs]
            chosen[i] = free[0] if free else (same[0] if same else melodic[i % len(melodic)])
            programs.setdefault(chosen[i], track.program)
        if hand:
            hands.setdefault(track.program, chosen[i])
    return chosen


def _messages(array: np.ndarray, track: Track, channel: int, clock: TempoMap) -> np.ndarray:
    """All messages of one track in the order in which they are written."""
    onset, offset = to_ticks(array["onset"], clock), to_ticks(array["offset"], clock)
    offset = np.maximum(onset, offset)
    velocity = np.clip(array["velocity"], 1, 127)  # 0 would mean a release
    bends = np.clip(track.bends["value"].astype(np.int64) + BEND_CENTRE, 0, 2 * BEND_CENTRE - 1)
    controls = track.controls
    if len(controls) and (controls["number"].min() < 0 or controls["number"].max() > 127):
        raise NotesError("MIDI has the control numbers 0 to 127; some controls lie outside")
    columns = [  # rank at equal ticks, tick, status, data1, data2
        (0, np.zeros(1, dtype=np.int64), PROGRAM, np.array([track.program]), np.zeros(1)),
        (1, to_ticks(controls["time"], clock), CONTROL, controls["number"], np.clip(controls["value"], 0, 127)),
        (2, to_ticks(track.bends["time"], clock), BEND, bends & 127, bends >> 7),
        (np.where(offset > onset, 3, 5), offset, OFF, array["pitch"], np.full(len(array), RELEASE_VELOCITY)),
        (4, onset, ON, array["pitch"], velocity),
    ]
    rank = np.concatenate([np.broadcast_to(c[0], len(c[1])) for c in columns])
    messages = np.zeros(len(rank), dtype=smf.MESSAGE_DTYPE)
    messages["tick"] = np.concatenate([c[1] for c in columns])
    messages["status"] = np.concatenate([np.full(len(c[1]), c[2] | channel) for c in columns])
    messages["data1"] = np.concatenate([c[3] for c in columns])
    messages["data2"] = np.concatenate([c[4] for c in columns])
    # Of notes struck together on one key the shorter goes first, as the reader pairs first in, first out.
    length = np.concatenate([np.zeros(len(rank) - len(array), dtype=np.int64), offset - onset])
    return messages[np.lexsort((length, rank, messages["tick"]))]
