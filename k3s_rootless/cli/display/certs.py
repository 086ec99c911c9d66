"""Show the certificates of K3s, and the results of their rotation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from k3s_rootless.cluster.certificates.records import Condition
from k3s_rootless.k3s.certificates import Renewal
from k3s_rootless.operations.certificates import authorities, listing, rotate

if TYPE_CHECKING:
    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.cluster.certificates.records import Certificate
    from k3s_rootless.operations.certificates.authorities import Plan as AuthorityPlan
    from k3s_rootless.operations.certificates.authorities import Replaced
    from k3s_rootless.operations.certificates.listing import Listed
    from k3s_rootless.operations.certificates.rotate import Plan, Rotated

_HEAD = ("FILE", "SUBJECT", "ENDS", "STATE", "RENEWED BY", "USE")
_TOP = "server/tls/"
_NEW_AUTHORITIES = "k3s-rootless certs rotate-ca --path DIRECTORY"
_RENEWALS = {
    Renewal.EACH_START: "each start",
    Renewal.NEVER: "certs rotate-ca",
    Renewal.UNKNOWN: "-",
}


def show_list(report: Report, listed: Listed) -> None:
    """Print a table of the certificates, and what must be done."""
    rows = [
        (
            one.name.removeprefix(_TOP),
            one.fields.subject,
            f"{one.fields.ends:%Y-%m-%d}",
            one.condition.value.replace("-", " "),
            _renewal(one),
            one.purpose.use,
        )
        for one in listed.certificates
    ]
    if rows:
        report.table(_HEAD, rows, spare=("SUBJECT",), prose="USE")
        report.answer()
    for line in _remarks(listed):
        report.answer(line)
    for name, reason in listed.problems:
        report.problem(f"{name}: {reason}", None)
    report.document(listing.document(listed))


def _renewal(one: Certificate) -> str:
    if one.renewed_from is None:
        return _RENEWALS.get(one.purpose.renewal, "-")
    day = f"{one.renewed_from:%Y-%m-%d}"
    if one.purpose.renewal is Renewal.RUNNING:
        return f"running K3s from {day}"
    return f"start from {day}"


def _remarks(listed: Listed) -> Iterator[str]:
    if not listed.certificates and not listed.problems:
        yield f"K3s has not created certificates in {listed.data} yet"
        return
    release = listed.release or "this K3s"
    yield f"{release} renews certificates at a start within {listed.days} days of their end"
    if listed.due:
        names = ", ".join(one.name.removeprefix(_TOP) for one in listed.due)
        command = "k3s-rootless restart" if listed.running else "k3s-rootless up"
        yield f"to renew now: {names}; renew them with: {command}"
    yield from _remarks_on_authorities(listed)
    if listed.backups:
        count = len(listed.backups)
        yield f"copies of earlier certificates: {count}, the newest in {listed.backups[-1]}"


def _remarks_on_authorities(listed: Listed) -> Iterator[str]:
    for one in listed.due_authorities:
        word = "has expired" if one.condition is Condition.EXPIRED else "ends"
        yield (
            f"the authority {one.name.removeprefix(_TOP)} ({one.fields.subject}) {word} on"
            f" {one.fields.ends:%Y-%m-%d}; replace it with: {_NEW_AUTHORITIES}"
        )
    for name in listed.keyless:
        key = name.removesuffix(".crt")
        yield (
            f"the authority {name.removeprefix(_TOP)} cannot sign: {key}.key cannot be read; K3s"
            f" cannot renew its certificates. Restore the key, or: {_NEW_AUTHORITIES}"
        )


def show_plan(report: Report, plan: Plan) -> None:
    """Print the steps of a rotation."""
    _show_steps(report, rotate.described(plan))
    report.document(rotate.document(plan, None))


def show_rotated(report: Report, rotated: Rotated) -> None:
    """Print the files with new certificates, and where the earlier ones are."""
    if rotated.plan.running:
        _show_renewed(report, rotated.renewed)
    else:
        report.answer("K3s issues new certificates at its next start: k3s-rootless up")
    if rotated.backup is not None:
        report.answer(f"the earlier certificates and keys are in {rotated.backup}")
    report.document(rotate.document(rotated.plan, rotated))


def show_authorities(report: Report, plan: AuthorityPlan) -> None:
    """Print the steps of a replacement, and what is wrong with the new authorities."""
    _show_steps(report, authorities.described(plan))
    for problem in plan.problems:
        report.answer(f"problem: {problem}")
    report.document(authorities.document(plan, None))


def show_replaced(report: Report, done: Replaced) -> None:
    """Print the files with new certificates."""
    _show_renewed(report, done.renewed)
    report.document(authorities.document(done.plan, done))


def _show_steps(report: Report, steps: tuple[str, ...]) -> None:
    for number, line in enumerate(steps, 1):
        report.answer(f"{number}. {line}")


def _show_renewed(report: Report, names: tuple[str, ...]) -> None:
    noun = "certificate"
    if len(names) != 1:
        noun = "certificates"
    report.answer(f"K3s is ready with {len(names)} new {noun}")
    for name in names:
        report.answer(f"  {name.removeprefix(_TOP)}")
