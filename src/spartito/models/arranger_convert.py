"""Original A2S checkpoints, made safe and plain: a folder with `model.safetensors` and `config.json`.

The published files are dictionaries of tensors (`a2s-stage3a.pt`, `supervised.pt` ...). They are read as those of
Onsets and Frames are (`convert.py`): nothing in them is executed. The type follows from which tensors there are;
`supervised` and `supervised+kl` look the same, which does not matter for running them. Tensor names keep their
order and spelling, so that the folder's weights load into the original as well.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np

from spartito.errors import MissingExtraError, ModelError
from spartito.files import atomic_path
from spartito.models.convert import read_module_tensors
from spartito.models.export import WEIGHTS, write_config

__all__ = ["convert_arranger", "type_of"]


def convert_arranger(
    path: str | Path, output: str | Path, *, type: str | None = None, stage: str | None = None
) -> Path:
    """Turn an original checkpoint into the folder `output`, which `load_model` opens.

    Parameters
    ----------
    type : str, optional
        a2s, a2s-nochd, supervised or supervised+kl; by default told from the tensors.
    stage : str, optional
        3a, 3b ...; by default from the file's name, else 3a.

    Raises
    ------
    ModelError
        When the file is damaged, holds another network, or names anything that a dictionary of tensors does not need.
    """
    try:
        import torch

        from spartito.models.arranger import ArrangerConfig, ArrangerNetwork
    except ImportError as error:
        raise MissingExtraError("torch", extra="torch", purpose="converting weights") from error
    from safetensors.numpy import save_file

    path, output = Path(path), Path(output)
    if not path.is_file():
        raise ModelError(f"there is no checkpoint file {path}")
    tensors = {name.replace("module.", ""): value for name, value in read_module_tensors(path).items()}
    kind = type or type_of(tensors)
    config = ArrangerConfig.paper(kind)
    with torch.device("meta"):
        wanted = {name: tuple(t.shape) for name, t in ArrangerNetwork(config).state_dict().items()}
    missing, extra = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    if missing or extra:
        told = f"{len(missing)} tensors are missing {missing[:3]}, {len(extra)} unknown {extra[:3]}"
        raise ModelError(f"{path} is no {kind} model of A2S: {told}")
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != wanted[name]:
            raise ModelError(f"{name} has shape {tuple(tensor.shape)}; {wanted[name]} is needed")
        if not np.isfinite(tensor).all():
            raise ModelError(f"{name} holds values that are not finite: the file is damaged")
    found = re.search(r"stage(\d[ab]?)", path.stem)
    output.mkdir(parents=True, exist_ok=True)
    with atomic_path(output / WEIGHTS) as temporary:
        save_file({name: np.ascontiguousarray(tensors[name]) for name in wanted}, temporary)
    write_config(
        {
            "name": output.name,
            "job": "arrangement",
            "architecture": kind,
            "summary": f"A2S ({kind}), converted from published weights",
            "licence": "that of the original weights",
            "data": "that of the original weights",
            "stage": stage or (found.group(1) if found else "3a"),
            "input": "mel",
            "network": config.to_dict(),
            "source": {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
        },
        output,
    )
    return output


def type_of(tensors: dict[str, np.ndarray]) -> str:
    """The type of model whose tensors these are. Raises ModelError when they belong to none."""
    if "pianotree_dec.dec_init_input" not in tensors:
        raise ModelError("the file holds no A2S network: pianotree_dec.dec_init_input is missing")
    if any(name.startswith("chord_enc.") for name in tensors):
        return "a2s"
    return "a2s-nochd" if any(name.startswith("prmat_enc.") for name in tensors) else "supervised"
