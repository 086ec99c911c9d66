"""The parts of `status` that need no peer: files of the unit, the installed k3s, the cgroup, traces
of the last start.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations.status.model import stale
from k3s_rootless.paths import UNIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3s_rootless.cluster.facts import Credentials, Kubeconfig, Node
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.readiness.milestones import Milestone
    from k3s_rootless.operations.status.model import Kit, Seen
    from k3s_rootless.service.facts import UnitState, Usage
    from k3s_rootless.service.unit.standing import Part, Pending


def files(
    context: Context, state: UnitState | None
) -> tuple[Version | None, Observed[tuple[Part, ...]]]:
    """Read the unit and its drop-ins; where nobody could be asked which they are, the place where
    `up` writes it.
    """
    from k3s_rootless.k3s import version
    from k3s_rootless.service.act import apply
    from k3s_rootless.service.unit import text as unit
    from k3s_rootless.service.unit.seal import author
    from k3s_rootless.service.unit.standing import Part

    paths = (state.fragment, *state.drop_ins) if state else (context.paths.user_units / UNIT,)
    found: list[Part] = []
    release = None
    for path in filter(None, paths):
        try:
            text, written = apply.read(path)
        except RootlessError as error:
            found.append(Part(path, None, None, error.message))
            continue
        if text is None:
            found.append(Part(path, None, None, f"`{path}` is not there"))
            continue
        if not found:
            release = version.parse(unit.written_for(text) or "")
        found.append(Part(path, written, author(text)))
    return release, Known(tuple(found), "the files of the unit")


def credentials(
    load: Callable[[], Kubeconfig], state: UnitState | None, settings: Settings, uid: int
) -> Credentials:
    """Return the credentials of the kubeconfig of this start, or else K3s's own.

    Raises RootlessError.
    """
    from k3s_rootless.cluster import access

    try:
        found = load()
        if not stale(found, state):
            return found
        unusable = RootlessError(f"{found.path} is older than this start of K3s")
    except RootlessError as error:
        unusable = error
    try:
        return access.credentials(settings.data, settings.https_port, uid=uid)
    except RootlessError:
        raise unusable from None


def binary_changed(state: UnitState | None) -> Observed[datetime]:
    """Tell when the k3s of the unit came to lie where it does; a link to it counts as well."""
    if state is None or not state.argv:
        return Unknown("nobody could say which k3s the unit starts")
    binary = Path(state.argv[0])
    try:
        times = (binary.lstat().st_ctime, binary.stat().st_ctime)
    except OSError as error:
        return Unknown(f"{binary}: {(error.strerror or str(error)).lower()}")
    return Known(datetime.fromtimestamp(max(times), UTC), str(binary))


def installed(
    context: Context,
    state: UnitState | None,
    version: Version | None,
    parts: Observed[tuple[Part, ...]],
    seconds: float,
) -> Observed[str]:
    """Tell which release the unit would start: that which it was written for, where its k3s is
    older, or what k3s says.
    """
    if state is None or not state.argv:
        return Unknown("nobody could say which k3s the unit starts")
    from k3s_rootless.service.unit import standing

    binary = Path(state.argv[0])
    changed = binary_changed(state)
    if isinstance(changed, Unknown):
        return changed
    if version and isinstance(parts, Known) and standing.unchanged(changed.value, parts.value):
        return Known(str(version), f"{binary} is older than the unit, which was written for it")
    from k3s_rootless import trust
    from k3s_rootless.preflight.probes import host

    if risk := trust.risk(binary):
        return Unknown(f"{binary} was not run: {risk}")
    found = host.k3s_binary({"PATH": str(binary.parent)}, "", context.paths.home, seconds=seconds)
    if found.path is None or not Path(found.path).samefile(binary):
        return Unknown(f"the unit starts {binary}, which is not called k3s")
    told = found.version
    return (
        Known(str(told.value), told.source)
        if isinstance(told, Known)
        else told or Unknown("k3s did not say")
    )


def used(state: UnitState | None, kit: Observed[Kit]) -> Usage:
    """Tell what K3s uses; its control group is found by rootlesskit's child where systemd cannot be
    asked.
    """
    from k3s_rootless.service.observe import usage

    group = state.control_group if state else ""
    if state is None and isinstance(kit, Known):
        group = usage.group_of(kit.value.child_pid, UNIT)
    return usage.of(state, group)


def reached(
    state: UnitState | None,
    settings: Settings,
    kit: Observed[Kit],
    nodes: Observed[tuple[Node, ...]],
) -> tuple[Milestone, ...]:
    """Tell what the last start reached, by what it left behind; the journal, which tells more, may
    take seconds to read.
    """
    from k3s_rootless.operations.readiness import milestones, traces

    started = state.started if state else None
    if started is None:
        return ()
    where = kit.value.socket.parent if isinstance(kit, Known) else settings.data / "rootless"
    seen = [milestones.Milestone(milestones.STARTED, started, "systemd: ExecMainStartTimestamp")]
    seen += traces.of_files(where, settings.kubeconfig, started)
    seen.append(traces.of_node(nodes, started))
    return milestones.ordered(seen)


def certificates(seen: Seen) -> tuple[tuple[str, Observed[datetime]], ...]:
    """Tell until when the certificates are valid: ours of the kubeconfig, and the one that the API
    server showed.
    """
    from k3s_rootless.cluster import certificates as reader

    given = []
    if isinstance(seen.kubeconfig, Known):
        given.append(("client", seen.kubeconfig.value.certificate))
    if isinstance(seen.ready, Known) and seen.ready.value.certificate:
        given.append(("server", seen.ready.value.certificate))
    found: list[tuple[str, Observed[datetime]]] = []
    for whose, certificate in given:
        try:
            found.append((whose, Known(reader.until(certificate), "notAfter")))
        except RootlessError as error:
            found.append((whose, Unknown(error.message)))
    return tuple(found)


def pending(seen: Seen) -> tuple[Pending, ...]:
    """Tell what is configured and not in effect."""
    from k3s_rootless.service.drop_ins import drop_in, environment
    from k3s_rootless.service.observe import files as unit_files
    from k3s_rootless.service.unit import standing

    parts = seen.files.value if isinstance(seen.files, Known) else ()
    variables = seen.variables.value if isinstance(seen.variables, Known) else ()
    if isinstance(seen.variables, Known):
        # What K3s was started with tells more than the time of the drop-in that sets it.
        parts = tuple(part for part in parts if part.path.name != drop_in.name(environment.SUBJECT))
    if seen.as_started:
        parts = ()
    found = standing.pending(seen.state, parts, variables) if seen.state else ()
    checked = seen.as_started or any(one.what == "restart" for one in found)
    if seen.state and seen.state.fragment and not checked:
        # A drop-in that is gone leaves its trace in the time of its directory.
        directory = seen.state.fragment.with_name(f"{seen.state.name}{drop_in.DIRECTORY_SUFFIX}")
        if cause := drop_in.restart_owed(
            seen.state, unit_files.last_changed(directory, seen.state)
        ):
            found += (standing.Pending("restart", cause, "k3s-rootless restart"),)
    if seen.settings.outdated:
        found += (standing.Pending("restart", seen.settings.outdated, "k3s-rootless restart"),)
    installed, runs = seen.installed, seen.running_release
    if isinstance(installed, Known) and runs and runs != installed.value:
        cause = f"K3s {runs} runs, and {installed.value} is installed"
        found += (standing.Pending("restart", cause, "k3s-rootless up --restart"),)
    elif isinstance(installed, Known) and seen.version and str(seen.version) != installed.value:
        cause = f"the unit was written for K3s {seen.version}, and {installed.value} is installed"
        found += (standing.Pending("up", cause, "k3s-rootless up"),)
    return found
