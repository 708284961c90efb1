"""What a command costs, on commands whose cost is known."""

from __future__ import annotations

import shlex
import sys

import pytest

from spartito.errors import ParameterError
from spartito.evaluation.speed import measure

needs_usage = pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell what children used")


def python(code):
    return f"{shlex.quote(sys.executable)} -I -S -c {shlex.quote(code)}"


def test_output_and_return_code():
    cost = measure(python("print('a note'); raise SystemExit(3)"))
    assert cost.returncode == 3 and cost.output.strip() == "a note"
    assert cost.wall > 0
    assert measure("no-such-program-of-any-name").returncode != 0


@needs_usage
def test_processor_time_counts_children_and_not_sleep():
    busy = "import time\nwhile time.process_time() < 0.5: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-I', '-S', '-c', {busy!r}])"
    assert 0.5 <= measure(python(parent)).cpu < 3
    assert measure(python("import time; time.sleep(0.6)")).cpu < 0.5


@needs_usage
def test_memory_is_that_of_the_command_not_of_its_parent():
    ballast = bytearray(300_000_000)
    ballast[::4096] = b"x" * len(ballast[::4096])
    small = measure(python("pass")).peak_memory
    large = measure(python("x = bytearray(150_000_000); x[::4096] = b'x' * len(x[::4096])")).peak_memory
    del ballast
    assert small < 100_000_000
    assert 140_000_000 < large - small < 200_000_000


def test_a_command_that_hangs_is_stopped():
    cost = measure(python("import time; time.sleep(600)"), timeout=0.5)
    assert cost.returncode == -9


def test_no_command():
    with pytest.raises(ParameterError):
        measure("  ")
