"""Controls: every measure and every pattern of the left hand from bars written by hand."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import ParameterError
from spartito.notes import attributes
from spartito.notes.attributes import (
    CONTROLS,
    LEFT_HAND,
    PATTERNS,
    RIGHT_HAND,
    VECTOR,
    control_level,
    controls_of,
    controls_of_windows,
    level_of,
    measures_of_windows,
    song_vector,
)

COLUMN = {name: i for i, name in enumerate(CONTROLS)}


def bars(left=(), right=(), *, length=2):
    """(k, 5) from strokes (step, keys) of each hand."""
    rows = [
        (step, length, key, 80, hand)
        for hand, strokes in ((LEFT_HAND, left), (RIGHT_HAND, right))
        for step, keys in strokes
        for key in keys
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 5)


def one(notes, steps=32):
    """The measures of one window."""
    measures = measures_of_windows(notes, np.zeros(len(notes), dtype=int), 1, steps)
    return {name: values[0] for name, values in measures.items()}


# -- measures -----------------------------------------------------------------------------------------------------


def test_density_rhythm_register_and_polyphony():
    # a crotchet of three keys, then one of one, and a last one that would sound beyond the two beats
    notes = np.array([[0, 4, 48, 80, 0], [0, 4, 60, 80, 1], [0, 4, 64, 80, 1], [4, 16, 72, 80, 1]])
    measures = one(notes, steps=8)
    assert measures["density"] == 4 / 2
    assert measures["rhythm"] == 2 / 2
    assert measures["register"] == (48 + 60 + 64 + 72) / 4
    assert measures["polyphony"] == (3 * 4 + 1 * 4) / 8  # cut at the end of the window
    assert measures["sustain"] == pytest.approx((1 + 1 + 1 + 4) / 4)  # in beats, as written
    assert measures["spread"] == pytest.approx(np.std([48, 60, 64, 72]))
    assert measures["left rate"] == 1 / 2


def test_octave_doubling_of_the_right_hand():
    right = [(0, [60, 72]), (4, [60, 64, 72]), (8, [60, 64]), (12, [55])]
    assert one(bars(right=right))["doubling"] == 2 / 4
    assert np.isnan(one(bars(left=[(0, [36, 48])]))["doubling"])  # there is no right hand


@pytest.mark.parametrize(
    ("steps", "share"),
    [
        ([0, 4, 8], 0),  # on the beats
        ([0, 2, 4, 6, 8], 0),  # quavers that are followed by the beat
        ([0, 6], 1 / 2),  # the last one is held over the next beat
        ([0, 3, 6, 8], 1 / 4),  # 3: nothing on 4; 6: 8 comes
        ([1, 2], 1 / 2),  # 1 goes to 2; 2 is held over 4
    ],
)
def test_syncopation(steps, share):
    assert one(bars(right=[(step, [60]) for step in steps]))["syncopation"] == pytest.approx(share)


@pytest.mark.parametrize(
    ("left", "pattern"),
    [
        ([(0, [48, 52, 55]), (8, [45, 52]), (16, [41]), (24, [43, 50])], "sustained"),
        ([(8 * bar, [36]) for bar in range(4)], "sustained"),
        ([(4 * beat, [48, 52, 55]) for beat in range(8)], "block"),
        ([(2 * i, [(48, 55, 60, 55)[i % 4]]) for i in range(16)], "broken"),
        ([(2 * i, [(48, 52, 55, 60, 64, 60, 55, 52)[i % 8]]) for i in range(16)], "broken"),
        ([(4 * beat, [36, 48]) for beat in range(8)], "octave bass"),
        ([(2 * i, [(36, 48)[i % 2]]) for i in range(16)], "octave bass"),
        ([(4 * beat, ([36], [52, 55, 60])[beat % 2]) for beat in range(8)], "stride"),
        ([(4 * beat, ([36, 48], [55, 60, 64])[beat % 2]) for beat in range(8)], "stride"),
        ([(4 * beat, [key]) for beat, key in enumerate([48, 50, 52, 53, 55, 53, 52, 50])], "walking"),
        ([(4 * beat, [48]) for beat in range(8)], None),  # only repeats
        ([(4 * beat, [36, 48][: 1 + (beat == 0)]) for beat in range(8)], None),
        ([], None),
    ],
)
def test_patterns_of_the_left_hand(left, pattern):
    right = [(4 * i, [72, 76, 79]) for i in range(8)]  # block chords of the other hand do not count
    level = one(bars(left, right))["pattern"]
    assert level == (0 if pattern is None else 1 + PATTERNS.index(pattern))


def test_a_window_of_one_bar_of_three():
    left = [(0, [36]), (4, [52, 55]), (8, [52, 55])]  # a waltz: the bass, then the chord twice
    assert PATTERNS[one(bars(left), steps=12)["pattern"] - 1] == "stride"
    assert PATTERNS[one(bars(left[:1]), steps=12)["pattern"] - 1] == "sustained"


def test_difficulty_is_the_level_whose_limits_hold():
    tune = [(2 * i, [72 + i % 3]) for i in range(16)]
    bass = [(8 * i, [48]) for i in range(4)]
    assert one(bars(bass, tune))["difficulty"] == 1
    assert one(bars([(4 * i, [48, 55]) for i in range(8)], tune))["difficulty"] == 2  # crotchets, fifths
    assert one(bars([(2 * i, [36, 48]) for i in range(16)], tune))["difficulty"] == 3  # quavers, octaves
    assert one(bars([(i, [48]) for i in range(32)], tune))["difficulty"] == 4  # semiquavers
    assert one(bars(bass, [(step, [60, 64, 67, 72]) for step, _ in tune]))["difficulty"] == 4  # four keys
    assert one(bars(bass, [(step, [58, 72]) for step, _ in tune]))["difficulty"] == 5  # wider than an octave


def test_one_stroke_in_ten_may_break_a_level():
    tune = [(2 * i, [72]) for i in range(16)]
    bass = [(8 * i, [48]) for i in range(4)]
    wide = [(step, [58, 72] if step in steps else keys) for step, keys in tune for steps in [(0, 8)]]
    assert one(bars(bass, wide))["difficulty"] == 1  # two of twenty strokes
    wide = [(step, [58, 72] if step in steps else keys) for step, keys in tune for steps in [(0, 8, 16)]]
    assert one(bars(bass, wide))["difficulty"] == 5


# -- levels -------------------------------------------------------------------------------------------------------


def test_windows_are_measured_apart_whatever_the_order():
    rng = np.random.default_rng(5)
    notes = np.column_stack(
        [
            rng.integers(0, 24, 300),
            rng.integers(1, 9, 300),
            rng.integers(36, 90, 300),
            np.full(300, 70),
            rng.integers(0, 2, 300),
        ]
    )
    window = rng.integers(0, 6, 300)
    window[window == 4] = 5  # one of them is empty
    steps = np.array([32, 24, 32, 32, 32, 24])
    levels = controls_of_windows(notes, window, 6, steps)
    assert levels.shape == (6, 7)
    for i in range(6):
        assert levels[i].tolist() == controls_of(notes[window == i], steps=steps[i]).tolist()
    assert levels[4].tolist() == [0] * 7
    assert (levels[:, [COLUMN["style"], COLUMN["melody"]]] == 0).all()
    assert (levels[[0, 1, 2, 3, 5]][:, [COLUMN["density"], COLUMN["difficulty"]]] > 0).all()


def test_no_notes_and_no_windows():
    assert controls_of(np.zeros((0, 5)), steps=32).tolist() == [0] * 7
    assert controls_of_windows(np.zeros((0, 5)), np.zeros(0), 0, 32).shape == (0, 7)


def test_levels_lie_between_the_limits():
    low, *_, high = attributes.EDGES["density"]
    assert level_of("density", [0.0, low, high - 1e-6, high, np.nan]).tolist() == [1, 2, 4, 5, 0]
    for name, edges in attributes.EDGES.items():
        assert len(edges) == len(CONTROLS[name]) - 1 and (np.diff(edges) > 0).all()


def test_transposing_moves_the_register_alone():
    notes = bars([(4 * i, [48, 55]) for i in range(8)], [(2 * i, [60, 64]) for i in range(16)])
    higher = notes + np.array([0, 0, 7, 0, 0])
    before, after = controls_of(notes, steps=32), controls_of(higher, steps=32)
    assert after[COLUMN["register"]] > before[COLUMN["register"]]
    assert np.delete(before, COLUMN["register"]).tolist() == np.delete(after, COLUMN["register"]).tolist()


def test_controls_are_given_as_numbers_or_words():
    assert control_level("density", "busy") == 4
    assert control_level("density", " 4 ") == control_level("density", 4) == 4
    assert control_level("pattern", "octave-bass") == control_level("pattern", "Octave bass") == 3
    assert control_level("melody", "omit") == 2
    assert control_level("style", 3) == 3
    assert [control_level("register", value) for value in (None, "", 0, "free")] == [0] * 4


@pytest.mark.parametrize(("name", "value"), [("density", 6), ("density", "-1"), ("pattern", "waltz"), ("mood", 1)])
def test_controls_that_are_none(name, value):
    with pytest.raises(ParameterError, match=name):
        control_level(name, value)


# -- whole pieces ---------------------------------------------------------------------------------------------------


def test_vector_of_a_song():
    # two bars of block chords, two bars of silence, two bars of broken chords in the left hand alone
    block = bars([(4 * i, [48, 52, 55]) for i in range(8)], [(8 * i, [60, 72]) for i in range(4)])
    broken = bars([(64 + 2 * i, [(48, 55, 60, 55)[i % 4]]) for i in range(16)])
    vector = dict(zip(VECTOR, song_vector(np.concatenate([block, broken]), 96), strict=True))
    assert vector["density"] == pytest.approx((32 / 8 + 16 / 8) / 2)  # silence does not count
    assert vector["doubling"] == 1.0
    assert (vector["block"], vector["broken"], vector["stride"]) == (0.5, 0.5, 0.0)


def test_vectors_of_pieces_that_lack_a_hand_or_all():
    assert np.isnan(song_vector(np.zeros((0, 5)), 64)).all()
    assert not np.isnan(song_vector(bars(left=[(0, [40])]), 32)).any()
    assert not np.isnan(song_vector(bars(right=[(0, [70])]), 32)).any()
