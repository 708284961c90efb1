"""Writing results so that a file is either complete or not there.

Every writer of the package goes through `atomic_path`: it writes to a temporary name in the folder of the
target, and only a finished file takes the target's name. An interrupted run, a full disk or an error half-way
leaves the old file as it was and nothing new beside it, which is what makes `--skip-existing` trustworthy.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spartito.errors import OutputError

__all__ = ["atomic_path"]

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EFBIG: "the file would be larger than the disk allows",
    errno.EACCES: "permission was refused (is the file open in another program, or the folder protected?)",
    errno.EPERM: "permission was refused (is the file open in another program, or the folder protected?)",
    errno.EROFS: "the disk can only be read",
    errno.ENAMETOOLONG: "the file name is too long",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EEXIST: "a part of the path is a file, not a folder",
    errno.EISDIR: "there is a folder of that name",
}
if hasattr(errno, "EDQUOT"):  # not on every Windows
    _REASONS[errno.EDQUOT] = "your disk quota is used up"


def _output_error(path: Path, error: OSError) -> OutputError:
    reason = _REASONS.get(error.errno, error.strerror or str(error))
    return OutputError(f"cannot write {path}: {reason}")


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path to write to; rename it to `path` once the block has ended well.

    The temporary file lies in the folder of `path` (made when missing) and has its suffix, so libraries that
    choose a format by suffix can be handed it. If the block raises anything, KeyboardInterrupt included, the
    temporary file is removed and what was at `path` before stays.

    Raises
    ------
    OutputError
        The folder cannot be made or written to, `path` is a folder, the disk is full, or the block wrote
        nothing. An OSError raised inside the block becomes one too.
    """
    path = Path(path)
    if os.path.isdir(path):
        raise OutputError(f"cannot write {path}: there is a folder of that name; give a file name inside it")
    temporary = path.with_name(f".{path.stem[:100]}.{secrets.token_hex(4)}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if not temporary.exists():
            raise OutputError(f"cannot write {path}: nothing was written")
        os.replace(temporary, path)
    except OSError as error:
        _remove(temporary)
        raise _output_error(path, error) from error
    except BaseException:
        _remove(temporary)
        raise
