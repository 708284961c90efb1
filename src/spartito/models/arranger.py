"""A2S: a pop recording becomes a piano arrangement, two bars at a time.

Three codes describe a segment of eight beats, and the PianoTree decoder writes the piano from them:

    chords (B, 8, 36)        -> chord encoder            -> z_chd
    sound  -> piano frames   -> frame encoder            -> z_aud -> features per step (bass, density, lead rhythm)
    piano-roll (B, 32, 128)  -> texture encoder          -> z_sym   (in training, or the segment before as a prompt)
    [z_chd, z_aud, z_sym], features                      -> PianoTree decoder -> (B, 32, 15, 6)

Four types: `a2s`; `a2s-nochd` without the chord code; `supervised` and `supervised+kl`, in which the code of the
sound is all there is. The published configuration (`ArrangerConfig.paper`) hears a log-mel spectrogram through an
Onsets and Frames transcriber, and its tensors have the names, order and shapes of the published weights, which load
as they are. The `small` configuration, which we train and ship, differs:

- frames come ready from the shipped transcriber, which stays as it is (`arranger_input.py`): (B, 4, 132, 88), onset,
  frame, velocity and level of each key at 16 frames a beat, after a quarter beat of pre-roll;
- the recurrent states of the frame encoder reach the decoder at every step, and a small convolutional network gives
  evidence for each key at each step (`KeyEncoder`): what two bars of melody and bass are does not pass through a
  vector of fixed size;
- the segment's chords are also told to that network, key by key, and one bit says whether the melody is to be played;
- all widths are smaller.

`compat` reproduces two habits of the published code: chords without root or bass set other bits (`chord_vectors` in
`arranger_input.py`), and chord tokens of free running are unions over the batch. Source: Z. Wang, D. Xu, G. Xia, Y.
Shan, "Audio-to-symbolic arrangement via cross-modal music representation learning", ICASSP 2022 (arXiv:2112.15110).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from spartito.errors import ParameterError
from spartito.models.arranger_parts import (
    FEATURES,
    ChordDecoder,
    ChordEncoder,
    FeatureDecoder,
    FrameEncoder,
    Gaussian,
    KeyEncoder,
    TextureEncoder,
)
from spartito.models.onsets_frames import OnsetsFrames, OnsetsFramesConfig
from spartito.models.pianotree import STEPS
from spartito.models.pianotree_decoder import KEYS, Choice, ForcedNotes, NoteLogits, PianoTreeConfig, PianoTreeDecoder

__all__ = ["TYPES", "ArrangerConfig", "ArrangerNetwork", "Encoded", "Gaussian", "Learned"]

TYPES = ("a2s", "a2s-nochd", "supervised", "supervised+kl")
PAPER_AUDIO = {"a2s": 192, "a2s-nochd": 320, "supervised": 512, "supervised+kl": 512}
SMALL_AUDIO = {"a2s": 128, "a2s-nochd": 160, "supervised": 192, "supervised+kl": 192}


@dataclass(frozen=True)
class ArrangerConfig:
    """What defines the network; stored beside its weights. The defaults are those of the published `a2s`."""

    type: str = "a2s"
    transcriber: int = 48
    """Channels of the Onsets and Frames network inside; 0: frames come ready."""
    frame_channels: int = 3
    """Onset, frame, velocity (and level)."""
    frame_kernels: int = 20
    frame_units: int = 1024
    audio_latent: int = 192
    chord_units: int = 256
    chord_latent: int = 128
    chord_decoder: tuple[int, int] = (512, 256)
    """State and input width of the chord decoder."""
    symbol_layers: tuple[int, int] = (1000, 256)
    symbol_units: int = 1024
    symbol_latent: int = 192
    feature_decoder: tuple[int, int] = (1024, 128)
    """State and input width of the feature decoder."""
    feature_embedding: int = 64
    time_input: int = 256
    time_units: int = 1024
    note_units: int = 512
    embedding: int = 128
    summary: int = 128
    local_features: int = 0
    """Width of the sound that joins each step of the decoder; 0 as published."""
    key_channels: int = 0
    """Channels of the network that gives evidence per key; 0 as published, without it."""
    key_rounds: int = 0
    """How often it looks around."""
    conditions: int = 0
    """Bits of choice appended to the code; 1: whether the melody is played."""
    leftovers: bool = True
    """Whether there are the unused tensors of the published weights."""

    def __post_init__(self):
        if self.type not in TYPES:
            raise ParameterError(f"the type of an arranger is one of {', '.join(TYPES)}, not {self.type!r}")

    @classmethod
    def paper(cls, type: str = "a2s") -> ArrangerConfig:
        """The published configuration: 62,273,625 parameters (`a2s`), 61,000,965 (`a2s-nochd`), 48,452,573."""
        return cls(type=type, audio_latent=PAPER_AUDIO.get(type, 0))

    @classmethod
    def small(cls, type: str = "a2s") -> ArrangerConfig:
        """What is trained and shipped here."""
        return cls(
            type=type,
            transcriber=0,
            frame_channels=4,
            frame_kernels=10,
            frame_units=144,
            audio_latent=SMALL_AUDIO.get(type, 0),
            chord_units=64,
            chord_latent=64,
            chord_decoder=(96, 48),
            symbol_layers=(192, 96),
            symbol_units=96,
            symbol_latent=64,
            feature_decoder=(96, 32),
            feature_embedding=32,
            time_input=96,
            time_units=256,
            note_units=192,
            embedding=64,
            summary=64,
            local_features=128,
            key_channels=24,
            key_rounds=2,
            conditions=1,
            leftovers=False,
        )

    @classmethod
    def tiny(cls, type: str = "a2s") -> ArrangerConfig:
        """For tests: every part, hardly any width."""
        return replace(
            cls.small(type),
            frame_kernels=2,
            frame_units=6,
            audio_latent=8,
            chord_units=6,
            chord_latent=6,
            chord_decoder=(8, 4),
            symbol_layers=(8, 6),
            symbol_units=6,
            symbol_latent=6,
            feature_decoder=(8, 4),
            feature_embedding=4,
            time_input=8,
            time_units=16,
            note_units=12,
            embedding=8,
            summary=6,
            local_features=8,
            key_channels=4,
            key_rounds=1,
        )

    @classmethod
    def from_dict(cls, values: dict) -> ArrangerConfig:
        """From JSON: unknown entries are refused."""
        known = {field.name for field in fields(cls)}
        if set(values) - known:
            raise ParameterError(f"an arranger has no setting {sorted(set(values) - known)[0]!r}")
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

    def to_dict(self) -> dict:
        return asdict(self)

    @property
    def has_chords(self) -> bool:
        return self.type == "a2s"

    @property
    def has_symbols(self) -> bool:
        """Texture encoder and features: both A2S types."""
        return self.type in ("a2s", "a2s-nochd")

    @property
    def latent(self) -> int:
        """Width of the decoder's code, conditions included."""
        chord = self.chord_latent if self.has_chords else 0
        symbol = self.symbol_latent if self.has_symbols else 0
        return chord + self.audio_latent + symbol + self.conditions


