"""The habits of the published program, each on a case worked out by hand from the specification (a2s, 1)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from songs import RATE, FakeArranger, analysis, band
from spartito import cover, read_midi, write_midi
from spartito.analysis.song import Analysis, Chord, beats_of
from spartito.audio.audio import Audio
from spartito.cover_compat import (
    analysis_of_table,
    compat_limits,
    compat_notes,
    pedal_moves,
    read_table,
    song_table,
)
from spartito.cover_grid import Placed, place
from spartito.errors import NotesError, ParameterError
from spartito.models import arranger_input
from spartito.models.arranger_input import chord_vectors


def table_of(bars, *, pick_up: int = 0, beat: float = 0.5, first: float = 0.5) -> np.ndarray:
    """The table of a song with bars of so many beats; the file ends a beat after the last one."""
    positions = np.concatenate([np.arange(4 - pick_up, 4), *(np.arange(n) for n in bars)]).astype(int)
    times = first + beat * np.arange(len(positions))
    return song_table(Analysis(times[-1] + beat, beats_of(times, positions)))


# -- the table ----------------------------------------------------------------------------------------------


def test_a_row_before_and_one_after_and_the_end_counts_as_a_beat():
    table = table_of([4, 4], pick_up=1)
    assert table.shape == (11, 17)
    assert table[[0, 1, -1], 0].tolist() == [0.0, 0.5, 5.0]
    assert np.flatnonzero(table[:, 1]).tolist() == [2, 6]
    assert table[[2, 6], 2].tolist() == [4, 5]  # the last, complete bar seems to have five
    assert (np.delete(table[:, 2], [2, 6]) == 0).all()


def test_a_beat_at_zero_is_the_first_row():
    table = table_of([4], first=0.0)
    assert table[:, 0].tolist() == [0.0, 0.5, 1.0, 1.5, 2.0] and table[0, 1] == 1


def test_chords_go_to_the_nearest_beats():
    beats = beats_of([1.0, 2.0, 3.0, 4.0], [0, 1, 2, 3])
    chords = (Chord(0.0, 1.4, "A:min"), Chord(1.4, 2.6, "C:maj/3"), Chord(2.6, 5.0, "N"))
    table = song_table(Analysis(5.0, beats, chords))
    # rounded: A minor 0..1, C 1..3, N 3..5. At 1 s both A minor and C fit; C begins nearer. At 3 s N begins nearer.
    assert table[:, 3].tolist() == [9, 0, 0, -1, -1, -1]
    assert table[1, 4:16].tolist() == [1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0]
    assert table[:, 16].tolist() == [9, 4, 4, 10, 10, 10]  # no chord: (-1 + -1) mod 12


def test_bits_of_no_chord_and_of_what_comes_after_the_end():
    table = song_table(Analysis(3.0, beats_of([1.0, 2.0], [0, 1])))
    vectors = chord_vectors(table[:, 3:].astype(int), np.array([1]), compat=True)[0]
    assert np.flatnonzero(vectors[0]).tolist() == [34, 35]  # bass 10, and root -1 sets the last bit
    assert np.flatnonzero(vectors[3]).tolist() == [0, 24]  # zeros: root C, bass C, no chroma


def test_tables_are_read_back(tmp_path):
    table = table_of([4, 3, 3], pick_up=2)
    np.save(tmp_path / "song.npy", table)
    assert (read_table(tmp_path / "song.npy") == table).all()
    song = analysis_of_table(table)
    assert song.duration == table[-1, 0] and (song.beats.times == table[1:-1, 0]).all()
    assert np.flatnonzero(song.beats.positions == 0).tolist() == [2, 6, 9] and song.engine == "given"
    chords = tuple(Chord(i, i + 1.0, label) for i, label in enumerate(["C:maj7", "A:min", "G:7/b7", "N", "D:sus4"]))
    table = song_table(Analysis(5.0, beats_of([1.0, 2.0, 3.0, 4.0], [0, 1, 2, 3]), chords))
    assert [c.label for c in analysis_of_table(table).chords] == [c.label for c in chords]
    for content in (np.zeros((5, 3)), np.zeros((5, 17)), np.zeros(4)):
        np.save(tmp_path / "other.npy", content)
        with pytest.raises(NotesError):
            read_table(tmp_path / "other.npy")
    (tmp_path / "text.npy").write_text("no array")
    with pytest.raises(NotesError):
        read_table(tmp_path / "text.npy")


# -- which prediction serves which bar ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bars", "plain", "auto"),
    [
        ([4, 4, 4], [4, 4, 5], [8, 0, 5]),  # the last one: its own length, the end of the file included
        ([4, 4, 4, 4], [4, 4, 4, 5], [8, 0, 9, 0]),
        ([3, 3, 3], [3, 3, 4], [3, 3, 4]),
        ([4, 3, 4, 4], [4, 3, 4, 5], [7, 0, 9, 0]),
        ([4, 2, 4], [4, 2, 5], [6, 0, 5]),
        ([2, 4, 4], [2, 4, 5], [2, 9, 0]),
    ],
)
def test_bars_that_predictions_serve(bars, plain, auto):
    assert compat_limits(table_of(bars), auto=False).tolist() == plain
    assert compat_limits(table_of(bars), auto=True).tolist() == auto


def test_ends_may_lie_far_beyond_the_song():
    """The rows after the end are as far apart as the last two."""
    times = np.array([0.5, 1.0, 1.5, 2.0])
    table = song_table(Analysis(5.0, beats_of(times, [0, 1, 2, 3])))  # three seconds from the last beat to the end
    placed = place(np.array([[0, 13, 60, 32], [0, 0, 62, 2]]), np.array([1]), np.array([5]))
    notes, within = compat_notes(placed, table)
    # onset: beat 3.25 of the bar is row 4.25, a quarter into the 3 s; its end, row 12.25, lies 7.25 rows after the end
    assert notes.onset == pytest.approx([0.5, 2.75]) and within.tolist() == [0.0, 3.25]
    assert notes.offset == pytest.approx([0.75, 5.0 + 7.25 * 3.0])


def test_pedal_at_chord_changes():
    chords = (Chord(0.0, 2.0, "C:maj"), Chord(2.0, 5.0, "F:maj"))
    table = song_table(Analysis(5.0, beats_of([1.0, 2.0, 3.0, 4.0], [0, 1, 2, 3]), chords))
    moves = pedal_moves(table)
    assert moves["time"] == pytest.approx([0.0, 0.01, 2.0, 2.01]) and moves["value"].tolist() == [0, 80, 0, 80]
    assert set(moves["number"]) == {64}


# -- the whole way ------------------------------------------------------------------------------------------


def song() -> tuple[Audio, Analysis]:
    return Audio(band(5.0), RATE), analysis(duration=5.0, count=9, first=0.5, pick_up=0)


@pytest.fixture
def deaf(monkeypatch):
    """Without the transcriber, whose opinions the fake arranger does not read."""
    heard = lambda samples, **_: arranger_input.Heard(np.zeros((4, len(samples) // 256, 88)), 62.5)  # noqa: E731
    monkeypatch.setattr(arranger_input, "listen", heard)


def test_the_arrangement_of_compat(tmp_path, deaf):
    audio, known = song()
    arranger = FakeArranger([(4, 70, 4), (20, 50, 2)])
    notes = cover(audio, model=arranger, analysis=known, compat=True)
    assert arranger.calls[0]["compat"] and arranger.calls[0]["melody"] == "omit"
    assert arranger.calls[0]["frames"][0] == 3  # the table has downbeats at 0.5, 2.5 and 4.5 s
    assert notes.onset[notes.pitch < 40] == pytest.approx([0.5, 2.5, 4.5])
    assert (notes.pitch == 70).sum() == 3 and (notes.pitch == 50).sum() == 0  # step 20 is in the next bar
    write_midi(notes, tmp_path / "a.mid")
    clock = read_midi(tmp_path / "a.mid").tempo_map
    assert clock.ticks_per_quarter == 220 and clock.changes.tolist() == [[0, 1e6]]
    assert len(notes.tracks) == 1 and notes.tracks[0].program == 0
    assert notes.tracks[0].controls["value"][:2].tolist() == [0, 80]
    assert 70 <= notes.velocity.min() and notes.velocity.max() <= 91  # 77 to 88, and -6 to +3 by loudness


def test_what_an_original_model_hears():
    """Mel spectrograms of the stretched accompaniment, one for each downbeat, and the chords of eight beats."""
    pytest.importorskip("torch")
    audio, known = song()
    arranger = FakeArranger(conditions=0)
    arranger.input = "mel"
    assert len(cover(audio, model=arranger, analysis=known, compat=True)) == 3
    assert arranger.calls[0]["frames"] == (3, 229, 153) and arranger.calls[0]["chords"] == (3, 8, 36)


def test_stored_tables_and_two_models(tmp_path, deaf):
    audio, known = song()
    np.save(
        tmp_path / "song.npy", song_table(replace(known, beats=beats_of(0.5 + 0.5 * np.arange(8), np.arange(8) % 4)))
    )
    again, first = FakeArranger([(20, 50, 2)]), FakeArranger([(20, 51, 2)])
    notes = cover(audio, model=(again, first), analysis=tmp_path / "song.npy", compat=True)
    # two bars of the first prediction, which comes from the first model; the second prediction is passed over
    assert sorted(notes.pitch[notes.pitch > 45].tolist()) == [51]
    assert notes.onset[notes.pitch == 51] == pytest.approx([0.5 + 5 * 0.5])
    assert len(again.calls) == len(first.calls) == 1


def test_what_compat_does_not_have():
    audio, known = song()
    for options in ({"difficulty": 2}, {"density": 0.5}, {"hop": 2}, {"transpose": 3}):
        with pytest.raises(ParameterError, match="compat"):
            cover(audio, model=FakeArranger(), analysis=known, compat=True, **options)
    with pytest.raises(ParameterError, match="compat"):
        cover(audio, model="chords", analysis=known, compat=True)


def test_placed_counts_in_beats_of_the_table():
    placed = Placed(np.array([1.0]), np.array([1.5]), np.array([60]), np.array([0.0]))
    notes, _ = compat_notes(placed, table_of([4]))
    assert notes.onset == pytest.approx([0.5]) and notes.offset == pytest.approx([0.75])
