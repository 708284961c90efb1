"""A SoundFont player in numpy, for machines without the fluidsynth program.

A SoundFont is a tree: preset (one instrument of a bank) -> instruments -> zones, each zone a recorded sample with
the keys and velocities it serves and numbers ("generators") for its tuning, level, place and envelope. Numbers
of the preset add to those of the instrument. A note plays every zone that serves it: the sample, read at the
speed of its pitch (soxr), looped, times its envelope.

Played: tuning, loops, attenuation, pan, the volume envelope, the low-pass filter and the modulation envelope that
moves it, velocity by the General MIDI curve, volume and expression at the start of each note. Left out: a
SoundFont's own modulators (MuseScore_General leans on them: play that one with fluidsynth), resonance, LFOs,
pitch bend, chorus and reverb. Notes that share a zone and key share one resampled wave, so that the work grows
with the keys used more than with the notes.

Source: SoundFont Technical Specification 2.04 (E-mu Systems, 2006); .sf3 is the same with Ogg Vorbis samples.
(symusic's player is not used: up to 0.5.8 it plays wrong pitches, https://github.com/Yikai-Liao/symusic/issues/55,
and no dynamics.)
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spartito.notes.notes import Notes
from spartito.render.soundfont import SoundFontError

__all__ = ["SoundFont", "play"]

PRESET = np.dtype([("name", "S20"), ("program", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("rest", "V12")])
INSTRUMENT = np.dtype([("name", "S20"), ("bag", "<u2")])
BAG = np.dtype([("generator", "<u2"), ("modulator", "<u2")])
GENERATOR = np.dtype([("number", "<u2"), ("amount", "<i2")])
SAMPLE = np.dtype(
    {
        "names": "name start end loop_start loop_end rate key correction link kind".split(),
        "formats": "S20 <u4 <u4 <u4 <u4 <u4 u1 i1 <u2 <u2".split(),
    }
)
CHUNKS = {"phdr": PRESET, "pbag": BAG, "pgen": GENERATOR, "inst": INSTRUMENT, "ibag": BAG, "igen": GENERATOR}

# Generators by number (specification, 8.1.2), with their default where it is not 0.
LOOP_START, LOOP_END, FILTER, ENVELOPE_TO_FILTER, PAN, SUSTAIN, RELEASE = 2, 3, 8, 11, 17, 37, 38
DELAY, ATTACK, HOLD, DECAY, KEY_TO_HOLD, KEY_TO_DECAY = 33, 34, 35, 36, 39, 40  # of the volume envelope
MOD_DELAY, MOD_ATTACK, MOD_HOLD, MOD_DECAY, MOD_SUSTAIN, KEY_TO_MOD_HOLD, KEY_TO_MOD_DECAY = (
    *range(25, 30),
    31,
    32,
)  # of the modulation envelope
INSTRUMENT_INDEX, KEYS, VELOCITIES, ATTENUATION, COARSE, FINE, SAMPLE_INDEX = 41, 43, 44, 48, 51, 52, 53
MODE, SCALE, ROOT = 54, 56, 58
INSTANT = -12000  # timecents (1 ms)
DEFAULTS = dict.fromkeys((DELAY, ATTACK, HOLD, DECAY, RELEASE), INSTANT)
DEFAULTS |= dict.fromkeys((MOD_DELAY, MOD_ATTACK, MOD_HOLD, MOD_DECAY), INSTANT)
DEFAULTS |= {FILTER: 13500, SCALE: 100, ROOT: -1}
PLAYED = {LOOP_START, LOOP_END, ENVELOPE_TO_FILTER, PAN, SUSTAIN, KEY_TO_HOLD, KEY_TO_DECAY, ATTENUATION, COARSE}
PLAYED |= {FINE, MODE, MOD_SUSTAIN, KEY_TO_MOD_HOLD, KEY_TO_MOD_DECAY, *DEFAULTS}
NOT_ADDED = {KEYS, VELOCITIES, INSTRUMENT_INDEX, SAMPLE_INDEX, MODE, ROOT}  # preset values do not add to these

COMPRESSED = 0x10  # bit of a sample's kind in .sf3
DRUM_BANK = 128
ATTENUATION_SCALE = 0.4  # sound cards made 1 dB of attenuation 0.4 dB, and SoundFonts are tuned to that
FLOOR = 100.0  # dB that decay and release times are written for
INAUDIBLE = 80.0  # dB below full level, where a release is cut
FRAME = 1024  # samples of the spectra in which the filter works
LONGEST = 60.0  # seconds a single note may ring
VOLUME, EXPRESSION = 7, 11  # control changes
VOLUME_DEFAULT, EXPRESSION_DEFAULT = 100, 127


@dataclass(frozen=True)
class Zone:
    """A sample and how to play it; `generators` is complete (defaults filled in)."""

    keys: tuple[int, int]
    velocities: tuple[int, int]
    sample: int
    generators: dict[int, int]

    def __hash__(self):
        return id(self)

    def __eq__(self, other):
        return self is other


class SoundFont:
    """An opened .sf2 or .sf3 file. Samples are read from disk when they are played.

    Raises
    ------
    SoundFontError
        The file cannot be read or is damaged.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        try:
            self._data = np.memmap(self.path, dtype=np.uint8, mode="r")
            chunks = self._chunks()
            self._samples_at = chunks["smpl"][0]
            tables = {name: self._table(chunks[name], dtype) for name, dtype in CHUNKS.items()}
            self.samples = self._table(chunks["shdr"], SAMPLE)[:-1]
            self._presets = self._read_presets(tables)
        except (OSError, KeyError, ValueError, IndexError) as error:
            raise SoundFontError(f"the SoundFont {self.path.name} is damaged: {error}") from error
        if not self._presets:
            raise SoundFontError(f"the SoundFont {self.path.name} holds no instruments")

    def zones(self, program: int, *, is_drum: bool, key: int, velocity: int) -> list[Zone]:
        """The zones that sound for one note. Missing instruments are played by the first of their kind."""
        bank = DRUM_BANK if is_drum else 0
        for wanted in ((bank, program), (bank, 0)):
            if wanted in self._presets:
                break
        else:
            wanted = min(self._presets)
        return [
            zone
            for zone in self._presets[wanted]
            if zone.keys[0] <= key <= zone.keys[1] and zone.velocities[0] <= velocity <= zone.velocities[1]
        ]

    def wave(self, zone: Zone, *, key: int, rate: int, length: int) -> np.ndarray:
        """(n <= length,) float32 at `rate` hertz: the sample of `zone` at the pitch of `key`, looped."""
        import soxr

        header, g = self.samples[zone.sample], zone.generators
        data, loop_start, loop_end = self._sample(header)
        loop_start, loop_end = loop_start + g[LOOP_START], loop_end + g[LOOP_END]
        root = g[ROOT] if g[ROOT] >= 0 else (int(header["key"]) if header["key"] <= 127 else 60)
        cents = (key - root) * g[SCALE] + 100 * g[COARSE] + g[FINE] + int(header["correction"])
        speed = float(header["rate"]) / rate * 2 ** (cents / 1200)  # samples read for each one played
        needed = int(length * speed) + 2
        if g[MODE] & 1 and 0 <= loop_start < loop_end <= len(data) and needed > loop_end:
            turns = -(-(needed - loop_end) // (loop_end - loop_start))
            data = np.concatenate([data[:loop_end], np.tile(data[loop_start:loop_end], turns)])
        data = data[:needed].astype(np.float32) / np.float32(32768)
        wave = soxr.resample(data, speed, 1.0, quality="HQ")[:length]
        return _low_pass(wave, g, key=key, rate=rate)

    def _chunks(self) -> dict[str, tuple[int, int]]:
        """Where each leaf chunk of the RIFF file begins, and its size, in bytes."""
        if bytes(self._data[:4]) != b"RIFF" or bytes(self._data[8:12]) != b"sfbk":
            raise ValueError("it does not begin like one")
        found, here = {}, 12
        while here + 8 <= len(self._data):
            name = bytes(self._data[here : here + 4])
            size = int.from_bytes(bytes(self._data[here + 4 : here + 8]), "little")
            if name == b"LIST":
                here += 12
                continue
            if here + 8 + size > len(self._data):
                raise ValueError("it breaks off")
            found[name.decode("latin-1")] = (here + 8, size)
            here += 8 + size + size % 2
        return found

    def _table(self, chunk: tuple[int, int], dtype: np.dtype) -> np.ndarray:
        start, size = chunk
        return np.frombuffer(bytes(self._data[start : start + size]), dtype=dtype)

    def _sample(self, header) -> tuple[np.ndarray, int, int]:
        """int16 samples, and the frames where the loop begins and ends."""
        start, end = int(header["start"]), int(header["end"])
        if header["kind"] & COMPRESSED:
            import soundfile

            packed = bytes(self._data[self._samples_at + start : self._samples_at + end])
            data = soundfile.read(io.BytesIO(packed), dtype="int16")[0]
            return data, int(header["loop_start"]), int(header["loop_end"])
        raw = self._data[self._samples_at + 2 * start : self._samples_at + 2 * end]
        return raw.view("<i2"), int(header["loop_start"]) - start, int(header["loop_end"]) - start

    def _read_presets(self, tables) -> dict[tuple[int, int], list[Zone]]:
        instruments = []  # per instrument: (keys, velocities, generators) of its zones
        for i in range(len(tables["inst"]) - 1):
            bags = range(tables["inst"]["bag"][i], tables["inst"]["bag"][i + 1])
            instruments.append(_zones(tables["ibag"], tables["igen"], bags, SAMPLE_INDEX))
        presets = {}
        for i, header in enumerate(tables["phdr"][:-1]):
            bags = range(header["bag"], tables["phdr"]["bag"][i + 1])
            zones = []
            for outer in _zones(tables["pbag"], tables["pgen"], bags, INSTRUMENT_INDEX):
                for inner in instruments[outer[INSTRUMENT_INDEX]]:
                    zones.append(_joined(outer, inner))
            key = (int(header["bank"]), int(header["program"]))
            presets.setdefault(key, [z for z in zones if z.keys[0] <= z.keys[1]])
        return presets


def _zones(bags: np.ndarray, generators: np.ndarray, indices: range, leaf: int) -> list[dict[int, int]]:
    """Generators of each zone; a first zone without `leaf` is global and underlies the others."""
    common: dict[int, int] = {}
    zones = []
    for n, i in enumerate(indices):
        part = generators[bags["generator"][i] : bags["generator"][i + 1]]
        own = dict(zip(part["number"].tolist(), part["amount"].tolist(), strict=True))
        if leaf in own:
            zones.append({**common, **own})
        elif n == 0:
            common = own
    return zones


def _span(generators: dict[int, int], number: int) -> tuple[int, int]:
    amount = generators.get(number, 127 << 8) & 0xFFFF  # low byte: lowest, high byte: highest
    return amount & 0xFF, amount >> 8


def _joined(outer: dict[int, int], inner: dict[int, int]) -> Zone:
    spans = []
    for number in (KEYS, VELOCITIES):
        (low, high), (low_too, high_too) = _span(outer, number), _span(inner, number)
        spans.append((max(low, low_too), min(high, high_too)))
    generators = {}
    for number in PLAYED:
        added = 0 if number in NOT_ADDED else outer.get(number, 0)
        generators[number] = inner.get(number, DEFAULTS.get(number, 0)) + added
    return Zone(spans[0], spans[1], inner[SAMPLE_INDEX], generators)


def _low_pass(wave: np.ndarray, g: dict[int, int], *, key: int, rate: int) -> np.ndarray:
    """The two-pole low-pass of a zone, moved by its modulation envelope, applied to overlapping spectra."""
    if g[FILTER] >= DEFAULTS[FILTER] or len(wave) == 0:
        return wave
    hop = FRAME // 2
    frames = -(-len(wave) // hop) + 1
    padded = np.pad(wave, (hop, frames * hop - len(wave)))
    window = np.sin(np.pi * (np.arange(FRAME) + 0.5) / FRAME).astype(np.float32)  # its square sums to 1
    pieces = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::hop] * window  # (frames, FRAME)
    t = np.arange(len(pieces)) * hop / rate  # seconds at the middle of each frame
    delay, attack = _seconds(g[MOD_DELAY]), _seconds(g[MOD_ATTACK])
    hold = _seconds(g[MOD_HOLD] + g[KEY_TO_MOD_HOLD] * (60 - key))
    decay = _seconds(g[MOD_DECAY] + g[KEY_TO_MOD_DECAY] * (60 - key))
    fallen = np.clip((t - delay - attack - hold) / max(decay, 1e-3), 0.0, np.clip(g[MOD_SUSTAIN] / 1000, 0.0, 1.0))
    envelope = np.clip((t - delay) / max(attack, 1e-3), 0.0, 1.0) if attack > hop / rate else 1.0
    cents = np.clip(g[FILTER] + g[ENVELOPE_TO_FILTER] * envelope * (1 - fallen), 1500, DEFAULTS[FILTER])
    cutoff = np.minimum(8.176 * 2 ** (cents / 1200), 0.45 * rate)  # hertz; cents count from 8.176 Hz
    s = 1j * np.fft.rfftfreq(FRAME, 1 / rate) / cutoff[:, None]  # (frames, bins)
    spectra = np.fft.rfft(pieces) / (s**2 + np.sqrt(2) * s + 1)
    pieces = np.fft.irfft(spectra, FRAME).astype(np.float32) * window
    joined = np.zeros((len(pieces) + 1) * hop, dtype=np.float32)
    joined[: len(pieces) * hop] += pieces[:, :hop].ravel()
    joined[hop:] += pieces[:, hop:].ravel()
    return joined[hop : hop + len(wave)]


def _seconds(timecents: int) -> float:
    return 0.0 if timecents <= INSTANT else 2 ** (timecents / 1200)


def _envelope(generators: dict[int, int], *, key: int, rate: int, length: int) -> np.ndarray:
    """(length,) float32 amplitude while the key is held: delay, attack, hold, decay to the sustain level."""
    delay, attack = _seconds(generators[DELAY]), _seconds(generators[ATTACK])
    hold = _seconds(generators[HOLD] + generators[KEY_TO_HOLD] * (60 - key))
    decay = _seconds(generators[DECAY] + generators[KEY_TO_DECAY] * (60 - key))
    sustain = min(max(generators[SUSTAIN], 0) / 10, FLOOR)  # dB below full
    t = np.arange(length, dtype=np.float32) / np.float32(rate) - np.float32(delay)
    fall = np.clip((t - attack - hold) * (FLOOR / max(decay, 1e-3)), 0.0, sustain)  # dB
    return (10 ** (-fall / 20) * np.clip(t / max(attack, 1e-3), 0.0, 1.0)).astype(np.float32)


def _track_gain(notes: Notes) -> np.ndarray:
    """(n,) amplitude from volume and expression as they stand when each note begins."""
    gain = np.ones(len(notes))
    for i, track in enumerate(notes.tracks):
        mine = notes.array["track"] == i
        for number, default in ((VOLUME, VOLUME_DEFAULT), (EXPRESSION, EXPRESSION_DEFAULT)):
            moves = track.controls[track.controls["number"] == number]
            values = np.append(moves["value"], default)  # index -1 (before the first move) is the default
            at = np.searchsorted(moves["time"], notes.onset[mine], side="right") - 1
            gain[mine] *= (values[at] / 127.0) ** 2
    return gain


def play(notes: Notes, font: SoundFont, *, rate: int) -> np.ndarray:
    """(2, n) float32, not normalised. Notes last as long as they sound (`Notes.sounding`)."""
    notes = notes.sounding()
    begin = np.round(np.maximum(notes.onset, 0.0) * rate).astype(np.int64)
    held = np.round(np.clip(notes.offset - notes.onset, 0.0, LONGEST) * rate).astype(np.int64)
    gain = _track_gain(notes) * (notes.velocity / 127.0) ** 2
    groups: dict[tuple[Zone, int], list[int]] = {}
    array = notes.array
    kinds, kind = np.unique(array[["track", "pitch", "velocity"]], return_inverse=True)
    members = np.split(np.argsort(kind, kind="stable"), np.cumsum(np.bincount(kind, minlength=len(kinds)))[:-1])
    for (track, pitch, velocity), same in zip(kinds.tolist(), members, strict=True):
        source = notes.tracks[track]
        for zone in font.zones(source.program, is_drum=source.is_drum, key=pitch, velocity=velocity):
            groups.setdefault((zone, pitch), []).extend(same.tolist())
    sound = np.zeros((2, int((begin + held).max()) + rate), dtype=np.float32)
    for (zone, pitch), indices in groups.items():
        g = zone.generators
        tail = max(int(_seconds(g[RELEASE]) * INAUDIBLE / FLOOR * rate), rate // 200)
        fall = (10 ** (-np.linspace(0, INAUDIBLE, tail) / 20)).astype(np.float32)  # (tail,)
        wave = font.wave(zone, key=pitch, rate=rate, length=int(held[indices].max()) + tail)
        wave *= _envelope(g, key=pitch, rate=rate, length=len(wave))
        angle = np.pi / 2 * np.clip(g[PAN] / 1000 + 0.5, 0.0, 1.0)
        level = 10 ** (-ATTENUATION_SCALE * max(g[ATTENUATION], 0) / 200)
        place = (level * np.array([[np.cos(angle)], [np.sin(angle)]])).astype(np.float32)  # (2, 1)
        last = int((begin[indices] + held[indices]).max()) + tail
        if last > sound.shape[1]:
            sound = np.pad(sound, ((0, 0), (0, last - sound.shape[1])))
        for i in indices:
            note = wave[: held[i] + tail] * np.float32(gain[i])
            note[held[i] :] *= fall[: len(note) - min(held[i], len(note))]
            sound[:, begin[i] : begin[i] + len(note)] += place * note
    return sound
