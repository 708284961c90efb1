"""Bands of a made-up song of POP909."""

from __future__ import annotations

import numpy as np

from spartito.notes.four_tracks import GUITAR, HOLD, SILENT, STRINGS
from spartito.notes.midi import write_midi
from spartito.notes.notes import Notes, Track
from spartito.training.data.band_store import open_bands, write_bands
from spartito.training.data.orchestrated import orchestrated_bands, pop909_split, roles_of
from spartito.training.orchestrate import Orchestration

BARS = 12


def write_song(root, number="002", *, beats_per_bar=4):
    """A tune in quarters over a piano in halves, at 120 per minute; the first beat is at half a second."""
    folder = root / number
    folder.mkdir(parents=True)
    beat = np.arange(BARS * beats_per_bar)
    time = 0.5 + 0.5 * beat
    halves = time[::2]
    onset = np.concatenate([time, halves, halves])
    pitch = np.concatenate([72 + beat % 5, np.full(len(halves), 48), np.full(len(halves), 64)])
    track = np.repeat([0, 2, 2], [len(time), len(halves), len(halves)])
    tracks = tuple(Track(name=name) for name in ("MELODY", "BRIDGE", "PIANO"))
    write_midi(Notes.from_arrays(onset, onset + 0.4, pitch, 80, track=track, tracks=tracks), folder / f"{number}.mid")
    opens = beat % beats_per_bar == 0
    rows = [f"{t} {float(o)} {float(o)}" for t, o in zip(time, opens)]
    (folder / "beat_midi.txt").write_text("\n".join(rows))
    (folder / "chord_midi.txt").write_text(f"0.5\t{time[-1] + 0.5}\tC:maj\n")
    (folder / "key_audio.txt").write_text(f"0.0\t{time[-1]}\tC:maj\n")


def test_a_song_gives_bands_on_its_beats(tmp_path):
    write_song(tmp_path)
    found = list(orchestrated_bands(tmp_path, bands=2))
    assert [p.name for p in found] == ["pop909/002#0", "pop909/002#1"]
    for piece in found:
        assert piece.song == "pop909/002" and piece.licence == "free" and piece.tags == ("pop",)
        assert piece.regions.tolist() == [[0, 16 * BARS]] and abs(piece.tempo - 120) < 1e-6
        begins = piece.states < SILENT
        assert begins[:, :GUITAR].any(axis=0).all()  # drums and bass play
        step = np.nonzero(begins[:, 1])[0]
        assert np.mean(step % 2 == 0) > 0.8  # on the beats and between: the grid is that of the song
        assert set(np.unique(piece.states[0])) <= {*range(129)} and HOLD not in piece.states[0]
    assert (found[0].states[: 16 * 8] != found[1].states[: 16 * 8]).any()
    again = next(iter(orchestrated_bands(tmp_path, bands=1)))
    np.testing.assert_array_equal(again.states, found[0].states)


def test_bars_of_three_are_no_region(tmp_path):
    write_song(tmp_path / "in", beats_per_bar=3)
    write_song(tmp_path / "in", "017")
    write_bands(tmp_path / "store", "pop909", orchestrated_bands(tmp_path / "in", bands=1), split=pop909_split)
    assert set(open_bands(tmp_path / "store", "test").songs.tolist()) == {"pop909/017"}
    assert not (tmp_path / "store" / "train" / "pop909.npz").exists()


def test_splits_and_roles():
    assert [pop909_split(f"pop909/{n}") for n in ("007", "028", "123")] == ["test", "validation", "train"]
    made = Orchestration(Notes(), ("lead", "bass", "comp", "pad", "drums", "second"), 0, {})
    assert roles_of(made).tolist() == [STRINGS, 1, GUITAR, STRINGS, 0, GUITAR]
