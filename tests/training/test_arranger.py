"""Training of the arranger: terms by hand, schedules, masks, transposition, examples from a store, a tiny run."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from spartito.errors import ModelError, ParameterError
from spartito.models.arranger_input import SILENCE
from spartito.models.pianotree import PAD, START, encode, notes_of

torch = pytest.importorskip("torch")
from spartito.models.arranger import ArrangerConfig, Encoded, Gaussian, Learned  # noqa: E402
from spartito.models.arranger_mel import SEGMENT_SAMPLES, SHIFT_RATES, log_mel, resampled  # noqa: E402
from spartito.models.pianotree_decoder import NoteLogits  # noqa: E402
from spartito.training import arranger as job  # noqa: E402
from spartito.training.arranger_commands import load_state, recipe_of, train_arranger  # noqa: E402
from spartito.training.data import arrangements, stretched  # noqa: E402
from spartito.training.data.arrangements import BRIDGE, MELODY, PIANO, Piece, packed, unpacked  # noqa: E402

BEATS = 24


def piece(name: str = "song", *, lead: bool = True, seed: int = 0) -> Piece:
    """Six bars of four beats: a melody note on every beat, a bridge note per bar, piano chords in C on the beats."""
    rng = np.random.default_rng(seed)
    notes = [[4 * beat + 1, MELODY, 72 + beat % 5, 3] for beat in range(BEATS)]
    notes += [[16 * bar + 2, BRIDGE, 67, 2] for bar in range(6)]
    notes += [[4 * beat, PIANO, pitch, 4] for beat in range(BEATS) for pitch in (48, 52, 55)]
    notes = np.array(sorted(notes), dtype=np.int64)
    cells = np.zeros((4, 16 * (BEATS + 9), 88), dtype=np.float32)
    cells[3] = SILENCE[3]
    cells[0, 16 + 4 * notes[:, 0], notes[:, 2] - 21] = 0.9
    cells[0] += 0.05 * rng.random(cells[0].shape, dtype=np.float32)
    rows = np.arange(0, BEATS, 4)
    chords = np.tile([0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0], (BEATS, 1))
    spans = np.array([8] * 5 + [4])
    return Piece(name, packed(cells), rows, spans, np.full(6, 4), chords, notes, lead)


def recipe(**changes) -> job.ArrangerRecipe:
    return replace(job.CONFIGS["tiny"], **changes)


# -- terms by hand -----------------------------------------------------------------------------------------------


def learned(pitch, duration, *, audio=None, chord=None, symbol=None, chords=None, features=None) -> Learned:
    encoded = Encoded(audio or Gaussian(torch.zeros(1, 2), torch.ones(1, 2)), chord, symbol, None, None)
    return Learned(encoded, chords, features, NoteLogits(pitch, duration, torch.zeros(1)))


def test_terms_of_notes_are_means_over_what_there_is():
    """One note in one step: 33 pitch targets (32 end marks), 5 bits; flat logits cost ln 130 and ln 2 each."""
    truth = torch.from_numpy(encode(np.array([[0, 0, 60, 4]]), 1))
    pitch, duration = torch.zeros(1, 32, 15, 130), torch.zeros(1, 32, 15, 5, 2)
    supervised = recipe(network=ArrangerConfig.tiny("supervised"))
    found = job.loss_terms(learned(pitch, duration), {"truth": truth}, supervised, beta=0.1)
    assert list(found) == ["loss", "pno_tree_l", "pitch_l", "dur_l", "kl_l", "beta"]
    assert float(found["pitch_l"]) == pytest.approx(math.log(130), rel=1e-6)
    assert float(found["dur_l"]) == pytest.approx(math.log(2), rel=1e-6)
    assert float(found["loss"]) == pytest.approx(math.log(130) + 0.5 * math.log(2), rel=1e-6)
    pitch[0, 0, 0, 60] = 100.0  # the note is sure now: 32 of 33 remain
    found = job.loss_terms(learned(pitch, duration), {"truth": truth}, supervised, beta=0.1)
    assert float(found["pitch_l"]) == pytest.approx(32 / 33 * math.log(130), rel=1e-6)


def full(stage: str, kind: str = "a2s", *, compat: bool = False, chord_rows=None):
    """Everything flat but the latents: N(1, 2) in two dimensions for the sound, N(0, 1/e) chords, N(2, 1) texture."""
    truth = torch.from_numpy(encode(np.array([[0, 0, 60, 4]]), 1))
    rows = torch.zeros(1, 8, 36)
    rows[:, :, [0, 12, 16, 19, 24]] = 1  # C major
    rows = rows if chord_rows is None else chord_rows
    flat = (torch.zeros(1, 8, 12), torch.zeros(1, 8, 12, 2), torch.zeros(1, 8, 12))
    found = learned(
        torch.zeros(1, 32, 15, 130),
        torch.zeros(1, 32, 15, 5, 2),
        audio=Gaussian(torch.ones(1, 2), 2 * torch.ones(1, 2)),
        chord=Gaussian(torch.zeros(1, 2), torch.full((1, 2), math.exp(-1))) if kind == "a2s" else None,
        symbol=None if stage == "3a" else Gaussian(2 * torch.ones(1, 2), torch.ones(1, 2)),
        chords=flat if kind == "a2s" else None,
        features=torch.full((1, 32, 3), 0.5),
    )
    batch = {"truth": truth, "chords": rows, "features": torch.zeros(1, 32, 3)}
    settings = recipe(network=ArrangerConfig.tiny(kind), stage=stage, compat=compat)
    return job.loss_terms(found, batch, settings, beta=0.1)


AUDIO, CHORD, SYMBOL = 2 - math.log(2), 0.5 + 0.5 * math.exp(-2), 2.0  # (m² + s² - 1 - ln s²) / 2


@pytest.mark.parametrize(
    ("stage", "wanted"),
    [
        ("1", 0.1 * (AUDIO + CHORD + SYMBOL)),
        ("2", 0.01 * (AUDIO + CHORD) + 0.1 * SYMBOL),
        ("3a", 0.01 * (AUDIO + CHORD)),
        ("3b", 0.01 * (AUDIO + CHORD) + 0.5 * SYMBOL),
    ],
)
def test_all_terms_of_the_stages_have_their_published_names_and_weights(stage, wanted):
    found = full(stage)
    assert (
        list(found)
        == (
            "loss pno_tree_l pitch_l dur_l kl_l kl_chd kl_aud kl_sym chord_l root_l chroma_l bass_l "
            "feat_l bass_feat_l int_feat_l rhy_feat_l beta"
        ).split()
    )
    assert float(found["kl_aud"]) == pytest.approx(AUDIO, rel=1e-5)
    assert float(found["kl_chd"]) == pytest.approx(CHORD, rel=1e-5)
    assert float(found["kl_l"]) == pytest.approx(wanted, rel=1e-5)
    assert float(found["root_l"]) == pytest.approx(math.log(12), rel=1e-5)
    assert float(found["chroma_l"]) == pytest.approx(math.log(2), rel=1e-5)
    assert float(found["bass_feat_l"]) == pytest.approx(math.log(2), rel=1e-5)
    assert float(found["int_feat_l"]) == pytest.approx(0.25, rel=1e-5)
    parts = ("pno_tree_l", "kl_l", "chord_l", "feat_l")
    assert float(found["loss"]) == pytest.approx(sum(float(found[name]) for name in parts), rel=1e-5)


def test_terms_of_the_type_without_chords():
    assert (
        list(full("1", "a2s-nochd"))
        == ("loss pno_tree_l pitch_l dur_l kl_l kl_aud kl_sym feat_l bass_feat_l int_feat_l rhy_feat_l beta").split()
    )


def test_evidence_by_hand():
    """Flat logits: ln 2 for each of 88 keys and 32 steps; keys of notes and their bits pull it down."""
    truth = torch.from_numpy(encode(np.array([[0, 0, 60, 32], [0, 0, 64, 1]]), 1))
    keys = torch.zeros(1, 32, 88, 6)
    flat = job._evidence(keys, truth)
    assert float(flat["evidence"]) == pytest.approx(math.log(2) * 88 / 14, rel=1e-5)
    assert float(flat["evidence_dur"]) == pytest.approx(0.5 * math.log(2), rel=1e-5)
    keys[..., 0] = -50.0
    keys[0, 0, [39, 43], 0] = 50.0
    keys[0, 0, 39, 1:], keys[0, 0, 43, 1:] = 50.0, -50.0
    assert all(float(value) < 1e-6 for value in job._evidence(keys, truth).values())
    keys[0, 0, 43, 0] = -50.0  # one missed of 32 * 88
    assert float(job._evidence(keys, truth)["evidence"]) == pytest.approx(50 / (32 * 88) * 88 / 14, rel=1e-4)


def test_beats_without_chord_count_only_in_compat():
    rows = torch.zeros(1, 8, 36)
    assert float(full("1", chord_rows=rows)["root_l"]) == 0.0
    assert float(full("1", chord_rows=rows, compat=True)["root_l"]) == pytest.approx(math.log(12), rel=1e-5)


# -- schedules ---------------------------------------------------------------------------------------------------


def test_schedules_begin_as_published():
    first = job.schedules(0, replace(job.CONFIGS["paper"], stage="1"))
    assert first.time == pytest.approx(0.79665, abs=1e-5) and first.beta == pytest.approx(6.7e-5, abs=1e-6)
    assert first.note == pytest.approx(0.5 + 0.3 * 0.993307, abs=1e-5)
    assert first.chord == pytest.approx(0.5 * 0.993307, abs=1e-5)
    assert job.schedules(0, replace(job.CONFIGS["paper"], stage="2")).beta == pytest.approx(0.01328, abs=1e-5)
    middle = job.schedules(12_500, replace(job.CONFIGS["paper"], stage="2"))
    assert (middle.time, middle.note, middle.beta) == pytest.approx((0.55, 0.65, 0.255))
    last = job.schedules(200_000, job.CONFIGS["paper"])
    assert (last.time, last.note, last.chord, last.beta) == pytest.approx((0.3, 0.5, 0.0, 0.01), abs=1e-6)


def test_the_published_rate_falls_to_a_hundredth():
    loop = job.CONFIGS["paper"].loop
    assert job.exponential(0, loop) == 5e-4
    assert job.exponential(10_000, loop) == pytest.approx(5e-4 * math.exp(-1.00005), rel=1e-4)
    assert job.exponential(10**6, loop) == pytest.approx(5e-6)


# -- examples ----------------------------------------------------------------------------------------------------


def test_masks_keep_by_range_as_meant_and_in_compat_as_done():
    rng = np.random.default_rng(0)
    roll = np.ones((4000, 128), dtype=np.float32)
    for compat, rates in ((False, (0.7, 0.6, 0.3, 0.1)), (True, (0.1, 0.6, 0.3, 0.7))):
        kept = job.masked(roll, rng, compat=compat).mean(axis=0)
        for low, high, rate in zip((0, 40, 50, 60), (40, 50, 60, 128), rates, strict=True):
            np.testing.assert_allclose(kept[low:high], rate, atol=0.04)


def test_a_segment_becomes_an_example():
    batch = job.examples([(piece(), 1), (piece(), 5)], recipe())
    assert batch["frames"].shape == (2, 4, 132, 88) and batch["condition"].tolist() == [[1.0], [1.0]]
    notes = notes_of(batch["truth"][:, :, 1:].numpy())
    assert len(notes) == (8 + 2 + 24) + (4 + 1 + 12)  # eight beats, and the four of the last bar
    assert notes[:4].tolist() == [[0, 0, 48, 4], [0, 0, 52, 4], [0, 0, 55, 4], [0, 1, 76, 3]]
    onset = batch["frames"][0, 0]
    assert onset[4, 48 - 21] > 0.85 and onset[8, 76 - 21] > 0.85  # behind a quarter beat of pre-roll
    assert float(batch["frames"][1, 0, 4 + 64 :].max()) == 0.0
    assert batch["chords"][0].any(-1).all() and batch["chords"][1].any(-1).tolist() == [True] * 4 + [False] * 4
    roll = batch["roll"].numpy()
    assert (roll[0] > 0).sum() == 24 and roll[0, 0, 48] == 4  # the piano alone
    assert batch["features"][0, :3].tolist()[2][2] == 1.0 and float(batch["features"][0, 0, 0]) == 1.0


def test_without_melody_it_is_left_out():
    batch = job.examples([(piece(), 0)], recipe(), silent=np.array([True]))
    assert batch["condition"].tolist() == [[0.0]]
    assert notes_of(batch["truth"][:, :, 1:].numpy())[:, 2].max() == 67


def test_a_piece_without_lead_is_never_asked_for_its_melody():
    batch_at = job.batches([piece(lead=False)], recipe(without_melody=0.0))
    assert not batch_at(0)["condition"].any()
    assert job.batches([piece()], recipe(without_melody=0.0))(0)["condition"].all()


def test_transposition_moves_everything_alike():
    plain = job.examples([(piece(), 0)], recipe())
    moved = job.examples([(piece(), 0)], recipe(), shift=np.array([5]))
    down = job.examples([(piece(), 0)], recipe(), shift=np.array([-5]))
    for name, low, high in (("frames", 5, 88), ("roll", 5, 128)):
        np.testing.assert_array_equal(moved[name][..., low:high], plain[name][..., : high - low])
        np.testing.assert_array_equal(down[name][..., : high - low], plain[name][..., low:high])
    np.testing.assert_allclose(moved["frames"][0, 3, :, :5], SILENCE[3], atol=0.02)
    before, after = (notes_of(b["truth"][:, :, 1:].numpy()) for b in (plain, moved))
    np.testing.assert_array_equal(after, before + np.array([0, 0, 5, 0]))
    assert np.flatnonzero(moved["chords"][0, 0]).tolist() == [5, 12, 17, 21, 29]  # F, over F


def test_stage_3b_is_told_the_window_before_when_that_bar_has_four_beats():
    song = piece()
    stage = recipe(stage="3b")
    batch = job.examples([(song, 0), (song, 2)], stage)
    assert not batch["roll"][0].any()
    wanted = job.examples([(song, 1)], recipe())["truth"][:, :, 1:].numpy()
    roll = batch["roll"][1].numpy()
    assert (roll > 0).sum() == len(notes_of(wanted)) and roll[1, 76] == 3
    odd = replace(song, bars=np.array([4, 3, 4, 4, 4, 4]))
    assert not job.examples([(odd, 2)], stage)["roll"].any()


def test_noise_falls_on_notes_only():
    rng = np.random.default_rng(0)
    truth = encode(np.array([[0, t, p, 4] for t in range(32) for p in range(50, 60)]), 1)
    heard = job._corrupted(truth, 0.5, rng)
    changed = (heard != truth).any(-1)
    assert 0.4 < changed[truth[..., 0] < START].mean() < 0.6 and not changed[truth[..., 0] >= START].any()
    assert 0.3 < (heard[..., 0] == PAD)[changed].mean() < 0.7


def test_batches_follow_from_their_number():
    batch_at = job.batches([piece(seed=0), piece(seed=1)], recipe())
    for first, again in zip(batch_at(3).values(), batch_at(3).values(), strict=True):
        np.testing.assert_array_equal(first, again)
    assert (batch_at(3)["frames"] != batch_at(4)["frames"]).any()
    assert int(batch_at(3)["step"]) == 3


def test_eight_bits_hold_the_curves():
    rng = np.random.default_rng(0)
    cells = rng.random((4, 7, 88), dtype=np.float32)
    cells[3] = rng.uniform(-3.9, 3.9, (7, 88))
    back = unpacked(packed(cells))
    np.testing.assert_allclose(back[:3], cells[:3], atol=0.5 / 255 + 1e-6)
    np.testing.assert_allclose(back[3], cells[3], atol=0.5 / 32 + 1e-6)


def test_grid_scores_by_hand():
    truth = np.array([[0, 0, 60, 1], [0, 4, 62, 1]])
    found = np.array([[0, 0, 60, 9], [0, 5, 62, 1], [1, 0, 60, 1]])
    assert job.grid_scores(found, truth) == pytest.approx(
        {"precision": 1 / 3, "recall": 0.5, "f1": 0.4, "density": 1.5}
    )


# -- stores ------------------------------------------------------------------------------------------------------


def test_a_store_gives_back_its_pieces(tmp_path):
    song = piece()
    cells = unpacked(song.cells)
    arguments = {"rows": song.rows, "beats": BEATS, "chords": song.chords, "notes": song.notes[::-1]}
    arrangements.add(tmp_path, "song", cells, **arguments, lead=False)
    (back,) = arrangements.open_pieces(tmp_path)
    np.testing.assert_array_equal(back.cells, song.cells)
    np.testing.assert_array_equal(back.notes[:, 0], np.sort(song.notes[:, 0]))
    assert back.bars.tolist() == [4] * 6 and back.spans.tolist() == [8] * 5 + [4] and not back.lead
    assert arrangements.open_pieces(tmp_path, ["other"]) == []


def test_chords_are_those_of_the_middle_of_a_beat():
    table = arrangements.chord_table(
        np.array([0.0, 1.0, 2.0]), np.array([0.0, 0.4]), np.array([0.4, 1.9]), np.array(["C:maj", "A:min/b3"])
    )
    assert table[:, 0].tolist() == [9, 9, -1] and table[:, 13].tolist() == [0, 0, -1]
    assert table[0, 1:13].tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0]


# -- runs --------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    for split, number in (("train", 3), ("validation", 1)):
        for i in range(number):
            song = piece(seed=i)
            arguments = {"rows": song.rows, "beats": BEATS, "chords": song.chords, "notes": song.notes}
            (tmp_path / split).mkdir(exist_ok=True)
            arrangements.add(tmp_path / split, f"song{i}", unpacked(song.cells), **arguments)
    return tmp_path


def test_stages_start_from_each_other_and_a_tiny_run_learns(tmp_path, store):
    pytest.importorskip("lightning")
    settings = ["loop.steps=30", "loop.device=cpu", "loop.validate_every=30"]
    runs = {"0": None, "1": "0", "2": "1", "3a": "2", "3b": "2"}
    for stage, before in runs.items():
        init = None if before is None else tmp_path / before
        steps = settings if stage == "1" else ["loop.steps=2", "loop.device=cpu", "loop.report_every=1", "batch=2"]
        run = train_arranger(
            store, tmp_path / stage, stage=stage, config="tiny", init=init, settings=steps, report=lambda _: None
        )
        assert json.loads((run / "config.json").read_text())["stage"] == stage
        assert (run / "model.safetensors").exists()
    assert json.loads((tmp_path / "3a" / "config.json").read_text())["decoder"]["trust"] == 0.4
    log = [json.loads(line) for line in (tmp_path / "1" / "log.jsonl").read_text().splitlines()]
    losses = [entry["pitch_l"] for entry in log if "pitch_l" in entry]
    assert losses[-1] < 0.7 * losses[0]
    assert 0 <= log[-1]["validation_f1"] <= 1
    with pytest.raises(ParameterError, match="starts from another"):
        train_arranger(store, tmp_path / "new", stage="2", config="tiny", report=lambda _: None)


def test_a_supervised_model_starts_from_what_another_hears(tmp_path):
    from safetensors.torch import save_file

    source, target = (job.new_network(recipe_of("tiny", type=t, stage="1")) for t in ("a2s", "supervised+kl"))
    with torch.no_grad():
        source.frame_enc.pitched_enc.cnn[0].weight.fill_(0.25)
    save_file({k: v.contiguous() for k, v in source.state_dict().items()}, tmp_path / "model.safetensors")
    load_state(target, tmp_path, partly=True)
    assert (target.frame_enc.pitched_enc.cnn[0].weight == 0.25).all()
    with pytest.raises(ModelError, match="another layout"):
        load_state(target, tmp_path)


def test_a_recipe_knows_its_stages():
    small, later = (recipe_of("small", type="a2s", stage=stage) for stage in ("1", "3a"))
    assert later.loop.learning_rate == 0.5 * small.loop.learning_rate
    paper = recipe_of("paper", type="a2s-nochd", stage="3b", settings=["compat=true", "batch=8"])
    assert paper.loop.learning_rate == pytest.approx(5e-5) and paper.compat and paper.batch == 8
    for arguments, message in (
        ({"type": "supervised", "stage": "2"}, "stage of supervised is one of 0, 1,"),
        ({"type": "a2s", "stage": "4"}, "0, 1, 2, 3a, 3b"),
        ({"type": "b2s", "stage": "1"}, "the type is one of"),
    ):
        with pytest.raises(ParameterError, match=message):
            recipe_of("tiny", **arguments)
    with pytest.raises(ParameterError, match="tiny, small, paper"):
        recipe_of("large", type="a2s", stage="1")
    with pytest.raises(ParameterError, match="one of 1, 2, 3a, 3b, not '0'"):
        recipe_of("paper", type="a2s", stage="0")


# -- the published recipe's sound and data -----------------------------------------------------------------------


def test_a_spectrogram_has_the_published_number_of_frames():
    assert SEGMENT_SAMPLES == 107_496
    samples = np.random.default_rng(0).normal(0, 0.1, (1, SEGMENT_SAMPLES)).astype(np.float32)
    for shift in (-6, -3, 0, 5):
        assert log_mel(samples, shift=shift).shape == (1, 229, 154 if shift in (-3, 3, 5) else 153)
    assert resampled(torch.from_numpy(samples), 22_050, 16_000).shape == (1, 78_002)
    with pytest.raises(ParameterError, match=r"-6 \.\. 5"):
        log_mel(samples, shift=6)


def test_a_tone_moves_by_its_semitones_and_stays_in_time():
    t = np.arange(SEGMENT_SAMPLES) / 22_050
    tone = (0.5 * np.sin(2 * np.pi * 1000 * t) * (t > 2.0))[None].astype(np.float32)
    edges = 700 * (10 ** (np.linspace(*(2595 * np.log10(1 + hz / 700) for hz in (30, 8000)), 231) / 2595) - 1)
    for shift in (-5, 0, 4):
        mel = log_mel(tone, shift=shift)[0]
        wanted = 1000 * SHIFT_RATES[shift] / 22_050
        assert abs(edges[1:-1][mel[:, 120].argmax()] - wanted) < 25  # Hz: half a band
        loud = mel.max(axis=0) > -3
        assert abs(np.argmax(loud) * 512 / 16_000 - 2.0) < 0.1
    # a sine of amplitude 0.5 in a Hann window of 2048: 0.5 * 1024 / 2 / sqrt(2048), times the filter's height
    assert mel[:, 120].max() == pytest.approx(np.log(0.5 * 512 / 2048**0.5), abs=0.4)


@pytest.fixture
def recordings(tmp_path):
    """Two songs of three bars as the original kept them: 001 (train), 008 (validation)."""
    import pickle

    import soundfile

    for name in ("001", "008"):
        q = {
            "melody": [[0, 0, 4, 80, 90]],
            "bridge": [[0, 0, 4, 70, 90], [4, 1, 2, 71, 90]],
            "piano": [[0, 0, 8, 48, 60], [0, 0, 4, 40, 60], [4, 0, 4, 55, 60], [8, 2, 4, 53, 60]],
        }
        times = 0.5 + 0.6 * np.arange(12)
        chords = np.tile([0] + 12 * [0] + [0], (12, 1))
        chords[:, [1, 5, 8]] = 1
        chords[4] = [-1] + 12 * [0] + [10]
        np.savez(
            tmp_path / f"{name}.npz",
            **{k: np.array(v) for k, v in q.items()},
            start_table=np.zeros((21, 3), dtype=int),
            db_pos=np.array([0, 4, 8]),
            db_pos_filter=np.array([True, True, False]),
            beat_positions=times,
            chord_lookup=chords,
        )
        samples = np.zeros(13_312 * 14, dtype=np.float32)
        samples[13_312 + 13_312 * 4] = 0.5  # beat 4
        soundfile.write(tmp_path / f"{name}.wav", samples, 22_050)
        (tmp_path / f"{name}.pickle").write_bytes(pickle.dumps({float(t): i + 1 for i, t in enumerate(times)}))
    return tmp_path


def test_real_pairs_are_read_as_the_original_kept_them(recordings):
    songs = stretched.open_songs(recordings, recordings)
    assert [len(songs[split]) for split in ("train", "validation", "test")] == [1, 1, 0]
    song = songs["train"][0]
    assert song.starts.tolist() == [0, 4] and song.places.tolist() == [1, 5]
    audio = song.audio(1)
    assert audio.shape == (107_496,) and audio[1000] == pytest.approx(0.5, abs=1e-3) and np.abs(audio).sum() < 0.51
    settings = recipe(network=ArrangerConfig.paper(), stage="3b", compat=True)
    batch = stretched.examples([(song, 0), (song, 1)], settings, shift=3)
    assert batch["frames"].shape == (2, 229, 154)
    first = batch["truth"][0, 0, 1:, 0].tolist()
    assert first[:4] == [73, 51, 43, 129]  # bridge, then piano in file order, up by three; never the melody
    assert not batch["roll"][0].any()
    assert np.argwhere(batch["roll"][1].numpy()).tolist() == [[0, 43], [0, 51], [0, 73], [16, 58], [17, 74]]
    assert np.flatnonzero(batch["chords"][0, 0]).tolist() == [3, 15, 19, 22, 27]
    assert np.flatnonzero(batch["chords"][0, 4]).tolist() == [2, 25]  # no chord: (-1 + 3), (10 + 3) modulo twelve
    assert float(batch["features"][0, 0, 0]) == 1.0  # of 40, not of 43: as before the transposition
    plain = stretched.examples([(song, 0)], recipe(network=ArrangerConfig.paper()), shift=5)
    assert plain["truth"][0, 0, 1:5, 0].tolist() == [45, 53, 75, 129]
    assert not plain["chords"][0, 4].any()


def test_a_pickle_that_holds_more_than_numbers_is_refused(tmp_path):
    import pickle

    from spartito.errors import NotesError

    (tmp_path / "a.pickle").write_bytes(pickle.dumps({np.float64(0.5): np.int64(3)}))
    assert arrangements.read_beat_places(tmp_path / "a.pickle") == {0.5: 3}
    (tmp_path / "b.pickle").write_bytes(pickle.dumps({0.5: print}))
    with pytest.raises(NotesError, match="harmful"):
        arrangements.read_beat_places(tmp_path / "b.pickle")
