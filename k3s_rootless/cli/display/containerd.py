"""Show the configuration of containerd, and the problems in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.operations.containerd import document

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.node.containerd.facts import Part
    from k3s_rootless.operations.containerd.check import Checked, Problem
    from k3s_rootless.operations.containerd.edit import Edited
    from k3s_rootless.operations.containerd.runtime_class import Written
    from k3s_rootless.operations.containerd.show import Shown

_RESTART = "apply it with: k3s-rootless restart"


def show(report: Report, shown: Shown, *, raw: bool) -> None:
    """Print a table of the settings with their files, or the rendered file."""
    report.document(document.of_shown(shown))
    if raw and shown.rendered:
        report.verbatim(shown.text.rstrip("\n"))
        return
    rows = [(row.key, row.value, row.origin) for row in shown.rows]
    if rows:
        report.table(("SETTING", "VALUE", "FROM"), rows, prose="VALUE")
        report.answer()
    for row in shown.rows:
        for path in row.overridden:
            report.answer(f"{row.key}: {row.origin} overrides {path.name}")
    _show_files(report, shown.parts)
    if not shown.rendered:
        report.answer(f"K3s has not rendered {shown.directory}/config.toml yet")
    for path in shown.newer:
        report.answer(f"restart required: {path} changed after the last start; {_RESTART}")


def show_checked(report: Report, checked: Checked) -> None:
    """Print the files, the problems, what is unknown, and the lines of the log."""
    _show_files(report, checked.parts)
    _show_problems(report, checked.problems)
    for text in checked.unknown:
        report.answer(f"unknown: {text}", hang=2)
    if checked.lines:
        report.answer(f"log of containerd ({checked.log}):")
    for line in checked.lines:
        report.answer(f"  {line}", hang=4)
    if checked.good:
        report.answer("no problem was found")
    report.document(document.of_checked(checked))


def show_edited(report: Report, edited: Edited) -> None:
    """Print what was changed, and what a restart is required for."""
    _show_problems(report, edited.problems)
    if not edited.changed:
        report.answer(f"nothing to do: {edited.path} was not changed")
    elif edited.removed:
        report.answer(f"removed {edited.path}")
    else:
        report.answer(f"wrote {edited.path}")
    if edited.changed and not edited.validated:
        report.answer(
            "K3s has not unpacked its containerd yet, so only the TOML syntax was checked; check it"
            " after the first start with: k3s-rootless containerd check"
        )
    if edited.restart_needed:
        report.answer(f"restart required: {edited.restart_needed}; {_RESTART}")
    report.document(document.of_edited(edited))


def show_written(report: Report, written: Written) -> None:
    """Print where the manifest is, and when K3s applies it."""
    when = "at its next start"
    if written.running:
        when = "within seconds"
    if written.dry_run:
        report.answer(f"would write {written.path}" if written.changed else "nothing to do")
        report.verbatim(written.manifest.rstrip())
    elif written.changed:
        report.answer(f"wrote {written.path}; K3s applies it {when}")
    else:
        report.answer(f"nothing to do: {written.path} is there")
    report.document(document.of_written(written))


def _show_files(report: Report, parts: Iterable[Part]) -> None:
    for one in parts:
        word = one.role.value
        if not one.read:
            word = f"{word}, not read"
        report.answer(f"{one.file.path} ({word}): {one.reason}", hang=2)


def _show_problems(report: Report, problems: Iterable[Problem]) -> None:
    for one in problems:
        severity = "error" if one.fatal else "warning"
        place = f", line {one.row}" if one.row is not None else ""
        report.answer(f"{severity}: {one.path}{place}: {one.text}", hang=2)
