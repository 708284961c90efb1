"""Measures of a transfer, on phrases small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import ParameterError
from spartito.evaluation.style import (
    chroma_similarity,
    clashes,
    compare,
    content_difference,
    crumbs,
    density_ratio,
    empty,
    genre_profile,
    groove_similarity,
    melody_recall,
    onset_f1,
    out_of_scale,
    pair_profile,
    range_change,
    seams,
    style_fit,
    top_line,
)


def rolls(*rows, steps=16):
    """(1, 2, steps, 84) of rows step, steps held, MIDI pitch."""
    out = np.zeros((1, 2, steps, 84), dtype=np.uint8)
    for step, held, pitch in rows:
        out[0, 0, step, pitch - 24] = 1
        out[0, 1, step : step + held, pitch - 24] = 1
    return out


SILENCE = rolls()
# a bar: C3 held, over it E4 F4 G4 on three beats, the fourth is E4 again
PHRASE = rolls((0, 16, 48), (0, 4, 64), (4, 4, 65), (8, 4, 67), (12, 4, 64))


def test_a_phrase_equals_itself():
    measures = compare(PHRASE, PHRASE)
    one = ("chroma_sim", "melody_recall", "melody_strict", "melody_near", "groove_sim", "onset_f1", "density_ratio")
    assert all(measures[name] == pytest.approx([1.0]) for name in one)
    assert all(
        measures[name] == [0.0]
        for name in ("content_diff", "range_change", "out_of_scale", "empty", "clashes", "crumbs")
    )


def test_silence():
    measures = compare(PHRASE, SILENCE)
    kept = ("chroma_sim", "melody_recall", "melody_strict", "melody_near", "groove_sim", "onset_f1", "density_ratio")
    assert all(measures[name] == [0.0] for name in kept)
    assert measures["empty"] == [1.0] and np.isnan(measures["range_change"]) and np.isnan(measures["out_of_scale"])
    nothing = compare(SILENCE, SILENCE)
    assert nothing.pop("content_diff") == [0.0]
    assert all(np.isnan(value) for value in nothing.values())  # there was nothing to lose


def test_chroma_in_windows_of_two_beats():
    # beats 0 and 1 are C, then D; windows begin at each beat: C C | C D | D D | D
    source = rolls((0, 8, 48), (8, 8, 50))
    # all C, octaves apart: windows C C | C C | C C | C
    estimate = rolls((0, 8, 60), (8, 8, 72))
    assert chroma_similarity(source, estimate) == pytest.approx([(1 + 1 / np.sqrt(2) + 0 + 0) / 4])
    # the last two beats are silent in both: three windows hold anything
    assert chroma_similarity(rolls((0, 8, 48)), rolls((0, 4, 48), (4, 4, 53))) == pytest.approx(
        [(1 / np.sqrt(2) + 0) / 2]
    )


def test_the_top_line():
    line = rolls((0, 8, 72), (2, 2, 60), (8, 2, 64), (8, 2, 60), (12, 2, 48))
    step, column = np.nonzero(top_line(line)[0])
    assert list(zip(step, column + 24)) == [(0, 72), (8, 64), (12, 48)]  # the C at 2 lies under a note that sounds


def test_tune_by_pitch_class_and_by_pitch():
    # E F G E: the first kept, the second an octave down, the third a step late, the fourth another note
    estimate = rolls((0, 4, 64), (4, 4, 53), (9, 3, 67), (12, 4, 63))
    assert melody_recall(PHRASE, estimate) == [2 / 4]
    assert melody_recall(PHRASE, estimate, strict=True) == [1 / 4]
    assert melody_recall(PHRASE, estimate, reach=1) == [3 / 4]
    assert melody_recall(PHRASE, rolls((2, 1, 64), (6, 1, 65)), reach=1) == [0.0]
    bass = np.zeros((1, 16, 84), dtype=bool)
    bass[0, 0, 48 - 24] = True
    assert melody_recall(PHRASE, estimate, tune=bass) == [0.0] and melody_recall(PHRASE, PHRASE, tune=bass) == [1.0]


def test_groove():
    halves, late = rolls((0, 4, 60), (8, 4, 60)), rolls((1, 4, 60), (9, 4, 60))
    # 4 1 . . . . . 1 4 1 against 1 4 1 . . . . . 1 4 1: 8 at either onset; squares 17 + 18 and 18 + 18
    assert groove_similarity(halves, late) == pytest.approx([16 / np.sqrt(35 * 36)])
    assert groove_similarity(halves, rolls((0, 1, 30), (8, 1, 99))) == pytest.approx([1.0])
    two = rolls((0, 4, 60), (16, 4, 60), steps=32)
    # of bar two nothing is left but what its downbeat's neighbours see of bar one: nothing
    assert groove_similarity(two, rolls((0, 4, 60), steps=32)) == pytest.approx([(np.sqrt(17 / 18) + 0) / 2])


def test_onsets_and_cells():
    # of five onsets two are kept, one of three is new; repeated notes count by onset, not by cell
    estimate = rolls((0, 16, 48), (0, 4, 64), (4, 4, 66))
    assert onset_f1(PHRASE, estimate) == pytest.approx([2 * 2 / (5 + 3)])
    # lost cells: F, G and E of four steps; new: F sharp of four
    assert content_difference(PHRASE, estimate) == pytest.approx([16 / (16 * 84)])
    assert density_ratio(PHRASE, estimate) == [3 / 5]
    struck_again = rolls((0, 16, 48), (8, 8, 48))
    assert content_difference(rolls((0, 16, 48)), struck_again) == [0.0]
    assert density_ratio(rolls((0, 16, 48)), struck_again) == [2.0]


def test_range_and_scale():
    assert range_change(PHRASE, rolls((0, 4, 36), (4, 4, 76))) == [40 - 19]
    # C E F G are in C major and F major; the first wins. B flat is outside, A inside; chords outside count by onset
    estimate = rolls((0, 4, 48), (4, 8, 70), (8, 4, 69), (12, 1, 61))
    assert out_of_scale(PHRASE, estimate) == [2 / 4]


def test_empty_is_counted_where_there_was_something():
    source = np.concatenate([PHRASE, PHRASE, SILENCE])
    estimate = np.concatenate([SILENCE, PHRASE, PHRASE])
    assert np.nanmean(empty(source, estimate)) == 0.5 and np.isnan(empty(source, estimate)[2])


def test_clashes_and_crumbs():
    # C held; against it C sharp and, a ninth up, C sharp; B makes a seventh; later D alone
    phrase = rolls((0, 8, 60), (2, 2, 61), (4, 1, 73), (6, 1, 71), (8, 4, 62))
    assert clashes(phrase) == [2 / 5]  # the C was struck before them
    assert clashes(rolls((0, 4, 60), (0, 4, 61))) == [1.0]  # both at once
    # of one step and alone: C sharp at 4, B at 6; the last step of a phrase ends with it
    assert crumbs(phrase) == [2 / 5]
    assert crumbs(rolls((0, 1, 60), (0, 1, 64), (2, 1, 60), (3, 2, 60))) == [1 / 4]
    assert np.isnan(clashes(SILENCE)) and np.isnan(crumbs(SILENCE))


# -- pairs ----------------------------------------------------------------------------------------------------


def test_pairs_of_notes():
    # C and E together, G a beat later: C-E up, E-C down, C-G and E-G after four steps
    profile = pair_profile(rolls((0, 4, 60), (0, 4, 64), (4, 4, 67)))[0]
    found = {(int(lag), int(interval) - 20): profile[lag, interval] for lag, interval in zip(*np.nonzero(profile))}
    assert found == {(0, 4): 0.25, (0, -4): 0.25, (4, 7): 0.25, (4, 3): 0.25}


def test_pairs_that_are_too_far_apart():
    assert not pair_profile(rolls((0, 1, 60), (8, 1, 60))).any()  # two beats
    assert not pair_profile(rolls((0, 1, 60), (2, 1, 81))).any()  # 21 semitones
    assert pair_profile(rolls((0, 1, 60), (7, 1, 80)))[0, 7, 40] == 1.0


def test_pairs_do_not_depend_on_the_phrases_beside(monkeypatch):
    monkeypatch.setattr("spartito.evaluation.style.CHUNK", 2)
    rng = np.random.default_rng(0)
    many = (rng.random((5, 2, 16, 84)) < 0.03).astype(np.uint8)
    together = pair_profile(many)
    assert np.allclose(together, np.concatenate([pair_profile(one[None]) for one in many]))


def test_style_fit_goes_from_one_genre_to_the_other():
    fourths = rolls((0, 2, 60), (2, 2, 65), (4, 2, 70))
    thirds = rolls((0, 2, 60), (2, 2, 64), (4, 2, 68))
    a, b = genre_profile(np.concatenate([thirds, SILENCE])), genre_profile(fourths)
    assert style_fit(fourths, b, a) == pytest.approx([1.0]) and style_fit(thirds, b, a) == pytest.approx([-1.0])
    both = rolls((0, 2, 60), (2, 2, 65), (4, 2, 70), (0, 2, 36), (2, 2, 40), (4, 2, 44))  # two octaves apart
    assert style_fit(both, b, a) == pytest.approx([0.0])
    assert np.isnan(style_fit(rolls((0, 2, 60)), b, a))
    with pytest.raises(ParameterError, match="two notes"):
        genre_profile(SILENCE)
    assert compare(thirds, fourths, target=b, source=a)["style_fit"] == pytest.approx([1.0])


# -- seams ----------------------------------------------------------------------------------------------------


def test_seams_are_what_the_source_does_not_have():
    # four bars of one note each; the transfer has two notes more in bars three and four, and another pitch there
    even = rolls(*[(16 * bar, 16, 60) for bar in range(4)], steps=64)[0]
    torn = rolls(*[(16 * bar, 16, 60) for bar in range(2)], *[(s, 4, 61) for s in (32, 36, 40, 48, 52, 56)], steps=64)
    found = seams(even, torn[0], hop=32)
    assert found["seam_density"] == pytest.approx(2 / 2)  # from one onset to three, two being the mean
    assert found["seam_chroma"] == pytest.approx(1.0)
    assert seams(torn[0], torn[0], hop=32) == {"seam_density": 0.0, "seam_chroma": 0.0}
    later = np.pad(torn[0], ((0, 0), (4, 0), (0, 0)))  # a beat before the first bar
    same = seams(np.pad(even, ((0, 0), (4, 0), (0, 0))), later, hop=32, first=4)
    assert same == pytest.approx(found)
    assert all(np.isnan(value) for value in seams(even, torn[0], hop=64).values())  # no border inside


def test_shapes_must_agree():
    with pytest.raises(ParameterError, match="one shape"):
        compare(PHRASE, rolls(steps=32))
    with pytest.raises(ParameterError, match="one shape"):
        compare(PHRASE[:, :1], PHRASE[:, :1])
