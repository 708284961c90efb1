"""Engraving: MusicXML to pages.

verovio draws the pages as SVG; `score.pdf` turns them into one PDF.
"""

from __future__ import annotations

import re

from spartito.errors import MissingExtraError, NotesError

__all__ = ["engrave"]

PAGE_WIDTH, PAGE_HEIGHT = 2100, 2970  # A4 in tenths of a millimetre
MARGIN = 120  # tenths of a millimetre
TITLE_SIZE = 1.7  # against the text of the page
SCALE = 88  # per cent: a staff of 6.3 mm, usual for piano music


def engrave(musicxml: bytes) -> list[str]:
    """Pages of a score (MusicXML, UTF-8) as SVG documents."""
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
            "pageMarginLeft": MARGIN,
            "pageMarginRight": MARGIN,
            "pageMarginTop": MARGIN,
            "pageMarginBottom": MARGIN,
            "footer": "none",
            "breaks": "auto",
            "svgRemoveXlink": False,
        }
    )
    if not toolkit.loadData(musicxml.decode("utf-8")):
        raise NotesError("the score cannot be engraved: verovio does not accept its MusicXML")
    pages = [toolkit.renderToSVG(page) for page in range(1, toolkit.getPageCount() + 1)]
    pages[0] = _larger_title(pages[0])
    return pages


def _larger_title(page: str) -> str:
    """verovio prints all credits of a MusicXML file in one size; the centred one is the title."""
    head = page.find('class="pgHead')
    title = re.compile(r'(text-anchor="middle".*?font-size=")(\d+)(px)', re.DOTALL)
    if head < 0:
        return page
    return page[:head] + title.sub(lambda m: f"{m[1]}{round(int(m[2]) * TITLE_SIZE)}{m[3]}", page[head:], count=1)
