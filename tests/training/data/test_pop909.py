import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from spartito.errors import NotesError, ParameterError
from spartito.notes.midi import write_midi
from spartito.notes.notes import Notes, Track
from spartito.training.data.pop909 import (
    PopSong,
    agreement,
    agrees,
    bars_of,
    beat_places,
    chord_rows,
    list_songs,
    on_grid,
    quantise,
    read_song,
    save_quantised,
    seconds_of,
)

DATA = Path(os.environ.get("SPARTITO_DATA", Path(__file__).parents[4] / "shared" / "data"))
BEATS = np.array([1.0, 1.5, 2.0, 3.0, 4.0])  # the third and fourth beats are slower


def song(*, beats=BEATS, melody=(), bridge=(), piano=(), down=(0, 4), chords=(), keys=(), name="000") -> PopSong:
    tables = [np.array(rows, dtype=np.float64).reshape(-1, 4) for rows in (melody, bridge, piano)]
    positions, lengths = bars_of(np.array(down), len(beats))
    return PopSong(name, *tables, np.asarray(beats, dtype=np.float64), positions, lengths, tuple(chords), tuple(keys))


def folder_of(tmp_path, *, number="007", beats="", tracks=("MELODY", "BRIDGE", "PIANO")) -> Path:
    folder = tmp_path / "POP909" / number
    folder.mkdir(parents=True)
    notes = Notes.from_arrays([0.5, 1.0, 0.5], [1.0, 1.5, 1.5], [72, 67, 48], 80, track=[0, 1, 2],
                              tracks=tuple(Track(name=name) for name in tracks))  # fmt: skip
    write_midi(notes, folder / f"{number}.mid")
    (folder / "beat_midi.txt").write_text(beats or "0.5 1.0 1.0\n1.0 0.0 0.0\n1.5 1.0 0.0\n2.0 0.0 0.0\n2.5 1.0 1.0\n")
    (folder / "chord_midi.txt").write_text("0.5\t1.5\tC:maj\n1.5\t2.5\tN\n")
    (folder / "key_audio.txt").write_text("0.5\t2.5\tC:maj\n")
    return folder


def test_places_follow_the_beats_and_go_on_outside_them():
    np.testing.assert_allclose(beat_places([1.25, 2.5, 0.5, 5.0], BEATS), [0.5, 2.5, -1.0, 5.0])
    np.testing.assert_allclose(seconds_of([0.5, 2.5, -1.0, 5.0], BEATS), [1.25, 2.5, 0.5, 5.0])


def test_bars_with_a_pickup_and_a_change_of_metre():
    positions, lengths = bars_of(np.array([1, 5, 9, 12]), 14)
    assert positions.tolist() == [3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 0, 1]
    assert lengths.tolist() == [4] * 9 + [3] * 3 + [4] * 2  # the last bar breaks off


def test_a_long_pickup_is_in_bars_too():
    assert bars_of(np.array([6, 10]), 14)[0].tolist() == [2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]


def test_a_late_onset_is_carried_into_the_next_beat_and_no_note_is_shorter_than_a_step():
    notes = np.array([[1.45, 1.46, 60, 80], [2.49, 3.0, 64, 70]])  # 0.9 of the first beat; 0.49 of the third
    assert on_grid(notes, BEATS).tolist() == [[1, 0, 1, 60, 80], [2, 2, 2, 64, 70]]


def test_of_two_notes_on_one_step_and_key_the_longer_stays():
    notes = np.array([[1.0, 1.2, 60, 80], [1.01, 2.0, 60, 50], [1.0, 1.5, 57, 40], [1.5, 2.0, 60, 30]])
    assert on_grid(notes, BEATS).tolist() == [[0, 0, 4, 57, 40], [0, 0, 8, 60, 50], [1, 0, 4, 60, 30]]


def test_quantising_adds_beats_where_notes_lie_outside_them():
    quantised = quantise(song(piano=[[0.5, 0.9, 50, 60], [5.0, 5.5, 62, 60]], chords=[(1.0, 2.0, "D:min/b3")]))
    np.testing.assert_allclose(quantised.beat_positions, [0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0])
    assert quantised.piano[:, :4].tolist() == [[0, 0, 3, 50], [6, 0, 2, 62]]
    assert quantised.db_pos.tolist() == [1, 5]
    assert quantised.start_table.shape == (7 + 9, 3)
    assert quantised.start_table[:, 2].tolist() == [0] + [1] * 6 + [2] * 9
    assert (quantised.start_table[:, 0] == 0).all()  # no melody: every row points behind its end
    d_minor = [2, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 5]
    d_minor[1:13] = [int(p in (2, 5, 9)) for p in range(12)]
    assert quantised.chord_lookup[1].tolist() == d_minor
    assert quantised.chord_lookup[4].tolist() == [-1] + [0] * 12 + [-1]


