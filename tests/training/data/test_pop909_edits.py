import numpy as np
import pytest

from spartito.errors import ParameterError
from spartito.training.data.pop909 import PopSong, bars_of, on_grid
from spartito.training.data.pop909_edits import as_waltz, moved, part, retimed, transposed, without_beats


def four_bars() -> PopSong:
    """Two bars of four and one of two, half a second a beat; a note on every beat, one held through the first bar."""
    beats = np.arange(10) * 0.5
    every = np.column_stack([beats, beats + 0.4, 60 + np.arange(10), np.full(10, 80)])
    held = np.array([[0.0, 1.9, 40, 60]])
    positions, lengths = bars_of(np.array([0, 4, 8]), 10)
    chords = ((0.0, 1.5, "C:maj"), (1.5, 2.0, "G:7"), (2.0, 5.0, "A:min"))
    return PopSong("000", every, np.zeros((0, 4)), held, beats, positions, lengths, chords, ((0.0, 5.0, "C:maj"),))


def test_a_waltz_loses_the_fourth_beat_with_its_notes_and_chords():
    waltz = as_waltz(four_bars())
    assert waltz.positions.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert waltz.bar_lengths.tolist() == [3] * 8
    np.testing.assert_allclose(waltz.beats, np.arange(8) * 0.5)
    assert waltz.melody[:, 2].tolist() == [60, 61, 62, 64, 65, 66, 68, 69]  # 63 and 67 were fourth beats
    np.testing.assert_allclose(waltz.melody[:, 0], np.arange(8) * 0.5)
    assert waltz.piano[0, :2].tolist() == [0.0, 1.5]  # what rang into the cut beat ends at the cut
    assert waltz.chords == ((0.0, 1.5, "C:maj"), (1.5, 4.0, "A:min"))


def test_a_note_a_little_before_a_beat_goes_with_that_beat():
    song = four_bars()
    song.melody[[3, 4], 0] -= 0.03  # before the beat that is cut, and before the downbeat after it
    waltz = as_waltz(song)
    assert 63 not in waltz.melody[:, 2] and 64 in waltz.melody[:, 2]
    assert waltz.melody[waltz.melody[:, 2] == 64, 0] == pytest.approx(1.5 - 0.03)
    assert on_grid(waltz.melody, waltz.beats)[:, 0].tolist() == list(range(8))


def test_cutting_needs_something_left():
    with pytest.raises(ParameterError, match="downbeat"):
        without_beats(four_bars(), four_bars().positions == 1)


def test_in_another_tempo_everything_keeps_its_place():
    song = four_bars()
    slow = retimed(song, 1.0 + 2 * song.beats)
    np.testing.assert_allclose(slow.melody[:, :2], 1.0 + 2 * song.melody[:, :2])
    assert slow.chords[1][:2] == pytest.approx((4.0, 5.0))
    assert (on_grid(slow.melody, slow.beats) == on_grid(song.melody, song.beats)).all()
    with pytest.raises(ParameterError, match="10 beats"):
        retimed(song, song.beats[:-1])


def test_moved_and_transposed():
    song = transposed(moved(four_bars(), 2.0), 3)
    assert song.beats[0] == 2.0 and song.melody[0].tolist() == [2.0, 2.4, 63, 80]
    assert [label for _, _, label in song.chords] in (["Eb:maj", "Bb:7", "C:min"], ["D#:maj", "A#:7", "C:min"])


def test_notes_stay_on_the_keyboard():
    song = four_bars()
    song.piano[0, 2] = 22
    assert transposed(song, -5).piano[0, 2] == 29


def test_a_part_has_the_notes_that_begin_in_it():
    cut = part(four_bars(), 4, 8)
    assert cut.melody[:, 2].tolist() == [64, 65, 66, 67] and len(cut.piano) == 0
    assert cut.positions.tolist() == [0, 1, 2, 3] and cut.chords == ((2.0, 4.0, "A:min"),)
