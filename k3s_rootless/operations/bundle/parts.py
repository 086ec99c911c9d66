"""The documents of a bundle, with a description and a reader for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from k3s_rootless import background, schemas
from k3s_rootless.errors import RootlessError
from k3s_rootless.operations import versions
from k3s_rootless.operations.bundle.sources import or_default
from k3s_rootless.operations.check import document as check
from k3s_rootless.operations.configuration import document as configuration
from k3s_rootless.operations.configuration import settings_list
from k3s_rootless.operations.diagnose import document as diagnosis
from k3s_rootless.operations.environment import document as environment_document
from k3s_rootless.operations.environment import surroundings
from k3s_rootless.operations.ports import query as ports
from k3s_rootless.operations.readiness import milestones, traces
from k3s_rootless.operations.readiness.milestones import Milestone
from k3s_rootless.operations.readiness.phases import STARTED
from k3s_rootless.operations.status import document as status
from k3s_rootless.printable import json_time
from k3s_rootless.support import host

if TYPE_CHECKING:
    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.operations.bundle.sources import Sources
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

JOURNAL_SECONDS = 2.0
"""The time in seconds for a diagnosis from the journal alone, if the host was too slow."""
_SHOWN = (
    "K3S_",
    "CONTAINERD_",
    "PATH",
    "HOME",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
)
_PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"})
Read = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Part:
    """One document of a bundle, before it is redacted: its name, a description, and its reader.

    `read` may raise RootlessError.
    """

    name: str
    what: str
    read: Read


def every_part(sources: Sources, deadline: float) -> tuple[Part, ...]:
    """Return the parts; each is read until `deadline` (time.monotonic) at the latest."""
    context = sources.context
    return (
        Part(
            "check",
            "checks of this host: output of `k3s-rootless check --json`",
            partial(check.read, context),
        ),
        Part(
            "status",
            "state of K3s: output of `k3s-rootless status --json`",
            partial(status.read, context),
        ),
        Part(
            "ports",
            "host ports and their Services: output of `k3s-rootless ports --json`",
            partial(ports.document, context),
        ),
        Part(
            "version",
            "versions of k3s-rootless, K3s and systemd",
            lambda: versions.document(versions.read(context)),
        ),
        Part(
            "diagnosis",
            "cause of a failure: output of `k3s-rootless diagnose --json`",
            partial(_diagnosis, sources, deadline),
        ),
        Part(
            "phases",
            "phases of the last start, with the source of each time",
            partial(_phases, sources, deadline),
        ),
        Part(
            "config",
            "server flags and limits: output of `k3s-rootless config list --json`",
            partial(_configuration, context),
        ),
        Part(
            "env",
            "environment of K3s: output of `k3s-rootless env list --json`, and all variables of the"
            " unit and the user manager",
            partial(_environment, sources),
        ),
        Part(
            "host",
            "release, kernel, memory, disks and mounts of this host",
            partial(_host, sources),
        ),
    )


def _diagnosis(sources: Sources, deadline: float) -> dict[str, Any]:
    errors: list[Any] = []
    try:
        query = background.begin(partial(diagnosis.read, sources.context))
        document = background.answer(query, deadline - JOURNAL_SECONDS)
    except RootlessError as error:
        errors = [error.document()]
        document = diagnosis.of_log(sources.observed(deadline).log)
    # If a cause was found, that is the answer and not an error of the bundle.
    if not document["cause"]:
        errors += document["errors"]
    return {**document, "schema": schemas.name("diagnose"), "errors": errors}


def _phases(sources: Sources, deadline: float) -> dict[str, Any]:
    reached: Mapping[str, datetime] = {}
    first: datetime | None = None
    cause: Cause | None = None
    why = ""
    try:
        observed = sources.observed(deadline)
        reached, first, cause = observed.reached, observed.first, observed.log.cause
    except RootlessError as error:
        why = error.message
    started, source = _beginning(sources, first)
    unseen = "" if started else why or "there is no record of the start"
    settings = sources.settings()
    seen = [
        Milestone(STARTED, started, source, unseen),
        *traces.of_files(settings.rootlesskit_state, settings.kubeconfig, started),
        *milestones.of_journal(reached, why),
    ]
    phases = milestones.document(milestones.ordered(seen), started)
    return {
        "start": json_time(started),
        "start_source": source,
        "phases": phases + _end(cause, started),
        "errors": [],
    }


def _beginning(sources: Sources, first: datetime | None) -> tuple[datetime | None, str]:
    """Return when the last start began, and the source; `first` is the time of its first line."""
    state: UnitState | None = or_default(sources.state, None)
    if state is not None and state.started is not None:
        return state.started, "systemd: ExecMainStartTimestamp"
    return first, "first log line of the start"


def _end(cause: Cause | None, started: datetime | None) -> list[dict[str, Any]]:
    """Return the end of the last start as a phase; empty if the start did not fail."""
    if cause is None or not cause.fatal or cause.time is None or started is None:
        return []
    failed = Milestone("failed", cause.time, "the journal")
    return [{**one, "end": True} for one in milestones.document([failed], started)]


def _configuration(context: Context) -> dict[str, Any]:
    listed = configuration.list_document(settings_list.read(context))
    return {"schema": schemas.name("config-list"), **listed}


def _host(sources: Sources) -> dict[str, Any]:
    paths = sources.context.paths
    return host.facts(paths.root, (sources.settings().data, paths.home, paths.runtime))


def _environment(sources: Sources) -> dict[str, Any]:
    listed: dict[str, Any] = {}
    manager: dict[str, str | None] | None = None
    errors = []
    try:
        listed = _list_of_environment(sources.context)
    except RootlessError as error:
        errors.append(error.document())
    try:
        found = sources.manager_environment()
        manager = {name: value if _matters(name) else None for name, value in sorted(found.items())}
    except RootlessError as error:
        errors.append(error.document())
    # If the unit could not be queried, the list already contains the error.
    state: UnitState | None = or_default(sources.state, None)
    unit: Mapping[str, str] | None = None
    if state is not None:
        unit = dict(sorted((state.environment or {}).items()))
    return {
        **listed,
        "schema": schemas.name("env-list"),
        "unit": unit,
        "manager": manager,
        "errors": errors,
    }


def _list_of_environment(context: Context) -> dict[str, Any]:
    seen, around = surroundings.read(context)
    return environment_document.document(seen, around, reveal=False)


def _matters(name: str) -> bool:
    return name.startswith(_SHOWN) or name.upper() in _PROXIES
