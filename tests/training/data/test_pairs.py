from dataclasses import replace

import numpy as np
import pytest

from pair_files import BEATS, Ears, music, played, write_cover
from spartito.errors import NotesError, ParameterError
from spartito.notes.midi import read_midi, write_midi
from spartito.notes.notes import Notes, Track
from spartito.training.data.arrangements import open_pieces
from spartito.training.data.pair_alignment import Alignment
from spartito.training.data.pairs import Filters, Pair, beats_that_fit, objections, prepare_pair, warped

GOOD = {"length": 1.0, "melody": 0.5, "level": -20.0, "density": 3.0, "likeness": 0.7, "aligned": 0.9, "pieces": 1}
GOOD |= {"steady": False}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"length": 1.21}, "1.210 times as long"),
        ({"length": 0.82}, "0.820 times as long"),
        ({"melody": 0.14}, "agrees with the tune 14% of the time, 15%"),
        ({"melody": float("nan")}, "tune"),
        ({"level": -60.0}, "-60 dBFS"),
        ({"density": 0.1}, "0.10 notes a second"),
        ({"likeness": 0.4}, "alike by 0.40"),
        ({"aligned": 0.5}, "50% of the song's beats fit, 60%"),
        ({"pieces": 0}, "0 runs of whole bars"),
        ({"steady": True}, "no beat is heard"),
    ],
)
def test_each_filter_says_what_it_found_and_what_it_wants(change, words):
    (reason,) = objections(GOOD | change, Filters())
    assert words in reason


def test_what_lies_on_the_limit_passes():
    edge = {"length": 0.83, "melody": 0.15, "level": -50.0, "density": 0.5, "likeness": 0.5, "aligned": 0.6}
    assert objections(GOOD | edge, Filters()) == [] == objections(GOOD | {"length": 1.2}, Filters())
    assert len(objections(GOOD | {"steady": True, "length": 2.0, "melody": 0.0}, Filters())) == 3


def test_a_filter_is_a_number():
    with pytest.raises(ParameterError, match="melody"):
        Filters(melody="much")


def test_a_warped_cover_keeps_its_pedal():
    """Cover 1..5 s lies at 0..2, 2..10 s of the song: twice as slow in the second half."""
    clock = Alignment(2, 1.0, np.array([1.0, 3.0, 5.0]), np.array([0.0, 2.0, 6.0]), np.ones(3))
    cover = Notes.from_arrays([0.5, 1.0, 3.5, 4.5], [1.5, 2.0, 4.0, 9.0], [50, 60, 107, 64], 80)
    cover = cover.with_pedal(np.array([[0.2, 1.4], [1.5, 2.5], [3.0, 4.0], [4.5, 8.0]]))
    song = warped(cover, clock)
    assert song.onset.tolist() == [0.0, 3.0, 5.0] and song.offset.tolist() == [1.0, 4.0, 6.0]
    assert song.pitch.tolist() == [62, 97, 66]  # a ninth above the highest key but one: an octave back
    assert song.pedal.round(6).tolist() == [[0.0, 0.4], [0.5, 1.5], [2.0, 4.0], [5.0, 6.0]]


def test_beats_fit_where_the_pace_is_even_and_the_music_alike():
    """From 20 to 30 s the cover stands still (it left that out), from 40 s on it plays other music."""
    song = np.arange(0, 60.01, 0.1)
    cover = np.where(song < 20, song, np.where(song < 30, 20 + 1e-3 * (song - 20), song - 9.99))
    clock = Alignment(0, 1.0, cover, song, np.where(song < 40, 0.8, 0.0))
    beats = np.arange(0, 64) + 0.25
    fits = beats_that_fit(clock, beats)
    assert fits[:17].all() and fits[33:38].all()
    assert not fits[20:29].any() and not fits[43:].any()


def test_no_beat_fits_where_nothing_is_matched():
    clock = Alignment(0, 1.0, np.array([5.0]), np.array([5.0]), np.array([0.9]))
    assert not beats_that_fit(clock, np.arange(10.0)).any()


# -- a pair from its files ----------------------------------------------------------------------------------------


@pytest.fixture
def ears(monkeypatch):
    return Ears(monkeypatch)


@pytest.fixture
def pair(tmp_path, ears):
    notes = ears.song(tmp_path / "song.wav")
    cover = write_cover(notes, tmp_path / "cover.mid", pace=0.9, lead=1.5, semitones=3)
    return Pair(tmp_path / "song.wav", cover, "me")


