"""Performances without a grid become pieces on the grid of their tracked beats."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from jazz import swung
from spartito.errors import NotesError
from spartito.notes.midi import write_midi
from spartito.notes.notes import Notes
from spartito.training.data.genre_store import genre_split, open_store
from spartito.training.data.pijama import LEAST, MOST, list_performances, pijama_piece, steady_regions, write_pijama
from spartito.training.jazz_beats import JazzBeats


def beats_of(count: int, **columns) -> JazzBeats:
    """Good beats, the first a downbeat, but for the columns given."""
    good = {
        "times": 0.5 * np.arange(count),
        "positions": np.arange(count) % 4,
        "fit": np.full(count, 0.8),
        "even": np.full(count, 0.01),
        "sure": np.full(count, 0.8),
        "four": 10.0,
    }
    return JazzBeats(**{**good, **columns})


def test_regions_are_bars_that_can_be_trusted():
    assert steady_regions(beats_of(4 * 20 + 1)).tolist() == [[0, 20 * 16]]
    fit = np.full(4 * 20 + 1, 0.8)
    fit[4 * 10 + 2] = 0.0  # a beat of bar 10 breaks the stretch: ten bars before, nine after
    assert steady_regions(beats_of(len(fit), fit=fit)).tolist() == [[0, 160], [176, 320]]
    fit[4 * (LEAST - 1)] = 0.0  # what is left before it is too short
    assert steady_regions(beats_of(len(fit), fit=fit)).tolist() == [[176, 320]]


def test_a_bar_of_five_beats_ends_a_stretch():
    positions = np.concatenate([np.arange(40) % 4, [0, 1, 2, 3, 3], np.arange(41) % 4])
    assert steady_regions(beats_of(len(positions), positions=positions)).tolist() == [[0, 160], [180, 340]]


def test_long_performances_are_cut():
    regions = steady_regions(beats_of(4 * 300 + 1))
    assert regions.tolist() == [[0, 16 * MOST]]


@pytest.mark.parametrize("column", [{"four": 0.0}, {"times": 0.2 * np.arange(81)}])
def test_threes_and_halved_beats_are_refused(column):
    assert not len(steady_regions(beats_of(81, **column)))


def test_a_swung_performance_lies_on_the_grid():
    notes, _ = swung()
    piece = pijama_piece(notes, name="a", work="a")
    inside = np.zeros(len(piece.notes), dtype=bool)
    for first, last in piece.regions:
        inside |= (piece.notes[:, 0] >= first) & (piece.notes[:, 0] < last)
    steps = piece.notes[inside]
    share = np.bincount(steps[:, 0] % 4, minlength=4) / len(steps)
    assert share[3] > 0.2 and share[1] + share[2] < 0.05  # two thirds of a beat: step 3
    bass = steps[steps[:, 2] < 48]
    assert np.mean(bass[:, 0] % 8 == 0) > 0.97  # one and three
    assert piece.tempo == pytest.approx(140, abs=2)


def test_a_few_notes_are_passed_over():
    assert pijama_piece(Notes.from_arrays([0.0, 1.0], [0.5, 1.5], [60, 62]), name="a", work="a") is None


def pijama_folder(tmp_path):
    """Two albums; one tune twice by one player, and a recording that was not understood."""
    titles = [("One", "Tune A"), ("One", "Tune B - Live"), ("Two", "Tune A"), ("Two", "Noise")]
    notes, _ = swung()
    rows = []
    for number, (album, title) in enumerate(titles):
        path = f"studio/Player/{album}/{title}.midi"
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        write_midi(notes, tmp_path / path)
        rows.append(
            {
                "id": number,
                "artist": "Player",
                "album": album,
                "title": title,
                "midi_filepath": f"data/midi/{path}",
                "performance_start_sec": 0,
                "performance_end_sec": 1000,
                "agreement": 0.3 if title == "Noise" else 0.9,
            }
        )
    rows.append({**rows[0], "title": "Absent", "midi_filepath": "data/midi/studio/Player/One/Absent.midi"})
    with (tmp_path / "pijama.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return tmp_path


def test_a_player_gives_each_work_once(tmp_path):
    rows = list_performances(pijama_folder(tmp_path))
    assert sorted(row["work"] for row in rows) == ["tunea", "tuneb"]


def test_a_store_is_written(tmp_path):
    folder = pijama_folder(tmp_path)
    counts = write_pijama(folder, tmp_path / "store")
    assert sum(counts.values()) == 2
    split = genre_split("tunea")
    assert "tunea" in open_store(tmp_path / "store", "jazz", split).works.tolist()


def test_a_wrong_folder_is_refused(tmp_path):
    with pytest.raises(NotesError, match=r"pijama\.csv"):
        list_performances(tmp_path)
