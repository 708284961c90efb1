"""Engraving: MusicXML to pages.

verovio draws the pages as SVG; `score.pdf` turns them into one PDF.

verovio (6.4.1) puts a clef that changes at a bar line behind the last thing that the last voice of the bar before
holds, so that after a second voice which falls silent early the clef stands in the middle of the bar. Such voices are
filled up with rests that are not printed, in what verovio is given and nowhere else.

It also loses the end of a tie where the other hand ties the same key in between, and ends it bars later, wherever that
key is tied again (https://github.com/rism-digital/verovio/issues/4397 is one of the causes): ties are compared with
those of the MusicXML, by the names of their notes, and set right in its own MEI when they differ.
"""

from __future__ import annotations

import re
from itertools import pairwise

from spartito.errors import MissingExtraError, NotesError
from spartito.score.signs import timed_notes

__all__ = ["engrave"]

PAGE_WIDTH, PAGE_HEIGHT = 2100, 2970  # A4 in tenths of a millimetre
MARGIN = 120  # tenths of a millimetre
HEADER_SPACE = 4.0  # staff spaces between title and music, with room for chord symbols
TITLE_SIZE = 1.7  # against the text of the page
LONG_TITLE = 45  # letters from which on a title is printed smaller, to keep clear of the composer
SCALE = 88  # per cent: a staff of 6.3 mm, usual for piano music
_MEI, _ID = "{http://www.music-encoding.org/ns/mei}", "{http://www.w3.org/XML/1998/namespace}id"
_VALUES = {  # quarter notes: (type, dots), longest first
    4.0: ("whole", 0),
    3.0: ("half", 1),
    2.0: ("half", 0),
    1.5: ("quarter", 1),
    1.0: ("quarter", 0),
    0.75: ("eighth", 1),
    0.5: ("eighth", 0),
    0.25: ("16th", 0),
    0.125: ("32nd", 0),
}


def engrave(musicxml: bytes) -> list[str]:
    """Pages of a score (MusicXML, UTF-8) as SVG documents.

    Raises
    ------
    MissingExtraError
        When verovio is not installed.
    NotesError
        When it does not accept the MusicXML.
    """
    try:
        import verovio
    except ImportError as error:
        raise MissingExtraError("verovio", extra="score", purpose="engraving a score") from error
    verovio.enableLog(verovio.LOG_OFF)
    toolkit = verovio.toolkit()
    toolkit.setOptions(
        {
            "pageWidth": PAGE_WIDTH * 100 // SCALE,
            "pageHeight": PAGE_HEIGHT * 100 // SCALE,
            "scale": SCALE,
            "header": "auto",
            "bottomMarginHeader": HEADER_SPACE,
            "pageMarginLeft": MARGIN,
            "pageMarginRight": MARGIN,
            "pageMarginTop": MARGIN,
            "pageMarginBottom": MARGIN,
            "footer": "none",
            "breaks": "auto",
            "svgRemoveXlink": False,
        }
    )
    if not toolkit.loadData(_voices_filled(musicxml).decode("utf-8")):
        raise NotesError("the score cannot be engraved: verovio does not accept its MusicXML")
    mended = _ties_mended(toolkit.getMEI(), _ties(musicxml))
    if mended is not None:
        toolkit.loadData(mended)
    pages = [toolkit.renderToSVG(page) for page in range(1, toolkit.getPageCount() + 1)]
    pages[0] = _larger_title(pages[0], musicxml)
    return pages


def _voices_filled(content: bytes) -> bytes:
    """The same MusicXML with unprinted rests at the end of early silent voices in bars before a change of clef."""
    from lxml import etree

    root = etree.fromstring(content)
    for part in root.iter("part"):
        measures, divisions = part.findall("measure"), 1
        for measure, following in pairwise(measures):
            divisions = int(measure.findtext("attributes/divisions") or divisions)
            staves = {clef.get("number", "1") for clef in following.findall("attributes/clef")}
            if staves:
                _fill(measure, staves, divisions, etree)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def _fill(measure, staves: set[str], divisions: int, etree) -> None:
    ends: dict[str, tuple] = {}  # voice: (staff, its last element, where it ends)
    for note, onset in timed_notes(measure):
        end = onset + int(note.findtext("duration") or 0)
        ends[note.findtext("voice", "1")] = (note.findtext("staff", "1"), note, end)
    reach = max((end for _, _, end in ends.values()), default=0)
    for voice, (staff, last, end) in ends.items():
        following = next(last.itersiblings("backup", "note", "forward"), None)
        if staff not in staves or end == reach or not (following is None or following.tag == "backup"):
            continue
        at = end
        for length, (kind, dots) in _VALUES.items():
            while at + length * divisions <= reach:
                rest = etree.Element("note", {"print-object": "no"})
                etree.SubElement(rest, "rest")
                etree.SubElement(rest, "duration").text = str(round(length * divisions))
                etree.SubElement(rest, "voice").text = voice
                etree.SubElement(rest, "type").text = kind
                for _ in range(dots):
                    etree.SubElement(rest, "dot")
                etree.SubElement(rest, "staff").text = staff
                last.addnext(rest)
                last, at = rest, at + round(length * divisions)
        if following is not None:
            duration = following.find("duration")
            duration.text = str(int(duration.text) + at - end)


def _ties(content: bytes) -> dict[str, str]:
    """Name of the tied note that follows each; notes without a name are left out."""
    from lxml import etree

    ties, begun = {}, {}
    for note in etree.fromstring(content).iter("note"):
        kinds = {tie.get("type") for tie in note.findall("tie")}
        key = tuple(note.findtext(path) for path in ("voice", "pitch/step", "pitch/alter", "pitch/octave"))
        name = note.get("id")
        if "stop" in kinds and begun.get(key) and name:
            ties[begun.pop(key)] = name
        if "start" in kinds and name:
            begun[key] = name
    return ties


def _ties_mended(mei: str, ties: dict[str, str]) -> str | None:
    """The MEI with these ties and no others, or None when it has them already (or its notes have no names)."""
    from lxml import etree

    root = etree.fromstring(mei.encode("utf-8"))
    drawn = {tie.get("startid", "")[1:]: tie for tie in root.iter(f"{_MEI}tie")}
    if not ties or ties == {start: tie.get("endid", "")[1:] for start, tie in drawn.items()}:
        return None
    for start, tie in drawn.items():
        if start not in ties:
            tie.getparent().remove(tie)
    measures = {
        note.get(_ID): measure for measure in root.iter(f"{_MEI}measure") for note in measure.iter(f"{_MEI}note")
    }
    for start, end in ties.items():
        if start in measures and end in measures:
            tie = (
                drawn[start] if start in drawn else etree.SubElement(measures[start], f"{_MEI}tie", startid=f"#{start}")
            )
            tie.set("endid", f"#{end}")
    return etree.tostring(root, encoding="unicode")


def _larger_title(page: str, musicxml: bytes) -> str:
    """verovio prints all credits of a MusicXML file in one size; the centred one is the title."""
    from lxml import etree

    head = page.find('class="pgHead')
    title = re.compile(r'(text-anchor="middle".*?font-size=")(\d+)(px)', re.DOTALL)
    if head < 0:
        return page
    length = len(etree.fromstring(musicxml).findtext("work/work-title") or "")
    size = max(1.0, TITLE_SIZE * min(1.0, LONG_TITLE / max(length, 1)))
    return page[:head] + title.sub(lambda m: f"{m[1]}{round(int(m[2]) * size)}{m[3]}", page[head:], count=1)
