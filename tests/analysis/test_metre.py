"""Metre heard from what comes again bar after bar."""

import numpy as np
import pytest

from spartito.analysis.beats import estimate_beats
from spartito.analysis.events import find_events
from spartito.analysis.metre import repetition
from spartito.notes.notes import Notes


def accompaniment(beats_per_bar: int, bars: int = 24) -> Notes:
    """A bass note on one, a chord on every other beat, 80 beats a minute."""
    rows = []
    for bar in range(bars):
        for beat in range(beats_per_bar):
            at = 0.5 + 0.75 * (beats_per_bar * bar + beat)
            pitches = [40 + 5 * (bar % 2)] if beat == 0 else [60, 64, 67]
            rows += [(at, at + 0.7, pitch, 60) for pitch in pitches]
    return Notes.from_arrays(*np.array(rows).T)


@pytest.mark.parametrize("size", [3, 4])
def test_what_comes_again_is_heard_a_bar_later(size):
    notes = accompaniment(size)
    events = find_events(notes)
    alike = repetition(np.arange(len(events.times), dtype=float), events.features, len(events.times))
    assert alike[size] == alike[2:5].max() > 0.2
    assert alike[2:].sum() == pytest.approx(0.0)


@pytest.mark.parametrize("size", [3, 4])
def test_metre_of_a_plain_accompaniment(size):
    beats = estimate_beats(accompaniment(size))
    assert beats.signatures[0][1] == size


@pytest.mark.parametrize("size", [3, 4])
def test_a_deep_bass_opens_the_bar(size):
    """Bass, chord, chord: the single low note is the downbeat though the chords are louder."""
    notes = accompaniment(size)
    beats = estimate_beats(notes)
    downbeats = beats.times[beats.positions == 0]
    basses = notes.onset[notes.pitch < 50]
    inside = downbeats[(downbeats > 2.0) & (downbeats < basses[-1] + 0.1)]
    assert np.abs(inside[:, None] - basses[None]).min(axis=1).max() < 0.05
