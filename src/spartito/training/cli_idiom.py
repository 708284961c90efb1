"""`spartito train idiom`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["attach"]


def attach(app: typer.Typer) -> None:
    """Add the command of the idiom model to `spartito train`."""
    app.command("idiom")(idiom)


def idiom(
    store: Annotated[Path, typer.Argument(help="Store of `train genre`, with pieces of the three genres.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the run; an interrupted one goes on.")],
    cache: Annotated[Path | None, typer.Option(help="For prepared windows; beside the run if not given.")] = None,
    config: Annotated[str, typer.Option(help="tiny or small.")] = "small",
    init: Annotated[Path | None, typer.Option(help="Run or weights to start from.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Setting, as loop.steps=1000.")] = None,
    name: Annotated[str, typer.Option(help="Name of the model.")] = "my-idiom",
    licence: Annotated[str, typer.Option(help="Licence of the weights, for the card.")] = "not stated",
    data: Annotated[str, typer.Option(help="What it was trained on, for the card.")] = "not stated",
):
    """Train the model that writes an accompaniment in the manner of a genre (`restyle --engine idiom`)."""
    from spartito.training.idiom_commands import train_idiom

    folder = train_idiom(
        store,
        output,
        cache=cache,
        config=config,
        init=init,
        settings=set_ or [],
        card={"name": name, "licence": licence, "data": data},
        report=typer.echo,
    )
    typer.echo(f"run: {folder}")
