"""`evaluate`: one door to the measures of all tasks."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spartito.errors import ParameterError

if TYPE_CHECKING:
    from spartito.analysis.beats import Beats
    from spartito.analysis.song import Analysis, Chord
    from spartito.audio.audio import Audio
    from spartito.notes.notes import Notes

__all__ = ["TASKS", "evaluate"]

TASKS = ("transcription", "cover", "restyle")


def evaluate(
    estimate: Notes | str | os.PathLike,
    reference: Notes | str | os.PathLike,
    *,
    task: str = "transcription",
    reference_times: str = "exact",
    analysis: Analysis | Beats | str | os.PathLike | None = None,
    chords: tuple[Chord, ...] | str | os.PathLike | None = None,
    melody: str = "include",
    pitch: np.ndarray | str | os.PathLike | None = None,
    recording: Audio | str | os.PathLike | None = None,
    to: str | None = None,
    source: str | None = None,
    plot: str | os.PathLike | None = None,
) -> dict[str, float]:
    """Scores of one estimate against its reference.

    Parameters
    ----------
    estimate, reference : Notes or path
        What was heard, and what was played; or two arrangements of a song, the second by a human; or a piece in
        another genre, and the piece itself.
    task : {"transcription", "cover", "restyle"}
        The keys of the result are explained at the top of `spartito.evaluation.transcription`, for covers of
        `evaluation.cover`, `.melody`, `.expression` and `.likeness`, for genres of `.restyle` and `.style`. Keys that
        end in `_human` are those of the reference, where it is not agreement that counts but to be like a human.
    reference_times : {"exact", "jongwook"}
        Of "transcription".
    analysis : Analysis or Beats or path, optional
        For "cover" and "restyle": what gives the beats and, if it has any, the chords: `song_analysis.json`, or a
        `.beats` file. By default the beats are those of the reference's tempo map, if its onsets agree with them; for
        "restyle", else tracked ones.
    chords : tuple of Chord or path, optional
        For "cover": chords of a `.lab` file, instead of those of `analysis`.
    melody : {"include", "omit"}
        For "cover": whether the track of the reference that is named melody is part of the target. It is the tune that
        is looked for in both cases.
    pitch : array of shape (n, 2) or path, optional
        For "cover": seconds and hertz of the singing voice, for the melody chroma accuracy; default: the track of the
        reference that is named melody, else the melody of `analysis`.
    recording : Audio or path, optional
        For "cover": the song itself, for how alike it and the arrangement sound.
    to, source : {"classic", "jazz", "pop"}
        For "restyle": the genre of the estimate, which must be named, and that of the reference, which is recognised.
    plot : path, optional
        For "restyle": a picture of both to write (.png, .svg, .pdf).

    Raises
    ------
    ParameterError
        Another task; "cover" without beats; "restyle" without a genre.
    NotesError, AudioError
        A file cannot be read.
    MissingExtraError
        mir_eval is not installed (extra `eval`; "transcription", and "cover" of songs whose melody is known).
    """
    from spartito.loading import load_notes

    if task not in TASKS:
        raise ParameterError(f"task is one of {', '.join(TASKS)}, not {task!r}")
    if melody not in ("include", "omit"):
        raise ParameterError(f"melody is 'include' or 'omit', not {melody!r}")

    def notes(given):
        return load_notes(given) if isinstance(given, (str, os.PathLike)) else given

    estimate, reference = notes(estimate), notes(reference)
    if task == "transcription":
        from spartito.evaluation.transcription import evaluate_transcription

        return evaluate_transcription(reference, estimate, reference_times=reference_times)
    if task == "restyle":
        from spartito.evaluation.restyle import evaluate_restyle

        if to is None:
            raise ParameterError("say which genre the estimate is meant to be in: to='jazz'")
        beats = None if analysis is None else _song(analysis, None, reference).beats
        return evaluate_restyle(reference, estimate, to=to, source=source, beats=beats, plot=plot)
    from spartito.evaluation.cover import evaluate_cover, split_melody

    song = _song(analysis, chords, reference)
    tune, accompaniment = split_melody(reference)
    human = accompaniment if melody == "omit" else reference
    return {
        **evaluate_cover(
            human,
            estimate,
            beats=song.beats,
            melody=tune,
            chords=song.chord_rows() if song.chords else None,
        ),
        **_beside_human(_voice(pitch, tune, song), recording, human, estimate),
    }


def _beside_human(voice, recording, human: Notes, estimate: Notes) -> dict[str, float]:
    """Measures whose best value is that of the human arrangement: of the estimate, then, `_human`, of the other."""
    from spartito.evaluation.expression import evaluate_expression
    from spartito.evaluation.likeness import Original
    from spartito.evaluation.melody import melody_accuracy

    if isinstance(recording, (str, os.PathLike)):
        from spartito.audio.io import load_audio

        recording = load_audio(recording)
    original = None if recording is None else Original(recording)

    def measured(arrangement):
        return {
            **({} if voice is None else melody_accuracy(voice, arrangement)),
            **evaluate_expression(arrangement),
            **({} if original is None else original.compare(arrangement)),
        }

    return measured(estimate) | {f"{name}_human": value for name, value in measured(human).items()}


def _voice(pitch, tune: Notes | None, song: Analysis) -> Notes | np.ndarray | None:
    """The tune to follow: as given, as annotated, as analysed."""
    from spartito.analysis.song import read_pitch
    from spartito.notes.notes import Notes

    if pitch is not None:
        return read_pitch(pitch) if isinstance(pitch, (str, os.PathLike)) else pitch
    if tune is not None:
        return tune
    return Notes.from_arrays(*song.melody.T) if len(song.melody) else None


def _song(analysis, chords, reference: Notes) -> Analysis:
    """Beats and chords to measure by, from whatever was given of them."""
    from spartito.analysis.beats import Beats, beats_from_tempo_map
    from spartito.analysis.song import Analysis, beats_of, read_beats, read_lab

    if isinstance(analysis, (str, os.PathLike)):
        if Path(analysis).suffix.lower() == ".json":
            analysis = Analysis.load(analysis)
        else:
            times, places = read_beats(analysis)
            analysis = beats_of(times, np.arange(len(times)) % 4 if places is None else places)
    if analysis is None:
        analysis = beats_from_tempo_map(reference)
        if analysis is None:
            raise ParameterError(
                "the beats of the reference cannot be read from its tempo map, which its notes do not follow: "
                "give an analysis or a .beats file"
            )
    if isinstance(chords, (str, os.PathLike)):
        chords = read_lab(chords)
    if isinstance(analysis, Beats):
        end = max(analysis.times[-1], *(chord.end for chord in chords or ()), 1.0)
        return Analysis(float(end), analysis, tuple(chords or ()), engine="given")
    return analysis if chords is None else replace(analysis, chords=tuple(chords))
