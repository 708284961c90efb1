import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from spartito.errors import ParameterError
from spartito.notes.midi import write_midi
from spartito.notes.notes import Notes, Track
from spartito.render.soundfont import default_soundfont
from spartito.training.band_mix import mix_down, mix_stems
from spartito.training.bands import RATE, Stem, excerpt_of, make_bands, play_stems, render_stems
from spartito.training.cli import app
from spartito.training.data.bands import open_bands
from spartito.training.data.pop909 import PopSong, bars_of, on_grid
from spartito.training.orchestrate import orchestrate

needs_fluidsynth = pytest.mark.skipif(shutil.which("fluidsynth") is None, reason="the program fluidsynth is not here")
RNG = np.random.default_rng


def song() -> PopSong:
    """Forty bars of four, half a second a beat."""
    beats = 0.5 * np.arange(161)
    positions, lengths = bars_of(np.arange(0, 161, 4), 161)
    notes = np.column_stack([beats[:160], beats[:160] + 0.45, 60 + np.arange(160) % 12, np.full(160, 90)])
    chords = tuple((2.0 * i, 2.0 * i + 2, ("C:maj", "F:maj")[i % 2]) for i in range(40))
    return PopSong(
        "007", notes, notes[::8], notes - [0, 0, 12, 0], beats, positions, lengths, chords, ((0, 80, "C:maj"),)
    )


def test_an_excerpt_is_determined_by_its_seed_and_its_labels_agree():
    waltzes, changes = 0, 0
    for seed in range(60):
        one, two = (excerpt_of(song(), [1, seed], seconds=20.0) for _ in range(2))
        assert one.edits == two.edits and (one.song.piano == two.song.piano).all()
        assert one.duration <= 20.0 and (one.song.beats[0] < one.duration)
        assert 0.8 <= one.edits["tempo_factor"] <= 1.25 and -5 <= one.edits["transposition"] <= 6
        grid = on_grid(one.song.piano, one.song.beats)
        assert (grid[:, 1] == 0).all()  # every note is still on its beat, whatever was done to the song
        waltzes += one.edits["waltz"]
        if one.edits["waltz"]:
            assert np.median(one.song.bar_lengths) == 3
        changes += "tempo_change" in one.edits
    assert 1 <= waltzes <= 20 and changes <= 10


def test_soundfonts_and_splits_are_kept_apart(tmp_path):
    with pytest.raises(ParameterError, match="TimGM6mb"):
        make_bands(tmp_path, tmp_path, split="train", soundfonts=[Path("TimGM6mb.sf2")])
    with pytest.raises(ParameterError, match="test split"):
        make_bands(tmp_path, tmp_path, split="test", soundfonts=[Path("FluidR3_GM.sf2")])
    with pytest.raises(ParameterError, match="no SoundFont"):
        make_bands(tmp_path, tmp_path, split="train", soundfonts=[])


def test_mixing_moves_nothing_in_time():
    clicks = np.zeros((2, 3 * RATE), dtype=np.float32)
    at = np.array([0.5, 1.0, 1.7, 2.4])
    clicks[:, (at * RATE).astype(int)] = 1.0
    for seed in range(8):
        sound, done = mix_down({"drums": clicks, "rest": 0.01 * clicks}, RNG(seed))
        assert sound.shape == (3 * RATE,) and np.abs(sound).max() <= 1.0 and np.isfinite(sound).all()
        for t in at:
            here = sound[int((t - 0.1) * RATE) : int((t + 0.1) * RATE)]
            assert abs(np.argmax(np.abs(here)) / RATE - 0.1) < 0.0015, done


def test_vocals_and_accompaniment_add_up_to_a_mix():
    stems = {name: RNG(i).standard_normal((2, RATE)).astype(np.float32) for i, name in enumerate(("lead", "rest"))}
    parts = mix_stems(stems, RNG(0))
    assert set(parts) == {"vocals", "accompaniment"} and parts["vocals"].shape == (2, RATE)
    assert np.abs(parts["vocals"] + parts["accompaniment"]).max() == pytest.approx(0.5, abs=1e-3)
    assert not mix_stems({"rest": stems["rest"]}, RNG(0))["vocals"].any()


