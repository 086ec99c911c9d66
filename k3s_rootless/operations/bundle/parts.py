"""The documents of a bundle: what each is, and who is asked for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from k3s_rootless import background
from k3s_rootless.errors import RootlessError
from k3s_rootless.operations import versions
from k3s_rootless.operations.check import document as check
from k3s_rootless.operations.diagnose import causes
from k3s_rootless.operations.ports import look as ports
from k3s_rootless.operations.readiness import milestones, traces
from k3s_rootless.operations.readiness.milestones import Milestone
from k3s_rootless.operations.status import document as status
from k3s_rootless.support import host

if TYPE_CHECKING:
    from k3s_rootless.operations.bundle.sources import Sources
    from k3s_rootless.operations.context import Context

JOURNAL_SECONDS = 2.0
"""For the diagnosis by the journal alone, where the host was too slow to ask."""
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
Ask = Callable[[], Mapping[str, Any]]


def all_of(sources: Sources, deadline: float) -> dict[str, tuple[str, Ask]]:
    """Give what is asked, by the name of its file: what it is, and how it is asked; each may raise
    RootlessError.
    """
    context = sources.context
    return {
        "check": (
            "what this host lacks, as `k3s-rootless check --json` says it",
            partial(check.read, context),
        ),
        "status": (
            "how far K3s is, as `k3s-rootless status --json` says it",
            partial(status.read, context),
        ),
        "ports": (
            "who reaches what, as `k3s-rootless ports --json` says it",
            partial(ports.document, context),
        ),
        "version": (
            "versions of k3s-rootless, K3s and systemd",
            partial(versions.document, context),
        ),
        "diagnosis": (
            "why it fails, as `k3s-rootless diagnose --json` says it",
            partial(_diagnosis, sources, deadline),
        ),
        "phases": (
            "what the last start reached, and where each time comes from",
            partial(_phases, sources, deadline),
        ),
        "config": (
            "flags and limits of K3s, as `k3s-rootless config list --json` says it",
            partial(_config, context),
        ),
        "env": (
            (
                "K3s's environment, as `k3s-rootless env list --json` says it, and all that the"
                " unit and the user manager set"
            ),
            partial(_environment, sources),
        ),
        "host": ("release, kernel, memory, disks and mounts of this host", partial(_host, sources)),
    }


def _diagnosis(sources: Sources, deadline: float) -> dict[str, Any]:
    # Without systemd or in time for the host, what the journal's newest start tells is left.
    errors: list[Any] = []
    try:
        asked = background.begin(partial(causes.document, sources.context))
        document = background.answer(asked, deadline - JOURNAL_SECONDS)
    except RootlessError as error:
        errors = [error.document()]
        document = causes.document_of(sources.observed(deadline).story)
    # A cause that was found is the answer, and no error of the bundle.
    errors += [] if document["cause"] else document["errors"]
    return {**document, "schema": "k3s-rootless/diagnose/v1", "errors": errors}


def _phases(sources: Sources, deadline: float) -> dict[str, Any]:
    reached: Mapping[str, datetime] = {}
    first, why, cause = None, "", None
    try:
        observed = sources.observed(deadline)
        reached, first, cause = observed.reached, observed.first, observed.story.cause
    except RootlessError as error:
        why = error.message
    try:
        started, source = sources.state().started, "systemd: ExecMainStartTimestamp"
    except RootlessError:
        started, source = None, ""
    if started is None:
        started, source = first, "first line of its journal"
    settings = sources.settings()
    seen = [
        Milestone(milestones.STARTED, started, source, "" if started else why or "nobody saw it")
    ]
    seen += traces.of_files(settings.data / "rootless", settings.kubeconfig, started)
    seen += milestones.of_journal(reached, why)
    told = milestones.document(milestones.ordered(seen), started)
    if cause is not None and cause.fatal and cause.time is not None and started is not None:
        died = Milestone("died", cause.time, "the journal")
        told += [{**one, "end": True} for one in milestones.document([died], started)]
    return {
        "start": started.isoformat() if started else None,
        "start_source": source,
        "phases": told,
        "errors": [],
    }


def _config(context: Context) -> dict[str, Any]:
    from k3s_rootless.operations import configuration_list

    return {
        "schema": "k3s-rootless/config-list/v1",
        **configuration_list.document(configuration_list.read(context)),
    }


def _host(sources: Sources) -> dict[str, Any]:
    paths = sources.context.paths
    return host.facts(paths.root, (sources.settings().data, paths.home, paths.runtime))


def _environment(sources: Sources) -> dict[str, Any]:
    from k3s_rootless.operations.environment import document, look, surroundings

    context = sources.context
    listed: dict[str, Any] = {}
    errors = []
    try:
        with context.manager() as asked:
            seen = look.look(context, asked)
        listed = document.document(
            seen, surroundings.of(context, seen, seen.values(), seen.version), reveal=False
        )
    except RootlessError as error:
        errors.append(error.document())
    unit: Mapping[str, str] | None = None
    manager: dict[str, str | None] | None = None
    with suppress(RootlessError):
        # Where nobody can ask, the list says so already.
        unit = dict(sorted((sources.state().environment or {}).items()))
    try:
        found = sources.manager_environment()
        manager = {name: value if _matters(name) else None for name, value in sorted(found.items())}
    except RootlessError as error:
        errors.append(error.document())
    return {
        **listed,
        "schema": "k3s-rootless/env-list/v1",
        "unit": unit,
        "manager": manager,
        "errors": errors,
    }


def _matters(name: str) -> bool:
    return name.startswith(_SHOWN) or name.upper() in _PROXIES
