"""Tests that a merge that is killed anywhere leaves the user's file whole.

Each run is a forked child. It is killed at one of its calls that change or lock a file, before or
after the call, so that all of them are reached whatever the speed of the machine.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.cluster.kubeconfig import copies, edited_text, merging
from k3s_rootless.operations.kubeconfig import remove as removing
from tests.operations.kubeconfig.conftest import THEIRS, Host

KILLS = 500
JSON = '{"kind": "Config", "current-context": "x"}'
OURS = "k3s-rootless"
_CALLS = (
    "close",
    "fchmod",
    "fsync",
    "link",
    "mkdir",
    "open",
    "rename",
    "replace",
    "rmdir",
    "scandir",
    "unlink",
)


def _kill_at(number: int) -> None:
    """Kill this process at its call of this number; each call counts before and after it.

    Unlike a profiler, wrapped functions do not slow down the rest, and unlike an audit hook, they
    also count after a call, and before each sync.
    """
    numbers = count()

    def reached() -> None:
        if next(numbers) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            reached()
            result = function(*arguments, **options)
            reached()
            return result

        return call

    for name in _CALLS:
        setattr(os, name, counted(getattr(os, name)))
    fcntl.flock = counted(fcntl.flock)


def _ended(work: Callable[[], object], number: int) -> bool:
    """Do some work in a child that is killed at its call of this number; return if it ended."""
    child = os.fork()
    if not child:
        try:
            _kill_at(number)
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _is_whole(host: Host, texts: set[str | None]) -> bool:
    if not host.config.exists():
        return None in texts
    return host.config.read_text() in texts


@pytest.mark.thorough
def test_500_kills_leave_the_old_file_or_the_new_one(host: Host) -> None:
    """Five kinds of changes: a new file, new entries, JSON, new certificates, and a removal."""

    def remove() -> object:
        return removing.remove(host.context, lambda _: None)

    host.own()
    host.merge()
    stale = host.config.read_text()
    host.rotate()
    kills = 0
    for before in (None, THEIRS, JSON, stale):
        kills += _killed_everywhere(host, before, host.merge)
    kills += _killed_everywhere(host, host.config.read_text(), remove)
    assert kills >= KILLS


def _killed_everywhere(host: Host, before: str | None, work: Callable[[], object]) -> int:
    """Do some work, killed at each call in turn, until it ends; return the number of kills."""
    _start_from(host, before)
    work()
    after = host.config.read_text()
    assert before != after
    for number in count():
        _start_from(host, before)
        ended = _ended(work, number)
        assert _is_whole(host, {before, after})
        assert _has_no_foreign_entries(host)
        if ended:
            assert after == host.config.read_text()
            return number
    raise AssertionError


def _has_no_foreign_entries(host: Host) -> bool:
    """Return whether the next run can tell its own entries, or there are none."""
    if not host.config.exists():
        return True
    found = merging.owner([edited_text.parse(host.config.read_bytes())], OURS)
    return found in {merging.Owner.NONE, merging.Owner.OURS}


def _start_from(host: Host, text: str | None) -> None:
    """Write the kubeconfig of the user, and keep the lock that the run before left.

    A temporary file that is empty may belong to another process for a minute, and each one that
    stays adds calls to the next run.
    """
    for path in _temporary(host):
        path.unlink()
    if text is None:
        host.config.unlink(missing_ok=True)
    else:
        host.own(text)


def _temporary(host: Host) -> list[Path]:
    return [*host.config.parent.glob(".*.new"), *host.context.paths.own.glob(".*.new")]


def test_temporary_files_of_killed_runs_are_removed_by_a_later_run(host: Host) -> None:
    for number in range(0, 100, 3):
        _ended(host.merge, number)
        host.own()
    left = _temporary(host)
    for path in left:
        os.utime(path, (0, 0))

    host.merge()

    assert left
    assert ["config", "k3s.yaml"] == sorted(one.name for one in host.config.parent.iterdir())
    assert [copies.RECORD] == [one.name for one in host.context.paths.own.iterdir()]
