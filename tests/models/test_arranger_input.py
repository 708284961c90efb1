"""The grid of beats by hand: cells, segments, chords."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.analysis.beats import Beats, beats_from_times
from spartito.errors import ParameterError
from spartito.models import arranger_input
from spartito.models.arranger_input import SILENCE, Heard, beat_cells, beat_frames, chord_vectors, listen, segments_of

FPS = 62.5


def beats_in(positions, *, period: float = 0.512) -> Beats:
    """Beats every 0.512 s: a cell of a sixteenth of a beat is two frames."""
    return Beats(period * np.arange(len(positions)), np.arange(len(positions)), np.array(positions), ((0, 4, 4),))


def heard(seconds: float) -> Heard:
    return Heard(np.zeros((4, round(seconds * FPS), 88), dtype=np.float16), FPS)


def test_an_onset_falls_into_the_cell_of_its_time():
    curves = heard(8.192)
    curves.values[0, 32 * 3 + 8, 40] = 0.75  # beat 3 and a quarter of a beat: 8 frames are 4 cells
    curves.values[1, 32 * 3 + 8, 40] = 0.5
    cells = beat_cells(curves, beats_in([0, 1, 2, 3] * 4).times)
    assert cells.shape == (4, 16 * (16 + 9), 88)
    assert np.argwhere(cells[0] > 0).tolist() == [[16 * (3 + 1) + 4, 40]]
    assert cells[0].max() == 0.75  # the largest of the two frames
    assert cells[1].max() == 0.25  # their mean


def test_cells_shorter_than_a_frame_take_the_next_frame():
    curves = heard(2.0)
    curves.values[0, 50] = 1.0
    cells = beat_cells(curves, 0.064 * np.arange(20))  # 4 ms per cell, 16 per beat: four cells a frame
    assert (cells[0, :, 0] == 1.0).sum() == 4


def test_outside_the_recording_there_is_silence():
    curves = heard(8.192)
    curves.values[:] = 1.0
    cells = beat_cells(curves, beats_in([0, 1, 2, 3] * 4).times)
    for channel, value in enumerate(SILENCE):
        assert (cells[channel, :16] == value).all()  # a beat before the first
        assert (cells[channel, 16 : 16 * 17] == 1.0).all()
        assert (cells[channel, 16 * 17 :] == value).all()


def test_a_segment_has_its_pre_roll_and_is_silent_beyond_its_bars():
    beats = beats_in([0, 1, 2] * 4)
    curves = heard(12 * 0.512)
    curves.values[:] = 0.5
    rows, spans = segments_of(beats)
    assert rows.tolist() == [0, 3, 6, 9] and spans.tolist() == [6, 6, 6, 3]
    frames = beat_frames(curves, beats)
    assert frames.shape == (4, 4, 132, 88) and frames.dtype == np.float32
    assert (frames[0, 0, :4] == 0).all() and (frames[0, 0, 4:100] == 0.5).all() and (frames[0, 0, 100:] == 0).all()
    assert (frames[1, 0, :100] == 0.5).all()
    np.testing.assert_array_equal(frames[1, 3, 100:], np.full((32, 88), SILENCE[3]))


@pytest.mark.parametrize(
    ("positions", "spans"),
    [
        ([0, 1, 2, 3] * 3, [8, 8, 4]),
        ([3] + [0, 1, 2, 3] * 2, [8, 4]),
        ([0, 1] * 5, [8, 8, 6, 4, 2]),
        ([0, 1, 2, 3, 0, 1, 2, 0, 1, 2, 3], [7, 7, 4]),
        ([0, 1, 2, 3, 4, 5] * 2, [6, 6]),
        (list(range(12)) * 2, [8, 8]),
    ],
)
def test_segments_hold_whole_bars(positions, spans):
    assert segments_of(beats_in(positions))[1].tolist() == spans


def test_one_beat_is_no_grid():
    with pytest.raises(ParameterError, match="two beats"):
        beat_cells(heard(1.0), np.array([0.5]))


TABLE = np.array([[9, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0], [-1] + 12 * [0] + [-1]])  # A minor over C, no chord


def test_chords_are_root_classes_and_bass():
    vectors = chord_vectors(TABLE, np.array([0]))
    assert vectors.shape == (1, 8, 36)
    assert np.flatnonzero(vectors[0, 0]).tolist() == [9, 12, 16, 21, 24]
    assert not vectors[0, 1:].any()  # no chord, and beyond the end


def test_compat_chords_have_the_bits_of_the_original():
    vectors = chord_vectors(TABLE, np.array([0]), compat=True)
    assert np.flatnonzero(vectors[0, 0]).tolist() == [9, 12, 16, 21, 24]
    assert np.flatnonzero(vectors[0, 1]).tolist() == [34, 35]
    assert np.flatnonzero(vectors[0, 2]).tolist() == [0, 24]


def test_chords_beyond_the_bars_do_not_count():
    table = np.repeat(TABLE[:1], 8, axis=0)
    assert chord_vectors(table, np.array([0]), np.array([6]))[0].any(axis=1).tolist() == [True] * 6 + [False] * 2


class Stub:
    """A transcriber whose network says how loud each frame is at key 48, middle A."""

    from spartito.audio.features import front_end

    transform, margin = front_end("default"), 4

    def network(self, inputs):
        spectrum = inputs["spectrum"]
        assert spectrum.shape[1] % 2 == 0
        logits = np.zeros((1, 4, spectrum.shape[1], 88), dtype=np.float32)
        logits[0, 0] = -20.0
        logits[0, 0, :, 48] = spectrum[0, :, arranger_input.bin_of_pitch(69).astype(int)] + 4
        return [logits, np.zeros((1, spectrum.shape[1]))]


def test_listening_gives_the_clock_of_the_recording_whatever_its_tuning():
    t = np.arange(3 * 16_000) / 16_000
    for cents in (0.0, 40.0):
        tone = 0.1 * np.sin(2 * np.pi * 440 * 2 ** (cents / 1200) * t) * (t >= 1.5)
        found = listen(tone.astype(np.float32), transcriber=Stub(), tuning=cents)
        assert found.values.dtype == np.float16 and found.values.shape[0] == 4
        assert found.values.shape[1] / found.fps == pytest.approx(3.0, abs=0.03)
        begins = np.argmax(found.values[0, :, 48] > 0.5) / found.fps
        assert begins == pytest.approx(1.5, abs=0.05)
        assert found.values[3, -20, 48] == found.values[3, -20].max()  # the level of its own key


def test_beats_of_another_maker_are_taken():
    beats = beats_from_times(0.5 * np.arange(8), np.arange(8) % 4, numerator=4, denominator=4)
    assert beat_frames(heard(4.0), beats).shape == (2, 4, 132, 88)
