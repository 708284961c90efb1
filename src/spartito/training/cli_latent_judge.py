"""`spartito train latent-judge`: who tells the genre of a window, for the control term and for measuring."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["attach"]


def attach(app: typer.Typer) -> None:
    """Add the command to `spartito train`."""
    app.command("latent-judge")(latent_judge)


def latent_judge(
    store: Annotated[Path, typer.Argument(help="Store of `train latent-data`.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the judge.")],
    kind: Annotated[str, typer.Option(help="conv or recurrent.")] = "conv",
    half: Annotated[int, typer.Option(help="0 or 1: half of the songs, by their names; -1: all.")] = -1,
    bars: Annotated[int, typer.Option(help="Of a window.")] = 2,
    steps: Annotated[int, typer.Option(help="Of training, with 64 windows each.")] = 1_200,
    licence: Annotated[
        list[str] | None, typer.Option(help="Of the songs: free, NC or unclear; all if not given.")
    ] = None,
    seed: int = 0,
):
    """Train a judge of tags, and say how often it is right on test songs, beside a linear model."""
    from spartito.training.band_judge import train_judge

    train_judge(
        store, output, kind=kind, half=half, bars=bars, steps=steps, licences=licence, seed=seed, report=typer.echo
    )
