"""What a command costs: seconds by the clock, seconds of processor, memory.

The processor time is that of the whole tree of processes the command starts, so that a program that uses eight
cores for a second costs eight seconds; audio seconds per such second is a speed that machines of different width
can compare. The memory is that of the largest single process in the tree, as the operating system counts it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from spartito.errors import ParameterError

__all__ = ["Cost", "measure"]

TAIL = 2_000  # characters of output that are kept

# A process inherits its parent's peak of memory, so a small one of its own starts the command and waits for it.
_LAUNCHER = """
import json, os, subprocess, sys, time
start = time.monotonic()
process = subprocess.Popen(sys.argv[2], shell=True)
_, status, used = os.wait4(process.pid, 0)
unit = 1 if sys.platform == "darwin" else 1024
report = [time.monotonic() - start, used.ru_utime + used.ru_stime, used.ru_maxrss * unit]
with open(sys.argv[1], "w") as file:
    json.dump([*report, os.waitstatus_to_exitcode(status)], file)
"""


@dataclass(frozen=True)
class Cost:
    """What one run of a command took.

    Attributes
    ----------
    wall : float
        Seconds by the clock.
    cpu : float or None
        Seconds of processor, user and system, of the command and everything it started; None on Windows.
    peak_memory : int or None
        Bytes of the largest process; None on Windows.
    returncode : int
        0 for success; negative for a signal.
    output : str
        The end of what it printed.
    """

    wall: float
    cpu: float | None
    peak_memory: int | None
    returncode: int
    output: str


def measure(command: str, *, timeout: float | None = None) -> Cost:
    """Run `command` in the shell and measure it.

    Parameters
    ----------
    command : str
        As typed at a prompt.
    timeout : float, optional
        Seconds after which it is stopped with everything it started; the return code is then -9.

    Raises
    ------
    ParameterError
        When the command is empty.
    """
    if not command.strip():
        raise ParameterError("there is no command to measure")
    with tempfile.TemporaryDirectory() as folder:
        report, log = Path(folder, "cost.json"), Path(folder, "output")
        if hasattr(os, "wait4"):
            call, shell = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(report), command], False
        else:
            call, shell = command, True
        start = time.monotonic()
        with log.open("wb") as output:
            process = subprocess.Popen(
                call,
                shell=shell,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=not shell,
            )
            try:
                returncode = process.wait(timeout)
            except subprocess.TimeoutExpired:
                returncode = -9
            finally:
                _stop(process)
        wall, cpu, memory = time.monotonic() - start, None, None
        if report.is_file() and returncode != -9:
            wall, cpu, memory, returncode = json.loads(report.read_text())
        tail = log.read_bytes()[-4 * TAIL :].decode("utf-8", errors="replace")[-TAIL:]
    return Cost(wall, cpu, memory, returncode, tail)


def _stop(process: subprocess.Popen) -> None:
    """End a command that still runs, with its children where the system has process groups."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        process.wait()
