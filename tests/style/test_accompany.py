"""Accompaniments from bars of others, by hand."""

from functools import cache

import numpy as np
import pytest

from spartito.analysis.note_chords import QUALITIES, ChordTrack
from spartito.analysis.song import beats_of
from spartito.errors import ModelError, ParameterError
from spartito.notes.phrases import Gridded
from spartito.notes.roles import Grid
from spartito.style.accompany import (
    OTHER,
    CompingEngine,
    CompingStatistics,
    _held,
    chord_beats,
    role_table,
    roles_of,
)
from spartito.style.engines import StylePiece, StyleWish
from spartito.style.feel import TEMPI, FeelStatistics
from spartito.training.accompany import bars_of, learn_comping
from spartito.training.harmony import Lesson, learn_harmony

POP = ("C:maj", "A:min", "F:maj", "G:maj")
JAZZ = ("C:maj7", "A:min7", "D:min7", "G:7")
TONES = {"maj": (0, 4, 7), "min": (0, 3, 7), "maj7": (0, 4, 7, 11), "min7": (0, 3, 7, 10), "7": (0, 4, 7, 10)}


def lesson(names, *, stride):
    """A bar for each chord, twice: block chords on the downbeat, or a bass on 1 and 3 and a chord on 2 and 4."""
    track = ChordTrack.of_labels([name for name in 2 * names for _ in range(4)], key="C:maj")
    rest, tune = [], []
    for bar, name in enumerate(2 * names):
        root, tones = int(track.root[4 * bar]), TONES[name.partition(":")[2]]
        chord = [(p, 48 + root + p) for p in tones]
        tune += [(16 * bar + 4 * i, 4, 84 - (84 - root) % 12, 80, 1) for i in range(4)]
        if stride:
            rest += [(16 * bar + at, 4, 36 + root, 90, 0) for at in (0, 8)]
            rest += [(16 * bar + at, 2, pitch, 70, 0) for at in (4, 12) for _, pitch in chord[1:]]
        else:
            rest += [(16 * bar, 16, pitch, 70, 0) for _, pitch in chord]
    return Lesson("made", track, np.array(tune), np.array(sorted(rest)), True, True)


@cache
def engine():
    given = {
        "classic": [lesson(POP, stride=False)],
        "jazz": 2 * [lesson(JAZZ, stride=True)],
        "pop": [lesson(POP, stride=False)],
    }
    late = np.full((3, len(TEMPI)), 2.0)
    late[1] = 2.6
    feel = FeelStatistics(late, np.zeros((3, 3, 4)), np.zeros((3, 3, 16)))
    return CompingEngine(learn_comping(given, clusters=2), learn_harmony({g: 6 * x for g, x in given.items()}), feel)


def piece(*, top=72, bars=8):
    """The chords of POP as blocks under a tune of eighths on their thirds."""
    rows = []
    for bar in range(bars):
        name = POP[bar % 4]
        root = ChordTrack.of_labels([name]).root[0]
        tones = TONES[name.partition(":")[2]]
        rows += [(16 * bar, 16, 48 + root + t, 70, 0) for t in tones]
        rows += [(16 * bar + 2 * i, 2, top + (root + tones[1]) % 12, 90, 1) for i in range(8)]
    notes = np.array(sorted(rows))
    grid = Grid.of(beats_of(0.5 * np.arange(4 * bars + 1), np.arange(4 * bars + 1) % 4))
    place = notes[:, 0].astype(float)
    gridded = Gridded(notes, np.arange(len(notes)), place, place + notes[:, 1], grid)
    return StylePiece(gridded, notes[:, 4] == 1, np.zeros(len(notes), bool))


def test_tones_have_roles_by_their_chord():
    quality = [QUALITIES.index(q) for q in ("7", "7", "7", "min7", "maj", "maj7", "dim7", "min", "sus4")]
    above = [4, 2, 3, 3, 10, 10, 9, 1, 5]
    got = roles_of(np.array(above), np.array(quality)).tolist()
    assert got == [1, 4, OTHER + 3, 1, 3, OTHER + 10, 3, OTHER + 1, 1]


def test_roles_are_played_on_other_chords():
    table = role_table(ChordTrack.of_labels(["C:maj7(9)", "D:min7", "G:7(b9)", "G:maj", "N"], key="C:maj"))
    assert table[0, :7].tolist() == [0, 4, 7, 11, 2, 4, 9]
    assert table[1, :7].tolist() == [2, 5, 9, 0, 4, 7, 11]
    assert table[2, 4] == 8  # the flat ninth
    assert table[3, 3] == 7  # a triad has no seventh: the root
    assert (table[4] == -1).all()
    assert table[0, OTHER + 6] in (4, 7)  # f sharp is foreign: a tone of the chord beside it
    assert table[0, OTHER + 5] == 5  # f is not


