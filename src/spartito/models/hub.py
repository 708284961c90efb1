"""Which models there are, and how to open one: by short name, by folder, or from a hub.

A model is a folder with `config.json` (what it is, how it was made, what it reached), `model.safetensors`,
`model.onnx` and a card, `README.md`. The shipped ones lie in `spartito/weights/`. Nothing is downloaded unless a hub
name ("owner/name") or a model of others (`FETCHABLE`) is asked for. What is fetched is kept by `huggingface_hub`, which
goes on with a broken download; the checksum that the hub states is compared once.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spartito.errors import MissingExtraError, ModelError

__all__ = ["FETCHABLE", "ModelInfo", "fetchable_models", "find_model", "list_models", "load_model"]

WEIGHTS = Path(__file__).parent.parent / "weights"
GRAPHS = ("model.onnx", "prompt.onnx", "step.onnx", "keys.onnx", "detail.onnx")
GRAPHS += ("generator.onnx", "classifier.onnx", "judge.onnx", "encoder.onnx", "decoder.onnx")
FILES = ("config.json", "model.safetensors", *GRAPHS, "statistics.safetensors", "README.md", "generation_config.json")
PICKLE = "pytorch_model.bin"  # only where there is no model.safetensors; read by torch without running what it holds
FETCHABLE = {  # weights that others published in the layout of `transformers`, by the `model_type` of their config.json
    "pop2piano": {
        "name": "pop2piano",
        "job": "arrangement",
        "architecture": "pop2piano",
        "hub": "sweetcocoa/pop2piano",
        "bytes": 236_433_408,  # 59,108,352 float32 numbers
        "licence": "not stated by its authors",
        "data": "4,989 pairs of pop song and piano cover, 307 hours (Choi and Lee 2023)",
        "summary": "piano covers in the manner of 21 arrangers; needs the extra pop2piano",
    }
}


@dataclass(frozen=True)
class ModelInfo:
    """What `spartito models` shows of a model."""

    name: str
    folder: Path
    job: str
    size_bytes: int
    licence: str
    data: str
    summary: str
    metrics: dict[str, Any]
    config: dict[str, Any]


def list_models() -> list[ModelInfo]:
    """The models that ship with the package, by name."""
    return [_info(path.parent) for path in sorted(WEIGHTS.glob("*/config.json"))]


def fetchable_models() -> list[ModelInfo]:
    """Published models of others that are fetched when they are first asked for."""
    return [_described(config, Path(), config["bytes"]) for config in FETCHABLE.values()]


def find_model(name: str | os.PathLike) -> ModelInfo:
    """A shipped model by its name, a model folder, or what the hub has: an id "owner/name", a name of `FETCHABLE`.

    Raises ModelError with the names there are when none fits.
    """
    if (WEIGHTS / str(name) / "config.json").exists():
        return _info(WEIGHTS / str(name))
    if Path(name, "config.json").exists():
        return _info(Path(name))
    if str(name) in FETCHABLE:
        return _info(_fetch(FETCHABLE[str(name)]["hub"], extra=str(name)))
    if isinstance(name, str) and name.count("/") == 1 and not Path(name).exists():
        return _info(_fetch(name))
    shipped = ", ".join(info.name for info in list_models()) or "none"
    raise ModelError(f"no model {str(name)!r}: shipped are {shipped}; or give a folder with config.json, or a hub id")


def load_model(name: str | os.PathLike = "transcribe", *, device: str = "auto", threads: int = 0):
    """Open a model for use; what comes back depends on its job.

    Transcription gives a `Transcriber`, analysis a `SongListener`, arrangement an `Arranger` or one for whole songs,
    restyling a `StyleEngine`, the latent space a `LatentModel`.
    """
    info = find_model(name)
    if info.job == "transcription" and info.config.get("architecture") == "onsets_frames":
        from spartito.transcription_onsets_frames import OnsetsFramesTranscriber

        return OnsetsFramesTranscriber(info, device=device, threads=threads)
    if info.job == "transcription":
        from spartito.transcription import Transcriber

        return Transcriber(info, device=device, threads=threads)
    if info.job == "analysis":
        from spartito.analysis.listening import SongListener

        return SongListener(info.folder, device=device, threads=threads)
    if info.config.get("architecture") == "pop2piano":
        from spartito.pop2piano_cover import open_pop2piano_arranger

        return open_pop2piano_arranger(info.folder, device=device, threads=threads)
    if info.config.get("architecture") == "tokens":
        from spartito.models.token_runtime import TokenArranger

        return TokenArranger(info, device=device, threads=threads)
    if info.job == "arrangement":
        from spartito.models.arranger_runtime import Arranger

        return Arranger(info, device=device, threads=threads)
    if info.job == "restyling" and info.config.get("architecture") == "idiom":
        from spartito.style.idiom import open_idiom

        return open_idiom(info.folder, device=device, threads=threads)
    if info.job == "restyling" and info.config.get("architecture") == "comping":
        from spartito.style.accompany import open_comping

        return open_comping(info.folder)
    if info.job == "restyling":
        from spartito.style.windows import CycleEngine

        return CycleEngine(info.folder, device=device, threads=threads)
    if info.job == "latent":
        from spartito.models.musae_runtime import LatentModel

        return LatentModel(info, device=device, threads=threads)
    raise ModelError(f"{info.name} is a model for {info.job!r}, and cannot be asked for by name")


def _info(folder: Path) -> ModelInfo:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if "job" not in config:  # ours say what they are
            config = FETCHABLE.get(config.get("model_type"), config)
        size = sum((folder / f).stat().st_size for f in (*FILES, PICKLE) if (folder / f).exists())
        return _described(config, folder, size)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{folder / 'config.json'} does not describe a model ({error!r})") from error


def _described(config: dict[str, Any], folder: Path, size_bytes: int) -> ModelInfo:
    return ModelInfo(
        name=config["name"],
        folder=folder,
        job=config["job"],
        size_bytes=size_bytes,
        licence=config.get("licence", "not stated"),
        data=config.get("data", "not stated"),
        summary=config.get("summary", ""),
        metrics=config.get("metrics", {}),
        config=config,
    )


# -- the hub ------------------------------------------------------------------------------------------------


def _fetch(name: str, *, extra: str = "hub") -> Path:
    """The folder of a model of the hub: as it was fetched before, else fetched now. `extra` brings what that needs."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", extra=extra, purpose=f"fetching {name}") from error
    try:
        folder = Path(snapshot_download(name, allow_patterns=[*FILES, PICKLE], local_files_only=True))
        if _weights(folder) is not None:
            return folder
    except Exception:  # not here, or not all of it: several kinds, by version
        pass
    try:
        folder = Path(snapshot_download(name, allow_patterns=list(FILES)))
        if _weights(folder) is None:
            folder = Path(snapshot_download(name, allow_patterns=[*FILES, PICKLE]))
    except Exception as error:  # offline, no such repository, no permission: all end here
        raise ModelError(
            f"{name} could not be fetched from the hub ({(str(error) or repr(error)).splitlines()[0]}). Without a "
            f"connection: fetch it elsewhere (hf download {name} --local-dir FOLDER) and give the folder as the model"
        ) from error
    found = _weights(folder)
    if found is None:
        raise ModelError(f"{name} holds no weights, or only a part of them is here: try again with a connection")
    _compare(found)
    return folder


def _weights(folder: Path) -> Path | None:
    return next((folder / f for f in ("model.safetensors", PICKLE) if (folder / f).exists()), None)


def _compare(path: Path) -> None:
    """Complain of a fetched file that is not what the hub has. Its store names large files by their SHA-256."""
    stored = path.resolve()
    if len(stored.name) != 64:  # a system without links: the checksum is not known
        return
    digest = hashlib.sha256()
    with stored.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != stored.name:
        stored.unlink()
        raise ModelError(f"{path.name} arrived damaged and was removed: try again")
