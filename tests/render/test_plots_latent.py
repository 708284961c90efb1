"""Pictures of a latent space: files that open, and what is drawn is what was given."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from spartito.errors import ParameterError
from spartito.models.musae_prior import Flower
from spartito.notes.four_tracks import HOLD, SILENT, TRACKS
from spartito.notes.layouts import PIANO
from spartito.render import plots_latent as plots

pytest.importorskip("matplotlib")

PNG = b"\x89PNG"


def figures(value):
    return {"accuracy": value, "hold_baseline": 0.6, "onset_accuracy": value, "note_f1": float("nan")}


def curve(*values):
    return {"mean": list(values), "error": [0.01] * len(values)}


def way(*values):
    keys = {"from_first": curve(*values), "to_second": curve(*values[::-1]), "monotone": 0.5}
    found = keys | {f"sounding_{key}": value for key, value in keys.items()}
    return found | {"shares": [0.0, 0.5, 1.0], "density_bend": 0.1, "pitch_range_bend": 0.2}


def svg_texts(path) -> str:
    return path.read_text(encoding="utf-8")


def test_reconstruction_of_several_models(tmp_path):
    path = tmp_path / "table.svg"
    models = {
        "flower": {"drums": figures(0.9), "mean": figures(0.5)},
        "gaussian": {"drums": figures(0.8), "mean": figures(0.4)},
    }
    plots.plot_reconstruction(models, path)
    assert "flower" in svg_texts(path) and "gaussian" in svg_texts(path)
    with pytest.raises(ParameterError, match="no models"):
        plots.plot_reconstruction({}, path)


def test_paths_as_curves(tmp_path):
    found = {"linear": way(0.1, 0.4, 0.6), "data": way(0.0, 0.3, 0.6)}
    plots.plot_interpolation(found, tmp_path / "curves.png", title="a path")
    assert (tmp_path / "curves.png").read_bytes().startswith(PNG)


def test_a_path_as_music(tmp_path):
    windows = np.full((2, 32, 4), HOLD, dtype=np.uint8)
    windows[:, 0] = 36, 40, 60, SILENT
    windows[1, 8, 0] = 38
    plots.plot_path(windows, ["first", "second"], TRACKS, tmp_path / "path.png")
    piano = np.full((1, 32, len(PIANO)), HOLD, dtype=np.uint8)
    plots.plot_path(piano, ["silence"], PIANO.tracks, tmp_path / "piano.png")  # nothing sounds
    assert all((tmp_path / name).read_bytes().startswith(PNG) for name in ("path.png", "piano.png"))
    with pytest.raises(ParameterError, match="one name"):
        plots.plot_path(windows, ["first"], TRACKS, tmp_path / "path.png")


def test_voices_of_a_hand_have_colours_of_their_own():
    colours = [plots._track_colour(track, PIANO.tracks) for track in PIANO.tracks]
    assert len(set(colours)) == len(colours)
    assert plots._track_colour("bass", TRACKS) != plots._track_colour("guitar", TRACKS)


def test_heat_map(tmp_path):
    rows = ["drums:note_count", "bass:note_count", "bass:pitch_mean"]
    change = np.array([[0.5, -0.5], [np.nan, 0.0], [0.1, -0.1]])
    smooth = [(0.5, 0.01), (float("nan"), float("nan")), (-0.5, 0.9)]
    path = tmp_path / "heat.svg"
    plots.plot_heat(rows, ["jazz", "rock"], change, path, real=change, smooth=smooth)
    assert path.read_bytes().startswith(b"<?xml")
    assert plots._borders(rows) == [1]
    with pytest.raises(ParameterError, match="heat map"):
        plots.plot_heat(rows, ["jazz"], change, path)


def test_codes_over_their_petals(tmp_path):
    prior = Flower(6, count=2)
    codes = prior.sample(np.array([0, 1, 1]), np.random.default_rng(0))[:, :2]
    given = (codes, np.array([0, 1, -1]), ["rock", "jazz"], prior, np.ones(6))
    plots.plot_codes(*given, tmp_path / "codes.png", petals=["rock", "jazz"])
    assert (tmp_path / "codes.png").read_bytes().startswith(PNG)
    with pytest.raises(ParameterError, match="pictures are"):
        plots.plot_codes(*given, tmp_path / "codes.bmp")


def test_sliders(tmp_path):
    found = {name: {"rho": 0.7, "slope": 0.5, "off_target": 0.1} for name in ("density", "pitch_range")}
    plots.plot_control(found, {"density": found["density"]}, tmp_path / "control.png", title="sliders")
    assert (tmp_path / "control.png").read_bytes().startswith(PNG)
    with pytest.raises(ParameterError, match="no sliders"):
        plots.plot_control({}, {}, tmp_path / "control.png")


def test_pairs_of_genres(tmp_path):
    points = np.random.default_rng(0).standard_normal((6, 2))
    pair = SimpleNamespace(
        names=("jazz", "rock"), second=np.repeat([False, True], 3), plane=points, map=points, figures={"code": 0.75}
    )
    plots.plot_pairs(["jazz", "rock"], [pair], tmp_path / "pairs.png")
    assert (tmp_path / "pairs.png").read_bytes().startswith(PNG)
    with pytest.raises(ParameterError, match="two songs"):
        plots.plot_pairs(["jazz"], [], tmp_path / "pairs.png")
