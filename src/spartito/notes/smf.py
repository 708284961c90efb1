"""Standard MIDI Files as bytes: a careful reader and an exact writer.

Job: turn the bytes of a MIDI file into arrays of channel messages plus a list of meta events, and back. What the
messages mean is the business of `notes/midi.py`.
Source: the Standard MIDI Files 1.0 specification (MIDI Manufacturers Association, 1988).

Why this is not left to symusic: its reader (0.5.8) trusts every byte, so damaged files make it write outside its
memory and end the process, and it drops hanging notes, empty tracks and texts without a word. This reader
checks every length before it follows it, and is as fast where it matters: runs of note, control and bend
messages, nearly all of a file, are found by one regular expression and decoded by numpy. Each message of such a
run has exactly three bytes below 128 (the last of its delta time and two of data), so all messages of the run are
the rows of one reshape.

Tolerated: RIFF wrapping (RMID) and other bytes before the header, longer headers, foreign and trailing chunks, a
missing end-of-track, a wrong length of the last chunk, a wrong number of tracks, system messages inside tracks,
SMPTE time. Refused with a `NotesError`: everything else.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import numpy as np

from spartito.errors import NotesError

__all__ = ["MESSAGE_DTYPE", "Chunk", "MidiFile", "build", "chunk_bytes", "parse"]

MESSAGE_DTYPE = np.dtype(
    [("tick", np.int64), ("status", np.uint8), ("data1", np.uint8), ("data2", np.uint8)]
)  # status 0x80..0xEF: kind in the upper, channel in the lower four bits
MAX_DELTA = 0x0FFFFFFF  # ticks, what the four bytes of a delta time can say
END_OF_TRACK = 0x2F
_HEADER_SEARCH = 4096  # bytes in which the header may hide behind RIFF or MacBinary wrapping
_RUN_LIMIT = 8192  # messages decoded at once, which bounds the memory of the regular expression

# A run of messages with two data bytes: delta time, perhaps a status byte, two data bytes.
_RUN = re.compile(rb"(?:[\x80-\xff]{0,3}[\x00-\x7f][\x80-\xbf\xe0-\xef]?[\x00-\x7f]{2}){1,%d}" % _RUN_LIMIT, re.DOTALL)
_SYSTEM_DATA = {0xF1: 1, 0xF2: 2, 0xF3: 1}  # data bytes of the system messages that have any


@dataclass(frozen=True, eq=False)
class Chunk:
    """One track: `messages` (n,) MESSAGE_DTYPE in file order, `metas` (tick, kind, payload), last tick."""

    messages: np.ndarray
    metas: tuple[tuple[int, int, bytes], ...]
    end: int


@dataclass(frozen=True, eq=False)
class MidiFile:
    """All tracks and the clock. `fixed_tempo` (microseconds per quarter) replaces tempo events in SMPTE time."""

    format: int
    ticks_per_quarter: int
    fixed_tempo: int | None
    chunks: tuple[Chunk, ...]


# -- reading --------------------------------------------------------------------------------------------------


def parse(data: bytes) -> MidiFile:
    """The tracks in `data`, the content of a MIDI file.

    Raises
    ------
    NotesError
        In words that follow the name of the file ('is empty', 'is cut short: ...').
    """
    if not data:
        raise NotesError("is empty")
    start = data.find(b"MThd", 0, _HEADER_SEARCH)
    if start < 0:
        raise NotesError("is not a MIDI file: it does not begin with a MIDI header")
    if len(data) < start + 14:
        raise NotesError("is cut short within its header")
    length, form, _, division = struct.unpack(">IHHH", data[start + 4 : start + 14])
    if length < 6:
        raise NotesError(f"has a damaged header (its length is {length}, not 6)")
    ticks_per_quarter, fixed_tempo = _clock(division)
    position, chunks = start + 8 + length, []
    while position + 8 <= len(data):
        kind, length = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "big")
        position += 8
        if kind == b"MTrk":
            chunk, stop = _track(data, position, position + length, number=len(chunks) + 1)
            chunks.append(chunk)
            # A length can be wrong: trust it when another chunk, or nothing, follows.
            after = position + length
            position = after if data[after : after + 4].isalpha() or after >= len(data) else stop
        elif chunks and not kind.isalpha():
            break  # padding after the last track
        else:
            position += length
    if not chunks:
        raise NotesError("holds no track: it is cut short, or its header is damaged")
    return MidiFile(form, ticks_per_quarter, fixed_tempo, tuple(chunks))


def _clock(division: int) -> tuple[int, int | None]:
    """Ticks per quarter, and the tempo that turns SMPTE ticks (a fraction of a film frame) into quarters."""
    if division & 0x8000:
        frames, per_frame = 256 - (division >> 8), division & 0xFF
        if frames not in (24, 25, 29, 30) or per_frame == 0:
            raise NotesError(f"has a damaged header ({frames} frames of {per_frame} ticks per second)")
        if frames == 29:  # drop-frame: 30 frames last 1.001 s
            return 30 * per_frame, 1_001_000
        return frames * per_frame, 1_000_000
    if division == 0:
        raise NotesError("has a damaged header (0 ticks per quarter note)")
    return division, None


def _number(data: bytes, position: int, end: int) -> tuple[int, int]:
    """A variable-length number and the position after it; IndexError when it runs out of the track.

    The format allows four bytes. Some programs write a fifth, a negative 32-bit number in disguise.
    """
    value = 0
    for i in range(position, min(position + 5, end)):
        value = value << 7 | data[i] & 0x7F
        if data[i] < 0x80:
            if i - position == 4 and value & 0x80000000:
                value = (value & 0xFFFFFFFF) - (1 << 32)
            return value, i + 1
    if position + 5 > end:
        raise IndexError
    raise ValueError("a number of more than five bytes")


def _track(data: bytes, position: int, declared: int, *, number: int) -> tuple[Chunk, int]:
    end = min(declared, len(data))
    runs, single, metas = [], [], []
    tick, running = 0, 0
    try:
        while position < end:
            if running and running & 0xE0 != 0xC0:  # two data bytes: perhaps a whole run of such messages
                match = _RUN.match(data, position, end)
                if match:
                    if single:
                        runs.append(np.array(single, dtype=MESSAGE_DTYPE))
                        single = []
                    runs.append(_decode(data[position : match.end()], tick, running))
                    tick, running = int(runs[-1]["tick"][-1]), int(runs[-1]["status"][-1])
                    position = match.end()
                    continue
            delta, position = _number(data, position, end)
            tick = max(tick + delta, 0)
            status = data[position] if position < end else -1
            if status >= 0x80:
                position += 1
            elif status < 0:
                raise IndexError
            elif running:
                status = running
            else:
                raise ValueError("data without a command")
            if status == 0xFF:
                kind = data[position]
                length, position = _number(data, position + 1, end)
                if kind == END_OF_TRACK:
                    end = position  # whatever follows is no music
                    break
                if length < 0 or position + length > end:
                    raise IndexError
                metas.append((tick, kind, data[position : position + length]))
                position += length
            elif status in (0xF0, 0xF7):
                length, position = _number(data, position, end)
                if length < 0 or position + length > end:
                    raise IndexError
                position += length
            elif status > 0xF0:
                position += _SYSTEM_DATA.get(status, 0)
            else:
                running = status
                count = 1 if status & 0xE0 == 0xC0 else 2
                values = data[position : position + count]
                if position + count > end:
                    raise IndexError
                if max(values) >= 0x80:
                    raise ValueError("a command where data should be")
                single.append((tick, status, values[0], values[1] if count == 2 else 0))
                position += count
        else:
            if declared > len(data):
                raise IndexError
    except IndexError:
        raise NotesError(f"is cut short: track {number} ends in the middle") from None
    except ValueError as error:
        raise NotesError(f"is damaged: track {number} has {error} at byte {position}") from None
    if single:
        runs.append(np.array(single, dtype=MESSAGE_DTYPE))
    messages = np.concatenate(runs) if runs else np.zeros(0, dtype=MESSAGE_DTYPE)
    if np.any(np.diff(messages["tick"]) < 0):  # after a negative delta time
        messages = messages[np.argsort(messages["tick"], kind="stable")]
    last = max([tick, *messages["tick"][-1:].tolist(), *(meta[0] for meta in metas)])
    return Chunk(messages, tuple(metas), last), end


def _decode(run: bytes, tick: int, running: int) -> np.ndarray:
    """Messages of a run that starts after `tick` under running status `running`."""
    raw = np.frombuffer(run, dtype=np.uint8)
    low = np.flatnonzero(raw < 0x80).reshape(-1, 3)  # columns: last byte of the delta time, first and second data
    first = np.concatenate([[0], low[:-1, 2] + 1])  # where each delta time begins
    delta = raw[low[:, 0]].astype(np.int64)
    for back in (1, 2, 3):  # the higher septets, which only long delta times have
        has = np.flatnonzero(low[:, 0] - back >= first)
        if len(has) == 0:
            break
        delta[has] += (raw[low[has, 0] - back].astype(np.int64) & 0x7F) << (7 * back)
    explicit = low[:, 1] - low[:, 0] == 2
    source = np.maximum.accumulate(np.where(explicit, np.arange(len(low)), -1))
    messages = np.zeros(len(low), dtype=MESSAGE_DTYPE)
    messages["tick"] = tick + np.cumsum(delta)
    messages["status"] = np.where(source >= 0, raw[low[np.maximum(source, 0), 1] - 1], running)
    messages["data1"], messages["data2"] = raw[low[:, 1]], raw[low[:, 2]]
    return messages


# -- writing --------------------------------------------------------------------------------------------------


def build(ticks_per_quarter: int, chunks: list[bytes]) -> bytes:
    """A file of format 1 from finished track chunks, the tempo track first."""
    if not 0 < ticks_per_quarter < 0x8000:
        raise NotesError(f"MIDI can count 1 to 32767 ticks per quarter note, not {ticks_per_quarter}")
    return struct.pack(">4sIHHH", b"MThd", 6, 1, len(chunks), ticks_per_quarter) + b"".join(chunks)


def chunk_bytes(messages: np.ndarray, metas: list[tuple[int, int, bytes]] = ()) -> bytes:
    """One track chunk. `messages` (MESSAGE_DTYPE) and `metas` (tick, kind, payload) each come in order of time;
    at equal ticks metas go first."""
    ticks = np.concatenate([np.array([m[0] for m in metas], dtype=np.int64), messages["tick"]])
    order = np.argsort(ticks, kind="stable")
    delta = np.diff(ticks[order], prepend=0)
    if len(delta) and delta.max() > MAX_DELTA:
        raise NotesError("the pause between two events is longer than a MIDI file can say")
    is_meta = order < len(metas)

    # Columns: four bytes of delta time, status, two data bytes; `keep` says which of them are written.
    table = np.zeros((len(order), 7), dtype=np.uint8)
    keep = np.ones(table.shape, dtype=bool)
    for column, shift in enumerate((21, 14, 7, 0)):
        table[:, column] = (delta >> shift) & 0x7F | (0x80 if shift else 0)
        keep[:, column] = (delta >> shift > 0) | (shift == 0)
    status = np.zeros(len(order), dtype=np.uint8)
    rows, source = np.flatnonzero(~is_meta), order[~is_meta] - len(metas)
    status[rows] = messages["status"][source]
    table[rows, 4] = status[rows]
    table[rows, 5], table[rows, 6] = messages["data1"][source], messages["data2"][source]
    keep[:, 4] = status != np.concatenate([[0], status[:-1]])  # running status; a meta event (0) ends it
    keep[:, 6] = status & 0xE0 != 0xC0  # program changes and channel pressure have one data byte
    keep[is_meta, 4:] = False

    flat = table[keep].tobytes()
    parts, start = [], 0
    for row, stop in zip(np.flatnonzero(is_meta), np.cumsum(keep.sum(axis=1))[is_meta]):
        _, kind, payload = metas[order[row]]
        parts += [flat[start:stop], bytes([0xFF, kind]) + _bytes(len(payload)) + payload]
        start = stop
    body = b"".join([*parts, flat[start:], bytes([0, 0xFF, END_OF_TRACK, 0])])
    return struct.pack(">4sI", b"MTrk", len(body)) + body


def _bytes(value: int) -> bytes:
    septets = [value & 0x7F]
    while value := value >> 7:
        septets.append(value & 0x7F | 0x80)
    return bytes(reversed(septets))
