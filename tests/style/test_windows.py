"""Windows over whole pieces: where they lie, how they are blended, what strength and thresholds do."""

from __future__ import annotations

import numpy as np
import pytest

from restyling import piece
from spartito.errors import ModelError, ParameterError
from spartito.evaluation.style import seams
from spartito.notes.phrases import KEYS, LOWEST, PHRASE, rolls
from spartito.style.engines import StyleWish
from spartito.style.transfer import prepare, source_beats
from spartito.style.windows import CycleEngine, at_strength, blend, density_threshold, tidied, window_starts

PAIR = ("classic", "jazz")


def same(windows, source, target):
    return 0.9 * windows + 0.05


def engine(change=same, **options) -> CycleEngine:
    return CycleEngine(generators={PAIR: change}, **options)


def turned(notes, change=same, *, strength=1.0, candidates=1, seed=0, **options):
    """The grid notes of every candidate, and the piece."""
    beats, _ = source_beats(notes)
    song = prepare(notes, beats)
    wish = StyleWish("classic", "jazz", strength, candidates=candidates, seed=seed)
    return [answer.notes for answer in engine(change, **options).restyle(song, wish)], song


def cells(notes):
    return set(map(tuple, notes[:, :3].tolist()))


# -- windows ------------------------------------------------------------------------------------------------


def test_windows_a_bar_apart_the_last_with_the_end():
    assert window_starts(128).tolist() == [0, 16, 32, 48, 64]
    assert window_starts(124).tolist() == [0, 16, 32, 48, 60]
    assert window_starts(64).tolist() == window_starts(12).tolist() == [0]
    assert window_starts(200, hop=64).tolist() == [0, 64, 128, 136]


def test_windows_on_bar_lines():
    lines = np.arange(0, 128, 16)
    assert window_starts(120, downbeats=lines).tolist() == [0, 16, 32, 48, 64]
    # a pick-up of a beat: the first window begins before the piece
    assert window_starts(120, downbeats=np.arange(4, 120, 16)).tolist() == [-12, 4, 20, 36, 52, 68]
    # a bar of two beats between: windows go on from its end
    assert window_starts(136, downbeats=np.array([0, 16, 24, 40, 56, 72, 88, 104, 120])).tolist() == [
        *(0, 16, 24, 40, 56, 72)
    ]


@pytest.mark.parametrize("steps", [4, 60, 64, 68, 240, 1000])
@pytest.mark.parametrize("first", [None, 0, 4, 12])
def test_every_step_lies_in_a_window(steps, first):
    lines = None if first is None else np.arange(first, max(steps, first + 1), 16)
    starts = window_starts(steps, downbeats=lines)
    covered = np.zeros(steps + PHRASE, dtype=bool)
    for start in starts:
        covered[max(start, 0) : start + PHRASE] = True
    assert covered[:steps].all() and (np.diff(starts) > 0).all()


def test_blending_gives_back_what_all_windows_agree_on():
    notes = np.array([[step, 4, 60 + step % 7, 64, 1] for step in range(0, 300, 3)])
    starts = window_starts(304, downbeats=np.arange(4, 304, 16))
    probability = blend(lambda windows: windows, notes, starts, 304)
    assert np.allclose(probability, rolls(notes, [0], steps=304)[0], atol=1e-6)


def test_blending_weighs_the_middle_of_a_window_most():
    calls = []

    def constant(windows):  # window i says i everywhere
        first = sum(calls)
        calls.append(len(windows))
        return np.broadcast_to((first + np.arange(len(windows)))[:, None, None, None], windows.shape)

    blended = blend(constant, np.zeros((0, 5)), np.array([0, 32]), 96)[0, :, 0]
    assert blended[:32].tolist() == [0.0] * 32 and np.allclose(blended[64:], 1.0)
    assert (np.diff(blended[32:64]) > 0).all() and blended[48] == pytest.approx(0.5, abs=0.03)


# -- strength and thresholds --------------------------------------------------------------------------------


def test_strength_by_the_formula():
    x, p = np.array([0.0, 1.0, 1.0]), np.array([0.9, 0.9, 0.1])
    assert at_strength(x, p, 1.0) == pytest.approx(p)
    assert at_strength(x, p, 0.0) == pytest.approx([0.02, 0.98, 0.98])
    half = 1 / (1 + np.exp(-(0.5 * np.log(0.02 / 0.98) + 0.5 * np.log(0.9 / 0.1))))
    assert at_strength(x, p, 0.5)[0] == pytest.approx(half)


