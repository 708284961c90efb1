"""MIDI files: what goes in comes out, and damaged bytes give plain words."""

from __future__ import annotations

import io
import os
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

from spartito.errors import NotesError
from spartito.notes.midi import (
    from_pretty_midi,
    from_symusic,
    midi_bytes,
    parse_midi,
    read_midi,
    to_pretty_midi,
    to_symusic,
    write_midi,
)
from spartito.notes.notes import BEND_DTYPE, CONTROL_DTYPE, Notes, Track
from spartito.notes.tempo import KeySignature, TempoMap, TimeSignature

END = b"\x00\xff\x2f\x00"


def track(body: bytes) -> bytes:
    return b"MTrk" + struct.pack(">I", len(body)) + body


def smf(*bodies: bytes, form=1, division=480, end=END) -> bytes:
    header = b"MThd" + struct.pack(">IHHH", 6, form, len(bodies), division)
    return header + b"".join(track(body + end) for body in bodies)


def same(a: Notes, b: Notes) -> None:
    """All that MIDI can say is equal."""
    fields = ["onset", "offset", "pitch", "velocity", "track"]
    assert np.array_equal(a.array[fields], b.array[fields])
    assert a.tempo_map == b.tempo_map
    assert (a.markers, a.title, a.composer) == (b.markers, b.title, b.composer)
    assert len(a.tracks) == len(b.tracks)
    for x, y in zip(a.tracks, b.tracks):
        assert (x.name, x.program, x.is_drum, x.lyrics) == (y.name, y.program, y.is_drum, y.lyrics)
        assert np.array_equal(x.controls, y.controls) and np.array_equal(x.bends, y.bends)


# -- reading, against values worked out by hand ---------------------------------------------------------------


def test_seconds_follow_the_tempo_map():
    # 480 ticks at 120 per minute = 0.5 s, then the tempo halves: the next 480 ticks last 1 s. Tempo in track 2.
    notes = parse_midi(
        smf(b"\x00\x90\x3c\x40\x83\x60\x3c\x00\x00\x3e\x50\x83\x60\x3e\x00", b"\x83\x60\xff\x51\x03\x0f\x42\x40")
    )
    assert notes.onset.tolist() == [0.0, 0.5] and notes.offset.tolist() == [0.5, 1.5]
    assert notes.pitch.tolist() == [60, 62] and notes.velocity.tolist() == [64, 80]
    assert notes.tempo_map.changes.tolist() == [[0, 500_000], [480, 1_000_000]]


def test_first_in_first_out_hanging_and_stray_ends():
    body = (
        b"\x00\x80\x3c\x00"  # ends nothing
        b"\x00\x90\x3c\x01" + b"\x0a\x90\x3c\x02" + b"\x0a\x80\x3c\x00" + b"\x0a\x80\x3c\x00"
        b"\x00\x90\x40\x03"  # never ended; the last event is 30 ticks later
        b"\x1e\xb0\x07\x64"
    )
    notes = parse_midi(smf(body))
    ticks = notes.tempo_map.seconds_to_ticks
    assert np.rint(ticks(notes.onset)).tolist() == [0, 10, 30]
    assert np.rint(ticks(notes.offset)).tolist() == [20, 30, 60]
    assert notes.velocity.tolist() == [1, 2, 3]


def test_program_changes_split_a_track_and_controls_stay():
    body = (
        b"\x00\xb0\x07\x64"
        + b"\x00\xc0\x05"
        + b"\x00\x90\x3c\x40"
        + b"\x0a\xc0\x06"
        + b"\x0a\x80\x3c\x00"
        + b"\x00\x90\x3e\x40\x0a\x3e\x00"
    )
    notes = parse_midi(smf(body))
    assert [t.program for t in notes.tracks] == [5, 6]
    assert notes.tracks[0].controls.tolist() == [(0.0, 7, 100)]
    ends = np.rint(notes.tempo_map.seconds_to_ticks(notes.offset)).tolist()
    assert ends == [20, 30], "the first note ends after the program has changed"


def test_names_of_empty_tracks_conductor_texts_and_pedal_track_are_kept():
    first = b"\x00\xff\x03\x07My Song\x00\xff\x01\x0fComposer: Clara\x00\xff\x02\x02me\x64\xff\x06\x04mark"
    notes = parse_midi(
        smf(
            first,
            b"\x00\xff\x03\x02RH\x00\x90\x3c\x40\x0a\xff\x05\x02la\x0a\x80\x3c\x00",
            b"\x00\xff\x03\x04idle",
            b"\x00\xb0\x40\x7f\x60\x40\x00",
        )
    )
    assert (notes.title, notes.composer) == ("My Song", "Clara")
    assert [t.name for t in notes.tracks] == ["RH", "idle", ""]
    assert notes.tracks[0].lyrics[0][1] == "la" and notes.markers[0][1] == "mark"
    assert notes.pedal.tolist() == [[0.0, 0.1]]
    same(notes, parse_midi(midi_bytes(notes)))


