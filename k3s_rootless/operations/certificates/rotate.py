"""Let K3s issue new certificates: stop it, remove the certificates, start it.

`k3s certificate rotate` removes certificates and keys, and the next start issues new ones. On a
running K3s, `kubectl exec` and `logs` would fail at once (observed with v1.36.3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from k3s_rootless import trust
from k3s_rootless.backup.facts import Kind
from k3s_rootless.cluster.certificates import fields, files
from k3s_rootless.errors import PreflightFailed, RootlessError, UsageError
from k3s_rootless.k3s import certificates
from k3s_rootless.node import subcommands
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.operations import (
    consent,
    first_start,
    installation,
    rotation,
    server_settings,
)
from k3s_rootless.operations.backup import stopping, unfinished
from k3s_rootless.operations.backup.running_cluster import SystemdCluster
from k3s_rootless.operations.certificates import listing
from k3s_rootless.operations.consent import Ask
from k3s_rootless.operations.foreground import active
from k3s_rootless.operations.kubeconfig import refresh
from k3s_rootless.operations.launch import perform as steps
from k3s_rootless.printable import printable
from k3s_rootless.service.observe import files as unit_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from k3s_rootless.cluster.certificates.facts import CertificateFile
    from k3s_rootless.operations.backup.running_cluster import Cluster
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.plan.steps import RotateCertificates
    from k3s_rootless.service.systemd.user import UserManager

_WORDS = ("certificate", "rotate")


@dataclass(frozen=True, slots=True)
class Request:
    """The services that get new certificates, all if empty; `seconds` limits the wait."""

    services: tuple[str, ...]
    seconds: float
    yes: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The rotation, and whether K3s runs now, or was stopped by an interrupted command."""

    step: RotateCertificates
    services: tuple[str, ...]
    data: Path
    kubeconfig: Path
    running: bool


@dataclass(frozen=True, slots=True)
class Rotated:
    """The result: the files with a new certificate, and the copy of the earlier ones.

    `renewed` is empty if K3s does not run: it issues the certificates at its next start.
    """

    plan: Plan
    renewed: tuple[str, ...]
    backup: Path | None


def plan(context: Context, request: Request) -> Plan:
    """Return what `rotate` would do now. Raises UsageError, NotRunning, RootlessError."""
    with context.manager() as manager:
        return _plan(context, manager, request)


def rotate(context: Context, request: Request, ask: Ask) -> Rotated:
    """Rotate the certificates, and wait until K3s is ready if it was running.

    Raises UsageError, NotRunning or RootlessError before anything is changed. If the rotation
    fails, K3s is started again, and RootlessError is raised.
    """
    active.require_none(context, "rotate the certificates")
    with context.manager() as manager, context.locked():
        unfinished.require_none(context)
        found = _plan(context, manager, request)
        if found.running and not request.yes:
            _require_consent(ask)
        cluster = SystemdCluster(context, manager, request.seconds)
        return perform(context, found, cluster, lambda: steps.step(context, manager, found.step))


def perform(context: Context, found: Plan, cluster: Cluster, remove: Callable[[], None]) -> Rotated:
    """Stop K3s, remove the certificates with `remove`, and start K3s, if it was running."""
    before = serials(found.data, context.uid)
    backups = listing.backups(found.data)
    renewed: tuple[str, ...] = ()
    if found.running:
        with stopping.stopped(context, cluster, datetime.now(UTC), Kind.ROTATION):
            remove()
        cluster.wait()
        renewed = differing(before, serials(found.data, context.uid))
        refresh.refresh(context, found.kubeconfig)
    else:
        remove()
    new = [one for one in listing.backups(found.data) if one not in backups]
    return Rotated(found, renewed, next(iter(new), None))


def _plan(context: Context, manager: UserManager, request: Request) -> Plan:
    directory = first_start.unit_directory(manager, context.paths)
    state = installation.observed(manager, directory)
    if not state.installed:
        raise installation.absence(state)
    release = unit_files.release_of(state.fragment)
    subcommands.require(subcommands.find(_WORDS), _WORDS, release)
    _require_services(request.services, certificates.services(release), str(release or "this K3s"))
    settings = server_settings.of_next_start(context, state, manager.environment)
    if settings.problems:
        raise RootlessError(
            f"cannot rotate the certificates: the data directory of K3s is not known:"
            f" {settings.problems[0]}",
            hint="see the settings with: k3s-rootless config list",
        )
    words = (_program(state), *_WORDS, *_options(request.services))
    step = rotation.step(manager.environment, state, settings, words, "it was requested")
    running = not state.at_rest or unfinished.stopped(context, state)
    return Plan(step, request.services, settings.data, settings.kubeconfig, running)


def _program(state: UnitState) -> str:
    program = next(iter(state.argv), "")
    if not program.startswith("/"):
        raise PreflightFailed(
            "cannot rotate the certificates: the unit does not name a k3s",
            hint="write the unit again: k3s-rootless up",
        )
    risk = trust.risk(Path(program))
    if risk:
        raise RootlessError(f"cannot run `{program}`: it is not trusted because {risk}")
    return program


def _options(services: Sequence[str]) -> Iterator[str]:
    for one in services:
        yield "--service"
        yield one


def _require_services(given: Sequence[str], known: Sequence[str], release: str) -> None:
    for one in given:
        if one not in known:
            raise UsageError(
                f"cannot rotate the certificates of `{printable(one)}`: K3s {release} does not know"
                " this service",
                hint=f"use one of: {', '.join(known)}",
            )


def _require_consent(ask: Ask) -> None:
    consent.require(
        ask,
        "K3s must restart for new certificates, and all pods stop. Restart K3s now?",
        unanswered="cannot rotate the certificates: K3s must restart, and all pods stop",
        hint="to allow the restart, add --yes",
        refused="nothing was changed: K3s keeps running",
    )


def serials(data: Path, uid: int) -> Mapping[str, str]:
    """Return the serial number of the first certificate in each file that can be read."""
    found = files.read(data, uid)
    if isinstance(found, Unknown):
        return {}
    return dict(_serials(found.value))


def _serials(found: Sequence[CertificateFile]) -> Iterator[tuple[str, str]]:
    for one in found:
        try:
            if isinstance(one.content, Known):
                yield one.name, fields.read(one.content.value)[0].serial
        except (RootlessError, IndexError):
            continue  # K3s replaces a damaged one


def differing(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Return the files that have another certificate than before."""
    return tuple(name for name, serial in after.items() if before.get(name) != serial)


def described(found: Plan) -> tuple[str, ...]:
    """Return the descriptions of the steps."""
    if not found.running:
        return (found.step.describe(),)
    stop = "stop K3s and all pods"
    return (stop, found.step.describe(), "start K3s, which issues the certificates")


def document(found: Plan, rotated: Rotated | None) -> dict[str, Any]:
    """Return the JSON form of a plan, and of its result; `rotated` is None for a dry run."""
    content: dict[str, Any] = {
        "changed": rotated is not None,
        "data": str(found.data),
        "services": list(found.services),
        "restarts": found.running,
        "steps": list(described(found)),
        "renewed": [],
        "backup": None,
        "errors": [],
    }
    if rotated is not None:
        content["renewed"] = list(rotated.renewed)
        if rotated.backup is not None:
            content["backup"] = str(rotated.backup)
    return content
