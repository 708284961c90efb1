"""The commands and programs of the README do what it says, on tiny inputs, in a folder of their own.

Blocks marked `bash` and `python` are run line by line and as a whole. Blocks without a mark are for reading: they
install, train for hours or set up environments. What they may hold is listed below, so that a command cannot
escape the test by losing its mark.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import latent_songs
from frame import hear_without_a_model, run_cli, shipped, write_beeps, write_tune
from spartito.analysis.song import Analysis, beats_of
from spartito.audio.io import load_audio, save_audio
from spartito.notes.midi import write_midi

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CLIP = 7.0  # seconds of the example song that are covered here
NOT_RUN = {  # how commands begin that install, take hours or need data sets
    "make demo",
    "make test",
    "pip install",
    "spartito train prepare",
    "spartito train transcription",
    "spartito transcribe recital.flac --model runs/mine/model",
    "spartito train bands",
    "spartito train analysis",
    "spartito train prepare-arranger",
    "spartito train arranger",
    "spartito train styles",
    "spartito train tokens",
    "spartito train pairs",
    "spartito train pop2piano",
    "spartito cover song.mp3 --model runs/",
    "spartito train genre",
    "spartito train harmony",
    "spartito train idiom",
    "spartito train latent",
}


def blocks(language: str) -> list[str]:
    """The contents of the fenced blocks of that language ("" for none)."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [content for mark, content in fenced if mark == language]


