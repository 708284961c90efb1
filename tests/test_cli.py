"""The command line: what it writes, where, what it says, and its exit status."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

import spartito
from frame import hear_without_a_model, run_cli, shipped, tune, write_beeps, write_tune
from spartito import outputs
from spartito.cli import app
from spartito.notes.midi import read_midi, write_midi
from spartito.notes.table import read_csv
from spartito.options import parse_choices, parse_pitch, parse_signature, parse_time, parse_tuning


@pytest.fixture
def calls(monkeypatch):
    return hear_without_a_model(monkeypatch)


# -- transcribe ---------------------------------------------------------------------------------------------


def test_transcribe_writes_every_format(tmp_path, capfd, calls):
    pytest.importorskip("partitura")
    pytest.importorskip("verovio")
    pytest.importorskip("matplotlib")
    source = write_beeps(tmp_path / "recital.flac", title="A Tune", artist="Someone")
    status, out, err = run_cli(capfd, "transcribe", source, "-o", tmp_path / "out")
    assert (status, err) == (0, "")
    names = [f"recital_transcription.{s}" for s in ("csv", "mid", "musicxml", "pdf", "png", "wav")]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
    assert str(source) in out and "4 notes" in out
    made = {s: (tmp_path / "out" / f"recital_transcription.{s}") for s in outputs.TRANSCRIBE_DEFAULTS}
    notes = read_midi(made["mid"])
    assert (notes.title, notes.composer) == ("A Tune", "Someone")
    assert len(notes) == len(read_csv(made["csv"])) == 4
    assert notes.onset == pytest.approx([0.0, 0.5, 1.0, 1.5], abs=2e-3)
    assert {t.name for t in notes.tracks if "hand" in t.name} == {"right hand", "left hand"}
    assert made["pdf"].read_bytes().startswith(b"%PDF")
    assert made["png"].read_bytes().startswith(b"\x89PNG")
    assert "<score-partwise" in made["musicxml"].read_text() and "A Tune" in made["musicxml"].read_text()
    assert made["wav"].read_bytes().startswith(b"RIFF")


def test_transcribe_passes_its_options_on(tmp_path, capfd, calls):
    source = write_beeps(tmp_path / "a.wav")
    options = "--onset-threshold 0.4 --frame-threshold 0.3 --shortest 0.05 --lowest C2 --highest 96 --high-notes strict"
    options += " --no-pedal --tuning -12.5 --start 0:00.5 --end 1.75 --formats mid"
    status, _, err = run_cli(capfd, "transcribe", source, *options.split())
    assert (status, err) == (0, "")
    (call,) = calls
    call.pop("progress")
    assert call == {
        "source": source, "model": "transcribe", "start": 0.5, "end": 1.75, "onset_threshold": 0.4,
        "frame_threshold": 0.3, "shortest": 0.05, "lowest": 36, "highest": 96, "high_notes": "strict",
        "pedal": False, "tuning": -12.5,
    }  # fmt: skip
    assert read_midi(tmp_path / "a_transcription.mid").onset.min() >= 0.5  # true times, with --start too


def test_one_input_to_one_file(tmp_path, capfd, calls):
    source = write_beeps(tmp_path / "a.wav")
    assert run_cli(capfd, "transcribe", source, "-o", tmp_path / "b" / "new.csv")[0] == 0
    assert [p.name for p in (tmp_path / "b").iterdir()] == ["new.csv"]


def test_a_folder_with_a_bad_file_in_it(tmp_path, capfd, calls):
    write_beeps(tmp_path / "in" / "good.wav")
    write_beeps(tmp_path / "in" / "deep" / "good.ogg")
    (tmp_path / "in" / "bad.mp3").write_bytes(b"not a recording")
    status, out, err = run_cli(capfd, "transcribe", tmp_path / "in", "-o", tmp_path / "out", "-f", "mid")
    assert status == 1
    assert sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*")) == [
        "deep/good_transcription.mid", "good_transcription.mid",
    ]  # fmt: skip
    assert "bad.mp3" in err and "3 files: 2 done, 1 failed" in err and "bad.mp3" not in out


def test_a_second_run_skips_what_is_there_and_is_not_fooled_by_results(tmp_path, capfd, calls):
    write_beeps(tmp_path / "a.wav")
    run_cli(capfd, "transcribe", tmp_path, "--formats", "mid,wav")
    assert len(calls) == 1
    write_beeps(tmp_path / "b.wav")
    status, out, _ = run_cli(capfd, "transcribe", tmp_path, "--formats", "mid,wav", "--skip-existing", "--json")
    report = json.loads(out)
    assert status == 0 and len(calls) == 2
    assert {f["source"].rpartition("/")[2]: f["status"] for f in report["files"]} == {
        "a.wav": "skipped",
        "b.wav": "done",
    }
    assert (report["done"], report["skipped"], report["failed"], report["not_reached"]) == (1, 1, 0, 0)
    assert report["files"][1]["notes"] == 4 and set(report["files"][1]["outputs"]) == {"mid", "wav"}


def test_quiet_says_nothing_but_failures(tmp_path, capfd, calls):
    write_beeps(tmp_path / "a.wav")
    assert run_cli(capfd, "transcribe", tmp_path / "a.wav", "-q", "-f", "mid") == (0, "", "")
    status, out, err = run_cli(capfd, "transcribe", tmp_path / "none.wav", "-q", "-f", "mid")
    assert status == 1 and out == "" and "none.wav: there is no such file" in err


def test_a_missing_extra_is_one_line_or_an_error_when_asked_for(tmp_path, capfd, calls, monkeypatch):
    monkeypatch.setitem(outputs.FORMATS, "png", ("plot", ("a_package_nobody_has",)))
    source = write_beeps(tmp_path / "a.wav")
    status, _, err = run_cli(capfd, "transcribe", source, "-f", "mid,png", "-o", tmp_path / "out")
    assert status == 1 and "spartito[plot]" in err and not (tmp_path / "out").exists()
    monkeypatch.setattr(outputs, "TRANSCRIBE_DEFAULTS", ("mid", "png"))
    status, _, err = run_cli(capfd, "transcribe", source, "-o", tmp_path / "out")
    assert status == 0 and err.count("\n") == 1 and "spartito[plot]" in err
    assert [p.suffix for p in (tmp_path / "out").iterdir()] == [".mid"]


@pytest.mark.parametrize(
    "options",
    ["--start 1:75", "--lowest H2", "--lowest 90 --highest 40", "--end 1 --start 2", "--formats doc", "--formats ,",
     "--jobs 0", "--jobs many", "--tempo 5", "--tuning flat", "--high-notes some",
     "--onset-threshold 3", "-o x.doc", "--nonsense"],
)  # fmt: skip
def test_options_that_cannot_be(tmp_path, capfd, calls, options):
    source = write_beeps(tmp_path / "a.wav")
    status, out, err = run_cli(capfd, "transcribe", source, *options.split())
    assert status == 2 and err.strip() and out == "" and calls == []
    assert "Traceback" not in err


def test_a_device_that_is_missing_is_an_error(tmp_path, capfd, monkeypatch):
    import onnxruntime

    if not shipped():
        pytest.skip("no transcription model is shipped")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    source = write_beeps(tmp_path / "a.wav")
    status, _, err = run_cli(capfd, "transcribe", source, "--device", "cuda", "-f", "mid")
    assert status == 1 and "no cuda device" in err and not (tmp_path / "a_transcription.mid").exists()


def test_a_model_that_is_missing(tmp_path, capfd):
    source = write_beeps(tmp_path / "a.wav")
    status, _, err = run_cli(capfd, "transcribe", source, "--model", "no-such-model", "-f", "mid")
    assert status == 1 and "no-such-model" in err and "Traceback" not in err


# -- score and synthesize -----------------------------------------------------------------------------------


def test_score_of_midi_of_a_table_and_of_musicxml(tmp_path, capfd):
    pytest.importorskip("partitura")
    source = write_tune(tmp_path / "a.mid")
    table = tmp_path / "b.csv"
    spartito.write_csv(tune(), table)
    status, _, err = run_cli(
        capfd, "score", source, table, "-f", "musicxml", "-o", tmp_path / "o", "--title", "My Tune",
        "--composer", "Me", "--time-signature", "3/4", "--key", "-1", "--tempo", "100",
    )  # fmt: skip
    assert (status, err) == (0, "2 files: 2 done\n")
    text = (tmp_path / "o" / "a_score.musicxml").read_text()
    assert "My Tune" in text and "<beats>3</beats>" in text and "<fifths>-1</fifths>" in text
    written = tmp_path / "o" / "b_score.musicxml"
    status, *_ = run_cli(capfd, "score", written, "-o", tmp_path / "again.mid")
    assert status == 0 and len(read_midi(tmp_path / "again.mid")) == len(tune())
    status, *_ = run_cli(capfd, "score", written, "-o", tmp_path / "named.musicxml", "--title", "Another")
    text = (tmp_path / "named.musicxml").read_text()
    assert status == 0 and "Another" in text and "My Tune" not in text and "Me" in text
    status, _, err = run_cli(capfd, "score", written, "-o", tmp_path / "no.mid", "--key", "2", "--tempo", "90")
    assert status == 1 and "--tempo, --key" in err and not (tmp_path / "no.mid").exists()


def test_transcribe_is_told_metre_and_key(tmp_path, capfd, calls):
    pytest.importorskip("partitura")
    source = write_beeps(tmp_path / "a.wav", 8.0)
    options = ("--time-signature", "3/4", "--key", "-3", "--formats", "mid,musicxml")
    assert run_cli(capfd, "transcribe", source, *options)[0] == 0
    text = (tmp_path / "a_transcription.musicxml").read_text()
    assert "<beats>3</beats>" in text and "<fifths>-3</fifths>" in text
    assert read_midi(tmp_path / "a_transcription.mid").tempo_map.time_signatures[0].numerator == 3


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_synthesize(tmp_path, capfd, suffix):
    source = write_tune(tmp_path / "a.mid")
    status, _, err = run_cli(capfd, "synthesize", source, "-o", tmp_path / f"a.{suffix}", "--rate", "16000")
    assert (status, err) == (0, "")
    audio = spartito.load(tmp_path / f"a.{suffix}")
    assert audio.rate == 16000 and audio.duration > 2.0


def test_synthesize_with_a_soundfont_that_is_missing(tmp_path, capfd):
    status, _, err = run_cli(capfd, "synthesize", write_tune(tmp_path / "a.mid"), "--soundfont", "nowhere.sf2")
    assert status == 1 and "nowhere.sf2" in err and [p.name for p in tmp_path.iterdir()] == ["a.mid"]


def test_one_failed_output_does_not_cost_the_others(tmp_path, capfd, calls):
    source = write_beeps(tmp_path / "a.wav")
    status, _, err = run_cli(
        capfd, "transcribe", source, "-f", "mid,wav,csv", "--soundfont", "nowhere.sf2", "-o", tmp_path / "o"
    )
    assert status == 1 and "nowhere.sf2" in err and "written: a_transcription.mid, a_transcription.csv" in err
    assert sorted(p.suffix for p in (tmp_path / "o").iterdir()) == [".csv", ".mid"]


# -- the other commands -------------------------------------------------------------------------------------


def test_evaluate_folders_and_files(tmp_path, capfd):
    pytest.importorskip("mir_eval")
    for folder in ("est", "ref"):
        write_tune(tmp_path / folder / "a.mid")
    write_midi(tune().shifted(0.2), tmp_path / "est" / "b_transcription.mid")
    write_tune(tmp_path / "ref" / "b.mid")
    write_tune(tmp_path / "ref" / "c.mid")
    status, out, err = run_cli(capfd, "evaluate", "transcription", tmp_path / "est", tmp_path / "ref", "--json")
    report = json.loads(out)
    assert status == 0 and report["pieces"]["a"]["note_f1"] == 1.0 and report["pieces"]["b"]["note_f1"] == 0.0
    assert report["mean"]["note_f1"] == 0.5 and report["missing_estimates"] == ["c"] and "c: there is no" in err
    status, out, _ = run_cli(capfd, "evaluate", "transcription", tmp_path / "est/a.mid", tmp_path / "ref/a.mid")
    assert status == 0 and "note_with_offset" in out and "1.000" in out
    assert run_cli(capfd, "evaluate", "transcription", tmp_path / "est/a.mid", tmp_path / "ref")[0] == 2
    (tmp_path / "est" / "a.mid").write_bytes(b"junk")
    status, _, err = run_cli(capfd, "evaluate", "transcription", tmp_path / "est", tmp_path / "ref")
    assert status == 1 and "a.mid" in err


def test_evaluate_cover(tmp_path, capfd):
    for name in ("made/song_cover.mid", "human/song.mid"):
        (tmp_path / name).parent.mkdir()
        write_tune(tmp_path / name)
    (tmp_path / "beats").mkdir()
    (tmp_path / "beats/song.beats").write_text("0.0 1\n0.5 2\n1.0 3\n1.5 4\n")
    files = tmp_path / "made/song_cover.mid", tmp_path / "human/song.mid"
    known = "--analysis", tmp_path / "beats/song.beats"
    status, out, err = run_cli(capfd, "evaluate", "cover", *files, *known, "--json")
    mean = json.loads(out)["mean"]
    assert status == 0 and mean["onset_f1"] == 1.0, err
    assert mean["dynamics_range"] == mean["dynamics_range_human"]
    status, out, _ = run_cli(capfd, "evaluate", "cover", *files, *known)
    assert status == 0 and "groove" in out and "of the human one" in out and "_human" not in out
    assert run_cli(capfd, "evaluate", "cover", *files, "--analysis", tmp_path / "none.beats")[0] == 1
    folders = tmp_path / "made", tmp_path / "human"
    status, out, err = run_cli(capfd, "evaluate", "cover", *folders, "--analysis", tmp_path / "beats")
    assert status == 0 and re.search(r"song +1.000", out), err
    assert run_cli(capfd, "evaluate", "cover", *folders, *known)[0] == 2  # a file for a folder of pieces


def test_models_soundfont_version_help(capfd):
    status, out, err = run_cli(capfd, "models", "--json")
    assert status == 0, err
    for model in json.loads(out):
        assert {"name", "size_bytes", "licence", "data", "metrics", "summary"} <= set(model)
    assert run_cli(capfd, "models")[0] == 0
    status, out, _ = run_cli(capfd, "soundfont")
    assert status == 0 and "FluidR3_GM" in out and "MIT" in out
    assert run_cli(capfd, "--version") == (0, f"spartito {spartito.__version__}\n", "")
    commands = "cover restyle edit blend sample analyze separate transcribe score synthesize".split()
    commands += "evaluate models soundfont train export convert".split()
    status, out, _ = run_cli(capfd, "--help")
    assert status == 0 and all(command in out for command in commands)
    for command in commands:
        assert run_cli(capfd, command, "--help")[0] == 0, command
    assert len(app.registered_commands) + len(app.registered_groups) == len(commands)


def test_training_without_torch_names_the_extra(capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [m for m in sys.modules if m.startswith("spartito.training")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(spartito, "training", None, raising=False)  # what is imported anew must not outlive it
    status, _, err = run_cli(capfd, "train", "transcription", "nowhere", "-o", "nowhere")
    assert status == 1 and "Traceback" not in err and ("spartito[train]" in err or "spartito[torch]" in err)


def test_convert_a_file_that_is_no_checkpoint(tmp_path, capfd):
    (tmp_path / "model.pt").write_bytes(b"\x80\x02cos\nsystem\n(S'true'\ntR.")
    status, _, err = run_cli(capfd, "convert", tmp_path / "model.pt", "-o", tmp_path / "out")
    assert status == 1 and err.startswith("spartito: ") and not (tmp_path / "out").exists()


def test_the_program_itself():
    result = subprocess.run([sys.executable, "-m", "spartito.cli", "--version"], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, f"spartito {spartito.__version__}\n")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_no_terminal_can_show(tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9.mid"
    write_tune(tmp_path / "a.mid").rename(os.fsdecode(name))
    command = [sys.executable, "-m", "spartito.cli", "synthesize", name, "--rate", "8000"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for extra in ([], ["--json"]):
        result = subprocess.run([*command, *extra], capture_output=True, env=environment)
        assert result.returncode == 0 and b"caf\\udce9" in result.stdout, result.stderr
    assert os.path.exists(name.replace(b".mid", b"_synthesis.wav"))


# -- what a person types ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1:30", 90), ("1:02:30.5", 3750.5), ("0:05", 5), (".5", 0.5), ("75:00", 4500)]
)
def test_times(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "1:60", "-3", "a", "1:2:3:4", "1:75:00", "nan", "1e3"])
def test_no_times(text):
    with pytest.raises(ValueError, match="time"):
        parse_time(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [("60", 60), ("C4", 60), ("a0", 21), ("C8", 108), ("F#3", 54), ("Bb2", 46), ("bb2", 46), ("b2", 47), ("C-1", 0)],
)
def test_pitches(text, number):
    assert parse_pitch(text) == number


@pytest.mark.parametrize("text", ["", "H2", "128", "C", "-5", "Cb-1", "A9x"])
def test_no_pitches(text):
    with pytest.raises(ValueError, match="key"):
        parse_pitch(text)


def test_other_words():
    assert parse_signature("6/8") == (6, 8)
    assert (parse_tuning("auto"), parse_tuning("off"), parse_tuning("-12.5")) == ("auto", None, -12.5)
    assert parse_choices(".mid, pdf mid", ("mid", "pdf"), what="formats") == ("mid", "pdf")
    for text in ("0/4", "3/5", "3", "x"):
        with pytest.raises(ValueError, match="time signature"):
            parse_signature(text)
