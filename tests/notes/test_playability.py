"""Playability: each figure from a case worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spartito.analysis.beats import beats_from_times
from spartito.notes.notes import Notes, Track
from spartito.notes.playability import hand_strokes, playability

HANDS = (Track(name="right hand"), Track(name="left hand"))


def piano(right=(), left=()):
    """Chords of each hand: (seconds, pitches)."""
    rows = [(t, p, hand) for hand, chords in enumerate((right, left)) for t, keys in chords for p in keys]
    onset, pitch, track = (np.array(column) for column in zip(*rows))
    return Notes.from_arrays(onset, onset + 0.2, pitch, 64, track=track, tracks=HANDS)


def test_strokes_by_hand():
    # a third, then an octave chord ending 17 above the lowest key of the third, then its top key again
    onset = np.array([0.0, 0.0, 0.5, 0.5, 0.75])
    strokes = hand_strokes(onset, np.array([60, 64, 65, 77, 77]))
    assert strokes.span.tolist() == [4, 12, 0]
    assert strokes.count.tolist() == [2, 2, 1]
    assert strokes.leap == pytest.approx([0, (77 - 60 - 12) / 0.5, 0])  # what an open octave does not cover
    assert strokes.repeat == pytest.approx([0, 0, 4.0])


def test_an_easy_piece():
    right = [(t * 0.5, [60 + k]) for t, k in enumerate([0, 2, 4, 5, 7, 5, 4, 2])]
    left = [(0.0, [48]), (2.0, [43])]
    report = playability(piano(right, left))
    assert report.score == 1.0 and report.difficulty == 1 and report.problems == ()
    assert report.span == {"right hand": 0, "left hand": 0}
    assert report.notes_per_second == pytest.approx(10 / 3.5)
    assert report.peak_notes_per_second == pytest.approx(5 / 2)  # four notes of the tune and one bass in two seconds
    assert report.independence == pytest.approx(6 / 10)


def test_what_is_too_much_is_named_with_its_bar():
    beats = beats_from_times(np.arange(12) * 0.5, np.arange(12) % 4, numerator=4, denominator=4)
    right = [(0.0, [72]), (2.0, [60, 76]), (4.0, [60, 62, 64, 65, 67, 69])]  # a tenth in bar 2, six keys in bar 3
    left = [(0.0, [36]), (0.1, [60]), (0.15, [60])]
    report = playability(piano(right, left), beats)
    places = [(p.bar, p.hand) for p in report.problems]
    assert places == [(1, "left hand"), (1, "left hand"), (2, "right hand"), (3, "right hand")]
    said = [p.what for p in report.problems]
    assert "24 semitones in 0.10 s" in said[0]
    assert "20.0 times a second" in said[1]
    assert "16 semitones" in said[2] and "6 keys" in said[3]
    assert report.score == pytest.approx(1 - 4 / 6)
    assert report.wide_chords == 0.5
    assert report.difficulty == 5


def test_bars_are_counted_by_the_clock_of_the_file():
    report = playability(piano([(0.0, [60]), (4.1, [60, 76])], []))  # 120 per minute, four beats in a bar
    assert [p.bar for p in report.problems] == [3]


def test_difficulty_rises_with_keys_and_pace():
    def tune(keys, step):
        return playability(piano([(i * step, keys) for i in range(20)], [(0.0, [40])])).difficulty

    assert tune([60], 0.4) == 1
    assert tune([60, 64], 0.4) == 2
    assert tune([60, 72], 0.4) == 3
    assert tune([60, 64, 67, 72], 0.4) == 4
    assert tune([60], 0.12) == 4


def test_silence_and_json():
    report = playability(Notes())
    assert report.score == 1.0 and report.span == {} and report.peak_notes_per_second == 0
    assert json.loads(json.dumps(playability(piano([(0.0, [60, 77])])).to_dict()))["problems"][0]["bar"] == 1


def test_the_report_in_words():
    lines = playability(piano([(i * 1.0, [60, 80]) for i in range(20)])).lines(most=2)
    assert lines[0].startswith("playability 0.00, difficulty 5")
    assert lines[-1] == "and 18 more places" and len(lines) == 6
