"""Spectrograms: what the networks see of a recording.

Three named front ends, each one definition that serves numpy (inference) and torch (training) alike:

- `magenta` and `jongwook`: 229 mel bands of a 2048-point spectrum every 32 ms, as published with Onsets and
  Frames (Hawthorne et al., ISMIR 2018 and ICLR 2019) and in its PyTorch port; the first in decibels of power, the
  second in natural logarithm of amplitude. `magenta-2018` is the first with Slaney's mel scale.
- `default`: a logarithmic frequency axis with three bins per semitone, so that a shift by one semitone is a shift
  by three bins and a harmonic series has the same shape on every key. A long window resolves the bass, a short
  one places treble attacks in time; neighbouring windows are cross-faded over half an octave.

All work at 16 kHz mono. Frame i is centred on sample i·hop.

Differences from the originals: `magenta` floors at a fixed level instead of 80 dB below the loudest bin of
whatever was passed in, so that a quiet frame looks the same in an excerpt and in the whole piece (`top_db=80`
gives the published floor).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from spartito.errors import ParameterError

__all__ = ["BINS_PER_SEMITONE", "PRESETS", "FrontEnd", "bin_of_pitch", "front_end", "mel_bank"]

RATE = 16_000  # Hz, of every front end here
BINS_PER_SEMITONE = 3
LOWEST_BIN_PITCH = 20.0  # MIDI number of bin 0 of `default`: a semitone below A0, room for a piano tuned low
HIGHEST_HZ = 7_900.0  # just below the Nyquist frequency
WINDOWS = (4096, 2048, 1024)  # samples; bass, middle, treble of `default`
CROSSOVERS_HZ = (330.0, 1_320.0)  # E4 and E6: each window resolves the semitones above its lower crossover
LOG_FLOOR = 1e-5  # amplitude; -100 dBFS of a bin


@dataclass(frozen=True)
class Window:
    """One short-time spectrum and its part of the bins."""

    size: int
    bank: np.ndarray  # (lines, bins of this window) float32: only the spectral lines that weigh
    first: int = 0  # the first bin it contributes to
    first_line: int = 0

    @classmethod
    def of(cls, size: int, bank: np.ndarray, *, first: int = 0) -> Window:
        """Keep of `bank` ((size // 2 + 1, bins)) the rows that are not all zero."""
        lines = np.flatnonzero(bank.any(axis=1))
        bank = np.ascontiguousarray(bank[lines[0] : lines[-1] + 1], dtype=np.float32)
        return cls(size, bank, first, int(lines[0]))

    def few_lines(self, hop: int) -> bool:
        """Whether computing the lines one by one is cheaper than the whole spectrum."""
        count = self.size // hop
        exact = count * hop == self.size and count & (count - 1) == 0
        return exact and count >= 8 and self.first_line > 0 and self.first_line + len(self.bank) < self.size // 8


@dataclass(frozen=True)
class FrontEnd:
    """A spectrogram with a name. Call it with samples: `front_end("default")(samples)`.

    Attributes
    ----------
    hop : int
        Samples between frames.
    bins : int
    spectrum : "power" or "amplitude"
        What the filter bank sums.
    scale : "ln" or "db"
        `ln`: natural logarithm of amplitude; `db`: decibels of power.
    floor : float
        Values (of the summed spectrum) below it are raised to it.
    padding : "reflect" or "constant"
    top_db : float or None
        Floor relative to the loudest bin of the input, in decibels (`magenta` as published: 80).
    """

    name: str
    hop: int
    bins: int
    spectrum: str
    scale: str
    floor: float
    padding: str
    windows: tuple[Window, ...] = field(repr=False)
    rate: int = RATE
    top_db: float | None = None

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.rate / self.hop

    def frames(self, samples: int) -> int:
        """Number of frames of a recording of so many samples: one per begun hop."""
        return -(-samples // self.hop)

    def __call__(self, samples):
        """Spectrogram of mono samples at 16 kHz.

        Parameters
        ----------
        samples : np.ndarray or torch.Tensor, shape=(..., n), float32

        Returns
        -------
        np.ndarray or torch.Tensor, shape=(..., frames, bins), float32
            frames = ceil(n / hop): the original's habit of dropping the last sample so that frames and label
            rows agree (specification, trap 9).
        """
        xp, fft = _backend(samples)
        parts = []
        for window in self.windows:
            if xp is np and samples.ndim == 1 and window.few_lines(self.hop):
                lines = self._lines_by_blocks(samples, window)
            else:
                spectrum = fft.rfft(self._framed(samples, window.size, xp) * _hann(window.size, xp))
                lines = spectrum[..., window.first_line : window.first_line + len(window.bank)]
            magnitude = abs(lines)
            if self.spectrum == "power":
                magnitude = magnitude * magnitude
            parts.append((window.first, magnitude @ _constant(window.bank, xp)))
        summed = self._join(parts, xp)
        return self._log(summed, xp)

    def _lines_by_blocks(self, samples: np.ndarray, window: Window) -> np.ndarray:
        """(frames, lines) complex64: the lines of a window that the bank uses, up to a phase of each frame and line.

        Windows overlap sixteenfold, and a few lines of a long spectrum are wanted. So every hop of samples is
        projected on these lines once, and a frame is the sum of its hops, each turned to its place: powers of two
        are added by doubling. The window is laid over it afterwards, where it is a sum of three neighbouring lines.
        """
        count = window.size // self.hop
        frames = self.frames(len(samples))
        blocks = self._padded(samples, window.size)[: (frames - 1 + count) * self.hop].reshape(-1, self.hop)
        waves, turns = _block_waves(window.size, self.hop, window.first_line, len(window.bank))
        spectrum = (blocks @ waves).view(np.complex64)  # (blocks, lines + 2)
        turned = turns[np.arange(len(blocks)) % count]
        spectrum *= turned[:, 1:]
        step = 1
        while step < count:
            spectrum = spectrum[:-step] + spectrum[step:]
            step *= 2
        back = turned[:frames, :1]  # by one line: exp(-2 pi i frame / count)
        below, middle, above = spectrum[:, :-2], spectrum[:, 1:-1], spectrum[:, 2:]
        return 0.5 * middle - 0.25 * (back * below + back.conj() * above)

    def _padded(self, samples: np.ndarray, size: int) -> np.ndarray:
        """(..., n) with half a window before, and enough after for the last frame."""
        half = size // 2
        right = max(0, (self.frames(samples.shape[-1]) - 1) * self.hop + half - samples.shape[-1])
        widths = [(0, 0)] * (samples.ndim - 1) + [(half, right)]
        return np.pad(samples.astype(np.float32, copy=False), widths, mode=self.padding)

    def _framed(self, samples, size: int, xp):
        """(..., frames, size): windows centred on multiples of the hop."""
        frames = self.frames(samples.shape[-1])
        half = size // 2
        right = max(0, (frames - 1) * self.hop + half - samples.shape[-1])
        if xp is np:
            padded = self._padded(samples, size)
            view = np.lib.stride_tricks.sliding_window_view(padded, size, axis=-1)
            return view[..., :: self.hop, :][..., :frames, :]
        flat = samples.reshape(-1, samples.shape[-1])
        padded = xp.nn.functional.pad(flat, (half, right), mode=self.padding)
        return padded.unfold(-1, size, self.hop)[:, :frames].reshape(*samples.shape[:-1], frames, size)

    def _join(self, parts, xp):
        if len(parts) == 1:
            return parts[0][1]
        total = xp.zeros((*parts[0][1].shape[:-1], self.bins), dtype=xp.float32)
        for first, part in parts:
            total[..., first : first + part.shape[-1]] += part
        return total

    def _log(self, summed, xp):
        clamp = np.maximum if xp is np else (lambda x, low: xp.clamp(x, min=low))
        if self.scale == "ln":
            log = xp.log(clamp(summed, self.floor))
            return 0.5 * log if self.spectrum == "power" else log
        decibels = 10.0 * xp.log10(clamp(summed, self.floor))
        if self.top_db is None:
            return decibels
        return clamp(decibels, float(decibels.max()) - self.top_db)


def front_end(name: str = "default", *, hop: int | None = None, top_db: float | None = None) -> FrontEnd:
    """The front end called `name`; `hop` (samples) replaces its own, `top_db` adds a relative floor."""
    if name not in PRESETS:
        raise ParameterError(f"no front end is called {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name](hop, top_db)


@lru_cache(maxsize=8)
def _mel(name: str, slaney: bool, spectrum: str, scale: str, floor: float, hop, top_db) -> FrontEnd:
    bank = mel_bank(bins=229, size=2048, rate=RATE, low=30.0, high=RATE / 2, slaney=slaney)
    windows = (Window.of(2048, bank.T),)
    return FrontEnd(name, hop or 512, 229, spectrum, scale, floor, "reflect", windows, RATE, top_db)


@lru_cache(maxsize=8)
def _log_frequency(hop, top_db) -> FrontEnd:
    centres = _bin_frequencies()
    windows = []
    edges = (0.0, *CROSSOVERS_HZ, np.inf)
    for size, low, high in zip(WINDOWS, edges[:-1], edges[1:], strict=True):
        share = _fade_in(centres, low) * (1.0 - _fade_in(centres, high))  # (bins,)
        used = np.flatnonzero(share > 0)
        bank = _gaussian_bank(centres[used], size) * share[used]  # (size // 2 + 1, used)
        windows.append(Window.of(size, bank, first=int(used[0])))
    return FrontEnd(
        "default", hop or 256, len(centres), "power", "ln", LOG_FLOOR**2, "constant", tuple(windows), RATE, top_db
    )


PRESETS = {
    "default": lambda hop, top_db: _log_frequency(hop, top_db),
    "jongwook": lambda hop, top_db: _mel("jongwook", False, "amplitude", "ln", 1e-5, hop, top_db),
    "magenta": lambda hop, top_db: _mel("magenta", False, "power", "db", 1e-10, hop, top_db),
    "magenta-2018": lambda hop, top_db: _mel("magenta-2018", True, "power", "db", 1e-10, hop, top_db),
}


# -- filter banks ---------------------------------------------------------------------------------------------


def mel_bank(
    *, bins: int, size: int, rate: int, low: float, high: float, slaney: bool = False, unit_area: bool = True
) -> np.ndarray:
    """Triangular mel filters of unit area (or, without `unit_area`, of height 1), shape (bins, size // 2 + 1), float32.

    HTK's mel scale, 2595·log10(1 + f/700), or Slaney's: linear below 1 kHz (200/3 Hz per mel), logarithmic above
    (27 mels for a factor 6.4). Slaney's area normalisation: each filter is scaled by 2 / (its width in Hz).
    """
    if slaney:
        break_mel, step = 15.0, np.log(6.4) / 27.0

        def to_mel(hz):
            return hz * 0.015 if hz < 1000 else break_mel + np.log(hz / 1000.0) / step

        def to_hz(mel):
            return np.where(mel < break_mel, mel / 0.015, 1000.0 * np.exp(step * (mel - break_mel)))
    else:

        def to_mel(hz):
            return 2595.0 * np.log10(1.0 + hz / 700.0)

        def to_hz(mel):
            return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)

    edges = to_hz(np.linspace(to_mel(low), to_mel(high), bins + 2))  # (bins + 2,) Hz
    frequencies = np.arange(size // 2 + 1) * (rate / size)
    slopes = edges[:, None] - frequencies[None]  # (bins + 2, frequencies)
    widths = np.diff(edges)
    rising = -slopes[:-2] / widths[:-1, None]
    falling = slopes[2:] / widths[1:, None]
    bank = np.maximum(0.0, np.minimum(rising, falling))
    if unit_area:
        bank *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return bank.astype(np.float32)


def bin_of_pitch(pitch):
    """Position on the bin axis of `default` of a MIDI pitch (fractions allowed)."""
    return (np.asarray(pitch, dtype=np.float64) - LOWEST_BIN_PITCH) * BINS_PER_SEMITONE


def _bin_frequencies() -> np.ndarray:
    highest = 69.0 + 12.0 * np.log2(HIGHEST_HZ / 440.0)
    pitches = np.arange(LOWEST_BIN_PITCH, highest, 1.0 / BINS_PER_SEMITONE)
    return 440.0 * 2.0 ** ((pitches - 69.0) / 12.0)


def _fade_in(frequencies: np.ndarray, crossover: float) -> np.ndarray:
    """0 a quarter octave below the crossover, 1 a quarter octave above, straight in between on a log axis."""
    if crossover == 0.0:
        return np.ones_like(frequencies)
    if np.isinf(crossover):
        return np.zeros_like(frequencies)
    return np.clip(2.0 * np.log2(frequencies / crossover) + 0.5, 0.0, 1.0)


def _gaussian_bank(centres: np.ndarray, size: int) -> np.ndarray:
    """(size // 2 + 1, bins) weights that average the power spectrum around each centre, columns summing to 1.

    The standard deviation is half a bin of ours or half a bin of the Fourier transform, whichever is wider;
    divided by the squared window sum so that a sine of amplitude 1 gives about 1/4 whatever the window.
    """
    frequencies = np.arange(size // 2 + 1) * (RATE / size)
    width = np.maximum(centres * (2.0 ** (0.5 / (12 * BINS_PER_SEMITONE)) - 1.0), 0.5 * RATE / size)
    weights = np.exp(-0.5 * ((frequencies[:, None] - centres[None]) / width[None]) ** 2)
    weights[weights < 1e-4] = 0.0
    return weights / weights.sum(axis=0) / (size / 2) ** 2


# -- numpy and torch ------------------------------------------------------------------------------------------


def _backend(samples):
    if isinstance(samples, np.ndarray):
        return np, np.fft
    import torch

    return torch, torch.fft


@lru_cache(maxsize=8)
def _hann_array(size: int) -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)).astype(np.float32)  # periodic


@lru_cache(maxsize=8)
def _block_waves(size: int, hop: int, first: int, lines: int) -> tuple[np.ndarray, np.ndarray]:
    """Waves of the lines `first - 1` ... `first + lines` over one hop, (hop, 2 · (lines + 2)) float32 with real and
    imaginary parts by turns, and how block b turns them, (blocks of a window, 1 + lines + 2), line 1 first."""
    line = np.arange(first - 1, first + lines + 1)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(hop), line) / size).astype(np.complex64)
    count = size // hop
    turns = np.exp(-2j * np.pi * np.outer(np.arange(count), np.concatenate([[1], line])) / count)
    return waves.view(np.float32), turns.astype(np.complex64)


def _hann(size: int, xp):
    return _constant(_hann_array(size), xp)


def _constant(array: np.ndarray, xp):
    return array if xp is np else xp.from_numpy(array)
