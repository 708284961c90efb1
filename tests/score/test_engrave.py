"""What verovio is given: voices filled up before a change of clef, nothing else touched."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

pytest.importorskip("lxml", reason="the extra 'score' is not installed")

from spartito.score.engrave import _larger_title, _ties, _ties_mended, _voices_filled

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


TIED = (
    """<note id="{}"><pitch><step>D</step><octave>4</octave></pitch><duration>24</duration>{}<voice>{}</voice></note>"""
)
START, STOP = '<tie type="start"/>', '<tie type="stop"/>'
MEI = (
    '<mei xmlns="http://www.music-encoding.org/ns/mei">'
    '<measure><note xml:id="a"/>{}</measure>'
    '<measure><note xml:id="x"/><note xml:id="y"/><note xml:id="b"/>{}</measure>'
    '<measure><note xml:id="c"/></measure></mei>'
)


def tie(start, end):
    return f'<tie startid="#{start}" endid="#{end}"/>'


def test_ties_are_those_of_the_musicxml():
    """The left hand (voice 3) ties a to b over the bar line, the right one (voice 1) x to y inside the second bar."""
    first = TIED.format("a", START, 3)
    second = TIED.format("x", START, 1) + TIED.format("y", STOP, 1) + TIED.format("b", STOP, 3)
    third = TIED.format("c", "", 3)
    parts = "".join(f"<measure>{bar}</measure>" for bar in (first, second, third))
    ties = _ties(f"<score-partwise><part>{parts}</part></score-partwise>".encode())
    assert ties == {"a": "b", "x": "y"}
    assert _ties_mended(MEI.format(tie("a", "b"), tie("x", "y")), ties) is None
    for wrong in (MEI.format(tie("a", "c"), tie("x", "y")), MEI.format("", tie("x", "y") + tie("b", "c"))):
        root = ElementTree.fromstring(_ties_mended(wrong, ties))
        found = [[t.attrib for t in measure.iter() if t.tag.endswith("}tie")] for measure in root]
        assert found == [
            [{"startid": "#a", "endid": "#b"}],
            [{"startid": "#x", "endid": "#y"}],
            [],
        ]


def test_notes_without_names_keep_their_ties():
    text = TIED.format("a", START, 3) + TIED.format("b", STOP, 3)
    text = text.replace(' id="a"', "").replace(' id="b"', "")
    assert _ties(f"<score-partwise><part>{text}</part></score-partwise>".encode()) == {}
    assert _ties_mended(MEI.format(tie("a", "c"), ""), {}) is None


@pytest.mark.parametrize(("title", "size"), [("Gymnopédie", 17), ("A" * 60, 13), ("A" * 200, 10)])
def test_a_long_title_is_printed_smaller(title, size):
    page = '<g class="pgHead"><text text-anchor="middle" x="1"><tspan font-size="10px">T</tspan></text></g>'
    xml = f"<score-partwise><work><work-title>{title}</work-title></work></score-partwise>".encode()
    assert f'font-size="{size}px"' in _larger_title(page, xml)
    assert _larger_title("<g/>", xml) == "<g/>"
