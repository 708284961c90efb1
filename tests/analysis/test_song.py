"""An analysis: checked, written, corrected by hand, read again."""

import json

import numpy as np
import pytest

from spartito.analysis.song import Analysis, Chord, beats_of, contiguous, read_beats, read_lab, read_pitch
from spartito.errors import NotesError, ParameterError


def song() -> Analysis:
    times = 0.5 + 0.5 * np.arange(9)  # a pick-up beat, then two bars of four: 120 beats a minute
    return Analysis(
        duration=6.0,
        beats=beats_of(times, [3, 0, 1, 2, 3, 0, 1, 2, 3]),
        chords=(Chord(1.0, 3.0, "C:maj"), Chord(3.0, 5.0, "A:min7/b3")),
        key="C:maj",
        melody=[[1.0, 1.5, 60.0], [2.0, 3.5, 64.0]],
        loudness=[-20.0, -30.5],
        tuning=-12.5,
        warnings=("a word",),
    )


def same(a: Analysis, b: Analysis) -> bool:
    return (
        a.duration == b.duration
        and np.allclose(a.beats.times, b.beats.times, atol=1e-4)
        and np.array_equal(a.beats.positions, b.beats.positions)
        and a.beats.signatures == b.beats.signatures
        and np.allclose(a.beats.quarters, b.beats.quarters)
        and [c.label for c in a.chords] == [c.label for c in b.chords]
        and np.allclose([c.start for c in a.chords], [c.start for c in b.chords], atol=1e-3)
        and (a.key, a.tuning, a.steady, a.engine, a.warnings) == (b.key, b.tuning, b.steady, b.engine, b.warnings)
        and np.allclose(a.melody, b.melody, atol=1e-3)
        and np.allclose(a.loudness, b.loudness, atol=0.1)
    )


def test_what_it_says_of_the_song():
    a = song()
    assert a.tempo == pytest.approx(120.0)
    assert a.lead_in == 1.0
    assert a.downbeats.tolist() == [1.0, 3.0]
    assert [(c.start, c.end, c.label) for c in a.chords] == [
        (0.0, 1.0, "N"),
        (1.0, 3.0, "C:maj"),
        (3.0, 5.0, "A:min7/b3"),
        (5.0, 6.0, "N"),
    ]


def test_a_chord_row_for_every_beat():
    rows = song().chord_rows()
    assert rows.shape == (9, 14)
    assert rows[0].tolist() == [-1, *[0] * 12, -1]
    assert rows[1].tolist() == [0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0]
    assert rows[5, [0, 13]].tolist() == [9, 0]
    assert np.flatnonzero(rows[5, 1:13]).tolist() == [0, 4, 7, 9]


def test_a_change_between_beats_goes_to_the_nearest():
    early = Analysis(3.0, beats_of([0.0, 1.0, 2.0], [0, 1, 2]), (Chord(0, 0.9, "C:maj"), Chord(0.9, 3, "D:maj")))
    late = Analysis(3.0, beats_of([0.0, 1.0, 2.0], [0, 1, 2]), (Chord(0, 1.1, "C:maj"), Chord(1.1, 3, "D:maj")))
    assert early.chord_rows()[:, 0].tolist() == late.chord_rows()[:, 0].tolist() == [0, 2, 2]


def test_round_trip(tmp_path):
    song().save(tmp_path / "song.json")
    assert same(song(), Analysis.load(tmp_path / "song.json"))


def test_metre_changes_survive(tmp_path):
    positions = [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 0, 1, 2]
    a = Analysis(8.0, beats_of(0.5 * np.arange(14), positions))
    assert a.beats.signatures == ((0, 4, 4), (8, 3, 4))
    a.save(tmp_path / "song.json")
    assert same(a, Analysis.load(tmp_path / "song.json"))


def test_compound_metre_counts_in_dotted_quarters(tmp_path):
    a = Analysis(4.0, beats_of([0.0, 0.9, 1.8, 2.7], [0, 1, 0, 1], marks=[(0.0, (6, 8))]))
    assert a.beats.quarters.tolist() == [0.0, 1.5, 3.0, 4.5]
    a.save(tmp_path / "song.json")
    assert same(a, Analysis.load(tmp_path / "song.json"))


