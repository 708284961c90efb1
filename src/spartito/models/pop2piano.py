"""Pop2Piano's published weights, opened so that they do what they were trained to do.

    config.json, generation_config.json, weights -> settings put right -> the fast decoder, or the one of `transformers`

Job
    `open_pop2piano` takes a folder in the layout of `transformers` (`hub.find_model` fetches it from the hub) and gives
    a `Pop2Piano`: spectrograms and rows of the composer table in, tokens out. The folder is read through
    `transformers`; its processing (essentia, librosa, resampy, pretty_midi) is not used.

What is put right
    - Activation. The weights were trained with the tanh form of GELU in the gates of the feed-forward layers. The port
      has ReLU there, since it looks for a setting that the file does not have. Here it is "gelu_new", with `compat`
      what the port makes of the file.
    - Scale. Decoder outputs are scaled where the file says `scale_decoder_outputs`, else where it says
      `tie_word_embeddings`; the port of transformers 5 forgets which of both a file of version 4 meant.
    - Composers. A model saved again loses its names; they are then composer1 ... in the order of the table.
    - Settings of one call do not stay for the next, as they do in the port.

Source
    J. Choi, K. Lee, 'Pop2Piano: pop audio-based piano cover generation' (ICASSP 2023, https://arxiv.org/abs/2211.00895);
    weights at https://huggingface.co/sweetcocoa/pop2piano, whose page states no licence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spartito.errors import MissingExtraError, ModelError, ParameterError
from spartito.models.pop2piano_input import MEL_BANDS
from spartito.models.pop2piano_tokens import COMPOSER, END, NOTE, SIZE, START

__all__ = ["GENERATORS", "PRECISIONS", "Pop2Piano", "TransformersGenerator"]
__all__ += ["composer_rows", "open_network", "open_pop2piano"]

GENERATORS = ("fast", "transformers")
PRECISIONS = ("fp32", "bf16", "int8")
ACTIVATIONS = ("gelu_new", "relu")
MAX_LENGTH = 256  # tokens of a segment with the start


@dataclass(frozen=True)
class Pop2Piano:
    """The model, open.

    Attributes
    ----------
    name : str
    composers : Mapping of str to int
        Row of the composer table for each name, in the order of the table.
    generator : object
        Has `generate(features, mask, composers, max_length=, full_vocabulary=, progress=)`.
    compat : bool
        As the port of the program to `transformers` does it.
    """

    name: str
    composers: Mapping[str, int]
    generator: object
    compat: bool = False

    def rows(self, names: Sequence[str]) -> np.ndarray:
        """(n,) rows of the composer table. Raises ParameterError for a name that is not there."""
        unknown = [name for name in names if name not in self.composers]
        if unknown:
            raise ParameterError(f"{self.name} has no {', '.join(unknown)}: there are {', '.join(self.composers)}")
        return np.array([self.composers[name] for name in names], dtype=np.int64)

    def generate(
        self,
        songs: Sequence[tuple[np.ndarray, np.ndarray]],
        *,
        batch_size: int = 64,
        progress: Callable[[float], None] | None = None,
    ) -> list[np.ndarray]:
        """Tokens of many songs; segments of all are taken together, those of like length side by side.

        Parameters
        ----------
        songs : sequence of (features (n, frames, 512) float32, rows (n,) of the composer table)
            Songs may differ in frames: what is padded is masked, and the tokens are those of each song alone.
        batch_size : int
            Segments generated at once.

        Returns
        -------
        list of np.ndarray, shape=(n, length), int64
            Without the start; 0 after the end of a row.
        """
        frames = np.repeat([features.shape[1] for features, _ in songs], [len(rows) for _, rows in songs])
        song = np.repeat(np.arange(len(songs)), [len(rows) for _, rows in songs])
        number = np.concatenate([np.arange(len(rows)) for _, rows in songs]) if songs else song
        order = np.argsort(-frames, kind="stable")  # the longest first: what does not fit into memory fails at once
        tokens = np.zeros((len(song), MAX_LENGTH - 1), dtype=np.int64)
        for begin in range(0, len(order), batch_size):
            chosen = order[begin : begin + batch_size]
            longest = frames[chosen[0]]
            batch = np.zeros((len(chosen), longest, songs[song[chosen[0]]][0].shape[2]), dtype=np.float32)
            for row, segment in enumerate(chosen):
                batch[row, : frames[segment]] = songs[song[segment]][0][number[segment]]
            mask = np.arange(longest) < frames[chosen][:, None]
            share = len(chosen) / len(order)
            made = self.generator.generate(
                batch,
                None if mask.all() else mask,
                np.array([songs[song[segment]][1][number[segment]] for segment in chosen]),
                max_length=MAX_LENGTH,
                full_vocabulary=self.compat,
                progress=None if progress is None else lambda p, b=begin, s=share: progress(b / len(order) + s * p),
            )
            tokens[chosen, : made.shape[1]] = made
        return [_trimmed(tokens[song == i]) for i in range(len(songs))]


def _trimmed(tokens: np.ndarray) -> np.ndarray:
    """Without the columns at the end in which nothing is written."""
    used = np.flatnonzero((tokens != START).any(axis=0))
    return tokens[:, : used[-1] + 1 if len(used) else 0]


# -- opening ------------------------------------------------------------------------------------------------


def open_pop2piano(
    folder: str | Path,
    *,
    name: str = "pop2piano",
    generator: str = "fast",
    compat: bool = False,
    activation: str | None = None,
    precision: str = "fp32",
    device: str = "auto",
    threads: int = 0,
) -> Pop2Piano:
    """The model in a folder in the layout of `transformers`.

    Parameters
    ----------
    generator : "fast" or "transformers"
        Who writes the tokens. Both write the same.
    compat : bool
        As the port does it: ReLU in the gates unless the file says otherwise, every output of the network can be
        written.
    activation : "gelu_new" or "relu", optional
        Default: that of the original, with `compat` that of the port.
    precision : "fp32", "bf16" or "int8"
        Of the fast generator.

    Raises
    ------
    ModelError, ParameterError, DeviceError, MissingExtraError
    """
    if activation is None:
        activation = _json(Path(folder, "config.json")).get("dense_act_fn", "relu") if compat else "gelu_new"
    for what, given, allowed in (
        ("the generator", generator, GENERATORS),
        ("the activation", activation, ACTIVATIONS),
        ("the precision", precision, PRECISIONS),
    ):
        if given not in allowed:
            raise ParameterError(f"{what} is one of {', '.join(allowed)}, not {given!r}")
    if generator == "transformers" and precision != "fp32":
        raise ParameterError(f"precision {precision} is for the fast generator; that of transformers computes in fp32")
    network = open_network(folder, activation=activation)
    composers = composer_rows(Path(folder), count=network.config.composer_vocab_size)
    if generator == "transformers":
        from spartito.models.runtime import torch_device

        made = TransformersGenerator(network.to(torch_device(device)))
    else:
        from spartito.models.pop2piano_generate import FastGenerator
        from spartito.models.pop2piano_network import Pop2PianoConfig

        settings = Pop2PianoConfig.from_dict(network.config.to_dict() | {"activation": activation})
        made = FastGenerator(network.state_dict(), settings, device=device, precision=precision, threads=threads)
    return Pop2Piano(name, composers, made, compat)


def open_network(folder: str | Path, *, activation: str = "gelu_new"):
    """The network of `transformers` in a folder, float32, with the settings put right."""
    folder = Path(folder)
    try:
        from transformers import Pop2PianoConfig, Pop2PianoForConditionalGeneration
        from transformers.utils import logging
    except ImportError as error:
        raise MissingExtraError("transformers", extra="pop2piano", purpose="running pop2piano") from error
    stated = _json(folder / "config.json")
    logging.disable_progress_bar()
    try:
        config = Pop2PianoConfig.from_pretrained(folder)
        config.dense_act_fn = activation
        config.scale_decoder_outputs = stated.get("scale_decoder_outputs", stated.get("tie_word_embeddings", True))
        network, report = Pop2PianoForConditionalGeneration.from_pretrained(
            folder, config=config, output_loading_info=True
        )
    except Exception as error:  # transformers, safetensors and torch raise many kinds of their own
        raise ModelError(f"{folder} cannot be loaded as Pop2Piano: {str(error).splitlines()[0]}") from error
    finally:
        logging.enable_progress_bar()
    wrong = sorted({*report["missing_keys"], *(str(key) for key in report["mismatched_keys"])})
    if wrong:
        raise ModelError(f"{folder} is not Pop2Piano: it lacks {wrong[0]} ({len(wrong)} weights in all)")
    if config.d_model != MEL_BANDS:
        raise ModelError(f"{folder}: {config.d_model} numbers a frame are not the {MEL_BANDS} mel bands of Pop2Piano")
    return network.float().eval()


def composer_rows(folder: Path, *, count: int) -> dict[str, int]:
    """Row of each composer by name, of `count`; composer1 ... where the file does not say (any longer)."""
    path = folder / "generation_config.json"
    stated = _json(path).get("composer_to_feature_token") if path.exists() else None
    if not stated:
        stated = {f"composer{i + 1}": COMPOSER + i for i in range(count)}
    first = min(stated.values())
    rows = {name: token - first for name, token in sorted(stated.items(), key=lambda item: item[1])}
    if len(rows) > count or max(rows.values()) >= count:
        raise ModelError(f"{path} names {len(rows)} composers, the network has {count}")
    return rows


def _json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error


# -- the generator of transformers --------------------------------------------------------------------------


class TransformersGenerator:
    """What `FastGenerator` does, by the generation of `transformers`; each call has settings of its own."""

    def __init__(self, network):
        self.network = network

    def generate(
        self,
        features: np.ndarray,
        mask: np.ndarray | None,
        composers: np.ndarray,
        *,
        max_length: int = 256,
        full_vocabulary: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> np.ndarray:
        """Tokens (n, length) without the start of features (n, frames, 512); see `Pop2Piano.generate`."""
        import torch
        from transformers import GenerationConfig
        from transformers.generation import GenerationMixin

        network, vocabulary = self.network, self.network.config.vocab_size
        settings = GenerationConfig(
            max_length=max_length,
            do_sample=False,
            num_beams=1,
            decoder_start_token_id=START,
            pad_token_id=START,
            eos_token_id=END,
            suppress_tokens=None if full_vocabulary else [START, *range(END + 1, NOTE), *range(SIZE, vocabulary)],
        )
        with torch.inference_mode():
            here = network.device
            heard = torch.from_numpy(np.ascontiguousarray(features)).to(here)
            rows = torch.from_numpy(np.asarray(composers, dtype=np.int64)).to(here)
            heard = network.mel_conditioner(heard, rows, 0)
            known = torch.ones(heard.shape[:2], dtype=torch.long, device=here)
            if mask is not None:
                known[:, 1:] = torch.from_numpy(np.asarray(mask, dtype=np.int64)).to(here)
            # not Pop2Piano's own `generate`, which knows one composer a call and writes into its settings
            tokens = GenerationMixin.generate(
                network, inputs_embeds=heard, attention_mask=known, generation_config=settings
            )
        if progress is not None:
            progress(1.0)
        return tokens[:, 1:].cpu().numpy()
