"""The JSON documents of `ports` and `ports plan`; new versions only add keys.

See docs/reference/schemas/ports-v2.json and the schema of `ports plan`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from k3s_rootless.observation import Unknown
from k3s_rootless.ports.facts import Status
from k3s_rootless.ports.rules import advice

if TYPE_CHECKING:
    from k3s_rootless.linux.facts import Address
    from k3s_rootless.operations.ports.answer import Answer
    from k3s_rootless.operations.ports.plan import Plan
    from k3s_rootless.operations.ports.watch import Turn
    from k3s_rootless.ports.facts import Exposure, Holder, Probe
    from k3s_rootless.ports.rules.advice import Advice

_PLANNED = (
    "protocol",
    "parent_port",
    "child_port",
    "offset",
    "kind",
    "namespace",
    "service",
    "port_name",
    "target",
    "verdict",
    "reason",
    "used_by",
    "conflicts_with",
    "url",
    "url_guess",
    "explanation",
)
"""The keys of a row in a plan: all that is known before K3s creates the forward."""


def document(answer: Answer) -> dict[str, Any]:
    """Return the document of one check."""
    here = _known_addresses(answer)
    return {
        "ports": [port(row, here) for row in answer.rows],
        "internal_services": answer.internal,
        "addresses": _addresses(here),
        "exposed": answer.exposed,
        "advice": _advice(answer.advice),
        "starting": answer.starting,
        "unknown_sources": _sources(answer.unread),
        "errors": [],
    }


def of_turn(turn: Turn) -> dict[str, Any]:
    """Return the document of one change in `ports --watch`."""
    here = _known_addresses(turn.answer)
    changes = [{"change": one.what.value, "port": port(one.row, here)} for one in turn.changes]
    time = turn.time.isoformat(timespec="milliseconds")
    return {"time": time, **document(turn.answer), "changes": changes}


def of_plan(plan: Plan) -> dict[str, Any]:
    """Return the document of `ports plan`."""
    return {
        "ports": [_planned(row) for row in plan.rows],
        "conflicts": plan.conflicts,
        "objects": plan.objects,
        "unknown_sources": _sources(plan.unread),
        "errors": [],
    }


def port(row: Exposure, addresses: Sequence[Address] | None) -> dict[str, Any]:
    """Return one row; `addresses` are those of this host, or None if they are not known."""
    reachable = None
    if row.forwarded and addresses is not None:
        reachable = [one.text for one in advice.reachable(row, addresses)]
    url, url_guess = _url(row)
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
        "parent_listening": row.parent_listening,
        "listens_on": list(row.listens_on),
        "reachable_at": reachable,
        "child_listening": row.child_listening,
        "status": row.status.value,
        "verdict": row.verdict.value,
        "reason": row.reason,
        "used_by": _owner(row.used_by),
        "conflicts_with": list(row.conflicts_with),
        "url": url,
        "url_guess": url_guess,
        "probe": _probe(row.probe),
        "explanation": row.explanation,
    }


def _planned(row: Exposure) -> dict[str, Any]:
    whole = port(row, None)
    status = row.status.value
    if row.status is Status.FORWARDED:
        status = "free"
    return {**{key: whole[key] for key in _PLANNED}, "status": status}


def _known_addresses(answer: Answer) -> Sequence[Address] | None:
    if isinstance(answer.addresses, Unknown):
        return None
    return answer.addresses.value


def _addresses(here: Sequence[Address] | None) -> list[dict[str, Any]] | None:
    if here is None:
        return None
    return [
        {"address": one.text, "interface": one.interface or None, "loopback": one.loopback}
        for one in here
    ]


def _advice(one: Advice | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {"text": one.text, "commands": list(one.commands), "undo": one.undo}


def _sources(unread: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"source": name, "reason": reason} for name, reason in unread]


def _url(row: Exposure) -> tuple[str | None, str | None]:
    if not row.is_reachable:
        return None, None
    return row.url, row.url_guess or None


def _owner(holder: Holder | None) -> dict[str, Any] | None:
    if holder is None:
        return None
    return {
        "uid": holder.uid,
        "user": holder.user or None,
        "pid": holder.pid,
        "program": holder.program or None,
        "unit": holder.unit or None,
        "address": holder.address or None,
    }


def _probe(probe: Probe | None) -> dict[str, Any] | None:
    if probe is None:
        return None
    return {"answered": probe.answered, "result": probe.result, "milliseconds": probe.milliseconds}
