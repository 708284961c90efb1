"""The sets of the evaluation's judge, on made-up files."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from spartito.errors import NotesError, ParameterError
from spartito.notes.midi import write_midi
from spartito.notes.notes import Notes, Track
from spartito.notes.tempo import TempoMap, TimeSignature
from spartito.training.data.genre_foreign import (
    VOICES,
    disklavier_pieces,
    multitrack_pop_pieces,
    on_grid_share,
    piano_midi_pieces,
    reduced,
    synchronous_bars,
    thinned,
    with_deviations,
    write_foreign,
)
from spartito.training.data.genre_store import genre_split, open_store, save_pieces

CLOCK = TempoMap.constant(120, time_signatures=(TimeSignature(0, 4, 4),))  # a step lasts 0.125 s
STEP = 0.125


def rising(count: int, *, every: int = 2, low: int = 60, late: float = 0.0) -> np.ndarray:
    """(count, 3): step, release, pitch of single notes going up and down."""
    at = every * np.arange(count) + late
    return np.column_stack([at, at + every, low + np.arange(count) * 7 % 12])


def song(tracks: dict[str, tuple[int, np.ndarray]], clock: TempoMap = CLOCK) -> Notes:
    """Notes of named tracks, each a program (-1 drums) and rows of step, release, pitch."""
    rows = np.concatenate([table for _, table in tracks.values()])
    number = np.repeat(np.arange(len(tracks)), [len(table) for _, table in tracks.values()])
    made = tuple(Track(name=n, program=max(p, 0), is_drum=p < 0) for n, (p, _) in tracks.items())
    return Notes.from_arrays(
        STEP * rows[:, 0], STEP * rows[:, 1], rows[:, 2].astype(int), 80, track=number, tracks=made, tempo_map=clock
    )


def chords(bars: int) -> np.ndarray:
    return np.array(
        [(16 * b + 4 * q, 16 * b + 4 * q + 4, p) for b in range(bars) for q in range(4) for p in (60, 64, 67)]
    )


def pop_song(bars: int = 20) -> Notes:
    bass = np.array([(16 * b + 4 * q, 16 * b + 4 * q + 4, 36 + b % 5) for b in range(bars) for q in range(4)])
    return song(
        {
            "Melody": (73, rising(8 * bars, low=72)),
            "Strings": (48, rising(8 * bars, low=64)),
            "Piano": (0, chords(bars)),
            "Bass": (33, bass),
            "Drums": (-1, rising(16 * bars, every=1, low=36)),
        }
    )


def test_onsets_on_sixteenths_and_triplets_are_on_the_grid():
    assert on_grid_share(np.array([0.0, 3.0, 4 / 3, 8 / 3, 5.05])) == 1.0
    assert on_grid_share(np.array([0.5, 2.2, 7.6, 8.0])) == 0.25


def test_bars_are_synchronous_where_onsets_lie_on_the_beats():
    starts = 16 * np.arange(40)
    on = np.concatenate([np.arange(0, 320, 4), np.random.default_rng(0).uniform(320, 640, 300)])
    good = synchronous_bars(on.astype(float), starts, least=0.4)
    assert good[:16].all() and not good[24:].any()
    beside = synchronous_bars(np.arange(2, 640, 4).astype(float), starts, least=0.4)  # half a beat late throughout
    assert not beside.any()


def test_deviations_are_small_and_shared_by_chords():
    place = np.repeat(4.0 * np.arange(2000), 3)
    away = (with_deviations(place, np.random.default_rng(0)) - place).reshape(-1, 3)
    assert np.std(away) == pytest.approx(np.hypot(0.13, 0.08), rel=0.05)
    assert np.std(away.mean(axis=1)) == pytest.approx(np.hypot(0.13, 0.08 / np.sqrt(3)), rel=0.05)


def test_a_song_is_reduced_to_bass_chords_and_its_melody():
    notes = pop_song()
    rows, tune = reduced(notes, notes.onset / STEP)
    names = {notes.tracks[t].name for t in notes.array["track"][rows]}
    assert names == {"Melody", "Piano", "Bass"}
    assert {notes.tracks[t].name for t in notes.array["track"][rows][tune]} == {"Melody"}
    assert reduced(song({"Flute": (73, rising(100))}), rising(100)[:, 0]) is None


def test_thinning_keeps_tune_bass_and_top():
    pitch = np.array([36, 48, 55, 60, 64, 67, 72, 76])
    begin, end = np.zeros(8, dtype=int), np.full(8, 4)
    tune = pitch == 64
    keep = thinned(begin, end, pitch, tune)
    assert keep.sum() == VOICES and keep[[0, 4, 7]].all()
    twice = thinned(np.array([0, 0]), np.array([2, 4]), np.array([60, 60]), np.array([False, True]))
    assert twice.tolist() == [False, True]


def test_songs_become_two_hands(tmp_path):
    (tmp_path / "pop_rock").mkdir()
    for name in ("Some_Song.mid", "Some_Song_again.mid"):
        write_midi(pop_song(), tmp_path / "pop_rock" / name)
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "genre"])
        writer.writerows([[f"pop_rock/{n}", "pop_rock"] for n in ("Some_Song.mid", "Some_Song_again.mid", "gone.mid")])
    (piece,) = multitrack_pop_pieces(tmp_path)  # the same notes again are left out
    assert piece.regions.tolist() == [[0, 320]]
    assert set(piece.notes[piece.part == 1, 4]) == {1} and (piece.part == 1).sum() > 100
    sounding = [
        np.sum((piece.notes[:, 0] <= s) & (piece.notes[:, 0] + piece.notes[:, 1] > s)) for s in range(0, 300, 7)
    ]
    assert max(sounding) <= VOICES + 1  # a deviation may let two strokes touch


def test_classical_files_follow_their_bars(tmp_path):
    (tmp_path / "Some").mkdir()
    write_midi(song({"Piano": (0, rising(80))}), tmp_path / "Some" / "four.mid")
    waltz = TempoMap.constant(120, time_signatures=(TimeSignature(0, 3, 4),))
    write_midi(song({"Piano": (0, rising(80))}, waltz), tmp_path / "Some" / "three.mid")
    free = np.sort(np.random.default_rng(0).uniform(0, 160, 80))
    write_midi(song({"Piano": (0, np.column_stack([free, free + 1, np.full(80, 60)]))}), tmp_path / "Some" / "free.mid")
    (piece,) = piano_midi_pieces(tmp_path)
    assert piece.name == "Some/four" and piece.regions.tolist() == [[0, 160]]
    assert np.mean(piece.notes[:, 0] % 2 == 0) > 0.97 and not np.allclose(piece.place, np.round(piece.place))


def test_jazz_files_count_where_they_follow_their_click(tmp_path):
    (tmp_path / "jazz").mkdir()
    trio = {"Bass": (32, rising(240, every=4, low=40)), "Piano": (0, chords(60)), "Drums": (-1, rising(240, every=4))}
    write_midi(song(trio), tmp_path / "jazz" / "Some Tune 2.mid")
    write_midi(song(trio), tmp_path / "jazz" / "Jazz Trio - Some Tune.mid")
    write_midi(song(trio), tmp_path / "jazz" / "''Some Rag'' 1910 [cb Somebody].mid")
    (piece,) = disklavier_pieces(tmp_path)
    assert piece.work == "sometune" and piece.regions.tolist() == [[0, 960]]
    assert set(piece.notes[piece.notes[:, 2] < 60, 4]) == {0}


def test_known_works_are_left_out_of_training(tmp_path):
    (tmp_path / "set" / "Some").mkdir(parents=True)
    tune = rising(80)
    tune[:, 2] = 60 + np.random.default_rng(1).integers(0, 12, 80)  # enough runs to be known by
    names = {
        split: next(f"n{i}" for i in range(99) if genre_split(f"Some/n{i}") == split) for split in ("train", "judge")
    }
    write_midi(song({"Piano": (0, tune)}), tmp_path / "set" / "Some" / f"{names['train']}.mid")
    write_midi(song({"Piano": (0, rising(80, every=2, low=50))}), tmp_path / "set" / "Some" / f"{names['judge']}.mid")
    both = {piece.name: piece for piece in piano_midi_pieces(tmp_path / "set")}
    counts = write_foreign("pianomidide", tmp_path / "set", tmp_path / "out")
    assert counts == {"train": 2}  # there is no split "judge"
    for split in ("validation", "test"):
        save_pieces(tmp_path / "store" / "classic" / split / "own.npz", [both[f"Some/{names['train']}"]])
    counts = write_foreign("pianomidide", tmp_path / "set", tmp_path / "out", held_out=tmp_path / "store")
    assert counts == {"train": 1}
    assert open_store(tmp_path / "out", "classic", "train").names.tolist() == [f"Some/{names['judge']}"]


def test_bad_folders_and_names(tmp_path):
    with pytest.raises(ParameterError, match="foreign"):
        write_foreign("asap", tmp_path, tmp_path)
    with pytest.raises(NotesError, match="no MIDI files"):
        write_foreign("pianomidide", tmp_path, tmp_path / "out")
