"""Songs as cells, windows over them, and what is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from latent_songs import FakeLatent, piano, song
from spartito.errors import NotesError, ParameterError
from spartito.notes.four_tracks import HOLD, SILENT
from spartito.notes.layouts import PIANO
from spartito.notes.notes import Notes
from spartito.notes.tempo import TempoMap, TimeSignature
from spartito.style.latent_song import (
    check_layout,
    encode_song,
    harmony_of,
    hop_of,
    is_piano,
    read_song,
    warn_of,
    window_starts,
)


def test_a_band_in_cells():
    found = read_song(song(3))
    assert found.states.shape == (48, 4) and found.layout.name == "band" and found.four and found.beats_by == "file"
    assert found.passing == [4] and not found.absent.any()  # of two guitars the one with more notes
    # first bar: kick on one; the bass on C; of the chord the highest; the tune
    assert found.states[0].tolist() == [36, 36, 59, 72]
    assert found.states[2].tolist() == [42, HOLD, HOLD, HOLD]
    assert abs(found.seconds(16) - 2.0) < 1e-6


def test_a_piano_piece_is_known_by_its_programs():
    assert is_piano(piano()) and not is_piano(song())
    found = read_song(piano(2))
    assert found.layout is PIANO and found.states.shape == (32, len(PIANO)) and found.passing == []
    assert read_song(piano(2), layout="band").layout.name == "band"
    with pytest.raises(ParameterError, match="layout"):
        read_song(piano(2), layout="choir")
    with pytest.raises(ParameterError, match="band"):
        check_layout(FakeLatent(), found)


def test_a_pick_up_has_a_bar_of_its_own():
    notes = song(3, extra=False)
    clock = TempoMap(time_signatures=(TimeSignature(0, 1, 4), TimeSignature(960, 4, 4)))
    found = read_song(replace(notes, tempo_map=clock))
    assert found.lead == 12 and found.bars == 4
    assert (found.states[:12] >= SILENT).all() and found.states[12, 0] == 36


def test_other_metres_are_said():
    waltz = replace(song(3), tempo_map=TempoMap(time_signatures=(TimeSignature(0, 3, 4),)))
    with pytest.warns(UserWarning, match="3/4"):
        warn_of(read_song(waltz))
    two = replace(song(3), tempo_map=TempoMap(time_signatures=(TimeSignature(0, 2, 4),)))
    assert read_song(two).four


def test_nothing_to_read():
    with pytest.raises(NotesError, match="no notes"):
        read_song(Notes())


def test_drums_alone_and_one_note():
    full = song(2)
    drums = full.select(full.array["track"] == 0)
    found = read_song(drums)
    assert found.absent.tolist() == [False, True, True, True]
    one = Notes.from_arrays([0.0], [0.5], [60])
    assert read_song(one).bars == 1 and read_song(one).four


def test_windows():
    assert window_starts(80, steps=32, hop=16).tolist() == [0, 16, 32, 48]
    assert window_starts(88, steps=32, hop=32).tolist() == [0, 32, 56]  # the last ends with the song
    assert window_starts(16, steps=32, hop=16).tolist() == [0]
    assert (hop_of(2), hop_of(16)) == (16, 64)


def test_codes_of_a_song_and_of_one_shorter_than_a_window():
    model = FakeLatent()
    codes = encode_song(model, read_song(song(5)))
    assert codes.z.shape == (4, 12) and codes.steps == 32
    one = read_song(song(1))
    loop = read_song(song(1)).states
    twice = np.concatenate([loop, loop])
    assert np.allclose(encode_song(model, one).z, model.encode(twice[None])[0])


def test_harmony_is_what_sounds_near():
    table = np.array([[0, 4, 60, 80, 2], [8, 8, 64, 80, 2]])
    found = harmony_of(table, 16)
    assert found.shape == (16, 12) and found[0, 0] == 1.0 and found[0, 4] < 0.5
    assert found[12, 4] == 1.0 and found[0, 1] == 0.0
    assert (harmony_of(table[:0], 8) == 1.0).all()
