"""The published preparation, song by song, on MIDI files made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spartito.errors import NotesError, ParameterError
from spartito.notes.midi import midi_bytes, read_midi
from spartito.notes.notes import Notes, Track
from spartito.notes.tempo import TempoMap, TimeSignature
from spartito.training.data import genre_phrases
from spartito.training.data.genre_phrases import (
    Refused,
    Rules,
    draw_test,
    keep_song,
    keeps_time,
    load_phrases,
    load_song,
    phrases_of,
    read_song,
    write_mode,
    write_pair,
)

STRICT = Rules(strict=True)
FOUR = TimeSignature(0, 4, 4)


def midi(rows, *signatures: TimeSignature, drums: bool = False) -> bytes:
    """Rows of (first step, step behind the last, pitch) at 120 a minute."""
    columns = np.array(rows, dtype=float).reshape(-1, 3).T
    clock = TempoMap.constant(120, time_signatures=signatures)
    track = Track("piano", is_drum=drums)
    return midi_bytes(Notes.from_arrays(columns[0] / 8, columns[1] / 8, columns[2], tracks=(track,), tempo_map=clock))


def bars(count: int, *, pitch: int = 60, first: int = 0):
    """A note of four steps at the beginning of each bar, the last one held to its bar's end."""
    rows = [(first + 16 * bar, first + 16 * bar + 4, pitch) for bar in range(count)]
    return [*rows[:-1], (rows[-1][0], rows[-1][0] + 16, pitch)]


def phrases(data: bytes, rules: Rules = STRICT) -> np.ndarray:
    return phrases_of(read_song(data, name="a", rules=rules))


def tick(step: int) -> int:
    return step * 240  # of 960 a quarter note


def test_a_song_becomes_phrases_of_what_sounds():
    found = phrases(midi([*bars(8), (66, 67, 24), (127, 128, 107)], FOUR))
    assert found.shape == (2, 64, 84) and found.dtype == bool
    expected = np.zeros((2, 64, 84), dtype=bool)
    for start in range(0, 64, 16):
        expected[:, start : start + 4, 36] = True
    expected[1, 48:64, 36] = True  # the last note is held to the end of its bar
    expected[1, 2, 0] = expected[1, 63, 83] = True
    assert (found == expected).all()


def test_tracks_are_merged_without_drums():
    clock = TempoMap.constant(120, time_signatures=(FOUR,))
    tracks = (Track("a"), Track("b", program=32), Track("kit", is_drum=True))
    notes = Notes.from_arrays([0, 0, 0], [8, 8, 8], [60, 36, 40], track=[0, 1, 2], tracks=tracks, tempo_map=clock)
    assert np.flatnonzero(phrases(midi_bytes(notes)).any(axis=(0, 1))).tolist() == [12, 36]


def test_notes_outside_the_keys_are_left_out():
    found = phrases(midi([*bars(4), (0, 8, 23), (0, 8, 108)], FOUR))
    assert np.flatnonzero(found.any(axis=(0, 1))).tolist() == [36]


def test_both_ends_are_rounded_and_a_note_lasts_a_step():
    found = phrases(midi([(0.5, 0.6, 60), (2.49, 4.5, 62), (7, 64, 64)], FOUR))[0]
    assert np.flatnonzero(found[:, 36]).tolist() == [1]
    assert np.flatnonzero(found[:, 38]).tolist() == [2, 3, 4]


def test_repeated_notes_run_together_in_what_sounds_but_not_in_the_piece():
    rows = [(step, step + 1, 60) for step in range(64)]
    piece = read_song(midi(rows, FOUR), name="a", rules=STRICT)
    assert len(piece.notes) == 64 and phrases_of(piece)[0, :, 36].all()


def test_ticks_count_and_tempo_does_not():
    clock = TempoMap(changes=np.array([[0, 500_000], [tick(32), 250_000]]), time_signatures=(FOUR,))
    times = clock.ticks_to_seconds(np.array([tick(0), tick(40), tick(48), tick(64)]))
    found = phrases(midi_bytes(Notes.from_arrays(times[[0, 1]], times[[2, 3]], [60, 64], tempo_map=clock)))
    assert np.flatnonzero(found[0, :, 36]).tolist() == list(range(48))
    assert np.flatnonzero(found[0, :, 40]).tolist() == list(range(40, 64))


@pytest.mark.parametrize(
    ("signatures", "words"),
    [
        ((), "no time signature"),
        ((TimeSignature(tick(16), 4, 4),), "comes 4 beats after"),
        ((FOUR, TimeSignature(tick(64), 4, 4)), "2 time signatures"),
        ((TimeSignature(0, 3, 4),), "in 3/4, not in 4/4"),
    ],
)
def test_strict_takes_one_signature_of_four_four_at_the_beginning(signatures, words):
    with pytest.raises(Refused, match=words):
        phrases(midi(bars(16), *signatures))


