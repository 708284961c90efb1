"""Pop2Piano's network: a T5 that hears log-mel frames and writes tokens, weights compatible with the published ones.

    mel (N, T, 512) -> [composer vector | mel] (N, T + 1, 512) -> encoder -> memory
    tokens (N, L)   -> embedding -> decoder, which attends to the memory  -> logits (N, L, 2400)

Both stacks normalise before each part (root mean square, no bias), know positions only through a learnt bias per head
and distance, shared by the layers of a stack, and do not divide attention scores by the square root of the width. The
feed-forward part is gated. Mel frames enter as they are: the mel has as many bands as the network is wide.

Sources: J. Choi and K. Lee, "Pop2Piano: pop audio-based piano cover generation", ICASSP 2023; C. Raffel et al.,
"Exploring the limits of transfer learning with a unified text-to-text transformer" (T5), JMLR 2020; N. Shazeer, "GLU
variants improve transformer", 2020. Names and shapes of the tensors are those of `sweetcocoa/pop2piano`. Written anew.
Two things that the file's own configuration does not tell have to be given, `activation` and `scale_decoder_outputs`:
the weights were made with the tanh form of GELU and no scaling, while transformers since its port computes ReLU.
Dropout, for training, falls where T5 has it: behind the inputs, the gates, the softmax, each part and the last
normalisation.

This module is the network as such, for any number of tokens at once. `pop2piano_generate` makes tokens with it, fast.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spartito.errors import ModelError, ParameterError

__all__ = ["Pop2PianoConfig", "Pop2PianoNetwork"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu_new": partial(F.gelu, approximate="tanh"), "relu": F.relu}


@dataclass(frozen=True)
class Pop2PianoConfig:
    """Sizes of the network, called as in the published config.json; the defaults are the published network's
    (59,108,352 parameters)."""

    vocab_size: int = 2400
    """Tokens; 0 to 233 are used."""
    composer_vocab_size: int = 21
    d_model: int = 512
    """Width, and bands of the mel."""
    d_kv: int = 64
    """Width of a head."""
    d_ff: int = 2048
    num_layers: int = 6
    """Of the encoder."""
    num_decoder_layers: int | None = None
    """As many as the encoder's when None."""
    num_heads: int = 8
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    """Positions; whatever is farther shares the last bucket."""
    dropout_rate: float = 0.1
    """In training."""
    layer_norm_epsilon: float = 1e-6
    feed_forward_proj: str = "gated-gelu"
    """Must be gated; which activation is said by `activation`."""
    activation: str = "gelu_new"
    """Of the gate: "gelu_new" as trained, or "relu" as in transformers."""
    scale_decoder_outputs: bool = False
    """Whether the decoder's output is divided by the square root of the width."""

    def __post_init__(self):
        if self.activation not in ACTIVATIONS:
            raise ParameterError(f"the activation is one of {', '.join(ACTIVATIONS)}, not {self.activation!r}")
        if not self.feed_forward_proj.startswith("gated-"):
            raise ModelError(f"only gated feed-forward layers are known here, not {self.feed_forward_proj!r}")
        if self.num_decoder_layers is None:
            object.__setattr__(self, "num_decoder_layers", self.num_layers)

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Pop2PianoConfig:
        """From the keys of a config.json; unknown ones are passed over."""
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in mapping.items() if key in known})


