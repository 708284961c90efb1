"""Fast generation with Pop2Piano's network: the tokens of the plain algorithm, whatever leaves or is cut."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import DeviceError, ParameterError

torch = pytest.importorskip("torch")
from spartito.models import pop2piano_generate  # noqa: E402
from spartito.models.pop2piano_generate import FastGenerator, _matrix  # noqa: E402
from spartito.models.pop2piano_network import Pop2PianoConfig, Pop2PianoNetwork  # noqa: E402

SIZES = {"vocab_size": 240, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
ROWS, FRAMES = 12, 30


def network(*, ends=2.0, **options):
    """Rows of many lengths: the output for the end is large, its sign varies."""
    torch.manual_seed(0)
    made = Pop2PianoNetwork(Pop2PianoConfig(**SIZES | options)).eval().requires_grad_(False)
    made.lm_head.weight[1] *= ends
    return made


def generator(made, **options):
    return FastGenerator(made.state_dict(), made.config, **options)


def song(seed=0):
    """Features, mask with rows of different lengths in no order, composers."""
    random = np.random.default_rng(seed)
    frames = random.permutation(np.linspace(4, FRAMES, ROWS).astype(int))
    mask = np.arange(FRAMES) < frames[:, None]
    features = random.normal(size=(ROWS, FRAMES, 32)).astype(np.float32) * mask[..., None]
    return features, mask, random.integers(0, 21, ROWS)


def plain(made, features, mask, composers, most, *, full=True):
    """One row and one token after another, everything computed anew."""
    rows, longest = np.zeros((len(features), most), np.int64), 0
    for i, (mel, composer) in enumerate(zip(features, composers)):
        heard = np.ones(len(mel), bool) if mask is None else mask[i]
        tokens = [0]
        while len(tokens) <= most and tokens[-1] != 1:
            logits = made(torch.from_numpy(mel[heard])[None], torch.tensor([composer]), torch.tensor([tokens]))[0, -1]
            if not full:
                logits[[0, 2, 3, *range(234, len(logits))]] = -torch.inf
            tokens.append(int(logits.argmax()))
        rows[i, : len(tokens) - 1] = tokens[1:]
        longest = max(longest, len(tokens) - 1)
    return rows[:, :longest]


@pytest.mark.parametrize("activation", ["relu", "gelu_new"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("full", [False, True])
def test_tokens_of_the_plain_algorithm(activation, masked, full):
    made = network(activation=activation, num_decoder_layers=3)
    features, mask, composers = song()
    mask = mask if masked else None
    wanted = plain(made, features, mask, composers, 16, full=full)
    lengths = np.where((wanted == 1).any(1), (wanted == 1).argmax(1), 16)
    assert len(set(lengths)) >= 3  # rows leave at different times
    written = generator(made).generate(features, mask, composers, max_length=17, full_vocabulary=full)
    np.testing.assert_array_equal(written, wanted)
    assert written.dtype == np.int64


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu_new"])
def test_tokens_of_transformers(tied, activation):
    pytest.importorskip("transformers")
    from transformers import GenerationConfig
    from transformers import Pop2PianoConfig as PortConfig
    from transformers import Pop2PianoForConditionalGeneration as Port

    torch.manual_seed(0)
    port = Port(PortConfig(**SIZES, dense_act_fn=activation, tie_word_embeddings=tied)).eval()
    names = {f"composer{i + 1}": 2052 + i for i in range(21)}
    how = GenerationConfig(
        composer_to_feature_token=names, max_length=40, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0
    )
    config = Pop2PianoConfig(**SIZES, activation=activation, scale_decoder_outputs=tied)
    ours = FastGenerator(port.state_dict(), config)
    features, mask, _ = song()
    for heard in (None, mask):
        attention = None if heard is None else torch.from_numpy(heard).long()
        wanted = port.generate(
            torch.from_numpy(features), attention_mask=attention, composer="composer5", generation_config=how
        )
        written = ours.generate(features, heard, np.full(ROWS, 4), max_length=40, full_vocabulary=True)
        np.testing.assert_array_equal(written, wanted[:, 1:].numpy())


def test_a_row_is_the_same_alone_and_in_any_batch(monkeypatch):
    made = generator(network())
    features, mask, composers = song()
    together = made.generate(features, mask, composers, max_length=30)
    monkeypatch.setattr(pop2piano_generate, "ROWS", 5)
    monkeypatch.setattr(pop2piano_generate, "ENCODED_ROWS", 2)
    np.testing.assert_array_equal(made.generate(features, mask, composers, max_length=30), together)
    for i in range(ROWS):
        alone = made.generate(features[i : i + 1, mask[i]], None, composers[i : i + 1], max_length=30)
        np.testing.assert_array_equal(alone[0], together[i, : alone.shape[1]])
        assert not together[i, alone.shape[1] :].any()


def test_holes_in_the_mask():
    made = network()
    features, mask, composers = song()
    mask[:, 2] = False
    features[:, 2] = 1e3
    written = generator(made).generate(features, mask, composers, max_length=20, full_vocabulary=True)
    calm = np.where(mask[..., None], features, 0.0)
    again = generator(made).generate(calm, mask, composers, max_length=20, full_vocabulary=True)
    np.testing.assert_array_equal(written, again)


def test_rows_without_an_end_fill_the_length():
    made = network(ends=0.0)
    made.lm_head.weight[234:] = 0.0
    made.lm_head.weight[0] = 0.0
    features, mask, composers = song()
    written = generator(made).generate(features, mask, composers, max_length=18)
    assert written.shape == (ROWS, 17) and (written > 1).all()


def test_length_per_row():
    made = generator(network(ends=0.0))
    features, mask, composers = song()
    most = np.arange(2, 2 + ROWS)[::-1].copy()
    written = made.generate(features, mask, composers, max_length=most)
    np.testing.assert_array_equal((written != 0).sum(1), most - 1)
    free = made.generate(features, mask, composers, max_length=30)
    for i in range(ROWS):
        np.testing.assert_array_equal(written[i, : most[i] - 1], free[i, : most[i] - 1])


def test_only_known_tokens_unless_asked_for():
    made = network()
    made.lm_head.weight[[2, 3, 235]] *= 5.0
    features, mask, composers = song()
    all_ids = generator(made).generate(features, mask, composers, max_length=20, full_vocabulary=True)
    assert np.isin(all_ids, [2, 3, 235]).any()
    written = generator(made).generate(features, mask, composers, max_length=20)
    inside = np.cumsum(written == 1, axis=1) - (written == 1) == 0
    assert np.isin(written[inside], [1, *range(4, 234)]).all()


def test_progress_and_threads():
    made = generator(network(), threads=1)
    before, shares = torch.get_num_threads(), []
    features, mask, composers = song()
    made.generate(features, mask, composers, max_length=20, progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) > 2
    assert torch.get_num_threads() == before


def test_nothing_to_write():
    made = generator(network())
    assert made.generate(np.zeros((0, 5, 32), np.float32), None, np.zeros(0, int)).shape == (0, 0)


@pytest.mark.parametrize("precision, error", [("fp32", 1e-6), ("bf16", 0.01), ("int8", 2e-4)])
def test_matrix(precision, error):
    torch.manual_seed(0)
    weight, x = torch.randn(48, 64), torch.randn(2, 5, 64)
    wanted = x @ weight.T
    made = _matrix(weight, precision)(x)
    assert made.shape == wanted.shape
    assert (made.float() - wanted).norm() < error * wanted.norm()
    assert not _matrix(weight, precision)(torch.zeros(1, 64)).any()


def test_int8_keeps_rows_apart():
    torch.manual_seed(0)
    made, x = _matrix(torch.randn(48, 64), "int8"), torch.randn(3, 64)
    loud = torch.cat([x, 1e4 * x])
    torch.testing.assert_close(made(loud)[:3], made(x))


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_rounded_tokens_mostly_agree(precision):
    made = network()
    features, mask, composers = song()
    exact = generator(made).generate(features, mask, composers, max_length=8)
    rounded = generator(made, precision=precision).generate(features, mask, composers, max_length=8)
    width = min(exact.shape[1], rounded.shape[1])
    assert (exact[:, :width] == rounded[:, :width]).mean() > 0.6


def test_bad_input():
    made = generator(network())
    features, mask, composers = song()
    with pytest.raises(ParameterError, match="features are"):
        made.generate(features[..., :31], mask, composers)
    with pytest.raises(ParameterError, match="mask is"):
        made.generate(features, mask[:, 1:], composers)
    with pytest.raises(ParameterError, match="0 to 20"):
        made.generate(features, mask, np.full(ROWS, 21))
    with pytest.raises(ParameterError, match="at least 2"):
        made.generate(features, mask, composers, max_length=1)
    with pytest.raises(ParameterError, match="fp32, bf16, int8"):
        generator(network(), precision="fp16")
    with pytest.raises(DeviceError):
        generator(network(), device="abacus")
