"""Greedy tokens from Pop2Piano's network, several times faster than step by step through the network itself.

The tokens are those of the plain algorithm (in float32 exactly, but for ties closer than rounding). The time goes into
reading weights, keys and values, so the work is arranged around that:

- Segments are sorted by length and run in batches of up to 128 rows; one reading of the weights serves all of them.
- Keys and values of what was written lie in buffers of full length, of which only the part in use is ever touched, so
  that unused places cost neither time nor memory; those of the memory are computed once.
- A row that has ended leaves: the last active row moves into its place, and the batch is the front of the buffers.
- Query, key and value matrices are one; so are the two of the gate; weights of the normalisations are multiplied into
  the matrices that follow. The matrices are kept as oneDNN's multiplication wants them, where torch has it.
- Only rows of the output matrix that may be written are computed.

`precision`: "fp32". "bf16" multiplies in bfloat16 and keeps keys and values so, while sums along the layers,
normalisation, softmax and the choice of the token stay in float32. It keeps 8 bits of each number, which now and then
turns a choice, after which that segment goes on otherwise; fastest on processors with bfloat16 units (AMX, AVX-512
BF16, recent ARM, GPUs). "int8" multiplies in integers of 8 bits, two to a number, which keeps 15 bits and so nearly all
choices, but is hardly faster than float32, with two threads slower.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spartito.errors import DeviceError, ParameterError
from spartito.models.pop2piano_network import Pop2PianoConfig, Pop2PianoNetwork, attend, buckets
from spartito.models.pop2piano_tokens import END, NOTE, SIZE, START
from spartito.models.runtime import torch_device

__all__ = ["PRECISIONS", "FastGenerator"]

PRECISIONS = ("fp32", "bf16", "int8")
DIGIT = 127  # largest digit of int8
ROWS = 128  # segments of a batch; keys and values of so many take up to 1 GB in float32, usually a third of it
ENCODED_ROWS = 16  # segments that the encoder takes at once: its layers' values stay near the processor


class FastGenerator:
    """Pop2Piano's network, ready to write.

    Parameters
    ----------
    state : mapping from names to tensors
        The published weights; ModelError when one is missing or has another shape.
    config : Pop2PianoConfig
    device : "auto", "cpu", "cuda" or "mps"
    precision : "fp32", "bf16" or "int8"
        See the module's text. int8 runs on the CPU only.
    threads : int
        CPU threads while generating; 0 leaves torch's own number.
    """

    def __init__(
        self,
        state: Mapping[str, Tensor],
        config: Pop2PianoConfig,
        *,
        device: str = "cpu",
        precision: str = "fp32",
        threads: int = 0,
    ):
        if precision not in PRECISIONS:
            raise ParameterError(f"the precision is one of {', '.join(PRECISIONS)}, not {precision!r}")
        self.device = torch_device(device)
        if precision == "int8" and self.device != "cpu":
            raise DeviceError(f"int8 runs on the CPU only, not on {self.device}; take bf16 there")
        self.config, self.threads = config, threads
        with torch.no_grad():
            network = Pop2PianoNetwork.from_state(state, config).to(self.device)
            self.decoder = _Decoder(network, precision)
            network.decoder = network.lm_head = None  # the encoder is used as it is, but for its matrices
            for module in list(network.encoder.modules()):
                for name, child in list(module.named_children()):
                    if isinstance(child, nn.Linear):
                        setattr(module, name, _matrix(child.weight, precision))
        self.network = network

    def generate(
        self,
        features: np.ndarray,
        mask: np.ndarray | None,
        composers: np.ndarray,
        *,
        max_length: int | np.ndarray = 256,
        full_vocabulary: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> np.ndarray:
        """Tokens (N, L) int64 of N segments, without the start token; after the end token (1) follow zeros.

        Parameters
        ----------
        features : (N, T, d_model) float32
            Log-mel frames without the composer.
        mask : (N, T) bool or int, or None
            0 where a frame is padding.
        composers : (N,) int
            Rows of the composer table.
        max_length : int, or (N,) int
            Tokens at most, the start token counted; per segment if an array.
        full_vocabulary : bool
            Whether any id may be written, as transformers does it; else the end and the 230 notes, velocities and
            times.
        progress : callable, optional
            Told the share of finished segments, 0 to 1.
        """
        features, heard, composers, most = self._checked(features, mask, composers, max_length)
        count = len(features)
        if count == 0:
            return np.zeros((0, 0), np.int64)
        frames = np.full(count, features.shape[1])
        if heard is not None:
            frames = np.where(heard.any(1), features.shape[1] - heard[:, ::-1].argmax(1), 0)
        order = np.argsort(-frames, kind="stable")
        tokens = np.zeros((count, most.max()), np.int64)
        ids = self._ids(full_vocabulary)
        finished = length = 0

        def done(rows: int):
            nonlocal finished
            finished += rows
            if progress is not None:
                progress(finished / count)

        with _threads(self.threads), torch.inference_mode():
            for rows in np.array_split(order, -(-count // ROWS)):
                longest = frames[rows].max()
                parts = [features[rows, :longest], composers[rows]]
                parts += [] if heard is None else [heard[rows, :longest]]
                memory, hidden = self._encoded(*(torch.from_numpy(part).to(self.device) for part in parts))
                written = self.decoder.write(memory, hidden, most[rows], ids, done)
                tokens[rows, : written.shape[1]] = written
                length = max(length, written.shape[1])
        return tokens[:, :length]

    def _checked(self, features, mask, composers, max_length):
        features = np.ascontiguousarray(features, np.float32)
        composers = np.asarray(composers, np.int64)
        width, table = self.config.d_model, self.config.composer_vocab_size
        if features.ndim != 3 or (len(features) and features.shape[2] != width):
            raise ParameterError(f"features are (segments, frames, {width}), not {features.shape}")
        if composers.shape != features.shape[:1] or ((composers < 0) | (composers >= table)).any():
            raise ParameterError(f"composers are {len(features)} rows of 0 to {table - 1}")
        heard = None if mask is None else np.asarray(mask).astype(bool)
        if heard is not None and heard.shape != features.shape[:2]:
            raise ParameterError(f"the mask is {features.shape[:2]}, as the features, not {heard.shape}")
        most = np.broadcast_to(np.asarray(max_length, np.int64), composers.shape) - 1
        if (most < 1).any():
            raise ParameterError(f"max_length counts the start token, so it is at least 2, not {most.min() + 1}")
        return features, heard, composers, most

    def _ids(self, full_vocabulary: bool) -> np.ndarray:
        size = self.config.vocab_size
        if full_vocabulary:
            return np.arange(size)
        return np.array([END, *range(NOTE, min(SIZE, size))])

    def _encoded(self, mel: Tensor, composers: Tensor, heard: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        step = ENCODED_ROWS if self.device == "cpu" else len(mel)
        cuts = [slice(i, i + step) for i in range(0, len(mel), step)]
        parts = [self.network.encode(mel[c], composers[c], None if heard is None else heard[c]) for c in cuts]
        memory = torch.cat([memory for memory, _ in parts])
        return memory, None if heard is None else torch.cat([hidden for _, hidden in parts])


class _Decoder:
    """The decoder for one token per row and step."""

    def __init__(self, network: Pop2PianoNetwork, precision: str):
        self.config = config = network.config
        stack = network.decoder
        self.embedding = network.shared.weight
        self.table = stack.block[0].layer[0].SelfAttention.relative_attention_bias
        self.layers = [_Layer(block.layer, config, precision) for block in stack.block]
        scale = config.d_model**-0.5 if config.scale_decoder_outputs else 1.0
        self.output = network.lm_head.weight * stack.final_layer_norm.weight * scale  # (vocabulary, d_model), float32

    def write(
        self, memory: Tensor, mask: Tensor | None, most: np.ndarray, ids: np.ndarray, done: Callable[[int], None]
    ) -> np.ndarray:
        """Tokens (N, L), at most `most` (N,) per row, out of `ids`; `done` is told of rows that have ended."""
        device, count, longest = memory.device, len(memory), int(most.max())
        output, ids = self.output[torch.from_numpy(ids).to(device)], torch.from_numpy(ids).to(device)
        distance = torch.arange(1 - longest, 1, device=device)
        bias = self.table(buckets(distance, self.config, both_ways=False)).t()[None, :, None]  # (1, heads, 1, longest)
        for layer in self.layers:
            layer.begin(memory, longest)
        tokens = np.zeros((count, longest), np.int64)
        place = np.arange(count)  # row of `tokens` that each active row of the buffers is
        last = torch.full((count,), START, device=device)
        for t in range(longest):
            x = self.embedding[last]
            for layer in self.layers:
                x = layer.step(x, t, bias[..., longest - 1 - t :], mask)
            last = ids[F.linear(_norm(x, self.config), output).argmax(-1)]
            tokens[place, t] = new = last.cpu().numpy()
            active = (new != END) & (t + 1 < most[place])
            if active.all():
                continue
            left = int(active.sum())
            done(len(place) - left)
            if left == 0:
                break
            free = np.flatnonzero(~active[:left])
            movers = left + np.flatnonzero(active[left:])
            place[free] = place[movers]
            place = place[:left]
            to, source = torch.from_numpy(free).to(device), torch.from_numpy(movers).to(device)
            held = [last, *([] if mask is None else [mask])]
            for buffer in [*held, *(b for layer in self.layers for b in layer.buffers(t + 1))]:
                buffer[to] = buffer[source]
            last, mask = last[:left], None if mask is None else mask[:left]
        for layer in self.layers:
            layer.end()
        return tokens[:, : t + 1]


class _Layer:
    """One block of the decoder with its keys and values."""

    def __init__(self, parts: nn.ModuleList, config: Pop2PianoConfig, precision: str):
        attention, across, last = parts
        own, other, dense = attention.SelfAttention, across.EncDecAttention, last.DenseReluDense
        self.config, self.act = config, dense.act

        def matrix(*linears, norm=None):
            weight = torch.cat([linear.weight for linear in linears])
            return _matrix(weight if norm is None else weight * norm.weight, precision)

        self.own_in, self.own_out = matrix(own.q, own.k, own.v, norm=attention.layer_norm), matrix(own.o)
        self.other_in, self.other_out = matrix(other.q, norm=across.layer_norm), matrix(other.o)
        self.memory_in = matrix(other.k, other.v)
        self.gate_in, self.gate_out = matrix(dense.wi_0, dense.wi_1, norm=last.layer_norm), matrix(dense.wo)

    def begin(self, memory: Tensor, longest: int):
        """Keys and values of the memory (N, S, d), and room for those of `longest` tokens: (N, heads, places, d_kv)."""
        heads = self.config.num_heads
        both = self.memory_in(memory).unflatten(-1, (2, heads, -1))  # (N, S, 2, heads, d_kv)
        self.other_keys, self.other_values = (y.transpose(1, 2).contiguous() for y in both.unbind(2))
        room = (len(memory), heads, longest, self.config.d_kv)
        self.keys, self.values = both.new_empty(room), both.new_empty(room)

    def buffers(self, t: int) -> list[Tensor]:
        """What belongs to the rows, as far as it is filled after `t` steps."""
        return [self.keys[:, :, :t], self.values[:, :, :t], self.other_keys, self.other_values]

    def end(self):
        self.keys = self.values = self.other_keys = self.other_values = None

    def step(self, x: Tensor, t: int, bias: Tensor, mask: Tensor | None) -> Tensor:
        """x (n, d_model) of step t through the block, for the first n rows of the buffers."""
        n, heads = len(x), self.config.num_heads
        q, k, v = self.own_in(_norm(x, self.config)).view(n, 3, heads, -1).unbind(1)
        self.keys[:n, :, t], self.values[:n, :, t] = k, v
        own = attend(q[:, :, None], self.keys[:n, :, : t + 1], self.values[:n, :, : t + 1], bias)
        x = x + self.own_out(own.reshape(n, -1))
        q = self.other_in(_norm(x, self.config)).view(n, heads, 1, -1)
        other = attend(q, self.other_keys[:n], self.other_values[:n], mask)
        x += self.other_out(other.reshape(n, -1))
        gate, line = self.gate_in(_norm(x, self.config)).chunk(2, dim=-1)
        x += self.gate_out(self.act(gate) * line)
        return x


class _Matrix(nn.Module):
    """x (..., inputs) -> (..., outputs) by the weight (outputs, inputs): float32 to float32, bfloat16 to bfloat16."""

    def __init__(self, weight: Tensor, dtype: torch.dtype):
        super().__init__()
        self.dtype, self.weight, self.packed = dtype, weight.to(dtype), None
        if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
            return
        try:
            packed = torch.ops.mkldnn._reorder_linear_weight(self.weight, ROWS)
            torch.ops.mkldnn._linear_pointwise(self.weight[:1], packed, None, "none", [], "")
            self.packed, self.weight = packed, None
        except (AttributeError, RuntimeError, NotImplementedError):  # another torch or machine
            pass

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.dtype)
        if self.packed is None:
            return F.linear(x, self.weight)
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, None, "none", [], "")


class _DigitMatrix(nn.Module):
    """The same in integers: every number is h + l / 254 times a scale, h and l in -127 to 127.

    (h + l / 254) (H + L / 254) needs three products, the fourth is below what l can tell. Scales are one per output of
    the weight and one per row of x, so that rows do not depend on their neighbours.
    """

    def __init__(self, weight: Tensor):
        super().__init__()
        high, low, scale = _digits(weight)
        self.scale = scale.squeeze(1).contiguous()  # (outputs,)
        self.none = torch.zeros(len(scale), dtype=torch.int64)  # offsets of the integers
        self.packed = None
        try:
            packed = [torch.ops.onednn.qlinear_prepack(digit, None) for digit in (high, low)]
            self.packed = packed
            self._product(high[:1], 0)
        except (AttributeError, RuntimeError, NotImplementedError):  # another torch or machine
            self.packed, self.plain = None, [high.t(), low.t()]

    def forward(self, x: Tensor) -> Tensor:
        high, low, scale = _digits(x.reshape(-1, x.shape[-1]))
        rows = len(high)
        first = self._product(torch.cat([high, low]), 0)
        second = self._product(high, 1).add_(first[rows:])
        y = first[:rows].add_(second, alpha=1.0 / (2 * DIGIT)).mul_(scale)
        return y.unflatten(0, x.shape[:-1])

    def _product(self, x: Tensor, digit: int) -> Tensor:
        """x (rows, inputs) int8 by a digit of the weight, times the scale of the output: float32."""
        if self.packed is None:
            return torch._int_mm(x, self.plain[digit]) * self.scale
        return torch.ops.onednn.qlinear_pointwise(
            *(x, 1.0, 0, self.packed[digit], self.scale, self.none), None, 1.0, 0, torch.float32, "none", [], ""
        )


def _digits(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """High and low digit of x (rows, k) as int8, and the scales (rows, 1)."""
    scale = x.abs().amax(1, keepdim=True).clamp(min=1e-30) / DIGIT
    x = x / scale
    high = x.round()
    return high.to(torch.int8), x.sub_(high).mul_(2 * DIGIT).round_().to(torch.int8), scale


def _matrix(weight: Tensor, precision: str) -> nn.Module:
    if precision == "int8":
        return _DigitMatrix(weight)
    return _Matrix(weight, torch.bfloat16 if precision == "bf16" else torch.float32)


def _norm(x: Tensor, config: Pop2PianoConfig) -> Tensor:
    """Without its weight, which is in the matrix that follows."""
    return F.rms_norm(x, x.shape[-1:], None, config.layer_norm_epsilon)


@contextmanager
def _threads(number: int):
    before = torch.get_num_threads()
    try:
        if number > 0:
            torch.set_num_threads(number)
        yield
    finally:
        torch.set_num_threads(before)
