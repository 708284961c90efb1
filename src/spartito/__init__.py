"""spartito turns any song or MIDI into a piano score, in the style you want.

    import spartito

    song = spartito.analyze("song.mp3")                # Analysis: beats, chords, key, tune
    notes = spartito.cover("song.mp3", analysis=song)  # Notes: a piano arrangement
    spartito.to_score(notes, song).save("song.pdf")    # needs spartito[score]
    spartito.save_audio(spartito.synthesize(notes), "song.wav")
    played = spartito.transcribe("recital.flac")       # Notes: what a pianist played
    jazz = spartito.restyle(played, to="jazz")         # Notes: the same in another genre
    steps = spartito.blend("a.mid", "b.mid", steps=8)  # Notes: from one song to another

Everything listed in `__all__` is the public face. A name is imported when it is first used, so that
`import spartito` costs next to nothing and no package is needed before the work that needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOME = {  # public name -> module it lives in
    "Analysis": "spartito.analysis.song",
    "Audio": "spartito.audio.audio",
    "Beats": "spartito.analysis.beats",
    "Chord": "spartito.analysis.song",
    "Notes": "spartito.notes.notes",
    "Score": "spartito.score.score",
    "SpartitoError": "spartito.errors",
    "Track": "spartito.notes.notes",
    "analyze": "spartito.analysis.analyze",
    "blend": "spartito.style.latent",
    "convert_checkpoint": "spartito.models.convert",
    "cover": "spartito.arrangement",
    "edit": "spartito.style.latent",
    "estimate_beats": "spartito.analysis.beats",
    "evaluate": "spartito.evaluation.tasks",
    "evaluate_folders": "spartito.evaluation.folders",
    "export_model": "spartito.models.export",
    "fetch_soundfont": "spartito.render.soundfont",
    "from_pianoroll": "spartito.notes.pianoroll",
    "from_pretty_midi": "spartito.notes.exchange",
    "from_symusic": "spartito.notes.exchange",
    "list_models": "spartito.models.hub",
    "load": "spartito.loading",
    "load_audio": "spartito.audio.io",
    "load_model": "spartito.models.hub",
    "load_notes": "spartito.loading",
    "load_score": "spartito.score.score",
    "mix": "spartito.render.mix",
    "perform": "spartito.render.perform",
    "playability": "spartito.notes.playability",
    "plot_transcription": "spartito.render.plots",
    "read_csv": "spartito.notes.table",
    "read_midi": "spartito.notes.midi",
    "restyle": "spartito.style.transfer",
    "sample": "spartito.style.latent",
    "save_audio": "spartito.audio.io",
    "separate": "spartito.analysis.separation",
    "simplify": "spartito.notes.simplify",
    "synthesize": "spartito.render.synthesize",
    "to_pianoroll": "spartito.notes.pianoroll",
    "to_pretty_midi": "spartito.notes.exchange",
    "to_score": "spartito.score.build",
    "to_symusic": "spartito.notes.exchange",
    "transcribe": "spartito.transcription",
    "write_csv": "spartito.notes.table",
    "write_midi": "spartito.notes.midi",
}

__all__ = [
    "Analysis",
    "Audio",
    "Beats",
    "Chord",
    "Notes",
    "Score",
    "SpartitoError",
    "Track",
    "__version__",
    "analyze",
    "blend",
    "convert_checkpoint",
    "cover",
    "edit",
    "estimate_beats",
    "evaluate",
    "evaluate_folders",
    "export_model",
    "fetch_soundfont",
    "from_pianoroll",
    "from_pretty_midi",
    "from_symusic",
    "list_models",
    "load",
    "load_audio",
    "load_model",
    "load_notes",
    "load_score",
    "mix",
    "perform",
    "playability",
    "plot_transcription",
    "read_csv",
    "read_midi",
    "restyle",
    "sample",
    "save_audio",
    "separate",
    "simplify",
    "synthesize",
    "to_pianoroll",
    "to_pretty_midi",
    "to_score",
    "to_symusic",
    "transcribe",
    "write_csv",
    "write_midi",
]

if TYPE_CHECKING:  # what an editor reads; nothing of it runs
    from spartito.analysis.analyze import analyze
    from spartito.analysis.beats import Beats, estimate_beats
    from spartito.analysis.separation import separate
    from spartito.analysis.song import Analysis, Chord
    from spartito.arrangement import cover
    from spartito.audio.audio import Audio
    from spartito.audio.io import load_audio, save_audio
    from spartito.errors import SpartitoError
    from spartito.evaluation.folders import evaluate_folders
    from spartito.evaluation.tasks import evaluate
    from spartito.loading import load, load_notes
    from spartito.models.convert import convert_checkpoint
    from spartito.models.export import export_model
    from spartito.models.hub import list_models, load_model
    from spartito.notes.exchange import from_pretty_midi, from_symusic, to_pretty_midi, to_symusic
    from spartito.notes.midi import read_midi, write_midi
    from spartito.notes.notes import Notes, Track
    from spartito.notes.pianoroll import from_pianoroll, to_pianoroll
    from spartito.notes.playability import playability
    from spartito.notes.simplify import simplify
    from spartito.notes.table import read_csv, write_csv
    from spartito.render.mix import mix
    from spartito.render.perform import perform
    from spartito.render.plots import plot_transcription
    from spartito.render.soundfont import fetch_soundfont
    from spartito.render.synthesize import synthesize
    from spartito.score.build import to_score
    from spartito.score.score import Score, load_score
    from spartito.style.latent import blend, edit, sample
    from spartito.style.transfer import restyle
    from spartito.transcription import transcribe


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'spartito' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
