"""Training Pop2Piano, as a function: `spartito train pop2piano` only calls it.

The folder of a run is a model at the end: config.json, generation_config.json and model.safetensors as `transformers`
has them, with what `spartito models` shows of a model in config.json, too. The first two are written at the beginning,
and say which row of the table is whose when a run goes on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from torch import Tensor

from spartito.errors import ParameterError
from spartito.files import atomic_path
from spartito.models.hub import find_model
from spartito.models.pop2piano import composer_rows, open_network
from spartito.models.pop2piano_input import MEL_BANDS
from spartito.models.pop2piano_network import Pop2PianoConfig, Pop2PianoNetwork
from spartito.models.pop2piano_tokens import COMPOSER, END, START
from spartito.training import pop2piano as job
from spartito.training.commands import override
from spartito.training.data.pop2piano_windows import WindowedPiece, labels_of, open_windows
from spartito.training.loop import fit

__all__ = ["describe", "train_pop2piano", "write_weights"]


def train_pop2piano(
    store: Path,
    output: Path,
    *,
    init: str | None = None,
    config: str | None = None,
    composer: str = "own",
    settings: Sequence[str] = (),
    card: dict | None = None,
    report: Callable[[str], None] = print,
) -> Path:
    """Train on a store, or go on with the run in `output`, which it returns.

    Parameters
    ----------
    store : folder of `train pairs` or `train bands` with `train` and perhaps `validation`
    init : weights to start from: the published ones by their name on the hub, or a folder. Their composers stay.
    config : "tiny", "tune" or "paper"; "tune" with `init`, else "paper"
    composer : who arranged what nobody is named for. A composer of `init` goes on learning, others get a new row.
    settings : changes to the configuration
    card : name, licence, data for `config.json`

    Raises
    ------
    ParameterError, ModelError
    """
    store, output = Path(store), Path(output)
    config = config or ("tune" if init else "paper")
    if config not in job.CONFIGS:
        raise ParameterError(f"the configuration is one of {', '.join(job.CONFIGS)}, not {config!r}")
    begun = (output / "checkpoint.pt").exists()
    recipe, state, names = job.CONFIGS[config], None, {}
    if begun:
        stated = json.loads((output / "config.json").read_text(encoding="utf-8"))
        recipe = replace(recipe, network=Pop2PianoConfig.from_dict(stated))
        names = composer_rows(output, count=recipe.network.composer_vocab_size)
    elif init:
        folder = find_model(init).folder
        made = open_network(folder)
        recipe, state = replace(recipe, network=Pop2PianoConfig.from_dict(made.config.to_dict())), made.state_dict()
        names = composer_rows(folder, count=recipe.network.composer_vocab_size)
    known, recipe = recipe.network, override(recipe, settings)
    if (begun or init) and replace(recipe.network, dropout_rate=known.dropout_rate) != known:
        raise ParameterError("the network is that of the weights to start from; only its dropout_rate can be set")
    if recipe.network.d_model != MEL_BANDS:
        raise ParameterError(f"the network is as wide as there are mel bands, {MEL_BANDS}")

    pieces = open_windows(store, "train", report=report)
    asked = sorted({_name(piece, composer) for piece in pieces})
    new = [name for name in asked if name not in names]
    if begun and new:
        raise ParameterError(f"{output} holds a run without {', '.join(new)}: take another folder")
    if not begun:
        count = (recipe.network.composer_vocab_size if names else 0) + len(new)
        names |= {name: count - len(new) + i for i, name in enumerate(new)}
        recipe = replace(recipe, network=replace(recipe.network, composer_vocab_size=count))
        describe(output, recipe, names, card=card or {}, init=init)
    report(f"{len(pieces)} pieces, {sum(map(len, pieces))} windows, composers: {', '.join(asked)}")
    if state is None:
        network = job.new_network(recipe)
    else:
        network = Pop2PianoNetwork.from_state(job.with_rows(state, count, seed=recipe.loop.seed), recipe.network)
    network.requires_grad_(True).mel_conditioner.requires_grad_(recipe.learn_composers)
    averaged = fit(
        network,
        loss=job.loss,
        batch_at=job.batches(pieces, [names[_name(piece, composer)] for piece in pieces], recipe),
        config=recipe.loop,
        folder=output,
        validate=_validation(store, names, recipe, composer, report),
        optimizer=job.adafactor,
        rate=job.constant,
        progress=lambda _, entry: report(json.dumps(entry)),
    )
    write_weights(output, averaged)
    return output


def _validation(store: Path, names: Mapping[str, int], recipe, composer: str, report):
    """Measures on the pieces for validation whose composers are known; None without any."""
    if not labels_of(store, "validation"):
        return None
    pieces = [p for p in open_windows(store, "validation", report=report) if _name(p, composer) in names]
    if not pieces:
        return None
    return job.make_validation(pieces, [names[_name(piece, composer)] for piece in pieces], recipe)


def _name(piece: WindowedPiece, unnamed: str) -> str:
    """As `--composer` can ask for it: commas, @ and spaces have a meaning there or in the names of files."""
    return re.sub(r"[,@\s]+", "-", piece.composer.strip()) or unnamed


# -- the folder -----------------------------------------------------------------------------------------------------


def describe(
    folder: Path, recipe: job.Pop2PianoRecipe, names: Mapping[str, int], *, card: dict, init: str | None = None
) -> None:
    """`config.json` and `generation_config.json` of a model."""
    network = asdict(recipe.network)
    stated = {
        "model_type": "pop2piano",
        "architectures": ["Pop2PianoForConditionalGeneration"],
        **network,
        "dense_act_fn": network["activation"],  # else transformers computes ReLU
        "tie_word_embeddings": network["scale_decoder_outputs"],  # which is what transformers means by it
        "decoder_start_token_id": START,
        "pad_token_id": START,
        "eos_token_id": END,
        "name": folder.name,
        "job": "arrangement",
        "architecture": "pop2piano",
        "licence": "not stated",
        "data": "not stated",
        "summary": f"piano covers in the manner of {', '.join(names)}",
        **card,
        "recipe": {name: value for name, value in asdict(recipe).items() if name != "network"},
        "init": init,
        "metrics": {},
    }
    generation = {
        "composer_to_feature_token": {name: COMPOSER + row for name, row in names.items()},
        "decoder_start_token_id": START,
        "pad_token_id": START,
        "eos_token_id": END,
        "max_length": recipe.tokens,
    }
    for name, content in (("config.json", stated), ("generation_config.json", generation)):
        with atomic_path(folder / name) as path:
            path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_weights(folder: Path, state: Mapping[str, Tensor]) -> None:
    """`model.safetensors`, float32 as the published ones: transformers computes in what it finds in the file."""
    from safetensors.torch import save

    whole = {name: value.detach().float().cpu().contiguous() for name, value in state.items()}
    with atomic_path(folder / "model.safetensors") as path:
        path.write_bytes(save(whole, metadata={"format": "pt"}))
