"""The JSON documents of `upgrade` and `rollback` (docs/reference/json.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k3s_rootless.operations.backup.transaction import Outcome
from k3s_rootless.printable import json_time

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.operations.upgrade import perform, plan, rollback
    from k3s_rootless.operations.upgrade.resume import Resumed


def of_plan(planned: plan.Plan) -> dict[str, Any]:
    """Return the document of `upgrade --dry-run`."""
    return _upgrade(planned, dry_run=True, changed=planned.switch is not None)


def of_upgrade(upgraded: perform.Upgraded) -> dict[str, Any]:
    """Return the document of `upgrade`."""
    found = _upgrade(upgraded.plan, dry_run=False, changed=upgraded.changed)
    return found | {
        "downtime": _rounded(upgraded.downtime),
        "backup": _text(upgraded.backup),
    }


def of_resumed(resumed: Resumed) -> dict[str, Any]:
    """Return the document of `upgrade --continue` and `upgrade --abort`."""
    ended = resumed.ended
    record, switch = ended.record, ended.record.switch
    failed = record.failed
    if failed is not None and not failed.exists():
        failed = None
    return {
        "dry_run": False,
        "changed": ended.outcome is Outcome.FINISHED,
        "outcome": ended.outcome.value,
        "from": switch and switch.before,
        "to": switch and switch.after,
        "changes": [],
        "expected_downtime": None,
        "downtime": _rounded(resumed.downtime),
        "backup": _text(resumed.backup),
        "failed_datastore": _text(failed),
        "errors": [],
    }


def of_rollback_plan(planned: rollback.Plan) -> dict[str, Any]:
    """Return the document of `rollback --dry-run`."""
    return _rollback(planned, dry_run=True, downtime=None)


def of_rollback(done: rollback.RolledBack) -> dict[str, Any]:
    """Return the document of `rollback`."""
    return _rollback(done.plan, dry_run=False, downtime=done.downtime)


def _upgrade(planned: plan.Plan, *, dry_run: bool, changed: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "changed": changed,
        "outcome": None,
        "from": planned.now.text,
        "to": planned.after,
        "changes": [{"subject": one.subject, "text": one.text} for one in planned.changes],
        "expected_downtime": _rounded(planned.downtime),
        "downtime": None,
        "backup": None,
        "failed_datastore": None,
        "errors": [],
    }


def _rollback(planned: rollback.Plan, *, dry_run: bool, downtime: float | None) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "from": planned.now.text,
        "to": planned.after,
        "backup": str(planned.backup.path),
        "created": json_time(planned.loss.since),
        "lost": {
            "writes": planned.loss.revisions,
            "objects": [
                {"resource": resource, "count": count}
                for resource, count in planned.loss.objects.items()
            ],
        },
        "downtime": _rounded(downtime),
        "errors": [],
    }


def _rounded(seconds: float | None) -> float | None:
    if seconds is None:
        return None
    return round(seconds, 1)


def _text(path: Path | None) -> str | None:
    if path is None:
        return None
    return str(path)
