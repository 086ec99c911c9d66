"""`k3s server --log FILE`: the main process writes the output of a child to a file.

Source: K3s pkg/cli/cmds/log_linux.go. The stand-in does not rotate the file.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

_FORWARDED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


def split(path: Path, *, also: bool) -> None:
    """Continue in a child, and write its output; the parent exits with the status of the child."""
    path.parent.mkdir(parents=True, exist_ok=True)
    reader, writer = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    child = os.fork()
    if child == 0:
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        os.close(writer)
        os.close(reader)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
        return
    os.close(writer)
    for number in _FORWARDED:
        signal.signal(number, lambda received, _: os.kill(child, received))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
    _copy(reader, path, also=also)
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _copy(reader: int, path: Path, *, also: bool) -> None:
    with path.open("ab", buffering=0) as file:
        path.chmod(0o600)
        while chunk := os.read(reader, 65536):
            file.write(chunk)
            if also:
                os.write(2, chunk)
