"""Label rolls of hand-made notes, cell by cell, and the ceilings they allow."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.decoding import decode_jongwook, decode_onsets_frames
from spartito.notes.notes import Notes
from spartito.training.labels import jongwook_labels, magenta_frame_weights, magenta_labels

HOP = 0.032


def notes_of(*rows):
    """Notes from rows of (onset in frames, offset in frames, key index, velocity)."""
    onset, offset, key, velocity = (np.array(column) for column in zip(*rows))
    return Notes.from_arrays(onset * HOP, offset * HOP, key + 21, velocity)


def on(roll, key):
    return np.flatnonzero(roll[:, key]).tolist()


def test_magenta_any_presence_counts_and_onsets_last_two_frames():
    labels = magenta_labels(notes_of((2.5, 6.2, 0, 64), (20.0, 21.0, 5, 128 // 2)), frames=30)
    assert on(labels.frame, 0) == [2, 3, 4, 5, 6]
    assert on(labels.onset, 0) == [2, 3]
    assert on(labels.offset, 0) == [6, 7]


def test_magenta_onset_on_the_grid_is_one_frame():
    for frame in range(1, 400):
        labels = magenta_labels(notes_of((frame, frame + 3, 0, 64), (500, 501, 1, 64)), frames=510)
        assert on(labels.onset, 0) == [frame]
        assert on(labels.frame, 0) == [frame, frame + 1, frame + 2]
        assert on(labels.offset, 0) == [frame + 3]


def test_magenta_shortest_note_fills_one_frame():
    labels = magenta_labels(notes_of((4.1, 4.2, 0, 64), (9, 10, 1, 64)), frames=12)
    assert on(labels.frame, 0) == on(labels.onset, 0) == [4]


def test_magenta_last_offset_stays_inside_the_piece():
    labels = magenta_labels(notes_of((1.5, 5.5, 0, 64)), frames=12)
    assert on(labels.offset, 0) == [4, 5]  # one frame before the end of the piece
    labels = magenta_labels(notes_of((1.5, 5.5, 0, 64)), frames=12, seconds=12 * HOP)
    assert on(labels.offset, 0) == [5, 6]


def test_magenta_velocity_is_relative_to_the_loudest():
    labels = magenta_labels(notes_of((1.5, 5.5, 0, 50), (1.5, 5.5, 7, 100)), frames=12)
    np.testing.assert_allclose(labels.velocity[:4, 0], [0, 0.5, 0.5, 0])
    np.testing.assert_allclose(labels.velocity[1:3, 7], [1, 1])


def test_jongwook_rounds_and_marks_single_frames():
    labels = jongwook_labels(notes_of((2.4, 6.4, 0, 64), (9.6, 12.0, 1, 32)), frames=30)
    assert on(labels.onset, 0) == [2] and on(labels.frame, 0) == [2, 3, 4, 5] and on(labels.offset, 0) == [6]
    assert on(labels.onset, 1) == [10] and on(labels.frame, 1) == [10, 11] and on(labels.offset, 1) == [12]
    np.testing.assert_allclose(labels.velocity[2:7, 0], [0.5, 0.5, 0.5, 0.5, 0])
    assert labels.velocity[10, 1] == 0.25


def test_jongwook_note_that_rounds_to_nothing_erases_its_onset():
    labels = jongwook_labels(notes_of((4.1, 4.3, 0, 64)), frames=12)
    assert on(labels.onset, 0) == [] and on(labels.frame, 0) == [] and on(labels.offset, 0) == [4]


def test_jongwook_repeated_key_without_a_gap():
    labels = jongwook_labels(notes_of((2, 5, 0, 64), (5, 8, 0, 64)), frames=12)
    assert on(labels.onset, 0) == [2, 5] and on(labels.frame, 0) == [2, 3, 4, 5, 6, 7]
    assert on(labels.offset, 0) == [8]  # the new onset overwrites the old offset


@pytest.mark.parametrize("make", [magenta_labels, jongwook_labels])
def test_pedal_keys_outside_the_piano_and_the_crop(make):
    notes = Notes.from_arrays([2 * HOP, 3 * HOP], [4 * HOP, 9 * HOP], [60, 12], 64)
    pedalled = notes.with_pedal([[3 * HOP, 20 * HOP]])
    with pytest.warns(UserWarning, match="1 notes lie outside"):
        labels = make(pedalled, frames=10)
    assert on(labels.frame, 39) == list(range(2, 10))  # cut at the end of the roll
    assert labels.frame.sum() == 8
    assert on(labels.offset, 39) == []


@pytest.mark.parametrize("make", [magenta_labels, jongwook_labels])
def test_no_notes(make):
    labels = make(Notes(), frames=5)
    assert labels.onset.shape == labels.velocity.shape == (5, 88)
    assert not labels.frame.any()


def test_frame_weights_of_2018_fall_from_five():
    weights = magenta_frame_weights(notes_of((2.5, 10.0, 0, 64)), frames=14)
    np.testing.assert_allclose(weights[:12, 0], [1, 1, 5, 5, 5, 5 / 2, 5 / 3, 5 / 4, 1, 5 / 6, 1, 1], rtol=1e-6)
    assert (weights[:, 1:] == 1).all()


def random_notes(seed, n=300):
    """Notes that no same-key successor crowds closer than three frames, at arbitrary times."""
    rng = np.random.default_rng(seed)
    keys = rng.integers(0, 88, n)
    gap = rng.uniform(3, 9, n) * HOP
    length = rng.uniform(2, 40, n) * HOP
    onset = np.zeros(n)
    for key in np.unique(keys):
        mine = keys == key
        onset[mine] = np.cumsum(gap[mine] + length[mine]) - length[mine]
    return Notes.from_arrays(onset, onset + length, keys + 21, rng.integers(1, 128, n))


def test_perfect_labels_decode_to_the_notes():
    notes = random_notes(0)
    frames = int(notes.duration / HOP) + 5
    a, b = magenta_labels(notes, frames=frames), jongwook_labels(notes, frames=frames)
    for decoded, early, late in (
        (decode_onsets_frames(a.onset, a.frame, a.velocity), HOP, 0),
        (decode_onsets_frames(a.onset, a.frame, a.velocity, half_frame_shift=True), HOP / 2, HOP / 2),
        (decode_onsets_frames(b.onset, b.frame, b.velocity), HOP / 2, HOP / 2),
        (decode_jongwook(b.onset, b.frame, b.velocity), HOP / 2, HOP / 2),
    ):
        assert len(decoded) == len(notes)
        ours = np.lexsort((notes.onset, notes.pitch))
        theirs = np.lexsort((decoded.onset, decoded.pitch))
        assert (notes.pitch[ours] == decoded.pitch[theirs]).all()
        error = decoded.onset[theirs] - notes.onset[ours]
        assert -early - 1e-9 <= error.min() and error.max() <= late + 1e-9
    # v / 128 written, int(127 v) read: never louder, at most two steps softer
    loss = notes.velocity[ours] - decoded.velocity[theirs]
    assert loss.min() >= 0 and loss.max() <= 2
