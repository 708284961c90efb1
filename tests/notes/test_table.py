from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import NotesError
from spartito.notes.notes import Notes, Track
from spartito.notes.table import read_csv, write_csv


def test_notes_and_pedal_survive(tmp_path):
    rng = np.random.default_rng(1)
    onset = np.round(np.sort(rng.uniform(0, 4000, 500)), 6)
    notes = Notes.from_arrays(
        onset,
        np.round(onset + rng.uniform(0, 2, 500), 6),
        rng.integers(0, 128, 500),
        rng.integers(1, 128, 500),
        track=rng.integers(0, 2, 500),
        confidence=np.round(rng.uniform(0, 1, 500), 4),
        tracks=(Track(), Track()),
    ).with_pedal([[0.5, 2.25], [3, 7]], track=1)
    write_csv(notes, tmp_path / "a.csv")
    again = read_csv(tmp_path / "a.csv")
    assert np.array_equal(again.array, notes.array)
    assert again.pedal.tolist() == notes.pedal.tolist() and len(again.tracks[1].controls) == 4
    write_csv(again, tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_written_form(tmp_path):
    write_csv(Notes.from_arrays([1.0], [2.5], 60, 80, confidence=0.5).with_pedal([[0.25, 3]]), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == (
        "onset,offset,pitch,velocity,track,confidence,name\n"
        "0.250000,3.000000,,127,0,,pedal\n"
        "1.000000,2.500000,60,80,0,0.5000,note\n"
    )


def test_empty_piece(tmp_path):
    write_csv(Notes(), tmp_path / "a.csv")
    assert len(read_csv(tmp_path / "a.csv")) == 0


@pytest.mark.parametrize(
    "text",
    [
        "# onset,offset,note,velocity\n0.500004\t0.872724\t78.000000\t54.000000\n",  # MAPS
        "onset\toffset\tpitch\tvelocity\r\n0.500004\t0.872724\t78\t54\r\n",
        "pitch;velocity;onset;offset\n78;54;0,500004;0,872724\n",  # a European spreadsheet
        "\ufeffOnset,Offset,Pitch,Velocity,comment\n\n0.500004,0.872724,78,54,loud\n",
    ],
)
def test_other_tables(text, tmp_path):
    (tmp_path / "a.tsv").write_text(text, encoding="utf-8", newline="")
    assert read_csv(tmp_path / "a.tsv").array.tolist() == [(0.500004, 0.872724, 78, 54, 0, 1.0)]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("0,1,60\n0,x,60\n", "line 3: the offset 'x' is not a number"),
        ("0,1,60\n\n0,1\n", "line 4: 2 values"),
        ("1,0,60\n", "line 2: the offset lies before"),
        ("0,1,200\n", "line 2: a pitch"),
        ("0,1,\n", "line 2: a pitch"),
        ("nan,1,60\n", "line 2: onset and offset"),
        ("0,inf,60\n", "line 2: onset and offset"),
    ],
)
def test_bad_rows_are_named(rows, words, tmp_path):
    (tmp_path / "bad.csv").write_text("onset,offset,pitch\n" + rows)
    with pytest.raises(NotesError, match=words):
        read_csv(tmp_path / "bad.csv")


@pytest.mark.parametrize("data", [b"", b"\n\n", b"time,value\n1,2\n", b"\xff\xfe\x00MThd"])
def test_no_table(data, tmp_path):
    (tmp_path / "bad.csv").write_bytes(data)
    with pytest.raises(NotesError, match="bad"):
        read_csv(tmp_path / "bad.csv")
    with pytest.raises(NotesError):
        read_csv(tmp_path / "none.csv")
