"""Chord names to numbers and back."""

import numpy as np
import pytest

from spartito.analysis.harte import QUALITIES, absolute, encode, is_no_chord, label_of, spelled, transpose
from spartito.errors import ParameterError


def bits(*semitones):
    out = np.zeros(12, dtype=int)
    out[list(semitones)] = 1
    return out.tolist()


@pytest.mark.parametrize(
    ("label", "root", "above", "bass"),
    [
        ("C:maj", 0, (0, 4, 7), 0),
        ("F#", 6, (0, 4, 7), 0),
        ("Bb:min7/b3", 10, (0, 3, 7, 10), 3),
        ("G:sus4(b7)", 7, (0, 5, 7, 10), 0),
        ("D:maj/2", 2, (0, 2, 4, 7), 2),  # the bass sets its own bit
        ("A:9(*3)", 9, (0, 7, 10), 0),
        ("E:(1,b3,b5)", 4, (0, 3, 6), 0),
        ("Cb:maj", 11, (0, 4, 7), 0),
        ("N", -1, (), -1),
        ("X", -1, (), -1),
    ],
)
def test_names_become_numbers(label, root, above, bass):
    found = encode(label)
    assert (found[0], found[1].tolist(), found[2]) == (root, bits(*above), bass)


def test_numbers_are_those_of_mir_eval():
    chord = pytest.importorskip("mir_eval.chord")
    for quality in (q for q in QUALITIES if q in chord.QUALITIES and chord.CHORD_RE.match(f"C:{q}")):
        for suffix in ("", "/3", "/b7", "/5", "(9)", "(*5)"):
            label = f"Eb:{quality}{suffix}"
            root, above, bass = chord.encode(label)
            mine = encode(label)
            assert (mine[0], mine[1].tolist(), mine[2]) == (root, above.tolist(), bass), label


def test_sounding_pitch_classes():
    root, sounding, bass = absolute("G:7/3")
    assert (root, sounding.tolist(), bass) == (7, bits(7, 11, 2, 5), 11)
    assert absolute("N")[2] == -1


def test_transposition_keeps_quality_and_bass():
    assert transpose("C:maj7/3", 2) == "D:maj7/3"
    assert transpose("Bb:min", 3) == "C#:min"
    assert transpose("Bb:min", 3, key="Ab:maj") == "Db:min"
    assert transpose("N", 5) == "N"
    for semitones in range(-12, 13):
        moved = encode(transpose("F#:hdim7/b3", semitones))
        assert moved[0] == (6 + semitones) % 12
        assert moved[1].tolist() == encode("F#:hdim7/b3")[1].tolist()


def test_names_from_numbers():
    assert label_of(9, "min") == "A:min"
    assert label_of(-1) == "N"
    assert label_of(0, "maj", bass=7) == "C:maj/5"
    assert label_of(0, "maj", bass=0) == "C:maj"
    assert label_of(10, "7", bass=8, key="Eb:maj") == "Bb:7/b7"
    assert encode(label_of(3, "min7", bass=10))[2] == 7


def test_spelling_follows_the_key():
    assert [spelled(6, key=key) for key in ("D:maj", "Db:maj", "E:min", "F:min")] == ["F#", "Gb", "F#", "Gb"]


@pytest.mark.parametrize("label", ["H:maj", "C:major", "maj", "C:maj/14", "C:(z)", "C maj"])
def test_what_is_no_chord_name_is_refused_in_words(label):
    with pytest.raises(ParameterError, match=r"chord name|degree|note"):
        encode(label)


def test_no_chord_has_three_names():
    assert all(is_no_chord(name) for name in ("N", "X", ""))
    assert not is_no_chord("C")
