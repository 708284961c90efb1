"""The language of Pop2Piano: notes of four beats as a row of numbers, and back.

Job
    `encode` writes the notes of a segment as the rows the model was trained on, `decode` reads what it generates, all
    segments of a song at once. Time is counted in half beats ("steps").

Vocabulary
    0 pad and start, 1 end, 2 and 3 unused, 4..131 keys (MIDI number + 4), 132 "off" and 133 "on" (the state of the keys
    that follow), 134..233 a move in time by 0..99 steps. The network has 2400 outputs; 234 and above mean nothing.
    Time is relative: a move counts from the last one, the first from the beginning of the segment. An "on" opens a
    note, an "off" closes it; notes begin within eight steps and are closed four steps later at the latest.

Source
    J. Choi, K. Lee, 'Pop2Piano: pop audio-based piano cover generation' (ICASSP 2023, https://arxiv.org/abs/2211.00895)
    and the behaviour of its program.

Two readings
    The port of the program to `transformers` reads some rows otherwise, and `compat=True` does as it does:

    - an "off" for a key that is not open opens it there (the original: nothing),
    - an id of 234 or more is a step back (the original: a huge move, held at the limit),
    - all rows of a song are cut at the last column in which one of them ends. Where the port fails, because no row
      ends, nothing is cut.
"""

from __future__ import annotations

import numpy as np

__all__ = ["COMPOSER", "END", "LIMIT", "SEGMENT", "SIZE", "START", "decode", "encode"]

START, END, NOTE, OFF, ON, TIME, SIZE = 0, 1, 4, 132, 133, 134, 234
LONGEST = SIZE - TIME - 1  # steps of a move
COMPOSER = 2052  # id of composer1 in the published map; the rows of the table follow one another
SEGMENT = 8  # steps in which the notes of a segment begin: four beats
LIMIT = 12  # steps after which all its notes are closed


def encode(notes: np.ndarray) -> np.ndarray:
    """The row of a segment.

    Parameters
    ----------
    notes : np.ndarray, shape=(n, 3), int
        Onset and offset in steps from the beginning of the segment, MIDI number. Their order is kept within a step.

    Returns
    -------
    np.ndarray, shape=(m,), int64
        With the end, without the start.
    """
    notes = np.asarray(notes, dtype=np.int64).reshape(-1, 3)
    step = notes[:, :2].ravel()  # on and off of each note
    order = np.argsort(step, kind="stable")
    step, state, pitch = step[order], np.tile([1, 0], len(notes))[order], np.repeat(notes[:, 2], 2)[order]
    move, change = np.diff(step, prepend=0), np.diff(state, prepend=0)
    words = np.column_stack([TIME + np.minimum(move, LONGEST), OFF + state, NOTE + pitch])
    said = np.column_stack([move > 0, change != 0, np.ones(len(step), dtype=bool)])
    said[:1, 0] = True  # the first move is always written
    return np.append(words[said], END)


def decode(tokens: np.ndarray, *, compat: bool = False) -> np.ndarray:
    """The notes of a song.

    Parameters
    ----------
    tokens : np.ndarray, shape=(segments, m), int
        A row for each segment, in order, without the start; what follows an end is not read. Rows may lack one.
    compat : bool
        Read as the port does.

    Returns
    -------
    np.ndarray, shape=(n, 4), int64
        Segment, onset and offset in steps from the beginning of the song, MIDI number; by segment, onset, offset. A
        note that is never closed lasts to the limit of its segment. The same key may sound twice at once where
        segments meet.
    """
    tokens = np.asarray(tokens, dtype=np.int64)
    if compat and (tokens == END).any():
        tokens = tokens[:, : np.flatnonzero((tokens == END).any(axis=0))[-1] + 1]
    rows = np.arange(len(tokens))
    position, limit = rows * SEGMENT, rows * SEGMENT + LIMIT
    on, going = np.zeros(len(rows), dtype=bool), np.ones(len(rows), dtype=bool)
    opened = np.full((len(rows), 128), -1)  # the step a key was struck at
    found = []
    for word in tokens.T:  # all segments side by side
        going &= word != END
        if not going.any():
            break
        moves = going & (word >= TIME)
        shift = np.where(word < SIZE, word - TIME, -1) if compat else word - TIME
        position = np.where(moves, np.minimum(position + shift, limit), position)
        on = np.where(going & ((word == OFF) | (word == ON)), word == ON, on)
        row = np.flatnonzero(going & (word >= NOTE) & (word < OFF))
        key = word[row] - NOTE
        since, now, struck = opened[row, key], position[row], on[row]
        ends = (since >= 0) & (since < now)  # a key struck at this very step stays as it is
        found.append(np.column_stack([row, since, now, key])[ends])
        begins = (since < 0) & (struck | compat)
        opened[row, key] = np.where(begins | (ends & struck), now, np.where(ends, -1, since))
    row, key = np.nonzero(opened >= 0)
    since = opened[row, key]
    found.append(np.column_stack([row, since, np.maximum(np.maximum(position, limit)[row], since + 1), key]))
    notes = np.concatenate(found)
    return notes[np.lexsort((notes[:, 3], notes[:, 2], notes[:, 1], notes[:, 0]))]
