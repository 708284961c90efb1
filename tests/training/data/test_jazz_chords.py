"""Names of chords of the Weimar Jazz Database."""

from __future__ import annotations

import pytest

from spartito.errors import ParameterError
from spartito.training.data.jazz_chords import JazzChord, chord_label, parse_chord

SPELLED = {
    "C-7": (0, "min7", (), -1),
    "Cj7": (0, "maj7", (), -1),
    "Bb7alt": (10, "7", (13, 15, 20), -1),
    "F#o": (6, "dim", (), -1),
    "Ao7": (9, "dim7", (), -1),
    "C79b": (0, "7", (13,), -1),
    "G79b13b": (7, "7", (13, 20), -1),
    "Ab7911#": (8, "7", (14, 18), -1),
    "Dm7b5": (2, "hdim7", (), -1),
    "Eb69": (3, "maj6", (14,), -1),
    "E-69": (4, "min6", (14,), -1),
    "B-j7": (11, "minmaj7", (), -1),
    "Gsus79": (7, "sus4", (10, 14), -1),
    "C+79#": (0, "7", (15, 20), -1),
    "C+j7": (0, "maj7", (20,), -1),
    "Db": (1, "maj", (), -1),
    "A-": (9, "min", (), -1),
    "F-7/Eb": (5, "min7", (), 3),
    "C7/C": (0, "7", (), -1),  # the root as bass says nothing
}


@pytest.mark.parametrize(("name", "parts"), SPELLED.items())
def test_names_are_taken_apart(name, parts):
    assert parse_chord(name) == JazzChord(*parts)


def test_no_chord():
    assert parse_chord("NC") is None and parse_chord("") is None
    assert chord_label(None) == "N"


@pytest.mark.parametrize("name", ["H7", "C7b9", "Cmaj7", "C79bb", "C/H"])
def test_other_spellings_are_refused(name):
    with pytest.raises(ParameterError, match="database"):
        parse_chord(name)


def test_labels_are_those_of_harte():
    assert chord_label(parse_chord("Bb79b")) == "Bb:7"
    assert chord_label(parse_chord("F-7/Eb")) == "F:min7/b7"
