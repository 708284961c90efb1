"""Running an arranger: piano frames and chords in, PianoTree grids out.

Our models run without torch. A graph for ONNX Runtime encodes all segments of a song at once (`model.onnx`; a second
one, `prompt.onnx`, encodes prompts); the decoder is a few recurrences with a choice after every note, written here in
numpy, with the weights read from the same `model.safetensors`: what is constant over the notes of a step or the steps
of a segment is multiplied once, notes are looked up in a table of their products, and only rows that have not ended a
step go on to its next slot. A song of three minutes takes less than a second.

Original checkpoints (`arranger_convert.py`) run in torch, from mel spectrograms. `arrange_autoregressive` is the
original's `--auto`: each segment is told the one before, by a model of stage 3b; all songs at once.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from spartito.errors import ModelError, ParameterError
from spartito.models.hub import WEIGHTS, ModelInfo
from spartito.models.pianotree import BITS, END, LONGEST, NO_BIT, PAD, PREDICTED, START, STEPS, bits_of, roll_of
from spartito.models.runtime import open_graph

__all__ = ["MELODY", "Arranger", "Song", "arrange_autoregressive", "check_transcriber"]

MELODY = ("include", "omit")
KEYS, LOWEST_KEY = 88, 21
DURATIONS = bits_of(np.arange(1, LONGEST + 1)).astype(np.float32)  # (32, 5) bits of every duration
COMMON_BAR = 4  # beats: only after such a bar is the segment before a prompt
BATCH = 256  # segments at a time: half a gigabyte at most


class Arranger:
    """A loaded model.

    Attributes
    ----------
    info : ModelInfo
    kind : str
        a2s, a2s-nochd, supervised or supervised+kl.
    stage : str
        1, 2, 3a or 3b.
    input : str
        "frames" (`arranger_input.beat_frames`) or, for original checkpoints, "mel" (`arranger_mel.log_mel`).
    """

    def __init__(self, info: ModelInfo, *, device: str = "auto", threads: int = 0):
        self.info = info
        self.config = info.config["network"]
        self.kind = self.config["type"]
        self.stage = info.config.get("stage", "3a")
        self.input = info.config.get("input", "frames")
        threshold = info.config.get("decoder", {}).get("threshold", 0.5)  # one, or one with and one without melody
        self.thresholds = threshold if isinstance(threshold, dict) else dict.fromkeys(MELODY, threshold)
        self.median = info.config.get("decoder", {}).get("durations", "likely") == "median"
        self.has_chords = self.kind == "a2s"
        self.has_symbols = self.kind.startswith("a2s")
        if self.input == "mel":
            self.network = _open_torch(info, device)
            return
        check_transcriber(info)
        self.encoder = open_graph(info.folder / "model.onnx", device=device, threads=threads)
        self.prompts = None
        if (info.folder / "prompt.onnx").exists():
            self.prompts = open_graph(info.folder / "prompt.onnx", device=device, threads=threads)
        self.decoder = NumpyDecoder(_weights(info), trust=info.config.get("decoder", {}).get("trust", 1.0))

    def arrange(
        self,
        frames: np.ndarray,
        chords: np.ndarray | None = None,
        *,
        prompt: np.ndarray | None = None,
        melody: str = "include",
        temperature: float = 0.0,
        seed: int = 0,
        batch_size: int = BATCH,
        compat: bool = False,
        numbers: np.ndarray | None = None,
    ) -> np.ndarray:
        """Write the piano of segments.

        Parameters
        ----------
        frames : np.ndarray, shape=(n, 4, 132, 88), float32
            Or for `input` "mel" (n, 229, T).
        chords : np.ndarray, shape=(n, 8, 36), float32
            For `a2s`; others take no notice of them.
        prompt : np.ndarray, shape=(n, 32, 128), optional
            Piano-rolls (`pianotree.roll_of`) that the texture should follow.
        melody : "include" or "omit"
            Whether the piano plays the melody. Original models never do.
        temperature : float
            0: the most likely notes; 1: drawn as the model believes; between: closer to the first.
        seed : int
            Of what is drawn. Each segment has its own stream: the result does not depend on `batch_size`.
        compat : bool
            Let an original model choose what makes a grid malformed.
        numbers : np.ndarray, shape=(n,), int, optional
            Numbers of the segments, for `seed`; by default 0, 1, 2 ...

        Returns
        -------
        np.ndarray, shape=(n, 32, 15, 6), int64
            See `pianotree.notes_of`.
        """
        if melody not in MELODY:
            raise ParameterError(f"melody is one of {', '.join(MELODY)}, not {melody!r}")
        if not temperature >= 0:
            raise ParameterError(f"the temperature is at least 0, not {temperature}")
        if self.has_chords and (chords is None or len(chords) != len(frames)):
            raise ParameterError(f"{self.info.name} needs the chords of all {len(frames)} segments")
        if prompt is not None and not self.has_symbols:
            raise ParameterError(f"a model of type {self.kind} takes no prompt")
        numbers = np.arange(len(frames)) if numbers is None else np.asarray(numbers)
        grids = [np.zeros((0, STEPS, PREDICTED, 1 + BITS), dtype=np.int64)]
        for first in range(0, len(frames), max(1, batch_size)):
            some = slice(first, first + batch_size)
            run = self._torch_batch if self.input == "mel" else self._batch
            grids.append(
                run(
                    np.ascontiguousarray(frames[some], dtype=np.float32),
                    np.asarray(chords[some], dtype=np.float32) if self.has_chords else None,
                    None if prompt is None else np.asarray(prompt[some], dtype=np.float32),
                    melody=melody == "include",
                    temperature=temperature,
                    seeds=[(seed, int(number)) for number in numbers[some]],
                    compat=compat,
                )
            )
        return np.concatenate(grids)

    def _batch(self, frames, chords, prompt, *, melody, temperature, seeds, compat) -> np.ndarray:
        condition = np.full((len(frames), 1), float(melody), dtype=np.float32)
        inputs = {"frames": frames, "condition": condition} | ({} if chords is None else {"chords": chords})
        *codes, local, keys = self.encoder(inputs)
        codes = dict(zip(("audio", "chord"), codes))
        parts = [codes["chord"]] if self.has_chords else []
        parts.append(codes["audio"])
        if self.has_symbols:
            symbol = np.zeros((len(frames), self.config["symbol_latent"]), dtype=np.float32)
            parts.append(symbol if prompt is None else self.prompts({"prompt": prompt})[0])
        z = np.concatenate([*parts, condition], axis=1)
        noise = _noise(seeds) if temperature > 0 else None
        heard = codes["audio"] if self.has_symbols else None
        threshold = self.thresholds["include" if melody else "omit"]
        rules = {"threshold": threshold, "median": self.median, "temperature": temperature, "noise": noise}
        return self.decoder(z, heard, local, keys, **rules)

    def _torch_batch(self, mel, chords, prompt, *, melody, temperature, seeds, compat) -> np.ndarray:
        import torch

        from spartito.models.pianotree_decoder import Choice

        device = next(self.network.parameters()).device
        rows = []
        # draws of torch are one stream: to be the same for every batch size, each segment is drawn alone
        for some in [slice(None)] if temperature <= 0 else [slice(i, i + 1) for i in range(len(mel))]:
            generator = torch.Generator(device).manual_seed(_mixed(seeds[some][0])) if seeds[some] else None
            choice = Choice(temperature=temperature, generator=generator, compat=compat)
            given = (None if x is None else torch.from_numpy(x[some]).to(device) for x in (mel, chords, prompt))
            rows.append(self.network.arrange(*given, choice=choice).cpu().numpy())
        return np.concatenate(rows)


# -- autoregressive -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Song:
    """What an arranger needs of a song: inputs of its n segments, and the beats of the bar that each begins with."""

    frames: np.ndarray
    chords: np.ndarray | None
    bar_lengths: np.ndarray


def arrange_autoregressive(
    songs: Sequence[Song],
    *,
    model: Arranger,
    first_model: Arranger,
    melody: str = "include",
    temperature: float = 0.0,
    seed: int = 0,
    compat: bool = False,
) -> list[np.ndarray]:
    """Grids (n, 32, 15, 6) of each song, every segment told the one before.

    `first_model` (stage 3a) writes first segments and those behind a bar that has not four beats; `model` (stage 3b)
    the others, with the piano-roll of the segment before as prompt. Segment i of all songs is one batch.
    """
    if not (model.has_symbols and first_model.has_symbols):
        raise ParameterError("supervised models cannot be told what came before: take a2s or a2s-nochd")
    grids = [np.zeros((len(song.frames), STEPS, PREDICTED, 1 + BITS), dtype=np.int64) for song in songs]
    for i in range(max((len(song.frames) for song in songs), default=0)):
        there = [s for s, song in enumerate(songs) if i < len(song.frames)]
        told = [s for s in there if i and songs[s].bar_lengths[i - 1] == COMMON_BAR]
        for some, network in ((told, model), ([s for s in there if s not in told], first_model)):
            if not some:
                continue
            prompt = None
            if network is model and some is told:
                prompt = roll_of(np.stack([grids[s][i - 1] for s in some]), compat=compat)
            chords = np.stack([songs[s].chords[i] for s in some]) if network.has_chords else None
            found = network.arrange(
                np.stack([songs[s].frames[i] for s in some]),
                chords,
                prompt=prompt,
                melody=melody,
                temperature=temperature,
                seed=seed,
                compat=compat,
                numbers=np.full(len(some), i),
            )
            for s, grid in zip(some, found):
                grids[s][i] = grid
    return grids


# -- the decoder ---------------------------------------------------------------------------------------------------


class NumpyDecoder:
    """`PianoTreeDecoder` with evidence per key, and the feature decoder, on arrays.

    `weights` are float32 by name; `trust` as in `pianotree_decoder.Choice`.
    """

    def __init__(self, weights: dict[str, np.ndarray], *, trust: float = 1.0):
        w = {k.removeprefix("pianotree_dec."): v for k, v in weights.items() if k.startswith("pianotree_dec.")}
        self.first = w["dec_init_input"]
        self.hid, self.inp = _linear(w, "z2dec_hid_linear"), _linear(w, "z2dec_in_linear")
        self.to_notes, self.pitch, self.bits = (
            _linear(w, name) for name in ("dec_time_to_notes_hid", "pitch_out_linear", "dur_out_linear")
        )
        keys = slice(LOWEST_KEY, LOWEST_KEY + KEYS)
        self.pitch = (trust * self.pitch[0][:, keys], trust * self.pitch[1][keys])
        self.bits = (self.bits[0][:, 1::2] - self.bits[0][:, ::2], self.bits[1][1::2] - self.bits[1][::2])
        self.time = _Gru(w, "dec_time_gru")
        self.notes = _Gru(w, "dec_notes_gru")
        self.ahead, self.behind = _Gru(w, "dec_notes_emb_gru"), _Gru(w, "dec_notes_emb_gru", "_reverse")
        self.units = self.time.units
        # a note is a row of `table` plus its bits; so are the products of its embedding with the recurrences' weights
        weight, bias = w["note_embedding.weight"].T, w["note_embedding.bias"]
        table, bit_rows = weight[: END + 1] + bias, weight[END + 1 :]
        self.told = (table @ self.notes.inputs[self.units :], bit_rows @ self.notes.inputs[self.units :])
        self.read = [(table @ g.inputs + g.bias, bit_rows @ g.inputs) for g in (self.ahead, self.behind)]
        self.empty = self._summary(np.zeros((1, 0, 1 + BITS), dtype=np.int64), np.zeros(1, dtype=np.int64))
        self.features = None
        if "feat_dec.init_input" in weights:
            self.features = _Features(weights)

    def __call__(
        self, z, heard, local, keys, *, threshold: float, median: bool, temperature: float = 0.0, noise=None
    ) -> np.ndarray:
        """(n, 32, 15, 6) int64 from codes (n, latent), the sound's part (n, audio) or None, and the encoder's rest."""
        n, size = len(z), len(self.first)
        h, constant = z @ self.hid[0] + self.hid[1], z @ self.inp[0] + self.inp[1]
        parts = [] if self.features is None else [self.features(heard)]
        joined = np.concatenate([*parts, local], axis=-1)  # (n, 32, features + local)
        rest = self.time.inputs[size:]
        width = constant.shape[1]
        fixed = joined @ rest[width:] + (constant @ rest[:width] + self.time.bias)[:, None]  # (n, 32, 3 units)
        grid = np.full((n, STEPS, PREDICTED, 1 + BITS), NO_BIT, dtype=np.int64)
        grid[..., 0] = PAD
        token = np.broadcast_to(self.first, (n, size))
        for t in range(STEPS):
            h = self.time.step(fixed[:, t] + token @ self.time.inputs[:size], h)
            drawn = None if noise is None else noise[:, t]
            count = self._notes(h, keys[:, t], grid[:, t], threshold, median, temperature, drawn)
            if t < STEPS - 1:
                token = np.repeat(self.empty, n, axis=0)
                full = np.flatnonzero(count)
                if len(full):
                    token[full] = self._summary(grid[full, t], count[full])
        return grid

    def _notes(self, s, keys, grid, threshold: float, median: bool, temperature: float, noise) -> np.ndarray:
        """Fill `grid` (n, 15, 6) with the notes of a step; returns how many each row has."""
        fixed = s @ self.notes.inputs[: self.units] + self.notes.bias
        g = s @ self.to_notes[0] + self.to_notes[1]
        rows = np.arange(len(s))
        told = np.broadcast_to(self.told[0][START] + NO_BIT * self.told[1].sum(0), fixed.shape)
        last = np.full(len(s), -1)
        count = np.zeros(len(s), dtype=np.int64)
        for k in range(PREDICTED):
            g = self.notes.step(fixed[rows] + told, g)
            hazard = g @ self.pitch[0] + self.pitch[1] + keys[rows, :, 0]  # (rows, 88)
            above = np.arange(KEYS) > last[:, None]
            if noise is None:
                passes = above & (hazard >= np.log(threshold / (1 - threshold)))
                key, ended = passes.argmax(1), ~passes.any(1)
            else:
                key, ended = _drawn(hazard, above, temperature, noise[rows, k, : KEYS + 1])
            grid[rows[ended], k, 0] = END
            going = ~ended
            rows, g, key = rows[going], g[going], key[going]
            if len(rows) == 0:
                break
            odds = g @ self.bits[0] + self.bits[1] + keys[rows, key, 1:]
            if noise is None and median:
                share = np.exp(-np.logaddexp(0, -odds) @ DURATIONS.T - np.logaddexp(0, odds) @ (1 - DURATIONS.T))
                bits = bits_of(1 + np.minimum((share.cumsum(1) < 0.5).sum(1), LONGEST - 1))
            elif noise is None:
                bits = odds > 0
            else:  # the difference of two Gumbel variables is logistic
                bits = odds / temperature + noise[rows, k, KEYS + 1 :] > 0
            grid[rows, k, 0] = LOWEST_KEY + key
            grid[rows, k, 1:] = bits
            count[rows] += 1
            last = key
            told = self.told[0][LOWEST_KEY + key] + bits @ self.told[1]
        return count

    def _summary(self, notes: np.ndarray, count: np.ndarray) -> np.ndarray:
        """(n, 2 summary): both last states over the start mark and the first `count` (n,) of `notes` (n, slots, 6)."""
        order = np.argsort(-count, kind="stable")
        notes, count = notes[order], count[order]
        states = []
        for gru, (table, bit_rows), reverse in zip((self.ahead, self.behind), self.read, (False, True)):
            start = table[START] + NO_BIT * bit_rows.sum(0)
            h = np.zeros((len(notes), gru.units), dtype=np.float32)
            slots = range(int(count.max(initial=0)))
            if not reverse:
                h = gru.step(np.broadcast_to(start, (len(h), len(start))), h)
            for k in reversed(slots) if reverse else slots:
                n = int((count > k).sum())
                x = table[notes[:n, k, 0]] + notes[:n, k, 1:] @ bit_rows
                h[:n] = gru.step(x, h[:n])
            if reverse:
                h = gru.step(np.broadcast_to(start, (len(h), len(start))), h)
            states.append(h)
        result = np.empty((len(notes), sum(h.shape[1] for h in states)), dtype=np.float32)
        result[order] = np.concatenate(states, axis=1)
        return result


class _Features:
    """The feature decoder with its embedding: codes (n, audio) -> (n, 32, embedding)."""

    def __init__(self, weights: dict[str, np.ndarray]):
        w = {k.removeprefix("feat_dec."): v for k, v in weights.items() if k.startswith("feat_dec.")}
        self.first, self.out = w["init_input"], _linear(w, "out")
        self.hid, self.inp = _linear(w, "z2dec_hid"), _linear(w, "z2dec_in")
        self.gru = _Gru(w, "gru")
        self.embedding = _linear(weights, "feat_emb_layer")

    def __call__(self, code: np.ndarray) -> np.ndarray:
        size = len(self.first)
        h = code @ self.hid[0] + self.hid[1]
        constant = (code @ self.inp[0] + self.inp[1]) @ self.gru.inputs[size:] + self.gru.bias
        token = np.broadcast_to(self.first, (len(code), size))
        heard = np.empty((len(code), STEPS, size), dtype=np.float32)
        for t in range(STEPS):
            h = self.gru.step(constant + token @ self.gru.inputs[:size], h)
            raw = h @ self.out[0] + self.out[1]
            heard[:, t] = np.stack([_sigmoid(raw[:, 0]), raw[:, 1], _sigmoid(raw[:, 2])], axis=1)
            token = heard[:, t].copy()
            token[:, 2] = token[:, 2] > 0.5
        return heard @ self.embedding[0] + self.embedding[1]


class _Gru:
    """A GRU cell in torch's layout: gates reset, update, new. `inputs` (width, 3 units), `bias` of the input side."""

    def __init__(self, weights: dict[str, np.ndarray], name: str, suffix: str = ""):
        self.inputs = np.ascontiguousarray(weights[f"{name}.weight_ih_l0{suffix}"].T)
        self.hidden = np.ascontiguousarray(weights[f"{name}.weight_hh_l0{suffix}"].T)
        self.bias = weights[f"{name}.bias_ih_l0{suffix}"]
        self.bias_hidden = weights[f"{name}.bias_hh_l0{suffix}"]
        self.units = len(self.hidden)

    def step(self, x: np.ndarray, h: np.ndarray) -> np.ndarray:
        """Next state (n, units) from the input's product (n, 3 units), bias included, and the state."""
        y = h @ self.hidden + self.bias_hidden
        u = self.units
        gates = _sigmoid(x[:, : 2 * u] + y[:, : 2 * u])
        fresh = np.tanh(x[:, 2 * u :] + gates[:, :u] * y[:, 2 * u :])
        return fresh + gates[:, u:] * (h - fresh)


