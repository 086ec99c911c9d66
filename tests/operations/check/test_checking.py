"""Tests that a host is read and judged, with and without a user manager."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from k3s_rootless.errors import PreflightFailed, UsageError
from k3s_rootless.finding import Finding, Verdict
from k3s_rootless.observation import Known
from k3s_rootless.operations.check import checking
from k3s_rootless.operations.check.checking import Checked
from k3s_rootless.paths import UNIT
from tests.fakes.session import PROJECT, Session, as_user, session
from tests.operations.check.hosts import UID, context
from tests.preflight.trees import write

USER = 65534 if os.getuid() == 0 else os.getuid()


@pytest.fixture
def bus(dbus_daemon: None) -> Iterator[Session]:
    """Yield a private bus with the fake user manager of an ordinary user."""
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-") as name:
        Path(name).chmod(0o755)
        with session(Path(name) / "session", USER) as opened:
            yield opened


def found_by_user(bus: Session, *ids: str) -> dict[str, Finding]:
    """Return the findings of a process of an ordinary user, since root has no user manager."""
    program = (
        "import pickle, sys\n"
        "from k3s_rootless.operations.check import checking\n"
        "from k3s_rootless.operations.context import Context\n"
        "found = checking.findings(Context.of(), sys.argv[1:])\n"
        "sys.stdout.buffer.write(pickle.dumps(found))"
    )
    run = subprocess.run(
        [*as_user(USER), sys.executable, "-c", program, *ids],
        env={"PATH": os.defpath, "XDG_RUNTIME_DIR": str(bus.runtime)},
        cwd=PROJECT,
        capture_output=True,
        check=True,
    )
    return {one.check: one for one in pickle.loads(run.stdout)}  # noqa: S301 (our own process)


def finding(check: str, verdict: Verdict) -> Finding:
    return Finding(check, check, verdict, "seen")


def test_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PreflightFailed, match="as root"):
        checking.check(context(tmp_path, uid=0))


@pytest.mark.parametrize(("ids", "ignored"), [(["xyzzy"], []), ([], ["xyzzy"])])
def test_unknown_ids_are_refused(tmp_path: Path, ids: list[str], ignored: list[str]) -> None:
    with pytest.raises(UsageError, match="xyzzy"):
        checking.check(context(tmp_path, uid=UID), ids, ignored)
    with pytest.raises(UsageError, match="xyzzy"):
        checking.begin(context(tmp_path, uid=UID), [*ids, *ignored])


def test_selected_checks_are_not_a_complete_result(tmp_path: Path) -> None:
    write(tmp_path / "etc/resolv.conf", "nameserver 192.0.2.1\n")
    here = context(tmp_path, uid=UID)

    some = checking.check(here, ["net.resolver"])
    every = checking.check(here)

    assert (False, ["net.resolver"]) == (some.complete, [one.check for one in some.findings])
    assert every.complete
    assert some.error is None
    assert every.error is not None
    assert some.findings[0] in every.findings


def test_without_a_session_the_unit_is_unknown_with_the_reason(tmp_path: Path) -> None:
    (found,) = checking.findings(context(tmp_path, uid=UID), ["unit.state"])

    assert Verdict.UNKNOWN is found.verdict
    assert "has no session" in found.reason


def test_the_unit_is_read_from_the_user_manager(bus: Session) -> None:
    (bus.units / UNIT).write_text("[Service]\nExecStart=/usr/bin/k3s server --rootless\n")

    found = found_by_user(bus, "systemd.user", "unit.state")

    assert "257.13-1~deb13u1" in found["systemd.user"].observed
    assert Verdict.UNKNOWN is not found["unit.state"].verdict


def test_if_the_user_manager_exits_only_its_own_facts_are_unknown(bus: Session) -> None:
    bus.order(exit_at_call=2)

    found = found_by_user(bus, "unit.state", "kernel.release", "systemd.user")

    assert Verdict.UNKNOWN is found["unit.state"].verdict
    assert Verdict.PASS is found["kernel.release"].verdict


def test_probing_that_was_begun_can_be_finished_and_judged(tmp_path: Path) -> None:
    probing = checking.begin(context(tmp_path, uid=UID), ["cgroup"])

    facts, _ = probing.finish(None, "there is none")

    assert UID == facts.uid
    assert ["user.nonroot"] == [one.check for one in checking.judge(facts, ["user.nonroot"])]
    assert isinstance(facts.sysctls["net.ipv4.ip_forward"], Known)


def test_a_result_counts_ignored_problems_and_warnings() -> None:
    checked = Checked(
        (
            finding("net.route", Verdict.FAIL),
            finding("storage.room", Verdict.UNKNOWN),
            finding("host.clock", Verdict.WARN),
            finding("net.mtu", Verdict.WARN),
            finding("host.wsl", Verdict.PASS),
        ),
        ("net", "storage", "env"),
    )

    assert checked.error is None
    assert 1 == checked.warnings
    assert ("net.route", "storage.room") == checked.ignored_problems
    assert ("net", "storage") == checked.effective_ignored
