"""Run a program of K3s inside its namespaces, and return its output.

The program runs below a second process, because a process that joined the namespaces cannot leave
them: `python -m k3s_rootless.node.inside CHILD GROUP PROGRAM …`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from k3s_rootless import command
from k3s_rootless.errors import CommandFailed, RootlessError
from k3s_rootless.node import entry
from k3s_rootless.node.facts import Invocation
from k3s_rootless.printable import printable

SECONDS = 120.0
_MODULE = "k3s_rootless.node.inside"
_FAILED = 125
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Node:
    """The namespaces of the running K3s: their owner, and the control group of the unit."""

    child: int
    unit_group: str


def run(
    node: Node,
    invocation: Invocation,
    produce: Callable[[Callable[[bytes], object]], None] | None = None,
    *,
    timeout: float = SECONDS,
) -> str:
    """Run a program, and return what it printed; `produce` writes its input.

    Raises RootlessError if the program fails.
    """
    argv = (*command.module(_MODULE), str(node.child), node.unit_group, *invocation.argv)
    environ = invocation.environ
    done = command.feed(argv, produce or _nothing, timeout=timeout, environ=environ)
    if done.status == 0:
        return done.stdout
    lines = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()
    shown = printable(lines[-1])[:_LONGEST]
    if done.status == _FAILED:
        raise RootlessError(shown.removeprefix("error: "))
    words = " ".join(invocation.argv[-4:])
    raise CommandFailed(f"`{printable(words)}` failed with status {done.status}: {shown}")


def _nothing(write: Callable[[bytes], object]) -> None:
    del write


def main(arguments: Sequence[str]) -> int:
    """Run the program of the arguments, and return its exit status."""
    child, group, *argv = arguments
    invocation = Invocation(tuple(argv), dict(os.environ), inside=True)
    try:
        return entry.run(invocation, int(child), uid=os.getuid(), unit_group=group).status
    except RootlessError as error:
        os.write(2, f"error: {error.message}\n".encode("utf-8", "replace"))
        return _FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
