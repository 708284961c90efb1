"""The report of a latent space that copies its windows, but for the drums: every figure is known beforehand."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from typer.testing import CliRunner

from spartito.cli import app
from spartito.errors import ModelError, ParameterError
from spartito.evaluation import latent_figures
from spartito.evaluation.latent_figures import held_out, readable
from spartito.evaluation.latent_report import HeldOut, decoder, heat_map, measure, pairs_of, with_mean
from spartito.models.hub import ModelInfo
from spartito.models.musae_runtime import LatentModel
from spartito.notes.band_attributes import NormalScale
from spartito.notes.four_tracks import DRUMS, HOLD, SILENT, encode
from spartito.training.data.band_store import BandPiece, open_bands, write_bands

CELLS, TAGS = 32 * 4, ["rock", "jazz"]
SPREAD = 0.01  # deviation of codes


def copier(*, kind="flower") -> LatentModel:
    """Each number of its code is a state of the window; drums come back as hold, all else is copied."""
    prior = {"kind": kind, "latent": CELLS} | ({"count": 2} if kind == "flower" else {})
    config = {"network": {"bars": 2, "latent": CELLS}, "prior": prior, "tags": TAGS if kind == "flower" else []}
    model = LatentModel(ModelInfo("copier", None, "latent", 0, "", "", "", {}, config))

    def encode_(inputs):
        z = inputs["states"].reshape(-1, CELLS).astype(np.float32)
        return [z, np.full_like(z, 2 * np.log(SPREAD))]

    def decode(inputs):
        states = inputs["z"].round().clip(0, 129).astype(int).reshape(-1, 32, 4)
        states[..., DRUMS] = HOLD
        return [np.log(1e-9 + np.eye(130, dtype=np.float32)[states])]

    model._networks = {"encoder.onnx": encode_, "decoder.onnx": decode}
    return model


def song(seed, tag) -> BandPiece:
    """Four bars in which drums and the others begin notes on every beat; a genre has its own register."""
    random = np.random.default_rng([seed, len(tag), ord(tag[0])])
    step = 4 * np.arange(16)
    rows = [np.column_stack([step, np.full(16, 4), np.full(16, 36), np.full(16, 80), np.zeros(16)])]
    low = 40 if tag == "rock" else 60
    rows += [
        np.column_stack([step, np.full(16, 4), random.integers(low, low + 12, 16), [80] * 16, [t] * 16])
        for t in (1, 2, 3)
    ]
    states, velocity = encode(np.concatenate(rows), 64, velocities=True)
    return BandPiece(f"{tag}{seed}", f"{tag}{seed}", states, velocity, np.array([[0, 64]]), (tag,), "free", 120.0)


@pytest.fixture
def store(tmp_path):
    songs = [song(seed, tag) for seed in range(6) for tag in TAGS]
    write_bands(tmp_path / "store", "set", songs, split=lambda name: "test")
    return tmp_path / "store"


@pytest.fixture
def held(store) -> HeldOut:
    return held_out(open_bands(store, "test"), [copier()], most=64)


def test_windows_of_songs_and_their_genres(held):
    assert held.names == ("rock", "jazz") and held.states.shape[1:] == (32, 4)
    assert len(np.unique(held.songs)) == 12 and (held.tags.sum(axis=1) == 1).all()
    assert all(str(name).startswith("jazz") == jazz for name, jazz in zip(held.songs, held.tags[:, 1]))


def test_few_windows_are_spread_over_songs(store):
    few = held_out(open_bands(store, "test"), [copier()], most=6)
    assert len(few.songs) == 12 == len(np.unique(few.songs))  # six of each genre, each of another song


def test_what_is_copied_is_right_and_holding_alone_scores_the_baseline(held):
    report, _ = measure(copier(), held, pairs=8, per_component=4)
    found = report["reconstruction"]["mean"]
    drums = found["drums"]
    assert drums["accuracy"] == drums["hold_baseline"] == 0.75 and drums["onset_accuracy"] == 0  # a hit on every beat
    assert found["bass"]["accuracy"] == found["strings"]["note_f1"] == 1
    assert found["mean"]["accuracy"] == pytest.approx((0.75 + 3) / 4)
    assert report["reconstruction"]["sampled"]["mean"] == found["mean"]  # codes are sharp
    assert (
        set(report["genres"]) == {"rock", "jazz"} and report["genres"]["rock"]["accuracy"] == found["mean"]["accuracy"]
    )


def test_a_path_begins_with_what_comes_back_of_the_first_window(held):
    report, drawn = measure(copier(), held, pairs=16, per_component=4)
    rebuilt = drawn.ends.copy()
    rebuilt[..., DRUMS] = HOLD
    np.testing.assert_array_equal(drawn.way[0], rebuilt[0])
    np.testing.assert_array_equal(drawn.way[-1], rebuilt[1])
    straight, data = (report["interpolation"][kind] for kind in ("linear", "data"))
    assert straight["from_first"]["mean"][0] == pytest.approx(0.25 / 4) == straight["to_second"]["mean"][-1]
    assert data["from_first"]["mean"][0] == 0 == data["to_second"]["mean"][-1]
    # expected distance of exchanged cells: alpha d(first, second)
    whole = data["from_first"]["mean"][-1]
    np.testing.assert_allclose(data["from_first"]["mean"], np.linspace(0, 1, 11) * whole, atol=0.05)
    assert set(report["interpolation"]) == {"linear", "spherical", "petals", "data"}
    assert straight["density_bend"] >= 0 and straight["from_first"]["mean"][-1] == pytest.approx(
        whole + 0.25 / 4, abs=0.02
    )


def test_genres_that_lie_apart_are_told_apart(held):
    report, drawn = measure(copier(), held, pairs=4, per_component=4)
    (pair,) = report["pairs"]
    assert (pair["first"], pair["second"]) == ("rock", "jazz") and pair["code"] == pair["features"] == 1
    assert pair["songs_first"] == 6 and drawn.pairs[0].plane.shape == (len(held.songs), 2)


def test_the_heat_map_is_that_of_what_components_decode_to(held):
    model = copier()
    report, _ = measure(model, held, pairs=4, per_component=8)
    heat = report["heat_map"]
    assert heat["genres"] == TAGS and np.shape(heat["change"]) == (len(heat["rows"]), 2) == np.shape(heat["real"])
    means, real = (dict(zip(heat["rows"], np.array(heat[key]))) for key in ("means", "real_means"))
    np.testing.assert_array_equal(means["drums:note_count"], 0)  # drums are never decoded
    np.testing.assert_array_equal(real["drums:note_count"], 8)
    assert real["bass:pitch_mean"][1] > real["bass:pitch_mean"][0] + 10
    assert np.isnan(heat["agreement"])  # both components decode to the same, and to nothing like music


def test_genres_that_are_decoded_as_they_are_agree_with_real_ones(held):
    windows = [held.states[held.tags[:, i]] for i in (0, 1)]

    def decode(z, *, swapped=False):  # the petal of rock lies to the right, that of jazz to the left
        return np.stack([windows[int(left) ^ swapped][i % len(windows[0])] for i, left in enumerate(z[:, 0] < 0)])

    given = {"count": len(windows[0]), "random": np.random.default_rng(0)}
    alike = heat_map(copier(), decode, held, held.states, **given)
    assert alike["agreement"] == pytest.approx(1) == alike["contrast"]
    assert alike["recognised"] == {"real": 1, "rebuilt": 1, "drawn": 1, "drawn_plain": 1}
    other = heat_map(copier(), partial(decode, swapped=True), held, held.states[::-1], **given)
    assert other["agreement"] == pytest.approx(-1) and other["contrast"] == pytest.approx(1)
    assert other["recognised"]["drawn"] == 0


def test_draws_have_the_sliders_of_their_genre(held):
    seen, model = [], copier()
    model.sliders = {"jazz": np.array([[3.0], [0.0]])}  # of one slider: mean 3, no spread

    def decode(z):
        seen.append(z[:, 2] / model.prior.deviations()[2])
        return held.states[: len(z)]

    heat_map(model, decode, held, held.states, count=6, random=np.random.default_rng(0))
    plain_rock, plain_jazz, rock, jazz = seen
    np.testing.assert_array_equal(rock, plain_rock)
    np.testing.assert_allclose(jazz, 3)
    assert np.abs(plain_jazz).max() < 3


def test_one_gaussian_has_no_heat_map_and_no_petals(held):
    report, _ = measure(copier(kind="gaussian"), held, pairs=4)
    assert report["heat_map"] is None and "petals" not in report["interpolation"]
    assert "to_petals" not in report["moved_by_two_dimensions"] and len(report["pairs"]) == 1


def test_pairs_are_of_different_songs():
    songs = np.repeat(["a", "b", "c"], [50, 1, 1])
    first, second = pairs_of(songs, 20, np.random.default_rng(0))
    assert len(first) == 20 and (songs[first] != songs[second]).all()


def test_the_mean_of_tracks_leaves_out_what_a_track_does_not_have():
    nan = float("nan")
    figures = {
        "a": {"x": 1.0, "y": nan},
        "b": {"x": 0.0, "y": nan},
        "c": {"x": nan, "y": nan},
        "all": {"x": 9.0, "y": 9.0},
    }
    mean = with_mean(figures)["mean"]
    assert mean["x"] == 0.5 and np.isnan(mean["y"])


def test_decoding_takes_the_likeliest_state():
    states = np.full((3, 32, 4), SILENT, dtype=np.uint8)
    states[..., DRUMS] = HOLD
    np.testing.assert_array_equal(decoder(copier())(states.reshape(3, -1)), states)


def test_what_a_json_file_holds():
    given = {"a": [np.float32(0.1234567), float("nan"), np.int64(3)], "b": (np.inf, None, "x"), 1: np.array([[True]])}
    assert readable(given) == {"a": [0.12346, None, 3], "b": [None, None, "x"], "1": [[True]]}


# -- the command ----------------------------------------------------------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(app, ["evaluate", "latent", *map(str, arguments)])


def test_one_command_writes_all(store, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(latent_figures, "open_latent", lambda name: copier(kind=str(name)))
    out = tmp_path / "figures"
    result = run("flower", "--store", store, "-o", out, "--pairs", 4, "--windows", 16)
    assert result.exit_code == 0, result.output
    assert "flower" in result.stdout and "hold alone" in result.stdout
    parts = ("codes", "heat", "interpolation", "pairs", "path")
    expected = {"latent.json", "band_2.png", *(f"flower_{part}.png" for part in parts)}
    assert {path.name for path in out.iterdir()} == expected
    assert (out / "flower_heat.png").read_bytes().startswith(b"\x89PNG")


def test_sliders_are_measured_where_there_are_any(store, tmp_path, monkeypatch):
    seen = []

    def table(model, bands, *, judge=None, seed=0):
        seen.append((model.name, len(bands), judge))
        return {"sliders": {"density": {"rho": 0.9, "slope": 1.0, "off_target": 0.1}}}

    monkeypatch.setattr("spartito.evaluation.control.control_table", table)
    bands = open_bands(store, "test")
    (tmp_path / "config.json").write_text('{"layout": "piano"}')
    assert latent_figures._control(copier(), bands, [], 0) is None and not seen  # no sliders
    model = copier()
    model.scale, model.config = NormalScale.of(np.eye(6)), replace(model.config, attributes=6)
    assert latent_figures._control(model, bands, [tmp_path], 0)["sliders"]["density"]["rho"] == 0.9
    assert seen == [("copier", 12, None)]  # the judge knows pianos alone
    (tmp_path / "config.json").unlink()
    with pytest.raises(ModelError, match="no judge"):
        latent_figures._control(model, bands, [tmp_path], 0)


def test_models_of_a_kind_see_the_same_windows(store, tmp_path, monkeypatch):
    monkeypatch.setattr(latent_figures, "open_latent", lambda name: copier(kind=str(name)))
    result = run("flower", "gaussian", "--store", store, "-o", tmp_path, "--pairs", 4, "--no-plots", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "latent.json").read_text())
    assert json.loads(result.stdout) == report
    assert set(report["models"]) == {"flower", "gaussian"} and report["split"] == "test"
    first, second = report["models"].values()
    assert first["reconstruction"]["mean"] == second["reconstruction"]["mean"] and first["pairs"] == second["pairs"]
    assert report["published"]["sixteen_bars"]["MusAE, mixture"]["mean"] == 0.853


def test_what_cannot_be_measured_is_said_in_a_line(store, tmp_path, monkeypatch):
    monkeypatch.setattr(latent_figures, "open_latent", lambda name: copier())
    for arguments, message in (
        (["a", "--store", tmp_path / "nowhere"], "holds no bands"),
        (["a", "--store", store, "--split", "train"], "holds no bands"),
        (["a", "a", "--store", store], "two models"),
    ):
        result = run(*arguments, "-o", tmp_path / "out", "--no-plots")
        assert result.exit_code != 0 and message in result.output and "Traceback" not in result.output
    assert not (tmp_path / "out").exists()
    with pytest.raises(ParameterError, match="two songs"):
        HeldOut(np.zeros((2, 32, 4)), np.array(["a", "a"]), np.zeros((2, 0), dtype=bool), ())
