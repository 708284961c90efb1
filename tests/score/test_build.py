"""Whole scores: what is written, what is read back, every format, hard input."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
import zipfile

import numpy as np
import pytest

from spartito.analysis.beats import beats_from_times
from spartito.analysis.song import Chord
from spartito.errors import NotesError, OutputError, ParameterError
from spartito.evaluation.score import score_notes
from spartito.notes.notes import Notes, Track
from spartito.notes.tempo import TempoMap, TimeSignature
from spartito.score.build import to_score
from spartito.score.score import load_score

pytest.importorskip("partitura", reason="the extra 'score' is not installed")
pytest.importorskip("verovio", reason="the extra 'score' is not installed")


def little_piece(**fields):
    """Eight bars of 3/4 at 100 per minute: bass, two chords, a melody in quarters and eighths."""
    clock = TempoMap.constant(100, ticks_per_quarter=480, time_signatures=(TimeSignature(0, 3, 4),))
    rows = []
    for bar in range(8):
        root = (48, 53, 55, 48)[bar % 4]
        rows.append((3 * bar, 2.9, root))
        rows += [(3 * bar + k, 0.9, root + i) for k in (1, 2) for i in (7, 12)]
        rows += [(3 * bar, 0.95, 76 - bar), (3 * bar + 1, 0.45, 74), (3 * bar + 1.5, 0.45, 72), (3 * bar + 2, 0.9, 81)]
    onset, length, pitch = np.array(rows).T
    seconds = clock.quarters_to_seconds(onset)
    return Notes.from_arrays(seconds, clock.quarters_to_seconds(onset + length), pitch, 70, tempo_map=clock, **fields)


@pytest.fixture(scope="module")
def score():
    return to_score(little_piece(title="Ländler", composer="Nobody"))


def test_what_is_written_is_what_was_played(score):
    notes, written = little_piece(), score_notes(score)
    assert len(written) == len(notes)
    order = np.argsort(written["index"])
    written = written[order]
    assert written["pitch"].tolist() == notes.pitch.tolist()
    assert np.allclose(written["onset"], notes.tempo_map.seconds_to_quarters(notes.onset))
    assert set(written["numerator"]) == {3} and set(written["denominator"]) == {4}
    assert set(written["fifths"]) == {0}
    assert set(written["staff"][written["pitch"] < 58]) == {2}
    assert set(written["staff"][written["pitch"] > 68]) == {1}
    melody = written[written["pitch"] > 68]
    assert np.allclose(melody["duration"][:4], [1, 0.5, 0.5, 1])
    assert np.allclose(written["duration"][written["pitch"] < 56][0], 3)


def test_title_and_metre(score):
    assert (score.title, score.composer) == ("Ländler", "Nobody")
    assert len(score.measures) == 8
    xml = score.to_musicxml().decode()
    assert "<work-title>Ländler</work-title>" in xml and 'type="composer">Nobody<' in xml
    assert "<per-minute>100</per-minute>" in xml


def test_musicxml_fills_every_bar(score):
    root = ElementTree.fromstring(score.to_musicxml())
    for measure in root.iter("measure"):
        cursor = reach = 0
        for child in measure:
            duration = int(child.findtext("duration") or 0)
            if child.tag == "backup":
                cursor -= duration
            elif child.tag in ("note", "forward") and child.find("chord") is None:
                cursor += duration
            reach = max(reach, cursor)
        assert reach == 72  # three quarters of 24
    beams = [b.text for b in root.iter("beam")]
    assert beams.count("begin") == beams.count("end") == 8


def test_read_back(score, tmp_path):
    for suffix in (".musicxml", ".mxl"):
        again = load_score(score.save(tmp_path / f"piece{suffix}"))
        a, b = score_notes(score), score_notes(again)
        for column in ("pitch", "onset", "in_bar", "duration", "staff", "fifths", "numerator"):
            assert np.allclose(np.sort(a[column]), np.sort(b[column])), column
        assert (again.title, again.composer) == ("Ländler", "Nobody")
        again.save(tmp_path / "again.pdf")


def test_all_formats(score, tmp_path):
    for name in ("a.musicxml", "a.xml", "a.mxl", "a.pdf", "a.svg", "a.mid"):
        path = score.save(tmp_path / name)
        assert path.stat().st_size > 300
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert zipfile.ZipFile(tmp_path / "a.mxl").namelist() == ["META-INF/container.xml", "score.musicxml"]
    assert not list(tmp_path.glob("*tmp*"))
    with pytest.raises(OutputError, match="saved as"):
        score.save(tmp_path / "a.docx")


def test_quantised_midi(score, tmp_path):
    from spartito.notes.midi import read_midi

    again = read_midi(score.save(tmp_path / "a.mid"))
    assert len(again) == len(little_piece())
    quarters = again.tempo_map.seconds_to_quarters(again.onset)
    assert np.allclose(quarters * 2, np.round(quarters * 2), atol=1e-6)


def test_beats_given():
    times = 1.0 + 0.7 * np.arange(13)
    beats = beats_from_times(times, (np.arange(13) - 1) % 4, numerator=4, denominator=4)
    notes = Notes.from_arrays(times[:-1] + 0.01, times[1:] - 0.05, 60 + np.arange(12))
    score = to_score(notes, beats)
    written = np.sort(score_notes(score), order="index")
    assert np.allclose(written["in_bar"], [3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2])  # a pick-up, then bars
    assert score.measures[0].end.t == 24
    with pytest.raises(ParameterError):
        to_score(notes, object())


def test_pedal_is_marked_and_does_not_lengthen():
    notes = little_piece().with_pedal([[0.0, 1.75], [1.8, 3.55]])
    with_marks = to_score(notes)
    assert b"<pedal" in with_marks.to_musicxml() and b"<pedal" not in to_score(notes, pedal=False).to_musicxml()
    assert np.array_equal(score_notes(with_marks)["duration"], score_notes(to_score(little_piece()))["duration"])


def test_named_hands_are_kept():
    tracks = (Track(name="right hand"), Track(name="left hand"))
    notes = Notes.from_arrays([0, 0.5, 1], [0.4, 0.9, 1.4], [50, 70, 52], track=[0, 1, 0], tracks=tracks)
    written = np.sort(score_notes(to_score(notes)), order="index")
    assert written["staff"].tolist() == [1, 2, 1]


def test_grace_note():
    onset = np.arange(8) * 0.5
    pitch = np.array([72, 74, 76, 77, 79, 77, 76, 74])
    notes = Notes.from_arrays(
        np.append(onset, 1.94), np.append(onset + 0.45, 1.99), np.append(pitch, 78), tempo_map=TempoMap()
    )
    beats = beats_from_times(np.arange(9) * 0.5, np.arange(9) % 4, numerator=4, denominator=4)
    written = score_notes(to_score(notes, beats))
    grace = written[written["duration"] == 0]
    assert grace["pitch"].tolist() == [78] and grace["onset"].tolist() == [4.0]


def test_a_key_is_let_go_before_it_is_struck_again():
    """Middle C held under a line, struck again in the middle of the bar, in whatever voice."""
    rng = np.random.default_rng(4)
    onset = np.sort(rng.integers(0, 64, 150)) * 0.25
    pitch = rng.integers(55, 68, 150)
    notes = Notes.from_arrays(onset, onset + rng.uniform(0.2, 2.5, 150), pitch)
    beats = beats_from_times(0.5 * np.arange(40), np.arange(40) % 4, numerator=4, denominator=4)
    written = np.sort(score_notes(to_score(notes, beats)), order=["staff", "pitch", "onset"])
    same = (np.diff(written["pitch"]) == 0) & (np.diff(written["staff"]) == 0)
    ends = written["onset"] + written["duration"]
    assert same.sum() > 50 and (ends[:-1][same] <= written["onset"][1:][same] + 1e-6).all()


def test_accidentals_are_printed():
    """C major, an F sharp in one bar and an F natural in the next; verovio draws what MusicXML spells out."""
    onset = 0.5 * np.arange(16)
    pitch = [60, 62, 66, 67, 65, 64, 62, 60, 60, 64, 67, 72, 67, 64, 62, 60]
    notes = Notes.from_arrays(onset, onset + 0.45, pitch)
    beats = beats_from_times(0.5 * np.arange(17), np.arange(17) % 4, numerator=4, denominator=4)
    score = to_score(notes, beats, key=0)
    root = ElementTree.fromstring(score.to_musicxml())
    assert [e.text for e in root.iter("accidental")] == ["sharp", "natural"]
    drawn = re.findall(r'class="accid">\s*<use xlink:href="#(E26\w)', score.to_svg()[0])
    assert drawn == ["E262", "E261"]  # SMuFL: sharp, natural


def test_a_change_of_key_is_written_behind_a_double_bar(tmp_path):
    """Nine bars of I IV V I in C, nine in D flat; the chords are named in the key they stand in."""
    roots = np.tile([0, 5, 7, 0], 18) + np.repeat([60, 61], 36)
    pitch = (roots[:, None] + [0, 4, 7]).ravel()
    times = 0.5 * np.arange(73)
    onset = np.repeat(times[:-1], 3)
    beats = beats_from_times(times, np.arange(73) % 4, numerator=4, denominator=4)
    chords = [Chord(0, 18, "C:maj"), Chord(18, 36, "C#:maj")]
    score = to_score(Notes.from_arrays(onset, onset + 0.48, pitch), beats, chords=chords)
    root = ElementTree.fromstring(score.to_musicxml())
    measures = root.findall("part/measure")
    fifths = {
        m.get("number"): m.findtext("attributes/key/fifths") for m in measures if m.find("attributes/key") is not None
    }
    assert fifths == {"1": "0", "10": "-5"}
    assert measures[8].findtext("barline/bar-style") == "light-light"
    assert not list(root.iter("accidental"))
    assert [h.findtext("root/root-step") for h in root.iter("harmony")] == ["C", "D"]
    assert {n.findtext("pitch/step") for n in measures[9].iter("note") if n.find("pitch") is not None} >= {
        "D",
        "G",
        "A",
    }
    again = load_score(score.save(tmp_path / "x.musicxml"))
    assert sorted(set(score_notes(again)["fifths"])) == [-5, 0]


@pytest.mark.parametrize("key", [-7, 0, 6])
def test_key_given(key):
    assert set(score_notes(to_score(little_piece(), key=key))["fifths"]) == {key}
    with pytest.raises(ParameterError):
        to_score(little_piece(), key=8)


def test_nothing_to_write():
    with pytest.raises(NotesError, match="no notes"):
        to_score(Notes())
    with pytest.raises(NotesError):
        to_score(Notes.from_arrays([0], [1], [36], tracks=(Track(is_drum=True),)))


def hard_cases():
    rng = np.random.default_rng(0)
    onset = np.sort(rng.uniform(0, 40, 600))
    yield "one note", Notes.from_arrays([2.0], [3.0], [60])
    yield "two notes", Notes.from_arrays([2.0, 2.5], [2.4, 3.0], [60, 62])
    yield "all keys at once", Notes.from_arrays([0.0] * 88, [1.0] * 88, np.arange(21, 109))
    yield "outside the piano", Notes.from_arrays([0, 1, 2, 3.0], [1, 2, 3, 4.0], [0, 12, 115, 127])
    yield "zero length", Notes.from_arrays(np.arange(20) / 2, np.arange(20) / 2, 60 + np.arange(20))
    yield "one key struck again and again", Notes.from_arrays(np.arange(99) / 9, np.arange(99) / 9 + 1, 60)
    yield "chaos", Notes.from_arrays(onset, onset + rng.exponential(0.5, 600), rng.integers(21, 109, 600))
    yield "long silence", Notes.from_arrays([0, 0.5, 1, 300, 300.5, 301], [1, 1, 2, 301, 301, 302], 60 + np.arange(6))
    yield "before second 0", Notes.from_arrays([-1, -0.5, 0, 0.5], [0, 0, 0.4, 1], [60, 62, 64, 65])
    yield "a note of an hour", Notes.from_arrays([0, 1, 2, 3], [3600, 2, 3, 4], [40, 60, 62, 64])


@pytest.mark.parametrize(("name", "notes"), list(hard_cases()), ids=lambda v: v if isinstance(v, str) else "")
def test_hard_input_gives_a_sound_score(name, notes, tmp_path):
    score = to_score(notes)
    written = score_notes(score)
    assert len(written) and ((written["pitch"] >= 21) & (written["pitch"] <= 108)).all()
    root = ElementTree.fromstring(score.to_musicxml())
    voices = {(n.findtext("voice"), n.findtext("staff", "1")) for n in root.iter("note")}
    assert voices <= {("1", "1"), ("2", "1"), ("3", "2"), ("4", "2")}  # at most two to a staff
    assert not {t.text for t in root.iter("type")} & {"64th", "128th"}
    load_score(score.save(tmp_path / "x.musicxml"))
    score.save(tmp_path / "x.pdf")


def test_unreadable_scores(tmp_path):
    with pytest.raises(NotesError, match="no such"):
        load_score(tmp_path / "none.musicxml")
    (tmp_path / "bad.musicxml").write_text("this is no score")
    with pytest.raises(NotesError, match="cannot be read"):
        load_score(tmp_path / "bad.musicxml")
    (tmp_path / "song.mid").write_bytes(b"MThd")
    with pytest.raises(NotesError, match="no score"):
        load_score(tmp_path / "song.mid")


def test_the_last_bar_line_is_a_double_one_and_only_one(score, tmp_path):
    again = load_score(score.save(tmp_path / "piece.musicxml"))
    for xml in (score.to_musicxml(), again.to_musicxml()):
        lines = list(ElementTree.fromstring(xml).iter("barline"))
        assert [line.findtext("bar-style") for line in lines] == ["light-heavy"]
