"""The JSON documents of the commands for containerd. Secrets are never in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3s_rootless.node.containerd.facts import Part
    from k3s_rootless.operations.containerd.check import Checked, Problem
    from k3s_rootless.operations.containerd.edit import Edited
    from k3s_rootless.operations.containerd.runtime_class import Written
    from k3s_rootless.operations.containerd.show import Shown


def of_shown(shown: Shown) -> dict[str, Any]:
    """Return the document of `containerd show`."""
    return {
        "directory": str(shown.directory),
        "rendered": shown.rendered,
        "files": _files(shown.parts),
        "settings": [
            {
                "key": row.key,
                "value": row.value,
                "origin": row.origin,
                "path": str(row.path),
                "overridden": [str(one) for one in row.overridden],
            }
            for row in shown.rows
        ],
        "newer": [str(one) for one in shown.newer],
        "errors": [],
    }


def of_checked(checked: Checked) -> dict[str, Any]:
    """Return the document of `containerd check`."""
    return {
        "directory": str(checked.directory),
        "good": checked.good,
        "validated": checked.validated,
        "files": _files(checked.parts),
        "problems": [_problem(one) for one in checked.problems],
        "unknown": list(checked.unknown),
        "log": str(checked.log),
        "log_lines": list(checked.lines),
        "errors": [],
    }


def of_edited(edited: Edited) -> dict[str, Any]:
    """Return the document of `containerd edit`."""
    return {
        "path": str(edited.path),
        "changed": edited.changed,
        "removed": edited.removed,
        "validated": edited.validated,
        "problems": [_problem(one) for one in edited.problems],
        "restart_needed": edited.restart_needed or None,
        "errors": [],
    }


def of_written(written: Written) -> dict[str, Any]:
    """Return the document of `containerd runtime-class`."""
    return {
        "path": str(written.path),
        "name": written.name,
        "manifest": written.manifest,
        "changed": written.changed,
        "dry_run": written.dry_run,
        "errors": [],
    }


def _files(parts: Iterable[Part]) -> list[dict[str, Any]]:
    return [
        {
            "path": str(one.file.path),
            "role": one.role.value,
            "read": one.read,
            "reason": one.reason,
        }
        for one in parts
    ]


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "path": str(problem.path),
        "line": problem.row,
        "text": problem.text,
        "fatal": problem.fatal,
    }
