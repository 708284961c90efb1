"""Engraving: MusicXML to pages.

verovio draws the pages as SVG; `score.pdf` turns them into one PDF.
"""

from __future__ import annotations

from spartito.errors import MissingExtraError, NotesError

__all__ = ["engrave"]

PAGE_WIDTH, PAGE_HEIGHT = 2100, 2970  # A4 in tenths of a millimetre
MARGIN = 120  # tenths of a millimetre
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
    return [toolkit.renderToSVG(page) for page in range(1, toolkit.getPageCount() + 1)]
