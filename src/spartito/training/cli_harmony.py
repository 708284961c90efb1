"""`spartito train harmony`: harmony and feel of genres, learned from a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["attach"]


def attach(app: typer.Typer) -> None:
    """Add the command to `spartito train`."""
    app.command("harmony")(harmony)


def harmony(
    store: Annotated[Path, typer.Argument(help="Store of genres, of `train genre`.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File of safetensors for the statistics.")],
    limit: Annotated[int, typer.Option(help="Stretches of each set to learn harmony from; 0: all.")] = 0,
):
    """Learn how genres choose chords, add tones to them, swing, push and stress: statistics for `restyle`."""
    from spartito.training.harmony import train_harmony

    train_harmony(store, output, limit=limit or None, report=typer.echo)
