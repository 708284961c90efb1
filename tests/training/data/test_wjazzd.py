"""A made-up solo in the tables of the Weimar Jazz Database."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import NotesError
from spartito.training.data.genre_store import open_store
from spartito.training.data.wjazzd import (
    chord_sequences,
    grid_solo,
    lag_of,
    offbeat_of,
    read_solo,
    work_title,
    write_wjazzd,
)

BEAT = 0.4  # s
CHORDS = ["D-7", "G7", "Cj7", "NC"]  # one per bar, over and over
BARS = 16
LATE = 0.1  # beats behind the band


def solo_folder(tmp_path, *, signature="4/4", beats=4, pick_up=2):
    """Sixteen bars of swung quavers up and down, from two beats before the first bar line."""
    for name in ("mcsv_melody", "mcsv_beat"):
        (tmp_path / name).mkdir()
    count = pick_up + beats * BARS
    rows = ["onset,duration,period,division,bar,beat,signature,chord,form,chorus_id,bass"]
    for i in range(count):
        bar, place = divmod(i - pick_up, beats)
        chord = CHORDS[bar % len(CHORDS)] if bar >= 0 else "NC"
        rows.append(f"{1 + BEAT * i:.6f},{BEAT},4,1,{bar},{place + 1},'{signature}',{chord},A1,1,40")
    (tmp_path / "mcsv_beat" / "AnyBody_SomeTune-2_FINAL_beattrack.csv").write_text("\n".join(rows))
    rows = ["onset,duration,period,division,bar,beat,tatum,beat_duration,signature,pitch,loud_max,loud_median,chord"]
    for i in range(2 * (count - 1)):
        at = i // 2 + (2 / 3 if i % 2 else 0.0) + LATE
        rows.append(f"{1 + BEAT * at:.6f},{0.9 * BEAT / 3},4,1,0,1,1,{BEAT},x,{50 + i % 12},0.1,66.0,")
    (tmp_path / "mcsv_melody" / "AnyBody_SomeTune-2_FINAL.csv").write_text("\n".join(rows))
    return tmp_path


def test_a_solo_and_its_chords_are_read(tmp_path):
    (sequence,) = chord_sequences(solo_folder(tmp_path))
    assert (sequence.work, sequence.name) == ("sometune", "AnyBody_SomeTune-2")
    assert sequence.positions[:4].tolist() == [2, 3, 0, 1]
    assert sequence.roots[[0, 2, 6, 10, 14]].tolist() == [-1, 2, 7, 0, -1]
    assert sequence.qualities[[0, 2, 6, 10]].tolist() == ["N", "min7", "7", "maj7"]


def test_lag_and_swing_are_heard(tmp_path):
    solo = read_solo(solo_folder(tmp_path) / "mcsv_melody" / "AnyBody_SomeTune-2_FINAL.csv")
    assert solo.tempo == pytest.approx(150, abs=0.1)
    assert lag_of(solo) == pytest.approx(LATE, abs=1e-3)
    assert offbeat_of(solo, lag=LATE) == pytest.approx(2 / 3, abs=1e-3)


def test_the_solo_lies_on_the_grid_above_its_chords(tmp_path):
    solo = read_solo(solo_folder(tmp_path) / "mcsv_melody" / "AnyBody_SomeTune-2_FINAL.csv")
    piece = grid_solo(solo)
    assert piece.regions.tolist() == [[0, 16 * BARS]]
    tune = piece.notes[piece.part == 1]
    assert set(tune[:, 0] % 4) == {0, 3}  # 0 and two thirds of a beat; the lag is gone
    assert len(tune) == 2 * (4 * BARS - 1)  # without the pick-up
    assert np.percentile(tune[:, 2], 10) >= 66 and set(tune[:, 2] % 12) == {p % 12 for p in range(50, 62)}
    under = piece.notes[piece.part == 0]
    assert len(under) and set(tune[:, 4]) == {1} and set(under[:, 4]) == {0}
    for step, length, pitch in under[:, :3]:  # none at or above a note of the solo that sounds with it
        with_it = (tune[:, 0] < step + length) & (tune[:, 0] + tune[:, 1] > step)
        assert not with_it.any() or pitch < tune[with_it, 2].min()
    assert piece.chords[:3] == [(0, "D:min7"), (16, "G:7"), (32, "C:maj7")]
    again = grid_solo(solo)
    assert np.array_equal(piece.notes, again.notes)
    assert not np.array_equal(piece.notes, grid_solo(solo, seed=1).notes)


def test_waltzes_have_no_region(tmp_path):
    folder = solo_folder(tmp_path, signature="3/4", beats=3)
    assert not len(grid_solo(read_solo(folder / "mcsv_melody" / "AnyBody_SomeTune-2_FINAL.csv")).regions)


def test_a_store_is_written(tmp_path):
    counts = write_wjazzd(solo_folder(tmp_path), tmp_path / "store")
    ((split, many),) = counts.items()
    assert many == 1
    pieces = open_store(tmp_path / "store", "jazz", split)
    assert pieces.works.tolist() == ["sometune"] and len(pieces.windows(hop=64)) == BARS // 4


@pytest.mark.parametrize(
    ("title", "work"),
    [("Oleo - Live At Maybeck", "oleo"), ("Stardust-1", "stardust"), ("Soon (Solo) [Take 2]", "soon"), ("245", "245")],
)
def test_titles(title, work):
    assert work_title(title) == work


def test_a_wrong_folder_is_refused(tmp_path):
    with pytest.raises(NotesError, match="mcsv_melody"):
        chord_sequences(tmp_path)
