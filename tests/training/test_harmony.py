"""Statistics of harmony and feel of a made-up store."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from spartito.errors import ParameterError
from spartito.style.feel import FeelStatistics
from spartito.style.harmony import HarmonyStatistics
from spartito.training.data.genre_store import GridPiece, open_store, save_pieces
from spartito.training.feel import late_eighths
from spartito.training.harmony import lessons, train_harmony

CHORDS = {"C:maj": (48, 52, 55), "F:maj": (53, 57, 60), "G:7": (43, 47, 50, 53)}
BARS = 8


def piece(name, *, late, labels):
    """C F G7 C, a bar each, under eighths whose second half is played at `late` steps."""
    names = [("C:maj", "F:maj", "G:7", "C:maj")[i % 4] for i in range(BARS)]
    rows, place, part = [], [], []
    for bar, chord in enumerate(names):
        for pitch in CHORDS[chord]:
            rows.append((16 * bar, 16, pitch, 70, 0))
            place.append(16 * bar)
            part.append(0)
        for beat in range(4):
            for at in (0, late):
                where = 16 * bar + 4 * beat + at
                rows.append((int(np.floor(where + 0.5)), 1, CHORDS[chord][beat % 3] + 24, 90 if at == 0 else 80, 1))
                place.append(where)
                part.append(1)
    order = np.lexsort((np.array(rows)[:, 2], np.array(rows)[:, 0]))
    chords = [(16 * i, label) for i, label in enumerate(names)] if labels else []
    return GridPiece(
        name,
        name,
        np.array(rows)[order],
        np.array(place, dtype=float)[order],
        np.array([[0, 16 * BARS]]),
        tempo=120.0,
        part=np.array(part)[order] if labels else None,
        chords=chords,
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    for genre, name, late, labels in (
        ("classic", "asap-scores", 2.0, False),
        ("classic", "asap", 2.0, False),
        ("jazz", "wjazzd", 2.6, True),
        ("pop", "pop909", 2.0, True),
    ):
        save_pieces(
            folder / genre / "train" / f"{name}.npz", [piece(f"{name}{i}", late=late, labels=labels) for i in range(2)]
        )
    return folder


def test_chords_of_lessons_are_those_annotated_or_found(store):
    for genre, name, told, played in (
        ("pop", "pop909", True, True),
        ("classic", "asap-scores", False, True),
        ("jazz", "wjazzd", True, False),
    ):
        (first, _) = lessons(open_store(store, genre, "train", sets=[name]))
        assert (first.told, first.played) == (told, played)
        assert first.track.labels()[:3] == ["C:maj", "F:maj", "G:7"]
        assert len(first.tune) == 8 * BARS and len(first.track) == 4 * BARS


def test_one_file_holds_both(store, tmp_path):
    said = []
    path = train_harmony(store, tmp_path / "statistics.safetensors", report=said.append)
    arrays = load_file(path)
    harmony, feel = HarmonyStatistics.from_arrays(arrays), FeelStatistics.from_arrays(arrays)
    # degrees 0, 5 and 7 in major; of each piece two C begin after another chord, and one at the start
    assert harmony.often[2, 0, 0] == pytest.approx(3 / 7, abs=1e-3)  # C F G7 C(C) F G7 C: seven chords
    assert harmony.chain[2, 0][5].argmax() == 12 * 7 + 7  # F, then G7
    assert feel.late[1] == pytest.approx(2.6, abs=1e-2) and feel.late[[0, 2]] == pytest.approx(2.0)
    assert feel.push.max() == 0
    assert feel.accent[2, 0, 0] > 0 > feel.accent[2, 0, 2]
    assert any("jazz" in line for line in said)


def test_a_genre_without_pieces_is_named(tmp_path):
    with pytest.raises(ParameterError, match="classic, jazz, pop"):
        train_harmony(tmp_path, tmp_path / "out.safetensors", report=lambda _: None)


def test_late_eighths_by_hand():
    place = np.array(
        [0.1, 2.6, 4.0, 5.3, 6.7, 8.0, 11.0, 12.0, 13.0]
    )  # a pair, a triplet, a dotted pair, two sixteenths
    assert late_eighths(place) == pytest.approx([2.6, 3.0])
    assert len(late_eighths(np.zeros(0))) == 0
