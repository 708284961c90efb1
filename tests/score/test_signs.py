"""Printed accidentals of hand-made bars, against what a copyist would write."""

from __future__ import annotations

import pytest

pytest.importorskip("lxml", reason="the extra 'score' is not installed")

from lxml import etree

from spartito.score.signs import write_accidentals

NAMES = {"sharp": "#", "flat": "b", "natural": "n", "double-sharp": "x", "flat-flat": "bb", None: ""}


def note(word: str) -> str:
    """'F#4', with '~' before it when tied from the note before, and ':2' behind it for the lower staff."""
    word, _, staff = word.partition(":")
    tie = '<tie type="stop"/>' if word.startswith("~") else ""
    word = word.lstrip("~")
    alter = word.count("#") - word[1:].count("b")
    pitch = f"<step>{word[0]}</step><alter>{alter}</alter><octave>{word[-1]}</octave>"
    staff = f"<staff>{staff or 1}</staff>"
    time = f"<duration>1</duration>{tie}<voice>1</voice><type>eighth</type><dot/>"
    return f"<note><pitch>{pitch}</pitch>{time}{staff}</note>"


def printed(*bars: str, fifths: int = 0) -> list[list[str]]:
    """The sign of each note of each bar."""
    key = f"<attributes><key><fifths>{fifths}</fifths></key></attributes>"
    measures = "".join(
        f"<measure>{key if i == 0 else ''}{''.join(map(note, bar.split()))}</measure>" for i, bar in enumerate(bars)
    )
    part = etree.fromstring(f"<part>{measures}</part>")
    write_accidentals(part, etree)
    first = [[NAMES[n.findtext("accidental")] for n in m.iter("note")] for m in part.iter("measure")]
    write_accidentals(part, etree)  # a second time changes nothing
    assert first == [[NAMES[n.findtext("accidental")] for n in m.iter("note")] for m in part.iter("measure")]
    return first


@pytest.mark.parametrize(
    ("bars", "fifths", "signs"),
    [
        (["C4 F#4 F#4 F4"], 0, [["", "#", "", "n"]]),
        (["F#4 F4 F4 F#4"], 1, [["", "n", "", "#"]]),
        (["Bb4 B4 Eb5 Ab4"], -2, [["", "n", "", "b"]]),
        (["F#4 F#5"], 0, [["#", "#"]]),  # another octave has its own sign
        (["F#4 F#4:2 F4"], 0, [["#", "#", "n"]]),  # so has the other staff
        (["F#4", "F#4", "F4", "F4"], 0, [["#"], ["#"], ["n"], [""]]),  # a courtesy after the bar line
        (["F#4", "~F#4 F#4 F4"], 0, [["#"], ["", "#", "n"]]),  # the tie carries it over the bar line, no further
        (["F##4 F#4"], 6, [["x", "#"]]),
        (["C4 D4 E4"], 0, [["", "", ""]]),
    ],
)
def test_accidentals(bars, fifths, signs):
    assert printed(*bars, fifths=fifths) == signs


def test_the_second_voice_is_read_in_time():
    """The lower voice, written later in the file, sounds first."""
    text = (
        f"<part><measure>{note('C4')}{note('F#4')}<backup><duration>2</duration></backup>{note('F#4')}</measure></part>"
    )
    part = etree.fromstring(text)
    write_accidentals(part, etree)
    assert [n.findtext("accidental") for n in part.iter("note")] == [None, None, "sharp"]


def test_the_sign_stands_where_musicxml_wants_it():
    part = etree.fromstring(f"<part><measure>{note('F#4')}</measure></part>")
    write_accidentals(part, etree)
    assert [child.tag for child in part.find("measure/note")] == [
        "pitch",
        "duration",
        "voice",
        "type",
        "dot",
        "accidental",
        "staff",
    ]
