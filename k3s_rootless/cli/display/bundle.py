"""Show the content of a bundle, and the parts that are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless import byte_size
from k3s_rootless.operations.bundle import create

if TYPE_CHECKING:
    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.operations.bundle.create import Created
    from k3s_rootless.operations.bundle.gather import Bundle


def show(report: Report, created: Created) -> None:
    """Show the written file, or the list of its possible content, and the missing parts."""
    bundle = created.bundle
    if created.path is None:
        rows = [
            (item.name, str(len(item.text.encode("utf-8", "replace"))), item.what)
            for item in bundle.items
        ]
        report.table(("FILE", "BYTES", "CONTENT"), rows, prose="CONTENT")
    else:
        removed = bundle.about["redacted_total"]
        size = byte_size.text(created.size)
        report.answer(f"wrote {created.path} ({size}; {removed} secrets removed)")
    _show_missing(report, bundle)
    if created.path is not None:
        report.notice("Review the archive before you share it")
    report.document(create.document(created))


def _show_missing(report: Report, bundle: Bundle) -> None:
    for item in bundle.items:
        if item.problem:
            report.notice(f"{item.name} is incomplete: {item.problem}")
    for one in bundle.missing:
        report.notice(f"{one.name} is missing: {one.reason}")
    if bundle.about["secrets_note"]:
        report.notice(bundle.about["secrets_note"])
