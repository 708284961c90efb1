"""`spartito train pop2piano`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["attach"]


def attach(app: typer.Typer) -> None:
    """Add the command to `spartito train`."""
    app.command("pop2piano")(pop2piano)


def pop2piano(
    store: Annotated[Path, typer.Argument(help="Store of `train pairs`, or bands of `train bands`.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the run; an interrupted one goes on.")],
    init: Annotated[
        str | None, typer.Option(help="Weights to start from: sweetcocoa/pop2piano, or a folder as the hub has it.")
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="tiny, tune or paper; tune with --init and paper without, if not given.")
    ] = None,
    composer: Annotated[str, typer.Option(help="Who arranged the covers that name nobody.")] = "own",
    set_: Annotated[list[str] | None, typer.Option("--set", help="Setting, as loop.steps=1000.")] = None,
    name: Annotated[str, typer.Option(help="Name of the model.")] = "my-pop2piano",
    licence: Annotated[str, typer.Option(help="Licence of the weights, for the card.")] = "not stated",
    data: Annotated[str, typer.Option(help="What it was trained on, for the card.")] = "not stated",
):
    """Train Pop2Piano, or go on with its published weights; OUTPUT is a model that `spartito cover --model` takes.

    The composers of the list that `train pairs` was given become composers of the model, beside those of --init.
    """
    from spartito.training.pop2piano_commands import train_pop2piano

    folder = train_pop2piano(
        store,
        output,
        init=init,
        config=config,
        composer=composer,
        settings=set_ or [],
        card={"name": name, "licence": licence, "data": data},
        report=typer.echo,
    )
    typer.echo(f"model: {folder}")
