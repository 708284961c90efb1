"""Preparing data and training, as functions: `spartito train` only calls these."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from spartito.audio.io import read_mono
from spartito.errors import NotesError, ParameterError, SpartitoError
from spartito.files import atomic_path
from spartito.notes.midi import MIDI_SUFFIXES, read_midi
from spartito.notes.table import read_csv
from spartito.training.data.duplicates import is_version_of, melody_runs
from spartito.training.data.recordings import Recording
from spartito.training.data.splits import list_midi
from spartito.training.data.store import add, open_store

__all__ = ["override", "prepare_midi", "prepare_recordings", "train_transcription"]

Report = Callable[[str], None]
RATE = 16_000  # Hz
EXCERPT = 60.0  # s of MIDI per synthesised recording
SESSION = 12  # excerpts rendered in one call
LEAST_NOTES = 20  # an excerpt with fewer is left out


def read_labels(recording: Recording):
    """Notes of a recording's label file."""
    return read_midi(recording.labels) if recording.labels.suffix in MIDI_SUFFIXES else read_csv(recording.labels)


def prepare_recordings(recordings: Sequence[Recording], store: Path, *, report: Report = print) -> dict[str, int]:
    """Analyse recordings into `store/<split>/`; those that are there already are passed over.

    Returns how many of each split there are, and how many were refused (each is reported with its reason).
    """
    counts: dict[str, int] = {}
    for recording in recordings:
        folder = Path(store, recording.split)
        outcome = recording.split
        if not (folder / f"{recording.name}.npy").exists():
            try:
                samples = read_mono(recording.audio, rate=RATE)
                add(folder, recording.name, samples, read_labels(recording), pedal_known=recording.pedal_known)
            except SpartitoError as error:
                outcome = "refused"
                report(f"{recording.name}: {error}")
        counts[outcome] = counts.get(outcome, 0) + 1
    return counts


def prepare_midi(
    root: Path,
    store: Path,
    *,
    soundfonts: Sequence[Path],
    hours: float,
    seed: int = 0,
    semitones: int = 4,
    split: str = "train",
    exclude: Sequence[Recording] = (),
    report: Report = print,
) -> float:
    """Render random excerpts of the MIDI files of one split below `root` into `store`, until there are so many hours.

    Versions of a composition among `exclude` (the test recordings) are left out: the `strict` protocol.
    Returns the hours rendered. Sessions that are there already are not rendered again.
    """
    from spartito.training.synthesis import excerpt, play, random_piano, same_soundfont, touched

    if not soundfonts:
        raise ParameterError("at least one SoundFont is needed to make recordings from MIDI")
    tested = [melody_runs(read_labels(recording)) for recording in exclude]
    pieces = []
    for path in list_midi(root, split=split):
        try:
            notes = read_midi(path)
        except NotesError as error:
            report(str(error))
            continue
        if len(notes) >= LEAST_NOTES and not is_version_of(melody_runs(notes), tested):
            pieces.append(path)
    report(f"{len(pieces)} pieces to play")
    seconds, session = 0.0, 0
    while seconds < 3600 * hours:
        rng = np.random.default_rng([seed, session])
        lead = random_piano(soundfonts, rng, semitones=semitones)
        excerpts, pianos = [], []
        for _ in range(SESSION):
            piano = same_soundfont([random_piano(soundfonts, rng, semitones=semitones)], lead)[0]
            part = touched(excerpt(read_midi(pieces[rng.integers(len(pieces))]), EXCERPT, rng), piano)
            if len(part) >= LEAST_NOTES:
                excerpts.append(part)
                pianos.append(piano)
        names = [f"session{seed:03d}-{session:04d}-{i:02d}" for i in range(len(excerpts))]
        if not all(Path(store, f"{name}.npy").exists() for name in names):
            for name, part, sound in zip(names, excerpts, play(excerpts, pianos, rng), strict=True):
                add(store, name, sound, part, pedal_known=True)
        seconds += sum(part.duration for part in excerpts)
        session += 1
        report(f"{seconds / 3600:.2f} h of {hours:g} h")
    return seconds / 3600


def override(recipe, assignments: Sequence[str]):
    """A copy of a dataclass with fields replaced by "name=value" or "inner.name=value".

    Values are read as JSON, else taken as text. Raises ParameterError for a field that does not exist.
    """
    for assignment in assignments:
        path, _, text = assignment.partition("=")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        recipe = _replaced(recipe, path.strip().split("."), tuple(value) if isinstance(value, list) else value)
    return recipe


def _replaced(node, path: list[str], value):
    names = [f.name for f in dataclasses.fields(node)]
    if path[0] not in names:
        raise ParameterError(f"there is no setting {path[0]!r}; there are {', '.join(names)}")
    inner = value if len(path) == 1 else _replaced(getattr(node, path[0]), path[1:], value)
    return dataclasses.replace(node, **{path[0]: inner})


def train_transcription(
    pools: Sequence[tuple[Path, float]],
    output: Path,
    *,
    validation: Path | None = None,
    config: str = "small",
    settings: Sequence[str] = (),
    initial: Path | None = None,
    card: dict | None = None,
    report: Report = print,
) -> Path:
    """Train the default transcriber (or go on with the run in `output`), fit its thresholds, export it.

    Parameters
    ----------
    pools : pairs of a store and the share of crops it is to give
    validation : a store that chooses nothing but thresholds; without it the defaults are kept
    settings : "loop.steps=1000", "shift=6" ...: changes to the configuration
    initial : a `model.safetensors` to start from
    card : name, licence, data and summary for the model's `config.json`

    Returns
    -------
    Path
        `output/model`, a folder that `transcribe(model=...)` takes.
    """
    from spartito.models.export import export_model
    from spartito.training import transcription as job
    from spartito.training.calibration import UNFITTED, calibrate
    from spartito.training.loop import fit

    if config not in job.CONFIGS:
        raise ParameterError(f"the configuration is one of {', '.join(job.CONFIGS)}, not {config!r}")
    recipe = override(job.CONFIGS[config], settings)
    groups = [(open_store(store), share) for store, share in pools]
    kept = open_store(validation) if validation else []
    network = job.new_network([item for items, _ in groups for item in items], recipe)
    if initial is not None:
        network.load_state_dict(job.open_weights(initial), strict=False)
    output = Path(output)
    state = fit(
        network,
        loss=job.loss(recipe),
        batch_at=job.batches(groups, recipe),
        config=recipe.loop,
        folder=output,
        validate=job.make_validation(kept[:10], seconds=30.0) if kept else None,
        progress=lambda _, entry: report(json.dumps(entry)),
    )
    network.load_state_dict(state)
    network.eval()
    pedal = any(item.pedal is not None for items, _ in groups for item in items)
    decoder = calibrate(network, kept, pedal=pedal, report=lambda e: report(json.dumps(e))) if kept else UNFITTED
    return finish(network, recipe, decoder, output, card or {}, export_model)


def finish(network, recipe, decoder: dict, output: Path, card: dict, export_model) -> Path:
    """Write `config.json` of the run, then the runnable folder `model` beside it."""
    described = {
        "name": output.name,
        "job": "transcription",
        "architecture": "harmonic_transcriber",
        "licence": "not stated",
        "data": "not stated",
        "summary": "",
        **card,
        "network": asdict(recipe.network),
        "reach": recipe.network.reach,
        "front_end": "default",
        "decoder": decoder,
        "recipe": asdict(recipe),
        "metrics": {},
    }
    with atomic_path(output / "config.json") as path:
        path.write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    return export_model(output, output / "model")
