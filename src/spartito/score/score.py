"""`Score`: a written piece, and the files it can become.

A thin wrapper of partitura's score (measures, voices, staves, key, metre): partitura's object is in `.partitura`
for whoever wants to work on it, and this class knows how to save it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from spartito.errors import MissingExtraError, NotesError, OutputError
from spartito.files import atomic_path

__all__ = ["SCORE_SUFFIXES", "Score", "load_score"]

SCORE_SUFFIXES = (".musicxml", ".xml", ".mxl", ".pdf", ".svg", ".mid", ".midi")


@dataclass(frozen=True, eq=False)
class Score:
    """A written piece.

    Attributes
    ----------
    partitura : partitura.score.Score
        Its measures, notes, voices and staves.
    """

    partitura: object

    @property
    def part(self):
        """The piano part (partitura.score.Part)."""
        return self.partitura.parts[0]

    @property
    def title(self) -> str:
        """Empty when unknown."""
        return self.partitura.work_title or self.partitura.title or self.partitura.movement_title or ""

    @property
    def composer(self) -> str:
        """Empty when unknown."""
        return self.partitura.composer or ""

    @property
    def measures(self) -> list:
        """partitura.score.Measure objects in order."""
        import partitura.score

        return list(self.part.iter_all(partitura.score.Measure))

    def named(self, *, title: str = "", composer: str = "") -> Score:
        """The same score under another title or composer; empty ones change nothing."""
        from copy import copy

        piece = copy(self.partitura)
        if title:
            piece.work_title = piece.title = title
        if composer:
            piece.composer = composer
        return Score(piece)

    def to_musicxml(self) -> bytes:
        """The score as MusicXML 4.0 (UTF-8)."""
        from spartito.score.musicxml import musicxml

        return musicxml(self)

    def to_svg(self) -> list[str]:
        """Engraved pages as SVG documents."""
        from spartito.score.engrave import engrave

        return engrave(self.to_musicxml())

    def save(self, path) -> Path:
        """Write the score; the suffix chooses the format.

        `.musicxml` (or `.xml`), `.mxl` (compressed MusicXML), `.pdf` (all pages), `.svg` (one page; further pages
        beside it as `name-2.svg`, `name-3.svg`), `.mid` (the written, even times).

        Raises
        ------
        OutputError
            When the suffix is another, or the file cannot be written.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix not in SCORE_SUFFIXES:
            raise OutputError(f"a score is saved as {', '.join(SCORE_SUFFIXES)}, not as {path.name!r}")
        if suffix in (".musicxml", ".xml"):
            content = self.to_musicxml()
            with atomic_path(path) as tmp:
                tmp.write_bytes(content)
        elif suffix == ".mxl":
            from spartito.score.musicxml import write_mxl

            content = self.to_musicxml()
            with atomic_path(path) as tmp:
                write_mxl(content, tmp)
        elif suffix == ".svg":
            for i, page in enumerate(self.to_svg()):
                target = path if i == 0 else path.with_name(f"{path.stem}-{i + 1}{path.suffix}")
                with atomic_path(target) as tmp:
                    tmp.write_text(page, encoding="utf-8")
        elif suffix == ".pdf":
            from spartito.score.pdf import write_pdf

            pages = self.to_svg()
            with atomic_path(path) as tmp:
                write_pdf(pages, tmp, title=self.title, composer=self.composer)
        else:
            self._save_midi(path)
        return path

    def _save_midi(self, path: Path) -> None:
        import partitura

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with atomic_path(path) as tmp:
                partitura.save_score_midi(self.partitura, str(tmp))


def load_score(path) -> Score:
    """Read a score from MusicXML (`.musicxml`, `.xml`, `.mxl`).

    Raises
    ------
    NotesError
        When the file is missing or is no MusicXML.
    """
    try:
        import partitura
    except ImportError as error:
        raise MissingExtraError("partitura", extra="score", purpose="reading a score") from error
    from spartito.score.chord_symbols import read_harmonies
    from spartito.score.musicxml import parse_musicxml

    path = Path(path)
    if not path.is_file():
        raise NotesError(f"no such score: {path}")
    if path.suffix.lower() not in (".musicxml", ".xml", ".mxl"):
        raise NotesError(f"{path.name} is no score: .musicxml, .xml or .mxl is read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = partitura.load_musicxml(str(path))
        if loaded.parts:
            read_harmonies(parse_musicxml(path), loaded.parts[0])
        if not loaded.parts or not len(loaded.parts[0].notes):
            raise NotesError(f"{path.name} holds no notes")
    except NotesError:
        raise
    except Exception as error:  # partitura raises whatever its XML parser meets
        raise NotesError(f"{path.name} cannot be read as MusicXML: {error}") from error
    return Score(loaded)
