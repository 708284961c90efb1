"""The arranger's networks: tensors as published, decoding by hand, quirks, graphs and the runtime without torch."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spartito.errors import ModelError, ParameterError
from spartito.models.hub import find_model, load_model
from spartito.models.pianotree import END, PAD, START, encode, notes_of, roll_of

torch = pytest.importorskip("torch")
from spartito.models.arranger import TYPES, ArrangerConfig, ArrangerNetwork  # noqa: E402
from spartito.models.arranger_convert import convert_arranger, type_of  # noqa: E402
from spartito.models.arranger_parts import ChordDecoder  # noqa: E402
from spartito.models.arranger_runtime import Arranger, Song, _drawn, arrange_autoregressive  # noqa: E402
from spartito.models.pianotree_decoder import Choice, PianoTreeConfig, PianoTreeDecoder, _median  # noqa: E402

SPECIFICATION = Path(__file__).parents[3] / "shared" / "specs" / "a2s_state_dict.json"
COUNTS = {  # tensors, parameters: a2s.md, section 2
    "a2s": (234, 62_273_625),
    "a2s-nochd": (207, 61_000_965),
    "supervised": (176, 48_452_573),
    "supervised+kl": (176, 48_452_573),
}
PARTS = {"chord_enc": 582_912, "chord_dec": 1_361_748, "transcriber": 26_491_256, "frame_enc": 11_885_780}
PARTS |= {"prmat_enc": 9_211_170, "feat_dec": 3_779_718, "feat_emb_layer": 256, "pianotree_dec": 8_960_785}


def paper(kind: str) -> ArrangerNetwork:
    with torch.device("meta"):
        return ArrangerNetwork(ArrangerConfig.paper(kind))


def lively(config: ArrangerConfig, seed: int = 0) -> ArrangerNetwork:
    """A random network that writes many notes and ends its steps."""
    torch.manual_seed(seed)
    network = ArrangerNetwork(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.5)
        if config.key_channels:  # one key in twenty begins at a step
            frames, chords, _ = inputs(2)
            given = torch.from_numpy(chords) if config.has_chords else None
            found = network.key_enc(torch.from_numpy(frames), given, torch.ones(2, 1))[..., 0]
            network.key_enc.out.weight[0] *= 2 / found.std()
            network.key_enc.out.bias[0] = -4.0 - 2 * (found.mean() - network.key_enc.out.bias[0]) / found.std()
        for parameter in network.parameters():
            parameter.copy_(parameter.half().float())  # as files hold them
    return network


def inputs(count: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    frames = rng.random((count, 4, 132, 88), dtype=np.float32)
    chords = (rng.random((count, 8, 36)) < 0.2).astype(np.float32)
    prompt = (rng.random((count, 32, 128)) < 0.03).astype(np.float32) * 4
    return frames, chords, prompt


# -- the published tensors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TYPES)
def test_the_paper_has_the_published_numbers_of_tensors_and_parameters(kind):
    network = paper(kind)
    assert (len(network.state_dict()), sum(p.numel() for p in network.parameters())) == COUNTS[kind]
    if kind == "a2s":
        assert {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()} == PARTS


@pytest.mark.parametrize("kind", TYPES)
def test_names_order_and_shapes_are_those_of_the_published_weights(kind):
    if not SPECIFICATION.exists():
        pytest.skip(f"{SPECIFICATION} is not here")
    wanted = json.loads(SPECIFICATION.read_text())[kind]
    network = paper(kind)
    assert [(name, list(t.shape)) for name, t in network.state_dict().items()] == list(wanted.items())
    state = {name: torch.empty(shape, device="meta") for name, shape in wanted.items()}
    network.load_state_dict(state, strict=True, assign=True)


def test_settings_survive_json_and_wrong_ones_are_refused():
    config = ArrangerConfig.small("a2s-nochd")
    assert ArrangerConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(ParameterError, match="no setting 'wings'"):
        ArrangerConfig.from_dict({"wings": 2})
    with pytest.raises(ParameterError, match="one of a2s"):
        ArrangerConfig.paper("a3s")


def test_the_small_configuration_is_small():
    for kind, most in (("a2s", 2.1e6), ("supervised", 1.7e6)):
        assert sum(p.numel() for p in ArrangerNetwork(ArrangerConfig.small(kind)).parameters()) < most


# -- the decoder by hand ----------------------------------------------------------------------------------------


def plain_decoder(**changes) -> PianoTreeDecoder:
    """A small decoder in the published layout."""
    torch.manual_seed(1)
    sizes = {
        "latent": 6,
        "features": 3,
        "time_input": 4,
        "time_units": 10,
        "note_units": 8,
        "embedding": 6,
        "summary": 5,
    }
    return PianoTreeDecoder(PianoTreeConfig(**(sizes | changes))).eval()


def told(decoder: PianoTreeDecoder, pitches: list[int]) -> Choice:
    """Make the decoder answer with these pitches in turn, whatever it is asked, again and again."""
    answers = iter(pitches * 64)

    def logits(g, evidence, last, trust):
        result = torch.zeros(len(g), 130)
        result[:, next(answers)] = 9.0
        return result, None

    decoder._pitch_logits = logits
    return Choice(compat=True)


def test_a_note_is_its_pitch_and_the_bits_as_numbers():
    decoder = plain_decoder()
    weight, bias = decoder.note_embedding.weight, decoder.note_embedding.bias
    note = torch.tensor([[60, 0, 1, 0, 1, 1], [PAD, 2, 2, 2, 2, 2]])
    found = decoder.embed(note)
    torch.testing.assert_close(found[0], weight[:, 60] + weight[:, 131] + weight[:, 133] + weight[:, 134] + bias)
    torch.testing.assert_close(found[1], 2 * weight[:, 130:].sum(1) + bias)


def test_the_summary_of_a_prediction_leaves_the_end_mark_out_and_that_of_the_truth_counts_it():
    """compat: of a step (60, 64, end) start and notes are summarised, 3 slots; of the same truth 4."""
    lengths = []
    decoder = plain_decoder()
    choice = told(decoder, [60, 64, END] + [50] * 12)
    whole = decoder.summary
    decoder.summary = lambda embedded, length: (lengths.append(length.tolist()), whole(embedded, length))[1]
    truth = torch.from_numpy(encode(np.array([[0, t, p, 1] for t in range(32) for p in (60, 64)]), 1))
    z, features = torch.zeros(1, 6), torch.zeros(1, 32, 3)
    decoder(z, features, choice=choice)
    assert lengths == [[3]] * 31
    lengths.clear()
    told(decoder, [60, 64, END] + [50] * 12)
    decoder(z, features, truth=truth, ratios=(1.0, 0.0), choice=choice)
    assert lengths == [[4]] * 31
    lengths.clear()
    told(decoder, [60, 64, END] + [50] * 12)
    decoder(z, features, truth=truth, ratios=(1.0, 0.0))  # default: both without the end mark
    assert lengths == [[3]] * 31


def test_without_an_end_mark_compat_summarises_fifteen_slots():
    lengths = []
    decoder = plain_decoder()
    choice = told(decoder, list(range(40, 55)))
    whole = decoder.summary
    decoder.summary = lambda embedded, length: (lengths.append(length.tolist()), whole(embedded, length))[1]
    grid = decoder(torch.zeros(1, 6), torch.zeros(1, 32, 3), choice=choice).grid
    assert lengths[0] == [15] and len(notes_of(grid.numpy())) == 15 * 32
    assert len(notes_of(grid.numpy(), compat=True)) == 10 * 32


def test_coins_are_drawn_note_by_note_then_for_the_step():
    draws = []

    def coin():
        draws.append(0)
        return 0.5

    decoder = plain_decoder()
    decoder(torch.zeros(2, 6), torch.zeros(2, 32, 3), coin=coin)
    assert len(draws) == 32 * 14 + 31


def test_teacher_forcing_everywhere_is_the_fast_path():
    """`forced` = `forward` with both ratios 1, with and without evidence per key."""
    rng = np.random.default_rng(3)
    cells = rng.choice(2 * 32 * 88, 160, replace=False)
    notes = np.column_stack([cells // (32 * 88), cells // 88 % 32, 21 + cells % 88, rng.integers(1, 33, 160)])
    truth = torch.from_numpy(encode(notes, 2))
    z, features = torch.randn(2, 6), torch.randn(2, 32, 3)
    for keys in (None, torch.randn(2, 32, 88, 6)):
        decoder = plain_decoder(keys=keys is not None)
        slow = decoder(z, features, keys=keys, truth=truth, ratios=(1.0, 1.0), coin=lambda: 0.0)
        fast = decoder.forced(z, features, truth, keys=keys)
        there = truth[:, :, 1:, 0] != PAD
        assert len(fast.target) == int(there.sum()) == 160 + 64

        def sums(pitch, target):
            return torch.nn.functional.cross_entropy(pitch, target[:, 0], reduction="sum")

        torch.testing.assert_close(
            sums(fast.pitch, fast.target), sums(slow.pitch[there], truth[:, :, 1:][there]), rtol=1e-4, atol=1e-3
        )
        bits = fast.target[:, 0] < START
        entropy = torch.nn.functional.cross_entropy
        there = truth[:, :, 1:, 0] < START
        found = entropy(fast.duration[bits].flatten(0, 1), fast.target[bits][:, 1:].flatten())
        wanted = entropy(slow.duration[there].flatten(0, 1), truth[:, :, 1:][there][:, 1:].flatten())
        if keys is None:
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
        else:  # free decoding looks up the evidence of its own choice of pitch
            assert torch.isfinite(found) and torch.isfinite(wanted)


def test_questions_per_key_make_a_distribution_and_rise():
    decoder = plain_decoder(keys=True)
    g, evidence = torch.randn(3, 8), torch.randn(3, 88)
    last = torch.tensor([-1, 40, 87])
    logits, hazard = decoder._pitch_logits(g, evidence, last)
    torch.testing.assert_close(logits.exp().sum(-1), torch.ones(3))
    odds = torch.sigmoid(hazard[1])
    torch.testing.assert_close(logits[1, 21 + 42].exp(), (1 - odds[41]) * odds[42], rtol=1e-4, atol=0)
    torch.testing.assert_close(logits[1, END].exp(), (1 - odds[41:]).prod(), rtol=1e-3, atol=0)
    assert logits[1, 21 : 21 + 41].max() < -1e8 and logits[2, :END].max() < -1e8


def test_the_median_of_a_duration_by_hand():
    """P(16 more) = 0.6, P(2 more) = 0.4, P(1 more) = 0.9: 17..19 steps and 1..3 have 0.6 and 0.4; the middle is 18."""
    odds = torch.tensor([[0.6, 0.0, 0.0, 0.4, 0.9]]).clamp(1e-6, 1 - 1e-6)
    logits = torch.stack([(1 - odds).log(), odds.log()], dim=-1)
    # shares: 1: .4*.6*.1 = .024, 2: .216, 3: .016, 4: .144 (sum .4); 17: .036 -> .436, 18: .324 -> .76
    assert _median(logits).tolist() == [[1, 0, 0, 0, 1]]  # 17 more than 1: 18
    assert logits.argmax(-1).tolist() == [[1, 0, 0, 0, 1]]
    logits[0, 0] = torch.tensor([0.4, 0.6]).flip(0).log()  # now 16 more has 0.4: 1..4 have 0.6
    assert _median(logits).tolist() == [[0, 0, 0, 1, 1]]  # 1: .036, 2: .36, 3: .384, 4: .6


def test_default_decoding_is_never_malformed_and_compat_may_be():
    decoder = plain_decoder()
    z, features = torch.randn(4, 6), torch.randn(4, 32, 3)
    with torch.no_grad():
        decoder.pitch_out_linear.bias[START] = 20.0
    assert (decoder(z, features, choice=Choice(compat=True)).grid[..., 0] == START).all()
    pitches = decoder(z, features).grid[..., 0].numpy()
    for step in pitches.reshape(-1, 15):
        notes = step[: np.argmax(step == END) if END in step else 15]
        assert len(set(notes)) == len(notes) and (notes < START).all()


@pytest.mark.parametrize("keys", [False, True])
def test_stopping_early_changes_no_note(keys):
    decoder = plain_decoder(keys=keys)
    with torch.no_grad():
        decoder.pitch_out_linear.weight.mul_(12)
        decoder.pitch_out_linear.bias[END] += 2.0
        if keys:
            decoder.pitch_out_linear.bias.sub_(6.0)
        decoder.note_embedding.weight.mul_(4)
    z, features = 3 * torch.randn(5, 6), 3 * torch.randn(5, 32, 3)
    extra = {"keys": torch.randn(5, 32, 88, 6)} if keys else {}
    early = notes_of(decoder(z, features, stop_early=True, **extra).grid.numpy())
    np.testing.assert_array_equal(early, notes_of(decoder(z, features, **extra).grid.numpy()))
    assert 0 < len(early) < 5 * 32 * 15


def test_chord_tokens_of_compat_are_unions_over_the_batch():
    """Two items with different chords: by default each is the same alone and in the batch; with compat it is not."""
    torch.manual_seed(2)
    decoder = ChordDecoder(5, 12, 4).eval()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(4)
    z = torch.tensor([[2.0, -2.0, 2.0, 0.0, 1.0], [-2.0, 2.0, -2.0, 1.0, 0.0]])
    alone = torch.cat([decoder(row[None])[0] for row in z])
    torch.testing.assert_close(decoder(z)[0], alone)
    together = decoder(z, compat=True)[0]
    torch.testing.assert_close(together[:, 0], alone[:, 0])  # the first step has no token yet
    assert alone[0, 0].argmax() != alone[1, 0].argmax()
    assert (together[:, 1] - alone[:, 1]).abs().max() > 1e-3
    same = z[:1].repeat(2, 1)  # equal items: the union is the ordinary one-hot
    torch.testing.assert_close(decoder(same, compat=True)[0], decoder(same)[0])


# -- the runtime --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """name -> (network, Arranger) of an exported tiny network of each type; and a second a2s as stage 3b."""
    pytest.importorskip("onnx")
    from safetensors.torch import save_file

    from spartito.models.arranger_export import export_arranger

    root, found = tmp_path_factory.mktemp("arrangers"), {}
    for seed, (name, kind) in enumerate([*((k, k) for k in TYPES), ("auto", "a2s")]):
        network, run = lively(ArrangerConfig.tiny(kind), seed), root / f"run-{name}"
        run.mkdir()
        save_file({k: v.half().contiguous() for k, v in network.state_dict().items()}, run / "model.safetensors")
        described = {"name": name, "job": "arrangement", "stage": "3b" if name == "auto" else "3a", "input": "frames"}
        described |= {
            "network": network.config.to_dict(),
            "decoder": {"threshold": 0.4, "trust": 0.75, "durations": "median"},
        }
        (run / "config.json").write_text(json.dumps(described))
        found[name] = network, load_model(export_arranger(run, root / name), threads=1)
    return found


def without_rest(grid: np.ndarray) -> np.ndarray:
    """What stands behind end marks, and the marks' bits, as the runtime leaves them."""
    grid = grid.copy()
    behind = np.logical_or.accumulate(grid[..., 0] == END, axis=-1)
    grid[behind] = [PAD, 2, 2, 2, 2, 2]
    marks = behind & ~np.pad(behind[..., :-1], ((0, 0), (0, 0), (1, 0)))
    grid[marks, 0] = END
    return grid


