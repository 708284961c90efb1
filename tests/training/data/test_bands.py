import numpy as np
import pytest

from spartito.errors import ParameterError
from spartito.training.data.bands import RATE, labels_of, open_bands, save_band
from spartito.training.data.pop909 import PopSong, bars_of


def song() -> PopSong:
    """One second of music before the recording, two bars of four in it, half a second a beat."""
    beats = np.arange(-2, 9) * 0.5 + 0.25
    notes = np.column_stack([beats, beats + 0.6, np.full(11, 60), np.full(11, 80)])
    positions, lengths = bars_of(np.array([2, 6, 10]), 11)
    chords = ((-0.75, 0.25, "F:maj"), (0.25, 1.0, "C:maj"), (1.0, 2.0, "C:maj"), (2.5, 9.0, "G:7"))
    keys = ((-1.0, 0.5, "F:maj"), (0.5, 9.0, "C:maj"))
    late = notes + np.array([0.1, 0, 0, 0])
    return PopSong("000", notes, np.zeros((0, 4)), late, beats, positions, lengths, chords, keys)


def test_labels_are_those_of_the_recording_alone():
    labels = labels_of(song(), 3.0, octave=12)
    np.testing.assert_allclose(labels["beats"], [0.25, 0.75, 1.25, 1.75, 2.25, 2.75])
    assert labels["position"].tolist() == [0, 1, 2, 3, 0, 1] and labels["bar_length"].tolist() == [4] * 6
    chords = list(zip(labels["chord_start"], labels["chord_end"], labels["chord_label"], strict=True))
    assert chords == [(0, 0.25, "F:maj"), (0.25, 2.0, "C:maj"), (2.0, 2.5, "N"), (2.5, 3.0, "G:7")]
    assert str(labels["key"]) == "C:maj"
    assert len(labels["melody"]) == 6 and (labels["melody"][:, 2] == 72).all() and (labels["piano"][:, 2] == 60).all()
    assert labels["melody"][:, 1].max() == 3.0
    assert labels["piano_q"][:, :2].tolist() == [[i, 1] for i in range(6)]  # 0.1 s late: a step of an eighth second
    assert labels["bridge"].shape == (0, 4) and labels["bridge_q"].shape == (0, 5)


def test_what_is_stored_comes_back(tmp_path):
    sound = (0.5 * np.sin(np.arange(3 * RATE) / 20)).astype(np.float32)
    labels = labels_of(song(), 3.0)
    save_band(tmp_path / "train", "000-0", sound, labels, {"lead": 53, "waltz": False})
    save_band(tmp_path / "train", "001-0", sound, labels, {})
    (band,) = open_bands(tmp_path / "train", ["000-0"])
    assert band.name == "000-0" and band.key == "C:maj" and band.meta == {"lead": 53, "waltz": False}
    assert band.duration == 3.0 and band.chords[1] == (0.25, 2.0, "C:maj")
    np.testing.assert_array_equal(band.piano_q, labels["piano_q"])
    np.testing.assert_allclose(band.samples(), sound, atol=1e-4)
    assert [b.name for b in open_bands(tmp_path / "train")] == ["000-0", "001-0"]


def test_an_empty_folder_is_no_store(tmp_path):
    with pytest.raises(ParameterError, match="no bands"):
        open_bands(tmp_path)
