"""Snapshots of `status` for tests: that of a ready K3s, with changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from k3s_rootless.backup.records import Age
from k3s_rootless.cluster.facts import Kubeconfig, Node, Readiness
from k3s_rootless.errors import BusError
from k3s_rootless.journal.facts import Cause
from k3s_rootless.k3s.version import parse
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.operations.backup.unfinished import Unfinished
from k3s_rootless.operations.readiness.milestones import Milestone
from k3s_rootless.operations.readiness.phases import STARTED
from k3s_rootless.operations.status.model import Certificate, Kit, Snapshot
from k3s_rootless.paths import UNIT
from k3s_rootless.rootlesskit.facts import Forward
from k3s_rootless.service.facts import UnitState, Usage
from k3s_rootless.service.unit.pending_changes import Part
from k3s_rootless.service.unit.seal import Author
from tests import server

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
START = NOW - timedelta(hours=2)
RELEASE = "v1.33.4+k3s1"
FRAGMENT = Path("/u/k3s-rootless.service")
STATE = UnitState(
    UNIT,
    "loaded",
    "active",
    "running",
    fragment=FRAGMENT,
    file_state="enabled",
    invocation="a" * 32,
    main_pid=77,
    argv=("/usr/local/bin/k3s", "server"),
    started=START,
    changed=START,
)
FAILED = replace(STATE, active_state="failed", sub_state="failed", result="exit-code")
RESTARTING = replace(STATE, active_state="activating", sub_state="auto-restart")
STOPPED = replace(STATE, active_state="inactive", sub_state="dead")
STOPPING = replace(STATE, active_state="deactivating", sub_state="stop-sigterm")
API = Forward("tcp", "", 6443, 6443, "")
NODE = Node("host", ready=True, version=RELEASE, since=START + timedelta(seconds=30))
UNREADY = Node("host", ready=False, version=RELEASE, reason="no network")
CAUSE = Cause("tun", "device.tun", "no /dev/net/tun", "level=fatal tun", NOW, None)
LOST = BusError("cannot query the user manager", hint="see")
SILENT = Unknown("it did not answer in time")
NOT_RUNNING = Unknown("K3s is not running")


def kubeconfig(modified: datetime = START, mode: int = 0o600) -> Known[Kubeconfig]:
    record = Kubeconfig(
        Path("/h/k3s.yaml"), "127.0.0.1", 6443, b"", b"", b"", "https://", modified, mode
    )
    return Known(record)


def kit(*forwards: Forward) -> Known[Kit]:
    return Known(Kit(Path("/s/api.sock"), 0, forwards))


def part(path: Path = FRAGMENT, age: timedelta = timedelta(days=1)) -> Part:
    return Part(path, NOW - age, Author.OURS)


READY = Snapshot(
    time=NOW,
    state=STATE,
    problem=None,
    settings=server.settings(),
    version=parse(RELEASE),
    files=Known((part(),)),
    installed=Known(RELEASE),
    variables=Known(()),
    kit=kit(API),
    kubeconfig=kubeconfig(),
    ready=Known(Readiness(ready=True)),
    nodes=Known((NODE,)),
    usage=Usage(memory=2**30, memory_peak=2**31, cpu=4.5),
    lingers=Known(value=True),
    unfinished=Known(None),
    backups=Known(Age(None, None)),
    period=None,
    cause=None,
    milestones=(
        Milestone(STARTED, START, "systemd"),
        Milestone("node ready", START + timedelta(seconds=30), "the node"),
    ),
    certificates=(Certificate("client", Known(NOW + timedelta(days=300))),),
)


UNFINISHED = Unfinished(
    "backup restore", "a restore is not finished", (("finish", "--continue"), ("undo", "--abort"))
)


def snapshot_with(**changes: Any) -> Snapshot:
    """Return the snapshot of a ready K3s, with these changes."""
    return replace(READY, **changes)


def stopped(**changes: Any) -> Snapshot:
    """Return the snapshot of a K3s that does not run."""
    nothing = {"kit": NOT_RUNNING, "ready": NOT_RUNNING, "nodes": NOT_RUNNING}
    return snapshot_with(**{"state": STOPPED, "variables": NOT_RUNNING, **nothing, **changes})


def failed(**changes: Any) -> Snapshot:
    """Return the snapshot of a K3s that failed."""
    return stopped(**{"state": FAILED, "period": Known(None), "cause": Known(CAUSE), **changes})
