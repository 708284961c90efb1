"""Arrangements against arrangements, on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.analysis.beats import Beats, with_beats
from spartito.errors import ParameterError
from spartito.evaluation.cover import (
    chord_of_beats,
    evaluate_cover,
    groove_similarity,
    split_melody,
)
from spartito.evaluation.tasks import evaluate
from spartito.notes.midi import write_midi
from spartito.notes.notes import Notes, Track, merge

BEAT = 0.5  # seconds


def beats(n=4, *, start=1.0, bar=4):
    place = np.arange(n)
    return Beats(start + BEAT * place, place, place % bar)


def notes(*rows):
    """Rows of beat, beats, pitch on the beats above."""
    table = np.array(rows, dtype=float).reshape(-1, 3)
    onset = 1.0 + BEAT * table[:, 0]
    return Notes.from_arrays(onset, onset + BEAT * table[:, 1], table[:, 2])


def rows_of(*chords):
    """(root, intervals, bass) per beat as chord rows."""
    out = np.full((len(chords), 14), -1)
    for row, (root, intervals, bass) in zip(out, chords):
        row[0], row[13] = root, bass
        row[1:13] = 0
        row[[1 + (root + i) % 12 for i in intervals]] = 1
    return out


C_MAJOR = (0, (0, 4, 7), 0)
HUMAN = notes((0, 1, 48), (0, 1, 64), (0, 1, 67), (1, 1, 72), (2, 2, 76))


def test_an_arrangement_equals_itself():
    scores = evaluate_cover(HUMAN, HUMAN, beats=beats(), melody=notes((1, 1, 72), (2, 2, 76)))
    ones = {k: v for k, v in scores.items() if k != "density_ratio"}
    assert set(ones.values()) == {1.0} and scores["density_ratio"] == 1.0


def test_onsets_by_pitch_and_by_class():
    # of four onsets one is right, one an octave off, one a step late, one another note
    estimate = notes((0, 1, 48), (0, 1, 76), (1.25, 1, 72), (2, 2, 77))
    scores = evaluate_cover(HUMAN, estimate, beats=beats())
    assert scores["onset_precision"] == 1 / 4 and scores["onset_recall"] == 1 / 5
    assert scores["onset_f1"] == pytest.approx(2 / 9)
    assert scores["onset_class_precision"] == 2 / 4 and scores["onset_class_recall"] == 2 / 5
    assert scores["density_ratio"] == 4 / 5


def test_onsets_go_to_the_nearest_quarter_of_a_beat_that_may_be_long_or_short():
    uneven = Beats([1.0, 1.4, 2.4, 3.0], np.arange(4), np.arange(4))
    human = Notes.from_arrays([1.9], [2.4], [60])  # the half of the second beat
    for onset, right in ((1.78, 1.0), (2.02, 1.0), (1.77, 0.0), (2.03, 0.0)):
        assert evaluate_cover(human, Notes.from_arrays([onset], [2.4], [60]), beats=uneven)["onset_f1"] == right


def test_notes_struck_twice_and_notes_outside_the_beats():
    doubled = notes((0, 1, 48), (0, 1, 48), (0, 1, 64), (0, 1, 67), (1, 1, 72), (2, 2, 76), (-1, 1, 50), (4, 1, 50))
    assert evaluate_cover(HUMAN, doubled, beats=beats())["onset_f1"] == 1.0


def test_drums_do_not_count():
    drums = Notes(notes((1, 1, 36)).array, tracks=(Track("drums", is_drum=True),))
    assert evaluate_cover(HUMAN, merge([HUMAN, drums]), beats=beats())["density_ratio"] == 1.0


def test_melody_by_the_highest_note_and_by_any():
    tune = notes((0, 1, 72), (1, 1, 74), (2, 2, 76))  # C D E; 16 steps
    # beat 0: C above; beat 1: D under an A; beat 2: E an octave lower, struck half a beat late; beat 3: rest
    estimate = notes((0, 1, 60), (1, 1, 62), (1, 1, 69), (2.5, 0.5, 64))
    scores = evaluate_cover(tune, estimate, beats=beats(), melody=tune)
    assert scores["melody_chroma"] == (4 + 0 + 2) / 16
    assert scores["melody_chroma_any"] == (4 + 4 + 2) / 16
    assert scores["melody_onset"] == 1 / 3 and scores["melody_onset_any"] == 2 / 3


def test_melody_is_counted_while_it_sounds():
    tune = notes((1, 1, 72))  # three beats of rest
    assert evaluate_cover(HUMAN, HUMAN, beats=beats(), melody=tune)["melody_chroma"] == 1.0
    assert evaluate_cover(HUMAN, notes((0, 4, 71)), beats=beats(), melody=tune)["melody_chroma"] == 0.0


def test_chords_of_an_arrangement():
    chords = rows_of(C_MAJOR, (9, (0, 3, 7), 9), (7, (0, 4, 7), 11), C_MAJOR)
    chords[3] = -1  # no chord: not counted
    # C major; A minor over C; G7 over B: root and bass right, one bit of twelve more
    estimate = notes(
        *[(0, 1, p) for p in (48, 64, 67)], *[(1, 1, p) for p in (48, 57, 64, 69, 81)],
        *[(2, 1, p) for p in (47, 62, 65, 67, 79)], (3, 1, 42),
    )  # fmt: skip
    scores = evaluate_cover(HUMAN, estimate, beats=beats(), chords=chords)
    assert scores["chord_root"] == 1.0 and scores["chord_bass"] == 2 / 3
    assert scores["chord_chroma"] == pytest.approx(35 / 36)


def test_silence_has_no_chord():
    scores = evaluate_cover(
        HUMAN, notes((0, 1, 48), (0, 1, 64), (0, 1, 67)), beats=beats(2), chords=rows_of(*[C_MAJOR] * 2)
    )
    assert scores["chord_root"] == scores["chord_bass"] == 1 / 2
    assert scores["chord_chroma"] == (12 + 9) / 24


@pytest.mark.parametrize("root", [0, 5, 11])
def test_every_template_is_found_from_its_own_notes(root):
    from spartito.evaluation.cover import TEMPLATES

    for intervals in TEMPLATES.values():
        weights = np.zeros((1, 12))
        weights[0, [(root + i) % 12 for i in intervals]] = 1
        found, chroma = chord_of_beats(weights, np.array([root]))
        assert found[0] == root and (chroma[0] == weights[0].astype(bool)).all()


def test_chords_must_fit_the_beats():
    with pytest.raises(ParameterError, match="one row per beat"):
        evaluate_cover(HUMAN, HUMAN, beats=beats(), chords=rows_of(C_MAJOR))


def test_groove():
    steps = np.zeros(16)
    steps[[0, 8]] = 1  # halves
    late = np.roll(steps, 1)
    positions = np.arange(4)
    assert groove_similarity(steps, 3 * steps, positions) == pytest.approx(1.0)
    # (1) 4 1 . . . . . 1 4 1 against 1 4 1 . . . . . 1 4 1: 8 at either onset; squares 17 + 18 and 18 + 18
    assert groove_similarity(steps, late, positions) == pytest.approx(16 / np.sqrt(35 * 36))
    assert groove_similarity(steps, np.zeros(16), positions) == 0.0
    # two bars, one of them empty on both sides
    both = np.concatenate([steps, np.zeros(16)])
    assert groove_similarity(both, both, np.tile(positions, 2)) == pytest.approx(1.0)


def test_an_empty_side_scores_nothing():
    with pytest.warns(UserWarning, match="estimate has no notes"):
        scores = evaluate_cover(HUMAN, Notes(), beats=beats(), melody=HUMAN, chords=rows_of(*[C_MAJOR] * 4))
    assert {v for k, v in scores.items() if k != "chord_chroma"} == {0.0}


def song_with_tune():
    array = HUMAN.array.copy()
    array["track"] = (array["pitch"] < 70).astype(int)
    return Notes(array, tracks=(Track("MELODY"), Track("PIANO")))


def test_tune_by_the_name_of_its_track():
    tune, others = split_melody(song_with_tune())
    assert tune.pitch.tolist() == [72, 76] and others.pitch.tolist() == [48, 64, 67]
    assert split_melody(HUMAN)[0] is None and len(split_melody(HUMAN)[1]) == 5


def test_evaluate_from_files(tmp_path):
    pytest.importorskip("mir_eval")
    write_midi(song_with_tune(), tmp_path / "human.mid")
    write_midi(notes((0, 1, 48), (1, 1, 72)), tmp_path / "cover.mid")
    (tmp_path / "song.beats").write_text("1.0 1\n1.5 2\n2.0 3\n2.5 4\n")
    (tmp_path / "song.lab").write_text("0 3 C:maj\n")
    files = tmp_path / "cover.mid", tmp_path / "human.mid"
    options = {"task": "cover", "analysis": tmp_path / "song.beats"}
    scores = evaluate(*files, **options, chords=tmp_path / "song.lab")
    assert scores["onset_recall"] == 2 / 5 and scores["melody_onset"] == 1 / 2 and scores["chord_bass"] == 2 / 4
    scores = evaluate(*files, **options, melody="omit")
    assert scores["onset_recall"] == 1 / 3 and scores["melody_onset"] == 1 / 2 and "chord_bass" not in scores


def test_beats_of_the_reference_or_none(tmp_path):
    even = with_beats(HUMAN, beats(8))
    assert evaluate(even, even, task="cover")["onset_f1"] == 1.0
    free = Notes.from_arrays(1.3 * np.sqrt(np.arange(1, 40)), 9.0, 60)
    with pytest.raises(ParameterError, match="beats"):
        evaluate(free, free, task="cover")
    with pytest.raises(ParameterError, match="include"):
        evaluate(even, even, task="cover", melody="maybe")
