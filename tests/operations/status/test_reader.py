"""Tests that a check of K3s queries all sources concurrently.

A source that does not answer affects only its own part.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.backup import record as records
from k3s_rootless.backup.facts import Phase, Record
from k3s_rootless.cluster.kubeconfig import read as kubeconfigs
from k3s_rootless.errors import BusError, NotRunning, PreflightFailed
from k3s_rootless.observation import Known, Unknown, value_or
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.kubeconfig import merge
from k3s_rootless.operations.status import reader
from k3s_rootless.operations.status.model import Missing, Snapshot
from k3s_rootless.operations.status.reader import Reader
from k3s_rootless.paths import UNIT, Paths
from tests.operations.status.k3s import AGE, INVOCATION, RELEASE, K3s
from tests.ports import peers

SECONDS = 20.0
"""Time limit that is enough for each query on any machine."""
SOON = 0.5
"""Time limit of queries that hang."""


def read(k3s: K3s, seconds: float = SECONDS) -> Snapshot:
    return Reader(k3s.context, seconds=seconds).read()


def test_all_parts_of_a_ready_k3s_are_known(k3s: K3s) -> None:
    k3s.runs()
    with k3s.rootlesskit(), k3s.api():
        found = read(k3s)

    assert (0, "ready", None) == (found.code, found.overall_state, found.missing)
    assert {"environment"} == {part for part, _ in found.unknown}, found.unknown
    assert RELEASE == str(found.version) == found.running_release
    assert Known(RELEASE, f"{k3s.binary} --version") == found.installed
    assert found.node is not None
    assert "host" == found.node.name
    assert isinstance(found.kit, Known)
    assert 5 == len(found.kit.value.forwards)
    assert isinstance(found.lingers, Known)
    assert found.lingers.value
    assert ((), ()) == (found.pending, found.drift)
    assert ["client", "server"] == [one.owner for one in found.certificates]
    assert all(isinstance(one.until, Known) for one in found.certificates)
    assert (None, None, None) == (found.period, found.cause, found.loop)


def test_an_unfinished_restore_is_read(k3s: K3s) -> None:
    record = k3s.context.paths.transaction
    records.save(record, Record(Phase.PLACED, Path("/a"), ()))

    found = value_or(read(k3s).unfinished, None)

    assert found
    assert "the restore of `/a` is not finished" in found.problem
    assert ["finish", "undo"] == [does for does, _ in found.commands]
    record.write_text("junk")
    assert "unfinished work" in {part for part, _ in read(k3s).unknown}


def test_a_stale_copy_of_the_kubeconfig_is_pending(k3s: K3s) -> None:
    context, config = k3s.context, k3s.kubeconfig.with_name("config")
    context = replace(context, environ={"KUBECONFIG": str(config)})
    k3s.runs()
    with k3s.rootlesskit(), k3s.api():
        found = kubeconfigs.load(k3s.kubeconfig, uid=context.uid)
        merge.merge_from(context, merge.Request(), found, lambda _: None)
        assert () == read(k3s).pending

        k3s.cluster.write(k3s.kubeconfig, "https://127.0.0.1:1")
        (pending,) = read(k3s).pending

    assert "merge" == pending.what
    assert f"{config} has other certificates or another server" in pending.cause
    assert f"k3s-rootless kubeconfig merge --into {config}" == pending.command


def test_the_phases_of_a_start_are_read_from_its_files(k3s: K3s) -> None:
    k3s.runs()
    with k3s.rootlesskit(), k3s.api():
        found = read(k3s)

    names = [
        "started by systemd",
        "child namespace made",
        "rootlesskit's API socket",
        "kubeconfig written",
        "node ready",
    ]
    assert sorted(names) == sorted(one.name for one in found.milestones)
    assert all(one.time is not None for one in found.milestones)


def test_a_stopped_k3s_is_not_queried(k3s: K3s) -> None:
    with k3s.rootlesskit() as rootlesskit, k3s.api() as server:
        found = read(k3s)

    assert (3, "not running", None) == (found.code, found.overall_state, found.missing)
    assert ([], []) == (rootlesskit.requested, server.requested)
    not_running = Unknown("K3s is not running")
    assert {not_running} == {found.kit, found.ready, found.nodes, found.variables}
    assert () == found.unknown


@pytest.mark.parametrize("masked", [False, True])
def test_a_unit_that_does_not_exist_is_an_error(k3s: K3s, *, masked: bool) -> None:
    k3s.bus.reset()
    if masked:
        k3s.unit.symlink_to("/dev/null")

    with pytest.raises(NotRunning, match="masked" if masked else "not installed"):
        read(k3s)


def test_root_has_no_k3s(tmp_path: Path) -> None:
    context = Context(Paths(tmp_path, tmp_path, tmp_path, tmp_path), {}, 0, "root")

    with pytest.raises(PreflightFailed, match="as root"):
        Reader(context, seconds=SECONDS).read()


def test_all_other_parts_are_known_without_the_user_manager(k3s: K3s) -> None:
    k3s.bus.kill_bus()
    with k3s.rootlesskit(), k3s.api():
        found = read(k3s)

    assert (1, "unknown", None) == (found.code, found.overall_state, found.state)
    assert isinstance(found.problem, BusError)
    assert isinstance(found.kit, Known)
    assert 5173 == found.kit.value.child_pid
    assert found.missing is None
    assert "unit" in dict(found.unknown)


def test_a_silent_user_manager_does_not_block_a_check(k3s: K3s) -> None:
    k3s.bus.order(mute=["GetAll", "LoadUnit"])

    found = read(k3s, SOON)

    assert found.problem is not None
    assert "no answer within" in found.problem.message
    assert found.problem.hint is not None


@pytest.mark.parametrize("behaviour", [peers.silent, peers.rubbish, peers.half])
def test_a_silent_rootlesskit_affects_only_its_own_part(
    k3s: K3s, behaviour: peers.Behaviour
) -> None:
    k3s.runs()
    with k3s.rootlesskit() as rootlesskit, k3s.api():
        rootlesskit.behaviour = behaviour
        found = read(k3s, SOON if behaviour is peers.silent else SECONDS)

    assert isinstance(found.kit, Unknown)
    assert "child namespace and API socket" == (found.missing or Missing("", "")).phase
    assert isinstance(found.kubeconfig, Known)
    assert (4, "running, not ready") == (found.code, found.overall_state)


def test_an_api_server_that_is_not_ready_is_the_missing_phase(k3s: K3s) -> None:
    k3s.runs()
    failing = b"[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n"
    with k3s.rootlesskit(), k3s.api(readyz=(500, failing)):
        found = read(k3s)

    assert Missing("API server ready", "the API server is not ready: etcd") == found.missing


def test_a_node_that_is_not_ready_has_a_reason(k3s: K3s) -> None:
    k3s.runs()
    with k3s.rootlesskit(), k3s.api(ready="False"):
        found = read(k3s)

    assert Missing("node ready", "node host: the network is not ready") == found.missing
    assert found.ready_node is None


def test_a_kubeconfig_of_an_earlier_start_is_not_used(k3s: K3s) -> None:
    k3s.runs()
    with k3s.rootlesskit(), k3s.api() as server:
        old = time.time() - 2 * AGE
        os.utime(k3s.kubeconfig, (old, old))
        found = read(k3s)

    assert [] == server.requested
    assert found.stale_kubeconfig
    reason = f"{k3s.kubeconfig} is older than this start of K3s"
    assert Missing("kubeconfig of this start", reason) == found.missing
    assert Unknown(reason) == found.ready == found.nodes


def test_a_kubeconfig_that_does_not_exist_is_reported(k3s: K3s) -> None:
    k3s.runs()
    with k3s.rootlesskit():
        found = read(k3s)

    assert isinstance(found.kubeconfig, Unknown)
    assert str(k3s.kubeconfig) in found.kubeconfig.reason
    assert () == found.certificates


def test_the_connection_is_kept_between_checks(k3s: K3s) -> None:
    k3s.runs()
    repeated = Reader(k3s.context, seconds=SECONDS)
    with k3s.rootlesskit(), k3s.api() as server:
        first = repeated.read()
        second = repeated.read()
        requests = len(server.requested)

    assert "ready" == first.overall_state == second.overall_state
    assert 4 == requests
    assert first.time < second.time


def test_k3s_is_run_again_only_if_the_binary_changed(k3s: K3s) -> None:
    ran = k3s.place / "ran"
    ran.touch()
    k3s.binary.write_text(f"#!/bin/sh\necho x >> {ran}\necho 'k3s version {RELEASE} (0123abcd)'\n")
    repeated = Reader(k3s.context, seconds=SECONDS)
    first, second = repeated.read(), repeated.read()
    assert 1 == len(ran.read_text().splitlines())
    assert first.installed == second.installed

    k3s.install("v1.34.1+k3s1")
    third = repeated.read()

    assert isinstance(third.installed, Known)
    assert "v1.34.1+k3s1" == third.installed.value
    assert ["up"] == [one.what for one in third.pending]


def test_a_binary_that_other_users_can_write_is_not_run(k3s: K3s) -> None:
    k3s.binary.chmod(0o777)

    found = read(k3s)

    assert isinstance(found.installed, Unknown)
    assert "was not run" in found.installed.reason


def test_a_program_with_another_name_is_not_run(k3s: K3s) -> None:
    other = k3s.binary.with_name("other")
    shutil.copy(k3s.binary, other)
    k3s.write_unit(f"[Service]\nExecStart={other} server --rootless\n")
    k3s.is_("inactive", "dead", ExecStart=argv(other))

    found = read(k3s)

    assert Unknown(f"the unit starts {other}, which is not named k3s") == found.installed
    assert (f"`{k3s.unit}` was not written by k3s-rootless",) == found.drift


def argv(program: Path) -> tuple[str, list[object]]:
    argv = [str(program), "server", "--rootless"]
    return "a(sasbttttuii)", [[argv[0], argv, False, 0, 0, 0, 0, 0, 0, 0]]


def test_a_binary_older_than_its_unit_is_not_run(k3s: K3s) -> None:
    k3s.binary.write_text("#!/bin/sh\nexit 1\n")
    k3s.write_unit(k3s.unit.read_text(), age=-10)

    found = read(k3s)

    assert isinstance(found.installed, Known)
    assert RELEASE == found.installed.value
    assert "is older than the unit" in found.installed.source


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", Known(())), ("10.42.0.0/16", Known(("K3S_ROOTLESS_CIDR",)))],
)
def test_the_environment_of_the_process_is_compared(
    k3s: K3s, value: str, expected: Known[tuple[str, ...]]
) -> None:
    given = {"INVOCATION_ID": INVOCATION, "HOME": "/home/alice", "PATH": "/usr/local/bin:/usr/bin"}
    if value:
        given["K3S_ROOTLESS_CIDR"] = value
    program = "print(flush=True); import time; time.sleep(600)"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, env=given, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        k3s.runs(MainPID=("u", process.pid))
        found = read(k3s)
        process.kill()

    assert isinstance(found.variables, Known)
    assert expected.value == found.variables.value
    assert bool(value) == any(one.what == "restart" for one in found.pending)


def test_a_failure_is_shown_with_its_cause(k3s: K3s) -> None:
    k3s.says('level=fatal msg="failed to find cpuset cgroup (v2)"')
    k3s.is_("failed", "failed", Result=("s", "exit-code"), NRestarts=("u", 3))

    found = read(k3s)

    assert (1, "failed") == (found.code, found.overall_state)
    assert found.failure_cause is not None
    assert "cgroup-controller" == found.failure_cause.id
    assert found.loop is not None
    assert (3, True) == (found.loop.restarts, found.loop.over)


def test_a_k3s_that_never_becomes_ready_has_a_cause(k3s: K3s) -> None:
    k3s.says('level=error msg="Failed to ping database connection: file is not a database"')
    k3s.runs()

    found = read(k3s)

    assert found.failure_cause is not None
    assert ("datastore-damaged", False) == (found.failure_cause.id, found.failure_cause.earlier)


def test_log_lines_that_arrive_late_are_read(k3s: K3s) -> None:
    k3s.says("level=info msg=hello")
    now = ("t", int(time.time() * 1e6))
    k3s.is_("failed", "failed", StateChangeTimestamp=now)
    repeated = Reader(k3s.context, seconds=SECONDS)
    first = repeated.read()
    k3s.is_("failed", "failed")
    k3s.says('level=fatal msg="failed to find cpuset cgroup (v2)"')
    second = repeated.read()

    assert first.failure_cause is None
    assert second.failure_cause is not None


def test_the_journal_is_read_once_for_each_failure(k3s: K3s) -> None:
    calls = k3s.paths.home / "calls"
    with (k3s.place / "bin/journalctl").open("a") as program:
        program.write(f"echo x >> {calls}\n")
    k3s.is_("failed", "failed", NRestarts=("u", 2))
    repeated = Reader(k3s.context, seconds=SECONDS)

    first = repeated.read()
    count = len(calls.read_text())
    assert first.cause == repeated.read().cause
    assert count == len(calls.read_text())
    k3s.is_("failed", "failed", NRestarts=("u", 3))
    repeated.read()
    assert count < len(calls.read_text())


def test_a_journal_that_hangs_affects_only_its_own_part(k3s: K3s) -> None:
    fifo = k3s.place / "fifo"
    os.mkfifo(fifo)
    (k3s.place / "bin/journalctl").write_text(f"#!/bin/sh\ncat {fifo}\n")
    k3s.is_("failed", "failed")

    found = read(k3s, SOON)
    fifo.write_text("")

    assert {"restarts", "cause"} == {part for part, _ in found.unknown}
    assert Unknown("the journal did not answer in time") == found.cause
    assert (1, None) == (found.code, found.failure_cause)


def test_the_time_limit_has_bounds() -> None:
    assert reader.SECONDS <= reader.patience() <= reader.MOST_SECONDS


def test_the_unit_can_come_from_another_query(k3s: K3s) -> None:
    k3s.is_("deactivating", "stop-sigterm")
    state = k3s.context.unit(UNIT)
    k3s.bus.kill_bus()

    found = Reader(k3s.context, lambda: state, seconds=SECONDS).read()

    assert (state, 3) == (found.state, found.code)
