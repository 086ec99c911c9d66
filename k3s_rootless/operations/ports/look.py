"""One look at all ports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context
    from k3s_rootless.ports.facts import PortMap, Sources
    from k3s_rootless.service.facts import UnitState


def look(
    context: Context, *, everything: bool = False, probe: bool = False
) -> tuple[PortMap, Sources]:
    """Ask all sources and join them. Raises NotRunning, RootlessError."""
    from k3s_rootless.operations.ports import sources as ports_sources

    start = ports_sources.started(context, _state(context))
    sources = ports_sources.ask(start, everything=everything)
    found = ports_sources.joined(sources, start, everything=everything)
    return (ports_sources.probed(found) if probe else found), sources


def _state(context: Context) -> UnitState:
    from k3s_rootless import background
    from k3s_rootless import command as programs
    from k3s_rootless.paths import UNIT

    asked = background.begin(lambda: context.unit(UNIT))
    try:
        # Meanwhile another process works for us: all that the answer will take is loaded here, and
        # not when it has come.
        from k3s_rootless.operations.ports import sources as ports_sources

        ports_sources.prepare()
        return asked.result()
    except KeyboardInterrupt:
        # The program that asks has a context of its own, which the terminal's interrupt does not
        # reach.
        programs.end_all()
        raise


def document(context: Context) -> dict[str, Any]:
    """Give the answer as JSON has it; says nothing. Raises NotRunning, RootlessError."""
    from k3s_rootless.operations.ports import document as ports_document
    from k3s_rootless.operations.ports import sources as ports_sources

    found, _ = look(context)
    return ports_document.document(found, found.rows, ports_sources.addresses())