@pytest.mark.parametrize(
    ("signatures", "regions"),
    [
        ((), [[0, 128]]),
        ((TimeSignature(tick(16), 4, 4),), [[0, 128]]),  # MIDI means 4/4 before the first signature
        ((FOUR, TimeSignature(tick(64), 3, 4)), [[0, 64]]),
        ((TimeSignature(0, 3, 4), TimeSignature(tick(24), 4, 4)), [[24, 88]]),
        ((FOUR, TimeSignature(tick(24), 4, 4)), [[24, 88]]),  # a bar of half the length comes first
        ((TimeSignature(0, 2, 2),), [[0, 128]]),
        ((TimeSignature(0, 2, 4),), [[0, 128]]),
    ],
)
def test_lenient_takes_the_regions_in_four_four(signatures, regions):
    piece = read_song(midi(bars(8), *signatures), name="a", rules=Rules())
    assert piece.regions.tolist() == regions and len(phrases_of(piece)) == sum(b - a for a, b in regions) // 64


def test_free_playing_is_told_from_loose_playing():
    random = np.random.default_rng(0)
    swung = np.tile([0.0, 2.6], 50) + np.repeat(4 * np.arange(50), 2)
    assert (
        keeps_time(np.arange(40)) and keeps_time(swung + random.normal(0, 0.3, 100)) and keeps_time([0, 4, 8, 12, 16])
    )
    assert not keeps_time(np.cumsum(random.uniform(0.5, 5, 300))) and not keeps_time([])


def test_lenient_needs_a_bar_of_four_four():
    with pytest.raises(Refused, match="3/4: no bar"):
        phrases(midi(bars(8), TimeSignature(0, 3, 4)), Rules())


@pytest.mark.parametrize(
    ("rules", "count"),
    [
        (Rules(strict=True), 3),
        (Rules(strict=True, tail="fill"), 4),
        (Rules(strict=True, compat=True, tail="fill"), 4),
        (Rules(), 3),
        (Rules(tail="fill"), 4),
    ],
)
def test_a_song_of_fifteen_bars(rules, count):
    found = phrases(midi(bars(15), FOUR), rules)
    assert len(found) == count
    assert found[-1].any(axis=1).sum() == (3 * 4 + 4 if count == 3 else 2 * 4 + 16)


def test_a_song_of_fifteen_bars_is_lost_as_published():
    with pytest.raises(Refused, match="15 bars: phrases are kept by fours, which takes 16"):
        phrases(midi(bars(15), FOUR), Rules(strict=True, compat=True))
    assert len(phrases(midi(bars(31), FOUR), Rules(strict=True, compat=True))) == 4


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (midi([], FOUR), "no notes"),
        (midi(bars(8), FOUR, drums=True), "drums only"),
        (midi(bars(3), FOUR), "3 bars: a phrase takes 4"),
        (midi(bars(8), FOUR)[:60], "cut short"),
        (b"", "empty"),
        (b"RIFF", "not a MIDI file"),
    ],
)
@pytest.mark.parametrize("rules", [Rules(), STRICT])
def test_files_that_give_nothing(data, words, rules):
    with pytest.raises(NotesError, match=words):
        phrases(data, rules)


def test_the_tail_is_one_of_two():
    with pytest.raises(ParameterError, match="remove, fill"):
        Rules(tail="keep")


def test_a_tenth_of_the_songs_is_drawn_for_testing():
    names = [f"song {i}" for i in range(40)]
    drawn = draw_test(names, share=0.1, seed=1)
    assert len(drawn) == 4 and drawn == draw_test(names[::-1], share=0.1, seed=1) != draw_test(names, share=0.1, seed=2)
    assert len(draw_test(names[:2], share=0.1, seed=1)) == 1 and not draw_test(names[:1], share=0.1, seed=1)
    assert not draw_test(names, share=0.0, seed=1)


# -- files ----------------------------------------------------------------------------------------------------------


def keep(folder, name: str, data: bytes, rules: Rules = STRICT):
    path = folder / name
    path.write_bytes(data)
    return keep_song(path, folder / "work", name=name, rules=rules)


def test_a_song_is_kept_by_its_content_and_the_rules(tmp_path, monkeypatch):
    song = keep(tmp_path, "a.mid", midi(bars(9), FOUR))
    assert (song.refused, song.phrases, song.facts["time_signature"]) == ("", 2, "4/4")
    piece = load_song(song, tmp_path / "work")
    assert piece.name == "a.mid" and piece.regions.tolist() == [[0, 128]] and piece.tempo == pytest.approx(120)
    refused = keep(tmp_path, "b.mid", midi(bars(9)))
    assert refused.refused == "it says no time signature" and refused.phrases == 0

    def never(*args, **options):
        raise AssertionError("read twice")

    monkeypatch.setattr(genre_phrases, "read_song", never)
    assert replace(keep_song(tmp_path / "a.mid", tmp_path / "work", name="a.mid", rules=STRICT)) == song
    assert keep(tmp_path, "copy.mid", midi(bars(9), FOUR)).key == song.key  # another name, the same content
    with pytest.raises(AssertionError):
        keep_song(tmp_path / "a.mid", tmp_path / "work", name="a.mid", rules=Rules())
    with pytest.raises(AssertionError):
        keep(tmp_path, "a.mid", midi(bars(10), FOUR))


