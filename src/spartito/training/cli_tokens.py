"""`spartito train prepare-tokens` and `spartito train tokens`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["attach"]


def attach(app: typer.Typer) -> None:
    """Add the commands of the token model to `spartito train`."""
    app.command("prepare-tokens")(prepare)
    app.command("tokens")(tokens)


def prepare(
    bands: Annotated[Path, typer.Argument(help="Bands of `train bands`.")],
    store: Annotated[Path, typer.Argument(help="Store of `prepare-arranger`, to which hands are added.")],
    split: Annotated[list[str] | None, typer.Option(help="Splits of bands; all if not given.")] = None,
):
    """Give every note of the arrangements to a hand; those that are there are passed over."""
    from spartito.training.data.token_windows import prepare_hands

    splits = split or ("validation", "test", "train")
    typer.echo(f"{prepare_hands(bands, store, splits=splits, report=typer.echo)} recordings added")


def tokens(
    store: Annotated[Path, typer.Argument(help="Store of `prepare-arranger` and `prepare-tokens`.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the run; an interrupted one goes on.")],
    stage: Annotated[str, typer.Option(help="evidence or all.")] = "all",
    config: Annotated[str, typer.Option(help="tiny or small.")] = "small",
    init: Annotated[Path | None, typer.Option(help="Run or weights to start from: tokens or an arranger.")] = None,
    styles: Annotated[Path | None, typer.Option(help="Styles of `train styles`.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Setting, as loop.steps=1000.")] = None,
    name: Annotated[str, typer.Option(help="Name of the model.")] = "my-tokens",
    licence: Annotated[str, typer.Option(help="Licence of the weights, for the card.")] = "not stated",
    data: Annotated[str, typer.Option(help="What it was trained on, for the card.")] = "not stated",
):
    """Train the token model of covers: first what is heard, key by key (--stage evidence), then all of it."""
    from spartito.training.token_commands import train_tokens

    folder = train_tokens(
        store,
        output,
        stage=stage,
        config=config,
        init=init,
        styles=styles,
        settings=set_ or [],
        card={"name": name, "licence": licence, "data": data},
        report=typer.echo,
    )
    typer.echo(f"run: {folder}")
