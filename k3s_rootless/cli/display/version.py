"""Show the versions of k3s-rootless, K3s and systemd."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless import __version__
from k3s_rootless.operations import versions

if TYPE_CHECKING:
    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.operations.versions import Versions

_LABEL = 13
"""Columns before the text of a line."""


def show(report: Report, found: Versions) -> None:
    """Show the versions."""
    if report.json_for is not None:
        report.document(versions.document(found))
        return
    k3s, path = found.k3s or "unknown", found.k3s_path or "k3s was not found"
    systemd = found.systemd or "unknown (the user manager does not answer)"
    report.answer(f"k3s-rootless {__version__}")
    report.answer(f"k3s          {k3s} ({path})", hang=_LABEL)
    report.answer(f"systemd      {systemd}", hang=_LABEL)
