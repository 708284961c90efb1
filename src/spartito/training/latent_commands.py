"""Preparing the data of the latent space and training it, as functions: `spartito train latent...` only calls them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from spartito.errors import ParameterError
from spartito.training.data.band_store import table, write_bands
from spartito.training.data.lakh import TAGS, lakh_bands, list_lakh, read_terms, top_terms
from spartito.training.data.multitrack import LICENCES, multitrack_bands
from spartito.training.data.orchestrated import orchestrated_bands, pop909_split

__all__ = ["prepare_bands"]

Report = Callable[[str], None]


def prepare_bands(
    store: Path,
    *,
    folders: Path | None = None,
    pop909: Path | None = None,
    lakh: Path | None = None,
    terms: Path | None = None,
    licences: Sequence[str] = LICENCES,
    bands: int = 2,
    compat: bool = False,
    report: Report = print,
) -> str:
    """Write sets of bands to a store; gives the table of its windows.

    Parameters
    ----------
    folders : one folder of MIDI files per genre, with a `manifest.csv` that tells licences
    pop909 : to be orchestrated, `bands` times each song
    lakh, terms : LMD-matched, and the words of the Million Song Dataset
    licences : of the files in `folders`
    compat : songs are taken and coded as the published program does, except for the cap on bands of one song
    """
    if folders is None and pop909 is None and lakh is None:
        raise ParameterError("give at least one of --folders, --pop909, --lakh")
    if lakh is not None and terms is None:
        raise ParameterError("--lakh needs --terms: the genre words of its songs")
    if folders is not None:
        found = multitrack_bands(folders, licences=licences, compat=compat, report=report)
        report(f"folders: {write_bands(store, 'folders', found)}")
    if lakh is not None:
        pieces = list(lakh_bands(list_lakh(lakh, read_terms(terms)), compat=compat, report=report))
        tags = top_terms(pieces, count=TAGS)
        report(f"lakh: {write_bands(store, 'lakh', pieces, tags=tags)}")
    if pop909 is not None:
        found = orchestrated_bands(pop909, bands=bands, report=report)
        report(f"pop909: {write_bands(store, 'pop909', found, split=pop909_split)}")
    return table(store, optional=(3,))
