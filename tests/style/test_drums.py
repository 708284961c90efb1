"""Drums of a restyled piece."""

from __future__ import annotations

import numpy as np
import pytest

from restyling import piece
from spartito.style.drums import RIDE, SWING, with_drums
from spartito.style.transfer import prepare, source_beats


def grooved(target, *, metre=(4, 4), bars=4, seed=0):
    notes = piece(bars, metre=metre, drums=True)
    song = prepare(notes, source_beats(notes)[0])
    result = with_drums(notes, "genre", target, song, seed=seed)
    drums = [i for i, track in enumerate(result.tracks) if track.is_drum]
    return result.select(np.isin(result.array["track"], drums)), result


def test_the_ride_swings_on_every_bar():
    drums, result = grooved("jazz")
    ride = drums.select(drums.pitch == RIDE).onset
    bar = [0.0, 0.5, 0.5 * (1 + SWING), 1.0, 1.5, 0.5 * (3 + SWING)]
    assert ride == pytest.approx([2.0 * number + time for number in range(4) for time in bar])
    assert [t.is_drum for t in result.tracks] == [False, False, True]  # those of the source are gone
    assert len(set(drums.velocity.tolist())) > 3


def test_shorter_bars_take_what_fits():
    drums, _ = grooved("jazz", metre=(3, 4))
    ride = drums.select(drums.pitch == RIDE).onset
    assert ride[:4] == pytest.approx([0.0, 0.5, 0.5 * (1 + SWING), 1.0]) and ride[4] == pytest.approx(1.5)


def test_no_drums_before_the_first_note():
    notes = piece(6)
    late = notes.select(notes.onset > 6.4)  # in the fourth bar, at 6 s
    song = prepare(late, source_beats(late)[0])
    result = with_drums(late, "genre", "pop", song)
    drums = result.select(result.array["track"] == len(late.tracks))
    assert drums.onset[0] == pytest.approx(6.0) and drums.onset[-1] < 12.0


def test_the_seed_draws_the_touch():
    a, b, c = grooved("pop")[0], grooved("pop")[0], grooved("pop", seed=1)[0]
    assert np.array_equal(a.array, b.array) and not np.array_equal(a.velocity, c.velocity)


def test_classical_music_has_none():
    drums, result = grooved("classic")
    assert len(drums) == 0 and not any(t.is_drum for t in result.tracks) and len(result) == 4 * 7
