"""Replace the certificate authorities of a running K3s, and restart it with them.

K3s saves new authorities in its datastore, and uses them after its next start.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from k3s_rootless import command
from k3s_rootless.cluster.certificates import authorities, staged
from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.k3s import certificates, layout
from k3s_rootless.node import invocation, subcommands
from k3s_rootless.operations import consent
from k3s_rootless.operations.backup import unfinished
from k3s_rootless.operations.backup.running_cluster import SystemdCluster
from k3s_rootless.operations.certificates import rotate
from k3s_rootless.operations.consent import Ask
from k3s_rootless.operations.foreground import active
from k3s_rootless.operations.kubeconfig import refresh
from k3s_rootless.operations.node import surroundings
from k3s_rootless.paths import UNIT
from k3s_rootless.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3s_rootless.cluster.certificates.records import Authority
    from k3s_rootless.node.facts import Surroundings
    from k3s_rootless.operations.backup.running_cluster import Cluster
    from k3s_rootless.operations.context import Context

_WORDS = ("certificate", "rotate-ca")
_SECONDS = 120.0
_LOG = "K3s's log has the reason: k3s-rootless logs --grep certificate"


@dataclass(frozen=True, slots=True)
class Request:
    """The directory with the new authorities; with `force`, their problems are ignored."""

    path: Path
    seconds: float
    force: bool = False
    yes: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The authorities that are replaced, and what is wrong with the new ones."""

    path: Path
    found: Surroundings
    replaced: tuple[str, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Replaced:
    """The result: the files with another certificate than before."""

    plan: Plan
    renewed: tuple[str, ...]


def plan(context: Context, request: Request) -> Plan:
    """Return what `replace` would do now. Raises UsageError, NotRunning, RootlessError."""
    subcommands.require(subcommands.find(_WORDS), _WORDS, None)
    state, found = surroundings.read(context)
    surroundings.require_running(state, f"k3s {' '.join(_WORDS)}")
    subcommands.require(subcommands.find(_WORDS), _WORDS, found.release)
    if state.name != UNIT:
        raise RootlessError(
            f"cannot replace the certificate authorities: K3s runs in a terminal ({state.name}),"
            " and must restart",
            hint="stop it there, and start it with: k3s-rootless up",
        )
    path = request.path.absolute()
    tls = path / Path(layout.TLS).name
    if not tls.is_dir():
        raise UsageError(
            f"cannot find new certificate authorities: `{tls}` is not a directory",
            hint="name the directory above `tls`, as for `k3s certificate rotate-ca`",
        )
    return _compared(path, tls, found, context.uid)


def _compared(path: Path, tls: Path, found: Surroundings, uid: int) -> Plan:
    new, new_keys = staged.authorities(tls, uid), staged.service_keys(tls, uid)
    if not new_keys and not any(one.certificate or one.key for one in new):
        raise RootlessError(
            f"cannot find certificate authorities in `{tls}`",
            hint=f"K3s expects files such as {tls / certificates.AUTHORITIES[0]}",
        )
    here = found.data / layout.TLS
    problems = [*staged.risks(tls), *_problems(staged.authorities(here, uid), new)]
    problem = authorities.service_key_problem(staged.service_keys(here, uid), new_keys)
    if problem:
        problems.append(problem)
    replaced = [one.name for one in new if one.certificate]
    if new_keys:
        replaced.append(staged.SERVICE_KEY)
    return Plan(path, found, tuple(replaced), tuple(problems))


def _problems(present: tuple[Authority, ...], new: tuple[Authority, ...]) -> Iterator[str]:
    now = datetime.now(UTC)
    for before, after in zip(present, new, strict=True):
        yield from authorities.problems(before, after, now)


def replace(context: Context, request: Request, ask: Ask) -> Replaced:
    """Save the new authorities, and restart K3s with them.

    Raises UsageError, NotRunning or RootlessError before anything is changed; RootlessError if K3s
    refuses the authorities, or does not get ready with them.
    """
    active.require_none(context, "replace the certificate authorities")
    with context.manager() as manager, context.locked():
        unfinished.require_none(context)
        found = plan(context, request)
        _require_accepted(context, found, force=request.force)
        if not request.yes:
            _require_consent(found, ask)
        cluster = SystemdCluster(context, manager, request.seconds)
        return perform(context, found, cluster, force=request.force)


def perform(context: Context, found: Plan, cluster: Cluster, *, force: bool) -> Replaced:
    """Save the new authorities, and restart K3s with them.

    If this process is killed between the two, `status` shows that K3s must restart.
    """
    data, uid = found.found.data, context.uid
    before = rotate.serials(data, uid)
    _save(context, found, force=force)
    context.notice("restarting K3s with the new certificate authorities")
    cluster.start()
    cluster.wait()
    refresh.refresh(context, found.found.kubeconfig)
    return Replaced(found, rotate.differing(before, rotate.serials(data, uid)))


def _require_accepted(context: Context, found: Plan, *, force: bool) -> None:
    if not found.problems:
        return
    if force:
        for problem in found.problems:
            context.notice(f"ignored because of --force: {problem}")
        return
    raise RootlessError(
        f"cannot use the certificate authorities in `{found.path}`: {'; '.join(found.problems)}",
        hint=(
            "to replace them in spite of this, add --force: then all copies of the kubeconfig, and"
            " all programs that trust the present authorities, need the new ones"
        ),
        details={"problems": list(found.problems)},
    )


def _require_consent(found: Plan, ask: Ask) -> None:
    names = ", ".join(found.replaced)
    consent.require(
        ask,
        f"K3s must restart to use {names} from {found.path}, and all pods stop. Continue?",
        unanswered="cannot replace the authorities: K3s must restart, and all pods stop",
        hint="to allow the restart, add --yes; a backup keeps the present ones: k3s-rootless backup"
        " create",
        refused="nothing was changed",
    )


def _save(context: Context, found: Plan, *, force: bool) -> None:
    """Let K3s check the authorities and save them in its datastore. Raises RootlessError."""
    words = [*_WORDS, "--path", str(found.path), "--data-dir", str(found.found.data)]
    if force:
        words.append("--force")
    entry = subcommands.find(_WORDS)
    program = invocation.of_subcommand(entry, words, found.found, context.environ)
    context.notice("saving the new certificate authorities in the datastore of K3s")
    done = command.run(program.argv, timeout=_SECONDS, environ=program.environ)
    if done.status == 0:
        return
    line = printable(done.last_line or "no output")
    raise RootlessError(f"cannot replace the certificate authorities: {line}", hint=_LOG)


def described(found: Plan) -> tuple[str, ...]:
    """Return the descriptions of the steps."""
    return (
        f"save in the datastore of K3s: {', '.join(found.replaced)} from {found.path}",
        "restart K3s, which issues all other certificates again; all pods stop",
    )


def document(found: Plan, done: Replaced | None) -> dict[str, Any]:
    """Return the JSON form of a plan, and of its result; `done` is None for a dry run."""
    return {
        "changed": done is not None,
        "path": str(found.path),
        "replaced": list(found.replaced),
        "problems": list(found.problems),
        "steps": list(described(found)),
        "renewed": [] if done is None else list(done.renewed),
        "errors": [],
    }
