import json

import numpy as np
import pytest

from pair_files import BARS, BEATS, analysis, heard, music
from spartito.models.pop2piano_tokens import decode
from spartito.training.data.arrangements import open_pieces
from spartito.training.data.pair_shards import (
    half_beat_notes,
    is_tune,
    parts_of,
    pop2piano_rows,
    save_pieces,
    table_of,
    to_notes,
)
from spartito.training.data.pop909 import on_grid

SECONDS = np.arange(8) * 1.0 + 10.0  # a beat a second from 10 s on


def test_half_beats_by_hand():
    table = [
        (10.2, 11.3, 60, 80),  # 0.4 -> 0, 2.6 -> 3 half beats
        (10.26, 10.3, 62, 70),  # 0.52 -> 1, and the end there, too: one half beat
        (10.1, 10.4, 60, 90),  # the same onset and key as the first: the longer stays
        (12.0, 20.5, 64, 60),  # rings beyond the last beat
        (9.7, 10.5, 40, 60),  # -0.6 -> -1: before the first
        (17.9, 18.5, 40, 60),  # 15.8 -> 16: after the last
    ]
    rows = half_beat_notes(np.array(table), SECONDS)
    assert rows.tolist() == [[0, 3, 60, 80], [1, 2, 62, 70], [4, 21, 64, 60]]
    notes = to_notes(rows, SECONDS)
    assert notes.onset.tolist() == [10.0, 10.5, 12.0] and notes.offset.tolist() == [11.5, 11.0, 20.5]
    assert half_beat_notes(np.zeros((0, 4)), SECONDS).shape == (0, 4)


def test_rows_of_pop2piano_are_read_as_they_were_written():
    rows = np.array([[0, 2, 60, 80], [0, 2, 64, 80], [7, 9, 60, 80], [8, 10, 62, 80], [15, 16, 65, 80]])
    written = pop2piano_rows(rows, np.array([0, 4, 8]))
    assert len(written) == 3 and written[2].tolist() == [1]  # a ninth beat begins a segment without notes
    padded = np.zeros((3, 30), dtype=np.int64)
    for i, row in enumerate(written):
        padded[i, : len(row)] = row
    assert decode(padded).tolist() == [[0, 0, 2, 60], [0, 0, 2, 64], [0, 7, 9, 60], [1, 8, 10, 62], [1, 15, 16, 65]]


def test_the_tune_is_on_top_and_sung():
    beats = np.arange(4) * 1.0
    notes = [(0.0, 1.0, 48), (0.0, 1.0, 76), (1.0, 2.0, 60), (1.0, 2.0, 64), (2.0, 3.0, 67), (3.0, 4.0, 67)]
    grid = on_grid(np.array([(*note, 80) for note in notes]), beats)
    melody = np.array([[0.0, 0.9, 64.0], [0.95, 2.0, 60.2], [2.0, 3.0, 55.0]])  # sung an octave lower than played
    # E on top of C; C under E is no tune; G as sung; nobody sings at 3 s
    assert is_tune(grid, beats, melody).tolist() == [False, True, False, False, True, False]
    assert not is_tune(grid, beats, melody[:0]).any() and len(is_tune(grid[:0], beats, melody)) == 0


def test_parts_are_runs_of_whole_bars_that_fit():
    positions = np.array([3, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1])  # a pick-up, three bars of three, one that breaks off
    fits = np.ones(12, dtype=bool)
    assert parts_of(fits, positions, least=1) == [(1, 12)]
    fits[5] = False
    assert parts_of(fits, positions, least=1) == [(1, 4), (7, 12)]
    assert parts_of(fits, positions, least=2) == [(7, 12)]
    assert parts_of(fits, np.ones(12, dtype=int), least=1) == [] and parts_of(~fits, positions, least=1) == []


def test_pieces_hold_what_is_heard_beside_what_is_played(tmp_path):
    notes = music()
    names = save_pieces(
        tmp_path,
        "train",
        "cover",
        [(0, 16), (24, 64)],
        heard=heard(notes),
        analysis=analysis(notes),
        cover=notes,
        meta={"composer": "me"},
    )
    assert names == ["cover-1", "cover-2"]
    first, second = open_pieces(tmp_path / "train")
    assert first.rows.tolist() == [0, 4, 8, 12] and len(second.rows) == BARS - 6 and second.lead
    assert first.chords.shape == (16, 14) and second.cells.shape == (4, 16 * (40 + 9), 88)
    at = 24 * 4  # notes of the first beat of the second piece: four, of which the top one is the tune
    pitches = notes.pitch[at : at + 4].tolist()
    assert second.notes[:4].tolist() == [[0, 0, pitches[3], 4], *([0, 2, pitch, 4] for pitch in pitches[:3])]
    for pitch in pitches:  # heard where it is written: around the first cell of beat 0, after a beat of room
        assert second.cells[0, 15:18, pitch - 21].max() > 200
    with np.load(tmp_path / "labels" / "train" / "cover-2.npz") as labels:
        np.testing.assert_array_equal(labels["beats"], BEATS[24:])
        assert labels["melody_q"][0].tolist() == [0, 0, 4, pitches[3], 80] and len(labels["bridge_q"]) == 0
        assert len(labels["melody_q"]) + len(labels["piano_q"]) == 160
        assert labels["half_beats"][:4, [0, 1]].tolist() == [[0, 2]] * 4
        assert json.loads(str(labels["meta"])) == {"composer": "me", "part": 2, "first_beat": 24}


def test_the_trainer_of_token_covers_takes_the_labels(tmp_path):
    token_windows = pytest.importorskip("spartito.training.data.token_windows")
    notes = music()
    fields = {"heard": heard(notes), "analysis": analysis(notes), "cover": notes, "meta": {}}
    save_pieces(tmp_path, "train", "cover", [(0, 64)], **fields)
    assert token_windows.prepare_hands(tmp_path / "labels", tmp_path, splits=["train"], report=print) == 1
    assert len(table_of(notes)) == 256
