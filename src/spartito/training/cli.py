"""`spartito train ...`: the commands of the training side. Only calls the functions of `training/`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spartito.errors import ParameterError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Train models on your own data.", add_completion=False)


@app.command("prepare")
def prepare(
    store: Annotated[Path, typer.Argument(help="Folder for the prepared data.")],
    maps: Annotated[Path | None, typer.Option(help="MAPS, original or FLAC+TSV layout.")] = None,
    maestro: Annotated[Path | None, typer.Option(help="MAESTRO v1, v2 or v3.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Recordings beside MIDI files of the same name.")] = None,
    midi: Annotated[Path | None, typer.Option(help="MIDI files to play on SoundFonts.")] = None,
    soundfont: Annotated[
        list[Path] | None, typer.Option(help="To play MIDI on; all that are found if not given.")
    ] = None,
    hours: Annotated[float, typer.Option(help="Of recordings made from MIDI.")] = 5.0,
    protocol: Annotated[str, typer.Option(help="strict: no test composition in training; all.")] = "strict",
    seed: int = 0,
    semitones: Annotated[int, typer.Option(help="Widest transposition of MIDI.")] = 4,
    split: Annotated[str, typer.Option(help="Of the MIDI files: train, validation or test.")] = "train",
):
    """Analyse recordings with labels, or make some from MIDI, into stores for `train transcription`.

    Recordings go to STORE/train, STORE/validation and STORE/test; what is made from MIDI to STORE itself. With
    --midi, recordings given by --maps or --maestro are not prepared: their test pieces are kept out of the MIDI.
    """
    from spartito.render.soundfont import soundfonts_at_hand
    from spartito.training import commands
    from spartito.training.data.folder import list_folder
    from spartito.training.data.maestro import list_maestro
    from spartito.training.data.maps import list_maps

    recordings = []
    if maps:
        recordings += list_maps(maps, protocol=protocol)
    if maestro:
        recordings += list_maestro(maestro)
    if folder:
        recordings += list_folder(folder)
    if midi:
        commands.prepare_midi(
            midi,
            store,
            soundfonts=soundfont or soundfonts_at_hand(),
            hours=hours,
            seed=seed,
            semitones=semitones,
            split=split,
            exclude=[r for r in recordings if r.split == "test"] if protocol == "strict" else [],
            report=typer.echo,
        )
    elif recordings:
        typer.echo(commands.prepare_recordings(recordings, store, report=typer.echo))
    else:
        raise ParameterError("give at least one of --maps, --maestro, --folder, --midi")


@app.command("transcription")
def transcription(
    store: Annotated[list[str], typer.Argument(help="Stores to train on, each FOLDER or FOLDER=SHARE of the crops.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the run; an interrupted one goes on.")],
    validation: Annotated[Path | None, typer.Option(help="Store to fit thresholds on.")] = None,
    config: Annotated[str, typer.Option(help="tiny, small or paper.")] = "small",
    set_: Annotated[list[str] | None, typer.Option("--set", help="Setting, as loop.steps=1000.")] = None,
    initial: Annotated[Path | None, typer.Option(help="model.safetensors to start from.")] = None,
    name: Annotated[str, typer.Option(help="Name of the model.")] = "my-transcriber",
    licence: Annotated[str, typer.Option(help="Licence of the weights, for the card.")] = "not stated",
    data: Annotated[str, typer.Option(help="What it was trained on, for the card.")] = "not stated",
):
    """Train a transcriber; writes OUTPUT/model, which `spartito transcribe --model` takes."""
    from spartito.training.commands import train_transcription

    pools = []
    for text in store:
        path, _, share = text.partition("=")
        pools.append((Path(path), float(share or 1.0)))
    card = {"name": name, "licence": licence, "data": data}
    folder = train_transcription(
        pools,
        output,
        validation=validation,
        config=config,
        settings=set_ or [],
        initial=initial,
        card=card,
        report=typer.echo,
    )
    typer.echo(f"model: {folder}")
