"""The error rates of the warning are counted per folder."""

from __future__ import annotations

from pathlib import Path

from frame import write_beeps


def test_counts(tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    from instrumentation import main

    for name in ("a_ENST.wav", "b.wav"):
        write_beeps(tmp_path / "piano" / name, 3.0)
    (tmp_path / "piano" / "c_ENST.wav").write_bytes(b"no sound")
    report = main(["--piano", str(tmp_path / "piano"), "--match", "ENST", "--bands", str(tmp_path / "piano")])
    assert report[str(tmp_path / "piano")]["piano"] == 2  # the second look has no match to go by
    assert "| piano | 1 | 1 | 0 | 0 |" in capsys.readouterr().out