@needs_fluidsynth
def test_stems_sound_when_their_notes_say():
    onsets = np.array([0.5, 1.1, 1.9])
    tracks = (Track("drums", 0, True), Track("keys", 4))
    hits = Notes.from_arrays(onsets, onsets + 0.1, 37, 120, track=0, tracks=tracks)
    late = Notes.from_arrays(onsets + 0.2, onsets + 0.4, 60, 120, track=1, tracks=tracks)
    early = hits.shifted(-1.0)  # its first note comes before the recording begins
    stems = [Stem(n, default_soundfont(), 3.0) for n in (hits, late, early)]
    sounds = play_stems(stems)
    for shift, sound in zip((0.0, 0.2, -1.0), sounds, strict=True):
        assert sound.shape == (2, 3 * RATE)
        level = np.abs(sound).max(axis=0)
        for t in [t for t in onsets + shift if t > 0]:
            spans = ((-0.02, -0.004), (-0.004, 0.02))
            before, after = (level[int((t + a) * RATE) : int((t + b) * RATE)].max() for a, b in spans)
            assert after > 0.1 * level.max() and after > 5 * before


def song_folder(tmp_path) -> Path:
    folder = tmp_path / "POP909" / "007"
    folder.mkdir(parents=True)
    piece = song()
    tables = (piece.melody, piece.bridge, piece.piano)
    columns = np.concatenate(tables)
    track = np.repeat(np.arange(3), [len(t) for t in tables])
    notes = Notes.from_arrays(columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3], track=track,
                              tracks=tuple(Track(n) for n in ("MELODY", "BRIDGE", "PIANO")))  # fmt: skip
    write_midi(notes, folder / "007.mid")
    rows = [f"{t} {1 - i % 2} {int(i % 4 == 0)}" for i, t in enumerate(piece.beats)]
    (folder / "beat_midi.txt").write_text("\n".join(rows))
    (folder / "chord_midi.txt").write_text("\n".join(f"{a} {b} {c}" for a, b, c in piece.chords))
    (folder / "key_audio.txt").write_text("0.0 80.0 C:maj\n")
    return tmp_path / "POP909"


@needs_fluidsynth
def test_a_store_is_made_and_gone_on_with(tmp_path):
    said = []
    options = {"split": "test", "soundfonts": [default_soundfont()], "seconds": 6.0, "report": said.append}
    songs = song_folder(tmp_path)
    assert make_bands(songs, tmp_path / "store", excerpts=2, **options) == 2
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "store" / "test").iterdir()}
    assert sorted(before) == ["007-0.flac", "007-0.npz", "007-1.flac", "007-1.npz"]
    assert make_bands(songs, tmp_path / "store", excerpts=3, **options) == 3
    assert all((tmp_path / "store" / "test" / name).stat().st_mtime_ns == t for name, t in before.items())
    bands = open_bands(tmp_path / "store" / "test")
    assert len(bands) == 3
    for band in bands:
        sound = band.samples()
        assert len(sound) == pytest.approx(band.duration * RATE, abs=1) and 0.005 < np.abs(sound).max() <= 1.0
        assert band.meta["split"] == "test" and set(band.meta["soundfonts"].values()) == {default_soundfont().stem}
        assert len(band.piano_q) and band.chords[-1][1] == pytest.approx(band.duration)


@needs_fluidsynth
def test_the_command_makes_a_store(tmp_path):
    arguments = ["bands", str(tmp_path / "store"), "--pop909", str(song_folder(tmp_path)), "--split", "test"]
    arguments += ["--excerpts", "1", "--seconds", "3", "--soundfont", str(default_soundfont())]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0 and "1 of 1 excerpts of test" in result.output
    assert len(open_bands(tmp_path / "store" / "test")) == 1


@needs_fluidsynth
def test_a_singer_is_computed_where_the_band_has_one(tmp_path):
    heard = set()
    for seed in range(12):
        excerpt = excerpt_of(song(), [8, seed], seconds=3.0, name=f"007-{seed}")
        if orchestrate(excerpt.song, [0, *excerpt.name.encode(), 1], split="test").plan["voice"]:
            ((parts, _),) = render_stems([excerpt], [default_soundfont()], 0)
            assert parts["vocals"].any() and (parts["vocals"][0] == parts["vocals"][1]).mean() < 1.0  # in a room
            heard.add(seed)
            break
    assert heard


@needs_fluidsynth
def test_singer_and_accompaniment_apart():
    excerpt = excerpt_of(song(), [4, 4], seconds=4.0, name="007-0")
    ((parts, labels),) = render_stems([excerpt], [default_soundfont()], 0)
    assert set(parts) == {"vocals", "accompaniment"} and parts["accompaniment"].shape == (2, round(4.0 * RATE))
    assert parts["accompaniment"].any() and len(labels["beats"])
