"""Chords of another genre, from statistics made by hand-written lessons."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from spartito.analysis.note_chords import QUALITIES, TONES, ChordTrack
from spartito.errors import ModelError, ParameterError
from spartito.style.harmony import STATES, HarmonyStatistics, reharmonise, tune_chroma, voicing
from spartito.training.harmony import Lesson, learn_harmony

POP = ("C:maj", "A:min", "F:maj", "G:maj")
TURNS = {
    "classic": (("C:maj", "F:maj", "G:7", "C:maj"), ("C:maj", "A:min", "D:min", "G:7")),
    "jazz": (
        ("C:maj7", "A:min7", "D:min7", "G:7"),
        ("E:min7", "A:7", "D:min7", "G:7"),
        ("C:maj7", "F:maj7", "D:min7", "G:7"),
    ),
    "pop": (POP, ("F:maj", "G:maj", "C:maj", "A:min")),
}
NO_TUNE = np.zeros((0, 5), dtype=int)


def track(names, *, beats=4, key="C:maj"):
    return ChordTrack.of_labels([name for name in names for _ in range(beats)], key=key)


def lesson(names, *, added=()):
    """Each chord a bar: its tones in the tune, and in the accompaniment with `added` semitones above the root."""
    chords = track(names)
    tune, rest = [], []
    for i, (root, quality) in enumerate(zip(chords.root[::4], chords.quality[::4], strict=True)):
        tones = np.flatnonzero(TONES[quality])
        tune += [(16 * i + 4 * j, 4, 72 + root + t, 80, 1) for j, t in enumerate(tones)]
        rest += [(16 * i, 16, 48 + root + t, 80, 0) for t in {*tones.tolist(), *added}]
    return Lesson("made", chords, np.array(tune), np.array(rest), True, True)


@cache
def statistics():
    given = {
        genre: [lesson(3 * turn, added=(2,) if genre == "jazz" else ()) for turn in turns for _ in range(6)]
        for genre, turns in TURNS.items()
    }
    return learn_harmony(given)


def sevenths(chords):
    return float(np.isin(chords.quality, [i for i, q in enumerate(QUALITIES) if "7" in q]).mean())


def test_no_strength_gives_the_source():
    source = track(POP)
    assert reharmonise(source, NO_TUNE, statistics(), target="jazz", strength=0).harte() == source.harte()


def test_hardly_any_strength_gives_the_same_chords():
    got = reharmonise(track(POP), NO_TUNE, statistics(), target="jazz", source="pop", strength=0.02)
    assert got.labels() == list(POP)


def test_jazz_has_sevenths_and_ninths():
    got = reharmonise(track(POP), NO_TUNE, statistics(), target="jazz", source="pop")
    assert sevenths(got) == 1.0
    assert got.added[:, 2].all()  # the ninth of all lessons
    assert got.root[-1] == 7 and got.labels()[-1].startswith("G:7")


def test_pop_has_none():
    got = reharmonise(track(("D:min7", "G:7", "C:maj7", "A:7")), NO_TUNE, statistics(), target="pop", source="jazz")
    assert sevenths(got) == 0.0
    assert not got.added.any()


def test_the_source_is_left_step_by_step():
    source = track(4 * POP)
    shares = []
    for strength in (0.0, 0.1, 0.3, 0.5, 0.7, 1.0):
        got = reharmonise(source, NO_TUNE, statistics(), target="jazz", source="pop", strength=strength)
        shares.append(float(((got.root == source.root) & (got.quality == source.quality)).mean()))
    assert shares[0] == 1.0 and shares[-1] < 0.6
    assert all(b <= a + 1e-9 for a, b in pairwise(shares))


def test_the_tune_is_suited():
    held = np.array([(0, 16, 76, 80, 1), (16, 16, 76, 80, 1), (32, 16, 77, 80, 1), (48, 16, 74, 80, 1)])  # e e f d
    got = reharmonise(track(POP), held, statistics(), target="jazz", source="pop")
    tones = got.tones()
    assert tones[:8, 4].all() and tones[8:12, 5].all() and tones[12:, 2].all()


def test_added_tones_keep_away_from_the_tune():
    held = np.array([(0, 64, 73, 80, 1)])  # c sharp, a semitone under the ninth of C and over its root
    got = reharmonise(track(("C:maj",) * 4), held, statistics(), target="jazz", source="pop", strength=1.0)
    distance = (got.root[:, None] + np.arange(12) - 1) % 12  # of each added tone above the tune
    assert not (got.added & np.isin(distance, (1, 11))).any()


def test_no_tone_rubs_against_its_chord():
    given = {
        genre: [lesson(3 * turn, added=(1, 5, 8) if genre == "jazz" else ()) for turn in turns]
        for genre, turns in TURNS.items()
    }
    got = reharmonise(track(4 * POP), NO_TUNE, learn_harmony(given), target="jazz", source="pop")
    above = {QUALITIES[q]: set() for q in got.quality}
    for quality, bits in zip(got.quality, got.added, strict=True):
        above[QUALITIES[quality]] |= set(np.flatnonzero(bits).tolist())
    assert above["7"] == {1, 8}  # the dominant has its flat ninth and thirteenth, but no fourth over its third
    assert all(not found & {1, 8} for quality, found in above.items() if quality != "7")
    assert all(5 not in found for quality, found in above.items() if quality in ("maj", "maj7"))


def test_chords_change_key_with_the_piece():
    up = reharmonise(track(POP).transposed(5), NO_TUNE, statistics(), target="jazz", source="pop")
    here = reharmonise(track(POP), NO_TUNE, statistics(), target="jazz", source="pop")
    assert up.harte() == here.transposed(5).harte()


def test_silence_stays_silent():
    got = reharmonise(track(("C:maj", "N", "G:maj")), NO_TUNE, statistics(), target="jazz", source="pop")
    assert (got.root[4:8] == -1).all() and (np.delete(got.root, np.arange(4, 8)) >= 0).all()


def test_draws_depend_on_the_seed():
    def draw(seed):
        wish = {"target": "jazz", "source": "pop", "temperature": 1.0, "seed": seed}
        return reharmonise(track(8 * POP), NO_TUNE, statistics(), **wish).harte()

    assert draw(1) == draw(1)
    assert any(draw(1) != draw(seed) for seed in (2, 3, 4))


def test_bad_wishes():
    with pytest.raises(ParameterError):
        reharmonise(track(POP), NO_TUNE, statistics(), target="polka")
    with pytest.raises(ParameterError):
        reharmonise(track(POP), NO_TUNE, statistics(), target="jazz", strength=1.5)
    with pytest.raises(ParameterError):
        learn_harmony({"jazz": [lesson(POP)]})


def test_what_was_counted():
    table = statistics()
    often = table.often[2, 0].reshape(-1, 12)  # pop in major: quality, degree
    assert often[0, [0, 5, 7]].sum() + often[1, 9] == pytest.approx(1.0)
    assert table.changes[2].tolist() == [1.0, 0.0, 0.0]
    chance = table.chain[2, 0]  # F is followed by G, always, but for what was never seen
    assert chance[5].argmax() == 7 and chance.sum(axis=1) == pytest.approx(np.ones(STATES))
    assert table.added[1, QUALITIES.index("min7"), 1, 2] > 0.7 > table.added[0, 1, 1, 2]


def test_a_stressed_note_weighs_more():
    chroma = tune_chroma(np.array([(0, 2, 60, 80, 1), (3, 1, 62, 80, 1)]), 1)
    assert chroma[0, 0] == pytest.approx(0.5) and chroma[0, 2] == pytest.approx(0.125)


def test_voicing_is_of_the_chord():
    weights = voicing(track(("G:7", "N")), statistics(), genre="jazz")
    assert np.flatnonzero(weights[0]).tolist() == [2, 5, 7, 11] and weights[0].sum() == pytest.approx(1)
    assert not weights[4:].any()


def test_arrays_and_back():
    arrays = statistics().to_arrays()
    assert sum(a.nbytes for a in arrays.values()) < 150_000
    again = HarmonyStatistics.from_arrays(arrays)
    one, two = (reharmonise(track(POP), NO_TUNE, s, target="jazz", source="pop") for s in (statistics(), again))
    assert one.harte() == two.harte()
    with pytest.raises(ModelError):
        HarmonyStatistics.from_arrays({})
