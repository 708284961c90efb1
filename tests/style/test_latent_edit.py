"""Edits of whole songs: what is asked, what is locked, what is nothing."""

from __future__ import annotations

import numpy as np
import pytest

import spartito
from latent_songs import FakeLatent, piano, song
from spartito.errors import NotesError, ParameterError
from spartito.notes.four_tracks import SILENT
from spartito.notes.layouts import PIANO
from spartito.style.latent_edit import EditSettings, bar_mask, edit_song, parse_bars, parse_shares
from spartito.style.latent_song import read_song

pytestmark = pytest.mark.filterwarnings("ignore::spartito.style.latent_song.LatentWarning")


def test_what_a_person_types():
    assert parse_shares("jazz:0.5,pop:0.3") == {"jazz": 0.5, "pop": 0.3} and parse_shares("jazz") == {"jazz": 1.0}
    assert parse_bars("9-16") == (9, 16) and parse_bars(" 9 ") == (9, 9) and parse_bars("9-")[1] > 1000
    assert parse_bars("") is None
    for text in ("x", "4-2", "0-3"):
        with pytest.raises(ParameterError, match="bars"):
            parse_bars(text)
    for text in ("jazz:loud", "jazz:0", "jazz:1.5"):
        with pytest.raises(ParameterError, match="genre"):
            parse_shares(text)
    with pytest.raises(ParameterError, match="weight"):
        EditSettings(weight=9)
    with pytest.raises(ParameterError, match="slider"):
        EditSettings(attributes={"loudness": 1})


def test_no_wish_gives_the_source_itself():
    notes = song(4)
    assert spartito.edit(notes, model=FakeLatent()) is notes
    result = edit_song(FakeLatent(), read_song(notes), EditSettings(attributes={"density": 0.0}))
    assert result.notes is notes


def test_more_notes_and_fewer():
    notes, model = song(6), FakeLatent()
    report: dict = {}
    busier = spartito.edit(notes, density=0.5, model=model, report=report)
    assert len(busier) > len(notes) and report["notes_of_source"]["new"] > 0
    assert report["sliders"]["reached"]["density"] > 0.1
    sparser = spartito.edit(notes, density=-2, model=model)
    assert len(sparser) < len(notes)
    assert busier.tempo_map is notes.tempo_map and busier.markers == notes.markers and busier.tracks is notes.tracks


def test_locked_tracks_and_bars_are_bit_exact():
    notes, model = song(6), FakeLatent()
    result = spartito.edit(notes, density=1, keep="bass,drums", bars=(3, 4), model=model)
    a, b = notes.array, result.array
    for track in (0, 1, 4):
        assert np.array_equal(a[a["track"] == track], b[b["track"] == track])
    outside = lambda x: x[(x["onset"] < 3.9) | (x["onset"] > 8.1)]  # noqa: E731
    assert np.array_equal(outside(a), outside(b)) and len(a) != len(b)


def test_what_is_absent_stays_absent():
    full = song(4, extra=False)
    duo = full.select(np.isin(full.array["track"], [1, 2]))
    result = edit_song(FakeLatent(), read_song(duo), EditSettings(attributes={"density": 1}, calibrate=False))
    assert set(result.notes.array["track"].tolist()) <= {1, 2} and (result.states[:, [0, 3]] >= SILENT).all()


def test_a_second_guitar_passes_through_and_is_said():
    with pytest.warns(UserWarning, match="left as they are: Second guitar"):
        result = edit_song(FakeLatent(), read_song(song(4)), EditSettings(attributes={"density": 1}, calibrate=False))
    assert result.report()["untouched"] == ["Second guitar"]


def test_a_piano_piece():
    model = FakeLatent(layout=PIANO)
    notes = piano(4)
    result = spartito.edit(notes, density=0.5, keep="left", model=model)
    left = lambda x: x.array[x.array["track"] == 1]  # noqa: E731
    assert np.array_equal(left(result), left(notes)) and len(result) > len(notes)


def test_one_bar_and_the_bars_of_a_pick_up():
    assert len(spartito.edit(song(1), density=1, model=FakeLatent())) > 0
    found = read_song(song(4))
    assert bar_mask(found, (2, 2)).nonzero()[0].tolist() == list(range(16, 32))
    with pytest.raises(ParameterError, match="4 bars"):
        bar_mask(found, (9, 12))


def test_a_genre():
    report: dict = {}
    spartito.edit(song(4), genre="pop:0.6", model=FakeLatent(), report=report)
    assert report["sliders"]["genre"]["pop"]["asked"] == 0.6
    with pytest.raises(ParameterError, match="jazz, pop"):
        spartito.edit(song(4), genre="polka", model=FakeLatent())


def test_plain_reconstruction_keeps_locked_tracks():
    notes = song(4)
    result = spartito.edit(notes, reconstruct=True, keep="drums", model=FakeLatent())
    drums = lambda x: x.array[x.array["track"] == 0]  # noqa: E731
    assert np.array_equal(drums(result), drums(notes)) and len(result) != len(notes)


def test_what_cannot_be_done():
    model = FakeLatent()
    for options, words in (
        ({"keep": "trumpet"}, "drums, bass"),
        ({"keep": "drums,bass,guitar,strings"}, "nothing is left"),
        ({"bars": "80-90"}, "4 bars"),
        ({"duration": 1}, "no slider 'duration'"),
    ):
        with pytest.raises(ParameterError, match=words):
            spartito.edit(song(4), **({"density": 1} | options), model=model)
    with pytest.raises(ParameterError, match="piano"):
        spartito.edit(piano(2), density=1, model=model)
    with pytest.raises(NotesError):
        spartito.edit(spartito.Notes(), density=1, model=model)


def test_what_could_not_be_reached_is_said():
    with pytest.warns(UserWarning, match=r"density: \+4 steps were asked for"):
        spartito.edit(song(4), density=4, keep="drums,bass,strings", model=FakeLatent())
