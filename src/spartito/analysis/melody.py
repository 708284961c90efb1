"""The leading voice of a song from what the song analyzer says.

Job
    One line of notes: which pitch leads when, and when none does.

Method
    The best path (Viterbi) through the network's opinions, 31 a second, over the pitches and silence; beginning, ending
    and changing a note cost a little, a leap a little more. Runs of one pitch are the notes.

Source
    J. Salamon, E. Gómez, 'Melody extraction from polyphonic music signals using pitch contour characteristics' (IEEE
    TASLP 20(6), 2012) for the task; the path instead of contours, as in M. P. Ryynänen, A. P. Klapuri, 'Automatic
    transcription of melody, bass line, and chords in polyphonic music' (Computer Music Journal 32(3), 2008).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spartito.models.song_outputs import FPS, LOWEST_VOICE, MELODY_STRIDE

__all__ = ["DEFAULT_MELODY", "MelodyConfig", "find_melody"]


@dataclass(frozen=True)
class MelodyConfig:
    """Costs in nats. Found by search on validation bands."""

    change: float = 3.0  # from a note to another
    begin: float = 1.0  # from silence to a note
    end: float = 1.0  # from a note to silence
    leap: float = 0.08  # a semitone beyond a fifth
    voiced: float = -0.25  # for every step with a note; negative finds more notes
    shortest: float = 0.06  # s; shorter notes are left out


DEFAULT_MELODY = MelodyConfig()


def find_melody(logits: np.ndarray, *, config: MelodyConfig = DEFAULT_MELODY) -> np.ndarray:
    """(n, 3) onset s, offset s, MIDI pitch of the leading voice.

    `logits` (1 + pitches, steps): silence, then the pitches from `LOWEST_VOICE` on; 31.25 steps a second.
    """
    classes, steps = logits.shape
    if steps == 0:
        return np.zeros((0, 3))
    logits = np.asarray(logits, dtype=np.float32)
    logs = logits - logits.max(axis=0)
    logs = np.maximum(logs - np.log(np.exp(logs).sum(axis=0)), -8.0).T  # (steps, classes)
    logs[:, 1:] -= config.voiced
    pitch = np.arange(classes)
    cost = config.change + config.leap * np.maximum(np.abs(pitch[:, None] - pitch[None]) - 7, 0)  # (to, from)
    cost[:, 0], cost[0, :] = config.begin, config.end
    cost[pitch, pitch] = 0.0
    cost = cost.astype(np.float32)
    back = np.zeros((steps, classes), dtype=np.uint8)
    score = logs[0].copy()
    for i in range(1, steps):
        options = score[None, :] - cost
        back[i] = options.argmax(axis=1)
        score = options[pitch, back[i]] + logs[i]
    path = np.zeros(steps, dtype=np.int64)
    path[-1] = score.argmax()
    for i in range(steps - 1, 0, -1):
        path[i - 1] = back[i, path[i]]
    edges = np.flatnonzero(np.diff(path, prepend=-1, append=-1) != 0)
    runs = np.column_stack([edges[:-1], edges[1:], path[edges[:-1]]])
    runs = runs[runs[:, 2] > 0]
    seconds = runs[:, :2] * MELODY_STRIDE / FPS
    notes = np.column_stack([seconds, runs[:, 2] - 1.0 + LOWEST_VOICE])
    return notes[notes[:, 1] - notes[:, 0] >= config.shortest - 1e-9]
