"""SoundFonts: the instruments that `synthesize` plays on.

A SoundFont (.sf2, or .sf3 with compressed samples) holds recorded instruments. A small one comes with
`pretty_midi` and is the default; `fetch_soundfont` brings a better free one, once, into the user's cache folder,
checked by its SHA-256 and resumed after a broken connection. Any other file can be given by its path.
"""

from __future__ import annotations

import hashlib
import http.client
import importlib.util
import os
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from spartito.errors import MissingExtraError, ParameterError, SpartitoError
from spartito.files import atomic_path

__all__ = [
    "SOUNDFONTS",
    "SOUNDFONT_SUFFIXES",
    "SoundFontEntry",
    "SoundFontError",
    "default_soundfont",
    "fetch_soundfont",
    "find_soundfont",
    "soundfont_folder",
    "soundfonts_at_hand",
]

SOUNDFONT_SUFFIXES = (".sf2", ".sf3")
ENVIRONMENT = "SPARTITO_SOUNDFONT"  # a path or a name; what is played when nothing else is said
SYSTEM_FOLDERS = (
    "/usr/share/sounds/sf2",
    "/usr/share/sounds/sf3",
    "/usr/share/soundfonts",
    "/usr/local/share/soundfonts",
)  # where Linux packages put them
BLOCK = 1 << 20  # bytes read at once
TIMEOUT = 30.0  # seconds without an answer


class SoundFontError(SpartitoError):
    """A SoundFont cannot be found, fetched or used."""


@dataclass(frozen=True)
class SoundFontEntry:
    """A SoundFont that can be fetched.

    `member` is its path inside the archive (.tar.gz) at `url`; empty when `url` is the SoundFont itself.
    `sha256` is that of the SoundFont, not of the archive. `size` is the download in bytes.
    """

    file: str
    url: str
    sha256: str
    size: int
    licence: str
    author: str
    member: str = ""


# FluidR3_GM: hash taken from the file of Debian's package fluid-soundfont-gm 3.1-5.3, whose source archive the
# URL is. MuseScore_General: hash and size as several public projects record them for this URL (upstream
# publishes none).
SOUNDFONTS = {
    "FluidR3_GM": SoundFontEntry(
        file="FluidR3_GM.sf2",
        url="https://deb.debian.org/debian/pool/main/f/fluid-soundfont/fluid-soundfont_3.1.orig.tar.gz",
        sha256="74594e8f4250680adf590507a306655a299935343583256f3b722c48a1bc1cb0",
        size=134_835_922,
        licence="MIT",
        author="Frank Wen",
        member="fluid-soundfont-3.1/FluidR3_GM.sf2",
    ),
    "MuseScore_General": SoundFontEntry(
        file="MuseScore_General.sf3",
        url="https://ftp.osuosl.org/pub/musescore/soundfont/MuseScore_General/MuseScore_General.sf3",
        sha256="5b85b6c2c61d10b2b91cddd41efcce7b25cd31c8271d511c73afafbef20b6fa3",
        size=39_900_972,
        licence="MIT",
        author="S. Christian Collins, after Frank Wen and Michael Cowgill",
    ),
}


def soundfont_folder() -> Path:
    """The user's folder for fetched SoundFonts (it need not exist yet). SPARTITO_CACHE moves it."""
    if os.environ.get("SPARTITO_CACHE"):
        return Path(os.environ["SPARTITO_CACHE"]) / "soundfonts"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "spartito" / "soundfonts"


def default_soundfont() -> Path:
    """The SoundFont named by the environment variable SPARTITO_SOUNDFONT, else the small one of pretty_midi.

    Raises
    ------
    SoundFontError
        The variable names nothing that can be found.
    MissingExtraError
        pretty_midi is not installed.
    """
    if os.environ.get(ENVIRONMENT):
        return find_soundfont(os.environ[ENVIRONMENT])
    spec = importlib.util.find_spec("pretty_midi")  # located, not imported: importing it takes a second
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("pretty_midi", extra="dev", purpose="the default SoundFont")
    for folder in spec.submodule_search_locations:
        for path in sorted(Path(folder).glob("*.sf2")):
            return path
    raise SoundFontError(
        f"this pretty_midi brings no SoundFont: give one by its path, or fetch one ({', '.join(SOUNDFONTS)})"
    )


def find_soundfont(soundfont: str | os.PathLike | None = None) -> Path:
    """The file that `soundfont` means: a path, a name in the cache or a system folder, or None (the default).

    Names are written without suffix ("FluidR3_GM"); capitals do not matter.

    Raises
    ------
    SoundFontError
        There is no such file, or it is not a SoundFont.
    """
    if soundfont is None:
        return default_soundfont()
    path = Path(soundfont)
    if path.is_file():
        return _checked(path)
    if path.suffix.lower() not in SOUNDFONT_SUFFIXES and path.name == str(soundfont):
        for folder in (soundfont_folder(), *map(Path, SYSTEM_FOLDERS)):
            for suffix in SOUNDFONT_SUFFIXES:
                for found in sorted(folder.glob(f"*{suffix}")):
                    if found.stem.lower() == path.name.lower():
                        return _checked(found)
        for name in SOUNDFONTS:
            if name.lower() == path.name.lower():
                raise SoundFontError(f"the SoundFont {name} is not here yet: fetch it with  spartito soundfont {name}")
    raise SoundFontError(
        f"there is no SoundFont {soundfont}: give the path of an .sf2 or .sf3 file, or one of the names "
        f"{', '.join(SOUNDFONTS)}"
    )


