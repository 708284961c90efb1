"""Who decodes a recording: libsndfile, the program `ffmpeg`, or the package `av`. All three have one face.

A decoder opens a path or raises `Undecodable`. It has `path`, `rate` (hertz), `channels`, `duration` (seconds, 0 when
unknown), `title`, `artist` and `trouble` (what is wrong with the file; certain only after the last block);
`seek(frame)` goes there if it can and gives the frame it went to, `blocks()` yields float32 arrays (k, channels), each
valid until the next, and `close()` ends it.

Sources: libsndfile (E. de Castro Lopo) through `soundfile` reads WAV, FLAC, OGG, Opus, MP3, AIFF and more; FFmpeg.
"""

from __future__ import annotations

import os
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

__all__ = ["BLOCK", "AvDecoder", "FfmpegDecoder", "SoundFileDecoder", "Undecodable", "file_name"]

BLOCK = 1 << 16  # samples per channel decoded or written at once (1.5 s at 44.1 kHz)
SMALL_BLOCK = 1 << 10  # the same, on the way to a damaged place
OGG_PAGE = 65307  # bytes, the longest page there can be (RFC 3533)
SHORTFALL = 0.1  # seconds missing against the header before a recording is called broken off


def file_name(path) -> str | bytes:
    """A file name as libsndfile takes it: bytes where names are bytes, of which not all are text."""
    return str(path) if os.name == "nt" else os.fsencode(path)


class Undecodable(Exception):
    """This decoder cannot read the file; the text says why."""


class SoundFileDecoder:
    """Decodes with libsndfile."""

    def __init__(self, path: Path):
        import soundfile

        self.path, self.trouble = path, ""
        self._open, self._error = soundfile.SoundFile, soundfile.LibsndfileError
        try:
            self._file = soundfile.SoundFile(file_name(path))
        except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a headerless .raw file
            raise Undecodable(getattr(error, "error_string", str(error)).strip(" .")) from error
        self.rate, self.channels = int(self._file.samplerate), self._file.channels
        self.title, self.artist = self._file.title.strip(), self._file.artist.strip()
        # libsndfile shortens a WAV that breaks off without an error; only its log tells.
        if self._file.format in ("WAV", "WAVEX", "AIFF", "RF64", "W64") and "should be" in self._data_log():
            self.trouble = "it is shorter than its header says"
        if self._file.format == "OGG" and _ends_early(path):
            self.trouble = "its end is missing"
        known = 0 < self._file.frames < 2**62  # libsndfile says 2**63 - 1 for "unknown"
        self.duration = self._file.frames / self.rate if known else 0.0

    def _data_log(self) -> str:
        lines = self._file.extra_info.splitlines()
        return "\n".join(line for line in lines if line.strip().lower().startswith(("data", "ssnd")))

    def seek(self, frame: int) -> int:
        if frame and self._file.seekable():
            with suppress(self._error):
                return self._file.seek(min(frame, self._file.frames))
        return 0

    def blocks(self) -> Iterator[np.ndarray]:
        buffer = np.empty((BLOCK, self.channels), dtype=np.float32)
        while True:
            here = self._file.tell()
            try:
                block = self._file.read(out=buffer)
            except self._error as error:
                self.trouble = error.error_string.split(":")[-1].strip(" .")
                yield from self._rest(here)
                return
            if len(block) == 0:
                missing = self.duration - self._file.tell() / self.rate
                if missing > SHORTFALL and not self.trouble:
                    self.trouble = f"{missing:.1f} s are missing"
                return
            yield block

    def _rest(self, here: int) -> Iterator[np.ndarray]:
        """What lies between frame `here` and a damaged place, in small pieces."""
        with suppress(self._error), self._open(file_name(self.path)) as file:
            file.seek(here)
            while len(block := file.read(SMALL_BLOCK, dtype="float32", always_2d=True)):
                yield block

    def close(self) -> None:
        self._file.close()


def _ends_early(path: Path) -> bool:
    """Is the last page of an Ogg file without the mark that ends a stream?"""
    with open(path, "rb") as file:
        file.seek(max(path.stat().st_size - OGG_PAGE, 0))
        tail = file.read()
    page = tail.rfind(b"OggS\0")
    return 0 <= page < len(tail) - 5 and not tail[page + 5] & 4