def test_smpte_division_rmid_trailing_chunk_and_missing_end():
    body = b"\x00\x90\x3c\x40\x28\x80\x3c\x00"
    notes = parse_midi(smf(body, division=0xE728))  # 25 frames of 40 ticks: milliseconds
    assert notes.offset[0] == pytest.approx(0.040)
    plain = smf(body)
    wrapped = b"RIFF" + struct.pack("<I", len(plain) + 12) + b"RMIDdata" + struct.pack("<I", len(plain)) + plain
    for data in (wrapped, plain + b"XFIH\x00\x00\x00\x02ab", plain + bytes(20), smf(body, end=b"")):
        same(parse_midi(data), parse_midi(plain))


def test_long_and_disguised_negative_delta_times():
    notes = parse_midi(smf(b"\x81\x80\x80\x00\x90\x3c\x40\x81\x80\x00\x3c\x00\x8f\xff\xff\xff\x00\x3e\x40\x0a\x3e\x00"))
    ticks = np.rint(notes.tempo_map.seconds_to_ticks(notes.onset)).tolist()
    assert ticks == [2**21, 2**21 + 2**14 - 128]


def test_latin1_names_and_karaoke_texts():
    notes = parse_midi(
        smf(b"\x00\xff\x01\x02@K\x00\xff\x03\x04caf\xe9\x00\x90\x3c\x40\x0a\xff\x01\x02\xfcb\x0a\x80\x3c\x00")
    )
    assert notes.tracks[0].name == notes.title == "café" and [t for _, t in notes.tracks[0].lyrics] == ["üb"]


# -- writing --------------------------------------------------------------------------------------------------


def rich() -> Notes:
    """Two hands, a bass with bends, drums; changing tempo, metre and key; texts."""
    clock = TempoMap(
        ticks_per_quarter=480,
        changes=np.array([[0, 600_000], [960, 432_101], [5000, 700_007]]),
        time_signatures=(TimeSignature(0, 6, 8), TimeSignature(2880, 3, 4)),
        key_signatures=(KeySignature(0, -3, 1), KeySignature(2880, 7, 0)),
    )
    rng = np.random.default_rng(3)
    onset = rng.integers(0, 9000, 400)
    onset[:40] = 4800  # many at one time, among them repeated keys
    length = rng.integers(0, 900, 400)
    # one note at a time on each key of each track, so that first in, first out is exact
    track_of, pitch = np.arange(400) % 4, 30 + np.arange(400) // 4 % 60
    controls = np.array([(0.0, 7, 100), (0.0, 64, 127), (1.0, 64, 0), (1.0, 11, 3)], dtype=CONTROL_DTYPE)
    controls["time"] = clock.ticks_to_seconds(np.array([0, 0, 999, 999]))
    bends = np.zeros(3, dtype=BEND_DTYPE)
    bends["time"], bends["value"] = clock.ticks_to_seconds(np.array([0, 10, 11])), [-8192, 8191, 0]
    second = lambda tick: float(clock.ticks_to_seconds(tick))  # noqa: E731
    return Notes.from_arrays(
        clock.ticks_to_seconds(onset),
        clock.ticks_to_seconds(onset + length),
        pitch,
        rng.integers(1, 128, 400),
        track=track_of,
        tracks=(
            Track(name="right hand", controls=controls, lyrics=((second(480), "là"), (second(960), "la"))),
            Track(name="left hand"),
            Track(name="bass", program=33, bends=bends),
            Track(name="kit", is_drum=True),
        ),
        tempo_map=clock,
        markers=((second(0), "intro"), (second(2880), "B")),
        title="Suite",
        composer="A. Nonymous",
    )


def by_key(notes: Notes) -> Notes:
    """Ends on one key put in order of beginnings, as MIDI understands them."""
    array = notes.array.copy()
    order = np.lexsort((array["offset"], array["onset"], array["pitch"], array["track"]))
    ends = np.lexsort((array["offset"], array["pitch"], array["track"]))
    array = array[order]
    array["offset"] = notes.array["offset"][ends]
    return notes.with_array(array)


def test_everything_survives_writing():
    notes = rich()
    again = parse_midi(midi_bytes(notes))
    same(parse_midi(midi_bytes(again)), again)
    fields = ["pitch", "track"]
    expected = by_key(notes)
    keyed = lambda n: n.array[np.lexsort((n.velocity, n.offset, n.onset, n.pitch, n.array["track"]))]  # noqa: E731
    assert np.array_equal(keyed(again)[fields], keyed(expected)[fields])
    for field in ("onset", "offset"):
        ticks = again.tempo_map.seconds_to_ticks
        assert np.array_equal(np.rint(ticks(keyed(again)[field])), np.rint(ticks(keyed(expected)[field])))
    same(replace_array(again, notes), notes)


