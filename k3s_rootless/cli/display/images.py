"""Show the results of the commands for images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless import byte_size
from k3s_rootless.operations.images import document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.node.images.facts import Image
    from k3s_rootless.operations.images.load import Imported
    from k3s_rootless.operations.images.preload import Preloaded
    from k3s_rootless.operations.images.prune import Pruned

_LISTED_USERS = 3


def show_list(report: Report, found: Sequence[Image]) -> None:
    """Print a table of images, one row a name, with what keeps each of them."""
    rows = [
        (name, byte_size.text(one.size), _kept(one))
        for one in found
        for name in one.names or (one.id,)
    ]
    if rows:
        report.table(("IMAGE", "SIZE", "KEPT BY"), rows, prose="KEPT BY")
    else:
        report.answer("no images")
    report.document(document.of_images(found))


def show_imported(report: Report, imported: Imported) -> None:
    """Print the names by which Pods can use the images."""
    for name in imported.names:
        report.answer(f"imported {name}")
    if report.json_for is None:
        for warning in imported.warnings:
            report.notice(f"warning: {warning}")
    report.document(document.of_imported(imported))


def show_preloaded(report: Report, preloaded: Preloaded) -> None:
    """Print where the archive is, and when K3s imports it."""
    when = "at its next start"
    if preloaded.at_once:
        when = "now, and at each start"
    if preloaded.changed:
        report.answer(f"K3s imports {preloaded.path} {when}")
    else:
        report.answer(f"nothing to do: {preloaded.path} is the same archive")
    for name in preloaded.names:
        report.answer(f"contains {name}")
    report.document(document.of_preloaded(preloaded))


def show_pruned(report: Report, pruned: Pruned) -> None:
    """Print what was removed, and the bytes that were freed."""
    verb = "would remove" if pruned.dry_run else "removed"
    for image in pruned.removed:
        report.answer(f"{verb} {image.text} ({byte_size.text(image.size)})")
    if not pruned.removed and not pruned.problems:
        report.answer("nothing to remove")
    if report.json_for is None:
        for problem in pruned.problems:
            report.problem(problem, None)
    report.document(document.of_pruned(pruned))


def _kept(image: Image) -> str:
    reasons = []
    if image.pinned:
        reasons.append("pinned")
    if image.preloaded:
        reasons.append("preloaded")
    reasons += image.used_by[:_LISTED_USERS]
    more = len(image.used_by) - _LISTED_USERS
    if more > 0:
        reasons.append(f"{more} more")
    return ", ".join(reasons) or "-"
