"""The benchmark of real songs, without songs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "real_songs.py"


@pytest.fixture(scope="module")
def script():
    specification = importlib.util.spec_from_file_location("benchmark_real_songs", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_unsteadiness(script):
    assert script.unsteadiness(np.arange(8) / 2) == 0
    # every other interval a tenth longer: each change is of one tenth, on the scale of logarithms
    assert script.unsteadiness(np.cumsum([1.0, 1.1] * 4)) == pytest.approx(100 * np.log(1.1))
    assert script.unsteadiness(np.array([0.0, 1.0])) == 0


def test_a_recording_that_fails_is_a_row(script, tmp_path, capsys):
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    (tmp_path / "notes.txt").write_text("no recording")
    rows = script.main([str(tmp_path), "--model", "chords", "-o", str(tmp_path / "out")])
    assert list(rows) == ["broken.wav"] and "broken.wav" in rows["broken.wav"]["error"]
    assert "| broken.wav |" in capsys.readouterr().out
    assert (tmp_path / "out" / "real_songs.json").is_file()


def test_nothing_to_listen_to(script, tmp_path):
    with pytest.raises(SystemExit):
        script.main([str(tmp_path), "-o", str(tmp_path / "out")])
