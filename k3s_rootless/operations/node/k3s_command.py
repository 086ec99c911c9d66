"""Run a sub-command of K3s where it must run, and with what it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from k3s_rootless import command
from k3s_rootless.errors import NotRunning, RootlessError
from k3s_rootless.k3s import layout
from k3s_rootless.node import entry, invocation, subcommands
from k3s_rootless.node.facts import Need
from k3s_rootless.operations.node import surroundings

if TYPE_CHECKING:
    from k3s_rootless.linux import job
    from k3s_rootless.node.facts import Invocation, Subcommand, Surroundings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState


def run(context: Context, words: Sequence[str]) -> job.Ended:
    """Run `k3s` with these words.

    On the host, this process is replaced; this function returns only for sub-commands in the
    namespaces. Raises RootlessError.
    """
    chosen = subcommands.find(words)
    subcommands.require(chosen, words, None)
    state, found = surroundings.read(context)
    subcommands.require(chosen, words, found.release)
    what = f"k3s {' '.join(words[:2])}"
    helps = subcommands.asks_for_help(words)
    if not helps:
        _require(chosen, state, found, what)
    if Need.TOKEN in chosen.needs and not helps:
        found = replace(found, token=_token(found))
    program = invocation.of_subcommand(chosen, words, found, context.environ)
    if program.inside and not helps:
        child = surroundings.child(context, state, what)
        return entry.run(program, child, uid=context.uid, unit_group=state.control_group)
    return _replace(program)


def _replace(program: Invocation) -> job.Ended:
    command.replace(program.argv, program.environ)
    raise AssertionError(program.argv)  # `replace` returns only by raising


def _require(chosen: Subcommand, state: UnitState, found: Surroundings, what: str) -> None:
    if Need.RUNNING in chosen.needs:
        surroundings.require_running(state, what)
    if Need.STOPPED in chosen.needs and state.active_state not in {"inactive", "failed", ""}:
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


def _token(found: Surroundings) -> str:
    path = found.data / layout.SERVER_TOKEN
    try:
        return path.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise RootlessError(f"cannot read the token of the server, `{path}`: {reason}") from error