@pytest.mark.parametrize("kind", TYPES)
def test_graph_and_arrays_write_what_the_network_writes(exported, kind):
    network, arranger = exported[kind]
    assert isinstance(arranger, Arranger) and arranger.kind == kind
    frames, chords, prompt = inputs(5)
    choice = Choice(threshold=0.4, trust=0.75, median=True)
    for given, melody in ((None, "include"), (None, "omit"), (prompt, "include")):
        if given is not None and not arranger.has_symbols:
            continue
        condition = torch.full((5, 1), float(melody == "include"))
        tensors = (None if x is None else torch.from_numpy(x) for x in (frames, chords, given))
        wanted = network.arrange(*tensors, condition, choice=choice).numpy()
        found = arranger.arrange(frames, chords, prompt=given, melody=melody, batch_size=2)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, without_rest(wanted))
        if melody == "include":
            assert 5 < len(notes_of(found)) < 5 * 32 * 15


def test_the_graph_agrees_with_the_network_to_1e_4(exported):
    network, arranger = exported["a2s"]
    frames, chords, prompt = inputs(3)
    condition = np.ones((3, 1), dtype=np.float32)
    found = arranger.encoder({"frames": frames, "chords": chords, "condition": condition})
    with torch.no_grad():
        encoded = network.encode(*(torch.from_numpy(x) for x in (frames, chords, prompt, condition)))
    wanted = (encoded.audio.mean, encoded.chord.mean, encoded.local, encoded.keys)
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(arranger.prompts({"prompt": prompt})[0], encoded.symbol.mean.numpy(), atol=1e-4)


