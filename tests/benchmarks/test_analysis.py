"""Parts of the benchmark of analysis."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from spartito.analysis.song import beats_of

PATH = Path(__file__).parents[2] / "benchmarks" / "analysis.py"


@pytest.fixture(scope="module")
def benchmark():
    pytest.importorskip("mir_eval")
    spec = importlib.util.spec_from_file_location("benchmark_analysis", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_melody_by_time(benchmark):
    truth = np.array([[0.0, 1.0, 60.0], [2.0, 3.0, 62.0]])
    found = np.array([[0.0, 0.5, 60.0], [1.0, 1.5, 65.0], [2.0, 3.0, 74.0]])
    scores = benchmark.melody_scores(truth, found, 4.0)
    assert scores["pitch"] == pytest.approx(0.25, abs=0.01)
    assert scores["pitch_class"] == pytest.approx(0.75, abs=0.01)
    assert scores["false_alarm"] == pytest.approx(0.25, abs=0.01)


def test_templates_name_plain_triads(benchmark):
    clock = np.arange(2 * 16_000) / 16_000

    def triad(*pitches):
        return sum(0.1 * np.sin(2 * np.pi * 440 * 2 ** ((p - 69) / 12) * clock) for p in pitches)

    samples = np.concatenate([triad(60, 64, 67), triad(57, 60, 64)]).astype(np.float32)
    beats = beats_of([0.0, 1.0, 2.0, 3.0], np.arange(4))
    assert [c.label for c in benchmark.template_chords(samples, beats, 4.0)] == ["C:maj", "C:maj", "A:min", "A:min"]


def test_a_peer_is_a_shell_command(benchmark, tmp_path):
    (tmp_path / "mine.beats").write_text("0.5\n1.0\n1.5\n2.0\n2.5\n")
    copy = f'{sys.executable} -c "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])" {{input}} {{output}}'
    found = benchmark.peer_beats(copy, tmp_path / "mine.beats")
    assert found.times.tolist() == [0.5, 1.0, 1.5, 2.0, 2.5]
    assert found.positions.tolist() == [0, 1, 2, 3, 0]


def test_attacks_on_the_beat_show_in_the_flux(benchmark):
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 1e-3, 10 * 16_000).astype(np.float32)
    times = 0.5 + 0.5 * np.arange(18)
    for time in times:
        first = int(time * 16_000)
        samples[first : first + 800] += rng.normal(0, 0.3, 800).astype(np.float32)
    assert benchmark.flux_ratio(samples, beats_of(times, np.arange(18) % 4)) > 1.5