def test_a_downbeat_is_complete_when_its_bar_and_the_next_have_four_beats():
    beats = np.arange(16.0)
    quantised = quantise(song(beats=beats, down=(0, 4, 8, 11), chords=[(0, 16, "N")]))
    assert quantised.db_pos_filter.tolist() == [True, False, False, False]


def test_no_chord_has_the_bass_of_the_original_only_in_compatibility_mode():
    assert chord_rows([(0.0, 9.0, "N")], BEATS, compat=True)[0, [0, 13]].tolist() == [-1, 10]
    assert chord_rows([(0.0, 9.0, "N")], BEATS)[0, [0, 13]].tolist() == [-1, -1]


def test_fields_of_the_written_file(tmp_path):
    save_quantised(quantise(song(piano=[[1.0, 1.5, 60, 80]], chords=[(1.0, 4.0, "C:maj")])), tmp_path / "000.npz")
    with np.load(tmp_path / "000.npz") as data:
        assert set(data.files) == {
            "melody", "bridge", "piano", "start_table", "db_pos", "db_pos_filter", "beat_positions", "chord_lookup",
        }  # fmt: skip
        assert data["piano"].tolist() == [[0, 0, 4, 60, 80]]


def test_a_song_is_read_with_its_bars_of_four(tmp_path):
    read = read_song(folder_of(tmp_path))
    assert read.positions.tolist() == [0, 1, 2, 3, 0] and read.bar_lengths.tolist() == [4] * 5
    assert read.melody[0, 2] == 72 and read.bridge[0, 2] == 67 and read.piano[0, 2] == 48
    assert read.chords == ((0.5, 1.5, "C:maj"), (1.5, 2.5, "N"))


def test_where_the_small_bar_has_three_beats_it_is_the_bar(tmp_path):
    flags = ["1 1", "0 0", "0 0", "1 0", "0 0", "0 0", "1 1"]
    text = "".join(f"{0.5 + i} {flag}\n" for i, flag in enumerate(flags))
    read = read_song(folder_of(tmp_path, beats=text))
    assert read.positions.tolist() == [0, 1, 2, 0, 1, 2, 0] and set(read.bar_lengths[:6]) == {3}


def test_what_cannot_be_a_song_is_refused(tmp_path):
    with pytest.raises(NotesError, match="PIANO"):
        read_song(folder_of(tmp_path, tracks=("one", "two", "three")))
    with pytest.raises(NotesError, match="rise"):
        read_song(folder_of(tmp_path, number="008", beats="1.0 1 1\n0.5 0 0\n"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ParameterError, match="no songs"):
        list_songs(tmp_path / "empty")


def test_songs_are_split_by_their_last_digit(tmp_path):
    for number in ("006", "007", "008"):
        folder_of(tmp_path, number=number)
    names = {split: [p.name for p in list_songs(tmp_path, split=split)] for split in ("train", "validation", "test")}
    assert names == {"train": ["006"], "validation": ["008"], "test": ["007"]}
    assert len(list_songs(tmp_path)) == 3


def test_agreement_tells_late_notes_from_good_ones():
    beats = np.arange(20) * 0.6
    played = np.column_stack([beats, beats + 0.4, np.full(20, 60), np.full(20, 80)])
    later = np.array([1.0, 0, 0, 0])
    good, late = song(beats=beats, piano=played + 0.002 * later), song(beats=beats, piano=played + 0.05 * later)
    assert agreement(good)[0] == pytest.approx(0.002) and agrees(good)
    assert agreement(late)[0] == pytest.approx(0.05) and agreement(late)[1] == 1.0 and not agrees(late)


def test_real_songs_agree_with_their_annotation(tmp_path):
    archive = DATA / "POP909.tar.xz"
    if not archive.is_file():
        pytest.skip(f"{archive} is not here (set SPARTITO_DATA to the folder that holds it)")
    with tarfile.open(archive) as tar:
        for member in tar:  # the archive is in order: the first songs come early
            if "/001/" in member.name and member.isfile():
                tar.extract(member, tmp_path, filter="data")
            elif "/002/" in member.name:
                break
    read = read_song(list_songs(tmp_path / "POP909")[0])
    assert agrees(read) and abs(agreement(read)[0]) < 0.002
    quantised = quantise(read)
    assert np.bincount(read.bar_lengths).argmax() == 4
    assert (quantised.piano[:, 2] >= 1).all() and (np.diff(quantised.piano[:, 0]) >= 0).all()
    # a note put back into seconds lies within an eighth of a beat of where it was played
    back = seconds_of(quantised.piano[:, 0] + quantised.piano[:, 1] / 4, quantised.beat_positions)
    assert len(back) <= len(read.piano)
    distance = np.min(np.abs(back[:, None] - read.piano[None, :, 0]), axis=1)
    assert distance.max() <= np.diff(read.beats).max() / 8 + 1e-9