def test_drawn_notes_follow_the_seed_and_not_the_batches(exported):
    arranger = exported["a2s"][1]
    frames, chords, _ = inputs(5)
    first = arranger.arrange(frames, chords, temperature=1.0, seed=3)
    np.testing.assert_array_equal(first, arranger.arrange(frames, chords, temperature=1.0, seed=3, batch_size=2))
    assert (first != arranger.arrange(frames, chords, temperature=1.0, seed=4)).any()
    for segment, step in np.ndindex(5, 32):  # well formed: rising pitches
        notes = first[segment, step, :, 0]
        notes = notes[: np.argmax(notes == END) if END in notes else 15]
        assert (np.diff(notes) > 0).all()


def test_draws_have_the_right_probabilities():
    """Two keys of 0.5: the lower 0.5, the upper 0.25, the end 0.25; at temperature 0.5 their squares, normed."""
    hazard = np.full((20_000, 88), -40.0)
    hazard[:, [10, 50]] = 0.0
    noise = -np.log(-np.log(np.random.default_rng(0).random((20_000, 89))))
    for temperature, wanted in ((1.0, (0.5, 0.25, 0.25)), (0.5, (4 / 6, 1 / 6, 1 / 6))):
        key, ended = _drawn(hazard, np.ones((20_000, 88), dtype=bool), temperature, noise)
        shares = [(~ended & (key == 10)).mean(), (~ended & (key == 50)).mean(), ended.mean()]
        np.testing.assert_allclose(shares, wanted, atol=0.02)


