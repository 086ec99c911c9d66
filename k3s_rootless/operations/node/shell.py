"""Run a shell or another program inside the namespaces of the running K3s."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from k3s_rootless.node import entry, invocation
from k3s_rootless.operations.node import surroundings

if TYPE_CHECKING:
    from k3s_rootless.linux import job
    from k3s_rootless.operations.context import Context


def run(context: Context, words: Sequence[str]) -> job.Ended:
    """Run a program in all namespaces of K3s; without words, the shell of the user.

    Raises RootlessError.
    """
    state, found = surroundings.read(context)
    child = surroundings.child(context, state, " ".join(["shell", *words[:1]]))
    program = invocation.of_shell(words, found, context.environ)
    return entry.run(program, child, uid=context.uid, unit_group=state.control_group)
