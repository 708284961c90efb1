"""Which models there are, and how to open one: by short name, by folder, or from a hub.

A model is a folder with `config.json` (what it is, how it was made, what it reached), `model.safetensors`,
`model.onnx` and a card, `README.md`. The shipped ones lie in `spartito/weights/`. Nothing is downloaded unless a hub
name ("owner/name") is asked for.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spartito.errors import MissingExtraError, ModelError

__all__ = ["ModelInfo", "find_model", "list_models", "load_model"]

WEIGHTS = Path(__file__).parent.parent / "weights"
FILES = ("config.json", "model.safetensors", "model.onnx", "prompt.onnx", "README.md")


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


def find_model(name: str | os.PathLike) -> ModelInfo:
    """A shipped model by its name, a model folder, or a hub id "owner/name" (extra `hub`).

    Raises ModelError with the names there are when none fits.
    """
    if (WEIGHTS / str(name) / "config.json").exists():
        return _info(WEIGHTS / str(name))
    if Path(name, "config.json").exists():
        return _info(Path(name))
    if isinstance(name, str) and name.count("/") == 1 and not Path(name).exists():
        return _info(_fetch(name))
    shipped = ", ".join(info.name for info in list_models()) or "none"
    raise ModelError(f"no model {str(name)!r}: shipped are {shipped}; or give a folder with config.json, or a hub id")


def load_model(name: str | os.PathLike = "transcribe", *, device: str = "auto", threads: int = 0):
    """Open a model for use; what comes back depends on its job.

    Transcription gives a `Transcriber`, analysis a `SongListener`, arrangement an `Arranger`.
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
    if info.job == "arrangement":
        from spartito.models.arranger_runtime import Arranger

        return Arranger(info, device=device, threads=threads)
    raise ModelError(f"{info.name} is a model for {info.job!r}, and cannot be asked for by name")


def _info(folder: Path) -> ModelInfo:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return ModelInfo(
            name=config["name"],
            folder=folder,
            job=config["job"],
            size_bytes=sum((folder / f).stat().st_size for f in FILES if (folder / f).exists()),
            licence=config.get("licence", "not stated"),
            data=config.get("data", "not stated"),
            summary=config.get("summary", ""),
            metrics=config.get("metrics", {}),
            config=config,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder / 'config.json'} does not describe a model ({error!r})") from error


def _fetch(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", extra="hub", purpose=f"fetching {name}") from error
    try:
        return Path(snapshot_download(name, allow_patterns=list(FILES)))
    except Exception as error:  # offline, no such repository, no permission: all end here
        raise ModelError(f"{name} could not be fetched from the hub: {str(error).splitlines()[0]}") from error