def soundfonts_at_hand() -> list[Path]:
    """Every SoundFont that can be found: the default, the user's, the system's; each file once."""
    folders = (soundfont_folder(), *map(Path, SYSTEM_FOLDERS))
    found = [path for folder in folders for suffix in SOUNDFONT_SUFFIXES for path in sorted(folder.glob(f"*{suffix}"))]
    return list({path.resolve(): path for path in [default_soundfont(), *found]})


def _checked(path: Path) -> Path:
    try:
        with open(path, "rb") as file:
            head = file.read(12)
    except OSError as error:
        raise SoundFontError(f"cannot read the SoundFont {path}: {error.strerror or error}") from error
    if head[:4] != b"RIFF" or head[8:] != b"sfbk":
        raise SoundFontError(f"{path} is not a SoundFont (.sf2 or .sf3), or it is damaged")
    return path


def fetch_soundfont(
    name: str,
    *,
    sha256: str = "",
    folder: str | os.PathLike | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Bring a SoundFont into the user's cache folder and give its path; at once when it is there already.

    Parameters
    ----------
    name : str
        A name of `SOUNDFONTS`, or the http(s) address of an .sf2 or .sf3 file.
    sha256 : str
        What the file must hash to (64 hexadecimal digits). Needed with an address, ignored with a name.
    folder : path, optional
        Another folder than `soundfont_folder()`.
    progress : callable, optional
        Called with the bytes so far and the bytes in all (0 when unknown).

    Raises
    ------
    ParameterError
        An unknown name, or an address without a checksum.
    SoundFontError
        No connection, or the file is not what its checksum says. What has arrived is kept and the next call
        goes on from there, unless the checksum was wrong.
    OutputError
        The folder cannot be written to.
    """
    entry = _entry(name, sha256)
    target = (Path(folder) if folder is not None else soundfont_folder()) / entry.file
    if target.is_file() and _sha256(target) == entry.sha256:
        return target
    with atomic_path(target) as temporary:
        part = target.with_name(PurePosixPath(urlsplit(entry.url).path).name + ".part")
        _download(entry, part, progress)
        if entry.member:
            _extract(part, entry.member, temporary)
        else:
            os.replace(part, temporary)
        found = _sha256(temporary)
        part.unlink(missing_ok=True)
        if found != entry.sha256:
            raise SoundFontError(
                f"{entry.url} is not the SoundFont it should be (SHA-256 {found}, not {entry.sha256}); "
                "it was thrown away"
            )
        _checked(temporary)
    return target


def _entry(name: str, sha256: str) -> SoundFontEntry:
    for known, entry in SOUNDFONTS.items():
        if known.lower() == name.lower():
            return entry
    address = urlsplit(name)
    if address.scheme not in ("http", "https"):
        raise ParameterError(
            f"there is no SoundFont {name} to fetch: take {', '.join(SOUNDFONTS)}, or an https address"
        )
    file = PurePosixPath(address.path).name
    if PurePosixPath(file).suffix.lower() not in SOUNDFONT_SUFFIXES:
        raise ParameterError(f"{name} does not end like a SoundFont (.sf2 or .sf3)")
    if len(sha256) != 64 or set(sha256.lower()) - set("0123456789abcdef"):
        raise ParameterError(f"fetching {file} needs its SHA-256 (64 hexadecimal digits), so that it can be checked")
    return SoundFontEntry(file=file, url=name, sha256=sha256.lower(), size=0, licence="", author="")


def _download(entry: SoundFontEntry, part: Path, progress) -> None:
    """Fetch `entry.url` into `part`, going on where an earlier attempt stopped."""
    have = part.stat().st_size if part.exists() else 0
    if entry.size and have == entry.size:
        return
    request = urllib.request.Request(entry.url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            resumed = answer.status == http.client.PARTIAL_CONTENT
            have = have if resumed else 0
            length = answer.headers.get("Content-Length")
            total = have + int(length) if length else entry.size
            with open(part, "ab" if resumed else "wb") as file:
                while block := answer.read(BLOCK):
                    file.write(block)
                    have += len(block)
                    if progress is not None:
                        progress(have, total)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:  # all of it is there: let the hash decide
            return
        raise SoundFontError(f"cannot fetch {entry.url}: the server says {error.code} {error.reason}") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise SoundFontError(
            f"cannot fetch {entry.url}: no connection ({reason}). Try again when online; what has arrived is kept"
        ) from error
    if total and have < total:
        raise SoundFontError(
            f"the connection broke after {have} of {total} bytes of {entry.url}; call again to go on from there"
        )


def _extract(archive: Path, member: str, target: Path) -> None:
    """Copy one file out of a tar archive by its name; nothing else of it is unpacked."""
    try:
        with tarfile.open(archive) as tar, open(target, "wb") as file:
            source = tar.extractfile(member)
            while block := source.read(BLOCK):
                file.write(block)
    except (tarfile.TarError, KeyError, EOFError, AttributeError) as error:
        archive.unlink(missing_ok=True)
        raise SoundFontError(f"the archive with {member} is damaged ({error}); it was thrown away") from error


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
