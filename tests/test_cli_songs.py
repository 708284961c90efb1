"""`cover`, `analyze`, `separate` on the command line: what they write, where, what they say; and bad input.

How songs are heard is not the matter here: `fake_analyze` reads them as the real one does, and arranging is done by
block chords or by an arranger whose answers are known.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import spartito
from frame import run_cli, shipped, write_beeps
from songs import RATE, FakeArranger, analysis, band, fake_analyze, write_song
from spartito import cover_variants, outputs_songs
from spartito.audio.io import save_audio
from spartito.cover_arrangers import open_arranger
from spartito.cover_variants import Variant
from spartito.models import arranger_input


@pytest.fixture
def calls(monkeypatch):
    """The options `analyze` is called with."""
    made: list[dict] = []

    def analyze(source, **options):
        made.append({"source": source, **options})
        return fake_analyze(source, **options)

    monkeypatch.setattr(spartito, "analyze", analyze, raising=False)
    monkeypatch.setattr(outputs_songs, "open_listener", lambda: None)
    return made


@pytest.fixture
def arranger(monkeypatch):
    """An arranger in the place of every model's."""
    fake = FakeArranger([(4, 72, 2), (6, 50, 4)])
    monkeypatch.setattr(
        cover_variants,
        "open_variant",
        lambda variant, device: open_arranger((fake, fake if variant.auto else None), compat=variant.compat),
    )
    heard = lambda samples, **_: arranger_input.Heard(np.zeros((4, len(samples) // 256, 88)), 62.5)  # noqa: E731
    monkeypatch.setattr(arranger_input, "listen", heard)
    return fake


@pytest.fixture
def stems(monkeypatch):
    """A separator that hears everything as accompaniment, and soft vocals; the melodies it is told."""
    from spartito.analysis import separation

    told = []

    def separate(source, *, engine="auto", melody=None, progress=None):
        told.append(melody)
        audio = source if isinstance(source, spartito.Audio) else spartito.load_audio(source)
        silent = spartito.Audio(0.01 * audio.samples, audio.rate)
        return {"vocals": silent, "accompaniment": audio}

    monkeypatch.setattr(spartito, "separate", separate, raising=False)
    monkeypatch.setattr(separation, "separate", separate)
    monkeypatch.setattr(separation, "chosen_engine", lambda engine="auto", *, check=separation.chosen_engine: (
        "built-in" if engine == "auto" else check(engine)
    ))  # fmt: skip
    return told


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# -- cover --------------------------------------------------------------------------------------------------


def test_cover_writes_every_format(tmp_path, capfd, calls):
    for package in ("partitura", "verovio", "matplotlib"):
        pytest.importorskip(package)
    source = write_song(tmp_path / "song.flac")
    status, out, err = run_cli(capfd, "cover", source, "--model", "chords", "-o", tmp_path / "out")
    assert (status, err) == (0, "")
    suffixes = ("csv", "mid", "musicxml", "pdf", "png", "wav")
    assert names(tmp_path / "out") == ["song_analysis.json", *(f"song_cover.{s}" for s in suffixes)]
    notes = spartito.read_midi(tmp_path / "out" / "song_cover.mid")
    assert (notes.title, notes.composer) == ("A Song", "A Band") and str(len(notes)) + " notes" in out
    assert {"right hand", "left hand"} <= {t.name for t in notes.tracks}
    text = (tmp_path / "out" / "song_cover.musicxml").read_text()
    assert "A Song" in text and "<harmony" in text  # chord symbols
    assert spartito.Analysis.load(tmp_path / "out" / "song_analysis.json").key == "C:maj"
    sound = spartito.load_audio(tmp_path / "out" / "song_cover.wav")
    assert abs(sound.duration - notes.duration) < 10


def test_cover_passes_its_options_on(tmp_path, capfd, calls, monkeypatch):
    from spartito.arrangement import cover

    made = []

    def listening(source, **options):
        made.append(options)
        return cover(source, **options)

    monkeypatch.setattr(spartito, "cover", listening, raising=False)
    (tmp_path / "a.lab").write_text("0 6 D:min\n")
    (tmp_path / "a.beats").write_text("0 1\n1 2\n")
    source = write_song(tmp_path / "song.wav")
    options = "--model chords --melody omit --difficulty 2 --density 0.8 --left-density 0.7 --seed 5 --temperature 0.3"
    options += " --transpose -2 --tempo-hint 100 --first-downbeat 0:00.5 --time-signature 3/4 --engine madmom --hop 2"
    options += f" --beats {tmp_path}/a.beats --chords {tmp_path}/a.lab --batch-size 7 -f mid"
    status, _, err = run_cli(capfd, "cover", source, *options.split())
    assert (status, err) == (0, "")
    (call,) = made
    assert {k: call[k] for k in ("melody", "difficulty", "density", "left_density", "seed", "temperature")} == {
        "melody": "omit", "difficulty": 2, "density": 0.8, "left_density": 0.7, "seed": 5, "temperature": 0.3,
    }  # fmt: skip
    assert (call["transpose"], call["hop"], call["batch_size"], call["compat"]) == (-2, 2, 7, False)
    assert {k: calls[0][k] for k in ("tempo_hint", "first_downbeat", "time_signature", "engine")} == {
        "tempo_hint": 100.0, "first_downbeat": 0.5, "time_signature": (3, 4), "engine": "madmom",
    }  # fmt: skip
    assert calls[0]["beats"].endswith("a.beats") and calls[0]["chords"].endswith("a.lab")


def test_one_file_json_and_a_folder_with_results_in_it(tmp_path, capfd, calls):
    write_song(tmp_path / "song.wav")
    assert run_cli(capfd, "cover", tmp_path, "--model", "chords", "-f", "wav,json")[0] == 0
    assert names(tmp_path) == ["song.wav", "song_analysis.json", "song_cover.wav"]
    status, out, _ = run_cli(
        capfd, "cover", tmp_path, "--model", "chords", "-f", "wav,json", "--skip-existing", "--json"
    )
    assert status == 0 and [f["status"] for f in json.loads(out)["files"]] == ["skipped"]
    status, out, _ = run_cli(
        capfd, "cover", tmp_path / "song.wav", "--model", "chords", "-o", tmp_path / "x.mid", "--json"
    )
    (report,) = json.loads(out)["files"]
    assert status == 0 and (tmp_path / "x.mid").is_file()
    assert report["tempo"] == 120.0 and report["time_signature"] == "4/4" and report["key"] == "C:maj"
    assert {"analysis", "arranging", "notes", "mid"} <= set(report["stages"]) and "playability" in report


def test_the_sound_alone_and_no_sound(tmp_path, capfd, calls):
    source = write_song(tmp_path / "song.wav")
    status, _, err = run_cli(capfd, "cover", source, "--model", "chords", "--synth-only", "-o", tmp_path / "out")
    assert (status, err, names(tmp_path / "out")) == (0, "", ["song_cover.wav"])


def test_mix_has_the_vocals_over_the_piano_and_leaves_the_tune_to_them(tmp_path, capfd, calls, stems, arranger):
    source = write_song(tmp_path / "song.wav")
    status, _, err = run_cli(capfd, "cover", source, "--mix", "-f", "mid,wav", "-o", tmp_path / "out", "-q")
    assert (status, err) == (0, "") and arranger.calls[0]["melody"] == "omit"
    sound = spartito.load_audio(tmp_path / "out" / "song_cover.wav")
    assert sound.rate == RATE and sound.duration >= 6.0 and sound.channels == 2


def test_arranging_without_the_vocals(tmp_path, capfd, calls, stems, arranger):
    source = write_song(tmp_path / "song.wav")
    status, out, _ = run_cli(capfd, "cover", source, "--separate", "built-in", "-f", "mid", "--json")
    assert status == 0 and "separation" in json.loads(out)["files"][0]["stages"]
    assert run_cli(capfd, "cover", source, "--separate", "scissors", "-f", "mid")[0] == 2


def test_an_analysis_corrected_by_hand(tmp_path, capfd, calls):
    source = write_song(tmp_path / "song.wav")
    assert run_cli(capfd, "analyze", source)[0] == 0
    assert names(tmp_path) == ["song.wav", "song_analysis.beats", "song_analysis.json", "song_analysis.lab"]
    text = (tmp_path / "song_analysis.json").read_text().replace("C:maj", "Db:maj")
    (tmp_path / "mine.json").write_text(text)
    options = ("--model", "chords", "--melody", "omit", "-f", "mid", "--analysis", tmp_path / "mine.json")
    assert run_cli(capfd, "cover", source, *options)[0] == 0 and len(calls) == 1
    notes = spartito.read_midi(tmp_path / "song_cover.mid")
    assert set(notes.pitch[notes.onset < 1.9] % 12) == {1, 5, 8}
    assert notes.tempo_map.key_signatures[0].fifths == -5
    status, _, err = run_cli(capfd, "cover", source, *options, "--tempo-hint", "90")
    assert status == 1 and "--tempo-hint" in err and "by hand" in err
    (tmp_path / "mine.json").write_text(text[:-40])
    status, _, err = run_cli(capfd, "cover", source, *options)
    assert status == 1 and "mine.json" in err and "Traceback" not in err


def test_the_accompaniment_is_heard_and_the_whole_song_analysed(tmp_path, capfd, calls):
    whole, part = write_song(tmp_path / "whole.wav"), write_song(tmp_path / "part.wav", drums=False)
    status, _, err = run_cli(capfd, "cover", part, "--original", whole, "--model", "chords", "-f", "mid")
    assert (status, err) == (0, "") and str(calls[0]["source"]) == str(whole)
    assert (tmp_path / "part_cover.mid").is_file()


# -- models -------------------------------------------------------------------------------------------------


def test_names_of_the_original_in_compat(tmp_path, capfd, calls, arranger):
    source = write_song(tmp_path / "song.wav")
    assert run_cli(capfd, "cover", source, "--compat", "-o", tmp_path / "out")[0] == 0
    assert run_cli(capfd, "cover", source, "--compat", "--auto", "-o", tmp_path / "out")[0] == 0
    assert names(tmp_path / "out") == ["a2s-False.mid", "a2s-True.mid"]
    assert spartito.read_midi(tmp_path / "out" / "a2s-True.mid").tempo_map.ticks_per_quarter == 220
    status, _, err = run_cli(capfd, "cover", source, "--compat", "--difficulty", "2", "-o", tmp_path / "out")
    assert status == 2 and "--difficulty" in err
    other = write_song(tmp_path / "other.wav")
    status, _, err = run_cli(capfd, "cover", source, other, "--compat", "-o", tmp_path / "two")
    assert status == 1 and "overwrite" in err and names(tmp_path / "two") == ["a2s-False.mid"]


def test_bar_by_bar_several_songs_at_once(tmp_path, capfd, calls, arranger):
    sources = [write_song(tmp_path / f"{name}.wav", seconds) for name, seconds in (("a", 6.0), ("b", 8.0))]
    options = ["--model", "a2s", "--auto", "-f", "mid", "-o"]
    status, _, err = run_cli(capfd, "cover", *sources, *options, tmp_path / "together")
    assert status == 0, err
    assert max(call["frames"][0] for call in arranger.calls) == 2  # the same bar of both
    for source in sources:
        assert run_cli(capfd, "cover", source, *options, tmp_path / "alone")[0] == 0
    for name in names(tmp_path / "together"):
        assert (tmp_path / "together" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_all_models_that_are_here(tmp_path, capfd, calls, arranger, monkeypatch):
    here = (Variant(), Variant(auto=True), Variant("supervised"))
    monkeypatch.setattr(
        cover_variants,
        "present_variants",
        lambda *, compat: (
            tuple(replace(variant, compat=compat) for variant in here),
            (Variant("a2s-nochd"), Variant(alt=True)),
        ),
    )
    source = write_song(tmp_path / "song.wav")
    status, out, err = run_cli(
        capfd, "cover", source, "--model", "all", "-f", "mid,json", "-o", tmp_path / "out", "--json"
    )
    assert status == 0 and "a2s-nochd" in err and "a2s-alt" in err and len(calls) == 1
    assert names(tmp_path / "out") == [
        "song_analysis.json", "song_cover_a2s-auto.mid", "song_cover_a2s.mid", "song_cover_supervised.mid",
    ]  # fmt: skip
    assert set(json.loads(out)["files"][0]["variants"]) == {"a2s", "a2s-auto", "supervised"}
    assert run_cli(capfd, "cover", source, "--model", "all", "--compat", "-o", tmp_path / "compat", "-q")[0] == 0
    assert names(tmp_path / "compat") == [
        "model-a2s-auto-False-alt-False.mid", "model-a2s-auto-True-alt-False.mid",
        "model-supervised-auto-False-alt-False.mid",
    ]  # fmt: skip
    monkeypatch.setattr(cover_variants, "present_variants", lambda *, compat: ((), (Variant(),)))
    status, _, err = run_cli(capfd, "cover", source, "--model", "all")
    assert status == 2 and "chords" in err


def test_variants_are_those_of_the_published_program(monkeypatch):
    present, missing = cover_variants.present_variants(compat=True)
    labels = sorted(variant.label for variant in present + missing)
    assert labels == [
        "a2s", "a2s-alt", "a2s-alt-auto", "a2s-auto", "a2s-nochd", "a2s-nochd-auto", "supervised", "supervised+kl",
    ]  # fmt: skip
    assert (Variant(compat=True) in present) == shipped("a2s")
    every = sum(cover_variants.present_variants(), ())
    assert {variant.label for variant in every} == {*labels, "tokens"}


@pytest.mark.parametrize(
    "options",
    ["--melody hum", "--difficulty 6", "--density 2", "--transpose 3 --easy-key", "--mix --transpose 2",
     "--mix --synth-only", "--synth-only -f mid", "--model all --auto", "--analysis nowhere.json", "--beats nowhere",
     "--time-signature three", "--first-downbeat soon", "--temperature 9", "--formats doc", "--hop 4",
     "--model supervised --auto", "--model chords --alt", "--style calm", "--controls density=2", "--like nowhere.mid",
     "--model all --style calm", "--precision int8", "--model chords --compat"],
)  # fmt: skip
def test_options_that_cannot_be(tmp_path, capfd, calls, options):
    source = write_song(tmp_path / "song.wav", 2.0)
    model = () if "--model" in options else ("--model", "chords")
    status, out, err = run_cli(capfd, "cover", source, *model, *options.split())
    assert status == 2 and err.strip() and out == "" and calls == [] and names(tmp_path) == ["song.wav"]


@pytest.mark.parametrize("option", ["--analysis", "--original", "--beats", "--chords"])
def test_what_belongs_to_one_song_is_not_for_several(tmp_path, capfd, calls, option):
    songs = [write_song(tmp_path / f"{name}.wav", 2.0) for name in "ab"]
    for inputs in (songs, [tmp_path]):
        status, _, err = run_cli(capfd, "cover", *inputs, "--model", "chords", option, songs[0])
        assert status == 2 and option in err and calls == []


def test_a_model_that_is_not_here(tmp_path, capfd, calls):
    source = write_song(tmp_path / "song.wav", 2.0)
    status, _, err = run_cli(capfd, "cover", source, "--model", "no-such-model")
    assert status == 1 and "no-such-model" in err and names(tmp_path) == ["song.wav"]


# -- styles -------------------------------------------------------------------------------------------------


class Styled:
    """An arranger whose styles are pitches, and controls lengths; what it was asked for is kept."""

    name, has_chords, plain = "styled", True, False
    styles = ("low", "high-up")

    def __init__(self, style_word: str = "style"):
        self.style_word, self.asked = style_word, []

    def check(self, wish) -> None:
        if wish.like is not None and len(wish.like) == 0:
            raise spartito.SpartitoError("nothing to be like")

    def share(self, piece, watch):
        return 1.0

    def arrange_songs(self, jobs, watch):
        found = []
        for piece, wish in jobs:
            self.asked.append(wish)
            times = piece.song.beats.times[:-1]
            names = ["low"] * len(times) if wish.style is None else wish.style.at(times, piece.song.beats.downbeats)
            pitch = np.where([name == "low" for name in names], 50, 80)
            found.append(spartito.Notes.from_arrays(times, times + 0.3, pitch, 40 + 5 * (np.arange(len(times)) % 10)))
        return found


@pytest.fixture
def styled_arranger(monkeypatch):
    fake = Styled()
    monkeypatch.setattr(cover_variants, "open_variant", lambda variant, device: fake)
    return fake


def test_a_result_for_every_style(tmp_path, capfd, calls, styled_arranger):
    source = write_song(tmp_path / "song.wav")
    wanted = ["song_analysis.json", "song_cover_high-up.mid", "song_cover_low.mid"]
    for style in ("all", "high-up,low"):
        out = tmp_path / style
        status, said, _ = run_cli(capfd, "cover", source, "--style", style, "-f", "mid,json", "-o", out, "--json")
        assert status == 0 and names(out) == wanted
        assert set(json.loads(said)["files"][0]["variants"]) == {"low", "high-up"}
    assert len(calls) == 2  # a song is analysed once for all its styles
    assert set(spartito.read_midi(tmp_path / "all" / "song_cover_low.mid").pitch) == {50}
    assert set(spartito.read_midi(tmp_path / "all" / "song_cover_high-up.mid").pitch) == {80}


def test_one_style_and_a_style_for_each_section(tmp_path, capfd, calls, styled_arranger):
    source = write_song(tmp_path / "song.wav")
    run_cli(capfd, "cover", source, "--style", "low@1,high-up@3", "-f", "mid", "-o", tmp_path / "x.mid")
    notes = spartito.read_midi(tmp_path / "x.mid")
    assert set(notes.pitch[notes.onset < 3.9]) == {50} and set(notes.pitch[notes.onset > 3.9]) == {80}
    status, said, _ = run_cli(capfd, "cover", source, "--style", "high-up", "-f", "mid", "--json")
    (report,) = json.loads(said)["files"]
    assert status == 0 and report["outputs"] == {"mid": str(tmp_path / "song_cover.mid")}
    assert 30 < report["dynamics"]["soft"] < report["dynamics"]["loud"] <= 127


def test_an_example_and_controls(tmp_path, capfd, calls, styled_arranger):
    source, example = write_song(tmp_path / "song.wav"), tmp_path / "example.mid"
    spartito.write_midi(spartito.Notes.from_arrays([0.0, 0.5], [0.4, 0.9], [60, 62]), example)
    options = ("--like", example, "--controls", "density=4,pattern=walking", "--difficulty", "3", "-f", "mid")
    assert run_cli(capfd, "cover", source, *options)[0] == 0
    (wish,) = styled_arranger.asked
    assert wish.like.pitch.tolist() == [60, 62] and wish.controls == {"density": 4, "pattern": 5}
    assert (wish.difficulty, wish.style, wish.melody) == (3, None, "include")
    status, _, err = run_cli(capfd, "cover", source, "--like", source, "-f", "mid")
    assert status == 1 and "song.wav" in err and "Traceback" not in err


def test_composers_are_styles_where_a_model_says_so(tmp_path, capfd, calls, styled_arranger):
    source = write_song(tmp_path / "song.wav")
    assert run_cli(capfd, "cover", source, "--composer", "low", "-f", "mid")[0] == 0
    assert styled_arranger.asked[0].style is None
    assert spartito.read_midi(tmp_path / "song_cover.mid").composer == "low"
    styled_arranger.style_word = "composer"
    assert run_cli(capfd, "cover", source, "--composer", "Low", "-f", "mid")[0] == 0
    assert styled_arranger.asked[1].style.label == "low"
    assert run_cli(capfd, "cover", source, "--composer", "Clara Low", "-f", "mid")[0] == 0
    assert styled_arranger.asked[2].style is None
    status, _, err = run_cli(capfd, "cover", source, "--composer", "low,nobody", "-f", "mid")
    assert status == 2 and "no composer 'nobody'" in err
    assert run_cli(capfd, "cover", source, "--composer", "low", "--style", "low", "-f", "mid")[0] == 2


# -- analyze and separate -----------------------------------------------------------------------------------


def test_analyze(tmp_path, capfd, calls):
    source = write_song(tmp_path / "song.ogg")
    status, out, _ = run_cli(capfd, "analyze", source, "-o", tmp_path / "x.json", "--tempo-hint", "120", "--json")
    assert status == 0 and calls[0]["tempo_hint"] == 120
    assert spartito.Analysis.load(tmp_path / "x.json").duration == pytest.approx(6.0, abs=0.1)
    assert json.loads(out)["files"][0]["key"] == "C:maj"
    status, *_ = run_cli(capfd, "analyze", source, "-f", "beats", "-o", tmp_path / "out")
    assert status == 0 and (tmp_path / "out" / "song_analysis.beats").read_text().startswith("0.000000\t1")
    assert run_cli(capfd, "analyze", source, "-f", "mid")[0] == 2


def test_separate(tmp_path, capfd, calls, stems):
    source = write_song(tmp_path / "song.wav", 2.0)
    status, _, err = run_cli(capfd, "separate", source, "-o", tmp_path / "out")
    assert status == 0 and "Traceback" not in err
    assert names(tmp_path / "out") == ["song_accompaniment.wav", "song_vocals.wav"]
    assert len(stems[0]) == 4  # a note a beat: the tune is heard first
    assert run_cli(capfd, "separate", source, "-o", tmp_path / "out", "--no-analysis")[0] == 0
    assert stems[1] is None and len(calls) == 1
    status, _, err = run_cli(capfd, "separate", source, "-o", tmp_path / "one.wav")
    assert status == 2 and "folder" in err
    assert run_cli(capfd, "separate", source, "--engine", "scissors")[0] == 2


# -- bad input ----------------------------------------------------------------------------------------------


def cover_beside_a_good_one(capfd, folder, *paths):
    """Run `cover` on a good song and on `paths`; the good one must be done."""
    good = write_song(folder / "good.wav", 3.0)
    status, _, err = run_cli(capfd, "cover", good, *paths, "--model", "chords", "-o", folder / "out", "-f", "mid,json")
    assert "Traceback" not in err and "please report" not in err
    assert len(spartito.read_midi(folder / "out" / "good_cover.mid")) > 0
    return status, err, [name for name in names(folder / "out") if not name.startswith("good_")]


@pytest.mark.parametrize("seconds", [0.05, 5.0])
def test_silence(tmp_path, capfd, calls, seconds):
    soundfile.write(tmp_path / "silent.wav", np.zeros(round(seconds * RATE)), RATE)
    status, err, left = cover_beside_a_good_one(capfd, tmp_path, tmp_path / "silent.wav")
    assert status == 1 and "silent.wav" in err and left == []


def test_what_is_no_recording(tmp_path, capfd, calls):
    (tmp_path / "letter.mp3").write_bytes(b"Dear Clara,\nthis is no recording.\n")
    soundfile.write(tmp_path / "none.wav", np.zeros(0), RATE)
    status, err, left = cover_beside_a_good_one(
        capfd, tmp_path, tmp_path / "letter.mp3", tmp_path / "none.wav", tmp_path / "gone.wav"
    )
    assert status == 1 and all(name in err for name in ("letter.mp3", "none.wav", "gone.wav")) and left == []


def test_a_result_that_cannot_be_written(tmp_path, capfd, calls):
    source = write_song(tmp_path / "song.wav", 2.0)
    (tmp_path / "taken").write_text("precious")
    status, _, err = run_cli(capfd, "cover", source, "--model", "chords", "-f", "mid", "-o", f"{tmp_path}/taken/")
    assert status == 1 and "cannot write" in err and (tmp_path / "taken").read_text() == "precious"


def test_warnings_of_the_analysis_are_said(tmp_path, capfd, calls, monkeypatch):
    known = analysis(duration=6.0, count=12)
    monkeypatch.setattr(
        spartito, "analyze", lambda source, **_: spartito.Analysis(
            6.0, known.beats, known.chords, loudness=known.loudness, steady=True, warnings=("no beat was heard",)
        )
    )  # fmt: skip
    source = write_song(tmp_path / "song.wav", 6.0)
    status, _, err = run_cli(capfd, "cover", source, "--model", "chords", "-f", "mid")
    assert status == 0 and "warning" in err and "no beat was heard" in err


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
def test_interrupted(tmp_path):
    if not shipped("analyze"):
        pytest.skip("no analysis model is shipped")
    write_song(tmp_path / "in" / "a_quick.wav", 3.0)
    sound = np.tile(band(20.0), 60)  # twenty minutes: long enough to be interrupted
    save_audio(spartito.Audio(sound, RATE), tmp_path / "in" / "b_long.wav")
    command = [sys.executable, "-m", "spartito.cli", "cover", "in", "--model", "chords", "-o", "out", "-f", "mid,json"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert "a_quick" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and "Traceback" not in err and "interrupted" in err
    assert names(tmp_path / "out") == ["a_quick_analysis.json", "a_quick_cover.mid"]


# -- the real ears, on songs of many kinds ------------------------------------------------------------------

KINDS = {
    "ten_seconds": {"seconds": 10.0},
    "no_drums": {"seconds": 8.0, "drums": False},
    "three_four": {"seconds": 9.0, "metre": 3},
    "pick_up": {"seconds": 8.0, "start": 0.4},
}


@pytest.mark.parametrize("kind", [*KINDS, "tempo_change", "speech", "blip"])
def test_songs_of_many_kinds(tmp_path, capfd, kind):
    if not shipped("analyze"):
        pytest.skip("no analysis model is shipped")
    if kind == "tempo_change":
        sound = np.concatenate([band(4.0), band(4.0, beat=0.4)])
    elif kind == "speech":  # noise in syllables
        t = np.arange(4 * RATE) / RATE
        sound = 0.2 * np.random.default_rng(0).standard_normal(len(t)) * (np.sin(2 * np.pi * 3.3 * t) > 0.3)
    elif kind == "blip":
        sound = band(0.05)
    else:
        sound = band(**KINDS[kind])
    soundfile.write(tmp_path / "song.wav", sound, RATE)
    status, _, err = run_cli(capfd, "cover", tmp_path / "song.wav", "--model", "chords", "-f", "mid,json")
    assert "Traceback" not in err and "please report" not in err
    if kind in ("speech", "blip"):  # nothing a piano could play, or very little
        assert status == 0 or (status == 1 and names(tmp_path) == ["song.wav"])
    else:
        assert status == 0 and len(spartito.read_midi(tmp_path / "song_cover.mid")) > 10


def test_a_piano_alone_is_better_transcribed(tmp_path, capfd, calls):
    source = write_beeps(tmp_path / "recital.wav", 4.0)
    status, _, err = run_cli(capfd, "cover", source, "--model", "chords", "-f", "mid")
    assert status == 0 and "spartito transcribe recital.wav" in err


def test_the_line_of_a_result_names_every_file(tmp_path, capfd, calls):
    source = write_song(tmp_path / "song.wav", 3.0)
    _, out, _ = run_cli(capfd, "cover", source, "--model", "chords", "-f", "mid,csv,json")
    assert f"{tmp_path}/song_cover.{{mid,csv}}, {tmp_path}/song_analysis.json" in out


def test_the_shipped_arranger_on_the_example(tmp_path, capfd):
    """Ten seconds of the example song, by the models that come with the package: in its key, time and bars."""
    if not (shipped("a2s") and shipped("analyze")):
        pytest.skip("the models are not shipped")
    root = Path(__file__).parent.parent / "examples"
    song = spartito.load_audio(root / "song.ogg")
    part = spartito.Audio(song.samples[:, : 10 * song.rate], song.rate)
    save_audio(part, tmp_path / "song.wav")
    status, out, _ = run_cli(capfd, "cover", tmp_path / "song.wav", "-f", "mid,json", "--json")
    (report,) = json.loads(out)["files"]
    assert status == 0 and report["time_signature"] == "4/4" and report["tempo"] == pytest.approx(112.4, abs=2)
    notes = spartito.read_midi(tmp_path / "song_cover.mid")
    in_key = np.isin(notes.pitch % 12, [9, 11, 1, 2, 4, 6, 8])
    assert len(notes) > 30 and in_key.mean() > 0.9 and notes.duration <= 10.001  # a tick
    truth = spartito.Analysis.load(root / "song_reference.json")
    bars = notes.tempo_map.quarters_to_seconds(4 * np.arange(1, 5))
    assert np.abs(bars[:, None] - truth.downbeats).min(axis=1).max() < 0.05
    assert len(notes.pedal) > 2 and {t.name for t in notes.tracks} >= {"right hand", "left hand"}


def test_the_shipped_token_model_on_the_example(tmp_path, capfd):
    """Twelve seconds with a style for each half, and like a cover of its own: in its key, with touch and hands."""
    if not shipped("tokens"):
        pytest.skip("no token model is shipped")
    root = Path(__file__).parent.parent / "examples"
    song = spartito.load_audio(root / "song.ogg")
    save_audio(spartito.Audio(song.samples[:, : 12 * song.rate], song.rate), tmp_path / "song.wav")
    spartito.write_midi(
        spartito.Notes.from_arrays([0.0, 0.5, 1.0], [0.4, 0.9, 1.4], [60, 64, 67]), tmp_path / "like.mid"
    )
    known = spartito.Analysis.load(root / "song_reference.json")
    replace(known, duration=12.0).save(tmp_path / "known.json")
    options = (
        "--model",
        "tokens",
        "--analysis",
        tmp_path / "known.json",
        "-f",
        "mid",
        "--json",
        "-o",
        tmp_path / "out",
    )
    first, second = spartito.load_model("tokens").styles[:2]
    for extra in (("--style", f"{first}@1,{second}@3"), ("--like", tmp_path / "like.mid", "--controls", "density=5")):
        status, out, _ = run_cli(capfd, "cover", tmp_path / "song.wav", *options, *extra)
        (report,) = json.loads(out)["files"]
        assert status == 0 and report["dynamics"]["loud"] - report["dynamics"]["soft"] > 15
        notes = spartito.read_midi(tmp_path / "out" / "song_cover.mid")
        in_key = np.isin(notes.pitch % 12, [9, 11, 1, 2, 4, 6, 8])
        assert len(notes) > 30 and in_key.mean() > 0.85 and notes.duration <= 12.001
        assert {t.name for t in notes.tracks} >= {"right hand", "left hand"}
