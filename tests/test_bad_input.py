"""Bad input, from the command line: a clear line, a status that is not 0, the other files done, nothing half-written.

Each recording is given together with a good one, which must be done whatever is wrong with the other. Where the
package brings a transcription model it listens; else `fake_transcribe` does, which reads recordings the same way.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from frame import beeps, fake_transcribe, hear_without_a_model, run_cli, shipped, tune, write_beeps, write_tune
from spartito.files import atomic_path
from spartito.notes.midi import read_midi, write_midi

SECONDS = 2.0  # seconds of the good recording


@pytest.fixture
def ears(monkeypatch):
    if not shipped():
        hear_without_a_model(monkeypatch)


def transcribe(capfd, folder: Path, *names, formats="mid"):
    """Run `spartito transcribe` on a good recording and on `names`; the good one must be done."""
    good = write_beeps(folder / "good.wav", SECONDS)
    status, _, err = run_cli(capfd, "transcribe", good, *names, "-o", folder / "out", "-f", formats)
    assert "Traceback" not in err
    assert len(read_midi(folder / "out" / "good_transcription.mid")) > 0
    return status, err


def leftovers(folder: Path) -> list[str]:
    """What lies in the folder of results besides those of the good recording."""
    return sorted(p.name for p in (folder / "out").rglob("*") if not p.name.startswith("good_"))


def flac_bytes(tmp_path: Path) -> bytes:
    return write_beeps(tmp_path / "whole.flac", 3.0).read_bytes()


# -- recordings that cannot be used -------------------------------------------------------------------------


UNUSABLE = {
    "empty.wav": (b"", "empty"),
    "text.wav": (b"Dear Clara,\nthis is no recording.\n", "recording"),
    "letter.txt": (b"Dear Clara,\nthis is no recording.\n", "recording"),
    "noise.mp3": (bytes(range(7, 207)) * 40, "noise.mp3"),
    "header.wav": (b"RIFF\x24\x00\x00\x00WAVEfmt ", "header.wav"),
    "score.musicxml": (b"<?xml version='1.0'?><score-partwise/>", "recording"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_files_that_are_no_recordings(tmp_path, capfd, ears, name):
    content, said = UNUSABLE[name]
    (tmp_path / name).write_bytes(content)
    status, err = transcribe(capfd, tmp_path, tmp_path / name)
    assert status == 1 and name in err and said in err and "1 done, 1 failed" in err
    assert leftovers(tmp_path) == []


def test_a_corrupt_recording(tmp_path, capfd, ears):
    data = bytearray(flac_bytes(tmp_path))
    data[100:] = np.random.default_rng(1).integers(0, 256, len(data) - 100, dtype=np.uint8).tobytes()
    (tmp_path / "corrupt.flac").write_bytes(data)
    status, err = transcribe(capfd, tmp_path, tmp_path / "corrupt.flac")
    assert status == 1 and "corrupt.flac" in err
    assert leftovers(tmp_path) == []


def test_a_truncated_recording_is_heard_as_far_as_it_goes(tmp_path, capfd, ears):
    data = flac_bytes(tmp_path)
    (tmp_path / "cut.flac").write_bytes(data[: len(data) * 2 // 3])
    status, err = transcribe(capfd, tmp_path, tmp_path / "cut.flac")
    assert status == 0, err
    assert "warning" in err and "cut.flac" in err
    assert 0 < len(read_midi(tmp_path / "out" / "cut_transcription.mid"))
    (tmp_path / "stump.flac").write_bytes(data[:60])
    status, err = transcribe(capfd, tmp_path, tmp_path / "stump.flac")
    assert status == 1 and "stump.flac" in err


@pytest.mark.parametrize("seconds", [0.05, 5.0])
def test_a_silent_recording(tmp_path, capfd, ears, seconds):
    soundfile.write(tmp_path / "silent.wav", np.zeros(round(seconds * 44100)), 44100)
    status, err = transcribe(capfd, tmp_path, tmp_path / "silent.wav", formats="mid,csv,wav")
    assert status == 1 and "silent.wav" in err and "no piano is heard" in err
    assert leftovers(tmp_path) == []


def test_fifty_milliseconds(tmp_path, capfd, ears):
    soundfile.write(tmp_path / "short.wav", beeps(0.05, rate=44100)[0], 44100)
    status, err = transcribe(capfd, tmp_path, tmp_path / "short.wav")
    heard = (tmp_path / "out" / "short_transcription.mid").exists()
    assert status == (0 if heard else 1) and (heard or "short.wav" in err)


def test_no_samples_at_all(tmp_path, capfd, ears):
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 44100)
    status, err = transcribe(capfd, tmp_path, tmp_path / "none.wav")
    assert status == 1 and "none.wav" in err
    assert leftovers(tmp_path) == []


def test_a_part_beyond_the_end(tmp_path, capfd, ears):
    good = write_beeps(tmp_path / "good.wav", SECONDS)
    status, _, err = run_cli(capfd, "transcribe", good, "--start", "1:00", "-f", "mid", "-o", tmp_path / "out")
    assert status == 1 and "good.wav" in err and not (tmp_path / "out").exists()


# -- odd recordings that can be used ------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [3000, 7999, 44101, 192000])
def test_odd_rates(tmp_path, capfd, ears, rate):
    soundfile.write(tmp_path / "odd.wav", beeps(2.0, rate=rate)[0], rate)
    status, err = transcribe(capfd, tmp_path, tmp_path / "odd.wav")
    assert (status, err) == (0, "2 files: 2 done\n")
    assert len(read_midi(tmp_path / "out" / "odd_transcription.mid")) > 0


def test_eight_channels(tmp_path, capfd, ears):
    soundfile.write(tmp_path / "eight.wav", beeps(2.0, channels=8).T, 16000)
    status, err = transcribe(capfd, tmp_path, tmp_path / "eight.wav")
    assert (status, err) == (0, "2 files: 2 done\n")


def test_samples_that_are_not_numbers(tmp_path, capfd, ears):
    sound = beeps(2.0)[0]
    sound[4000:4100] = np.nan
    sound[9000] = np.inf
    soundfile.write(tmp_path / "nan.wav", sound, 16000, subtype="FLOAT")
    status, err = transcribe(capfd, tmp_path, tmp_path / "nan.wav")
    assert status == 0 and "warning" in err and "nan.wav" in err
    notes = read_midi(tmp_path / "out" / "nan_transcription.mid")
    assert len(notes) > 0 and np.isfinite(notes.onset).all()
    soundfile.write(tmp_path / "nothing.wav", np.full(32000, np.nan), 16000, subtype="FLOAT")
    status, err = transcribe(capfd, tmp_path, tmp_path / "nothing.wav")
    assert status == 1 and "nothing.wav" in err


def test_three_hours(tmp_path, capfd, ears):
    """The end of a recording of three hours is found without reading what comes before into memory."""
    rate, hours = 8000, 3
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", rate, 1, subtype="PCM_16") as file:
        minute = np.zeros(60 * rate, dtype=np.int16)
        for _ in range(60 * hours - 1):
            file.write(minute)
        file.write((beeps(60.0, rate=rate)[0] * 32767).astype(np.int16))
    status, _, err = run_cli(capfd, "transcribe", path, "--start", "2:59:50", "-f", "mid,csv", "-o", tmp_path / "out")
    assert (status, err) == (0, "")
    notes = read_midi(tmp_path / "out" / "long_transcription.mid")
    assert 0 < len(notes) and 2 * 3600 + 59 * 60 + 49 < notes.onset.min() and notes.duration < 3 * 3600 + 1


@pytest.mark.skipif("SPARTITO_SLOW" not in os.environ, reason="takes minutes; set SPARTITO_SLOW=1")
@pytest.mark.skipif(sys.platform == "win32", reason="memory is read by the module resource")
def test_three_hours_from_beginning_to_end_stay_within_memory(tmp_path):
    import resource

    if not shipped():
        pytest.skip("no transcription model is shipped")
    rate = 16000
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", rate, 1, subtype="PCM_16") as file:
        for _ in range(180):
            file.write((beeps(60.0, rate=rate)[0] * 32767).astype(np.int16))
    subprocess.run([sys.executable, "-m", "spartito.cli", "transcribe", path, "-f", "mid,csv"], check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    assert peak < 3e9  # 1 GB for an hour


# -- folders and names --------------------------------------------------------------------------------------


def test_a_folder_without_recordings(tmp_path, capfd, ears):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("no music here")
    status, err = transcribe(capfd, tmp_path, tmp_path / "letters")
    assert status == 1 and "letters: this folder holds no file" in err


def test_a_folder_that_is_named_like_a_recording(tmp_path, capfd, ears):
    (tmp_path / "folder.wav").mkdir()
    status, err = transcribe(capfd, tmp_path, tmp_path / "folder.wav")
    assert status == 1 and "folder.wav: this folder holds no file" in err


def test_a_file_that_is_not_there_and_one_with_an_odd_name(tmp_path, capfd, ears):
    odd = write_beeps(tmp_path / "Für Elise [live] – 夜.wav")
    status, err = transcribe(capfd, tmp_path, tmp_path / "gone.wav", odd)
    assert status == 1 and "gone.wav: there is no such file" in err and "3 files: 2 done, 1 failed" in err
    assert leftovers(tmp_path) == ["Für Elise [live] – 夜_transcription.mid"]


# -- MIDI ---------------------------------------------------------------------------------------------------


def bad_midi(tmp_path: Path) -> dict[str, bytes]:
    whole = write_tune(tmp_path / "whole.mid").read_bytes()
    (tmp_path / "whole.mid").unlink()
    return {
        "empty.mid": b"",
        "text.mid": b"this is a letter",
        "header.mid": whole[:14],
        "cut.mid": whole[:-20],
        "noise.mid": whole[:22] + bytes(255 - b for b in whole[22:]),
        "sound.mid": write_beeps(tmp_path / "x.wav", 0.1).read_bytes(),
    }


@pytest.mark.parametrize("command", ["synthesize", "score"])
def test_malformed_midi(tmp_path, capfd, command):
    if command == "score":
        pytest.importorskip("partitura")
    contents = bad_midi(tmp_path)
    (tmp_path / "in").mkdir()
    for name, content in contents.items():
        (tmp_path / "in" / name).write_bytes(content)
    write_tune(tmp_path / "in" / "good.mid")
    formats = {"synthesize": "wav", "score": "musicxml"}[command]
    status, _, err = run_cli(capfd, command, tmp_path / "in", "-o", tmp_path / "out", "-f", formats)
    assert status == 1 and "Traceback" not in err and "please report" not in err
    done = {p.name.partition("_")[0] for p in (tmp_path / "out").iterdir()}
    assert "good" in done and not {"empty", "text", "header", "noise", "sound"} & done
    for name in contents:
        assert name in err or name.removesuffix(".mid") in done


def test_midi_without_notes(tmp_path, capfd):
    write_midi(tune().select(np.zeros(len(tune()), dtype=bool)), tmp_path / "rest.mid")
    status, _, err = run_cli(capfd, "synthesize", tmp_path / "rest.mid")
    assert status == 1 and "no notes" in err
    status, _, err = run_cli(capfd, "score", tmp_path / "rest.mid", "-f", "musicxml")
    assert status == 1 and "no notes" in err
    assert [p.name for p in tmp_path.iterdir()] == ["rest.mid"]


# -- outputs that cannot be written -------------------------------------------------------------------------


def test_a_file_where_the_folder_should_be(tmp_path, capfd, ears):
    good = write_beeps(tmp_path / "good.wav")
    (tmp_path / "taken").write_text("precious")
    status, _, err = run_cli(capfd, "transcribe", good, "-o", tmp_path / "taken/", "-f", "mid,csv")
    assert status == 1 and "cannot write" in err and "a file, not a folder" in err and "Traceback" not in err
    assert (tmp_path / "taken").read_text() == "precious"


def test_a_folder_where_the_file_should_be(tmp_path, capfd):
    source = write_tune(tmp_path / "a.mid")
    (tmp_path / "out" / "a_synthesis.wav").mkdir(parents=True)
    status, _, err = run_cli(capfd, "synthesize", source, "-o", tmp_path / "out")
    assert status == 1 and "there is a folder of that name" in err


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="wants a folder that nobody can write to")
def test_a_folder_nobody_can_write_to(tmp_path, capfd):
    source = write_tune(tmp_path / "a.mid")
    status, _, err = run_cli(capfd, "synthesize", source, "-o", "/proc/out")
    assert status == 1 and "cannot write" in err and "Traceback" not in err


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_a_disk_that_fills_up_while_sound_is_written(tmp_path, suffix):
    """The limit on the size of files stands in for the disk: writing really stops half-way."""
    import resource

    write_tune(tmp_path / "in" / "long.mid", 200)
    result = subprocess.run(
        [sys.executable, "-m", "spartito.cli", "synthesize", "in", "-o", "out", "-f", suffix, "--rate", "8000"],
        cwd=tmp_path,
        env={**os.environ, "PATH": ""},  # without fluidsynth, whose own files would stop it first
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert result.returncode == 1, result.stderr
    assert "cannot write" in result.stderr and "Traceback" not in result.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk(tmp_path, capfd, ears, monkeypatch):
    """Every renaming fails for one piece, as on a disk without room; the next piece goes well."""
    replace = os.replace

    def full(source, target):
        if "unlucky" in str(target):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    unlucky = write_beeps(tmp_path / "a" / "unluck.wav").rename(tmp_path / "a" / "unlucky.wav")
    status, err = transcribe(capfd, tmp_path, unlucky, formats="mid,csv,wav")
    assert status == 1 and "the disk is full" in err and err.count("unlucky_transcription") == 3
    assert leftovers(tmp_path) == []


def test_an_old_result_survives_a_failure(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("new")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"] and path.read_text() == "old"


# -- interruptions ------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interrupted_run_can_be_resumed(tmp_path, capfd, number, status, jobs):
    source = tmp_path / "in"
    write_tune(source / "a_quick.mid", 2)
    write_tune(source / "b_long.mid", 12_000)  # fifty minutes; synthesis takes long enough to be interrupted
    write_tune(source / "c_long.mid", 12_000)
    command = [sys.executable, "-m", "spartito.cli", "synthesize", "in", "-o", "out", "--rate", "8000", "--jobs", jobs]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert "a_quick" in process.stdout.readline()
        time.sleep(0.3)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == status, err
    assert "Traceback" not in err and "not reached" in err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a_quick_synthesis.wav"]
    before = (tmp_path / "out" / "a_quick_synthesis.wav").stat().st_mtime_ns
    for name in ("b_long", "c_long"):
        write_tune(source / f"{name}.mid", 3)
    code, _, err = run_cli(capfd, "synthesize", source, "-o", tmp_path / "out", "--rate", "8000", "--skip-existing")
    assert code == 0 and "3 files: 2 done, 1 skipped" in err
    assert (tmp_path / "out" / "a_quick_synthesis.wav").stat().st_mtime_ns == before


def test_ctrl_c_while_hearing(tmp_path, capfd, monkeypatch):
    def listen(source, **options):
        if "second" in str(source):
            raise KeyboardInterrupt
        return fake_transcribe(source, **options)

    hear_without_a_model(monkeypatch, listen)
    for name in ("first", "second", "third"):
        write_beeps(tmp_path / "in" / f"{name}.wav")
    status, _, err = run_cli(capfd, "transcribe", tmp_path / "in", "-o", tmp_path / "out", "-f", "mid,csv")
    assert status == 130 and "1 done, 2 not reached" in err and "interrupted" in err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "first_transcription.csv", "first_transcription.mid",
    ]  # fmt: skip
