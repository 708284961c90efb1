"""Recordings on the grid of their beats beside the arrangement they should become: what the arranger trains on.

A store is a folder. For each recording it holds `<name>.npy`, the curves of the transcriber at 16 cells per beat
(`models/arranger_input.py`) in eight bits, and `<name>.npz` with beats, bars, chords and the notes of the arrangement
in quarter beats. The curves are computed once; a segment is then a slice of a memory-mapped array, and a transposition
a shift along the keys.

Two sources: bands rendered from POP909 (`prepare_bands`), and real recordings in the layout of the original's
data (`prepare_stretched`): songs stretched to 13,312 samples a beat beside quantised POP909.
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spartito.analysis.harte import chord_table
from spartito.audio.io import read_mono
from spartito.audio.tuning import estimate_tuning
from spartito.errors import NotesError, SpartitoError
from spartito.files import atomic_path
from spartito.models.arranger_input import RATE, SILENCE, bars_of, beat_cells, listen, spans_of

__all__ = ["BRIDGE", "MELODY", "PIANO", "Piece", "open_pieces", "prepare_bands", "prepare_stretched"]

MELODY, BRIDGE, PIANO = 0, 1, 2  # tracks of POP909
TRACKS = ("melody", "bridge", "piano")
STEPS = 4  # of a beat
LEVEL_SCALE, LEVEL_ZERO = 32.0, 128.0  # eight bits of a level: -4 .. 4 standard deviations
STRETCHED_RATE = 22_050  # Hz
STRETCHED_BEAT = 13_312  # samples of a beat in the original's stretched audio

Report = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Piece:
    """One recording of a store.

    Attributes
    ----------
    cells : np.ndarray, shape=(4, 16 (beats + 9), 88), uint8, memory-mapped
    rows, spans : np.ndarray, shape=(n,), int
        Beats that segments begin with (the downbeats) and how many beats count in each.
    bars : np.ndarray, shape=(n,), int
        Beats of the bar that each of them opens.
    chords : np.ndarray, shape=(beats, 14), int
    lead : bool
        Whether the melody can be heard; if not, it is never asked for.
    notes : np.ndarray, shape=(k, 4), int
        Onset in steps from the first beat, track (0 melody, 1 bridge, 2 piano), pitch, duration in steps; sorted.
    """

    name: str
    cells: np.ndarray
    rows: np.ndarray
    spans: np.ndarray
    bars: np.ndarray
    chords: np.ndarray
    notes: np.ndarray
    lead: bool = True


def open_pieces(folder: Path, names: Iterable[str] | None = None) -> list[Piece]:
    """The recordings of a store, all or those named, in the order of their names."""
    wanted = None if names is None else set(names)
    pieces = []
    for path in sorted(Path(folder).glob("*.npz")):
        if wanted is None or path.stem in wanted:
            with np.load(path) as data:
                fields = {name: data[name] for name in ("rows", "spans", "bars", "chords", "notes")}
                fields["lead"] = bool(data["lead"])
            if len(fields["rows"]):
                pieces.append(Piece(path.stem, np.load(path.with_suffix(".npy"), mmap_mode="r"), **fields))
    return pieces


def add(
    folder: Path,
    name: str,
    cells: np.ndarray,
    *,
    rows: np.ndarray,
    beats: int,
    chords: np.ndarray,
    notes: np.ndarray,
    lead: bool = True,
) -> None:
    """Keep a recording: `cells` as `beat_cells` gives them, fields as in `Piece`."""
    rows = np.asarray(rows, dtype=np.int64)
    bars = bars_of(rows, beats)
    notes = np.asarray(notes, dtype=np.int64).reshape(-1, 4)
    notes = notes[np.lexsort((notes[:, 2], notes[:, 1], notes[:, 0]))]
    with atomic_path(Path(folder, f"{name}.npy")) as path, path.open("wb") as file:
        np.save(file, packed(cells))
    with atomic_path(Path(folder, f"{name}.npz")) as path, path.open("wb") as file:
        np.savez(file, rows=rows, spans=spans_of(rows, beats), bars=bars, chords=chords, notes=notes, lead=lead)


def packed(cells: np.ndarray) -> np.ndarray:
    """(4, cells, 88) as eight bits: probabilities in 255 parts, levels in parts of a 32nd of a standard deviation."""
    result = np.empty(cells.shape, dtype=np.uint8)
    result[:3] = np.rint(255 * np.clip(cells[:3], 0, 1))
    result[3] = np.clip(np.rint(cells[3] * LEVEL_SCALE + LEVEL_ZERO), 0, 255)
    return result


def unpacked(frames: np.ndarray) -> np.ndarray:
    """(..., 4, cells, 88) float32 of what `packed` made."""
    result = frames.astype(np.float32)
    result[..., :3, :, :] /= 255
    result[..., 3, :, :] = (result[..., 3, :, :] - LEVEL_ZERO) / LEVEL_SCALE
    return result


SILENT = packed(SILENCE[:, None, None])[:, 0, 0]  # (4,) uint8


# -- bands ------------------------------------------------------------------------------------------------------


def prepare_bands(
    bands: Path,
    store: Path,
    *,
    splits: Iterable[str] = ("validation", "test", "train"),
    part: tuple[int, int] = (0, 1),
    report: Report = print,
) -> int:
    """Analyse the rendered bands in `bands`/<split> into `store`/<split>; those that are there are passed over.

    `part` (i, n) does every n-th from the i-th, so that processes can share the work. Returns how many were added.
    """
    from spartito.models.hub import load_model

    transcriber, added = None, 0
    for split in splits:
        for path in sorted(Path(bands, split).glob("*.npz"))[part[0] :: part[1]]:
            if Path(store, split, path.name).exists() or not path.with_suffix(".flac").exists():
                continue
            transcriber = transcriber or load_model("transcribe-free", threads=1)
            try:
                with np.load(path) as data:
                    fields = {name: data[name] for name in data.files}
                samples = read_mono(path.with_suffix(".flac"), rate=RATE)
                _add_band(Path(store, split), path.stem, samples, fields, transcriber)
                added += 1
            except SpartitoError as error:
                report(f"{path.stem}: {error}")
            if added % 25 == 0:
                report(f"{added} recordings, now {split}/{path.stem}")
    return added


def _add_band(folder: Path, name: str, samples: np.ndarray, band: dict[str, np.ndarray], transcriber) -> None:
    times, positions = band["beats"], band["position"]
    rows = np.flatnonzero(positions == 0)
    if len(times) < 2 or len(rows) == 0:
        raise NotesError("there are no bars in it")
    heard = listen(samples, transcriber=transcriber, tuning=estimate_tuning(samples, RATE))
    cells = beat_cells(heard, times)
    chords = chord_table(times, band["chord_start"], band["chord_end"], band["chord_label"])
    tables = []
    for track, key in enumerate(TRACKS):
        q = band[f"{key}_q"].astype(np.int64).reshape(-1, 5)  # beat, step, duration, pitch, velocity
        tables.append(np.column_stack([STEPS * q[:, 0] + q[:, 1], np.full(len(q), track), q[:, 3], q[:, 2]]))
    lead = json.loads(str(band["meta"])).get("lead") is not None
    add(folder, name, cells, rows=rows, beats=len(times), chords=chords, notes=np.concatenate(tables), lead=lead)


# -- real recordings, as the original kept them -----------------------------------------------------------------


def prepare_stretched(audio: Path, quantised: Path, store: Path, *, report: Report = print) -> int:
    """Analyse `audio`/<id>.wav (stretched, with <id>.pickle) beside `quantised`/<id>.npz into `store`.

    The pickle maps the time of each beat to its number in the stretched file. Returns how many were added.
    """
    from spartito.models.hub import load_model

    transcriber, added = None, 0
    for path in sorted(Path(quantised).glob("*.npz")):
        wave = Path(audio, f"{path.stem}.wav")
        if Path(store, path.name).exists() or not wave.exists():
            continue
        transcriber = transcriber or load_model("transcribe-free", threads=1)
        try:
            song = read_quantised(path)
            places = [read_beat_places(wave.with_suffix(".pickle"))[float(t)] for t in song["beat_positions"]]
            times = np.array(places) * (STRETCHED_BEAT / STRETCHED_RATE)
            samples = read_mono(wave, rate=RATE)
            heard = listen(samples, transcriber=transcriber, tuning=estimate_tuning(samples, RATE))
            cells = beat_cells(heard, times)
            tables = []
            for track, key in enumerate(TRACKS):
                q = song[key].reshape(-1, 5)
                tables.append(np.column_stack([STEPS * q[:, 0] + q[:, 1], np.full(len(q), track), q[:, 3], q[:, 2]]))
            notes, chords = np.concatenate(tables), song["chord_lookup"].copy()
            chords[chords[:, 0] < 0, -1] = -1
            add(store, path.stem, cells, rows=song["db_pos"], beats=len(times), chords=chords, notes=notes)
            added += 1
        except (SpartitoError, KeyError, ValueError) as error:
            report(f"{path.stem}: {error!r}")
    return added


def read_quantised(path: Path) -> dict[str, np.ndarray]:
    """The fields of a quantised song: melody, bridge, piano, db_pos, db_pos_filter, beat_positions, chord_lookup."""
    names = (*TRACKS, "start_table", "db_pos", "db_pos_filter", "beat_positions", "chord_lookup")
    with np.load(path, allow_pickle=False) as data:
        missing = [name for name in names if name not in data.files]
        if missing:
            raise NotesError(f"{path} lacks {', '.join(missing)}: it is no quantised song of POP909")
        return {name: data[name] for name in names}


def read_beat_places(path: Path) -> dict[float, int]:
    """Beat time -> its number in the stretched file. The pickle may hold numbers and nothing else."""

    class Numbers(pickle.Unpickler):
        def find_class(self, module, name):
            if (module, name) == ("numpy", "dtype"):
                return np.dtype
            if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "scalar":
                return np._core.multiarray.scalar
            raise NotesError(f"{path} asks for {module}.{name}: it may be harmful and was not loaded")

    places = Numbers(io.BytesIO(Path(path).read_bytes())).load()
    return {float(time): int(place) for time, place in places.items()}
