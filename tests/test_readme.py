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
from pathlib import Path

import pytest

from frame import hear_without_a_model, run_cli, shipped, write_beeps, write_tune

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
NOT_RUN = {  # how commands begin that install, take hours or need data sets
    "make demo",
    "make test",
    "pip install",
    "spartito train prepare",
    "spartito train transcription",
    "spartito transcribe recital.flac --model runs/mine/model",
}


def blocks(language: str) -> list[str]:
    """The contents of the fenced blocks of that language ("" for none)."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [content for mark, content in fenced if mark == language]


def commands(text: str) -> list[str]:
    lines = (line.partition(" #")[0].strip() for line in text.replace("\\\n", " ").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


RUNNABLE = [command for block in blocks("bash") for command in commands(block)]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with the files that the README speaks of."""
    write_beeps(tmp_path / "recital.flac", 3.0, title="Recital", artist="Somebody")
    write_beeps(tmp_path / "another.mp3")
    write_beeps(tmp_path / "folder" / "one.wav")
    write_beeps(tmp_path / "folder" / "sub" / "two.ogg")
    for path in ("piece.mid", "est/piece.mid", "ref/piece.mid"):
        write_tune(tmp_path / path)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    if not shipped():
        hear_without_a_model(monkeypatch)
    return tmp_path


def needs(*packages: str) -> None:
    for package in packages:
        pytest.importorskip(package)


@pytest.mark.parametrize("command", RUNNABLE)
def test_command(desk, capfd, command):
    needs("partitura", "verovio", "matplotlib", "mir_eval")
    program, *arguments = shlex.split(command)
    assert program == "spartito"
    status, out, err = run_cli(capfd, *arguments)
    assert status == 0, err
    if "--json" in arguments:
        json.loads(out)
    if "-o" in arguments:
        output = desk / arguments[arguments.index("-o") + 1]
        assert output.is_file() or any(output.iterdir())


def test_the_first_command_writes_what_the_text_says(desk, capfd):
    needs("partitura", "verovio", "matplotlib")
    assert run_cli(capfd, *shlex.split(RUNNABLE[0])[1:])[0] == 0
    promised = re.search(r"writes `(recital_transcription)(\.mid)`, (.*?) into `out/`", README, re.DOTALL)
    suffixes = [promised[2], *re.findall(r"`(\.\w+)`", promised[3])]
    assert len(suffixes) == 6
    for suffix in suffixes:
        for stem in ("recital", "another", "one", "sub/two"):
            assert (desk / "out" / f"{stem}_transcription{suffix}").is_file(), (stem, suffix)


@pytest.mark.parametrize("program", blocks("python"))
def test_program(desk, program):
    needs("partitura", "verovio", "mir_eval")
    exec(compile(program, "README.md", "exec"), {})
    assert {"recital.mid", "recital.pdf", "recital.wav"} <= {path.name for path in desk.iterdir()}


def test_there_is_something_to_run():
    assert len(RUNNABLE) >= 9 and len(blocks("python")) == 1


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
    extras = set(re.findall(r"^(\w+) = \[", section, re.MULTILINE))
    table = README.partition("| extra |")[2].partition("\n\n")[0]
    named = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) | set(re.findall(r"\[([a-z,]+)\]\"", README))
    assert named and {extra for names in named for extra in names.split(",")} <= extras


def test_options_of_the_table_exist(capfd):
    _, out, _ = run_cli(capfd, "transcribe", "--help")
    for option in set(re.findall(r"`(--[a-z-]+)", README.partition("## Training")[0])) - {"--time-signature"}:
        assert option in out or option in ("--help",), option
