"""Tests of the file to which packets are appended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError
from k3s_rootless.operations.policies import log_file
from tests.largest_file import largest_file


def test_lines_are_appended_to_a_file_of_the_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "policies.log"

    log_file.append(path, ["one", None, "two"])
    log_file.append(path, ["three"])

    assert "one\ntwo\nthree\n" == path.read_text()
    assert 0o600 == path.stat().st_mode & 0o777


def test_each_line_is_written_at_once(tmp_path: Path) -> None:
    path = tmp_path / "policies.log"

    def lines() -> Iterator[str]:
        yield "one"
        assert "one\n" == path.read_text()
        yield "two"

    log_file.append(path, lines())

    assert "one\ntwo\n" == path.read_text()


@pytest.mark.parametrize("removes", [False, True])
def test_a_file_that_is_moved_is_created_again(tmp_path: Path, *, removes: bool) -> None:
    path, old = tmp_path / "policies.log", tmp_path / "policies.log.1"

    def lines() -> Iterator[str]:
        yield "one"
        path.rename(old)
        if removes:
            old.unlink()
        yield "two"

    log_file.append(path, lines())

    assert "two\n" == path.read_text()
    assert removes or "one\n" == old.read_text()


def test_other_kinds_of_files_are_refused(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.touch()
    (tmp_path / "link").symlink_to(target)
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (
        ("link", "it is a symbolic link"),
        ("pipe", "no such device"),
        (".", "is a directory"),
        ("missing/file", "no such file"),
    ):
        with pytest.raises(RootlessError, match=f"cannot write `{tmp_path / name}`: {reason}"):
            log_file.append(tmp_path / name, ["one"])
    assert "" == target.read_text()


def test_a_pipe_with_a_reader_is_refused_as_well(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(RootlessError, match="it is not a regular file"):
            log_file.append(path, ["one"])
    finally:
        os.close(reader)


def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can create files of other users")
    path = tmp_path / "policies.log"
    path.touch()
    os.chown(path, 1500, 1500)

    with pytest.raises(RootlessError, match="it belongs to uid 1500"):
        log_file.append(path, ["one"])


def test_a_full_disk_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "policies.log"

    with largest_file(1000), pytest.raises(RootlessError, match="cannot write") as refused:
        log_file.append(path, ["x" * 300] * 10)

    assert refused.value.hint == "name another file"
    assert path.read_text().startswith(("x" * 300 + "\n") * 3)
