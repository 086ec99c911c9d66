"""Tests that each probe has its own thread and time limit, and fails alone."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.errors import RootlessError
from k3s_rootless.finding import Finding, Verdict
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.operations.check import selection
from k3s_rootless.operations.check.probing import Probing
from k3s_rootless.paths import UNIT
from k3s_rootless.preflight.facts import NOT_NEEDED, Facts
from k3s_rootless.preflight.probes.host import SYSCTLS
from k3s_rootless.service.systemd.user import UserManager
from tests.fakes.session import Session
from tests.operations.check.hosts import context
from tests.patience import PATIENCE
from tests.preflight.trees import write

SECONDS = 0.5


def findings(root: Path, *ids: str) -> dict[str, Finding]:
    probing = Probing(context(root), selection.needs(ids), seconds=SECONDS)
    facts, _ = probing.finish(None, "there is none")
    return {one.check: one for one in selection.judge(facts, ids)}


def hang(root: Path, file: str, fifos: list[Path]) -> None:
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    fifos.append(path)


def k3s(root: Path, script: str) -> dict[str, str]:
    """Install a k3s that runs this script, and return the environment that finds it."""
    write(root / "bin/k3s", f"#!/bin/sh\n{script}\n", 0o755)
    return {"PATH": str(root / "bin")}


@pytest.mark.parametrize(
    ("file", "hanging", "going_on"),
    [
        ("etc/resolv.conf", "net.resolver", "net.route"),
        ("proc/net/route", "net.route", "net.resolver"),
        ("proc/self/mountinfo", "host.hidepid", "net.resolver"),
        ("proc/sys/net/ipv4/ip_forward", "sysctl.ip_forward", "net.resolver"),
        ("etc/passwd", "subid.overlap", "net.resolver"),
        ("proc/modules", "kernel.vxlan", "net.resolver"),
        ("proc/self/cgroup", "session.caller", "net.resolver"),
    ],
)
def test_a_probe_that_hangs_is_unknown_in_time_and_the_others_continue(
    tmp_path: Path, fifos: list[Path], file: str, hanging: str, going_on: str
) -> None:
    """Reading a FIFO without a writer hangs, like reading a file on a server that is gone."""
    write(tmp_path / "etc/resolv.conf", "nameserver 192.0.2.1\n")
    write(tmp_path / "proc/net/fib_trie", "Main:\n")
    write(tmp_path / "proc/net/route", "Iface Destination\n")
    hang(tmp_path, file, fifos)
    begun = time.monotonic()

    found = findings(tmp_path, hanging, going_on)

    assert time.monotonic() - begun < PATIENCE
    assert found[hanging].verdict is Verdict.UNKNOWN
    assert "no answer within the time limit" in found[hanging].reason
    assert found[going_on].verdict is not Verdict.UNKNOWN


def test_a_probe_that_raises_is_unknown_alone(tmp_path: Path) -> None:
    """The memory in the file is not a number, which the probe does not expect."""
    write(tmp_path / "proc/meminfo", "MemAvailable: lots\n")
    write(tmp_path / "proc/self/mountinfo", "")
    write(tmp_path / "etc/resolv.conf", "nameserver 192.0.2.1\n")

    found = findings(tmp_path, "host.memory", "net.resolver")

    assert found["host.memory"].verdict is Verdict.UNKNOWN
    assert "ValueError" in found["host.memory"].reason
    assert found["net.resolver"].verdict is Verdict.PASS


def test_only_the_facts_that_a_check_needs_are_read(tmp_path: Path, fifos: list[Path]) -> None:
    """All other probes would hang on a file, so one check must not take longer."""
    for file in ("proc/net/fib_trie", "proc/modules", "etc/passwd", "proc/sys/net/ipv4/ip_forward"):
        hang(tmp_path, file, fifos)
    write(tmp_path / "etc/resolv.conf", "nameserver 192.0.2.1\n")
    begun, threads = time.monotonic(), threading.active_count()

    found = findings(tmp_path, "net.localhost")

    assert found["net.localhost"].verdict is Verdict.WARN
    assert time.monotonic() - begun < PATIENCE
    assert threading.active_count() <= threads + 1


def test_each_fact_that_a_check_needs_has_a_probe(tmp_path: Path) -> None:
    """With a misspelled name, the fact would always be unknown."""
    facts, _ = Probing(context(tmp_path)).finish(None, "there is none")

    assert [] == [one.name for one in fields(Facts) if getattr(facts, one.name) == NOT_NEEDED]


def test_facts_that_no_check_needs_are_not_read(tmp_path: Path) -> None:
    write(tmp_path / "etc/resolv.conf", "nameserver 192.0.2.1\n")

    facts, reach = Probing(context(tmp_path), frozenset({"resolver"})).finish(None, "none")

    assert isinstance(facts.resolver, Known)
    assert NOT_NEEDED == facts.k3s.version == facts.trial == facts.storage == reach.effective
    assert dict.fromkeys(SYSCTLS, NOT_NEEDED) == facts.sysctls
    assert Unknown("none") == facts.unit == facts.user_manager


def test_k3s_starts_before_the_user_manager_is_queried(tmp_path: Path) -> None:
    started = tmp_path / "started"
    environ = k3s(tmp_path, f"touch {started}; echo 'k3s version v1.36.3+k3s1 (01234567)'")
    probing = Probing(context(tmp_path, environ=environ), frozenset({"k3s"}))
    deadline = time.monotonic() + PATIENCE
    while not started.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert started.exists()

    facts, _ = probing.finish(None, "there is none")

    assert isinstance(facts.k3s.version, Known)
    assert "v1.36.3+k3s1" == str(facts.k3s.version.value)


def test_an_error_ends_k3s_and_the_trial(tmp_path: Path) -> None:
    environ = k3s(tmp_path, "sleep 600")
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    before = children.read_text().split()

    with pytest.raises(RootlessError), Probing(context(tmp_path, environ=environ)) as probing:
        raise RootlessError("the session is over")

    assert before == children.read_text().split()
    facts, _ = probing.finish(None, "there is none")
    assert isinstance(facts.k3s.version, Unknown)


def test_the_modules_needed_next_are_loaded_while_the_probes_run(
    tmp_path: Path, fifos: list[Path]
) -> None:
    hang(tmp_path, "etc/resolv.conf", fifos)
    loaded = threading.Event()
    probing = Probing(context(tmp_path), frozenset({"resolver"}), seconds=SECONDS)

    probing.finish(None, "there is none", load=loaded.set)

    assert loaded.is_set()


def test_a_second_finish_starts_no_probe_again(tmp_path: Path) -> None:
    """The user manager can die halfway; facts that were read until then stay."""
    write(tmp_path / "etc/resolv.conf", "nameserver 192.0.2.1\n")
    probing = Probing(context(tmp_path), frozenset({"resolver"}))
    first, _ = probing.finish(None, "there is none")
    (tmp_path / "etc/resolv.conf").unlink()

    second, _ = probing.finish(None, "there is none")

    assert first.resolver == second.resolver


def unit(bus: Session, text: str) -> None:
    (bus.units / UNIT).write_text(text)


def facts_of(bus: Session, root: Path, *needs: str, **options: Any) -> Facts:
    with UserManager({}, bus.runtime, os.getuid()) as manager:
        probing = Probing(context(root), frozenset(needs))
        facts, _ = probing.finish(manager, **options)
        return facts


def test_the_probes_of_the_unit_use_its_settings(bus: Session, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    unit(bus, f"[Service]\nExecStart=/usr/bin/k3s server --rootless --data-dir {data}\n")
    write(tmp_path / "proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n")

    facts = facts_of(bus, tmp_path, "unit", "storage", "user_manager")

    assert isinstance(facts.unit, Known)
    assert "loaded" == facts.unit.value.load_state
    assert "257.13-1~deb13u1" == getattr(facts.user_manager, "value", "")
    assert isinstance(facts.storage, Known)
    assert str(data) == facts.storage.value.data.path
    assert facts.storage.value.data.exists


def test_a_unit_that_systemd_refuses_to_show_is_unknown(bus: Session, tmp_path: Path) -> None:
    with UserManager({}, bus.runtime, os.getuid()) as manager:
        _ = manager.environment, manager.control_group
        bus.order(errors={"GetAll": ("org.freedesktop.DBus.Error.AccessDenied", "not yours")})
        facts, _ = Probing(context(tmp_path), frozenset({"unit"})).finish(manager)

    assert isinstance(facts.unit, Unknown)
    assert "not yours" in facts.unit.reason


def test_a_unit_that_was_read_just_now_is_not_queried_again(bus: Session, tmp_path: Path) -> None:
    unit(bus, "[Service]\nExecStart=/usr/bin/k3s server --rootless\n")
    with UserManager({}, bus.runtime, os.getuid()) as manager:
        state = manager.unit(UNIT)
        unit(bus, "[Service]\nExecStart=/usr/bin/k3s server --rootless --debug\n")
        manager.reload()
        facts, _ = Probing(context(tmp_path), frozenset({"unit"})).finish(manager, unit_state=state)

    assert isinstance(facts.unit, Known)
    assert state.argv == facts.unit.value.argv


def test_bad_values_of_the_environment_are_facts(bus: Session, tmp_path: Path) -> None:
    unit(bus, "[Service]\nEnvironment=NOTIFY_SOCKET=x\nExecStart=/usr/bin/k3s server --rootless\n")

    facts = facts_of(bus, tmp_path, "unit", "problems")

    assert isinstance(facts.problems, Known)
