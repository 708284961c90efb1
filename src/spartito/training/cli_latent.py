"""`spartito train latent-data` and `train latent`: the latent space of bands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["attach"]


def attach(app: typer.Typer) -> None:
    """Add the commands of the latent space to `spartito train`."""
    app.command("latent-data")(latent_data)


def latent_data(
    store: Annotated[Path, typer.Argument(help="Folder for the prepared bands.")],
    folders: Annotated[Path | None, typer.Option(help="Folders of multi-track MIDI files, one per genre.")] = None,
    pop909: Annotated[Path | None, typer.Option(help="POP909, to be given to bands.")] = None,
    lakh: Annotated[Path | None, typer.Option(help="LMD-matched.")] = None,
    terms: Annotated[
        Path | None, typer.Option(help="Genre words of --lakh: .csv or .json, or the folder of .h5 files.")
    ] = None,
    licence: Annotated[
        list[str] | None, typer.Option(help="Of files in --folders: free, NC or unclear; all if not given.")
    ] = None,
    bands: Annotated[int, typer.Option(help="For each song of --pop909.")] = 2,
    compat: Annotated[bool, typer.Option("--compat", help="Take and code songs as published.")] = False,
):
    """Turn songs into states of four tracks (drums, bass, guitar or piano, strings), split by song."""
    from spartito.training.data.multitrack import LICENCES
    from spartito.training.latent_commands import prepare_bands

    made = prepare_bands(
        store,
        folders=folders,
        pop909=pop909,
        lakh=lakh,
        terms=terms,
        licences=licence or LICENCES,
        bands=bands,
        compat=compat,
        report=typer.echo,
    )
    typer.echo(made)
