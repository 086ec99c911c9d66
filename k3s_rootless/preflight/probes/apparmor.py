"""Probe of the AppArmor label that k3s would run under.

Where `kernel.apparmor_restrict_unprivileged_userns` is 1 (Ubuntu 23.10 and later), only a program
with its own profile is allowed to create user namespaces. What this program is allowed to do shows
nothing about another path. The kernel decides which profile attaches to a path when that path is
executed. So a child requests to be traced, executes k3s, and stops before the first instruction.
Its label is read, and it is killed. No code of k3s ever runs.
"""

from __future__ import annotations

import contextlib
import ctypes

# Loaded before any fork: logging takes a lock around each fork. If another thread loaded it during
# a fork, the lock would be released without having been taken, with a traceback.
import logging  # noqa: F401
import os
import signal
import time
from pathlib import Path

from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.preflight.records import Confinement

SWITCH = "proc/sys/kernel/apparmor_restrict_unprivileged_userns"
_SECONDS = 3.0
_TRACE_ME, _SET_DEATH_SIGNAL = 0, 1


def confinement(root: Path, program: str | None) -> Observed[Confinement]:
    """Return whether user namespaces are restricted, and which label `program` would have."""
    switch = root / SWITCH
    try:
        value = switch.read_text("ascii", "replace").strip()
    except FileNotFoundError:
        value = ""
    except OSError as error:
        return Unknown(f"{switch} cannot be read: {error.strerror}")
    restricted = value == "1"
    found: Observed[str]
    if not restricted:
        found = Unknown("AppArmor does not restrict user namespaces")
    elif program is None:
        found = Unknown("no trusted k3s was found, so its AppArmor label cannot be read")
    else:
        found = label(program)
    return Known(Confinement(restricted=restricted, label=found), str(switch))


def label(program: str) -> Observed[str]:
    """Return the label under which AppArmor would run a program.

    Examples are `unconfined` and `k3s (unconfined)`.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    argv = [os.fsencode(program)]
    try:
        child = os.fork()
    except OSError as error:
        return Unknown(f"cannot start a child process that reads the label: {error.strerror}")
    if child == 0:
        with contextlib.suppress(BaseException):
            libc.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
            if libc.ptrace(_TRACE_ME, 0, None, None) == 0:
                os.execve(argv[0], argv, {})  # noqa: S606 (it stops before it runs)
        os._exit(0)
    try:
        if not _stopped(child):
            return Unknown(
                f"cannot execute {program} under ptrace to read its label (ptrace may be forbidden)"
            )
        return Known(_label(child), f"the AppArmor label of {program} when it is executed")
    except OSError as error:
        return Unknown(f"the AppArmor label of {program} cannot be read: {error.strerror}")
    finally:
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _stopped(child: int) -> bool:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
        if done:
            return os.WIFSTOPPED(status)
        time.sleep(0.001)  # wait4(2) has no timeout
    return False


def _label(child: int) -> str:
    # Kernels from 5.8 on have the first path. There, another security module can own the second.
    for name in ("attr/apparmor/current", "attr/current"):
        with contextlib.suppress(FileNotFoundError):
            return Path(f"/proc/{child}", name).read_text("utf-8", "replace").strip("\0\n ")
    raise FileNotFoundError(2, "no such file")
