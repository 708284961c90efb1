"""Engraving: MusicXML to pages.

verovio draws the pages as SVG; svglib and reportlab turn them into one PDF.
"""

from __future__ import annotations

from pathlib import Path

from spartito.errors import MissingExtraError, NotesError

__all__ = ["engrave", "write_pdf"]

PAGE_WIDTH, PAGE_HEIGHT = 2100, 2970  # A4 in tenths of a millimetre
SCALE = 40  # per cent: a staff of about 7 mm, usual for piano music


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
            "footer": "none",
            "breaks": "auto",
            "svgRemoveXlink": False,
        }
    )
    if not toolkit.loadData(musicxml.decode("utf-8")):
        raise NotesError("the score cannot be engraved: verovio does not accept its MusicXML")
    return [toolkit.renderToSVG(page) for page in range(1, toolkit.getPageCount() + 1)]


def write_pdf(pages: list[str], path: Path, *, title: str = "", composer: str = "") -> None:
    """Write SVG pages as one A4 PDF."""
    try:
        from reportlab.graphics import renderPDF
        from reportlab.lib.pagesizes import A4
        from reportlab.pdfgen.canvas import Canvas
        from svglib.svglib import svg2rlg
    except ImportError as error:
        raise MissingExtraError("svglib and reportlab", extra="score", purpose="writing PDF") from error
    import io

    canvas = Canvas(str(path), pagesize=A4)
    canvas.setTitle(title or "Score")
    canvas.setAuthor(composer)
    for page in pages:
        drawing = svg2rlg(io.BytesIO(page.encode("utf-8")))
        factor = A4[0] / drawing.width
        canvas.saveState()
        canvas.scale(factor, factor)
        renderPDF.draw(drawing, canvas, 0, A4[1] / factor - drawing.height)
        canvas.restoreState()
        canvas.showPage()
    canvas.save()