def test_songs_together_are_songs_one_by_one(exported):
    first, auto = exported["a2s"][1], exported["auto"][1]
    songs = []
    for seed, bars in enumerate(([4, 4, 4, 4], [4, 3, 4], [4])):
        frames, chords, _ = inputs(len(bars), seed=10 + seed)
        songs.append(Song(frames, chords, np.array(bars)))
    together = arrange_autoregressive(songs, model=auto, first_model=first)
    for song, grid in zip(songs, together, strict=True):
        np.testing.assert_array_equal(grid, arrange_autoregressive([song], model=auto, first_model=first)[0])
    # by hand: the first segment and the one behind a bar of three come from the first model, others are told
    frames, chords = songs[1].frames, songs[1].chords
    np.testing.assert_array_equal(together[1][[0, 2]], first.arrange(frames, chords)[[0, 2]])
    prompt = roll_of(together[1][:1])
    np.testing.assert_array_equal(together[1][1:2], auto.arrange(frames[1:2], chords[1:2], prompt=prompt))
    with pytest.raises(ParameterError, match="supervised"):
        arrange_autoregressive(songs, model=exported["supervised"][1], first_model=first)


def test_an_arranger_says_what_it_lacks(exported):
    arranger = exported["a2s"][1]
    frames, chords, prompt = inputs(2)
    assert arranger.arrange(frames[:0], chords[:0]).shape == (0, 32, 15, 6)
    for arguments, message in (
        ({"chords": None}, "chords of all 2"),
        ({"chords": chords, "melody": "hum"}, "include, omit"),
        ({"chords": chords, "temperature": -1.0}, "temperature"),
    ):
        with pytest.raises(ParameterError, match=message):
            arranger.arrange(frames, **arguments)
    with pytest.raises(ParameterError, match="takes no prompt"):
        exported["supervised"][1].arrange(frames, prompt=prompt)


