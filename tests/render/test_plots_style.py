"""Pictures of genre transfer: files that open, colours that mean what they say."""

from __future__ import annotations

import os

import numpy as np
import pytest

from spartito.errors import NotesError, ParameterError
from spartito.render.plots_style import KEPT, NEW, TUNE, _colours, plot_strength, plot_versions

pytest.importorskip("matplotlib")

SOURCE = np.array([[0, 16, 48, 80, 0], [0, 4, 72, 80, 1], [4, 4, 74, 80, 1]])
JAZZ = np.array([[0, 8, 46, 80, 0], [0, 4, 48, 80, 0], [0, 4, 60, 80, 1], [5, 4, 74, 80, 1]])


def test_colours_tell_tune_kept_and_new():
    tune = SOURCE[1:]
    assert _colours(SOURCE, SOURCE, tune).tolist() == [KEPT, TUNE, TUNE]
    # B flat is new; of C3 and C4 the nearer one is the tune, C3 is also in the source; the D came a step late
    assert _colours(JAZZ, SOURCE, tune).tolist() == [NEW, KEPT, TUNE, NEW]
    assert _colours(JAZZ, SOURCE, tune[:0]).tolist() == [NEW, KEPT, NEW, NEW]


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_versions_side_by_side(tmp_path, suffix, magic):
    path = tmp_path / f"a{suffix}"
    probability = {"origin": 0.1, "transfer": 0.8}
    versions = {"origin": SOURCE, "transfer": JAZZ, "cycle": SOURCE}
    plot_versions(versions, path, steps=64, target="jazz", probability=probability, title="A song")
    assert path.read_bytes().startswith(magic) and os.listdir(tmp_path) == [path.name]
    if suffix == ".svg":
        plot_versions({"source": SOURCE, "result": JAZZ[:0]}, path)  # nothing is left: an empty panel


def test_new_notes_are_blue_in_the_picture(tmp_path):
    import matplotlib.image

    for name, version in (("same", SOURCE), ("new", JAZZ)):
        plot_versions({"source": SOURCE, "result": version}, tmp_path / f"{name}.png", steps=64)
    blue = []
    for name in ("same", "new"):
        image = matplotlib.image.imread(tmp_path / f"{name}.png")[..., :3]
        blue.append(int((np.abs(image - [0x1F / 255, 0x77 / 255, 0xB4 / 255]) < 0.02).all(axis=2).sum()))
    assert blue[1] > blue[0]


def test_strength_curve(tmp_path):
    curve = [{"strength": s, "target": s, "chroma_sim": 1 - s / 4, "content_diff": s / 50} for s in (0, 0.5, 1)]
    plot_strength(curve, tmp_path / "curve.png", title="A song")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ParameterError, match="two strengths"):
        plot_strength(curve[:1], tmp_path / "curve.png")


def test_bad_input(tmp_path):
    with pytest.raises(NotesError, match="no notes"):
        plot_versions({"source": SOURCE[:0]}, tmp_path / "a.png")
    with pytest.raises(ParameterError, match=r"a\.gif"):
        plot_versions({"source": SOURCE}, tmp_path / "a.gif")
    assert os.listdir(tmp_path) == []