def test_corrections_by_hand_are_taken(tmp_path):
    path = tmp_path / "song.json"
    song().save(path)
    content = json.loads(path.read_text())
    content["beats"] = [[time, number % 3 + 1] for number, (time, _) in enumerate(content["beats"])]
    content["time_signatures"] = [[0.0, "3/4"]]
    content["chords"] = [[0.0, 2.0, "F:maj7"]]  # the rest was deleted
    del content["loudness_db"], content["melody"]
    path.write_text(json.dumps(content))
    corrected = Analysis.load(path)
    assert corrected.beats.signatures == ((0, 3, 4),)
    assert [c.label for c in corrected.chords] == ["F:maj7", "N"]
    assert len(corrected.melody) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"beats": [[1.0, 1], [0.5, 2]]}, "beat 2 .* must come after beat 1"),
        ({"beats": [[1.0, 1]]}, "at least two beats"),
        ({"beats": [[1.0, 2], [2.0, 3]]}, "downbeat"),
        ({"beats": [[1.0, 1], ["x", 2]]}, "time of beat 2 should be a number"),
        ({"beats": [[1.0, 1], [2.0, 1.5]]}, "number in the bar"),
        ({"chords": [[0, 1, "Cmaj"]]}, "'Cmaj' is not a chord name"),
        ({"chords": [[2, 1, "C:maj"]]}, "ends at 1.0 s, before"),
        ({"chords": [[0, 1]]}, "chord 1 should have 3 entries"),
        ({"time_signatures": [[0, "3-4"]]}, "written like 3/4"),
        ({"time_signatures": [[0, "3/5"]]}, "not a time signature"),
        ({"schema_version": 99}, "schema_version is 99"),
        ({"melody": [[2, 1, 60]]}, "must end after it begins"),
        ({"duration": -1}, "positive number of seconds"),
    ],
)
def test_what_is_wrong_is_said_in_words(tmp_path, change, words):
    path = tmp_path / "song.json"
    song().save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(NotesError, match=words):
        Analysis.load(path)


def test_damaged_and_missing_files(tmp_path):
    (tmp_path / "broken.json").write_text('{"beats": [')
    for name in ("broken.json", "absent.json"):
        with pytest.raises(NotesError, match=name):
            Analysis.load(tmp_path / name)
    (tmp_path / "other.json").write_text("[1, 2]")
    with pytest.raises(NotesError, match="not a song analysis"):
        Analysis.load(tmp_path / "other.json")


def test_chords_made_contiguous():
    spans = contiguous([Chord(2, 4, "G:maj"), Chord(0, 2.02, "C:maj"), Chord(5, 9, "N"), Chord(3, 3.5, "F:maj")], 6.0)
    assert [(c.start, c.end, c.label) for c in spans] == [
        (0, 2, "C:maj"),
        (2, 3, "G:maj"),
        (3, 3.5, "F:maj"),
        (3.5, 6.0, "N"),
    ]


def test_lab_and_beats_files(tmp_path):
    a = song()
    a.to_lab(tmp_path / "a.lab")
    a.to_beats(tmp_path / "a.beats")
    assert read_lab(tmp_path / "a.lab") == a.chords
    times, places = read_beats(tmp_path / "a.beats")
    assert np.allclose(times, a.beats.times)
    assert places.tolist() == a.beats.positions.tolist()


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("# by hand\n0.5\t4\n1.0\t1\n1.5\t2\n", [3, 0, 1]),
        ("0.5 0.4\n1.0 1.1\n1.5 1.2\n", [3, 0, 1]),
        ("0.5,b\n1.0,db\n1.5,b\n", [3, 0, 1]),
        ("0.5\n1.0\n1.5\n", None),
        ("0.5\t1.0\n1.0\t2.0\n1.5\t3.0\n", [0, 1, 2]),
    ],
)
def test_beat_files_of_others(tmp_path, text, places):
    (tmp_path / "x.beats").write_text(text)
    times, found = read_beats(tmp_path / "x.beats")
    assert times.tolist() == [0.5, 1.0, 1.5]
    assert (None if found is None else found.tolist()) == places


def test_bad_beat_and_chord_files_name_the_line(tmp_path):
    (tmp_path / "x.beats").write_text("0.5 1\nsoon 2\n")
    with pytest.raises(NotesError, match="line 2"):
        read_beats(tmp_path / "x.beats")
    (tmp_path / "x.lab").write_text("0 1 C:maj\n1 2 what\n")
    with pytest.raises(NotesError, match=r"line 2.*'what'"):
        read_lab(tmp_path / "x.lab")
    (tmp_path / "empty.lab").write_text("# nothing\n")
    with pytest.raises(NotesError, match="no chords"):
        read_lab(tmp_path / "empty.lab")


def test_an_odd_bar_alone_is_no_change_of_metre():
    positions = [0, 1, 2, 3] * 3 + [0, 1] + [0, 1, 2, 3] * 2
    assert beats_of(np.arange(len(positions)), positions).signatures == ((0, 4, 4),)


def test_beats_out_of_order_are_refused():
    with pytest.raises(ParameterError, match="beat 3"):
        beats_of([0.0, 1.0, 0.9], [0, 1, 2])


def test_pitch_curves(tmp_path):
    (tmp_path / "voice.csv").write_text("# a singer\n0.00,220.0\n0.01,nan\n0.02\n0.03,-221.5\n")
    curve = read_pitch(tmp_path / "voice.csv")
    np.testing.assert_array_equal(curve, [[0.0, 220.0], [0.01, np.nan], [0.02, 0.0], [0.03, -221.5]])
    for text in ("", "0.1,220\n0.1,221\n", "zero 220\n"):
        (tmp_path / "wrong.csv").write_text(text)
        with pytest.raises(NotesError, match=r"wrong\.csv"):
            read_pitch(tmp_path / "wrong.csv")
