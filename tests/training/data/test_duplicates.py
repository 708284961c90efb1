import numpy as np

from spartito.notes.notes import Notes
from spartito.training.data.duplicates import is_version_of, melody_runs

RNG = np.random.default_rng(5)


def piece(seed, length=300):
    """A random melody over chords that change every eighth note."""
    rng = np.random.default_rng(seed)
    times = 0.25 * np.arange(length)
    melody = np.clip(72 + np.cumsum(rng.integers(-4, 5, length)), 60, 100)
    bass = rng.integers(36, 55, length // 8)
    onset = np.concatenate([times, times[::8][: len(bass)]])
    pitch = np.concatenate([melody, bass])
    return Notes.from_arrays(onset, onset + 0.2, pitch)


def performed(notes, *, semitones=0, missing=0.0, seed=0):
    """The same piece played unevenly, with some notes left out."""
    rng = np.random.default_rng(seed)
    array = notes.array[rng.random(len(notes)) >= missing].copy()
    array["onset"] = 1.1 * array["onset"] + rng.normal(0, 0.008, len(array))
    array["offset"] = array["onset"] + 0.2
    array["pitch"] += semitones
    return Notes(array)


def test_a_version_is_found():
    original = melody_runs(piece(1))
    for version in (performed(piece(1)), performed(piece(1), semitones=3), performed(piece(1), missing=0.03)):
        assert is_version_of(melody_runs(version), [melody_runs(piece(2)), original])


def test_other_pieces_are_not():
    others = [melody_runs(piece(seed)) for seed in range(2, 12)]
    assert not is_version_of(melody_runs(piece(1)), others)


def test_repeated_notes_and_nothing_match_nobody():
    drone = Notes.from_arrays(np.arange(100.0), np.arange(100.0) + 0.5, 60)
    assert melody_runs(drone) == set() and melody_runs(Notes()) == set()
    assert not is_version_of(set(), [melody_runs(piece(1))])
