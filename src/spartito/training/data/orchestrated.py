"""Bands for the songs of POP909, by the orchestrator that makes the recordings of the cover model.

POP909 is free (MIT) and its beats are annotated, but it is for piano; `training/orchestrate.py` gives its parts out to
drums, bass, guitars or keys, and strings. Each song is given to several bands, all tagged pop. Songs of the test
split are orchestrated by patterns that no other band plays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from spartito.analysis.beats import Beats
from spartito.errors import NotesError, ParameterError
from spartito.notes.four_tracks import BASS, DRUMS, GUITAR, STRINGS, band
from spartito.training.data.band_store import BandPiece, piece_of
from spartito.training.data.genre_store import bar_regions
from spartito.training.data.pop909 import list_songs, read_song
from spartito.training.data.splits import TEST, VALIDATION
from spartito.training.orchestrate import Orchestration, orchestrate

__all__ = ["orchestrated_bands", "pop909_split", "roles_of"]

POP = "pop"
TRIES = 4  # bands drawn for one that has drums, bass and guitar


def pop909_split(song: str) -> str:
    """The split of a song named "pop909/NNN"."""
    return {TEST: "test", VALIDATION: "validation"}.get(int(song[-3:]) % 10, "train")


def roles_of(made: Orchestration) -> np.ndarray:
    """(tracks,) to which of the four tracks each player belongs: those who comp are guitar, whatever they play; tune,
    second voices and pads go to the strings."""
    found = {"drums": DRUMS, "bass": BASS, "comp": GUITAR, "second": GUITAR}
    return np.array([found.get(role, STRINGS) for role in made.roles])


def orchestrated_bands(
    root: Path, *, bands: int = 2, seed: int = 0, report: Callable[[str], None] = print
) -> Iterator[BandPiece]:
    """`bands` bands of each song of POP909; `regions` are where its bars have four beats (or two)."""
    for number, folder in enumerate(list_songs(root)):
        name = f"pop909/{folder.name}"
        try:
            song = read_song(folder)
            beats = Beats(song.beats, np.arange(len(song.beats)) - int(song.downbeats[0]), song.positions)
        except (NotesError, ParameterError, IndexError) as error:
            report(f"{name} is passed over: {error}")
            continue
        down = song.downbeats
        lengths = 4 * np.diff(np.append(down, len(song.beats)))
        regions = bar_regions(4 * down, lengths)
        for one in range(bands):
            for draw in range(TRIES):
                made = orchestrate(song, [seed, int(folder.name), one, draw], split=pop909_split(name))
                if {"drums", "bass"} <= set(made.roles) and {"comp", "second"} & set(made.roles):
                    yield piece_of(
                        band(made.notes, beats, roles=roles_of(made)),
                        name=f"{name}#{one}",
                        song=name,
                        tags=(POP,),
                        licence="free",
                        regions=regions,
                        tempo=beats.tempo,
                    )
                    break
        if (number + 1) % 100 == 0:
            report(f"{number + 1} songs of POP909")