class FfmpegDecoder:
    """Decodes with the ffmpeg program, which sends a WAV of 32-bit floats through a pipe.

    The WAV header brings rate, channels and tags, so the program `ffprobe` is not needed.
    """

    def __init__(self, path: Path):
        self.path, self.trouble, self.title, self.artist = path, "", "", ""
        self._log = tempfile.TemporaryFile()
        # "file:" and the whitelist keep a file name or a play list from making ffmpeg open the network.
        command = ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info"]
        command += ["-protocol_whitelist", "file", "-i", f"file:{path.resolve()}", "-vn", "-sn", "-dn"]
        command += ["-c:a", "pcm_f32le", "-f", "wav", "pipe:1"]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log)
        self.rate = self.channels = 0
        try:
            self._header()
        except struct.error:
            self._process.wait()
            reason = self._errors() or "no sound in it"
            self.close()
            raise Undecodable(reason) from None
        self.duration = self._duration()

    def _header(self) -> None:
        pipe = self._process.stdout
        struct.unpack("<4sI4s", pipe.read(12))
        while True:
            name, size = struct.unpack("<4sI", pipe.read(8))
            if name == b"data":
                return
            chunk = pipe.read(size + size % 2)
            if name == b"fmt ":
                _, self.channels, self.rate = struct.unpack("<HHI", chunk[:8])
            elif name == b"LIST" and chunk[:4] == b"INFO":
                tags = dict(_riff_tags(chunk[4:]))
                self.title, self.artist = tags.get(b"INAM", ""), tags.get(b"IART", "")

    def _read_log(self) -> list[str]:
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace").splitlines()

    def _duration(self) -> float:
        for line in self._read_log():
            if "Duration: " in line:
                with suppress(ValueError):
                    hours, minutes, seconds = line.split("Duration: ")[1].split(",")[0].split(":")
                    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
        return 0.0

    def _errors(self) -> str:
        lines = [line for line in self._read_log() if "[error]" in line or "[fatal]" in line]
        return lines[0].split("]")[-1].replace(f"file:{self.path.resolve()}: ", "").strip() if lines else ""

    def seek(self, frame: int) -> int:
        return 0  # always from the beginning: seeking in compressed containers is not sample-exact

    def blocks(self) -> Iterator[np.ndarray]:
        width = 4 * self.channels
        while data := self._process.stdout.read(BLOCK * width):
            whole = len(data) - len(data) % width
            yield np.frombuffer(data[:whole], dtype="<f4").reshape(-1, self.channels)
        self._process.wait()
        self.trouble = self._errors()

    def close(self) -> None:
        self._process.kill()
        self._process.stdout.close()
        self._process.wait()
        self._log.close()


def _riff_tags(chunk: bytes) -> Iterator[tuple[bytes, str]]:
    while len(chunk) >= 8:
        name, size = struct.unpack("<4sI", chunk[:8])
        yield name, chunk[8 : 8 + size].split(b"\0")[0].decode("utf-8", "replace").strip()
        chunk = chunk[8 + size + size % 2 :]


class AvDecoder:
    """Decodes with the package `av` (the libraries of ffmpeg inside a Python wheel)."""

    def __init__(self, path: Path):
        import av

        self.path, self.trouble, self._error = path, "", av.error.FFmpegError
        try:
            self._container = av.open(str(path), metadata_errors="replace")
        except (av.error.FFmpegError, ValueError) as error:
            raise Undecodable(getattr(error, "strerror", None) or str(error)) from error
        if not self._container.streams.audio:
            self._container.close()
            raise Undecodable("no sound in it")
        stream = self._container.streams.audio[0]
        self.rate, self.channels = stream.codec_context.sample_rate, stream.codec_context.channels
        if not (self.rate and self.channels):
            self._container.close()
            raise Undecodable("its sound format is unknown")
        self._resampler = av.AudioResampler(format="flt", layout=stream.layout, rate=self.rate)
        tags = {k.lower(): v for k, v in {**stream.metadata, **self._container.metadata}.items()}
        self.title, self.artist = tags.get("title", "").strip(), tags.get("artist", "").strip()
        self.duration = (self._container.duration or 0) / av.time_base

    def seek(self, frame: int) -> int:
        return 0

    def blocks(self) -> Iterator[np.ndarray]:
        try:
            for frame in self._container.decode(audio=0):
                for out in self._resampler.resample(frame):
                    yield out.to_ndarray().reshape(-1, self.channels)  # packed: (1, k * channels)
        except self._error as error:
            self.trouble = error.strerror or str(error)
            return
        for out in self._resampler.resample(None):
            yield out.to_ndarray().reshape(-1, self.channels)

    def close(self) -> None:
        self._container.close()
