"""Recordings in and out: any common file to samples, samples to WAV, FLAC, OGG or MP3.

Decoding (`decoders`) is a stream of blocks, so that `read_mono` (what the analyses ask for) holds the mono result
and one block, however long the recording. libsndfile is asked first; what it does not know (M4A, MP4, WebM, ...) goes
to the `ffmpeg` program, or else to the package `av`.

A recording that breaks off is read as far as it goes, and samples that are not numbers become silence, each
with an `AudioWarning`. Source: soxr (https://github.com/dofuuz/python-soxr).
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spartito.audio.audio import Audio
from spartito.audio.decoders import BLOCK, AvDecoder, FfmpegDecoder, SoundFileDecoder, Undecodable, file_name
from spartito.errors import AudioError, MissingExtraError, OutputError, ParameterError
from spartito.files import atomic_path

__all__ = ["AUDIO_SUFFIXES", "AudioInfo", "AudioWarning", "audio_info", "load_audio", "read_mono", "save_audio"]

SOUNDFILE_SUFFIXES = frozenset(
    ".wav .flac .ogg .oga .opus .mp3 .aif .aiff .aifc .au .caf .w64 .rf64".split()
)  # read by libsndfile
CONTAINER_SUFFIXES = frozenset(
    ".m4a .m4b .aac .mp4 .m4v .mov .webm .mka .mkv .wma .3gp .avi .ac3 .ape .wv .amr".split()
)  # read by ffmpeg or av
AUDIO_SUFFIXES = SOUNDFILE_SUFFIXES | CONTAINER_SUFFIXES  # what a folder of recordings is searched for
WRITABLE = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}  # suffix -> format and subtype of libsndfile
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # hertz, MPEG-1, 2 and 2.5
LONGEST = 4 * 3600.0  # seconds set aside at first at most, whatever a header says; the result may be longer
ACCEPTED = "WAV, FLAC, OGG, MP3 and the like, or M4A, MP4, WebM"


class AudioWarning(UserWarning):
    """A recording could be read, but not as it stands."""


@dataclass(frozen=True)
class AudioInfo:
    """What a recording says of itself: seconds, hertz, channels, tags. `duration` is 0 when unknown."""

    duration: float
    rate: int
    channels: int
    title: str = ""
    artist: str = ""


# -- reading ------------------------------------------------------------------------------------------------


def load_audio(path, *, start: float | None = None, end: float | None = None) -> Audio:
    """Read a recording with all its channels at its own rate.

    Parameters
    ----------
    path : str or Path
    start, end : float, optional
        Seconds; the part of the recording to read. An `end` beyond the recording means its end.

    Raises
    ------
    AudioError
        Missing, empty or damaged file, not a recording, no samples, or `start` beyond its end.
    MissingExtraError
        A format that needs ffmpeg or the extra `av`, and neither is there.
    """
    with closing(_open(path, start, end)) as source:
        blocks = [block.T.copy() for block in _blocks(source, start, end)]
        samples = np.concatenate(blocks, axis=1)  # (channels, n)
        return Audio(samples, source.rate, title=source.title, artist=source.artist)


def read_mono(path, *, rate: int, start: float | None = None, end: float | None = None) -> np.ndarray:
    """Read the mean of all channels of a recording at `rate` hertz: (n,) float32.

    Decoding, downmix and resampling (soxr, quality HQ) go block by block: memory is that of the result.
    Parameters and errors as in `load_audio`.
    """
    import soxr

    if not rate > 0:
        raise ParameterError(f"a sample rate must be positive, not {rate}")
    with closing(_open(path, start, end)) as source:
        weights = np.full(source.channels, 1.0 / source.channels, dtype=np.float32)
        resampler = soxr.ResampleStream(source.rate, rate, 1, dtype="float32", quality="HQ")
        same = source.rate == rate
        seconds = max(source.duration - (start or 0.0), 0.0) if end is None else end - (start or 0.0)
        seconds = min(seconds, source.duration or 60.0, LONGEST)
        mono = np.empty(int((seconds + 1.0) * rate), dtype=np.float32)
        n = 0
        for block in _blocks(source, start, end):
            piece = block @ weights
            piece = piece if same else resampler.resample_chunk(piece)
            mono = _append(mono, n, piece)
            n += len(piece)
        if not same:
            piece = resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
            mono = _append(mono, n, piece)
            n += len(piece)
    mono.resize(n, refcheck=False)  # in place: no second copy of a long recording
    return mono


def audio_info(path) -> AudioInfo:
    """Length, rate, channels and tags of a recording, without decoding it. Errors as in `load_audio`."""
    with closing(_open(path, None, None)) as source:
        return AudioInfo(source.duration, source.rate, source.channels, source.title, source.artist)


def _append(buffer: np.ndarray, n: int, piece: np.ndarray) -> np.ndarray:
    """`buffer` with `piece` at position `n`, half as large again (in place) when it must grow."""
    if n + len(piece) > len(buffer):
        buffer.resize(n + len(piece) + len(buffer) // 2, refcheck=False)
    buffer[n : n + len(piece)] = piece
    return buffer


def _blocks(source, start: float | None, end: float | None) -> Iterator[np.ndarray]:
    """Blocks (k, channels) of finite float32 between `start` and `end` seconds; each valid until the next."""
    first = round((start or 0.0) * source.rate)
    last = None if end is None else round(end * source.rate)
    here = source.seek(first)
    n_good = n_bad = 0
    for block in source.blocks():
        block_start, here = here, here + len(block)
        block = block[max(first - block_start, 0) :]
        if last is not None and here > last:
            block = block[: max(len(block) - (here - last), 0)]
        if len(block):
            # One sum finds a NaN or infinity faster than a mask; the mask is made only when there is one.
            if not np.isfinite(block.sum()):
                bad = ~np.isfinite(block)
                block = np.where(bad, np.float32(0), block)
                n_bad += int(bad.sum())
            n_good += block.size
            yield block
        if last is not None and here >= last:
            break
    n_good -= n_bad
    name = source.path.name
    if n_good == 0 and n_bad:
        raise AudioError(f"{name} holds no sound: every sample is 'not a number'; export the recording again")
    if n_good == 0 and first and here:
        raise AudioError(f"{name} is {here / source.rate:.1f} s long: it cannot be read from {start:g} s on")
    if n_good == 0:
        raise AudioError(f"{name} holds no sound: it has 0 samples")
    if n_bad:
        warnings.warn(
            f"{name}: {n_bad} samples of {n_good + n_bad} are not numbers; they were read as silence",
            AudioWarning,
            stacklevel=3,
        )
    if source.trouble:
        warnings.warn(
            f"{name} is damaged or breaks off ({source.trouble}); what could be read was read: "
            f"up to {here / source.rate:.1f} s",
            AudioWarning,
            stacklevel=3,
        )


def _open(path, start: float | None, end: float | None):
    """The decoder that can read `path`, opened."""
    for name, value in (("start", start), ("end", end)):
        if value is not None and not (np.isfinite(value) and value >= 0):
            raise ParameterError(f"{name} must be a time in seconds from 0 on, not {value}")
    if end is not None and end <= (start or 0.0):
        raise ParameterError(f"the part to read is empty: it goes from {start or 0.0:g} s to {end:g} s")
    path = Path(path)
    if path.is_dir():
        raise AudioError(f"{path} is a folder, not a recording")
    if not path.exists():
        raise AudioError(f"there is no file {path}")
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise AudioError(f"cannot read {path}: {error.strerror or error}") from error
    if not head:
        raise AudioError(f"{path.name} is empty (0 bytes)")
    if head.startswith(b"MThd"):
        raise AudioError(f"{path.name} is a MIDI file, not a recording")

    if path.suffix.lower() not in CONTAINER_SUFFIXES:
        source, reason = _try(SoundFileDecoder, path)
        if source is not None:
            return source
        # Random bytes must not reach ffmpeg, which finds "MP3" in many of them.
        if not _looks_like_sound(head):
            what = "a text file, not a recording" if _looks_like_text(head) else "no recording, or is damaged"
            raise AudioError(f"{path.name} is {what}; accepted are {ACCEPTED}")
    elif _looks_like_text(head):
        raise AudioError(f"{path.name} is a text file, not a recording; accepted are {ACCEPTED}")

    if shutil.which("ffmpeg"):
        source, reason = _try(FfmpegDecoder, path)
    else:
        try:
            import av  # noqa: F401
        except ImportError as error:
            if path.suffix.lower() in SOUNDFILE_SUFFIXES:
                raise AudioError(f"{path.name} is damaged or no recording ({reason})") from error
            raise MissingExtraError(
                "the ffmpeg program or the package av", extra="av", purpose=f"reading {path.name}"
            ) from error
        source, reason = _try(AvDecoder, path)
    if source is None:
        raise AudioError(f"{path.name} is damaged, incomplete, or holds no sound ({reason})")
    return source


def _try(decoder, path: Path):
    try:
        return decoder(path), ""
    except Undecodable as error:
        return None, str(error)


def _looks_like_text(head: bytes) -> bool:
    try:
        text = head[: max(len(head) - 3, 1)].decode("utf-8")  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c.isspace() for c in text)


def _looks_like_sound(head: bytes) -> bool:
    """Does the file begin like one of the containers that hold sound?"""
    known = (b"RIFF", b"RIFX", b"RF64", b"FORM", b"fLaC", b"OggS", b"ID3", b"caff", b"riff", b".snd", b"\x0b\x77")
    more = (b"\x1aE\xdf\xa3", b"0&\xb2u", b"MAC ", b"wvpk", b"#!AMR", b"\xff\xfb", b"\xff\xf1", b"\xff\xf9")
    return head.startswith(known + more) or head[4:8] in (b"ftyp", b"moov", b"mdat")


# -- writing ------------------------------------------------------------------------------------------------


def save_audio(audio: Audio, path) -> None:
    """Write `audio` as WAV or FLAC (16 bit), OGG (Vorbis) or MP3, by the suffix of `path`, with its tags.

    Samples beyond full scale are clipped, those that are not numbers become silence. MP3 knows few rates and
    two channels: other rates are resampled to 44.1 kHz, more channels are mixed to one.

    Raises
    ------
    ParameterError
        Another suffix.
    AudioError
        There are no samples.
    OutputError
        The file cannot be written; nothing is left behind.
    """
    import soundfile

    path = Path(path)
    if path.suffix.lower() not in WRITABLE:
        raise ParameterError(f"cannot write {path.name}: sound is written as {', '.join(WRITABLE)}")
    if audio.samples.size == 0:
        raise AudioError(f"cannot write {path.name}: there are no samples")
    kind, subtype = WRITABLE[path.suffix.lower()]
    samples, rate = audio.samples, audio.rate
    if kind == "MP3" and audio.channels > 2:
        samples = audio.mono()[None]
    if kind == "MP3" and rate not in MP3_RATES:
        import soxr

        samples, rate = soxr.resample(samples.T, rate, 44100, quality="HQ").T, 44100
    channels, n = samples.shape
    with atomic_path(path) as temporary:
        try:
            with soundfile.SoundFile(file_name(temporary), "w", rate, channels, subtype=subtype, format=kind) as file:
                if audio.title:
                    file.title = audio.title
                if audio.artist:
                    file.artist = audio.artist
                for i in range(0, n, BLOCK):  # libsndfile's Vorbis writer overflows its stack on one long block
                    block = np.nan_to_num(samples[:, i : i + BLOCK].T, nan=0.0, posinf=1.0, neginf=-1.0)
                    file.write(np.clip(block, -1.0, 1.0))
            written = soundfile.info(file_name(temporary)).frames
        except (soundfile.LibsndfileError, AssertionError) as error:  # soundfile asserts on a short write
            reason = getattr(error, "error_string", "") or "the disk is full"
            raise OutputError(f"cannot write {path}: {reason.strip(' .')}") from error
        if written < n:
            raise OutputError(f"cannot write {path}: only {written} of {n} samples arrived; is the disk full?")
