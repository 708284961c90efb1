"""Chord symbols: names in the key, places, MusicXML there and back, and on the page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from spartito.analysis.beats import beats_from_times
from spartito.analysis.song import Analysis, Chord
from spartito.notes.notes import Notes

pytest.importorskip("partitura", reason="the extra 'score' is not installed")
pytest.importorskip("verovio", reason="the extra 'score' is not installed")

from spartito.score.build import to_score
from spartito.score.chord_symbols import chord_name, name_chord
from spartito.score.score import load_score


def joined(label, fifths, *, minor=False):
    root, suffix, bass = name_chord(label, fifths=fifths, minor=minor)
    return root + suffix + (f"/{bass}" if bass else "")


@pytest.mark.parametrize(
    ("label", "written"),
    [
        ("C:maj", "C"),
        ("A:min7", "Am7"),
        ("F#:min", "F#m"),
        ("C:maj/3", "C/E"),
        ("A:min/b3", "Am/C"),
        ("B:dim", "Bdim"),
        ("G:sus4", "Gsus4"),
        ("G:sus4(b7)", "G7sus4"),
        ("D:7", "D7"),
        ("F:maj7", "Fmaj7"),
        ("E:hdim7", "Em7♭5"),
        ("A:minmaj7", "Am(maj7)"),
        ("C:aug", "Caug"),
        ("C:maj6", "C6"),
        ("G:9", "G9"),
        ("G:7(b9)", "G7(♭9)"),
        ("C:maj(9)", "C(add9)"),
        ("C:maj/9", "C/D"),
        ("C:7/b7", "C7/Bb"),
        ("F:maj(#11)", "F(add♯11)"),
        ("B:min7(b5)", "Bm7♭5"),
        ("C:maj/b7", "C/Bb"),
        ("N", "N.C."),
        ("X", "N.C."),
    ],
)
def test_names_in_c_major(label, written):
    assert joined(label, 0) == written


@pytest.mark.parametrize(
    ("label", "fifths", "minor", "written"),
    [
        ("A#:maj", 3, False, "Bb"),  # the lowered second degree of A major
        ("Bb:min", 4, False, "A#m"),  # the raised fourth degree of E major
        ("D#:maj", -3, False, "Eb"),
        ("Db:maj", 4, False, "C#"),
        ("Gb:maj", 4, False, "F#"),
        ("Eb:dim", 1, True, "D#dim"),  # the leading note of E minor
        ("Ab:dim7", 0, True, "G#dim7"),
        ("B:maj", -3, False, "B"),  # not C flat in E flat major
        ("B:maj", -6, False, "Cb"),  # but in G flat major
        ("F:min", 4, False, "Fm"),  # not E sharp minor
        ("A:maj/3", 3, False, "A/C#"),
        ("Ab:min/b3", -4, False, "Abm/B"),
    ],
)
def test_names_in_other_keys(label, fifths, minor, written):
    assert joined(label, fifths, minor=minor) == written


def piece(labels, *, seconds=0.5, numerator=4, start=0.0, places=None, bars=4, **fields):
    """Half a second a beat; a whole note in either hand for every bar; chords at `places` (beats, with the end)."""
    count = bars * numerator
    times = start + seconds * np.arange(count + 1)
    beats = beats_from_times(times, np.arange(count + 1) % numerator, numerator=numerator, denominator=4)
    onset = np.repeat(times[:-1:numerator], 2)
    notes = Notes.from_arrays(onset, onset + numerator * seconds - 0.02, np.tile([48, 67], bars), 70)
    places = np.arange(len(labels) + 1) * numerator if places is None else np.array(places)
    edges = start + seconds * places
    chords = [Chord(a, b, label) for a, b, label in zip(edges, edges[1:], labels)]
    return to_score(notes, beats, chords=chords, **fields)


def symbols(score):
    """(beat, name) of each symbol."""
    import partitura.score as ps

    return [(s.start.t / 24, chord_name(s)) for s in score.part.iter_all(ps.ChordSymbol)]


def test_a_symbol_stands_where_the_chord_changes():
    score = piece(["C:maj", "A:min7", "A:min7", "F#:min7(b5)"], start=1.3, key=0)
    assert symbols(score) == [(0, "C"), (4, "Am7"), (12, "F♯m7♭5")]


def test_changes_go_to_the_beat_that_they_fill():
    places = [0, 1.6, 2.9, 3.4, 8, 16]  # the chord from 2.9 to 3.4 sounds in no middle of a beat
    score = piece(["C:maj", "G:7", "D:min", "C:maj", "F:maj"], places=places, key=0)
    assert symbols(score) == [(0, "C"), (2, "G7"), (3, "C"), (8, "F")]


def test_silence():
    score = piece(["N", "C:maj", "N", "C:maj", "N", "G:maj", "N"], places=[0, 4, 6, 7, 8, 12, 14, 16], key=0)
    # a bar of it is written, a beat in between is not, and none at the end
    assert symbols(score) == [(0, "N.C."), (4, "C"), (8, "N.C."), (12, "G")]


def test_chords_come_with_an_analysis_and_can_be_left_out():
    times = 0.5 * np.arange(9)
    beats = beats_from_times(times, np.arange(9) % 4, numerator=4, denominator=4)
    analysis = Analysis(duration=4.0, beats=beats, chords=(Chord(0, 2, "C:maj"), Chord(2, 4, "G:7")))
    notes = Notes.from_arrays(times[:-1], times[1:], 60 + np.arange(8))
    assert [name for _, name in symbols(to_score(notes, analysis))] == ["C", "G7"]
    assert symbols(to_score(notes, analysis, chords=())) == []
    assert symbols(to_score(notes, beats)) == []


def test_three_four_and_a_pick_up():
    times = 0.5 * np.arange(11)
    beats = beats_from_times(times, (np.arange(11) + 2) % 3, numerator=3, denominator=4)
    notes = Notes.from_arrays(times[:-1], times[1:], 60 + np.arange(10))
    chords = [Chord(0, 0.5, "N"), Chord(0.5, 2.0, "C:maj"), Chord(2.0, 5.0, "G:7")]
    score = to_score(notes, beats, chords=chords, key=0)
    assert score.measures[0].end.t == 24
    assert symbols(score) == [(1, "C"), (4, "G7")]


def test_musicxml_and_back(tmp_path):
    labels = ["N", "F#:min7/b3", "Bb:maj7", "G:sus4(b7)", "E:7(b9)", "C:maj(9)"]
    score = piece(labels, places=[0, 4, 6, 7, 9, 11, 16], key=3)
    expected = [(0, "N.C."), (4, "F♯m7/A"), (6, "B♭maj7"), (7, "G7sus4"), (9, "E7(♭9)"), (11, "C(add9)")]
    assert symbols(score) == expected
    root = ElementTree.fromstring(score.to_musicxml())
    kinds = [(k.text, k.get("text")) for k in root.iter("kind")]
    assert kinds == [
        ("none", "N.C."),
        ("minor-seventh", "m7"),
        ("major-seventh", "maj7"),
        ("suspended-fourth", "7sus4"),
        ("dominant", "7(♭9)"),
        ("major", "(add9)"),
    ]
    for harmony in root.iter("harmony"):
        order = [child.tag for child in harmony]
        assert order == [tag for tag in ("root", "kind", "bass", "offset", "staff") if tag in order]
    # the second bar: whole notes, so that three of the changes lie inside one
    second = root.findall("part/measure")[1]
    assert [h.findtext("offset") for h in second.findall("harmony")] == [None, "48", "72"]
    for suffix in (".musicxml", ".mxl"):
        again = load_score(score.save(tmp_path / f"song{suffix}"))
        assert symbols(again) == expected
        assert again.to_musicxml().count(b"<harmony") == 6


def test_symbols_of_other_programs_are_read(tmp_path):
    """Without a suffix the kind speaks; what is no chord is left alone."""
    text = piece(["C:maj", "G:7"], places=[0, 4, 16], key=0).to_musicxml().decode()
    text = text.replace('<kind text="7">', "<kind>")
    (tmp_path / "other.musicxml").write_text(text, encoding="utf-8")
    assert symbols(load_score(tmp_path / "other.musicxml")) == [(0, "C"), (4, "G7")]


def test_the_page_shows_them():
    page = piece(["N", "F#:min7", "C:maj/3", "B:dim"], key=0).to_svg()[0]
    drawn = [
        "".join(re.findall(r"<tspan[^>]*>([^<]+)</tspan>", block))
        for block in re.findall(r'<g [^>]*class="harm".*?</g>', page, re.DOTALL)
    ]
    assert len(drawn) == 4
    assert drawn[0] == "N.C." and drawn[2] == "C/E" and drawn[3] == "Bdim"
    assert drawn[1].startswith("F") and drawn[1].endswith("m7")