class Encoded(NamedTuple):
    """What the encoders say of segments; None where the type has no such part."""

    audio: Gaussian
    chord: Gaussian | None
    symbol: Gaussian | None
    local: Tensor | None  # (B, 32, local_features)
    keys: Tensor | None  # (B, 32, 88, 6) logits


class Learned(NamedTuple):
    """What `ArrangerNetwork.forward` gives to the loss."""

    encoded: Encoded
    chords: tuple[Tensor, Tensor, Tensor] | None  # logits of root, chroma, bass
    features: Tensor | None  # (B, 32, 3)
    notes: NoteLogits | ForcedNotes | None


class ArrangerNetwork(nn.Module):
    """See the module's text. Sub-modules are named and ordered as in the published weights."""

    def __init__(self, config: ArrangerConfig | None = None):
        super().__init__()
        self.config = c = config or ArrangerConfig.paper()
        if c.has_chords:
            self.chord_enc = ChordEncoder(c.chord_units, c.chord_latent)
            self.chord_dec = ChordDecoder(c.chord_latent, *c.chord_decoder)
        if c.transcriber:
            self.transcriber = OnsetsFrames(OnsetsFramesConfig.named("jongwook", channels=c.transcriber))
        self.frame_enc = FrameEncoder(c.frame_channels, c.frame_kernels, c.frame_units, c.audio_latent)
        if c.key_channels:
            self.key_enc = KeyEncoder(
                c.frame_channels, c.key_channels, rounds=c.key_rounds, chords=c.has_chords, conditions=c.conditions
            )
        if c.local_features:
            inputs = 2 * c.frame_units + (KEYS if c.key_channels else 0)
            self.local_layer = nn.Linear(inputs, c.local_features)
        if c.has_symbols:
            self.prmat_enc = TextureEncoder(c.symbol_layers, c.symbol_units, c.symbol_latent)
            self.feat_dec = FeatureDecoder(c.audio_latent, *c.feature_decoder)
            self.feat_emb_layer = nn.Linear(FEATURES, c.feature_embedding)
        self.pianotree_dec = PianoTreeDecoder(
            PianoTreeConfig(
                latent=c.latent,
                features=c.feature_embedding if c.has_symbols else 0,
                time_input=c.time_input,
                time_units=c.time_units,
                note_units=c.note_units,
                embedding=c.embedding,
                summary=c.summary,
                local=c.local_features,
                keys=c.key_channels > 0,
                leftovers=c.leftovers,
            )
        )

    def hear(self, mel: Tensor) -> Tensor:
        """(B, 229, T) log-mel -> (B, 3, T, 88) piano frames; frames that come ready pass through."""
        if not self.config.transcriber:
            return mel
        heard = self.transcriber(mel.transpose(1, 2))
        return torch.stack([heard.onset, heard.frame, heard.velocity], dim=1)

    def encode(
        self,
        frames: Tensor,
        chords: Tensor | None = None,
        prompt: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> Encoded:
        """Codes of segments.

        Parameters
        ----------
        frames : (B, channels, T, 88), see `hear`
        chords : (B, 8, 36), for `a2s`
        prompt : (B, 32, 128) piano-roll, optional
        condition : (B, conditions) of 0 and 1
        """
        c = self.config
        audio, states = self.frame_enc(frames)
        keys = local = None
        if c.key_channels:
            keys = self.key_enc(frames, chords if c.has_chords else None, condition)
        if c.local_features:
            states = states[:, :STEPS]  # 132 frames give 32 positions
            parts = [states] if keys is None else [states, torch.sigmoid(keys[..., 0]).to(states.dtype)]
            local = torch.relu(self.local_layer(torch.cat(parts, dim=-1)))
        return Encoded(
            audio=audio,
            chord=self.chord_enc(chords) if c.has_chords else None,
            symbol=self.prmat_enc(prompt) if c.has_symbols and prompt is not None else None,
            local=local,
            keys=keys,
        )

    def code(self, audio: Tensor, chord: Tensor | None, symbol: Tensor | None, condition: Tensor | None) -> Tensor:
        """(B, latent) from latent values; without a symbolic one it is 0."""
        c = self.config
        if c.has_symbols and symbol is None:
            symbol = audio.new_zeros(len(audio), c.symbol_latent)
        parts = [chord if c.has_chords else None, audio, symbol if c.has_symbols else None]
        parts.append(condition.to(audio.dtype) if c.conditions else None)
        return torch.cat([p for p in parts if p is not None], dim=-1)

    def features_of(
        self, audio: Tensor, truth: Tensor | None = None, *, ratio: float = 0.0, coin: Callable[[], float] | None = None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Features (B, 32, 3) of a code of the sound and their embedding; None for types without."""
        if not self.config.has_symbols:
            return None, None
        heard = self.feat_dec(audio, truth, ratio=ratio, coin=coin or random.random)
        return heard, self.feat_emb_layer(heard)

    def forward(
        self,
        inputs: Tensor,
        chords: Tensor | None = None,
        prompt: Tensor | None = None,
        condition: Tensor | None = None,
        *,
        truth: Tensor,
        features: Tensor | None = None,
        sampled: bool = True,
        noise: float | None = None,
        ratios: tuple[float, float, float] = (1.0, 1.0, 1.0),
        coin: Callable[[], float] = random.random,
        compat: bool = False,
        forced: bool = False,
        heard: Tensor | None = None,
        forget: Tensor | None = None,
        evidence_only: bool = False,
    ) -> Learned:
        """One pass of training.

        Parameters
        ----------
        inputs, chords, prompt, condition : see `hear` and `encode`
        truth : (B, 32, 16, 6) int, features : (B, 32, 3)
        sampled : draw the latents; else their means
        noise : standard deviation of a symbolic code that is drawn, in place of the encoder's (stage 3a)
        ratios, coin : probabilities of the truth on time, note and chord axes, and where chance comes from
        forced : `PianoTreeDecoder.forced` with `heard` and `forget`, in place of coins on its axes
        evidence_only : stop behind `KeyEncoder`; everything else is None
        """
        if evidence_only:
            keys = self.key_enc(inputs, chords if self.config.has_chords else None, condition)
            return Learned(Encoded(None, None, None, None, keys), None, None, None)
        encoded = self.encode(self.hear(inputs), chords, prompt if noise is None else None, condition)

        def value(gaussian):
            return None if gaussian is None else gaussian.sample() if sampled else gaussian.mean

        audio, chord, symbol = value(encoded.audio), value(encoded.chord), value(encoded.symbol)
        if noise is not None and self.config.has_symbols:
            symbol = noise * torch.randn(len(audio), self.config.symbol_latent, device=audio.device)
        told = None
        if chord is not None:
            told = self.chord_dec(chord, chords, ratio=ratios[2], coin=coin, compat=compat)
        heard_features, embedded = self.features_of(audio, features, ratio=ratios[0], coin=coin)
        z = self.code(audio, chord, symbol, condition)
        extra = {"local": encoded.local, "keys": encoded.keys, "truth": truth}
        if forced:
            notes = self.pianotree_dec.forced(z, embedded, heard=heard, forget=forget, **extra)
        else:
            choice = Choice(compat=compat)
            notes = self.pianotree_dec(z, embedded, ratios=ratios[:2], coin=coin, choice=choice, **extra)
        return Learned(encoded, told, heard_features, notes)

    @torch.no_grad()
    def arrange(self, inputs: Tensor, chords=None, prompt=None, condition=None, *, choice, stop_early=True) -> Tensor:
        """(B, 32, 15, 6) int64, from the means of the latents; `inputs` are mel or frames, see `hear`."""
        encoded = self.encode(self.hear(inputs), chords, prompt, condition)
        means = (None if g is None else g.mean for g in (encoded.audio, encoded.chord, encoded.symbol))
        z = self.code(*means, condition)
        embedded = self.features_of(encoded.audio.mean)[1]
        extra = {"local": encoded.local, "keys": encoded.keys}
        return self.pianotree_dec(z, embedded, **extra, choice=choice, stop_early=stop_early).grid
