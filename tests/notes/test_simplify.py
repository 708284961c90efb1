"""Simplifying: levels, density, keys; cases worked out by hand and properties on made-up music."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from spartito.analysis.beats import beats_from_times
from spartito.errors import ParameterError
from spartito.notes.notes import Notes, Track
from spartito.notes.playability import LEVELS, hand_strokes, playability
from spartito.notes.roles import BASS, INNER, MELODY, Grid, make_table
from spartito.notes.simplify import easy_key, simplify, transpose_notes
from spartito.notes.tempo import KeySignature, TempoMap
from spartito.notes.two_hands import piano_in_two_hands

HANDS = (Track(name="right hand"), Track(name="left hand"))
BEAT = 0.5  # seconds


def beats(n=32, numerator=4, denominator=4):
    return beats_from_times(np.arange(n) * BEAT, np.arange(n) % numerator, numerator=numerator, denominator=denominator)


def piano(right=(), left=()):
    """Notes of each hand: (beat, length in beats, pitches)."""
    rows = [(t, d, p, hand) for hand, part in enumerate((right, left)) for t, d, keys in part for p in keys]
    start, length, pitch, track = (np.array(column, dtype=float) for column in zip(*rows))
    return Notes.from_arrays(start * BEAT, (start + length) * BEAT, pitch, 64, track=track, tracks=HANDS)


def part(notes, hand):
    """(beat, length in beats, pitch) of one hand."""
    rows = notes.array[notes.array["track"] == hand]
    return [(round(r["onset"] / BEAT, 3), round((r["offset"] - r["onset"]) / BEAT, 3), int(r["pitch"])) for r in rows]


def made_up(bars=8, seed=0):
    """A tune in quavers and semiquavers over broken chords, with thick right-hand chords on the beats."""
    rng = np.random.default_rng(seed)
    right, left = [], []
    for bar in range(bars):
        root = 36 + int(rng.integers(0, 12))
        for i, t in enumerate(np.arange(0, 4, 0.5)):
            left.append((4 * bar + t, 0.5, [root + (0, 7, 12, 16, 19, 16, 12, 7)[i]]))
        for t in np.sort(rng.choice(np.arange(16), 8, replace=False)) / 4:
            top = int(rng.integers(70, 84))
            right.append((4 * bar + t, 0.5, [top - 12, top - 9, top - 5, top] if t % 1 == 0 else [top]))
    return piano(right, left)


# -- roles --------------------------------------------------------------------------------------------------


def test_roles_by_hand():
    notes = piano([(0, 2, [64, 67, 72]), (1, 1, [65]), (2, 1, [74])], [(0, 1, [36]), (1, 1, [43]), (2, 1, [41])])
    table = make_table(notes, Grid.of(beats()), np.zeros((0, 3)))
    found = {(s, p): r for s, p, r in zip(table.start, table.pitch, table.role)}
    assert [k for k, r in found.items() if r == MELODY] == [(0, 72), (2, 74)]  # the 65 lies under the held 72
    assert [k for k, r in found.items() if r == BASS] == [(0, 36), (2, 41)]  # one for each half bar
    assert found[0, 64] == INNER


def test_a_dip_far_below_both_neighbours_is_no_melody():
    notes = piano([(0, 0.5, [76]), (0.5, 0.5, [64]), (1, 0.5, [77]), (2, 1, [65])], [(0, 1, [40])])
    table = make_table(notes, Grid.of(beats()), np.zeros((0, 3)))
    assert table.pitch[table.role == MELODY].tolist() == [76, 77, 65]


def test_the_heard_melody_wins_over_the_top_line():
    right = [(i, 1, [67, 81]) for i in range(8)]  # the tune is 67, in the middle; a bell rings on top
    heard = np.array([[i * BEAT, (i + 1) * BEAT, 55.0] for i in range(8)])  # sung an octave lower
    table = make_table(piano(right, [(0, 1, [40])]), Grid.of(beats()), heard)
    assert set(table.pitch[table.role == MELODY]) == {67}
    elsewhere = heard + np.array([0, 0, 1.0])  # another key: it cannot be the tune
    table = make_table(piano(right, [(0, 1, [40])]), Grid.of(beats()), elsewhere)
    assert set(table.pitch[table.role == MELODY]) == {81}


def test_strength_of_places():
    grid = Grid.of(beats())
    assert grid.strength(np.array([0, 4, 2, 1, 3.5, 3.25])).tolist() == [4, 4, 3, 2, 1, 0]
    waltz = Grid.of(beats(24, 3))
    assert waltz.strength(np.array([3, 4, 5, 4.5])).tolist() == [4, 2, 2, 1]


# -- levels -------------------------------------------------------------------------------------------------


def test_level_one_by_hand():
    notes = piano(
        [(0, 1, [60, 64, 72]), (1, 0.25, [74]), (1.25, 0.25, [76]), (1.5, 0.5, [77]), (2, 2, [67, 79])],
        [(0, 0.5, [48]), (0.5, 0.5, [55]), (1, 0.5, [60]), (1.5, 0.5, [55]), (2, 2, [53, 57])],
    )
    easy = simplify(notes, beats(), difficulty=1)
    assert part(easy, 0) == [(0, 1, 72), (1, 0.5, 74), (1.5, 0.5, 77), (2, 2, 79)]
    assert part(easy, 1) == [(0, 2, 48), (2, 2, 41)]  # bass notes, within one octave, held on


def test_a_broken_chord_becomes_a_block():
    left = [(0, 0.5, [48]), (0.5, 0.5, [55]), (1, 0.5, [48]), (1.5, 0.5, [55])]
    easy = simplify(piano([(0, 4, [72])], left), beats(), difficulty=2)
    assert part(easy, 1) == [(0, 1, 48), (0, 1, 55), (1, 1, 48), (1, 1, 55)]


def test_a_passing_note_makes_no_second():
    left = [(0, 0.5, [48]), (0.5, 0.5, [50])]
    assert part(simplify(piano([(0, 4, [72])], left), beats(), difficulty=2), 1) == [(0, 1, 48)]


def test_an_anticipated_chord_comes_on_the_beat():
    left = [(0, 1.5, [48]), (1.5, 2.5, [41])]
    easy = simplify(piano([(0, 4, [72])], left), beats(), difficulty=2)
    assert [(t, p) for t, _, p in part(easy, 1)] == [(0, 48), (2, 41)]


def test_triplets_stay_triplets():
    right = [(i / 3, 1 / 3, [72 + i]) for i in range(6)]
    notes = simplify(piano(right, [(0, 2, [48])]), beats(), difficulty=4)
    assert [t for t, _, _ in part(notes, 0)] == pytest.approx([0, 0.333, 0.667, 1, 1.333, 1.667])


@pytest.mark.parametrize("difficulty", [1, 2, 3, 4, 5])
def test_levels_keep_their_promises(difficulty):
    level = LEVELS[difficulty]
    for seed in range(3):
        notes = simplify(made_up(seed=seed), beats(40), difficulty=difficulty)
        for hand, most in ((0, level.right_notes), (1, level.left_notes)):
            rows = notes.array[notes.array["track"] == hand]
            strokes = hand_strokes(rows["onset"], rows["pitch"])
            assert strokes.count.max() <= most
            assert strokes.span.max() <= level.span
            assert np.diff(strokes.time).min() > 1 / level.pace - 1e-6
        assert playability(notes).difficulty <= difficulty


def test_levels_are_in_order_and_keep_the_tune():
    notes = made_up()
    counts = [len(simplify(notes, beats(40), difficulty=d)) for d in (1, 2, 3, 4, 5)]
    assert counts == sorted(counts) and counts[0] < 0.5 * counts[-1]
    full = simplify(notes, beats(40), difficulty=5)
    assert len(full) == len(notes)


def test_what_is_out_of_reach_comes_nearer():
    notes = piano([(0, 1, [57, 60, 76])], [(0, 1, [36, 52, 55])])
    mended = simplify(notes, beats(), difficulty=5)
    assert part(mended, 0) == [(0, 1, 69), (0, 1, 72), (0, 1, 76)]
    assert [p for _, _, p in part(mended, 1)] == [36, 43]  # the third would be mud down there


def test_a_key_is_released_when_the_hand_must_leave_it():
    notes = piano([(0, 4, [60]), (1, 3, [84])], [(0, 4, [40])])
    assert part(simplify(notes, beats(), difficulty=5), 0) == [(0, 1, 60), (1, 3, 84)]


def test_three_four_and_six_eight():
    right = [(i, 1, [72 + i % 5]) for i in range(12)]
    left = [(i, 1, [48 if i % 3 == 0 else 55]) for i in range(12)]
    easy = simplify(piano(right, left), beats(12, 3), difficulty=1)
    assert [t for t, _, _ in part(easy, 1)] == [0, 3, 6, 9]  # one bass note to a bar of three
    compound = beats_from_times(np.arange(12) * BEAT, np.arange(12) % 2, numerator=6, denominator=8)
    right = [(i / 3, 1 / 3, [72]) for i in range(12)]
    kept = simplify(piano(right, [(0, 4, [48])]), compound, difficulty=4)
    assert len(part(kept, 0)) == 12


# -- density ------------------------------------------------------------------------------------------------


def test_density_keeps_its_share_and_the_tune_longest():
    notes = made_up()
    for share in (0.8, 0.5):
        thinner = simplify(notes, beats(40), density=share)
        assert len(thinner) == round(share * len(notes))
    tune = simplify(notes, beats(40), density=0.0)
    table = make_table(piano_in_two_hands(notes), Grid.of(beats(40)), np.zeros((0, 3)))
    assert len(tune) == np.sum(table.role == MELODY)
    assert (tune.array["track"] == 0).all()


def test_density_thins_evenly():
    notes = piano([(i, 1, [64, 67, 72]) for i in range(32)], [(0, 1, [40])])
    kept = simplify(notes, beats(), density=0.7)
    early = np.sum(kept.onset < 8)
    assert abs(early - len(kept) / 2) <= 3


def test_left_density_leaves_the_right_hand_alone():
    notes = made_up()
    thinner = simplify(notes, beats(40), left_density=0.25)
    assert part(thinner, 0) == part(simplify(notes, beats(40), left_density=1.0), 0)
    assert len(part(thinner, 1)) == 16  # of 64: two to a bar, the bass of each half
    assert {float(t % 4) for t, _, _ in part(thinner, 1)} == {0, 2.5}  # the lower of the two that come early in a half


def test_nothing_asked_nothing_done():
    notes = made_up()
    assert simplify(notes) is notes
    assert len(simplify(Notes(), difficulty=1)) == 0


def test_options_out_of_range():
    for options in ({"difficulty": 0}, {"difficulty": 6}, {"density": 1.5}, {"left_density": -0.1}):
        with pytest.raises(ParameterError):
            simplify(made_up(), beats(40), **options)
    with pytest.raises(ParameterError, match="beats"):
        simplify(made_up(), SimpleNamespace(beats=3), difficulty=1)


# -- keys ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "move"),
    [("C:maj", 0), ("Db:maj", -1), ("B:maj", 1), ("A:min", 0), ("F#:min", 3), ("E:min", 5), ("Gb:maj", -6), ("", 0)],
)
def test_easy_key(key, move):
    assert easy_key(key) == move


def test_a_key_that_is_none():
    with pytest.raises(ParameterError, match="Db:maj"):
        easy_key("H:dur")


def test_transposing_moves_notes_and_key_and_folds_at_the_ends():
    clock = TempoMap(key_signatures=(KeySignature(0, -5, 0),))
    drums = Track(name="drums", is_drum=True)
    notes = Notes.from_arrays(
        [0, 1, 2, 3], [1, 2, 3, 4], [61, 108, 21, 36], track=[0, 0, 0, 1], tracks=(Track(), drums), tempo_map=clock
    )
    up = transpose_notes(notes, 2)
    assert up.pitch.tolist() == [63, 98, 23, 36]  # 110 lies beyond the piano; the drum stays
    assert up.tempo_map.key_signatures[0].fifths == -3
    assert transpose_notes(notes, -1).pitch.tolist() == [60, 107, 32, 36]
    assert transpose_notes(notes, -1).tempo_map.key_signatures[0].fifths == 0
    back = transpose_notes(transpose_notes(made_up(), 5), -5)
    assert np.array_equal(back.array, made_up().array)


# -- two hands ----------------------------------------------------------------------------------------------


def test_all_tracks_become_one_piano():
    tracks = (Track(name="lead", program=40), Track(name="kit", is_drum=True), Track(name="bass", program=33))
    notes = Notes.from_arrays([0, 0, 0], [1, 1, 1], [72, 36, 40], track=[0, 1, 2], tracks=tracks)
    piano_notes = piano_in_two_hands(notes)
    assert [t.name for t in piano_notes.tracks] == ["right hand", "left hand"]
    assert list(zip(piano_notes.pitch, piano_notes.array["track"])) == [(40, 1), (72, 0)]
    assert len(piano_in_two_hands(Notes()).tracks) == 2
