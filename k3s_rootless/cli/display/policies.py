"""Show NetworkPolicies, and the packets that they refuse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from k3s_rootless import schemas
from k3s_rootless.cluster.policies import log_rules
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.operations.policies import log, status
from k3s_rootless.printable import json_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from k3s_rootless.cli.display.report import Report

_WIDTH = max(len(one.value) for one in log.Verdict)
_COLUMNS = ("POLICY", "DIRECTION", "PODS", "LOGGED")


def show_status(report: Report, answer: status.Answer) -> None:
    """Print the state of the controller, and a table of the policies."""
    found = answer.controller
    report.answer(f"controller  {found.state.value}: {found.reason}")
    report.answer(f"ipset       {_sets(answer)}")
    report.answer(f"log         {_log(answer)}")
    if isinstance(answer.policies, Known):
        report.answer()
        _show_policies(report, answer.policies.value)
    report.document(status.document(answer))
    if report.json_for is None:
        for problem in answer.problems:
            report.problem(problem.message, problem.hint)


def _show_policies(report: Report, rows: tuple[status.Row, ...]) -> None:
    if not rows:
        report.answer("no NetworkPolicies")
        return
    cells = [
        (
            one.policy.text,
            ", ".join(sorted(direction.value for direction in one.policy.directions)),
            str(one.pods),
            _limit(one),
        )
        for one in rows
    ]
    report.table(_COLUMNS, cells, spare=("DIRECTION",))
    if report.json_for is None:
        for one in rows:
            why = log_rules.problem(one.policy)
            if why:
                report.notice(f"warning: K3s uses the default limits for {one.policy.text}: {why}")


def _limit(row: status.Row) -> str:
    limit, burst = log_rules.limit(row.policy)
    return f"{burst}, then {limit}"


def _sets(answer: status.Answer) -> str:
    sets = answer.sets
    if isinstance(sets, Unknown):
        return f"not usable: {sets.reason}"
    return f"usable; sets of K3s: {sets.value}"


def _log(answer: status.Answer) -> str:
    text = f"NFLOG group {log_rules.GROUP}; show it with: k3s-rootless policies log"
    if answer.named is False:
        return f"{text} (K3s {answer.release} does not log the names of policies)"
    return text


def log_lines(records: Iterable[log.Record], *, as_json: bool) -> Iterator[str | None]:
    """Yield each packet as text or as a JSON document, and None where no packet is waiting."""
    for record in records:
        if isinstance(record, log.CaughtUp):
            yield None
        elif as_json:
            head = {"schema": schemas.name("policies-log")}
            yield json_text(json.dumps({**head, **log.document(record)}, ensure_ascii=False))
        else:
            yield _text(record)


def _text(one: log.Logged) -> str:
    time = one.time.astimezone().strftime("%b %d %H:%M:%S")
    parts = [f"{time} {one.verdict.value:{_WIDTH}}", *_packet(one)]
    if one.named.policies:
        parts.append(f"policies: {', '.join(one.named.policies)}")
    if one.lost:
        parts.append(f"{one.lost} packets before it are lost")
    return "  ".join(parts)


def _packet(one: log.Logged) -> Iterator[str]:
    found = one.headers
    if found is None:
        yield "not an IP packet"
        return
    source = _end(one.named.source, found.source, found.source_port)
    destination = _end(one.named.destination, found.destination, found.destination_port)
    yield " ".join((found.protocol, *found.flags))
    yield f"{source} -> {destination}"


def _end(pod: str, address: str, port: int | None) -> str:
    text = f"[{address}]" if ":" in address else address
    if port is not None:
        text = f"{text}:{port}"
    return f"{pod} {text}".strip()
