"""Show the registries of registries.yaml, and what they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.operations.registries import document

if TYPE_CHECKING:
    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.node.registries.facts import Config
    from k3s_rootless.operations.registries.change import Changed
    from k3s_rootless.operations.registries.check import Checked
    from k3s_rootless.operations.registries.show import Shown

_NOT_RUNNING = 3


def show_list(report: Report, shown: Shown) -> None:
    """Print a table of the registries, the problems, and the path of the file."""
    rows = [
        (
            row.name,
            ", ".join(one.url for one in row.endpoints) or "-",
            _credentials(row.config),
            _tls(row.config),
        )
        for row in shown.rows
    ]
    if rows:
        report.table(("REGISTRY", "ENDPOINTS", "CREDENTIALS", "TLS"), rows, prose="ENDPOINTS")
    _show_file(report, shown)
    report.document(document.of_shown(shown))


def show_checked(report: Report, checked: Checked) -> int:
    """Print what each endpoint answered; return the exit code."""
    rows = [
        (one.endpoint.registry, one.endpoint.url, one.reply.state.value, one.reply.detail)
        for one in checked.results
    ]
    if rows:
        report.table(("REGISTRY", "ENDPOINT", "STATE", "DETAIL"), rows, prose="DETAIL")
    for one in checked.results:
        for at, line in enumerate(one.advice):
            start = f"{one.endpoint.url}: " if at == 0 else "- "
            report.answer(f"{start}{line}", hang=2)
    _show_file(report, checked.shown)
    if checked.not_requested:
        report.answer(checked.not_requested)
    report.document(document.of_checked(checked))
    if not checked.good:
        return 1
    return _NOT_RUNNING if checked.not_requested else 0


def show_changed(report: Report, changed: Changed) -> None:
    """Print what was changed, and what a restart is required for."""
    would = "would change" if changed.dry_run else "changed"
    if changed.changed:
        report.answer(f"{would} {changed.path}")
        for line in changed.changes:
            report.answer(f"  {line}")
    else:
        report.answer(f"nothing to do: {changed.path} is as requested")
    if changed.restart_needed and not changed.dry_run:
        report.answer(
            f"restart required: {changed.restart_needed}; apply it with: k3s-rootless restart"
        )
    report.document(document.of_changed(changed))


def _show_file(report: Report, shown: Shown) -> None:
    for problem in shown.found.problems:
        place = f"line {problem.line}: " if problem.line is not None else ""
        effect = "warning"
        if problem.fatal:
            effect = "error, K3s does not become ready"
        report.answer(f"{effect}: {place}{problem.text}")
    if not shown.exists:
        report.answer(f"no registries are configured: {shown.path} does not exist")
        return
    where = str(shown.path)
    if shown.inside != where:
        where = f"{where} ({shown.inside} in K3s's namespaces)"
    report.answer(f"file: {where}")
    if shown.restart_needed:
        report.answer(
            f"restart required: {shown.restart_needed}; apply it with: k3s-rootless restart"
        )


def _credentials(config: Config) -> str:
    credentials = config.credentials
    parts = []
    if credentials.username:
        parts.append(credentials.username)
    if credentials.password:
        parts.append("password hidden")
    if credentials.identity:
        parts.append("token hidden")
    return ", ".join(parts) or "-"


def _tls(config: Config) -> str:
    tls = config.tls
    parts = [f"ca_file {tls.authority}"] if tls.authority else []
    if tls.certificate:
        parts.append(f"cert_file {tls.certificate}")
    if tls.skip_verify:
        parts.append("not verified")
    return ", ".join(parts) or "-"
