"""A leading voice from hand-made opinions of a network."""

import numpy as np

from spartito.analysis.melody import find_melody
from spartito.models.song_outputs import FPS, HIGHEST_VOICE, LOWEST_VOICE, MELODY_STRIDE

STEPS = FPS / MELODY_STRIDE  # a second


def opinions(notes, duration, *, noise=0.3, seed=0):
    """(1 + pitches, steps) logits that favour the pitch of each note (onset, offset, pitch), else silence."""
    logits = np.random.default_rng(seed).normal(0.0, noise, (2 + HIGHEST_VOICE - LOWEST_VOICE, int(duration * STEPS)))
    logits[0] += 4.0
    for onset, offset, pitch in notes:
        here = slice(round(onset * STEPS), round(offset * STEPS))
        logits[0, here] -= 4.0
        logits[1 + pitch - LOWEST_VOICE, here] += 6.0
    return logits


def test_notes_and_rests():
    notes = [(0.48, 0.96, 60), (0.96, 1.6, 64), (2.24, 2.56, 67)]
    found = find_melody(opinions(notes, 4.0))
    assert found[:, 2].tolist() == [60, 64, 67]
    assert np.abs(found[:, :2] - np.array(notes)[:, :2]).max() < 0.04


def test_a_note_struck_again_is_two_notes():
    found = find_melody(opinions([(0.48, 0.96, 60), (0.992, 1.6, 60)], 3.0))
    assert found[:, 2].tolist() == [60, 60]


def test_a_flicker_is_no_note():
    logits = opinions([(0.48, 1.6, 60)], 3.0)
    step = round(1.0 * STEPS)
    logits[1 + 72 - LOWEST_VOICE, step] += 8.0
    assert find_melody(logits)[:, 2].tolist() == [60]


def test_silence_has_no_melody():
    assert find_melody(opinions([], 2.0)).shape == (0, 3)
    assert find_melody(np.zeros((55, 0))).shape == (0, 3)
