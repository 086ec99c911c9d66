"""Tests of the changes that are pending, by the snapshot."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from k3s_rootless.cluster.certificates.facts import End, Ends
from k3s_rootless.k3s.version import parse
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations.status import pending
from k3s_rootless.operations.status.model import Snapshot
from k3s_rootless.service.drop_ins import drop_in, environment
from k3s_rootless.service.unit.pending_changes import Pending
from tests.operations.status.records import (
    LOST,
    NODE,
    NOW,
    READY,
    RELEASE,
    SILENT,
    START,
    STATE,
    part,
    snapshot_with,
    stopped,
)

NEW = part(Path("/u/d/20-new.conf"), timedelta(minutes=1))
OURS = part(Path("/u/d") / drop_in.name(environment.SUBJECT), timedelta(minutes=1))
RESTART = "k3s-rootless restart"
WRITTEN = Pending(
    "restart", "the running K3s was started before `/u/d/20-new.conf` was written", RESTART
)
OURS_WRITTEN = Pending(
    "restart", f"the running K3s was started before `{OURS.path}` was written", RESTART
)
VARIABLE = Pending("restart", "A changed after K3s was started", RESTART)
REMOVED = Pending("restart", "the unit or a drop-in changed after K3s was started", RESTART)
RELOAD = Pending(
    "reload", "the unit changed after systemd read it", "systemctl --user daemon-reload"
)
OUTDATED = Pending("restart", "`c` changed after K3s was started", RESTART)
UNREAD = Pending("restart", "the running K3s was started before `r` was written", RESTART)
UP = Pending(
    "up",
    f"the unit was written for K3s {RELEASE}, but v1.34.1+k3s1 is installed",
    "k3s-rootless up",
)
RUNS = Pending(
    "restart",
    f"K3s {RELEASE} is running, but v1.34.1+k3s1 is installed",
    "k3s-rootless up --restart",
)
NEWER = Known("v1.34.1+k3s1")


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        (READY, []),
        (snapshot_with(files=Known((part(), NEW))), [WRITTEN]),
        (snapshot_with(files=Known((part(), OURS))), []),
        (snapshot_with(files=Known((part(), OURS)), variables=SILENT), [OURS_WRITTEN]),
        (snapshot_with(files=SILENT), []),
        (snapshot_with(variables=Known(("A",))), [VARIABLE]),
        (snapshot_with(settings=replace(READY.settings, outdated=OUTDATED.cause)), [OUTDATED]),
        (snapshot_with(node_files=UNREAD.cause), [UNREAD]),
        (snapshot_with(installed=NEWER), [RUNS]),
        (snapshot_with(installed=NEWER, nodes=SILENT), [UP]),
        (snapshot_with(installed=NEWER, nodes=SILENT, version=None), []),
        (snapshot_with(installed=SILENT, version=parse("v1.34.1+k3s1")), []),
        (snapshot_with(nodes=Known((replace(NODE, version=""),))), []),
        (stopped(installed=NEWER), [UP]),
        (stopped(files=Known((NEW,))), []),
        (snapshot_with(state=None, problem=LOST, files=Known((NEW,))), []),
    ],
)
def test_changes_that_are_not_in_effect(snapshot: Snapshot, expected: list[Pending]) -> None:
    assert expected == list(pending.of(snapshot, None, as_started=False))


def test_pending_changes_are_in_the_order_of_their_commands() -> None:
    snapshot = snapshot_with(
        state=replace(STATE, needs_reload=True), variables=Known(("A",)), installed=NEWER
    )

    found = pending.of(snapshot, None, as_started=False)

    runs = Pending("restart", "the running K3s was started before that change", RESTART)
    assert [RELOAD, VARIABLE, runs, RUNS] == list(found)


@pytest.mark.parametrize(
    ("snapshot", "changed", "expected"),
    [
        (READY, None, []),
        (READY, START - timedelta(seconds=5), []),
        (READY, NOW, [REMOVED]),
        (snapshot_with(state=replace(STATE, fragment=None)), NOW, []),
        (stopped(), NOW, []),
        (snapshot_with(files=Known((NEW,))), NOW, [WRITTEN]),
    ],
)
def test_a_removed_drop_in_is_pending(
    snapshot: Snapshot, changed: datetime | None, expected: list[Pending]
) -> None:
    assert expected == list(pending.of(snapshot, changed, as_started=False))


def test_reverted_files_are_not_pending() -> None:
    snapshot = snapshot_with(files=Known((NEW,)), variables=Known(("A",)))

    assert [VARIABLE] == list(pending.of(snapshot, NOW, as_started=True))
    assert [] == list(pending.of(snapshot_with(files=Known((NEW,))), NOW, as_started=True))


def ends(**days: int) -> Known[Ends]:
    """Return certificates that end in so many days, by the name of their file in server/tls."""
    names = {name: f"server/tls/{name.replace('_', '-')}.crt" for name in days}
    return Known(
        Ends(tuple(End(names[one], Known(NOW + timedelta(days=end))) for one, end in days.items()))
    )


@pytest.mark.parametrize(
    ("found", "release", "expected"),
    [
        (ends(client_admin=121, server_ca=366), "v1.33.1+k3s1", []),
        (ends(client_admin=119), "v1.33.1+k3s1", ["certificates"]),
        (ends(client_admin=119), "v1.33.0+k3s1", []),
        (ends(client_admin=89), "v1.33.0+k3s1", ["certificates"]),
        (ends(server_ca=364), "v1.33.1+k3s1", ["authorities"]),
        (ends(client_admin=-1, server_ca=-1), "v1.33.1+k3s1", ["certificates", "authorities"]),
        (Unknown("dark"), "v1.33.1+k3s1", []),
    ],
)
def test_certificates_near_their_ends_need_a_restart(
    found: Observed[Ends], release: str, expected: list[str]
) -> None:
    snapshot = snapshot_with(certificate_ends=found, version=parse(release))

    pendings = pending.of(snapshot, None, as_started=True)

    kinds = ("certificates", "authorities")
    assert expected == [one.what for one in pendings if one.what in kinds]


def test_the_first_end_and_the_number_of_certificates_are_named() -> None:
    found = ends(client_admin=10, client_scheduler=-3)

    (one,) = pending.of(snapshot_with(certificate_ends=found), None, as_started=True)

    day = f"{NOW - timedelta(days=3):%Y-%m-%d}"
    assert (
        Pending(
            "certificates",
            f"the certificate server/tls/client-scheduler.crt has ended on {day} (2 in all)",
            RESTART,
        )
        == one
    )


def test_certificates_that_were_rotated_while_k3s_runs_need_a_restart() -> None:
    note = Path("/d/server/tls/dynamic-cert-regenerate")

    (one,) = pending.of(
        snapshot_with(certificate_ends=Known(Ends((), note))), None, as_started=True
    )

    assert (RESTART, "restart") == (one.command, one.what)
    assert str(note) in one.cause
    assert () == pending.of(stopped(certificate_ends=Known(Ends((), note))), None, as_started=True)