def test_anticipations_belong_to_the_next_chord():
    track = ChordTrack.of_labels(4 * ["C:maj"] + 4 * ["F:maj"], key="C:maj")
    notes = np.array([(12, 4, 60, 80, 1), (14, 2, 60, 80, 1), (14, 6, 60, 80, 1), (31, 9, 60, 80, 1)])
    assert chord_beats(notes, track).tolist() == [3, 3, 4, 7]


def test_bars_of_a_lesson():
    bars = bars_of([lesson(JAZZ, stride=True)])
    assert len(bars.piece) == 8 and (bars.clear == 1).all() and not bars.turns.any()
    first = bars.notes[: bars.first[1]]
    assert first[:, 0].tolist() == [0, 4, 4, 4, 8, 12, 12, 12]
    assert first[:, 4].tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert bars.sung[0].nonzero()[0].tolist() == [0, 4, 8, 12]


def test_a_pop_song_strides_in_jazz():
    source = piece()
    (written,) = engine().restyle(source, StyleWish("pop", "jazz", keep=("melody",)))
    low = written.notes[written.notes[:, 2] < 72]
    assert set((low[:, 0] % 16).tolist()) == {0, 4, 8, 12}
    opening = low[low[:, 0] < 16]
    bass = set((opening[opening[:, 0] % 8 == 0, 2] % 12).tolist())
    assert len(bass) == 1  # a root on 1 and 3
    above = {int(p - min(bass)) % 12 for p in opening[:, 2]}
    assert above in [set(tones) for tones in TONES.values() if len(tones) == 4]  # of a seventh chord
    top = written.notes[np.isin(written.notes[:, 2], source.notes[source.melody, 2])]
    assert {tuple(row) for row in source.notes[source.melody][:, :3].tolist()} <= {
        tuple(r) for r in top[:, :3].tolist()
    }


def test_the_tune_swings_unless_it_is_kept():
    (free,) = engine().restyle(piece(), StyleWish("pop", "jazz"))
    late = ~np.isnan(free.place)
    assert late.any() and free.place[late] % 4 == pytest.approx(2.6)
    (kept,) = engine().restyle(piece(), StyleWish("pop", "jazz", keep=("melody",)))
    assert np.isnan(kept.place[kept.notes[:, 2] >= 72]).all()


def test_nothing_lies_over_the_tune():
    (written,) = engine().restyle(piece(top=50), StyleWish("pop", "jazz", keep=("melody",)))
    source = piece(top=50)
    tune = source.notes[source.melody]
    roof = np.full(16 * 8 + 16, 128)
    for step, length, pitch, *_ in tune.tolist():
        roof[step : step + length] = pitch
    kept = {tuple(row) for row in tune[:, :3].tolist()}
    new = np.array([row for row in written.notes.tolist() if tuple(row[:3]) not in kept])
    assert (new[:, 2] < roof[new[:, 0]]).all()


def test_short_keys_sound_as_with_the_pedal():
    short = np.array([(0, 1, 36, 64, 0), (0, 1, 60, 64, 1), (4, 1, 55, 64, 0), (8, 6, 38, 64, 0), (32, 1, 40, 64, 0)])
    assert _held(short)[:, 1].tolist() == [8, 2, 2, 8, 8]  # basses to the next one, two beats at most


def test_more_strength_writes_more_bars():
    source = piece(bars=16)
    changed = []
    for strength in (0.25, 0.5, 0.75, 1.0):
        (written,) = engine().restyle(source, StyleWish("pop", "jazz", strength=strength, keep=("melody",)))
        old = {tuple(row) for row in source.notes[:, :3].tolist()}
        changed.append(sum(tuple(row) not in old for row in written.notes[:, :3].tolist()))
    assert changed == sorted(changed) and changed[0] < changed[-1]


def test_candidates_differ_and_repeat():
    wish = StyleWish("pop", "jazz", candidates=3, seed=5)
    first, again = (engine().restyle(piece(bars=16), wish) for _ in range(2))
    assert len(first) == 3
    assert all((a.notes == b.notes).all() for a, b in zip(first, again, strict=True))
    with pytest.raises(ParameterError):
        engine().check("polka")


def test_statistics_there_and_back():
    table = engine().comping
    again = CompingStatistics.from_arrays(table.to_arrays())
    assert (again.notes == table.notes).all() and (again.first == table.first).all()
    assert again.follows == pytest.approx(table.follows, abs=1e-3)
    with pytest.raises(ModelError):
        CompingStatistics.from_arrays({})
