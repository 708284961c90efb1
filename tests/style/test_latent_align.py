"""Bars of two songs side by side: lengths, loops, keys."""

from __future__ import annotations

import numpy as np

import spartito
from latent_songs import FakeLatent, song
from spartito.style.latent_align import aligned, aligned_lengths, chroma_of, in_key
from spartito.style.latent_blend import BlendSettings, Pair
from spartito.style.latent_song import read_song


def test_songs_of_different_length():
    two, six, twenty = (read_song(song(n)) for n in (2, 6, 20))
    assert aligned_lengths(two, six, "auto") == (0, 96) and aligned_lengths(two, six, "common") == (0, 32)
    thirty = read_song(song(30))
    assert aligned_lengths(twenty, thirty, "auto") == (0, 320) and aligned_lengths(twenty, thirty, "longest") == (
        0,
        480,
    )
    pieces = spartito.blend(song(2), song(6), steps=3, model=FakeLatent(), pull=20)
    assert abs(pieces[1].duration - song(6).duration) < 0.3
    pair = Pair.of(FakeLatent(), two, six, BlendSettings())
    assert (
        np.array_equal(pair.first.states[32:64], pair.first.states[:32]) and pair.report()["songs"]["a"]["repeats"] == 3
    )


def test_a_loop_brings_its_notes_again():
    one = read_song(song(2))
    material = aligned(one, 0, 64)
    assert len(material.cells) == 2 * len(one.band.notes) and material.quarter.shape == (4,)
    late = material.cells[:, 0] >= 32
    assert np.allclose(material.place[late], material.place[~late] + 32)
    assert material.copies == ((0, 0, 32), (0, 32, 32))


def test_another_key():
    material = aligned(read_song(song(2)), 0, 32)
    higher = in_key(material, 3)
    pitched = material.cells[:, 4] > 0
    assert (higher.cells[pitched, 2] - material.cells[pitched, 2] == 3).all()
    assert np.array_equal(higher.states[:, 0], material.states[:, 0])
    assert in_key(material, 0) is material
    assert np.array_equal(chroma_of(read_song(song(2, key=1))), np.roll(chroma_of(read_song(song(2))), 1))
