"""Read the parts of `status`.

These are the files of the unit, the installed k3s, rootlesskit, the control group, and the
milestones of the last start.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import trust
from k3s_rootless.cluster import access
from k3s_rootless.cluster.certificates import validity
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import version
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations.readiness import milestones, phases, traces
from k3s_rootless.operations.readiness.milestones import Milestone
from k3s_rootless.operations.status.model import Certificate, Kit
from k3s_rootless.paths import UNIT
from k3s_rootless.rootlesskit import client
from k3s_rootless.rootlesskit.state import sockets
from k3s_rootless.service.environment import pending
from k3s_rootless.service.observe import files as unit_files
from k3s_rootless.service.observe import process, usage
from k3s_rootless.service.unit import pending_changes
from k3s_rootless.service.unit import text as unit
from k3s_rootless.service.unit.pending_changes import Part
from k3s_rootless.service.unit.seal import author

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3s_rootless.cluster.facts import Credentials, Kubeconfig, Node, Readiness
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState, Usage

_NO_COMMAND = Unknown("the k3s binary of the unit is not known")


@dataclass(frozen=True, slots=True)
class UnitFiles:
    """The unit and its drop-ins, and the release that the unit was written for."""

    version: Version | None
    files: tuple[Part, ...]


def files(context: Context, state: UnitState | None) -> UnitFiles:
    """Read the unit and its drop-ins; without a `state`, the unit that `up` writes."""
    if state is None:
        paths = [context.paths.user_units / UNIT]
    elif state.in_foreground:
        paths = []  # systemd writes the file of a transient unit
    else:
        paths = [path for path in (state.fragment, *state.drop_ins) if path is not None]
    found = []
    release = None
    for path in paths:
        file = unit_files.or_problem(path)
        if file.problem:
            found.append(Part(path, None, None, file.problem))
        elif file.text is None:
            found.append(Part(path, None, None, f"`{path}` does not exist"))
        else:
            if not found:
                release = version.parse(unit.written_for(file.text) or "")
            found.append(Part(path, file.written, author(file.text)))
    return UnitFiles(release, tuple(found))


def credentials(
    load: Callable[[], Kubeconfig], state: UnitState | None, settings: Settings, uid: int
) -> Credentials:
    """Return the credentials in the kubeconfig of this start, or else those in K3s's own data.

    Raises RootlessError.
    """
    try:
        found = load()
        if state is None or not found.is_older_than(state.started):
            return found
        unusable = RootlessError(f"{found.path} is older than this start of K3s")
    except RootlessError as error:
        unusable = error
    try:
        return access.credentials(settings.data, settings.https_port, uid=uid)
    except RootlessError:
        raise unusable from None


def binary_changed(state: UnitState | None) -> Observed[datetime]:
    """Return when the k3s of the unit, or a link to it, was last replaced."""
    if state is None or not state.argv:
        return _NO_COMMAND
    binary = Path(state.argv[0])
    try:
        times = (binary.lstat().st_ctime, binary.stat().st_ctime)
    except OSError as error:
        return Unknown(f"{binary}: {(error.strerror or str(error)).lower()}")
    return Known(datetime.fromtimestamp(max(times), UTC), str(binary))


def installed(
    context: Context, state: UnitState | None, found: Observed[UnitFiles], seconds: float
) -> Observed[str]:
    """Return the release that the unit would start.

    If the k3s is older than the unit, this is the release that the unit was written for; otherwise,
    it is the release that k3s prints.
    """
    if state is None or not state.argv:
        return _NO_COMMAND
    binary = Path(state.argv[0])
    changed = binary_changed(state)
    if isinstance(changed, Unknown):
        return changed
    if isinstance(found, Known) and found.value.version is not None:
        written = found.value
        if pending_changes.unchanged(changed.value, written.files):
            source = f"{binary} is older than the unit, which was written for it"
            return Known(str(written.version), source)
    return _printed(context, binary, seconds)


def _printed(context: Context, binary: Path, seconds: float) -> Observed[str]:
    """Return the release that k3s prints."""
    # Imported here: k3s is run on few hosts only, and the probe takes 14 ms to load.
    from k3s_rootless.preflight.probes import host

    risk = trust.risk(binary)
    if risk:
        return Unknown(f"{binary} was not run: {risk}")
    search = {"PATH": str(binary.parent)}
    found = host.k3s_binary(search, "", context.paths.home, seconds=seconds)
    if found.path is None or not Path(found.path).samefile(binary):
        return Unknown(f"the unit starts {binary}, which is not named k3s")
    if isinstance(found.version, Known):
        return Known(str(found.version.value), found.version.source)
    return found.version or Unknown("k3s printed no version")


def variables(context: Context, state: UnitState) -> Observed[tuple[str, ...]]:
    """Return the variables that differ between the running K3s and its next start.

    Raises RootlessError.
    """
    manager = context.manager_environment()
    if state.environment_files:
        # Imported here: few units have such files, and the code that reads them takes 3 ms to load.
        from k3s_rootless.operations.environment import reading

        return reading.pending(manager, state)
    running = process.started_with(state.main_pid, state.invocation)
    if isinstance(running, Unknown):
        return running
    return Known(pending.differing(manager, state, running.value), running.source)


def kit(
    state: UnitState | None,
    settings: Settings,
    release: Version | None,
    uid: int,
    seconds: float,
) -> Kit:
    """Query rootlesskit, with a time limit of `seconds` for each call. Raises RootlessError."""
    candidates = sockets(settings, release, uid=uid)
    peer = client.live_peer(candidates, uid=uid, timeout=seconds)
    forwards = client.forwards(peer, seconds)
    child = 0
    if state is None:
        # systemd reports the control group; without systemd, the processes of K3s show it.
        child = client.child_pid(peer, None)
    return Kit(peer.socket, child, forwards)


def used(state: UnitState | None, found: Observed[Kit]) -> Usage:
    """Return the resources that K3s uses.

    Without a `state`, the control group is that of rootlesskit's child.
    """
    if state is not None:
        return usage.of(state, state.control_group)
    if isinstance(found, Known):
        return usage.of(None, usage.group_of(found.value.child_pid, UNIT))
    return usage.of(None, "")


def reached(
    state: UnitState | None,
    settings: Settings,
    found: Observed[Kit],
    nodes: Observed[tuple[Node, ...]],
) -> tuple[Milestone, ...]:
    """Return the milestones of the last start, from its files and its node.

    The journal is not read, because that may take seconds.
    """
    if state is None or state.started is None:
        return ()
    started = state.started
    where = settings.rootlesskit_state
    if isinstance(found, Known):
        where = found.value.socket.parent
    found_milestones = [Milestone(phases.STARTED, started, "systemd: ExecMainStartTimestamp")]
    found_milestones += traces.of_files(where, settings.kubeconfig, started)
    found_milestones.append(traces.of_node(nodes, started))
    return milestones.ordered(found_milestones)


def certificates(
    kubeconfig: Observed[Kubeconfig], ready: Observed[Readiness]
) -> tuple[Certificate, ...]:
    """Return the certificates that were found.

    These are the client certificate in the kubeconfig, and the certificate that the API server
    sent.
    """
    found = []
    if isinstance(kubeconfig, Known):
        found.append(_certificate("client", kubeconfig.value.certificate))
    if isinstance(ready, Known) and ready.value.certificate:
        found.append(_certificate("server", ready.value.certificate))
    return tuple(found)


def _certificate(owner: str, content: bytes) -> Certificate:
    try:
        return Certificate(owner, Known(validity.until(content), "notAfter"))
    except RootlessError as error:
        return Certificate(owner, Unknown(error.message))
