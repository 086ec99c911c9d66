"""Run a program inside the namespaces of the running K3s, with this process as its parent."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from pathlib import Path

from k3s_rootless import command
from k3s_rootless.errors import RootlessError
from k3s_rootless.linux import job, namespaces, setns
from k3s_rootless.node.facts import Invocation

_LAST_SECONDS = 2.0


def run(invocation: Invocation, child: int, *, uid: int, unit_group: str) -> job.Ended:
    """Run a program in the user, mount, network and PID namespace of rootlesskit's child.

    `child` is its PID, which is verified: see `namespaces.verified`. This process joins the
    namespaces as well, except the PID namespace: it does nothing else afterwards. Raises
    RootlessError, also if K3s stops meanwhile.
    """
    process = namespaces.open_child(child, uid=uid, unit_group=unit_group)
    here = _directory()
    setns.join(process)
    for directory in (here, invocation.environ.get("HOME", ""), "/"):
        # The mounts inside differ from those of the host.
        with suppress(OSError):
            os.chdir(directory)
            break
    try:
        ended = job.run(lambda: command.become(invocation.argv, invocation.environ))
    except OSError as error:
        raise RootlessError(
            f"cannot start a process in K3s's namespaces: {(error.strerror or '').lower()}",
            hint="check that K3s runs: k3s-rootless status",
        ) from error
    if ended.signal == signal.SIGKILL and _has_ended(process):
        raise RootlessError("K3s stopped, and the program in its namespaces with it")
    return ended


def _has_ended(process: int) -> bool:
    # The kernel ends all processes of a PID namespace before its first one.
    return bool(select.select([process], [], [], _LAST_SECONDS)[0])


def _directory() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return "/"  # it was removed
