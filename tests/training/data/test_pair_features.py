import numpy as np
import pytest

from pair_files import heard, music
from spartito.notes.notes import Notes
from spartito.training.data.pair_features import FADING, FPS, features_of_notes, features_of_sound


def test_a_note_is_its_pitch_class_and_its_overtones():
    notes = Notes.from_arrays([1.0], [2.0], [60], 127)
    found = features_of_notes(notes, duration=3.0)
    assert found.chroma.shape == (188, 13) and len(found) == 188
    frame = found.chroma[round(1.5 * FPS)]
    assert frame[:12].argmax() == 0 and frame[7] > frame[4] > frame[2]  # the fifth, the third, no second
    np.testing.assert_allclose(np.linalg.norm(found.chroma, axis=1), 1.0, atol=1e-5)
    silent = found.chroma[round(0.5 * FPS)]
    assert silent[12] == 1 and not silent[:12].any()
    assert found.sounding() == pytest.approx((1.0, 2.0), abs=1.5 / FPS)


def test_an_onset_fades():
    onsets = features_of_notes(Notes.from_arrays([1.0], [2.0], [62], 100), duration=3.0).onsets
    first = round(1.0 * FPS)
    assert not onsets[:first].any() and onsets[first, 2] == 1.0
    assert 0 < onsets[first + 5, 2] < onsets[first + 1, 2] < 1
    assert not onsets[first + round(FADING * FPS) :].any() and not np.delete(onsets, 2, axis=1).any()


def test_an_onset_is_as_loud_as_the_loudest_around_it():
    notes = Notes.from_arrays([1.0, 1.5, 9.0], [1.2, 1.7, 9.2], [60, 62, 64], [100, 25, 25])
    onsets = features_of_notes(notes, duration=10.0).onsets
    assert onsets[round(1.5 * FPS), 2] == pytest.approx(0.5, abs=0.01)  # the root of a quarter of the velocity
    assert onsets[round(9.0 * FPS), 4] == pytest.approx(1.0)


def test_transposed_notes_have_transposed_features():
    low, high = (features_of_notes(Notes.from_arrays([0.5, 1.0], [1.0, 2.0], [60 + n, 64 + n], 80)) for n in (0, 5))
    for name in ("chroma", "onsets", "classes"):
        np.testing.assert_allclose(getattr(low.transposed(5), name), getattr(high, name), atol=1e-6)


def test_sound_and_notes_of_one_music_are_alike():
    notes = music()
    ours, theirs = features_of_sound(heard(notes)), features_of_notes(notes, duration=34.0)
    assert len(ours) == len(theirs)
    at = np.rint((notes.onset[::4] + 0.2) * FPS).astype(int)
    assert (np.einsum("ij,ij->i", ours.chroma[at], theirs.chroma[at]) > 0.7).all()
    np.testing.assert_allclose(ours.onsets, theirs.onsets, atol=1e-3)


def test_sound_on_another_clock_is_brought_to_ours():
    notes = Notes.from_arrays([1.0], [2.0], [60], 80)
    slow = heard(notes, 3.0)
    found = features_of_sound(type(slow)(slow.values, slow.fps / 2))  # the same frames, half as many a second
    assert len(found) == 2 * slow.values.shape[1]
    assert found.sounding() == pytest.approx((2.0, 4.0), abs=3 / FPS)


def test_coarse_frames_are_means_without_onsets():
    fine = features_of_notes(music(), duration=10.0)
    coarse = fine.coarse(16)
    assert len(coarse) == -(-len(fine) // 16) and coarse.fps == FPS / 16 and not coarse.onsets.any()
    np.testing.assert_allclose(coarse.classes[1], fine.classes[16:32].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(coarse.classes[-1], fine.classes[16 * (len(coarse) - 1) :].mean(axis=0), rtol=1e-5)


def test_silence_is_no_error():
    for found in (features_of_notes(Notes()), features_of_sound(heard(Notes(), 2.0))):
        assert found.sounding() == (0.0, 0.0) and (found.chroma[:, 12] == 1).all() and not found.onsets.any()
        assert np.isfinite(found.statistics(span=4.0, factor=32).chroma).all()
