"""Run a sub-command of K3s where it must run, and with what it needs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from k3s_rootless import command
from k3s_rootless.errors import CommandFailed, NotRunning, RootlessError
from k3s_rootless.node import entry, invocation, subcommands
from k3s_rootless.node.facts import Need
from k3s_rootless.operations.node import surroundings
from k3s_rootless.printable import printable

if TYPE_CHECKING:
    from k3s_rootless.linux import job
    from k3s_rootless.node.facts import Invocation, Subcommand, Surroundings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

_MESSAGE = re.compile(r'^(?:.*\bmsg="(?P<quoted>(?:[^"\\]|\\.)*)"|(?:Error: )?(?P<plain>.+))$')
"""The last line of a failed command: K3s's log, or the error of its command line."""


def run(context: Context, words: Sequence[str]) -> job.Ended:
    """Run `k3s` with these words.

    On the host, this process is replaced; this function returns only for sub-commands in the
    namespaces. Raises RootlessError.
    """
    program, state = _prepared(context, words)
    if program.inside and not subcommands.asks_for_help(words):
        child = surroundings.child(context, state, _named(words))
        return entry.run(program, child, uid=context.uid, unit_group=state.control_group)
    return _replace(program)


def output(context: Context, words: Sequence[str], action: str, *, timeout: float) -> str:
    """Run a sub-command of K3s on the host, and return its output.

    `action` is what cannot be done if it fails. Raises RootlessError with the reason of K3s.
    """
    program, _ = _prepared(context, words)
    done = command.run(program.argv, timeout=timeout, environ=program.environ)
    if done.status == 0:
        return done.stdout
    raise CommandFailed(f"cannot {action}: {_reason(done)}")


def _prepared(context: Context, words: Sequence[str]) -> tuple[Invocation, UnitState]:
    chosen = subcommands.find(words)
    subcommands.require(chosen, words, None)
    state, found = surroundings.read(context)
    subcommands.require(chosen, words, found.release)
    helps = subcommands.asks_for_help(words)
    if not helps:
        _require(chosen, state, found, _named(words))
    if Need.TOKEN in chosen.needs and not helps:
        # Imported here: only a rotation of the token needs it.
        from k3s_rootless.operations.token import files

        found = replace(found, token=files.server(found.data, context.uid))
    return invocation.of_subcommand(chosen, words, found, context.environ), state


def _reason(done: command.Output) -> str:
    found = _MESSAGE.match(done.last_line)
    if found is None:
        return f"k3s exited with status {done.status}"
    quoted = (found["quoted"] or "").replace('\\"', '"')
    return printable((quoted or found["plain"] or "").removeprefix("Error: "))


def _named(words: Sequence[str]) -> str:
    return f"k3s {' '.join(words[:2])}"


def _replace(program: Invocation) -> job.Ended:
    command.replace(program.argv, program.environ)
    raise AssertionError(program.argv)  # `replace` returns only by raising


def _require(chosen: Subcommand, state: UnitState, found: Surroundings, what: str) -> None:
    if Need.RUNNING in chosen.needs:
        surroundings.require_running(state, what)
    if Need.STOPPED in chosen.needs and not state.at_rest:
        raise RootlessError(
            f"cannot run `{what}`: K3s is running, and uses the files that it removes",
            hint="stop K3s first: k3s-rootless down",
        )
    needs = {Need.KUBECONFIG, Need.RUNNING}
    if needs <= chosen.needs and not found.kubeconfig.exists():
        raise NotRunning(
            f"cannot run `{what}`: K3s has not written its kubeconfig `{found.kubeconfig}` yet",
            hint="wait until K3s is ready: k3s-rootless up",
        )
