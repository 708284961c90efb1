"""Pop2Piano's network: shapes, distances, masks, and the same numbers as transformers."""

from __future__ import annotations

import pytest

from spartito.errors import ModelError, ParameterError

torch = pytest.importorskip("torch")
from spartito.models.pop2piano_network import Pop2PianoConfig, Pop2PianoNetwork, buckets  # noqa: E402

SIZES = {"vocab_size": 240, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}


def network(seed=0, **options):
    torch.manual_seed(seed)
    return Pop2PianoNetwork(Pop2PianoConfig(**SIZES | options)).eval().requires_grad_(False)


def inputs(*, rows=4, frames=30, length=20, width=32, seed=1):
    torch.manual_seed(seed)
    heard = torch.ones(rows, frames, dtype=torch.bool)
    for i in range(1, rows):
        heard[i, frames // i - 5 :] = False
    return torch.randn(rows, frames, width), torch.arange(rows), torch.randint(0, 234, (rows, length)), heard


def test_published_size():
    with torch.device("meta"):
        made = Pop2PianoNetwork()
    assert sum(p.numel() for p in made.parameters()) == 59_108_352
    shapes = {name: tuple(p.shape) for name, p in made.state_dict().items()}
    assert shapes["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] == (32, 8)
    assert shapes["decoder.block.5.layer.1.EncDecAttention.q.weight"] == (512, 512)
    assert shapes["decoder.block.5.layer.2.DenseReluDense.wi_1.weight"] == (2048, 512)
    assert shapes["encoder.block.5.layer.1.layer_norm.weight"] == (512,)
    assert shapes["mel_conditioner.embedding.weight"] == (21, 512)
    assert "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight" not in shapes


def test_rows_of_the_bias_table():
    config = Pop2PianoConfig()
    ahead = torch.tensor([0, 1, 7, 8, 15, 16, 32, 64, 127, 128, 500])
    # 8 + floor(8 ln(n / 8) / ln 16) from 8 on, at most 15
    wanted = [0, 1, 7, 8, 9, 10, 12, 14, 15, 15, 15]
    assert buckets(-ahead, config, both_ways=True).tolist() == wanted
    assert buckets(ahead, config, both_ways=True).tolist() == [0] + [16 + row for row in wanted[1:]]
    # 16 + floor(16 ln(n / 16) / ln 8) from 16 on, at most 31
    assert buckets(-ahead, config, both_ways=False).tolist() == [0, 1, 7, 8, 15, 16, 21, 26, 31, 31, 31]
    assert buckets(ahead, config, both_ways=False).tolist() == [0] * len(ahead)


@pytest.mark.parametrize("activation", ["relu", "gelu_new"])
@pytest.mark.parametrize("tied", [False, True])
def test_logits_are_those_of_transformers(activation, tied):
    pytest.importorskip("transformers")
    from transformers import Pop2PianoConfig as PortConfig
    from transformers import Pop2PianoForConditionalGeneration as Port

    torch.manual_seed(0)
    port = Port(PortConfig(**SIZES, dense_act_fn=activation, tie_word_embeddings=tied)).eval()
    scaled = port.config.scale_decoder_outputs
    assert scaled == tied
    config = Pop2PianoConfig.from_dict(
        port.config.to_dict() | {"activation": activation, "scale_decoder_outputs": scaled}
    )
    ours = Pop2PianoNetwork.from_state(port.state_dict(), config)
    mel, composers, tokens, heard = inputs(frames=150, length=170)
    frames = torch.cat([port.mel_conditioner.embedding(composers)[:, None], mel], dim=1)
    mask = torch.cat([heard[:, :1], heard], dim=1).long()
    with torch.no_grad():
        plain = port(inputs_embeds=frames, decoder_input_ids=tokens).logits
        masked = port(inputs_embeds=frames, decoder_input_ids=tokens, attention_mask=mask).logits
        torch.testing.assert_close(ours(mel, composers, tokens), plain, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(ours(mel, composers, tokens, heard), masked, atol=1e-4, rtol=1e-4)
    assert (plain - masked).abs().max() > 0.01


def test_activation_matters():
    mel, composers, tokens, _ = inputs()
    difference = network()(mel, composers, tokens) - network(activation="relu")(mel, composers, tokens)
    assert difference.abs().max() > 0.01


def test_padding_and_neighbours_have_no_influence():
    made = network()
    mel, composers, tokens, heard = inputs()
    together = made(mel, composers, tokens, heard)
    for i in range(len(mel)):
        one = slice(i, i + 1)
        alone = made(mel[one, heard[i]], composers[one], tokens[one])
        torch.testing.assert_close(together[one], alone, atol=1e-5, rtol=1e-5)


def test_the_future_has_no_influence():
    made = network()
    mel, composers, tokens, _ = inputs()
    changed = tokens.clone()
    changed[:, 12:] = 7
    before, after = made(mel, composers, tokens), made(mel, composers, changed)
    torch.testing.assert_close(before[:, :12], after[:, :12])
    assert (before[:, 12:] - after[:, 12:]).abs().max() > 0.01


def test_weights_are_checked():
    state, config = network().state_dict(), Pop2PianoConfig(**SIZES)
    state["encoder.embed_tokens.weight"] = state["shared.weight"]  # older files have the copy
    Pop2PianoNetwork.from_state(state, config)
    with pytest.raises(ModelError, match=r"decoder\.final_layer_norm\.weight"):
        Pop2PianoNetwork.from_state(
            {name: w for name, w in state.items() if name != "decoder.final_layer_norm.weight"}, config
        )
    with pytest.raises(ModelError, match=r"lm_head\.weight"):
        Pop2PianoNetwork.from_state(state | {"lm_head.weight": torch.zeros(3, 32)}, config)


def test_config():
    config = Pop2PianoConfig.from_dict({"num_layers": 3, "is_gated_act": True, "dropout_rate": 0.1})
    assert config.num_decoder_layers == 3 and config.activation == "gelu_new" and not config.scale_decoder_outputs
    with pytest.raises(ModelError, match="gated"):
        Pop2PianoConfig(feed_forward_proj="relu")
    with pytest.raises(ParameterError, match="gelu_new, relu"):
        Pop2PianoConfig(activation="tanh")