class Pop2PianoNetwork(nn.Module):
    """See the module's text."""

    def __init__(self, config: Pop2PianoConfig | None = None):
        super().__init__()
        self.config = config = config or Pop2PianoConfig()
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.mel_conditioner = nn.Module()
        self.mel_conditioner.embedding = nn.Embedding(config.composer_vocab_size, config.d_model)
        self.encoder = Stack(config, decoder=False)
        self.decoder = Stack(config, decoder=True)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], config: Pop2PianoConfig) -> Pop2PianoNetwork:
        """With the weights `state`, in float32; tensors of other names are passed over.

        Raises ModelError, with the tensor's name, when one is missing or has another shape.
        """
        with torch.device("meta"):
            network = cls(config)
        found = {}
        for name, wanted in network.state_dict().items():
            if name not in state:
                raise ModelError(f"the weights lack {name}: this is not a Pop2Piano model, or its file is damaged")
            shape = tuple(state[name].shape)
            if shape != tuple(wanted.shape):
                raise ModelError(f"{name} of the weights is {shape}, and config.json asks for {tuple(wanted.shape)}")
            found[name] = state[name].detach().to(torch.float32)
        network.load_state_dict(found, assign=True)
        return network.eval().requires_grad_(False)

    def encode(self, mel: Tensor, composers: Tensor, heard: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """The memory (N, T + 1, d_model), and its mask for attention (N, 1, 1, T + 1), 0 or -inf; None hears all.

        Parameters
        ----------
        mel : (N, T, d_model)
        composers : (N,) int, rows of the composer table
        heard : (N, T) bool, optional
            False where a frame is padding; such frames have no influence.
        """
        x = torch.cat([self.mel_conditioner.embedding(composers)[:, None], mel], dim=1)
        mask = None
        if heard is not None:
            mask = torch.zeros(len(x), 1, 1, x.shape[1], device=x.device)
            mask[:, 0, 0, 1:].masked_fill_(~heard, -torch.inf)
        bias = self.encoder.bias(x.shape[1])
        return self.encoder(x, bias if mask is None else bias + mask), mask

    def forward(self, mel: Tensor, composers: Tensor, tokens: Tensor, heard: Tensor | None = None) -> Tensor:
        """Logits (N, L, vocab_size) of what follows each of `tokens` (N, L), which begin with the start token 0."""
        memory, mask = self.encode(mel, composers, heard)
        length = tokens.shape[1]
        future = torch.full((length, length), -torch.inf, device=tokens.device).triu(1)
        x = self.decoder(self.shared(tokens), self.decoder.bias(length) + future, memory, mask)
        if self.config.scale_decoder_outputs:
            x = x * self.config.d_model**-0.5
        return self.lm_head(x)


class Stack(nn.Module):
    """Encoder or decoder: blocks and a last normalisation."""

    def __init__(self, config: Pop2PianoConfig, *, decoder: bool):
        super().__init__()
        self.config, self.decoder = config, decoder
        count = config.num_decoder_layers if decoder else config.num_layers
        self.block = nn.ModuleList(Block(config, decoder=decoder, first=i == 0) for i in range(count))
        self.final_layer_norm = Norm(config)
        self.drop = nn.Dropout(config.dropout_rate)

    def bias(self, length: int) -> Tensor:
        """(1, heads, length, length): what is added to the score of a query (rows) and a key (columns)."""
        table = self.block[0].layer[0].SelfAttention.relative_attention_bias
        place = torch.arange(length, device=table.weight.device)
        rows = buckets(place[None] - place[:, None], self.config, both_ways=not self.decoder)
        return table(rows).permute(2, 0, 1)[None]

    def forward(self, x: Tensor, bias: Tensor, memory: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        x = self.drop(x)
        for block in self.block:
            attention, *across, last = block.layer
            h = attention.layer_norm(x)
            x = x + self.drop(attention.SelfAttention(h, h, bias))
            for part in across:
                x = x + self.drop(part.EncDecAttention(part.layer_norm(x), memory, mask))
            x = x + self.drop(last.DenseReluDense(last.layer_norm(x)))
        return self.drop(self.final_layer_norm(x))


class Block(nn.Module):
    """Self-attention, in the decoder attention to the memory, feed-forward; the names are those of the weights."""

    def __init__(self, config: Pop2PianoConfig, *, decoder: bool, first: bool):
        super().__init__()
        names = ["SelfAttention", *(["EncDecAttention"] if decoder else []), "DenseReluDense"]
        parts = [Attention(config, biased=first), *([Attention(config)] if decoder else []), GatedDense(config)]
        self.layer = nn.ModuleList()
        for name, part in zip(names, parts):
            self.layer.append(nn.ModuleDict({name: part, "layer_norm": Norm(config)}))


class Attention(nn.Module):
    """Attention of x (N, Q, d) to `source` (N, K, d); `bias` (1 or N, 1 or heads, 1 or Q, K) is added to the scores."""

    def __init__(self, config: Pop2PianoConfig, *, biased: bool = False):
        super().__init__()
        inner = config.num_heads * config.d_kv
        self.heads, self.dropout = config.num_heads, config.dropout_rate
        self.q, self.k, self.v = (nn.Linear(config.d_model, inner, bias=False) for _ in range(3))
        self.o = nn.Linear(inner, config.d_model, bias=False)
        if biased:
            self.relative_attention_bias = nn.Embedding(config.relative_attention_num_buckets, config.num_heads)

    def forward(self, x: Tensor, source: Tensor, bias: Tensor | None) -> Tensor:
        q, k, v = (
            y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in (self.q(x), self.k(source), self.v(source))
        )
        dropout = self.dropout if self.training else 0.0
        return self.o(attend(q, k, v, bias, dropout=dropout).transpose(1, 2).flatten(2))


class GatedDense(nn.Module):
    """(N, L, d) -> (N, L, d)"""

    def __init__(self, config: Pop2PianoConfig):
        super().__init__()
        self.act = ACTIVATIONS[config.activation]
        self.drop = nn.Dropout(config.dropout_rate)
        self.wi_0, self.wi_1 = (nn.Linear(config.d_model, config.d_ff, bias=False) for _ in range(2))
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.wo(self.drop(self.act(self.wi_0(x)) * self.wi_1(x)))


class Norm(nn.Module):
    """x / sqrt(mean of x squared), times a weight."""

    def __init__(self, config: Pop2PianoConfig):
        super().__init__()
        self.eps = config.layer_norm_epsilon
        self.weight = nn.Parameter(torch.ones(config.d_model))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, x.shape[-1:], self.weight, self.eps)


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, *, dropout: float = 0.0) -> Tensor:
    """Attention per head without division of the scores: q (N, H, Q, D), k and v (N, H, K, D) -> (N, H, Q, D)."""
    if bias is not None:
        bias = bias.expand(len(q), q.shape[1], q.shape[2], k.shape[2])
        bias = bias if q.device.type == "cpu" else bias.to(q.dtype)  # the CPU adds float32 to bfloat16 scores
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=dropout, scale=1.0)


def buckets(distance: Tensor, config: Pop2PianoConfig, *, both_ways: bool) -> Tensor:
    """Row of the bias table for `distance` = key - query, in positions.

    Half of the rows stand for one distance each, the other half share what is left up to the largest distance in equal
    steps of its logarithm; with `both_ways` the upper half of the table is for keys that lie ahead. The arithmetic is
    float32 in this order so that borders fall where they fell in training.
    """
    count = config.relative_attention_num_buckets
    row = torch.zeros_like(distance)
    if both_ways:
        count //= 2
        row = torch.where(distance > 0, count, 0)
        distance = distance.abs()
    else:
        distance = (-distance).clamp(min=0)
    exact = count // 2
    share = torch.log(distance.float() / exact) / math.log(config.relative_attention_max_distance / exact)
    far = (exact + (share.clamp(min=0.0) * (count - exact)).long()).clamp(max=count - 1)
    return row + torch.where(distance < exact, distance, far)