@pytest.mark.parametrize("tidy", [False, True])
def test_more_strength_changes_more_and_never_less(tidy):
    rng = np.random.default_rng(3)
    noise = rng.random((2, PHRASE, KEYS))
    change = lambda windows, *_: np.where(noise[None] < 0.03, noise[None] * 33, windows * 0.8 + 0.1)  # noqa: E731
    notes = piece(16)
    differences, song = [], None
    for strength in (0.05, 0.3, 0.5, 0.7, 0.85, 1.0):
        (found,), song = turned(notes, change, strength=strength, tidy=tidy)
        shown = [rolls(table, [0], steps=song.steps)[0, 1] for table in (song.notes, found)]
        differences.append(int((shown[0] != shown[1]).sum()))
    assert differences == sorted(differences) and differences[0] == 0 and differences[-1] > 40


def test_density_threshold_leaves_as_many_cells():
    rng = np.random.default_rng(4)
    probability, source = rng.random((50, 84)), rng.random((50, 84)) < 0.04
    limit = density_threshold(source, probability)
    assert (probability > limit).sum() == source.sum()
    assert density_threshold(np.zeros((2, 84)), probability) == 0.5
    faint = lambda windows, *_: 0.3 * windows + 0.01  # noqa: E731
    (half,), song = turned(piece(4), faint)
    (dense,), _ = turned(piece(4), faint, threshold="density")
    assert len(half) == 0 and cells(dense) == cells(song.notes)


# -- whole pieces -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bars", [1, 3, 15, 40])
def test_a_network_that_changes_nothing_changes_nothing(bars):
    (found,), song = turned(piece(bars), same)
    assert cells(found) == cells(song.notes)


def test_three_notes():
    notes = piece(1).select([0, 1, 2])
    (found,), song = turned(notes, same)
    assert cells(found) == cells(song.notes) and len(found) == 3


def test_notes_beyond_the_keys_of_the_network_stay():
    notes = piece(2)
    array = notes.array.copy()
    array["pitch"][[0, -1]] = [21, LOWEST + KEYS]
    (found,), song = turned(notes.with_array(array), lambda windows, *_: np.zeros_like(windows))
    assert sorted(found[:, 2].tolist()) == [21, 108]
    assert cells(found) <= cells(song.notes)


def test_the_network_hears_source_and_target():
    heard = []

    def change(windows, source, target):
        heard.append((windows.shape, windows.dtype, source, target))
        return windows

    turned(piece(8), change)
    assert heard == [((5, 2, PHRASE, KEYS), np.float32, "classic", "jazz")]


def test_what_sounds_like_a_mistake_is_left_out():
    source = np.array([[0, 8, 60, 64, 1], [0, 8, 67, 64, 1]])  # C and G for two beats
    wrote = {
        (0, 8, 60): True,  # of the source
        (2, 1, 76): False,  # a crumb: no E is played in this beat
        (3, 1, 72): True,  # short, but a C
        (4, 4, 64): True,  # new and long
        (4, 4, 61): False,  # a minor second over C
        (4, 2, 73): False,  # a minor ninth
        (4, 4, 68): True,  # a minor second over G, which the network took away
        (4, 1, 70): True,  # short, but in a chord
        (8, 2, 61): True,  # C has ended
    }
    notes = np.array([(*key, 64, 1) for key in wrote])
    roll = rolls(notes, [0], steps=16)[0] > 0
    found = cells(tidied(notes, roll[0], rolls(source, [0], steps=16)[0]))
    assert found == {key for key, stays in wrote.items() if stays}


def test_keys_that_sound_though_nothing_strikes_them():
    notes = np.array([[0, 2, 60, 64, 1], [2, 4, 60, 64, 1], [8, 4, 64, 64, 1]])
    onset = np.zeros((16, KEYS), dtype=bool)
    onset[2, 36] = True
    assert cells(tidied(notes, onset, np.zeros((2, 16, KEYS)))) == {(2, 4, 60)}


