"""The classifiers of a pair of genres in its folder of weights: `classifier.onnx` and `judge.onnx`.

They take their numbers from the one `model.safetensors` of the pair, where those of the published layers stand under
`published.` and those of the independent network under `independent.`; `config.json` holds their sizes, temperatures
and measures under `judges`. `style/genres.py` runs them.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from spartito.errors import ModelError
from spartito.models.export import CONFIG, read_run, write_graph
from spartito.models.genre_classifier import KEYS, STEPS, GenreClassifierConfig, make_classifier

__all__ = ["GRAPHS", "judge_state", "write_judge_graphs"]

GRAPHS = {"published": ("classifier.onnx", 1), "independent": ("judge.onnx", 2)}  # file, channels of its input
TOLD = ("kind", "network", "parameters", "temperature", "metrics")  # of a run's configuration


def judge_state(published: Path, independent: Path) -> tuple[dict[str, Tensor], dict]:
    """Weights of two runs of `spartito train genre-classifier`, and what `config.json` says of them.

    Returns
    -------
    dict of Tensor
        Names begin with "published." and "independent.".
    dict
        `{"judges": {"published": {...}, "independent": {...}}}`
    """
    state, told, pairs = {}, {}, []
    for role, folder in (("published", published), ("independent", independent)):
        config, weights = read_run(folder)
        state |= {f"{role}.{name}": value for name, value in weights.items()}
        told[role] = {key: config[key] for key in TOLD if key in config}
        pairs.append(tuple(config["pair"]))
    if pairs[0] != pairs[1]:
        raise ModelError(f"{published} tells {pairs[0]} apart, {independent} {pairs[1]}: they are no pair's judges")
    return state, {"judges": told}


def write_judge_graphs(folder: Path) -> None:
    """Write the two graphs of a folder whose `model.safetensors` and `config.json` hold the judges.

    Raises ModelError when they do not.
    """
    from safetensors.torch import load_file

    folder = Path(folder)
    try:
        judges = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["judges"]
        weights = load_file(str(folder / "model.safetensors"))
    except (OSError, KeyError, ValueError) as error:
        raise ModelError(f"{folder} holds no classifiers of genre: {error!r}") from error
    for role, (name, channels) in GRAPHS.items():
        network = make_classifier(GenreClassifierConfig.from_dict(judges[role]["network"]))
        own = {k.removeprefix(f"{role}."): v.float() for k, v in weights.items() if k.startswith(f"{role}.")}
        missing = [k for k in network.state_dict() if k not in own and not k.endswith("num_batches_tracked")]
        if missing:
            raise ModelError(f"{folder / 'model.safetensors'} lacks {role}.{missing[0]}")
        network.load_state_dict(own, strict=False)
        module = _Named(role, network).eval()
        example = (torch.zeros(2, channels, STEPS, KEYS),)
        axes = {"rolls": {0: "phrases"}, "logits": {0: "phrases"}}
        write_graph(module, example, folder / name, inputs=["rolls"], outputs=["logits"], dynamic=axes)


class _Named(nn.Module):
    """A network whose weights have the names that they have in the file."""

    def __init__(self, role: str, network: nn.Module):
        super().__init__()
        self.role = role
        self.add_module(role, network)

    def forward(self, rolls: Tensor) -> Tensor:
        return self.get_submodule(self.role)(rolls)
