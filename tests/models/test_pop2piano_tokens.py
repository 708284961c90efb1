"""Rows of Pop2Piano read and written: cases by hand, a slow reader of the rules, and the port's own tokenizer."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spartito.models.pop2piano_tokens import END, LIMIT, SEGMENT, SIZE, decode, encode

ON, OFF = 133, 132


def note(pitch: int) -> int:
    return 4 + pitch


def time(steps: int) -> int:
    return 134 + steps


def rows(*given) -> np.ndarray:
    """Rows of one length, padded with 0."""
    length = max(len(row) for row in given)
    return np.array([list(row) + [0] * (length - len(row)) for row in given])


def read(*given, compat: bool = False) -> list:
    return decode(rows(*given), compat=compat).tolist()


# -- by hand ------------------------------------------------------------------------------------------------


def test_a_chord_in_each_of_two_segments():
    row = [time(0), ON, note(60), note(64), time(2), OFF, note(60), time(1), note(64), END]
    assert read(row, row) == [[0, 0, 2, 60], [0, 0, 3, 64], [1, 8, 10, 60], [1, 8, 11, 64]]


def test_off_without_on_is_nothing_and_a_note_in_the_port():
    row = [time(1), OFF, note(62), END]
    assert read(row) == []
    assert read(row, compat=True) == [[0, 1, 12, 62]]


def test_a_key_struck_while_it_is_down_begins_anew():
    assert read([time(0), ON, note(60), time(3), note(60), time(1), OFF, note(60), END]) == [
        [0, 0, 3, 60],
        [0, 3, 4, 60],
    ]


def test_time_stops_at_the_limit_of_the_segment():
    row = [time(7), ON, note(60), time(50), OFF, note(60), END]
    assert read([END], row) == [[1, 15, 20, 60]]


def test_on_and_off_at_one_step_keep_the_note_open():
    assert read([time(2), ON, note(60), OFF, note(60), END]) == [[0, 2, 12, 60]]
    assert read([time(2), ON, note(60), note(60), END]) == [[0, 2, 12, 60]]


def test_a_note_struck_at_the_limit_lasts_a_step():
    assert read([time(12), ON, note(60), END]) == [[0, 12, 13, 60]]


def test_nothing_is_read_after_the_end_and_special_words_are_passed_over():
    assert read([END, time(0), ON, note(60)]) == []
    assert read([3, time(0), 2, ON, 0, note(60), time(1), OFF, note(60), END]) == [[0, 0, 1, 60]]


def test_rows_without_an_end():
    open_note = [time(0), ON, note(60), time(4), note(64)]
    assert read(open_note, open_note[:3]) == [[0, 0, 12, 60], [0, 4, 12, 64], [1, 8, 20, 60]]
    assert read(open_note, compat=True) == [[0, 0, 12, 60], [0, 4, 12, 64]]  # where the port fails
    ended = [time(0), ON, note(72), END]
    assert read(open_note, ended, compat=True) == [[0, 0, 12, 60], [1, 8, 20, 72]]  # cut at the last end
    assert read(open_note, ended) == [[0, 0, 12, 60], [0, 4, 12, 64], [1, 8, 20, 72]]


def test_words_that_mean_nothing():
    row = [time(5), ON, note(60), SIZE, note(64), END]
    assert read(row) == [[0, 5, 12, 60], [0, 12, 13, 64]]  # a move of 100 steps, held at the limit
    assert read(row, compat=True) == [[0, 4, 12, 64], [0, 5, 12, 60]]  # a step back


def test_no_segments_and_no_words():
    assert decode(np.zeros((0, 5), dtype=int)).shape == (0, 4)
    assert decode(np.zeros((3, 0), dtype=int)).shape == (0, 4)


def test_writing_a_segment():
    notes = [[0, 2, 60], [0, 3, 64], [2, 4, 60], [3, 120, 67]]
    assert encode(notes).tolist() == [
        time(0), ON, note(60), note(64), time(2), OFF, note(60), ON, note(60),
        time(1), OFF, note(64), ON, note(67), time(1), OFF, note(60), time(99), note(67), END,
    ]  # fmt: skip
    assert encode(np.zeros((0, 3))).tolist() == [END]
    assert encode([[3, 4, 60]]).tolist() == [time(3), ON, note(60), time(1), OFF, note(60), END]


def test_what_is_written_is_read():
    rng = np.random.default_rng(0)
    for _ in range(50):
        onset = rng.integers(0, SEGMENT, 12)
        pitch = rng.choice(88, 12, replace=False) + 21
        offset = rng.integers(onset + 1, LIMIT + 1)
        notes = np.column_stack([onset, offset, pitch])
        found = decode(encode(notes)[None])
        assert sorted(found[:, 1:].tolist()) == sorted(notes.tolist())
    assert decode(encode([[2, 22, 60]])[None]).tolist() == [[0, 2, 12, 60]]  # 20 steps come back as far as the limit


# -- against other readers ----------------------------------------------------------------------------------


def slowly(row: list[int], start: int) -> list:
    """The rules of the original, a word at a time."""
    position, state, open_notes, found = start, 0, {}, []
    for word in row:
        if word == END:
            break
        if word >= 134:
            position = min(position + word - 134, start + 12)
        elif word >= 132:
            state = word - 132
        elif word >= 4:
            pitch = word - 4
            if pitch not in open_notes:
                if state:
                    open_notes[pitch] = position
            elif open_notes[pitch] < position:
                found.append([open_notes.pop(pitch), position, pitch])
                if state:
                    open_notes[pitch] = position
    found += [[onset, max(position, start + 12, onset + 1), pitch] for pitch, onset in open_notes.items()]
    return sorted(found)


def random_rows(seed: int, count: int, length: int, *, highest: int = SIZE) -> np.ndarray:
    """Likely rows: few keys, many moves, sometimes an end."""
    rng = np.random.default_rng(seed)
    keys, moves, states = rng.integers(64, 70, (count, length)), rng.integers(134, 137, (count, length)), [OFF, ON]
    choice = rng.random((count, length))
    words = np.where(choice < 0.5, keys, np.where(choice < 0.75, moves, rng.choice(states, (count, length))))
    words = np.where(choice > 0.97, rng.integers(0, highest, (count, length)), words)
    return np.where(choice > 0.99, END, words)


def test_random_rows_read_slowly():
    tokens = random_rows(1, 40, 60, highest=2400)
    found = decode(tokens)
    for i, row in enumerate(tokens.tolist()):
        assert sorted(found[found[:, 0] == i, 1:].tolist()) == slowly(row, SEGMENT * i)


@pytest.fixture
def port(tmp_path):
    """The tokenizer of `transformers` with the published vocabulary."""
    pytest.importorskip("transformers", reason="the port is in transformers (extra pop2piano)")
    pytest.importorskip("torch", reason="the port needs torch")
    from transformers.models.pop2piano.tokenization_pop2piano import Pop2PianoTokenizer

    kinds = [("SPECIAL", 4), ("NOTE", 128), ("VELOCITY", 2), ("TIME", 100)]
    words = [f"{value}_TOKEN_{kind}" for kind, count in kinds for value in range(count)]
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps({word: i for i, word in enumerate(words)}), encoding="utf-8")
    return Pop2PianoTokenizer(vocab=str(path))


def test_random_rows_read_by_the_port(port):
    for seed in range(5):
        tokens = random_rows(seed, 12, 50)
        tokens[:, -1] = END  # or the port cuts, which has a test of its own above
        theirs = port.relative_batch_tokens_ids_to_notes(
            tokens=tokens, beat_offset_idx=0, bars_per_batch=2, cutoff_time_idx=12
        )
        assert sorted(theirs[:, :3].tolist()) == sorted(decode(tokens, compat=True)[:, 1:].tolist())
