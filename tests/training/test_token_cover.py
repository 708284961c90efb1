"""Training of the token model: examples, what is told, losses by hand, a tiny run that goes on."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from spartito.errors import ModelError, ParameterError

torch = pytest.importorskip("torch")
from spartito.models.arranger import ArrangerConfig, ArrangerNetwork  # noqa: E402
from spartito.models.cover_tokens import AHEAD, CORE, END, LEFT, RIGHT, is_well_formed  # noqa: E402
from spartito.models.token_cover import Learned, TokenCoverConfig  # noqa: E402
from spartito.training import token_cover as job  # noqa: E402
from spartito.training.data import arrangements, token_windows  # noqa: E402
from spartito.training.data.token_windows import TokenSong  # noqa: E402
from spartito.training.token_commands import recipe_of, start, train_tokens  # noqa: E402

BEATS = 16


def song(name: str = "001-0", *, lead: bool = True) -> TokenSong:
    """Four bars of four beats: a tune on every beat, chords in C on every other, both heard as onsets."""
    tune = [[4 * beat, 3, 72 + beat % 3, 90, RIGHT, 0] for beat in range(BEATS)]
    chords = [[4 * beat, 8, pitch, 70, LEFT, 2] for beat in range(0, BEATS, 2) for pitch in (36, 43)]
    notes = np.array(sorted(tune + chords))
    cells = np.zeros((4, 16 * (BEATS + 9), 88), dtype=np.float32)
    cells[0, 16 + 4 * notes[:, 0], notes[:, 2] - 21] = 0.9
    return TokenSong(
        name,
        arrangements.packed(cells),
        np.tile([0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0], (BEATS, 1)),
        np.arange(BEATS) % 4,
        np.array([0, 4, 8, 12]),
        np.array([8, 8, 8, 4]),
        np.array([True, False, True, False]),
        notes,
        lead,
        style=3,
        easier={(level, melody): notes[notes[:, 2] > 70] for level in job.EASIER for melody in (True, False)},
    )


def recipe(**changes) -> job.TokenRecipe:
    return replace(job.CONFIGS["tiny"], **changes)


def test_examples_tell_sound_notes_and_controls_in_one_key():
    batch = job.examples([(song(), 1), (song(), 3)], shift=[2, 0], silent=np.array([False, True]))
    assert batch["frames"].shape == (2, 4, 264, 88) and batch["struck"].shape == (2, 64, 88)
    # the tune of beat 4 (73) stands two semitones higher at the first step of the core, in sound and in notes
    assert batch["frames"][0, 0, 4 + 64, 75 - 21] > 0.8 and batch["struck"][0, AHEAD, 75 - 21] == 1
    assert batch["tokens"][0, :3].tolist() == [[0, LEFT, 17, 5, 2], [0, LEFT, 24, 5, 2], [0, RIGHT, 54, 2, 5]]
    assert batch["chords"][0, 4].reshape(3, 12).argmax(1).tolist() == [2, 2, 2]
    assert batch["length"].tolist() == [32, 16]
    assert batch["known"].sum(1).tolist() == [64, 32]  # of the last window, the recording ends with its core
    assert batch["controls"].tolist() == [[0] * 7, [0] * 6 + [job.OMIT]]
    silent = batch["tokens"][1][batch["tokens"][1][:, 0] < END]
    assert set(silent[:, 2].tolist()) == {15, 22}


def test_controls_are_measured_and_left_free_at_random():
    asked = recipe(free=0.0, free_each=0.0, without_chords=0.0)
    rng = np.random.default_rng(0)
    chosen = [(song(), 0)] * 2
    batch = job.examples(chosen, recipe=asked, rng=rng, easier=np.array([0, 1]))
    controls = batch["controls"].numpy()
    assert controls[:, job.STYLE].tolist() == [3, 0] and (controls[:, job.MELODY_CONTROL] < job.OMIT).all()
    assert (controls[:, 1] > 0).all() and controls[1, job.DIFFICULTY] == 1
    assert set(batch["tokens"][1][batch["tokens"][1][:, 0] < END][:, 1].tolist()) == {RIGHT}  # the easier notes
    free = job.examples(chosen, recipe=replace(asked, free=1.0), rng=rng)["controls"]
    assert not free[:, : job.MELODY_CONTROL].any()


def test_what_is_told_belongs_to_its_places():
    """Three notes told, two of them true: places, the rows they are asked under, and the places of true notes."""
    tokens = torch.tensor([[[0, 0, 10, 0, 0], [2, 1, 40, 3, 3], [END, 0, 0, 0, 0]]])
    told = torch.zeros(1, CORE, 88, dtype=torch.bool)
    told[0, 0, 10] = told[0, 0, 87] = told[0, 2, 40] = True
    made = job.told_of(told, torch.zeros(1, CORE, 88, 3, dtype=torch.long), tokens)
    assert made.tokens[0, :, [0, 2]].tolist() == [[END, 0], [0, 10], [0, 87], [2, 40]]
    # step 0 has two places (the note at key 87 leaves no key behind it), step 2 two, all others one
    assert len(made.window) == CORE + 2
    assert made.token[:5].tolist() == [0, 1, 2, 2, 3] and made.step[:5].tolist() == [0, 0, 1, 2, 2]
    assert made.place[0, 0, [0, 10, 11, 87]].tolist() == [0, 0, 1, 1] and made.place[0, 2, 41] == 4
    assert made.note_place.tolist() == [0, 3]  # each is asked before it is told


@pytest.mark.parametrize("kind", range(4))
def test_kinds_of_what_is_told(kind):
    torch.manual_seed(0)
    batch = job.examples([(song(), 0), (song(), 3)])
    told = recipe(told=tuple(float(k == kind) for k in range(4)), left_out=0.0, added=0.0, other_details=0.0)
    evidence = torch.full((2, 64, 88), -9.0)
    evidence[:, :, 50] = 9.0
    made = job.tell(batch, told)(evidence)
    keys = [set(row[row[:, 0] < END][:, 2].tolist()) for row in made.tokens]
    truth = [set(row[row[:, 0] < END][:, 2].tolist()) for row in batch["tokens"]]
    if kind == job.TRUTH:
        np.testing.assert_array_equal(made.tokens[0, 1:], batch["tokens"][0][batch["tokens"][0][:, 0] < END])
    elif kind == job.HEARD:
        assert keys == [{50}, {50}] and made.tokens[1, -1, 0] == END  # the shorter window is told less
        assert set(made.tokens[0, 1:, 1].tolist()) == {RIGHT}  # nearer to the tune than to the chords
    elif kind == job.BOTH:
        assert keys[0] <= truth[0] | {50} and 50 in keys[0]
    else:
        assert made.tokens.shape[1] == 1
    assert len(made.notes) == int((batch["tokens"][..., 0] < END).sum())


def test_losses_by_hand():
    """Flat logits cost ln 2 a cell (88 a step, in parts of 16 notes), ln 12 a duration; steps outside do not count."""
    logits, truth = torch.zeros(1, 64, 88), torch.zeros(1, 64, 88)
    where = torch.zeros(1, 64, 1, dtype=torch.bool)
    where[:, :3] = True
    logits[:, 3:] = 5.0
    assert job.of_cells(logits, truth, where).item() == pytest.approx(88 / 16 * np.log(2), rel=1e-5)
    batch = job.examples([(song(), 0)])
    made = job.tell(batch, recipe())(torch.zeros(1, 64, 88))
    count = len(made.notes)
    flat = Learned(torch.zeros(1, 64, 88), made, torch.zeros(1, 32, 88), *(torch.zeros(count, n) for n in (2, 12, 8)))
    terms = job.weighted(flat, batch, recipe(evidence=0.5, details=(1.0, 1.0, 0.1)))
    assert terms["cells"].item() == pytest.approx(5.5 * np.log(2), rel=1e-5)
    assert terms["evidence"].item() == pytest.approx(2.75 * np.log(2), rel=1e-5)
    assert terms["hand"].item() == pytest.approx(np.log(2), rel=1e-5)
    assert terms["duration"].item() == pytest.approx(np.log(12), rel=1e-5)
    assert terms["velocity"].item() == pytest.approx(0.1 * np.log(8), rel=1e-5)


def test_batches_are_made_from_their_number_alone():
    first, second = (job.batches([song(), song("002-0", lead=False)], recipe())(3) for _ in range(2))
    for name, value in first.items():
        torch.testing.assert_close(value, second[name])
    assert not torch.equal(first["frames"], job.batches([song()], recipe())(4)["frames"])


def test_what_is_written_is_well_formed():
    network = job.new_network(recipe()).eval()
    batch = job.examples([(song(), 0), (song(), 3)])
    known = network.encode(*(batch[name] for name in ("frames", "chords", "metre", "controls")))
    for threshold in (0.018, 0.02, 0.999):
        tokens = job.written(network, known, batch["length"], threshold=threshold, trust=1.0)
        assert all(is_well_formed(part) for part in tokens)
        assert (tokens[1][:-1, 0] < 16).all()
    assert [len(part) for part in tokens] == [1, 1]


def test_the_ears_of_an_arranger_fit_in(tmp_path):
    config = replace(ArrangerConfig.tiny(), key_channels=TokenCoverConfig.tiny().channels)
    arranger, network = ArrangerNetwork(config), job.new_network(recipe())
    torch.nn.init.normal_(arranger.key_enc.step)
    assert job.start_from_arranger(network, arranger.state_dict()) > 10
    hearing, ears = network.hearing, arranger.key_enc
    torch.testing.assert_close(hearing.rounds[0].near.weight, ears.rounds[0].near.weight)
    torch.testing.assert_close(hearing.step[:, AHEAD : AHEAD + CORE], ears.step)
    torch.testing.assert_close(hearing.step[:, :AHEAD], ears.step[:, CORE - AHEAD :])
    torch.testing.assert_close(hearing.asked[job.MELODY_CONTROL].weight[0], ears.planes.weight[:, 3, 0, 0])
    assert not hearing.asked[job.MELODY_CONTROL].weight[job.OMIT].any()
    with pytest.raises(ModelError, match="neither"):
        start(network, tmp_path)


def test_a_tiny_run_and_its_next_stage(tmp_path):
    store, bands = tmp_path / "store", tmp_path / "bands"
    made = song()
    for split in ("train", "validation"):
        (bands / split).mkdir(parents=True), (store / split).mkdir(parents=True)
        tables = []
        for track in range(3):
            step, duration, pitch, velocity, _, _ = made.notes[made.notes[:, 5] == track].T
            tables.append(np.column_stack([step // 4, step % 4, duration, pitch, velocity]))
        labels = dict(zip(("melody_q", "bridge_q", "piano_q"), tables))
        np.savez(bands / split / "001-0.npz", beats=np.arange(BEATS) * 0.5, position=made.positions, **labels)
        cells = arrangements.unpacked(made.cells)
        arrangements.add(
            store / split, "001-0", cells, rows=made.rows, beats=BEATS, chords=made.chords, notes=np.zeros((0, 4))
        )
        token_windows.prepare_hands(bands, store, splits=[split])
    lines: list[str] = []
    train_tokens(store, tmp_path / "a", stage="evidence", config="tiny", settings=["loop.steps=4"], report=lines.append)
    train_tokens(store, tmp_path / "b", config="tiny", init=tmp_path / "a", report=lines.append)
    last = json.loads(lines[-1])
    assert {"validation_f1", "validation_evidence_f1"} <= set(last)
    config = json.loads((tmp_path / "b" / "config.json").read_text())
    assert config["architecture"] == "tokens" and config["job"] == "arrangement" and config["styles"] is None
    assert TokenCoverConfig.from_dict(config["network"]) == TokenCoverConfig.tiny()
    # a finished run is not made again
    count = len(lines)
    train_tokens(store, tmp_path / "b", config="tiny", report=lines.append)
    assert len(lines) == count + 1
    with pytest.raises(ParameterError, match="other settings"):
        train_tokens(store, tmp_path / "b", config="tiny", settings=["loop.steps=11"])


def test_recipes_are_named_and_changed():
    assert recipe_of("small", stage="evidence", settings=["batch=7", "loop.steps=5"]).batch == 7
    for bad in ({"config": "huge", "stage": "all"}, {"config": "small", "stage": "3"}):
        with pytest.raises(ParameterError):
            recipe_of(**bad)