def _drawn(hazard, above, temperature: float, noise) -> tuple[np.ndarray, np.ndarray]:
    """Keys and ends drawn with the probabilities to the power of 1 / temperature, by Gumbel's trick."""
    passed = np.where(above, -np.logaddexp(0, hazard), 0)
    through = passed.cumsum(1)
    logits = np.where(above, through - passed - np.logaddexp(0, -hazard), -np.inf)
    logits = np.concatenate([logits, through[:, -1:]], axis=1)  # the last is the end mark
    chosen = (logits / temperature + noise).argmax(1)
    return np.minimum(chosen, KEYS - 1), chosen == KEYS


def _noise(seeds: Sequence[tuple[int, int]]) -> np.ndarray:
    """(n, 32, 15, 89 + 5) float32: Gumbel variables for the pitches, logistic ones for the bits."""
    shape = (STEPS, PREDICTED, KEYS + 1 + BITS)
    uniform = np.stack([np.random.default_rng(seed).random(shape, dtype=np.float32) for seed in seeds])
    uniform = np.clip(uniform, 1e-7, 1 - 1e-7)
    noise = -np.log(-np.log(uniform))
    bits = uniform[..., KEYS + 1 :]
    noise[..., KEYS + 1 :] = np.log(bits / (1 - bits))
    return noise


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * np.tanh(0.5 * x) + 0.5