def test_bars_in_which_the_source_is_silent_stay_silent():
    notes = piece(12)
    gap = notes.select((notes.onset < 3.9) | (notes.onset > 17.9))  # bars 3 to 9 of twelve
    (found,), _ = turned(gap, lambda windows, *_: np.full_like(windows, 0.9), tidy=False)
    bars = np.unique(found[:, 0] // 16)
    assert bars.tolist() == [0, 1, 9, 10, 11]
    held = gap.array.copy()
    held["offset"][held["track"] == 1] += 4.0  # the last chord before the gap is held through two more bars
    (found,), _ = turned(gap.with_array(held), lambda windows, *_: np.full_like(windows, 0.9), tidy=False)
    assert np.unique(np.concatenate([np.arange(a, a + b) for a, b in found[:, :2]]) // 16).tolist()[:5] == [
        0,
        1,
        2,
        3,
        9,
    ]


def test_a_published_network_has_one_channel_and_leaves_the_onsets():
    class Published:
        def __init__(self):
            self.config = {"generator": {"channels": 1}}

        def __call__(self, windows, source, target):
            assert windows.shape[1:] == (1, PHRASE, KEYS)
            return 0.9 * windows + 0.05

    notes = piece(4)
    array = notes.array.copy()
    array["pitch"][array["track"] == 0] = 72  # one key again and again
    (found,), song = turned(notes.with_array(array), Published())
    assert cells(found) == cells(song.notes) and len(found) == len(song.notes)


def test_further_candidates_hear_a_little_less_and_are_drawn_by_the_seed():
    a, song = turned(piece(40), same, candidates=3)
    b, _ = turned(piece(40), same, candidates=3)
    c, _ = turned(piece(40), same, candidates=2, seed=1)
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert cells(a[0]) == cells(song.notes) == cells(c[0])
    assert cells(a[1]) < cells(song.notes) and cells(a[1]) != cells(a[2]) and cells(a[1]) != cells(c[1])
    assert len(a[1]) > 0.9 * len(a[0])


def test_no_seam_where_windows_meet():
    """A network whose answer depends on the place in the window: alone it leaves seams, blended it leaves fewer."""
    ramp = np.linspace(1.0, 0.0, PHRASE)[None, None, :, None]  # all notes at the beginning, none at the end
    change = lambda windows, *_: windows * ramp  # noqa: E731
    notes = piece(64)
    cut, song = turned(notes, change, hop=64)
    blended, _ = turned(notes, change)
    source, *results = (rolls(table, [0], steps=song.steps)[0] for table in (song.notes, cut[0], blended[0]))
    jumps = [seams(source, result)["seam_density"] for result in results]
    assert jumps[0] > 0.5 > 0.2 > jumps[1]


def test_an_hour_of_music_goes_through_in_batches():
    most = []

    def change(windows, *_):
        most.append(len(windows))
        return windows

    notes = np.array([[16 * bar, 8, 60, 64, 1] for bar in range(1800)])
    starts = window_starts(28800)
    probability = blend(change, notes, starts, 28800)
    assert probability.shape == (2, 28800, KEYS) and max(most) <= 64 and sum(most) == len(starts) == 1797
    assert probability[0].sum() == pytest.approx(1800)


# -- which network ------------------------------------------------------------------------------------------


def test_a_model_of_one_pair_serves_no_other():
    one = engine()
    one.check("jazz", "classic")
    one.check("jazz")
    with pytest.raises(ParameterError, match="turns classic-jazz, not between classic and pop"):
        one.check("pop", "classic")
    with pytest.raises(ParameterError, match="not to pop"):
        one.check("pop")


def test_options_outside_their_domain():
    with pytest.raises(ParameterError, match="threshold"):
        CycleEngine(threshold="quarter")
    with pytest.raises(ParameterError, match="1 to 64"):
        CycleEngine(hop=65)


def test_a_folder_without_a_pair_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"name": "x", "job": "restyling"}')
    with pytest.raises(ModelError, match="between which genres"):
        CycleEngine(tmp_path)


def test_a_folder_of_weights_is_an_engine(tmp_path):
    """From a network of torch to `load_model` and a restyled piece. Its weights are drawn: only the way is tested."""
    pytest.importorskip("torch")
    from spartito.models.cyclegan import CycleGan, CycleGanConfig, GeneratorConfig
    from spartito.models.cyclegan_export import export_genre
    from spartito.models.hub import load_model

    tiny = CycleGanConfig(generator=GeneratorConfig(width=4, blocks=1))
    config = {"name": "genre-classic-jazz", "pair": list(PAIR)}
    export_genre(CycleGan(tiny), tmp_path, config)
    engine = load_model(tmp_path)
    assert isinstance(engine, CycleEngine) and engine.generator(PAIR).pair == PAIR
    notes = piece(6)
    song = prepare(notes, source_beats(notes)[0])
    for wish in (StyleWish("classic", "jazz", 0.01), StyleWish("jazz", "classic", 0.01)):
        (answer,) = engine.restyle(song, wish)
        assert cells(answer.notes) == cells(song.notes)  # hardly any strength
