"""A Pop2Piano of random weights, small enough for tests, that writes lively rows; and the port's way to hear a song."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

COMPOSERS = {f"composer{i + 1}": 2052 + i for i in range(21)}
LENGTH = 40  # of rows, in place of 256


def network(*, seed: int = 3, activation: str = "relu", vocabulary: int = 240, **options):
    """The model of `transformers`: two layers, two heads, the real width of 512."""
    import torch
    from transformers import Pop2PianoConfig, Pop2PianoForConditionalGeneration

    torch.manual_seed(seed)
    sizes = {"d_model": 512, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "vocab_size": vocabulary}
    config = Pop2PianoConfig(**sizes | {"tie_word_embeddings": False, "dense_act_fn": activation} | options)
    made = Pop2PianoForConditionalGeneration(config).eval()
    with torch.no_grad():  # the next word hangs on the last one, and on all else a little
        made.lm_head.weight.normal_(0, 1)
        made.lm_head.weight[1] *= 1.3
        made.lm_head.weight[133] *= 1.5  # "on"
        made.lm_head.weight[138:] *= 0.7  # long ways in time
        made.lm_head.weight[2:4] = made.lm_head.weight[234:] = 0
        made.mel_conditioner.embedding.weight.normal_(0, 4)
        for block in made.decoder.block:
            block.layer[0].SelfAttention.o.weight *= 0.3
            block.layer[1].EncDecAttention.o.weight *= 0.5
        made.decoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight.normal_(0, 2)
    return made


def with_composers(made):
    """The same model, knowing its composers as that of the hub does."""
    from transformers import GenerationConfig

    made.generation_config = GenerationConfig(
        composer_to_feature_token=COMPOSERS, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1, max_length=LENGTH
    )
    return made


def saved(folder: Path, **options) -> Path:
    """A folder as the hub has it."""
    with_composers(network(**options)).save_pretrained(folder)
    return folder


@cache
def tokenizer(folder: Path):
    """The port's tokenizer with the published vocabulary, which is written to `folder`."""
    from transformers.models.pop2piano.tokenization_pop2piano import Pop2PianoTokenizer

    kinds = [("SPECIAL", 4), ("NOTE", 128), ("VELOCITY", 2), ("TIME", 100)]
    words = [f"{value}_TOKEN_{kind}" for kind, count in kinds for value in range(count)]
    path = folder / "vocab.json"
    path.write_text(json.dumps({word: i for i, word in enumerate(words)}), encoding="utf-8")
    return Pop2PianoTokenizer(vocab=str(path))


def heard_by_the_port(songs, *, rate: int = 22_050, batched: bool = False):
    """The port's features of songs ((samples, beats) each), its beat tracker replaced by what it should say."""
    from importlib import import_module
    from unittest import mock

    port = import_module("transformers.models.pop2piano.feature_extraction_pop2piano")
    beats = iter([times for _, times in songs])
    told = lambda self, audio: (0.0, next(beats), 0.0, [], [])  # noqa: E731
    nothing = lambda *_, **__: None  # noqa: E731
    samples = [audio for audio, _ in songs]
    with (
        mock.patch.object(port.Pop2PianoFeatureExtractor, "extract_rhythm", told),
        mock.patch.object(port, "requires_backends", nothing),
    ):
        extractor = port.Pop2PianoFeatureExtractor()
        if not batched:
            return extractor(samples[0], sampling_rate=rate, return_tensors="pt")
        return extractor(samples, sampling_rate=[rate] * len(songs), return_attention_mask=True, return_tensors="pt")


def table(midi) -> np.ndarray:
    """(n, 4) onset s, offset s, pitch, velocity of a pretty_midi object, sorted."""
    notes = [(n.start, n.end, n.pitch, n.velocity) for n in midi.instruments[0].notes]
    return np.array(sorted(notes, key=lambda n: (round(n[0], 6), n[2], n[1]))).reshape(-1, 4)
