"""`cover --genre`: the arrangement in another genre, the chords its own, the clock that of the recording."""

from __future__ import annotations

import json

import numpy as np
import pytest

import spartito
from frame import run_cli
from restyling import FakeEngine, judged
from songs import RATE, analysis, band, fake_analyze, write_song
from spartito import outputs_cover, outputs_songs, outputs_style
from spartito.arrangement import cover
from spartito.audio.audio import Audio
from spartito.cover_genre import with_chords_of
from spartito.errors import ParameterError
from spartito.notes.notes import Notes

SONG = analysis(duration=8.0, count=16)


@pytest.fixture(autouse=True)
def judges(monkeypatch):
    judged(monkeypatch)


def up(notes):
    notes[:, 2] += 2
    return notes


def covered(engine, **options):
    audio = Audio(band(8.0), RATE, title="A Song", artist="A Band")
    return cover(audio, model="chords", analysis=SONG, genre="jazz", genre_engine=engine, **options)


def test_chords_of_the_notes_take_the_place_of_those_of_the_song():
    onset = np.repeat([0.0, 4.0], 3)  # four beats of D minor, as many of G
    notes = Notes.from_arrays(onset, onset + 3.9, [50, 65, 69, 55, 71, 74])
    song = with_chords_of(notes, SONG)
    assert [chord.label for chord in song.chords] == ["D:min", "G:maj"]
    assert song.chords[0].start == 0.0 and song.chords[0].end == pytest.approx(4.0)
    assert song.beats is SONG.beats and SONG.chords[0].label == "C:maj"


def test_no_notes_no_chords():
    assert [chord.label for chord in with_chords_of(Notes(), SONG).chords] == ["N"]


def test_the_arrangement_is_restyled_then_played():
    engine = FakeEngine()
    plain = cover(Audio(band(8.0), RATE), model="chords", analysis=SONG)
    notes = covered(engine)
    ((piece, wish),) = engine.asked
    assert (wish.source, wish.target, wish.keep) == ("pop", "jazz", ("melody",))
    assert piece.chords.root[[0, 4, 8, 12]].tolist() == [0, 9, 5, 7]  # those of the analysis
    assert [t.name for t in notes.tracks] == ["right hand", "left hand"] and len(notes.pedal)
    assert notes.tempo_map == plain.tempo_map
    assert sorted(notes.pitch.tolist()) == sorted(plain.pitch.tolist())


def test_the_tune_stays_unless_the_engine_keeps_it_itself():
    tune = set(SONG.melody[:, 2].astype(int).tolist())
    assert tune <= set(covered(FakeEngine(up), perform=False).pitch.tolist())
    engine = FakeEngine(up)
    engine.keeps_melody = True
    moved = covered(engine, perform=False)
    assert engine.asked[0][1].keep == () and 74 in moved.pitch and not {72} & set(moved.pitch[moved.onset < 0.1])
    bare = FakeEngine(up)
    covered(bare, melody="omit")
    assert bare.asked[0][1].keep == ()


def test_strength_reaches_the_engine():
    engine = FakeEngine()
    covered(engine, genre_strength=0.3, seed=4)
    assert (engine.asked[0][1].strength, engine.asked[0][1].seed) == (0.3, 4)


@pytest.mark.parametrize("options", [{"genre": "metal"}, {"genre": "jazz", "genre_strength": 2}])
def test_options_that_cannot_be(options):
    with pytest.raises(ParameterError):
        cover(Audio(band(2.0), RATE), model="chords", analysis=SONG, genre_engine=FakeEngine(), **options)


def test_on_the_command_line(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(spartito, "analyze", fake_analyze, raising=False)
    monkeypatch.setattr(outputs_songs, "open_listener", lambda: None)
    engine = FakeEngine(up)
    for module in (outputs_cover, outputs_style):
        monkeypatch.setattr(module, "open_style_engine", lambda name, device: engine)
    source = write_song(tmp_path / "song.wav", 8.0)
    options = ["--model", "chords", "--melody", "omit", "--genre", "jazz", "--genre-strength", "0.5"]
    status, out, err = run_cli(
        capfd, "cover", source, *options, "-f", "mid,musicxml,json", "-o", tmp_path / "out", "--json"
    )
    assert status == 0, err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "song_analysis.json",
        "song_cover_jazz.mid",
        "song_cover_jazz.musicxml",
    ]
    assert engine.asked[0][1].strength == 0.5 and json.loads(out)["files"][0]["genre"] == "jazz"
    text = (tmp_path / "out" / "song_cover_jazz.musicxml").read_text()
    roots = [part.split("<")[0] for part in text.split("<root-step>")[1:]]
    assert roots[:2] == ["D", "B"]  # C and A minor of the song, two semitones higher as its notes now are
    stored = spartito.Analysis.load(tmp_path / "out" / "song_analysis.json")
    assert stored.chords[0].label == "C:maj"  # the song is what it was
    status, _, err = run_cli(capfd, "cover", source, *options, "--compat", "-f", "mid")
    assert status == 2
    status, _, err = run_cli(capfd, "cover", source, "--model", "chords", "--genre", "metal", "-f", "mid")
    assert status == 2 and "metal" in err