# -- original checkpoints -----------------------------------------------------------------------------------------


@pytest.fixture
def reduced(monkeypatch):
    """The published layout with few channels in the place of the published sizes."""

    def few(kind="a2s"):
        sizes = {"local_features": 0, "key_channels": 0, "conditions": 0, "leftovers": True}
        return replace(ArrangerConfig.tiny(kind), transcriber=1, frame_channels=3, **sizes)

    monkeypatch.setattr(ArrangerConfig, "paper", staticmethod(few))
    return few


@pytest.mark.parametrize("kind", ["a2s", "a2s-nochd", "supervised"])
def test_an_original_checkpoint_is_converted_and_runs(tmp_path, reduced, kind):
    torch.manual_seed(0)
    network = ArrangerNetwork(reduced(kind)).eval()
    path = tmp_path / f"{kind}-stage3b.pt"
    torch.save({f"module.{name}": tensor for name, tensor in network.state_dict().items()}, path)
    arranger = load_model(convert_arranger(path, tmp_path / "model"), device="cpu")
    assert (arranger.kind, arranger.input, arranger.stage) == (kind, "mel", "3b")
    rng = np.random.default_rng(0)
    mel = rng.normal(-5, 2, (2, 229, 153)).astype(np.float32)
    chords = (rng.random((2, 8, 36)) < 0.2).astype(np.float32)
    given = torch.from_numpy(chords) if kind == "a2s" else None
    wanted = network.arrange(torch.from_numpy(mel), given, choice=Choice(compat=True)).numpy()
    np.testing.assert_array_equal(arranger.arrange(mel, chords, compat=True, batch_size=1), wanted)
    if kind == "supervised":
        drawn = arranger.arrange(mel, temperature=1.0, seed=1)
        np.testing.assert_array_equal(drawn, arranger.arrange(mel, temperature=1.0, seed=1, batch_size=1))


