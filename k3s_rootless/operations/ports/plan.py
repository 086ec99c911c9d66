"""Predict the host ports that manifests would get, before they are applied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.finding import Verdict
from k3s_rootless.observation import Unknown
from k3s_rootless.operations import server_settings
from k3s_rootless.operations.ports import sources
from k3s_rootless.ports.facts import Running
from k3s_rootless.ports.rules import prediction, remarks
from k3s_rootless.ports.sources.manifests import Manifests

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context
    from k3s_rootless.ports.facts import Exposure, Sources

_SOURCES = frozenset({"rootlesskit", "services", "sockets"})
"""The sources that a plan depends on."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The ports that `objects` of manifests would get, and the number of conflicts.

    `unread` contains the name and the reason of each source that could not be read.
    """

    rows: tuple[Exposure, ...]
    conflicts: int
    objects: int
    unread: tuple[tuple[str, str], ...]

    @property
    def exit_code(self) -> int:
        """The exit code: 1 if there are conflicts."""
        return min(self.conflicts, 1)

    @property
    def notices(self) -> tuple[str, ...]:
        """The lines about sources that could not be read."""
        return remarks.of_unread(self.unread)

    @property
    def notes(self) -> tuple[str, ...]:
        """The lines below the table."""
        return remarks.of_plan(self.rows)


def plan(context: Context, files: Sequence[str], namespace: str, standard_input: IO[bytes]) -> Plan:
    """Read manifests, `-` from `standard_input`, and return the ports that they would get.

    `namespace` is the default namespace of objects. Raises RootlessError for a file that cannot be
    read.
    """
    manifests = Manifests(namespace)
    for path in files:
        manifests.read(path, standard_input)
    observed, running = _read(context)
    rows = prediction.predict(manifests.services, manifests.pods, observed, running)
    conflicts = sum(row.verdict is Verdict.FAIL for row in rows)
    unread = tuple(one for one in observed.unread() if one[0] in _SOURCES)
    return Plan(rows, conflicts, manifests.objects, unread)


def _read(context: Context) -> tuple[Sources, Running]:
    """Read the sources; without a running K3s, the sockets of the host still show conflicts."""
    try:
        state = context.k3s_unit()
        start = sources.start_of(context, state)
        running = sources.running(start)
        if state.running:
            observed = sources.begin(start).result()
        else:
            observed = sources.without_k3s(sources.NOT_RUNNING, sources.read_host())
    except RootlessError as error:
        running = Running(server_settings.of_next_start(context, None), None, context.uid)
        observed = sources.without_k3s(error.message, sources.read_host())
    if isinstance(observed.listeners, Unknown):
        return observed, running
    # Any socket of the host can conflict with a Service that does not exist yet.
    return sources.with_owners(observed, observed.listeners.value, running), running
