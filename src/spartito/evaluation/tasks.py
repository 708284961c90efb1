"""`evaluate`: one door to the measures of all tasks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from spartito.errors import ParameterError

if TYPE_CHECKING:
    from spartito.notes.notes import Notes

__all__ = ["TASKS", "evaluate"]

TASKS = ("transcription",)


def evaluate(
    estimate: Notes | str | os.PathLike,
    reference: Notes | str | os.PathLike,
    *,
    task: str = "transcription",
    reference_times: str = "exact",
) -> dict[str, float]:
    """Scores of one estimate against its reference.

    Parameters
    ----------
    estimate, reference : Notes or path
        What was heard, and what was played.
    task : {"transcription"}
        See `spartito.evaluation.transcription.evaluate_transcription` for the keys of the result.
    reference_times : {"exact", "jongwook"}
        As there.

    Raises
    ------
    ParameterError
        Another task.
    NotesError
        A file cannot be read.
    MissingExtraError
        mir_eval is not installed (extra `eval`).
    """
    from spartito.evaluation.transcription import evaluate_transcription
    from spartito.loading import load_notes

    if task not in TASKS:
        raise ParameterError(f"task is one of {', '.join(TASKS)}, not {task!r}")

    def notes(given):
        return load_notes(given) if isinstance(given, (str, os.PathLike)) else given

    return evaluate_transcription(notes(reference), notes(estimate), reference_times=reference_times)