def test_a_broken_file_is_kept_as_refused(tmp_path):
    assert "MIDI" in keep(tmp_path, "a.mid", b"RIFF").refused


def test_files_of_a_mode(tmp_path):
    # the second song is silent in its second phrase: a gap in the numbers
    songs = [
        keep(tmp_path, "a.mid", midi(bars(4), FOUR)),
        keep(tmp_path, "b.mid", midi([*bars(4), *bars(4, first=128)], FOUR)),
    ]
    folder = tmp_path / "out"
    assert write_mode(songs, tmp_path / "work", folder, genre="jazz", mode="train") == 3
    stacked = np.load(folder / "jazz_train_piano.npy")
    assert stacked.shape == (4, 64, 84, 1) and stacked.dtype == bool
    singles = sorted(path.name for path in (folder / "train").iterdir())
    assert singles == [f"jazz_piano_train_{k}.npy" for k in (1, 2, 4)]
    assert (np.load(folder / "train" / "jazz_piano_train_4.npy") == stacked[3]).all()
    assert (folder / "clean" / "train" / "b.mid").read_bytes() == (tmp_path / "b.mid").read_bytes()
    check = read_midi(folder / "midi" / "train" / "b.mid")
    assert check.onset[:5] == pytest.approx([0, 3, 6, 9, 24])  # 16 steps of 0.1875 s
    assert set(check.velocity.tolist()) == {100} and set(check.pitch.tolist()) == {60}


def test_files_of_a_mode_are_written_once(tmp_path, monkeypatch):
    songs = [keep(tmp_path, "a.mid", midi(bars(16), FOUR))]
    work, folder = tmp_path / "work", tmp_path / "out"

    def write(cap=0):
        return write_mode(songs, work, folder, genre="jazz", mode="test", cap=cap)

    assert write() == 4
    path = folder / "test" / "jazz_piano_test_2.npy"
    path.unlink()
    assert write() == 4 and path.exists()  # what was lost is there again
    monkeypatch.setattr(genre_phrases, "load_song", lambda *args: pytest.fail("done twice"))
    assert write() == 4
    monkeypatch.undo()
    assert write(cap=2) == 2
    assert sorted(p.name for p in (folder / "test").iterdir()) == [f"jazz_piano_test_{k}.npy" for k in (1, 2)]


def test_numbers_sort_as_numbers(tmp_path):
    for k in (2, 10, 1):
        np.save(tmp_path / f"pop_piano_train_{k}.npy", np.full((64, 84, 1), k == 10))
    assert load_phrases(tmp_path).any(axis=(1, 2)).tolist() == [False, False, True]
    with pytest.raises(ParameterError, match="no phrases"):
        load_phrases(tmp_path / "elsewhere")


def test_both_sides_of_a_pair_are_equally_many(tmp_path):
    for genre, count in (("jazz", 3), ("pop", 12)):
        (tmp_path / genre).mkdir()
        for k in range(1, count + 1):
            np.save(tmp_path / genre / f"{genre}_piano_train_{k}.npy", np.full((64, 84, 1), k % 2 == 0))
    sides, folders = [tmp_path / "jazz", tmp_path / "pop"], [tmp_path / "JP_J", tmp_path / "JP_P"]

    def names(folder):
        return [path.name for path in sorted(folder.iterdir(), key=lambda p: int(p.stem.rpartition("_")[2]))]

    assert write_pair(sides, folders, seed=1) == 3
    drawn = names(folders[1])
    assert len(names(folders[0])) == len(drawn) == 3
    assert write_pair(sides, folders, seed=1) == 3 and names(folders[1]) == drawn
    path = folders[1] / drawn[0]
    path.write_bytes(b"damaged")
    assert write_pair(sides, folders, seed=1) == 3
    assert path.read_bytes() == (tmp_path / "pop" / drawn[0]).read_bytes()
    write_pair(sides, folders, seed=2)
    assert len(names(folders[1])) == 3 and names(folders[1]) != drawn
    write_pair(sides, folders, seed=1, first=True)
    assert names(folders[1]) == [f"pop_piano_train_{k}.npy" for k in (1, 2, 3)]
    assert write_pair(sides, [tmp_path / "mixed"] * 2, seed=1) == 3
    assert len(list((tmp_path / "mixed").iterdir())) == 6
    (tmp_path / "none").mkdir()
    assert write_pair([tmp_path / "none", tmp_path / "pop"], folders, seed=1) == 0
    assert not list(folders[1].iterdir())  # nothing of an earlier run stays
