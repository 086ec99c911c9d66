"""Show what occupies the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless import byte_size
from k3s_rootless.operations import disk_usage

if TYPE_CHECKING:
    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.operations.disk_usage import DiskUsage, Row


def show(report: Report, usage: DiskUsage) -> None:
    """Print a table of the parts, what is unknown, the sum, and the free space."""
    rows = [(one.part.name, _size(one), _command(one)) for one in usage.rows]
    report.table(("PART", "SIZE", "FREE IT WITH"), rows, prose="FREE IT WITH")
    report.answer()
    for one in usage.rows:
        if one.unknown:
            report.answer(f"unknown: {one.part.name}: {one.unknown}")
    size = byte_size.text(usage.size)
    if not usage.complete:
        size = f"at least {size}"
    report.answer(f"{size} in all")
    for system in usage.file_systems:
        report.answer(
            f"{byte_size.text(system.free)} of {byte_size.text(system.size)} are free on the file"
            f" system of {system.path}"
        )
    report.document(disk_usage.document(usage))


def _size(row: Row) -> str:
    if row.unknown:
        return f"at least {byte_size.text(row.size)}"
    return byte_size.text(row.size)


def _command(row: Row) -> str:
    if row.size or row.unknown:
        return row.part.command
    return "-"