def replace_array(again: Notes, notes: Notes) -> Notes:
    return again.with_array(notes.array)


def test_off_before_on_hands_share_a_channel_and_program_0():
    notes = Notes.from_arrays(
        [0, 0.5, 0],
        [0.5, 1.0, 1],
        [60, 60, 40],
        track=[0, 0, 1],
        tracks=(Track(name="right hand"), Track(name="left hand")),
    )
    data = midi_bytes(notes)
    assert data.index(bytes([0x80, 60])) < data.rindex(bytes([60, 64]))
    assert data.count(b"\xc0\x00") == 2, "both hands play program 0 on channel 0"
    again = parse_midi(data)
    same(notes, again)


def test_a_struck_again_key_and_zero_lengths_keep_their_ends():
    clock = TempoMap()
    ticks = np.array([[0, 10], [10, 10], [10, 20], [20, 20], [20, 20], [20, 35]])
    notes = Notes.from_arrays(*clock.ticks_to_seconds(ticks.T), 60, [1, 2, 3, 4, 5, 6])
    again = parse_midi(midi_bytes(notes))
    assert np.rint(clock.seconds_to_ticks(again.onset)).tolist() == ticks[:, 0].tolist()
    assert np.rint(clock.seconds_to_ticks(again.offset)).tolist() == ticks[:, 1].tolist()
    assert again.velocity.tolist() == [1, 2, 3, 4, 5, 6]


def test_fractional_tempos_do_not_drift():
    onset = np.arange(0, 3600, 7.3)
    notes = Notes.from_arrays(onset, onset + 1, 60, tempo_map=TempoMap.constant(97.0))
    again = parse_midi(midi_bytes(notes))
    assert np.abs(again.onset - onset).max() <= 0.5 * 60 / 97 / 960 + 1e-9  # half a tick, after an hour too


def test_times_before_zero_and_velocities_out_of_range_are_clipped():
    notes = parse_midi(midi_bytes(Notes.from_arrays([-0.2, 0.1], [0.5, 0.6], [60, 61], [0, 127])))
    assert notes.onset[0] == 0 and notes.velocity.tolist() == [1, 127]


@pytest.mark.parametrize(
    "notes",
    [
        Notes.from_arrays([0.0], [1.0], 128),
        Notes.from_arrays([0.0], [1e9], 60),
        Notes(tempo_map=TempoMap.constant(3.0)),
        Notes(tempo_map=TempoMap(time_signatures=(TimeSignature(0, 3, 5),))),
        Notes(tempo_map=TempoMap(ticks_per_quarter=40_000)),
    ],
)
def test_what_midi_cannot_say(notes, tmp_path):
    with pytest.raises(NotesError):
        write_midi(notes, tmp_path / "a.mid")
    assert list(tmp_path.iterdir()) == []


def test_no_notes_make_an_empty_piece(tmp_path):
    write_midi(Notes(), tmp_path / "a.mid")
    again = read_midi(tmp_path / "a.mid")
    assert len(again) == 0 and [t.name for t in again.tracks] == ["piano"]


# -- other libraries ------------------------------------------------------------------------------------------


def test_symusic_and_back():
    notes = parse_midi(midi_bytes(rich()))
    score = to_symusic(notes)
    assert [t.name for t in score.tracks] == [t.name for t in notes.tracks]
    again = from_symusic(score)
    assert (again.title, notes.title) == ("", "Suite")
    fields = ["onset", "offset", "pitch", "track"]
    assert np.array_equal(np.sort(again.array[fields]), np.sort(notes.array[fields]))
    assert again.tempo_map == notes.tempo_map and again.markers == notes.markers
    assert again.tracks[0].controls.tolist() == notes.tracks[0].controls.tolist()


def test_pretty_midi_and_back():
    notes = parse_midi(midi_bytes(rich()))
    midi = to_pretty_midi(notes)
    again = from_pretty_midi(midi)
    fields = ["onset", "offset", "pitch", "velocity", "track"]
    assert np.array_equal(np.sort(again.array[fields]), np.sort(notes.array[fields]))
    assert np.allclose(again.tempo_map.changes, notes.tempo_map.changes)
    assert again.tempo_map.time_signatures == notes.tempo_map.time_signatures
    assert again.tempo_map.key_signatures[0] == notes.tempo_map.key_signatures[0]
    assert again.tempo_map.key_signatures[1] == KeySignature(2880, -5, 0), "seven sharps are five flats to pretty_midi"
    assert [t.bends.tolist() for t in again.tracks] == [t.bends.tolist() for t in notes.tracks]
    buffer = io.BytesIO()
    midi.write(buffer)  # its own writer accepts what we built
    assert len(parse_midi(buffer.getvalue())) == len(notes)


