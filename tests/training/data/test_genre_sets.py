"""ASAP and POP909 as grid pieces, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.notes.midi import write_midi
from spartito.notes.notes import Notes, Track
from spartito.training.data.asap import AsapBeats
from spartito.training.data.genre_sets import (
    asap_bars,
    asap_piece,
    asap_pieces,
    is_ternary,
    pop909_piece,
    pop909_pieces,
    pop909_split,
)
from spartito.training.data.pop909 import PopSong


def said(text: str, *, metres) -> AsapBeats:
    """Beats half a second apart; "|" stands before each downbeat."""
    marks = text.replace("|", "")
    beats = 0.5 * np.arange(len(marks))
    down, number = [], 0
    for letter in text:
        if letter == "|":
            down.append(0.5 * number)
        else:
            number += 1
    return AsapBeats(beats, np.array(down), metres, [])


def test_bars_of_four_beats_after_a_pickup():
    steps, regions = asap_bars(said("b" + "|bbbb" * 5, metres=[(0.5, "4/4")]))
    assert steps.tolist() == list(range(0, 84, 4)) and regions.tolist() == [[4, 84]]


def test_half_notes_are_two_quarters_and_two_four_comes_in_pairs():
    steps, regions = asap_bars(said("|bb" * 4, metres=[(0.0, "2/2")]))
    assert steps.tolist() == list(range(0, 64, 8)) and regions.tolist() == [[0, 64]]
    steps, regions = asap_bars(said("|bb" * 9, metres=[(0.0, "2/4")]))
    assert steps[-1] == 68 and regions.tolist() == [[0, 64]]


def test_other_metres_and_odd_bars_end_a_region_but_keep_their_length():
    # 6/8 in dotted quarters (6 steps each), then 4/4 with a bar of three beats after the fourth
    text = "|bb|bb" + "|bbbb" * 4 + "|bbb" + "|bbbb" * 4
    steps, regions = asap_bars(said(text, metres=[(0.0, "6/8"), (2.0, "4/4")]))
    assert steps[:6].tolist() == [0, 6, 12, 18, 24, 28]
    assert regions.tolist() == [[24, 88], [100, 164]]
    assert len(asap_bars(said("|bbb" * 20, metres=[(0.0, "3/4")]))[1]) == 0


def test_a_performance_lies_on_its_beats():
    told = said("|bbbb" * 4, metres=[(0.0, "4/4")])
    notes = Notes.from_arrays([0.01, 0.26, 0.37], [0.5, 0.3, 1.0], [48, 72, 74], [60, 70, 80])
    piece = asap_piece(notes, told, name="a", work="w")
    assert piece.notes[:, :3].tolist() == [[0, 4, 48], [2, 1, 72], [3, 5, 74]]
    assert piece.place == pytest.approx([0.08, 2.08, 2.96]) and piece.tempo == pytest.approx(120)
    assert piece.regions.tolist() == [[0, 64]]


def test_a_folder_of_asap(tmp_path):
    lines = ["composer,title,midi_score,midi_score_annotations,midi_performance,performance_annotations"]
    for title, player in (
        ("Toccata", "A"),
        ("Toccata", "B"),
        ("Toccata_repeat", "C"),
        ("Air_no_repeat", "D"),
        ("Odd", "E"),
    ):
        lines.append(f"Bach,{title},{title}.mid,{title}.txt,{title}{player}.mid,{title}{player}.txt")
        metre = "3/4" if title == "Odd" else "4/4"
        for stem in (title, title + player):
            write_midi(Notes.from_arrays([0.0, 1.0], [1.0, 2.0], [60, 62]), tmp_path / f"{stem}.mid")
            beats = [(0.5 * i, "db" if i % 4 == 0 else "b") for i in range(16)]
            rows = [f"{t}\t{t}\t{kind}{',' + metre if t == 0 else ''}" for t, kind in beats]
            (tmp_path / f"{stem}.txt").write_text("\n".join(rows) + "\n")
    (tmp_path / "metadata.csv").write_text("\n".join(lines) + "\n")
    played = {piece.name: piece.work for piece in asap_pieces(tmp_path)}
    assert played == {
        "ToccataA": "Bach/Toccata",
        "ToccataB": "Bach/Toccata",
        "Toccata_repeatC": "Bach/Toccata",  # the same work, played with its repeat
        "Air_no_repeatD": "Bach/Air_no_repeat",  # known under this name alone
    }
    assert [piece.name for piece in asap_pieces(tmp_path, scores=True)] == [
        "Toccata",
        "Toccata_repeat",
        "Air_no_repeat",
    ]


def song(melody, piano, *, beats: int = 20, positions=None) -> PopSong:
    positions = np.arange(beats) % 4 if positions is None else positions
    table = [np.array(rows, dtype=float).reshape(-1, 4) for rows in (melody, [], piano)]
    return PopSong(
        "017", *table, 0.5 * np.arange(beats), positions, np.full(beats, 4), ((0.0, 2.0, "C:maj"), (2.0, 4.0, "G")), ()
    )


def test_a_song_of_pop909():
    piece = pop909_piece(song([[0.51, 1.0, 50, 90]], [[-0.1, 0.3, 40, 60], [0.26, 0.5, 80, 60]]))
    # a bar is put in front, since the piano begins before the first beat
    assert piece.notes[:, [0, 1, 2, 4]].tolist() == [[15, 3, 40, 0], [18, 2, 80, 1], [20, 4, 50, 1]]
    assert piece.part.tolist() == [0, 0, 1]  # the tune is in the right hand, however low
    assert piece.regions.tolist() == [[16, 96]] and piece.tempo == pytest.approx(120)
    assert piece.chords == [(16, "C:maj"), (32, "G")]


def test_a_beat_divided_in_three_is_no_quarter_of_four():
    straight = [[0.25 * i, 0.25 * i + 0.2, 60, 80] for i in range(20)]
    sixteenths = [[0.125 * i, 0.125 * i + 0.1, 60, 80] for i in range(20)]
    thirds = [[0.5 * i / 3, 0.5 * i / 3 + 0.1, 60, 80] for i in range(20)]
    assert [is_ternary(song([], rows)) for rows in (straight, sixteenths, thirds)] == [False, False, True]


def test_a_folder_of_pop909(tmp_path):
    for name in ("017", "018", "021"):
        (tmp_path / name).mkdir()
        rows = [(0.5 * i, 0.5 * i + 0.4, 60 + i % 5, 80, i % 2) for i in range(20)]
        tracks = (Track("MELODY"), Track("PIANO"))
        write_midi(
            Notes.from_arrays(*np.array(rows).T[:4], track=[r[4] for r in rows], tracks=tracks),
            tmp_path / name / f"{name}.mid",
        )
        beats = "".join(f"{0.5 * i} {float(i % 2 == 0)} {float(i % 4 == 0)}\n" for i in range(20))
        (tmp_path / name / "beat_midi.txt").write_text(beats)
        (tmp_path / name / "chord_midi.txt").write_text("0.0 10.0 C:maj\n")
        (tmp_path / name / "key_audio.txt").write_text("0.0 10.0 C:maj\n")
    (tmp_path / "021" / "chord_midi.txt").unlink()  # a damaged song costs itself alone
    pieces = list(pop909_pieces(tmp_path))
    assert [(piece.name, piece.work) for piece in pieces] == [("017", "017"), ("018", "017")]  # one song twice
    assert {pop909_split(piece.work) for piece in pieces} == {"test"} and pop909_split("905") == "judge"
    assert pieces[0].regions.tolist() == [[0, 80]] and sorted(set(pieces[0].part.tolist())) == [0, 1]
