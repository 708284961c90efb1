"""What a preparation has done so far, as small JSON files, so that an interrupted one goes on."""

from __future__ import annotations

import json
from pathlib import Path

from spartito.files import atomic_path

__all__ = ["read_state", "write_state"]


def read_state(path: Path) -> dict:
    """What a file says; nothing when it is not there or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def write_state(path: Path, state: dict) -> None:
    """Write `state` as JSON."""
    with atomic_path(path) as target:
        target.write_text(json.dumps(state, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
