"""Folders of pieces: who is paired with whom, and what is averaged."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spartito.analysis.beats import Beats, with_beats
from spartito.audio.audio import Audio
from spartito.audio.io import save_audio
from spartito.errors import NotesError, ParameterError
from spartito.evaluation.folders import evaluate_folders
from spartito.notes.midi import write_midi
from spartito.notes.notes import Notes

pytest.importorskip("mir_eval")


def write_tsv(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["# onset,offset,note,velocity", *("\t".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


def test_folders_pair_by_name_and_average_pieces(tmp_path):
    reference, estimate = tmp_path / "reference", tmp_path / "estimate"
    write_tsv(reference / "a.tsv", (1.0, 1.5, 60, 64), (2.0, 2.5, 62, 64))
    write_tsv(reference / "year" / "b.tsv", (1.0, 1.5, 60, 64))
    write_tsv(reference / "c.tsv", (1.0, 1.5, 60, 64))
    write_tsv(estimate / "a_transcription.tsv", (1.0, 1.5, 60, 64), (2.0, 2.5, 62, 64))
    write_tsv(estimate / "b_basic_pitch.tsv", (4.0, 4.5, 60, 64))
    write_tsv(estimate / "d.tsv", (4.0, 4.5, 60, 64))
    report = evaluate_folders(reference, estimate)
    assert set(report["pieces"]) == {"a", "b"}
    assert report["pieces"]["a"]["note_f1"] == 1.0 and report["pieces"]["b"]["note_f1"] == 0.0
    assert report["mean"]["note_f1"] == 0.5
    assert 0.4 < report["mean"]["frame_accuracy_pooled"] < 0.6
    assert report["missing_estimates"] == ["c"] and report["missing_references"] == ["d"]


def test_folders_without_a_common_piece_are_refused(tmp_path):
    write_tsv(tmp_path / "reference" / "a.tsv", (1.0, 1.5, 60, 64))
    write_tsv(tmp_path / "estimate" / "b.tsv", (1.0, 1.5, 60, 64))
    with pytest.raises(NotesError, match="no piece is in both"):
        evaluate_folders(tmp_path / "reference", tmp_path / "estimate")
    with pytest.raises(NotesError, match="not a folder"):
        evaluate_folders(tmp_path / "nowhere", tmp_path / "estimate")


def test_two_pieces_of_one_name_are_refused(tmp_path):
    for year in ("2004", "2006"):
        write_tsv(tmp_path / "reference" / year / "a.tsv", (1.0, 1.5, 60, 64))
    write_tsv(tmp_path / "estimate" / "a.tsv", (1.0, 1.5, 60, 64))
    with pytest.raises(NotesError, match="both named a"):
        evaluate_folders(tmp_path / "reference", tmp_path / "estimate")


# -- covers ---------------------------------------------------------------------------------------------------


def cover(*pitches):
    """A melody of half seconds from second 1 on, its bars on whole beats."""
    onset = 1.0 + 0.5 * np.arange(len(pitches))
    place = np.arange(len(pitches) + 1)
    notes = Notes.from_arrays(onset, onset + 0.5, pitches, 80)
    return with_beats(notes, Beats(1.0 + 0.5 * place, place, place % 4))


def test_covers_with_what_is_known_of_each(tmp_path):
    for folder in ("human", "made", "beats", "voices", "songs"):
        (tmp_path / folder).mkdir()
    tune = [60, 62, 64, 65, 67, 69, 71, 72]
    for name in ("one", "two"):
        write_midi(cover(*tune), tmp_path / "human" / f"{name}.mid")
    write_midi(cover(*tune), tmp_path / "made" / "one_cover.mid")
    write_midi(cover(*tune[::-1]), tmp_path / "made" / "two_cover.mid")
    (tmp_path / "beats" / "one.beats").write_text("".join(f"{1 + i / 2} {1 + i % 4}\n" for i in range(9)))
    sung = "".join(f"{1.1 + i / 100:.2f},{262 * (i < 30)}\n" for i in range(100))  # a C, until 1.4 s
    (tmp_path / "voices" / "two_pitch.csv").write_text(sung)
    t = np.arange(5 * 16_000) / 16_000
    save_audio(Audio((0.1 * np.sin(2 * np.pi * 262 * t)).astype(np.float32), 16_000), tmp_path / "songs" / "one.wav")
    report = evaluate_folders(
        tmp_path / "human",
        tmp_path / "made",
        task="cover",
        analysis=tmp_path / "beats",
        pitch=tmp_path / "voices",
        recording=tmp_path / "songs",
    )
    one, two = report["pieces"]["one"], report["pieces"]["two"]
    assert one["onset_f1"] == 1.0 and report["mean"]["onset_f1"] == (1.0 + two["onset_f1"]) / 2
    assert "cover_distance" in one and "cover_distance" not in two
    assert two["melody_chroma_accuracy"] == two["melody_chroma_accuracy_human"] == 1.0  # both begin with a C
    assert "melody_chroma_accuracy" not in one and report["mean"]["melody_pitch_accuracy"] == 0.0  # an octave up
    json.dumps(report)


def test_a_cover_without_beats_is_named(tmp_path):
    for folder in ("human", "made"):
        (tmp_path / folder).mkdir()
        write_midi(cover(60, 62, 64, 65), tmp_path / folder / "good.mid")
        free = Notes.from_arrays(1.3 * np.sqrt(np.arange(1, 40)), 9.0, 60)
        write_midi(free, tmp_path / folder / "free.mid")
    report = evaluate_folders(tmp_path / "human", tmp_path / "made", task="cover")
    assert set(report["pieces"]) == {"good"} and "beats" in report["unreadable"]["free"]


def test_what_is_known_of_many_pieces_lies_in_a_folder(tmp_path):
    write_tsv(tmp_path / "a" / "x.tsv", (1.0, 1.5, 60, 64))
    (tmp_path / "x.lab").write_text("0 1 C:maj\n")
    with pytest.raises(ParameterError, match="chords is a folder"):
        evaluate_folders(tmp_path / "a", tmp_path / "a", task="cover", chords=tmp_path / "x.lab")