# -- damage ---------------------------------------------------------------------------------------------------

GOOD = smf(b"\x00\xff\x03\x04name\x00\x90\x3c\x40\x83\x60\x80\x3c\x40\x00\xff\x51\x03\x07\xa1\x20\x00\xb0\x40\x7f")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"A letter, not music.", "not a MIDI file"),
        (bytes(range(256)) * 8, "not a MIDI file"),
        (GOOD[:10], "cut short"),
        (GOOD[:14], "holds no track"),
        (GOOD[:40], "cut short"),
        (GOOD.replace(b"MThd\x00\x00\x00\x06", b"MThd\x00\x00\x00\x02"), "header"),
        (GOOD.replace(b"\x01\xe0MTrk", b"\x00\x00MTrk"), "header"),
        (smf(b"\x00\x3c\x40"), "damaged"),  # data before any command
        (smf(b"\x00\x90\x3c\x90"), "damaged"),  # a command where the velocity should be
        (smf(b"\xff\xff\xff\xff\xff\x7f\x90\x3c\x40"), "damaged"),
        (smf(b"\x00\xff\x03\xff\xff\xff\x7fname"), "cut short"),  # a name of a quarter of a gigabyte
        (smf(b"\x00\xf0\x8f\xff\xff\xff\x7f"), "cut short"),
    ],
)
def test_malformed_files_say_what_is_wrong(data, words, tmp_path):
    path = tmp_path / "broken.mid"
    path.write_bytes(data)
    with pytest.raises(NotesError, match=words) as caught:
        read_midi(path)
    assert "broken.mid" in str(caught.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(NotesError):
        read_midi(tmp_path / "none.mid")
    with pytest.raises(NotesError, match="folder"):
        read_midi(tmp_path)


def test_random_damage_never_crashes():
    """Each mutation is either refused in plain words, or read and then stable under writing."""
    rng = np.random.default_rng(11)
    source = np.frombuffer(midi_bytes(rich().between(0, 3)), dtype=np.uint8)
    read = 0
    for turn in range(400):
        data = source.copy()
        where = rng.integers(0, len(data), rng.choice([1, 3, 20]))
        if turn % 4 == 0:
            data = data[: where[0]]
        elif turn % 4 == 1:
            data = np.delete(data, where)
        elif turn % 4 == 2:
            data = np.insert(data, where, rng.integers(0, 256, len(where)).astype(np.uint8))
        else:
            data[where] = rng.integers(0, 256, len(where))
        try:
            notes = parse_midi(data.tobytes())
            again = midi_bytes(notes)
        except NotesError:
            continue
        same(notes, parse_midi(again))
        read += 1
    assert read > 20, "the mutations should not all be refused"


# -- real files -----------------------------------------------------------------------------------------------

DATA = Path(os.environ.get("SPARTITO_DATA", Path(__file__).parents[3] / "shared" / "data"))
SETS = ["POP909", "ASAP", "PiJAMA", "PianoMidiDe", "MultitrackGenres"]
SAMPLE, SKIP = 12, 7  # files of each set, and files passed over between two of them


def real_files(name: str):
    archive = DATA / f"{name}.tar.xz"
    if (DATA / name).is_dir():
        paths = sorted(p for p in (DATA / name).rglob("*.mid*") if p.is_file())
        return [p.read_bytes() for p in paths[:: max(1, len(paths) // SAMPLE)]]
    if not archive.exists():
        pytest.skip(f"{archive} is not here (set SPARTITO_DATA to the folder that holds it)")
    found, seen = [], 0
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and member.name.lower().endswith((".mid", ".midi")):
                seen += 1
                if seen % SKIP == 0:
                    found.append(tar.extractfile(member).read())
            if len(found) == SAMPLE:
                break
    return found


@pytest.mark.parametrize("name", SETS)
def test_real_files_survive(name):
    import symusic

    for data in real_files(name):
        notes = parse_midi(data)
        assert len(notes) > 0
        same(notes, parse_midi(midi_bytes(notes)))
        # An independent reader finds the same notes (it drops those that never end).
        score = symusic.Score.from_midi(data)
        theirs = np.concatenate(
            [
                np.column_stack([part.notes.numpy()[k].astype(np.int64) for k in ("time", "pitch", "velocity")])
                for part in score.tracks
            ]
        )
        ours = np.column_stack(
            [np.rint(notes.tempo_map.seconds_to_ticks(notes.onset)).astype(np.int64), notes.pitch, notes.velocity]
        )
        assert len(ours) - len(theirs) <= 0.01 * len(ours)
        if len(ours) == len(theirs):
            assert np.array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])
