"""MAESTRO: two hundred hours of Disklavier performances (Hawthorne et al., ICLR 2019), versions 1 to 3.

The index is `maestro-vX.csv` or `.json`; the JSON of version 1 is a list of rows, that of version 3 a table by column.
The given split is used: no composition is in two parts of it. Licence CC BY-NC-SA 4.0.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

from spartito.errors import ParameterError
from spartito.training.data.recordings import Recording

__all__ = ["list_maestro"]


def list_maestro(root: Path) -> list[Recording]:
    """Recordings of MAESTRO below `root`, those with both audio and MIDI present.

    Raises ParameterError when there is no index, or nothing that it names.
    """
    root = Path(root)
    indices = sorted([*root.glob("maestro-v*.csv"), *root.glob("maestro-v*.json")])
    if not indices:
        raise ParameterError(f"{root} holds no maestro-vX.csv or maestro-vX.json")
    recordings = []
    for row in _rows(indices[-1]):
        audio, labels = root / row["audio_filename"], root / row["midi_filename"]
        if audio.exists() and labels.exists():
            composition = f"{row['canonical_composer']}: {row['canonical_title']}"
            name = f"{audio.parent.name}-{audio.stem}"
            recordings.append(Recording(name, audio, labels, composition, row["split"], pedal_known=True))
    if not recordings:
        raise ParameterError(f"none of the recordings that {indices[-1].name} names is below {root}")
    return recordings


def _rows(index: Path) -> list[dict[str, str]]:
    if index.suffix == ".csv":
        with index.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    table = json.loads(index.read_text(encoding="utf-8"))
    if isinstance(table, list):
        return table
    return [{column: values[i] for column, values in table.items()} for i in table["audio_filename"]]
