"""The answer of `ports` as JSON has it (docs/reference/schemas/ports-v1.json); keys are only ever
added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from k3s_rootless.ports.rules import advice

if TYPE_CHECKING:
    from k3s_rootless.linux.facts import Address
    from k3s_rootless.observation import Observed
    from k3s_rootless.ports.facts import Exposure, PortMap


def document(
    found: PortMap, rows: Sequence[Exposure], addresses: Observed[tuple[Address, ...]]
) -> dict[str, Any]:
    """Give the document for the rows that were asked for."""
    from k3s_rootless.observation import Known

    known = addresses.value if isinstance(addresses, Known) else None
    counsel = advice.keep_the_network_out(rows)
    return {
        "ports": [port(row, known) for row in rows],
        "internal_services": found.internal,
        "addresses": known
        and [
            {"address": one.text, "interface": one.interface or None, "loopback": one.loopback}
            for one in known
        ],
        "exposed": len(advice.exposed(rows)),
        "advice": counsel
        and {"text": counsel.text, "commands": list(counsel.commands), "undo": counsel.undo},
        "starting": found.starting,
        "unknown_sources": [
            {"source": name, "reason": reason} for name, reason in blind(found, addresses)
        ],
        "errors": [],
    }


def blind(found: PortMap, addresses: Observed[tuple[Address, ...]]) -> tuple[tuple[str, str], ...]:
    """Give the sources that could not be asked, and why."""
    from k3s_rootless.observation import Unknown

    more = (("addresses", addresses.reason),) if isinstance(addresses, Unknown) else ()
    return (*found.blind, *more)


def port(row: Exposure, addresses: Sequence[Address] | None) -> dict[str, Any]:
    """Give one row; `addresses` are those of this host, None when they are not known."""
    reachable = (
        [one.text for one in advice.reachable(row, addresses)]
        if row.forwarded and addresses is not None
        else None
    )
    holder, probe = row.holder, row.probe
    return {
        "protocol": row.proto,
        "parent_ip": row.parent_ip or None,
        "parent_port": row.parent_port,
        "child_port": row.child_port,
        "offset": row.offset,
        "kind": row.kind.value,
        "namespace": row.namespace or None,
        "service": row.service or None,
        "port_name": row.port_name or None,
        "target": row.target or None,
        "forwarded": row.forwarded,
        "listening": row.listening,
        "listens_on": list(row.listens_on),
        "reachable_at": reachable,
        "inside": row.inside,
        "status": row.status.value,
        "verdict": row.verdict.value,
        "reason": row.reason,
        "holder": holder
        and {
            "uid": holder.uid,
            "user": holder.user or None,
            "pid": holder.pid,
            "program": holder.program or None,
            "unit": holder.unit or None,
            "address": holder.address or None,
        },
        "rivals": list(row.rivals),
        "url": row.url if advice.is_reached(row) else None,
        "url_guess": (row.url_guess or None) if advice.is_reached(row) else None,
        "probe": probe
        and {"answered": probe.well, "said": probe.said, "milliseconds": probe.milliseconds},
        "explanation": row.explanation,
    }
