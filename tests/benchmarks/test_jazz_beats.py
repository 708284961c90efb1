"""Tracked jazz beats are measured against the ticks of a file that follows them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jazz import swung
from spartito.errors import NotesError
from spartito.notes.midi import write_midi
from spartito.notes.tempo import TempoMap, TimeSignature


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")


def test_a_swung_file_is_tracked_and_kept(tmp_path, capsys):
    from jazz_beats import main

    notes, _ = swung(bars=40, start=0.0, tempo=150)
    (tmp_path / "jazz").mkdir()
    clock = TempoMap.constant(150, time_signatures=(TimeSignature(0, 4, 4),))
    for name in ("Tune.mid", "Tune again.mid"):  # the same notes again count once
        write_midi(replace(notes, tempo_map=clock), tmp_path / "jazz" / name)
    figures = main([str(tmp_path)])["solo"]
    assert figures["files"] == 1 and figures["double"] == 0
    assert figures["beats F"] > 0.95 and figures["downbeats F"] > 0.95
    assert figures["bars kept"] > 0.7 and figures["beats right"] > 0.95 and figures["downbeats right"] > 0.95
    assert "| solo | 1 |" in capsys.readouterr().out


def test_a_folder_without_jazz_is_refused(tmp_path):
    from jazz_beats import main

    with pytest.raises(NotesError, match="synchronous"):
        main([str(tmp_path)])