def commands(text: str) -> list[str]:
    lines = (line.partition(" #")[0].strip() for line in text.replace("\\\n", " ").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


RUNNABLE = [command for block in blocks("bash") for command in commands(block)]


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    """The beginning of the example song, and what is known of it."""
    folder = tmp_path_factory.mktemp("song")
    audio = load_audio(ROOT / "examples" / "song.ogg", end=CLIP)
    save_audio(audio, folder / "song.mp3")
    known = Analysis.load(ROOT / "examples" / "song_reference.json")
    inside = known.beats.times < CLIP
    known = replace(
        known,
        duration=CLIP,
        beats=beats_of(known.beats.times[inside], known.beats.positions[inside]),
        chords=tuple(chord for chord in known.chords if chord.start < CLIP),
        melody=known.melody[known.melody[:, 1] < CLIP],
        loudness=known.loudness[: round(10 * CLIP)],
    )
    known.save(folder / "song_analysis.json")
    known.to_lab(folder / "song_analysis.lab")
    return folder


@pytest.fixture
def desk(tmp_path, monkeypatch, song):
    """A folder with the files that the README speaks of."""
    (tmp_path / "out").mkdir()
    shutil.copy(song / "song.mp3", tmp_path)
    for name in ("song_analysis.json", "song_analysis.lab"):
        shutil.copy(song / name, tmp_path / "out")
    write_beeps(tmp_path / "recital.flac", 3.0, title="Recital", artist="Somebody")
    write_beeps(tmp_path / "another.mp3")
    write_beeps(tmp_path / "folder" / "one.wav")
    write_beeps(tmp_path / "folder" / "sub" / "two.ogg")
    for path in ("piece.mid", "est/piece.mid", "ref/piece.mid"):
        write_tune(tmp_path / path)
    for name, bars in (("song.mid", 4), ("a.mid", 4), ("b.mid", 3)):
        write_midi(latent_songs.song(bars), tmp_path / name)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    if not shipped():
        hear_without_a_model(monkeypatch)
    return tmp_path


def needs(*packages: str) -> None:
    for package in packages:
        pytest.importorskip(package)


def needs_models(text: str) -> None:
    wanted = {"cover": "tokens", "analyze": "analyze", "edit": "latent", "blend": "latent", "sample": "latent-16"}
    for word, model in wanted.items():
        if word in text and not shipped(model):
            pytest.skip(f"the model {model} is not there")


@pytest.mark.parametrize("command", RUNNABLE)
def test_command(desk, capfd, command):
    needs("partitura", "verovio", "matplotlib", "mir_eval")
    needs_models(command.split()[1])
    program, *arguments = shlex.split(command)
    assert program == "spartito"
    status, out, err = run_cli(capfd, *arguments)
    assert status == 0, err
    if "--json" in arguments:
        json.loads(out)
    if "-o" in arguments:
        output = desk / arguments[arguments.index("-o") + 1]
        assert output.is_file() or any(output.iterdir())


def promised(ending: str) -> list[str]:
    """The suffixes that the README says are written, from `*_{ending}.mid` on."""
    found = re.search(rf"writes `\w+_{ending}(\.mid)`,\s+(.*?)\s+into\s+`out/`", README, re.DOTALL)
    return [found[1], *re.findall(r"`(\.\w+)`", found[2])]


def command_of(start: str) -> list[str]:
    """Arguments of the first command of the README that begins so."""
    return shlex.split(next(command for command in RUNNABLE if command.startswith(start)))[1:]


def test_cover_writes_what_the_text_says(desk, capfd):
    needs("partitura", "verovio", "matplotlib")
    needs_models("cover")
    shutil.rmtree(desk / "out")
    assert run_cli(capfd, *command_of("spartito cover song.mp3 -o out/"))[0] == 0
    suffixes = promised("cover")
    assert len(suffixes) == 6
    written = {path.name for path in (desk / "out").iterdir()}
    assert written == {f"song_cover{suffix}" for suffix in suffixes} | {"song_analysis.json"}


def test_transcribe_writes_what_the_text_says(desk, capfd):
    needs("partitura", "verovio", "matplotlib")
    assert run_cli(capfd, *command_of("spartito transcribe recital.flac another.mp3 folder/"))[0] == 0
    suffixes = promised("transcription")
    assert len(suffixes) == 6
    for suffix in suffixes:
        for stem in ("recital", "another", "one", "sub/two"):
            assert (desk / "out" / f"{stem}_transcription{suffix}").is_file(), (stem, suffix)


@pytest.mark.parametrize("program", blocks("python"))
def test_program(desk, program):
    needs("partitura", "verovio", "mir_eval")
    needs_models(program)
    exec(compile(program, "README.md", "exec"), {})
    assert {"song.json", "song.mid", "song.pdf", "easy.wav"} <= {path.name for path in desk.iterdir()}


def test_there_is_something_to_run():
    assert len(RUNNABLE) >= 15 and len(blocks("python")) == 1


def test_commands_that_are_not_run_are_few_and_known():
    for block in blocks(""):
        for command in commands(block):
            assert any(command.startswith(known) for known in NOT_RUN), command


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"\bmake ([a-z]+)\b(?=[` ])", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_and_pictures_are_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
    for picture in (ROOT / "docs" / "images").iterdir():
        assert picture.stat().st_size <= 200_000, picture.name


def test_extras_are_those_of_the_package():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    extras = set(re.findall(r"^([\w-]+) = \[", section, re.MULTILINE))
    table = README.partition("| extra |")[2].partition("\n\n")[0]
    named = set(re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)) | set(re.findall(r"\[([a-z,-]+)\]\"", README))
    assert named and {extra for names in named for extra in names.split(",")} <= extras


@pytest.mark.parametrize("command", ["cover", "transcribe"])
def test_options_of_the_tables_exist(capfd, command):
    table = README.partition(f"What may need turning in `{command}`:\n\n")[2].partition("\n\n")[0]
    options = {option for row in table.splitlines()[2:] for option in re.findall(r"`(--[a-z-]+)", row.split("|")[1])}
    _, out, _ = run_cli(capfd, command, "--help")
    assert len(options) > 5
    for option in options | set(re.findall(r" (--[a-z-]+)", " ".join(c for c in RUNNABLE if f" {command} " in c))):
        assert option in out, option
