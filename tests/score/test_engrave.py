"""What verovio is given: voices filled up before a change of clef, nothing else touched."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

pytest.importorskip("lxml", reason="the extra 'score' is not installed")

from spartito.score.engrave import _voices_filled

NOTE = "<note><pitch><step>C</step><octave>4</octave></pitch><duration>{}</duration><voice>{}</voice>{}</note>"
CLEF = "<attributes><clef number='2'><sign>G</sign></clef></attributes>"


def piece(second_bar: str, *, middle: int = 96) -> bytes:
    """A bar of 4/4 in which voice 3 lasts `middle` ticks and voice 4 lasts 24, and another bar."""
    one = NOTE.format(96, 1, "<staff>1</staff>") + "<backup><duration>96</duration></backup>"
    two = NOTE.format(middle, 3, "<staff>2</staff>") + f"<backup><duration>{middle}</duration></backup>"
    short = NOTE.format(24, 4, "<staff>2</staff>")
    bar = f"<measure><attributes><divisions>24</divisions></attributes>{one}{two}{short}</measure>"
    return f"<score-partwise><part>{bar}<measure>{second_bar}</measure></part></score-partwise>".encode()


def length(measure) -> dict[str, int]:
    """Ticks of each voice."""
    found: dict[str, int] = {}
    for note in measure.iter("note"):
        voice = note.findtext("voice")
        found[voice] = found.get(voice, 0) + int(note.findtext("duration"))
    return found


def test_a_voice_that_falls_silent_before_a_clef_gets_hidden_rests():
    measure = next(ElementTree.fromstring(_voices_filled(piece(CLEF))).iter("measure"))
    assert length(measure) == {"1": 96, "3": 96, "4": 96}
    rests = [note for note in measure.iter("note") if note.find("rest") is not None]
    assert [(r.get("print-object"), r.findtext("type"), len(r.findall("dot"))) for r in rests] == [("no", "half", 1)]


def test_the_way_back_from_a_filled_voice_is_longer():
    measure = next(ElementTree.fromstring(_voices_filled(piece(CLEF, middle=30))).iter("measure"))
    assert length(measure) == {"1": 96, "3": 96, "4": 96}
    assert [b.findtext("duration") for b in measure.iter("backup")] == ["96", "96"]


def test_other_bars_stay_as_they_are():
    measure = next(ElementTree.fromstring(_voices_filled(piece(""))).iter("measure"))
    assert length(measure) == {"1": 96, "3": 96, "4": 24}