def test_a_pair_becomes_pieces(pair, tmp_path):
    store = tmp_path / "store"
    found = prepare_pair(pair, store, filters=Filters())
    assert found["kept"] and found["reasons"] == [] and found["transposition"] == -3
    assert found["pace"] == pytest.approx(0.9, abs=0.01) and found["length"] == pytest.approx(1 / 0.9, abs=0.03)
    assert found["aligned"] > 0.9 and found["likeness"] > 0.6 and found["melody"] > 0.8
    (piece,) = open_pieces(store / pair.split)
    assert found["pieces"] == [piece.name] and len(piece.rows) == found["bars"] >= 14
    notes = music()
    true = {(4 * round(2 * (onset - 0.5)), pitch) for onset, pitch in zip(notes.onset, notes.pitch.tolist())}
    assert {(step, pitch) for step, _, pitch, _ in piece.notes.tolist()} <= true
    aligned = read_midi(store / "work" / "pairs" / pair.name / "aligned.mid")
    assert np.median(np.abs(aligned.onset - notes.onset)) < 0.02
    downs = aligned.tempo_map.seconds_to_quarters(BEATS[::4])
    np.testing.assert_allclose(downs % 4, 0, atol=0.02)  # its bars are those of the song


def test_what_is_done_is_not_done_again(pair, tmp_path, ears):
    store = tmp_path / "store"
    first = prepare_pair(pair, store, filters=Filters())
    (path,) = (store / pair.split).glob("*.npz")
    made = path.stat().st_mtime_ns
    assert prepare_pair(pair, store, filters=Filters()) == first
    assert ears.asked == 1 and path.stat().st_mtime_ns == made


def test_another_threshold_costs_nothing_and_takes_the_pieces_away(pair, tmp_path, ears):
    store = tmp_path / "store"
    prepare_pair(pair, store, filters=Filters())
    found = prepare_pair(pair, store, filters=Filters(melody=2.0))
    assert not found["kept"] and found["pieces"] == [] and ears.asked == 1
    assert not list(store.glob("t*/*.np?")) and not list((store / "labels").rglob("*.npz"))
    assert prepare_pair(pair, store, filters=Filters())["kept"] and len(open_pieces(store / pair.split)) == 1


def test_a_changed_cover_is_aligned_anew_with_the_song_as_it_was_heard(pair, tmp_path, ears):
    store = tmp_path / "store"
    prepare_pair(pair, store, filters=Filters())
    write_midi(played(music(), semitones=-2), pair.cover)
    found = prepare_pair(pair, store, filters=Filters())
    assert found["transposition"] == 2 and ears.asked == 1 and len(open_pieces(store / pair.split)) == 1


def test_a_piece_that_was_interrupted_is_made_again(pair, tmp_path, monkeypatch):
    from spartito.training.data import pairs

    store, write = tmp_path / "store", pairs.save_pieces

    def interrupted(*arguments, **options):
        write(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(pairs, "save_pieces", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare_pair(pair, store, filters=Filters())
    monkeypatch.setattr(pairs, "save_pieces", write)
    (path,) = (store / pair.split).glob("*.npz")
    path.unlink()
    assert prepare_pair(pair, store, filters=Filters())["kept"] and len(open_pieces(store / pair.split)) == 1


def test_the_cover_of_another_song_is_dropped(pair, tmp_path):
    cover = write_cover(music(1), tmp_path / "other.mid")
    found = prepare_pair(replace(pair, cover=cover), tmp_path / "store", filters=Filters())
    assert not found["kept"] and any("beats fit" in reason for reason in found["reasons"])


def test_a_cover_of_drums_alone_holds_no_notes(pair, tmp_path):
    drums = Notes.from_arrays([1.0], [1.1], 36, tracks=(Track(is_drum=True, channel=9),))
    write_midi(drums, tmp_path / "drums.mid")
    with pytest.raises(NotesError, match="no notes"):
        prepare_pair(replace(pair, cover=tmp_path / "drums.mid"), tmp_path / "store", filters=Filters())


def test_a_silent_song_is_dropped_and_no_error(pair, tmp_path, ears):
    ears.songs[pair.song.resolve()] = Notes()
    found = prepare_pair(pair, tmp_path / "store", filters=Filters())
    assert not found["kept"] and found["aligned"] < 0.05 and found["melody"] == 0


def test_all_covers_of_a_song_are_in_one_split(tmp_path):
    first, second = (Pair(tmp_path / "song.mp3", tmp_path / name) for name in ("a.mid", "b.mid"))
    assert first.split == second.split and first.name != second.name
