"""Bands of songs, their store, and where they come from: folders of genres and the layout of LMD-matched."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from spartito.errors import NotesError, ParameterError
from spartito.notes.four_tracks import HOLD, SILENT
from spartito.notes.midi import write_midi
from spartito.notes.notes import Notes, Track
from spartito.notes.tempo import TempoMap, TimeSignature
from spartito.training.data import lakh
from spartito.training.data.band_store import BandPiece, bands_of, is_four_four, open_bands, table, write_bands
from spartito.training.data.multitrack import licence_kind, list_multitrack, multitrack_bands, song_title

WHAT = {"name": "a", "song": "a", "tags": ("rock",), "licence": "free"}


def song(*, bars=8, strings=True, guitars=1, metre=((0, 4, 4),), shift=0.0, key=0):
    """Drums, bass, guitars and strings in quarters and halves at 120 per minute."""
    programs = [(0, True), (33, False), *[(25 + i, False) for i in range(guitars)], *([(48, False)] if strings else [])]
    rows = []
    for i, (program, drum) in enumerate(programs):
        beats = np.arange(0, 4 * bars, 2 if program == 48 else 1)
        pitch = 36 if drum else 30 + 7 * i + key + beats % 5
        rows += [
            (b / 2 + shift * (n % 7) / 7, b / 2 + 0.4, p, 80, i) for n, (b, p) in enumerate(np.broadcast(beats, pitch))
        ]
    columns = np.array(rows)
    return Notes.from_arrays(
        *columns[:, :4].T,
        track=columns[:, 4].astype(int),
        tracks=tuple(Track(program=p, is_drum=d) for p, d in programs),
        tempo_map=TempoMap(time_signatures=tuple(TimeSignature(960 * q, n, d) for q, n, d in metre)),
    )


def piece(name, *, song="", tags=("rock",), bars=4, seed=0, regions=None, licence="free"):
    rng = np.random.default_rng(seed)
    states = rng.integers(40, 60, (16 * bars, 4)).astype(np.uint8)
    where = np.array([[0, 16 * bars]] if regions is None else regions)
    return BandPiece(name, song or name, states, np.zeros_like(states), where, tuple(tags), licence, 120.0)


# -- songs ------------------------------------------------------------------------------------------------------------


def test_a_song_gives_a_band():
    (found,) = bands_of(song(), **WHAT)
    assert found.states.shape == (128, 4) and found.regions.tolist() == [[0, 128]] and found.tempo == 120
    assert found.states[0].tolist() == [36, 37, 44, 51]
    assert found.velocity[0].tolist() == [80] * 4
    assert len(list(bands_of(song(guitars=3), **WHAT))) == 3
    assert [p.name for p in bands_of(song(guitars=3), most=2, **WHAT)] == ["a", "a#1"]


def test_songs_that_give_none():
    for notes, reason in [
        (song(guitars=0), "no guitar"),
        (song(metre=((0, 3, 4),)), "4/4"),
        (song(shift=0.11), "clock"),
    ]:
        with pytest.raises(NotesError, match=reason):
            list(bands_of(notes, **WHAT))
    with pytest.raises(NotesError, match="strings"):
        list(bands_of(song(strings=False), compat=True, **WHAT))
    (trio,) = bands_of(song(strings=False), **WHAT)
    assert set(trio.states[:, 3].tolist()) == {SILENT, HOLD}


def test_stretches_of_four_four():
    changes = song(metre=((0, 4, 4), (16, 3, 4), (22, 4, 4)))
    assert not is_four_four(changes) and is_four_four(song()) and is_four_four(song(metre=()))
    with pytest.raises(NotesError, match="signature"):
        list(bands_of(changes, compat=True, **WHAT))
    (found,) = bands_of(changes, **WHAT)
    assert found.regions.tolist() == [[0, 64], [88, 120]]


# -- store ------------------------------------------------------------------------------------------------------------


def test_there_and_back_without_doubles_or_shared_songs(tmp_path):
    pieces = [
        piece(f"p{i}", song=f"s{i // 2}", seed=i, tags=("rock",) if i % 3 else ("jazz", "rock")) for i in range(40)
    ]
    again = piece("again", song="other", seed=3)
    up = np.where(np.arange(4) == 0, again.states, again.states + 2)  # in another key
    moved = replace(again, name="moved", song="third", states=up)
    counts = write_bands(tmp_path, "x", [*pieces, again, moved])
    assert sum(counts.values()) == 40 and min(counts.values()) > 0
    songs = {s: set(open_bands(tmp_path, s).songs.tolist()) for s in counts}
    assert not songs["train"] & songs["test"] and not songs["train"] & songs["validation"]
    train = open_bands(tmp_path, "train")
    assert train.tag_names.tolist() == ["jazz", "rock"] and len(train) == counts["train"]
    first = next(p for p in pieces if p.name == train.names[0])
    np.testing.assert_array_equal(train.states[: len(first.states)], first.states)
    assert train.tags[0].tolist() == ["jazz" in first.tags, True]
    assert "rock" in table(tmp_path, bars=(2,))
    with pytest.raises(ParameterError):
        open_bands(tmp_path, "train", sets=["y"])
    with pytest.raises(ParameterError):
        open_bands(tmp_path, "dev")
    with pytest.raises(ParameterError):
        write_bands(tmp_path, "x", [])


def everything(tmp_path, pieces, **options):
    write_bands(tmp_path, "x", pieces, split=lambda s: "train", **options)
    return open_bands(tmp_path, "train")


def test_windows_lie_in_regions_and_obey_silence(tmp_path):
    quiet = piece("quiet", seed=1)
    quiet.states[20:37, 2] = SILENT
    bands = everything(tmp_path, [piece("a", regions=[[0, 32], [48, 64]]), quiet, piece("c", seed=2, bars=17)])
    found = bands.windows()
    assert found[found[:, 0] == 0].tolist() == [[0, 0]]
    assert found[found[:, 0] == 1].tolist() == [[1, 0], [1, 32]]  # 12 steps of silence, 17, 5
    assert bands.windows(bars=16)[:, 1].tolist() == [0, 16]
    states = bands.states_of(found, transpose=np.full(len(found), 2))
    np.testing.assert_array_equal(states[0, :, 0], bands.states[:32, 0])
    np.testing.assert_array_equal(states[0, :, 1], bands.states[:32, 1] + 2)


def test_alike_windows_of_a_song_count_once(tmp_path):
    loop = piece("loop")
    loop.states[16:] = np.tile(loop.states[:16], (3, 1))
    bands = everything(tmp_path, [loop])
    assert len(bands.windows()) == 1 and len(bands.windows(unique=False)) == 3


def test_windows_open_with_what_is_held(tmp_path):
    long = piece("long")
    long.states[1:, 3] = HOLD
    long.states[40, 2] = long.states[39, 2]
    bands = everything(tmp_path, [long])
    states = bands.states_of(np.array([[0, 16], [0, 32]]))
    assert (states[:, 0, 3] == long.states[0, 3]).all() and (states[:, 1:, 3] == HOLD).all()
    assert bands.states_of(np.array([[0, 32]]), compat=True)[0, 8, 2] == HOLD != states[1, 8, 2]


def test_chances_and_tags(tmp_path):
    pieces = [piece(f"r{i}", seed=i) for i in range(4)] + [piece("j", tags=("jazz",), seed=9, bars=9)]
    pieces.append(piece("both", tags=("jazz", "rock"), seed=10))
    pieces.append(piece("none", tags=(), seed=11))
    bands = everything(tmp_path, pieces)
    windows = bands.windows()
    chance = bands.chances(windows)
    of = {n: chance[bands.names[windows[:, 0]] == n].sum() for n in bands.names}
    assert sum(of.values()) == pytest.approx(1)
    assert of["j"] == pytest.approx(1 / 6) and of["none"] == pytest.approx(1 / 3)
    assert of["both"] == pytest.approx((1 / 2 + 1 / 5) / 3) and of["r0"] == pytest.approx(1 / 15)
    drawn = bands.draw_tags(windows.repeat(50, axis=0), np.random.default_rng(0))
    names = bands.names[windows.repeat(50, axis=0)[:, 0]]
    assert set(drawn[names == "none"]) == {2} and set(drawn[names == "j"]) == {0}
    assert set(drawn[names == "both"]) == {0, 1}


def test_licences_are_chosen(tmp_path):
    pieces = [piece(f"p{i}", seed=i, licence="free" if i % 2 else "unclear", bars=4 + i) for i in range(4)]
    everything(tmp_path, pieces)
    free = open_bands(tmp_path, "train", licences=["free"])
    assert free.names.tolist() == ["p1", "p3"] and free.regions[:, 0].tolist() == [0, 1]
    np.testing.assert_array_equal(free.states[-16 * 7 :], pieces[3].states)
    with pytest.raises(ParameterError):
        open_bands(tmp_path, "train", licences=["NC"])


# -- folders ----------------------------------------------------------------------------------------------------------


def test_kinds_of_licences():
    for text, kind in {
        "BSD-3-Clause": "free", "MIT": "free", "CC-BY": "free", "CC-BY-NC": "NC", "CC BY-NC-SA 4.0": "NC",
        "GPL-2.0": "unclear", "unclear": "unclear", "": "unclear", "CC BY-SA 4.0": "unclear",
    }.items():  # fmt: skip
        assert licence_kind(text) == kind, text


def test_titles():
    assert song_title("x/We_are_the_champions2.mid") == song_title("y/We are the Champions.mid") == "wearethechampions"
    assert song_title("0123.mid") == "0123" and song_title("Carmen suite(2).mid") == "carmensuite"
    assert song_title("d_map01.mid") != song_title("d_map02.mid")


def test_folders_of_genres(tmp_path):
    for name, made in [("rock/One.mid", song()), ("jazz/Two.mid", song(key=3, bars=6)), ("jazz/bad.mid", None)]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if made is None:
            (tmp_path / name).write_bytes(b"no music")
        else:
            write_midi(made, tmp_path / name)
    (tmp_path / "manifest.csv").write_text("file,genre,licence\nrock/One.mid,rock,MIT\njazz/Two.mid,jazz,CC-BY-NC\n")
    assert [row[1:] for row in list_multitrack(tmp_path)] == [("jazz", "NC"), ("jazz", "unclear"), ("rock", "free")]
    said = []
    found = list(multitrack_bands(tmp_path, report=said.append))
    assert [(p.name, p.tags, p.licence) for p in found] == [
        ("jazz/Two", ("jazz",), "NC"),
        ("rock/One", ("rock",), "free"),
    ]
    assert any("damaged" in line or "passed over" in line for line in said)
    assert len(list(multitrack_bands(tmp_path, licences=["free"], report=said.append))) == 1
    with pytest.raises(ParameterError):
        list_multitrack(tmp_path / "rock")
    with pytest.raises(ParameterError):
        list_multitrack(tmp_path, licences=["good"])


# -- LMD-matched ------------------------------------------------------------------------------------------------------

IDS = "TRAAAGR128F425B14B", "TRBCDEF12903CAB0E1"


def test_lakh_layout(tmp_path):
    for i, track in enumerate(IDS):
        folder = tmp_path / "lmd" / "/".join(track[2:5]) / track
        folder.mkdir(parents=True)
        for j in range(2):
            write_midi(song(key=5 * i + 2 * j, bars=8 + j, guitars=3), folder / f"{j}.mid")
    (tmp_path / "lmd" / "A" / "A" / "A" / "notes.txt").write_text("no song")
    words = {IDS[0]: {"terms": ["Rock", "pop", "rock"], "artist": "AR1"}, IDS[1]: ["rock"]}
    (tmp_path / "terms.json").write_text(json.dumps(words))
    terms = lakh.read_terms(tmp_path / "terms.json")
    (tmp_path / "terms.csv").write_text(f"track_id,terms,artist\n{IDS[0]},Rock; pop,AR1\n{IDS[1]},rock,\n")
    assert lakh.read_terms(tmp_path / "terms.csv") == terms
    songs = lakh.list_lakh(tmp_path / "lmd", terms)
    assert [(s.track_id, len(s.files), s.terms, s.artist) for s in songs] == [
        (IDS[0], 2, ("rock", "pop"), "AR1"), (IDS[1], 2, ("rock",), "")
    ]  # fmt: skip
    pieces = list(lakh.lakh_bands(songs, report=lambda _: None))
    assert [p.song for p in pieces] == ["AR1"] * 4 + [IDS[1]] * 4  # three of the first file, one of the second
    assert len(list(lakh.lakh_bands(songs, most=0, report=lambda _: None))) == 12
    assert lakh.top_terms(pieces) == ["rock", "pop"] and lakh.top_terms(pieces, count=1) == ["rock"]
    more = [replace(p, name=f"{i}/x", tags=("soul",)) for i, p in enumerate(pieces[:2])]
    assert lakh.top_terms([*pieces, *more]) == ["rock", "soul", "pop"]  # songs count, not their bands
    with pytest.raises(ParameterError):
        lakh.list_lakh(tmp_path)
    (tmp_path / "bad.csv").write_text("id,words\n1,2\n")
    with pytest.raises(ParameterError):
        lakh.read_terms(tmp_path / "bad.csv")