def test_what_is_no_checkpoint_of_a2s_is_refused(tmp_path, reduced):
    network = ArrangerNetwork(reduced("a2s"))
    state = network.state_dict()
    del state["feat_dec.out.bias"]
    torch.save(state, tmp_path / "less.pt")
    with pytest.raises(ModelError, match="1 tensors are missing"):
        convert_arranger(tmp_path / "less.pt", tmp_path / "model")
    assert not (tmp_path / "model").exists()
    state["feat_dec.out.bias"] = torch.full((3,), torch.nan)
    torch.save(state, tmp_path / "nan.pt")
    with pytest.raises(ModelError, match="not finite"):
        convert_arranger(tmp_path / "nan.pt", tmp_path / "model")
    with pytest.raises(ModelError, match="no A2S network"):
        type_of({"weight": np.zeros(1)})
    with pytest.raises(ModelError, match="no checkpoint file"):
        convert_arranger(tmp_path / "nothing.pt", tmp_path / "model")


# -- what ships ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a2s", "a2s-auto", "supervised+kl"])
def test_shipped_arrangers_open_and_know_their_transcriber(name, recwarn):
    try:
        info = find_model(name)
    except ModelError:
        pytest.skip(f"{name} is not there yet")
    arranger = load_model(name, threads=1)
    assert not [w for w in recwarn if "another transcribe-free" in str(w.message)]
    assert info.licence == "MIT" and info.job == "arrangement"
    frames, chords, _ = inputs(2)
    assert arranger.arrange(0 * frames, chords).shape == (2, 32, 15, 6)
