"""Blends of two songs: ends that are exact, bars, keys and tempo between them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import spartito
from latent_songs import FakeLatent, piano, song
from spartito.errors import ParameterError
from spartito.models.musae_prior import Gaussian
from spartito.notes.layouts import PIANO

A = song(4, bpm=120, title="First")
B = song(4, bpm=60, key=2, title="Second")


def bass(notes):
    rows = notes.array[[notes.tracks[t].program == 33 for t in notes.array["track"]]]
    return rows[np.argsort(rows["onset"])]


def test_the_ends_are_the_songs():
    report: dict = {}
    pieces = spartito.blend(A, B, steps=5, model=FakeLatent(), report=report)
    assert len(pieces) == 5 and pieces[0] is A and pieces[-1] is B
    told = report["steps"]
    assert [round(t["share"], 2) for t in told] == [0, 0.25, 0.5, 0.75, 1]
    assert told[0]["from_a"] == 0 and told[-1]["from_b"] == 0
    assert report["interval"] == -2 and report["bars"] == 4


def test_steps_are_even():
    report: dict = {}
    other = song(4).select(song(4).array["track"] != 2)  # another guitar, and a tune of its own
    array = other.array.copy()
    array["pitch"][array["track"] == 3] += 7
    spartito.blend(A, other.with_array(array), steps=5, keys="keep", model=FakeLatent(), report=report)
    for told in report["steps"]:
        assert abs(told["from_a"] / (told["from_a"] + told["from_b"]) - told["share"]) < 0.2


def test_tempo_is_the_geometric_mean():
    pieces = spartito.blend(A, B, steps=3, model=FakeLatent())
    tempo = 60e6 / pieces[1].tempo_map.changes[:, 1]
    assert np.allclose(tempo, np.sqrt(120 * 60), rtol=0.02)


def test_the_key_glides_stays_or_is_mixed():
    """The songs are the same two semitones apart, so the pieces between are that song, transposed."""
    first = lambda pieces: [int(bass(p)["pitch"][0]) for p in pieces]  # noqa: E731
    model = FakeLatent()
    assert first(spartito.blend(A, B, steps=5, model=model, pull=20)) == [36, 36, 37, 38, 38]
    stays = spartito.blend(A, B, steps=3, model=model, pull=20, keys="first")
    assert first(stays) == [36, 36, 36] and len(stays[-1]) == len(B)
    drums = lambda n: n.array["pitch"][[n.tracks[t].is_drum for t in n.array["track"]]]  # noqa: E731
    assert np.array_equal(drums(stays[-1]), drums(B))
    assert first(spartito.blend(A, B, steps=3, model=model, keys="keep"))[::2] == [36, 38]


def test_chords_timing_and_loudness_come_along():
    """With a strong pull two equal songs give the same notes between, but for loudness that lies between."""
    louder = A.array.copy()
    louder["velocity"] = np.minimum(louder["velocity"] + 10, 127)
    middle = spartito.blend(A, A.with_array(louder), steps=3, model=FakeLatent(), pull=20)[1]
    bare = A.array[A.array["track"] != 4]  # the second guitar plays in the first and the last piece only
    order = lambda x: x[np.lexsort((x["pitch"], np.round(x["onset"], 3)))]  # noqa: E731
    a, b = order(bare), order(middle.array)
    assert len(a) == len(b) and np.array_equal(a["pitch"], b["pitch"])
    assert np.abs(a["onset"] - b["onset"]).max() < 1e-3
    assert abs(np.mean(b["velocity"] - a["velocity"].astype(float)) - 5) < 1.5
    assert {t.program for t in middle.tracks if not t.is_drum} == {33, 25, 48}
    assert middle.tracks[1].controls["value"].tolist() == [90]


def test_a_morph_begins_as_the_first_and_ends_as_the_second():
    pieces = spartito.blend(A, song(4, key=5), steps=2, keys="keep", morph=True, model=FakeLatent(), pull=20)
    assert len(pieces) == 3
    morph = pieces[-1]
    first, last = bass(morph)["pitch"][:4], bass(morph)["pitch"][-4:]
    assert first.tolist() == bass(A)["pitch"][:4].tolist()
    assert last.tolist() == bass(song(4, key=5))["pitch"][-4:].tolist()


@pytest.mark.parametrize("path", ["linear", "spherical", "petals"])
def test_ways(path):
    other = song(4, key=0).select(np.arange(60))
    pieces = spartito.blend(A, other, steps=4, path=path, model=FakeLatent())
    assert all(len(p) for p in pieces)


def test_pianos():
    pieces = spartito.blend(piano(3), piano(4), steps=3, model=FakeLatent(layout=PIANO))
    assert [t.name for t in pieces[1].tracks] == ["right hand", "left hand"]


def test_what_cannot_be_blended():
    model = FakeLatent()
    with pytest.raises(ParameterError, match="--layout"):
        spartito.blend(A, piano(2), model=model)
    with pytest.raises(ParameterError, match="2 to 256"):
        spartito.blend(A, B, steps=1, model=model)
    with pytest.raises(ParameterError, match="linear, spherical, petals"):
        spartito.blend(A, B, path="round", model=model)
    with pytest.raises(ParameterError, match="petals"):
        spartito.blend(A, B, path="petals", model=FakeLatent(prior=Gaussian(12)))
    assert len(spartito.blend(A, replace(B, tracks=B.tracks), steps=2, model=model)) == 2


def test_reconstructions_between():
    pieces = spartito.blend(A, B, steps=3, reconstruct=True, temperature=1.0, model=FakeLatent())
    assert pieces[0] is A and len(pieces[1])
