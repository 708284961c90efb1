"""Recipes of Onsets and Frames: cutting, excerpts, losses by hand, the schedule, and a run that learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spartito.errors import ParameterError
from spartito.notes.notes import Notes

torch = pytest.importorskip("torch")
from spartito.models.onsets_frames import OnsetsFramesConfig, OnsetsFramesOutput  # noqa: E402
from spartito.training import onsets_frames as recipe_module  # noqa: E402
from spartito.training.onsets_frames import CONFIGS, OnsetsFramesRecipe, Piece, batches, cut_points  # noqa: E402

RATE = 16_000


def tone(*rows, seconds):
    """A recording of decaying sines, one per (onset s, offset s, pitch), and its notes."""
    time = np.arange(int(seconds * RATE)) / RATE
    samples = np.zeros(len(time), dtype=np.float32)
    for onset, offset, pitch in rows:
        use = (time >= onset) & (time < offset)
        hz = 440 * 2 ** ((pitch - 69) / 12)
        samples[use] += 0.2 * np.exp(-2 * (time[use] - onset)) * np.sin(2 * np.pi * hz * (time[use] - onset))
    onset, offset, pitch = (np.array(column, dtype=float) for column in zip(*rows))
    return samples, Notes.from_arrays(onset, offset, pitch, 80)


def held(*spans):
    """Notes that fill `spans` (s), and noise with plenty of zero crossings for 50 s."""
    onset, offset = np.array(spans, dtype=float).T
    samples = np.random.default_rng(0).normal(0, 0.1, 50 * RATE).astype(np.float32)
    return Notes.from_arrays(onset, offset, 60 + np.arange(len(onset)) % 12, 64), samples


# -- cutting --------------------------------------------------------------------------------------------


def test_cut_where_nothing_sounds_after_twenty_seconds():
    assert cut_points(*held((0, 19), (21, 39), (41, 50))).tolist() == [0, 20, 40, 50]


def test_cut_in_the_middle_of_the_last_silence_before():
    cuts = cut_points(*held((0, 6), (8, 13), (14, 30), (31, 50)))
    assert cuts.tolist() == [0, 13.5, 30.5, 50]


def test_silence_within_five_seconds_of_the_last_cut_is_too_early():
    notes, samples = held((0, 4), (4.5, 30), (31, 50))
    cuts = cut_points(notes, samples)
    assert 19.9 < cuts[1] <= 20  # a zero crossing instead
    i = round(cuts[1] * RATE)
    assert np.signbit(samples[i]) != np.signbit(samples[i - 1])


def test_cut_at_a_zero_crossing_where_only_the_pedal_holds():
    notes, samples = held((0, 18), (20.5, 50))
    samples[int(18.7 * RATE) : int(20.2 * RATE)] = 0.5  # no crossing later than 18.7 s
    cuts = cut_points(notes.with_pedal([[1, 49]]), samples)
    assert 18.6 < cuts[1] <= 18.7
    assert cuts[-1] == 50 and np.diff(cuts).max() <= 20 + 1e-9


def test_cut_without_any_zero_crossing():
    notes, samples = held((0, 50))
    assert cut_points(notes, np.full_like(samples, 0.3)).tolist() == [0, 20, 40, 50]


def test_short_recordings_are_not_cut():
    notes, samples = held((0, 3))
    assert cut_points(notes, samples[: 10 * RATE]).tolist() == [0, 10]


# -- batches --------------------------------------------------------------------------------------------


def test_random_excerpts_pair_sound_and_labels():
    piece = Piece("a", *tone((1.0, 2.0, 60), (3.0, 3.5, 72), seconds=5))
    recipe = replace(CONFIGS["tiny"], batch=4, frames=32)
    batch_at = batches([piece], recipe)
    batch = batch_at(3)
    assert batch["mel"].shape == (4, 32, 229) and batch["onset"].shape == (4, 32, 88)
    for name, value in batch_at(3).items():
        torch.testing.assert_close(value, batch[name], atol=0, rtol=0)  # made from the index alone
    assert any(not torch.equal(batch_at(4)[n], batch[n]) for n in batch)
    # where a note is on, the excerpt is loud
    loud = batch["mel"].amax(dim=-1)
    on = batch["frame"].sum(dim=-1) > 0
    assert on.any() and loud[on].mean() > loud[~on].mean() + 1


def test_short_recordings_are_padded_and_marked():
    piece = Piece("a", *tone((0.2, 0.6, 60), seconds=1))
    batch = batches([piece], replace(CONFIGS["tiny"], batch=2, frames=64))(0)
    assert batch["mel"].shape == (2, 64, 229)
    assert batch["valid"].sum(dim=1).tolist() == [32, 32]  # one second
    assert batch["onset"][:, 32:].sum() == 0


def test_excerpts_cut_at_silences_begin_with_whole_notes():
    rows = [(t, t + 1.5, 60 + int(t) % 12) for t in np.arange(0.5, 48, 2.0)]
    samples, notes = tone(*rows, seconds=50)
    recipe = replace(CONFIGS["magenta-2018"], network=OnsetsFramesConfig.named("magenta-2018", channels=2), batch=3)
    batch = batches([Piece("a", samples, notes)], recipe)(0)
    frames = batch["valid"].sum(dim=1)
    assert (frames <= 626).all() and (frames >= 156).all()  # 5 to 20 s
    assert batch["weight"].max() == 5.0
    # every note that is on was struck in the excerpt
    begun = torch.cummax(batch["onset"], dim=1).values
    assert (batch["frame"] <= begun).all()
    assert batch["velocity"].max() == 1.0  # relative to the loudest of the recording


def test_nothing_to_train_on():
    with pytest.raises(ParameterError, match="no recording is left"):
        batches([Piece("a", np.zeros(10, dtype=np.float32), Notes())], CONFIGS["tiny"])
    with pytest.raises(ParameterError, match="sampling"):
        OnsetsFramesRecipe(sampling="fair")


def test_sampling_by_duration_or_by_recording():
    long, short = tone((0.5, 1, 60), seconds=40), tone((0.5, 1, 84), seconds=4)
    pieces = [Piece("long", *long), Piece("short", *short)]

    def share_of_short(sampling):
        recipe = replace(CONFIGS["tiny"], sampling=sampling, batch=40, frames=126)
        valid = batches(pieces, recipe)(0)["valid"]
        return (valid.sum(dim=1) < 126).float().mean()

    assert share_of_short("duration") < 0.3
    assert 0.25 < share_of_short("recording") < 0.75


# -- loss and schedule ----------------------------------------------------------------------------------


def hand_batch():
    batch = {name: torch.zeros(1, 3, 88) for name in ("onset", "offset", "frame", "velocity")}
    batch["onset"][0, 0, 5] = batch["onset"][0, 1, 6] = 1
    batch["frame"][0, :2, 5] = 1
    batch["velocity"][0, 0, 5], batch["velocity"][0, 1, 6] = 0.5, 0.25
    batch["weight"] = torch.ones(1, 3, 88)
    batch["valid"] = torch.ones(1, 3)
    batch["mel"] = torch.zeros(1, 3, 229)
    return batch


def answering(value, velocity):
    full = torch.full((1, 3, 88), value)
    return lambda _mel: OnsetsFramesOutput(full, full, full, full, torch.full((1, 3, 88), velocity))


def test_loss_by_hand():
    batch = hand_batch()
    cells = 3 * 88
    jongwook = recipe_module.loss(OnsetsFramesRecipe())(answering(0.1, 0.0), batch)
    expected = -(2 * np.log(0.1) + (cells - 2) * np.log(0.9)) / cells
    assert float(jongwook["onset"]) == pytest.approx(expected, rel=1e-4)
    assert float(jongwook["frame"]) == pytest.approx(expected, rel=1e-4)
    assert float(jongwook["offset"]) == pytest.approx(-np.log(0.9), rel=1e-4)
    assert float(jongwook["velocity"]) == pytest.approx((0.25 + 0.0625) / 2)
    magenta = recipe_module.loss(CONFIGS["magenta-2019"])(answering(0.1, 0.0), batch)
    assert float(magenta["velocity"]) == pytest.approx((0.25 + 0.0625) / 3)  # mean over frames


def test_loss_weights_padding_and_no_onsets():
    batch = hand_batch()
    batch["weight"][0, 0, 5] = 5.0
    weighted = recipe_module.loss(OnsetsFramesRecipe())(answering(0.1, 0.0), batch)
    plain = recipe_module.loss(OnsetsFramesRecipe())(answering(0.1, 0.0), hand_batch())
    assert float(weighted["frame"] - plain["frame"]) == pytest.approx(-4 * np.log(0.1) / (3 * 88), rel=1e-3)
    assert torch.equal(weighted["onset"], plain["onset"])

    batch = hand_batch()
    batch["valid"][0, 1:] = 0
    cut = recipe_module.loss(OnsetsFramesRecipe())(answering(0.1, 0.0), batch)
    assert float(cut["onset"]) == pytest.approx(-(np.log(0.1) + 87 * np.log(0.9)) / 88, rel=1e-4)
    assert float(cut["velocity"]) == pytest.approx(0.25)

    batch = hand_batch()
    batch["onset"].zero_()
    assert float(recipe_module.loss(OnsetsFramesRecipe())(answering(0.1, 7.0), batch)["velocity"]) == 0.0


def test_loss_is_finite_for_certain_and_wrong_answers():
    for value in (0.0, 1.0):
        terms = recipe_module.loss(OnsetsFramesRecipe())(answering(value, 0.0), hand_batch())
        assert all(torch.isfinite(term) for term in terms.values())


def test_published_settings():
    loop = CONFIGS["jongwook"].loop
    assert (loop.learning_rate, loop.clip, loop.steps, CONFIGS["jongwook"].batch) == (6e-4, 3.0, 500_000, 8)
    assert recipe_module.staircase(9_999, loop) == 6e-4
    assert recipe_module.staircase(10_000, loop) == pytest.approx(6e-4 * 0.98)
    assert recipe_module.staircase(499_999, loop) == pytest.approx(6e-4 * 0.98**49)
    assert CONFIGS["magenta-2018"].loop.steps == 50_000 and CONFIGS["magenta-2018"].frame_weights
    network = recipe_module.new_network(CONFIGS["tiny"])
    optimiser = recipe_module.adam(network, CONFIGS["tiny"].loop)
    assert type(optimiser) is torch.optim.Adam
    assert sum(len(g["params"]) for g in optimiser.param_groups) == len(list(network.parameters()))
    assert (network.onset_stack[-1].bias == recipe_module.ONSET_BIAS).all()
    plain = recipe_module.new_network(replace(CONFIGS["tiny"], bias_init=False))
    assert plain.onset_stack[-1].bias.abs().max() < 1


# -- a run ----------------------------------------------------------------------------------------------


def run(tmp_path, recipe, pieces, *, steps):
    pytest.importorskip("lightning.fabric")
    from spartito.training.loop import fit

    recipe = replace(recipe, loop=replace(recipe.loop, steps=steps, device="cpu"))
    network = recipe_module.new_network(recipe)
    state = fit(
        network,
        loss=recipe_module.loss(recipe),
        batch_at=batches(pieces, recipe),
        config=recipe.loop,
        folder=tmp_path,
        optimizer=recipe_module.adam,
        rate=recipe_module.staircase,
    )
    return recipe, network, state


@pytest.mark.filterwarnings("ignore:the estimate has no notes")
@pytest.mark.parametrize("name", ["tiny", "magenta-2018"])
def test_a_short_run_learns_its_pieces(tmp_path, name):
    rows = [(0.3 + 0.5 * i, 0.7 + 0.5 * i, 60 + 4 * (i % 3)) for i in range(12)]
    piece = Piece("scale", *tone(*rows, seconds=7))
    recipe = CONFIGS[name]
    if name != "tiny":
        network = OnsetsFramesConfig("magenta", channels=2, lstm_units=16, offset=False, detach=False, conv_dropout=0.0)
        recipe = replace(recipe, network=network, batch=2, loop=replace(CONFIGS["tiny"].loop))
    recipe = replace(recipe, loop=replace(recipe.loop, average=0.0))
    value = recipe_module.loss(recipe)
    batch = batches([piece], recipe)(999)
    before = recipe_module.new_network(recipe).eval()
    recipe, network, state = run(tmp_path, recipe, [piece], steps=40)
    network.load_state_dict(state)
    with torch.no_grad():
        first = float(sum(value(before, batch).values()))
        last = float(sum(value(network.eval(), batch).values()))
    assert last < 0.7 * first
    scores = recipe_module.make_validation([piece], recipe)(network)
    assert all(0 <= score <= 1 for score in scores.values())


def test_clipping_takes_effect(tmp_path):
    """With plain gradient descent the step cannot be longer than rate times clip."""
    pytest.importorskip("lightning.fabric")
    from spartito.training.loop import fit

    recipe = CONFIGS["tiny"]
    recipe = replace(recipe, loop=replace(recipe.loop, steps=1, clip=0.01, average=0.0, device="cpu"))
    piece = Piece("a", *tone((0.3, 0.9, 60), seconds=3))
    network = recipe_module.new_network(recipe)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    fit(
        network,
        loss=lambda net, batch: {k: 1000 * v for k, v in recipe_module.loss(recipe)(net, batch).items()},
        batch_at=batches([piece], recipe),
        config=recipe.loop,
        folder=tmp_path,
        optimizer=lambda net, config: torch.optim.SGD(net.parameters(), lr=1.0),
        rate=lambda step, config: 1.0,
    )
    moved = sum(float((p.detach() - before[name]).pow(2).sum()) for name, p in network.named_parameters()) ** 0.5
    assert 0.005 < moved <= 0.0101
