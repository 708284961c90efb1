"""`atomic_path`: complete or not there."""

from __future__ import annotations

import errno
import os

import pytest

from spartito.errors import OutputError
from spartito.files import atomic_path


def test_writes_with_the_same_suffix_in_the_same_folder(tmp_path):
    target = tmp_path / "new" / "folder" / "song.mid"
    with atomic_path(target) as temporary:
        assert temporary.suffix == ".mid" and temporary.parent == target.parent and temporary != target
        temporary.write_bytes(b"notes")
        assert not target.exists()
    assert target.read_bytes() == b"notes"
    assert os.listdir(target.parent) == ["song.mid"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError, SystemExit])
def test_an_interrupted_run_keeps_the_old_file_and_leaves_nothing(tmp_path, stop):
    target = tmp_path / "song.mid"
    target.write_bytes(b"old")
    with pytest.raises(stop), atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        raise stop
    assert target.read_bytes() == b"old" and os.listdir(tmp_path) == ["song.mid"]


def test_full_disk(tmp_path):
    with pytest.raises(OutputError, match="disk is full"), atomic_path(tmp_path / "song.wav") as temporary:
        temporary.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a disk that is always full")
def test_a_truly_full_disk(tmp_path):
    target = tmp_path / "song.wav"
    with pytest.raises(OutputError, match="disk is full"), atomic_path(target) as temporary:
        temporary.symlink_to("/dev/full")
        temporary.write_bytes(b"x" * 100_000)
    assert os.listdir(tmp_path) == []


def test_target_is_a_folder(tmp_path):
    with pytest.raises(OutputError, match="folder of that name"), atomic_path(tmp_path):
        pytest.fail("the block must not run")


def test_parent_is_a_file(tmp_path):
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(OutputError, match="is a file, not a folder"),
        atomic_path(tmp_path / "file" / "a.mid"),
    ):
        pytest.fail("the block must not run")


def test_permission_refused(tmp_path):
    with pytest.raises(OutputError, match="permission"), atomic_path(tmp_path / "a.mid") as temporary:
        temporary.write_bytes(b"x")
        raise PermissionError(errno.EACCES, "Permission denied", str(temporary))
    assert os.listdir(tmp_path) == []


def test_a_name_that_is_too_long(tmp_path):
    target = tmp_path / ("a" * 300 + ".mid")
    with pytest.raises(OutputError, match="too long"), atomic_path(target) as temporary:
        temporary.write_bytes(b"x")
    assert os.listdir(tmp_path) == []


def test_nothing_written(tmp_path):
    with pytest.raises(OutputError, match="nothing was written"), atomic_path(tmp_path / "a.mid"):
        pass
