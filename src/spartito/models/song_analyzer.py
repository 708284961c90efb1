"""What a recorded song is made of, frame by frame: beats, downbeats, chords, bass, key and the leading voice.

Job
    One small network hears the `default` spectrum of a whole mix and gives logits for everything that
    `analysis/analyze.py` needs. It gives opinions only: paths through them (bars, chords, melody) are found elsewhere.

Model
    Two ways into the sound and one exchange between them:
    - *Harmony.* Each key hears its own partials and those an octave below (the same weights for every key), two
      convolutions look at neighbouring keys. The keys of a pitch class are folded together with a weight per octave,
      and circular convolutions over the twelve pitch classes, every root treated alike, read chords eight times a
      second: a class for each root and quality, the bass, the key.
    - *Rhythm.* Convolutions with pooling over frequency, then dilated convolutions over time that see eight seconds
      to either side. They are told what the harmony does, since chords change on downbeats.
    - *Melody.* From the keys, before they are folded.
    0.53 M parameters; one second of sound costs about 80 million multiplications.

Sources
    Dilated convolutions for beats and downbeats: M. E. P. Davies, S. Böck, 'Temporal convolutional networks for
    musical audio beat tracking' (EUSIPCO 2019); S. Böck, M. E. P. Davies, 'Deconstruct, analyse, reconstruct: how to
    improve tempo, beat, and downbeat estimation' (ISMIR 2020). One network for chord, bass and root: B. McFee,
    J. P. Bello, 'Structured training for large-vocabulary chord recognition' (ISMIR 2017). Harmonic stacking: R. M.
    Bittner et al., 'Deep salience representations for F0 estimation in polyphonic music' (ISMIR 2017). Here the
    chords are equal under transposition by construction (circular convolutions over pitch classes), and one trunk
    serves all.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spartito.audio.features import BINS_PER_SEMITONE, bin_of_pitch, front_end
from spartito.models.harmonic_transcriber import Standardised, channels_last
from spartito.models.song_outputs import HIGHEST_VOICE, LOWEST_VOICE, QUALITIES, STRIDE

__all__ = ["SongAnalyzer", "SongAnalyzerConfig"]

KEYS, LOWEST_KEY = 88, 21
OCTAVES = 8  # the 88 keys and the 8 that are missing to whole octaves
HEARD = (13, 32)  # semitones below and above a key that it hears: the octave below to the sixth partial
TRUNK_FRAMES = 4  # frames of 16 ms in a step of the keys: 15.6 steps a second
BEAT_FRAMES = 2  # in a step of the rhythm: 31.25
PITCHES = 12


@dataclass(frozen=True)
class SongAnalyzerConfig:
    """What defines the network; stored beside its weights."""

    channels: int = 16
    """Of the keys."""
    classes: int = 64
    """Of a pitch class."""
    class_dilations: tuple[int, ...] = (1, 2, 4, 8)
    """Of the convolutions over time at eight steps a second."""
    stem: tuple[int, int] = (12, 24)
    """Channels of the two convolutions of the rhythm's way in."""
    rhythm: int = 64
    """Channels of the dilated convolutions."""
    rhythm_dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    """Of the convolutions of 5 steps over time at 31 steps a second."""
    melody_dilations: tuple[int, ...] = (1, 3)
    """Of the convolutions of 5 steps over time at 16 steps a second."""
    dropout: float = 0.1

    @classmethod
    def from_dict(cls, values: dict) -> SongAnalyzerConfig:
        """From JSON, where tuples are lists."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    @property
    def reach(self) -> int:
        """16 ms frames that the network sees to either side, in whole steps of all its parts."""
        harmony = TRUNK_FRAMES * 2 + STRIDE * (1 + 2 * sum(self.class_dilations))
        rhythm = BEAT_FRAMES * (2 + 2 * sum(self.rhythm_dilations))
        melody = TRUNK_FRAMES * (2 + 2 * sum(self.melody_dilations))
        return -(-max(harmony + rhythm, melody) // STRIDE) * STRIDE


class SongAnalyzer(Standardised):
    """See the module's text. Input is the `default` front end, standardised here."""

    def __init__(self, config: SongAnalyzerConfig | None = None):
        super().__init__()
        self.config = config = config or SongAnalyzerConfig()
        bins = front_end("default").bins
        self.register_buffer("mean", torch.full((bins,), -7.0))
        self.register_buffer("scale", torch.full((bins,), 2.5))
        # -- keys
        c = config.channels
        below, above = HEARD
        self.enter = nn.Conv2d(TRUNK_FRAMES * BINS_PER_SEMITONE, c, (1, below + 1 + above), bias=False)
        lowest = int(bin_of_pitch(LOWEST_KEY)) - BINS_PER_SEMITONE // 2  # first bin of the semitone of A0
        self.padding = (below * BINS_PER_SEMITONE - lowest, (above + KEYS) * BINS_PER_SEMITONE + lowest - bins)
        self.enter_norm = nn.BatchNorm2d(c)
        self.keys = nn.ModuleList([_Block(c, c, (3, 3)), _Block(c, c, (3, 3))])
        # -- pitch classes
        h = config.classes
        self.fold = nn.Conv2d(OCTAVES * c, h, 1, bias=False)
        self.fold_norm = nn.BatchNorm2d(h)
        self.around = nn.ModuleList(_Around(h) for _ in config.class_dilations)
        self.along = nn.ModuleList(_Block(h, h, (5, 1), dilation=(d, 1)) for d in config.class_dilations)
        self.drop = nn.Dropout(config.dropout)
        self.chord = nn.Conv2d(h, len(QUALITIES), 1)
        self.bass = nn.Conv2d(h, 1, 1)
        self.key = nn.Conv2d(h, 2, 1)
        self.nothing = nn.Conv2d(2 * h, 2, 1)  # no chord, no bass
        # -- rhythm
        first, second = config.stem
        r = config.rhythm
        self.stem = nn.ModuleList(
            [_Block(BEAT_FRAMES * BINS_PER_SEMITONE, first, (3, 3)), _Block(first, second, (3, 3))]
        )
        self.bands = nn.Conv2d(second * (bins // BINS_PER_SEMITONE // 9), r, 1, bias=False)
        self.told = nn.Conv2d(2 * h, r, 1, bias=False)
        self.bands_norm = nn.BatchNorm2d(r)
        self.times = nn.ModuleList(_Block(r, r, (5, 1), dilation=(d, 1), mix=True) for d in config.rhythm_dilations)
        self.beat = nn.Conv2d(r, 3 * BEAT_FRAMES, 1)
        # -- melody
        self.octave = _Block(c, c, (1, 5), dilation=(1, 12))
        self.lines = nn.ModuleList(_Block(c, c, (5, 1), dilation=(d, 1)) for d in config.melody_dilations)
        self.voice = nn.Conv2d(c, 2, 1)  # two half steps
        self.silent = nn.Conv2d(2 * c, 2, 1)
        self._start_biases_at_density()

    def _start_biases_at_density(self):
        with torch.no_grad():
            self.beat.weight.mul_(0.3)
            self.beat.bias.copy_(torch.tensor([0.0, -2.5, -4.0]).repeat_interleave(BEAT_FRAMES))
            for layer in (self.chord, self.bass, self.key, self.voice):
                layer.weight.mul_(0.5)
                layer.bias.zero_()
            self.voice.bias.fill_(-3.0)

    def forward(self, spectrum: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Logits.

        Parameters
        ----------
        spectrum : Tensor, shape=(B, 8T, bins)
            The `default` front end at the reference level: natural logarithm of amplitude, 62.5 frames a second.

        Returns
        -------
        beat : Tensor, shape=(B, 3, 8T)
            Nothing, beat, downbeat.
        chord : Tensor, shape=(B, 1 + 12 · qualities, T)
            No chord, then quality by quality the twelve roots, 7.8 a second.
        bass : Tensor, shape=(B, 13, T)
            None, then the twelve pitch classes.
        key : Tensor, shape=(B, 24, T)
            Twelve major, twelve minor.
        melody : Tensor, shape=(B, 1 + voices, 4T)
            Silent, then the pitches `LOWEST_VOICE` to `HIGHEST_VOICE`, 31.25 a second.
        """
        x = (spectrum - self.mean) / self.scale
        keys = self._keys(x)  # (B, C, 2T, 88)
        if keys.requires_grad:
            keys.register_hook(channels_last)
        classes = self._classes(keys)  # (B, H, T, 12)
        whole = torch.cat([classes.mean(3, keepdim=True), classes.amax(3, keepdim=True)], 1)  # (B, 2H, T, 1)
        nothing = self.nothing(whole)[..., 0]  # (B, 2, T)
        dropped = self.drop(classes)
        chord = self.chord(dropped).transpose(2, 3).flatten(1, 2)  # (B, Q·12, T)
        bass = self.bass(dropped).transpose(2, 3).flatten(1, 2)
        key = self.key(dropped).transpose(2, 3).flatten(1, 2)
        chord = torch.cat([nothing[:, :1], chord], 1)
        bass = torch.cat([nothing[:, 1:], bass], 1)
        return self._rhythm(x, whole), chord, bass, key, self._melody(keys)

    def _keys(self, x: Tensor) -> Tensor:
        """(B, C, 2T, 88) from the standardised spectrum (B, 8T, bins)."""
        b, frames, _ = x.shape
        t = frames // TRUNK_FRAMES
        x = nn.functional.pad(x, self.padding)
        x = x.reshape(b, t, TRUNK_FRAMES, -1, BINS_PER_SEMITONE)
        x = x.permute(0, 1, 3, 2, 4).flatten(3).permute(0, 3, 1, 2)  # (B, 12, 2T, semitones), channels last in memory
        x = torch.relu(self.enter_norm(self.enter(x)))
        for block in self.keys:
            x = block(x)
        return x

    def _classes(self, keys: Tensor) -> Tensor:
        """(B, H, T, 12), C first."""
        b, c, steps, _ = keys.shape
        x = nn.functional.avg_pool2d(keys, (STRIDE // TRUNK_FRAMES, 1))
        low = LOWEST_KEY % PITCHES  # the lowest key is an A: the first octave begins with its C, nine keys below
        x = nn.functional.pad(x, (low, OCTAVES * PITCHES - KEYS - low + PITCHES))[..., : OCTAVES * PITCHES]
        t = steps * TRUNK_FRAMES // STRIDE
        x = x.reshape(b, c, t, OCTAVES, PITCHES).permute(0, 3, 1, 2, 4).reshape(b, OCTAVES * c, t, PITCHES)
        x = torch.relu(self.fold_norm(self.fold(x)))
        for around, along in zip(self.around, self.along):
            x = along(around(x))
        return x

    def _rhythm(self, x: Tensor, whole: Tensor) -> Tensor:
        """(B, 3, 8T) from the standardised spectrum and the summary (B, 2H, T, 1) of the harmony."""
        b, frames, bins = x.shape
        t = frames // BEAT_FRAMES
        x = x.reshape(b, t, BEAT_FRAMES, bins // BINS_PER_SEMITONE, BINS_PER_SEMITONE)
        x = x.permute(0, 1, 3, 2, 4).flatten(3).permute(0, 3, 1, 2)  # (B, 6, 4T, semitones)
        for block in self.stem:
            x = nn.functional.max_pool2d(block(x), (1, 3))
        x = x.permute(0, 1, 3, 2).flatten(1, 2)[..., None]  # (B, second · bands, 4T, 1)
        told = self.told(whole).repeat_interleave(STRIDE // BEAT_FRAMES, dim=2)
        x = torch.relu(self.bands_norm(self.bands(x) + told))
        for block in self.times:
            x = block(x)
        x = self.beat(self.drop(x))[..., 0]  # (B, 3 · 2, 4T)
        return x.reshape(b, 3, BEAT_FRAMES, t).transpose(2, 3).reshape(b, 3, frames)

    def _melody(self, keys: Tensor) -> Tensor:
        """(B, 1 + voices, 4T)."""
        low, high = LOWEST_VOICE - LOWEST_KEY, HIGHEST_VOICE - LOWEST_KEY + 1
        x = self.octave(keys)[..., low:high]
        for block in self.lines:
            x = block(x)
        b, _, steps, _ = x.shape
        voiced = self.voice(x)  # (B, 2, 2T, voices)
        silent = self.silent(torch.cat([x.mean(3, keepdim=True), x.amax(3, keepdim=True)], 1))
        both = torch.cat([silent, voiced], 3)  # (B, 2, 2T, 1 + voices)
        return both.permute(0, 3, 2, 1).reshape(b, high - low + 1, 2 * steps)


class _Block(nn.Module):
    """Convolution, batch normalisation, ReLU, where asked a mixing of channels; added to the input of like width."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int], *, dilation=(1, 1), mix: bool = False):
        super().__init__()
        self.residual = inputs == outputs
        padding = tuple(d * (k // 2) for k, d in zip(kernel, dilation, strict=True))
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.mix = nn.Conv2d(outputs, outputs, 1) if mix else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.mix(torch.relu(self.norm(self.conv(x))))
        return x + y if self.residual else y


class _Around(nn.Module):
    """A convolution around the circle of pitch classes: each hears all twelve by their distance from it."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, (1, PITCHES), bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:  # (B, H, T, 12)
        y = self.conv(torch.cat([x, x[..., : PITCHES - 1]], 3))
        return x + torch.relu(self.norm(y))