def _linear(weights: dict[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    return np.ascontiguousarray(weights[f"{name}.weight"].T), weights[f"{name}.bias"]


# -- loading -------------------------------------------------------------------------------------------------------


def _weights(info: ModelInfo) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    try:
        return {k: v.astype(np.float32) for k, v in load_file(str(info.folder / "model.safetensors")).items()}
    except Exception as error:  # safetensors raises a kind of its own
        raise ModelError(f"{info.folder / 'model.safetensors'} cannot be read: {error}") from error


def _open_torch(info: ModelInfo, device: str):
    from spartito.errors import MissingExtraError

    try:
        import torch

        from spartito.models.arranger import ArrangerConfig, ArrangerNetwork
        from spartito.models.runtime import torch_device
    except ImportError as error:
        raise MissingExtraError("torch", extra="torch", purpose="running an original arranger") from error
    network = ArrangerNetwork(ArrangerConfig.from_dict(info.config["network"]))
    network.load_state_dict({k: torch.from_numpy(v) for k, v in _weights(info).items()})
    return network.eval().to(torch_device(device))


def check_transcriber(info: ModelInfo) -> None:
    """Warn when the transcriber is another than the one the arranger was trained on."""
    wanted = info.config.get("transcriber")
    if not wanted:
        return
    path = WEIGHTS / wanted["name"] / "model.safetensors"
    if not path.exists() or sha256(path.read_bytes()).hexdigest() != wanted["sha256"]:
        warnings.warn(f"{info.name} was trained on another {wanted['name']} than is installed", stacklevel=3)


def _mixed(seed: tuple[int, int]) -> int:
    return int(np.random.SeedSequence(seed).generate_state(1)[0])
