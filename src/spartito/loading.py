"""`load`: any file that spartito works on, as the value type it belongs to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from spartito.errors import AudioError, NotesError

if TYPE_CHECKING:
    from spartito.audio.audio import Audio
    from spartito.notes.notes import Notes
    from spartito.score.score import Score

__all__ = ["TABLE_SUFFIXES", "XML_SUFFIXES", "load", "load_notes"]

TABLE_SUFFIXES = (".csv", ".tsv")
XML_SUFFIXES = (".musicxml", ".mxl", ".xml")


def load(path: str | os.PathLike) -> Audio | Notes | Score:
    """Read a file by what it is: a recording, notes, or a written score.

    Parameters
    ----------
    path : str or Path
        `.mid` and its kin and `.csv`, `.tsv` give `Notes`; `.musicxml`, `.mxl`, `.xml` give `Score`;
        everything else is taken as a recording and gives `Audio`.

    Raises
    ------
    AudioError, NotesError
        The file is missing, damaged or of another kind.
    """
    from spartito.notes.midi import MIDI_SUFFIXES

    suffix = Path(path).suffix.lower()
    if suffix in MIDI_SUFFIXES or suffix in TABLE_SUFFIXES:
        return load_notes(path)
    if suffix in XML_SUFFIXES:
        from spartito.score.score import load_score

        return load_score(path)
    if Path(path).is_dir():
        raise AudioError(f"{path} is a folder; one file is needed")
    from spartito.audio.io import load_audio

    return load_audio(path)


def load_notes(path: str | os.PathLike) -> Notes:
    """Notes of a MIDI file, or of a `.csv` or `.tsv` table.

    Raises
    ------
    NotesError
        The file is missing, damaged, or neither.
    """
    from spartito.notes.midi import read_midi
    from spartito.notes.table import read_csv

    path = Path(path)
    if path.is_dir():
        raise NotesError(f"{path} is a folder; a MIDI file or a table of notes is needed")
    return read_csv(path) if path.suffix.lower() in TABLE_SUFFIXES else read_midi(path)
