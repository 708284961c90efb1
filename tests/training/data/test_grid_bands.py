"""Jazz solos and piano scores as bands of four tracks."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.notes.four_tracks import BASS, DRUMS, GUITAR, HOLD, SILENT, STRINGS, expanded, notes_of
from spartito.training.band_patterns import KICK, PEDAL_HAT, RIDE
from spartito.training.data.band_store import open_bands, write_bands
from spartito.training.data.genre_store import GridPiece
from spartito.training.data.grid_bands import jazz_band, score_band, swing_drums, walked, wjazzd_bands
from spartito.training.data.jazz_chords import parse_chord
from spartito.training.data.splits import tenth_of
from spartito.training.data.wjazzd import read_solo
from spartito.training.jazz_comping import Feel, comping

SLOW = Feel(80.0, offbeat=0.68)


def solo_folder(tmp_path, *, bars=16, beat=0.4):
    """Quavers over D-7, a chord a bar, from the second beat of a pick-up bar; the band is not late."""
    for name in ("mcsv_melody", "mcsv_beat"):
        (tmp_path / name).mkdir()
    rows = ["onset,duration,period,division,bar,beat,signature,chord,form,chorus_id,bass"]
    for i in range(-1, 4 * bars):
        chord = ("D-7", "G7")[i // 4 % 2]
        rows.append(f"{1 + beat * i:.6f},{beat},4,1,{i // 4},{i % 4 + 1},'4/4',{chord},A1,1,40")
    (tmp_path / "mcsv_beat" / "AnyBody_SomeTune_FINAL_beattrack.csv").write_text("\n".join(rows))
    rows = ["onset,duration,period,division,bar,beat,tatum,beat_duration,signature,pitch,loud_max,loud_median,chord"]
    for i in range(8 * bars):
        rows.append(f"{1 + beat * i / 2:.6f},{0.2 * beat},4,1,0,1,1,{beat},x,{50 + i % 12},0.1,66.0,")
    (tmp_path / "mcsv_melody" / "AnyBody_SomeTune_FINAL.csv").write_text("\n".join(rows))
    return tmp_path


def test_a_solo_gets_a_quartet(tmp_path):
    solo = read_solo(solo_folder(tmp_path) / "mcsv_melody" / "AnyBody_SomeTune_FINAL.csv")
    piece = jazz_band(solo, name="x")
    assert (piece.song, piece.tags, piece.licence, piece.tempo) == ("sometune", ("jazz",), "free", pytest.approx(150))
    assert piece.regions.tolist() == [[0, 256]]
    begins = piece.states[:256] < SILENT
    assert np.flatnonzero(begins[:, STRINGS]).tolist() == list(range(0, 256, 2))  # the solo: every quaver
    assert piece.states[:24:2, STRINGS].tolist() == list(range(50, 62))  # at the pitch it was played
    assert begins[::4, BASS].mean() > 0.6  # a bass in four, or sections in two
    low = notes_of(piece.states)
    low = low[low[:, 4] == BASS]
    first = low[low[:, 0] % 16 == 0]
    assert set(first[:, 2] % 12) == {2, 7}  # roots of the two chords when they begin
    assert (piece.states[begins[:, GUITAR].nonzero()[0], GUITAR] >= 50).all() and begins[:, GUITAR].sum() > 16
    assert begins[:, DRUMS].reshape(16, 16).any(axis=1).all()
    again, other = jazz_band(solo, name="x"), jazz_band(solo, name="x", seed=[0, 1])
    np.testing.assert_array_equal(again.states, piece.states)
    np.testing.assert_array_equal(other.states[:, STRINGS], piece.states[:, STRINGS])
    assert (other.states[:, BASS] != piece.states[:, BASS]).any()


def test_bands_of_a_solo_are_in_the_split_of_their_work(tmp_path):
    found = list(wjazzd_bands(solo_folder(tmp_path), bands=2))
    assert [p.name for p in found] == ["AnyBody_SomeTune#0", "AnyBody_SomeTune#1"]
    write_bands(tmp_path / "store", "wjazzd", found)
    split = {7: "test", 8: "validation"}.get(tenth_of("sometune"), "train")
    assert set(open_bands(tmp_path / "store", split).songs.tolist()) == {"sometune"}


def test_a_drummer_swings():
    hits = swing_drums(64, feel=SLOW, rng=np.random.default_rng(0))
    assert set(np.round(np.mod(hits[:, 0], 1.0), 2)) <= {0.0, 0.68}
    hats = hits[hits[:, 2] == PEDAL_HAT]
    assert set(np.mod(hats[:, 0], 4.0)) == {1.0, 3.0}  # two and four
    assert (hits[:, 0] < 64).all() and hits[:, 0].min() == 0 and {RIDE, KICK} & set(hits[:, 2])
    assert ((hits[:, 3] >= 1) & (hits[:, 3] <= 127)).all()
    assert len(swing_drums(3, feel=SLOW, rng=np.random.default_rng(0))) == 0  # no whole bar


def test_a_bass_keeps_silent_where_there_is_no_chord():
    chords = [None] * 4 + [parse_chord("F7")] * 8
    line = walked(chords, feel=SLOW, rng=np.random.default_rng(0))
    assert line[:, 0].min() == 4 and line[line[:, 0] == 4, 2] % 12 == [5]
    assert (line[:, 1] > 0).all() and (line[:, 0] + line[:, 1] <= 12).all()
    assert len(walked([None] * 8, feel=SLOW, rng=np.random.default_rng(0))) == 0
    assert len(comping([None] * 8, feel=SLOW, rng=np.random.default_rng(0))) == 0


def test_a_score_is_given_out_by_hand():
    """A tune in minims over an Alberti bass in quavers, with a held low note in the second bar."""
    tune = [(0, 8, 76, 80, 1), (8, 8, 77, 80, 1), (16, 16, 79, 80, 1)]
    alberti = [(2 * i, 2, (48, 55, 52, 55)[i % 4], 60, 0) for i in range(8)]
    second = [(16, 16, 43, 60, 0), *((16 + 2 * i, 2, (50, 55)[i % 2], 60, 0) for i in range(8))]
    notes = np.array(sorted([*tune, *alberti, *second]))
    piece = GridPiece("a", "Someone/Piece", notes, notes[:, 0].astype(float), np.array([[0, 32]]), 90.0)
    made = score_band(piece)
    assert (made.song, made.tags, made.licence, made.tempo) == ("Someone/Piece", ("classic",), "NC", 90.0)
    assert (expanded(made.states)[:, DRUMS] == SILENT).all()
    found = {track: notes_of(made.states) for track in (BASS, GUITAR, STRINGS)}
    rows = {t: [tuple(r[:3]) for r in table[table[:, 4] == t].tolist()] for t, table in found.items()}
    assert rows[STRINGS] == [(0, 8, 76), (8, 8, 77), (16, 16, 79)]
    # the lowest of each beat, held through it; in the second bar only the note that is held
    assert rows[BASS] == [(0, 4, 48), (4, 4, 52), (8, 4, 48), (12, 4, 52), (16, 16, 43)]
    assert [r for r in rows[GUITAR] if r[0] < 16] == [(2, 2, 55), (6, 2, 55), (10, 2, 55), (14, 2, 55)]
    assert len([r for r in rows[GUITAR] if r[0] >= 16]) == 8
    assert HOLD not in made.states[0]


def test_a_score_without_a_left_hand_has_no_bass():
    notes = np.array([(0, 8, 76, 80, 1), (8, 8, 77, 80, 1)])
    made = score_band(GridPiece("a", "a", notes, notes[:, 0].astype(float), np.array([[0, 16]]), 90.0))
    assert (expanded(made.states)[:, [DRUMS, BASS, GUITAR]] == SILENT).all()
