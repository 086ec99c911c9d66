"""Tests of the hints for failed writes; the other functions are tested by their callers."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from k3s_rootless import atomic


@pytest.mark.parametrize(
    ("code", "command"),
    [
        (errno.ENOSPC, "df -h"),
        (errno.EDQUOT, "df -h"),
        (errno.EACCES, "ls -ld"),
        (errno.EPERM, "ls -ld"),
        (errno.EROFS, "findmnt --target"),
    ],
)
def test_a_hint_fits_the_errno(tmp_path: Path, code: int, command: str) -> None:
    hint = atomic.hint(OSError(code, ""), tmp_path / "missing/file")

    assert hint
    assert hint.endswith(f": {command} {tmp_path}")


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, None])
def test_other_errors_have_no_hint(tmp_path: Path, code: int | None) -> None:
    error = OSError("locked") if code is None else OSError(code, "")

    assert None is atomic.hint(error, tmp_path)


def test_a_hint_names_the_file_of_the_error(tmp_path: Path) -> None:
    source = tmp_path / "a source"
    source.touch()

    hint = atomic.hint(PermissionError(errno.EACCES, "", str(source)), tmp_path)

    assert f"change the permissions, and check them with: ls -ld '{source}'" == hint
    assert None is atomic.hint(PermissionError(errno.EACCES, ""))
    assert (atomic.hint(OSError(errno.ENOSPC, "")) or "").endswith(": df -h")
