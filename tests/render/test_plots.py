"""Pictures of transcriptions: files that open, colours that mean what they say."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from spartito.audio.audio import Audio
from spartito.errors import MissingExtraError, NotesError, OutputError, ParameterError
from spartito.notes.notes import Notes
from spartito.render.plots import _key_spectrogram, _rows, plot_transcription

pytest.importorskip("matplotlib")


def some_notes(confidence=1.0) -> Notes:
    notes = Notes.from_arrays([0.0, 1.0, 2.0], [0.5, 1.5, 3.0], [48, 60, 72], 90, confidence=confidence)
    return notes.with_pedal(np.array([[0.2, 0.9], [1.2, 1.8]]))


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_every_format(tmp_path, suffix, magic):
    tone = Audio(0.1 * np.sin(2 * np.pi * 261.6 * np.arange(3 * 22050) / 22050), 22050)
    path = tmp_path / f"roll{suffix}"
    plot_transcription(some_notes(), path, audio=tone, title="A title")
    assert path.read_bytes().startswith(magic) and os.listdir(tmp_path) == [path.name]


def test_confidence_tints_notes(tmp_path):
    """Sure notes are bluer, doubtful ones redder."""
    import matplotlib.image

    balance = []
    for confidence in (0.0, 1.0):
        plot_transcription(some_notes(confidence), tmp_path / "a.png")
        image = matplotlib.image.imread(tmp_path / "a.png")[:, : -image_margin(), :3]
        balance.append(float((image[..., 0] - image[..., 2]).mean()))
    assert balance[0] > balance[1] + 1e-3


def image_margin() -> int:
    """Pixels at the right edge that hold the colour bar, which is the same in every picture."""
    return 200


def test_long_pieces_run_in_rows():
    assert _rows(5.0) == (1, 5.0)
    assert _rows(45.0) == (3, 15.0)
    rows, seconds = _rows(3 * 3600.0)
    assert rows == 12 and rows * seconds >= 3 * 3600


def test_the_spectrogram_lies_on_the_keys():
    """A tone of each window's range is brightest on its own key, at its own time."""
    for key in (33, 57, 69, 93):
        t = np.arange(4 * 44100) / 44100
        tone = np.sin(2 * np.pi * 440 * 2 ** ((key - 69) / 12) * t) * (t > 2)
        levels, hop = _key_spectrogram(Audio(0.5 * tone, 44100), 21, 108, row=20.0)
        assert hop == pytest.approx(0.02) and levels.min() >= 0 and levels.max() <= 1
        assert 21 + np.argmax(levels[:, round(3.0 / hop)]) == key
        assert levels[key - 21, round(1.5 / hop)] < 0.1 < 0.9 < levels[key - 21, round(2.5 / hop)]


def test_a_recording_without_notes_can_be_drawn(tmp_path):
    plot_transcription(Notes(), tmp_path / "a.png", audio=Audio(np.zeros(16000), 16000))
    assert (tmp_path / "a.png").exists()


def test_errors(tmp_path, monkeypatch):
    with pytest.raises(NotesError, match="no notes to draw"):
        plot_transcription(Notes(), tmp_path / "a.png")
    with pytest.raises(ParameterError, match=r"\.png, \.svg, \.pdf"):
        plot_transcription(some_notes(), tmp_path / "a.bmp")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OutputError, match="folder"):
        plot_transcription(some_notes(), tmp_path / "folder.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"spartito\[plot\]"):
        plot_transcription(some_notes(), tmp_path / "a.png")
    assert os.listdir(tmp_path) == ["folder.png"]


def test_bars_and_chords_of_a_song(tmp_path):
    from spartito.analysis.song import Analysis, Chord, beats_of

    chords = (Chord(0.0, 1.0, "C:maj"), Chord(1.0, 2.0, "F#:min7"), Chord(2.0, 3.0, "F#:min7"))
    song = Analysis(3.0, beats_of(0.5 * np.arange(6), np.arange(6) % 2), chords)
    plot_transcription(some_notes(), tmp_path / "a.svg", analysis=song)
    text = (tmp_path / "a.svg").read_text()
    assert "<!-- C -->" in text and text.count("<!-- F#min7 -->") == 1
    plot_transcription(some_notes(), tmp_path / "b.svg")
    assert "F#min7" not in (tmp_path / "b.svg").read_text()
