"""ASAP's tables, by hand."""

from __future__ import annotations

import pytest

from spartito.errors import NotesError
from spartito.training.data.asap import asap_rows, asap_work, read_asap_beats
from spartito.training.data.splits import tenth_of


def test_beats_downbeats_metres_and_keys(tmp_path):
    table = tmp_path / "a_annotations.txt"
    table.write_text("0.5\t0.5\tb\n1.0\t1.0\tdb,3/4,-2\n1.5\t1.5\tb\n2.0\t2.0\tdb,,5\n2.5\t2.5\tdb,2/4\n")
    said = read_asap_beats(table)
    assert said.beats.tolist() == [0.5, 1.0, 1.5, 2.0, 2.5]
    assert said.downbeats.tolist() == [1.0, 2.0, 2.5]
    assert said.metres == [(1.0, "3/4"), (2.5, "2/4")]
    assert said.keys == [(1.0, -2), (2.0, 5)]


def test_rows_and_works(tmp_path):
    (tmp_path / "metadata.csv").write_text("composer,title,midi_performance\nBach,Fugue,Bach/a.mid\n")
    (row,) = asap_rows(tmp_path)
    assert asap_work(row) == ("Bach/Fugue", tenth_of("Bach/Fugue"))
    with pytest.raises(NotesError, match="ASAP"):
        asap_rows(tmp_path / "elsewhere")
