"""Tests of the evidence for a cause on the host, with real files, devices and ports."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.finding import FixableBy
from k3s_rootless.journal.facts import Cause, Ending, StartLog
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.diagnose import evidence
from k3s_rootless.paths import UNIT, Paths
from k3s_rootless.service.facts import UnitState

STATE = UnitState(UNIT, "loaded", "failed", "failed", argv=("/usr/local/bin/k3s", "server"))
UID = os.getuid()


@pytest.fixture
def context(tmp_path: Path) -> Context:
    home = tmp_path / "home"
    home.mkdir()
    return Context(Paths(tmp_path, home, tmp_path / "run", home / ".config"), {}, UID, "alice")


def cause(identifier: str, title: str = "it broke", line: str = "", check: str = "") -> Cause:
    return Cause(identifier, check, title, line, None, None)


def seen(context: Context, found: Cause, state: UnitState = STATE) -> list[str]:
    return list(evidence.with_evidence(context, found, state).seen)


def with_path(*directories: Path) -> UnitState:
    return replace(STATE, environment={"PATH": os.pathsep.join(map(str, directories))})


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_cause_without_a_reader_has_no_evidence(context: Context) -> None:
    assert [] == seen(context, cause("unknown"))


def test_a_device_is_opened(context: Context) -> None:
    device = context.paths.root / "dev/net/tun"
    assert [f"{device}: no such file or directory"] == seen(context, cause("tun"))

    device.parent.mkdir(parents=True)
    device.touch()

    assert [f"{device} can be opened now"] == seen(context, cause("slirp4netns-failed"))


def test_a_program_is_searched_in_the_path_of_the_unit(context: Context, tmp_path: Path) -> None:
    found = program(tmp_path / "bin/slirp4netns")
    missing = tmp_path / "empty"

    assert [f"slirp4netns was found: {found}"] == seen(
        context, cause("slirp4netns-missing"), with_path(found.parent)
    )
    assert [f"slirp4netns was not found in the unit's PATH ({missing})"] == seen(
        context, cause("slirp4netns-missing"), with_path(missing)
    )


def test_fuse_needs_a_program_and_a_device(context: Context, tmp_path: Path) -> None:
    found = program(tmp_path / "bin/mount.fuse3")

    assert [
        f"mount.fuse3 was found: {found}",
        f"{tmp_path}/dev/fuse: no such file or directory",
    ] == seen(context, cause("snapshotter-fuse"), with_path(found.parent))


def test_the_log_of_containerd_shows_why_it_cannot_run_pods(context: Context) -> None:
    assert [] == seen(context, cause("containerd-plugin"))

    log = context.paths.data / "agent/containerd/containerd.log"
    log.parent.mkdir(parents=True)
    log.write_text(
        'time="2026-11-28T03:24:56Z" level=warning msg="failed to load plugin"'
        r' error="unable to load: \"tiny\": x509" id=io.containerd.grpc.v1.cri'
        "\n"
    )

    assert ['the log of containerd: unable to load: "tiny": x509'] == seen(
        context, cause("containerd-plugin")
    )


def test_drop_ins_are_listed(context: Context) -> None:
    state = replace(STATE, drop_ins=(Path("/a/10-x.conf"), Path("/b/20-y.conf")))
    named = "drop-ins of the unit: /a/10-x.conf, /b/20-y.conf"

    assert [named] == seen(context, cause("unit-broken"), state)
    assert ["the unit runs: /usr/local/bin/k3s server", named] == seen(
        context, cause("flag-unknown"), state
    )
    assert [] == seen(context, cause("unit-broken"))


@pytest.mark.parametrize(
    ("identifier", "name"),
    [
        ("cidr-invalid", "K3S_ROOTLESS_CIDR"),
        ("mtu-invalid", "K3S_ROOTLESS_MTU"),
        ("copyup-invalid", "K3S_ROOTLESS_COPYUPDIRS"),
        ("source-address", "K3S_ROOTLESS_PORT_DRIVER"),
    ],
)
def test_a_setting_of_the_unit_is_shown(context: Context, identifier: str, name: str) -> None:
    state = replace(STATE, environment={name: "x"})

    assert [f"the unit sets {name}=x"] == seen(context, cause(identifier), state)
    assert [] == seen(context, cause(identifier))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(0o644, " exists, but cannot be executed"), (0o755, " can be opened now")],
)
def test_the_program_of_the_unit_is_opened(
    context: Context, tmp_path: Path, mode: int, expected: str
) -> None:
    k3s = program(tmp_path / "bin/k3s")
    k3s.chmod(mode)
    state = replace(STATE, argv=(str(k3s), "server"))

    assert [f"{k3s}{expected}"] == seen(context, cause("exec-failed"), state)


def test_a_configuration_file_is_opened(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"

    assert [f"{path}: no such file or directory"] == seen(
        context, cause("config-unreadable", f"{path} cannot be read")
    )


@pytest.mark.parametrize(("switch", "count"), [("1", 1), ("0", 0), (None, 0)])
def test_apparmor_restrictions_are_reported(
    context: Context, switch: str | None, count: int
) -> None:
    path = context.paths.root / "proc/sys/kernel/apparmor_restrict_unprivileged_userns"
    if switch is not None:
        path.parent.mkdir(parents=True)
        path.write_text(f"{switch}\n")

    found = seen(context, cause("userns-forbidden"))

    assert count == len(found)
    assert count == sum("AppArmor" in line for line in found)


def test_the_owner_of_a_port_is_named(context: Context) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        line = f"listen tcp 127.0.0.1:{port}: bind: address already in use"
        (found,) = seen(context, cause("address-taken", line=line))

    assert found.startswith(f"port {port} is in use by ")
    assert str(os.getpid()) in found
    assert [f"port {port} of this host is not in use now"] == seen(
        context, cause("supervisor-port", line=line)
    )
    assert [] == seen(context, cause("address-taken", line="listen"))


def unwritable(path: Path) -> Cause:
    line = f'level=fatal msg="Error: open {path}: permission denied"'
    return cause("kubeconfig-unwritable", line=line)


@pytest.mark.skipif(UID != 0, reason="only root can give a file away")
def test_the_owner_of_the_kubeconfig_is_named(context: Context) -> None:
    directory = context.paths.home / ".kube"
    directory.mkdir()
    path = directory / "k3s.yaml"
    path.touch()
    os.chown(path, 4242, 4242)

    found = evidence.with_evidence(context, unwritable(path), STATE)

    assert (f"{directory} belongs to uid 0", f"{path} belongs to uid 4242") == found.seen


def test_a_path_outside_the_home_directory_has_no_fix(context: Context, tmp_path: Path) -> None:
    found = evidence.with_evidence(context, unwritable(tmp_path / "k3s.yaml"), STATE)

    assert (f"{tmp_path} belongs to uid {UID}",) == found.seen
    assert found.remedy is None


def test_a_drop_in_that_explains_the_cause_can_be_disabled(
    context: Context, tmp_path: Path
) -> None:
    path = tmp_path / "override.conf"
    path.write_text("[Service]\nExecStart=\nExecStart=/usr/local/bin/k3s server --no-such\n")
    ours = tmp_path / "50-k3s-rootless-environment.conf"
    ours.write_text("[Service]\nExecStart=/x\n")
    state = replace(STATE, drop_ins=(path, ours))

    found = evidence.with_evidence(context, cause("flag-unknown"), state)

    assert found.remedy is not None
    assert FixableBy.USER is found.remedy.fixable_by
    assert f"mv {path} {path}.off" == found.remedy.commands[0]


def test_a_check_of_the_host_adds_its_findings(context: Context) -> None:
    found = evidence.with_evidence(context, cause("tun", check="device.tun"), STATE)

    assert "device.tun" == found.check
    assert 1 < len(found.seen)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Mount a small file system in memory; skip the test without root."""
    place = tmp_path / "run"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=20", "tmpfs", place],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("mounting a file system needs root")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def of_this_host(context: Context) -> Context:
    """Return the context with the real root, which has the mounts."""
    return replace(context, paths=replace(context.paths, root=Path("/")))


def fill(place: Path) -> None:
    with (place / "large").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def use_up_inodes(place: Path) -> None:
    with suppress(OSError):
        for number in range(100):
            (place / f"{number}").touch()


@pytest.mark.parametrize("line", ["write {}/k3s/x: no space left on device", "no space left"])
@pytest.mark.parametrize(
    ("use_up", "lacks"),
    [(fill, "free space"), (use_up_inodes, "free inodes")],
    ids=["space", "inodes"],
)
def test_the_file_system_that_is_full_is_named(
    context: Context, small: Path, use_up: Callable[[Path], None], lacks: str, line: str
) -> None:
    """The line names it, or it is the one of K3s's places that is full now."""
    (small / "k3s").mkdir()
    use_up(small)
    full = cause("disk-full", "the disk is full", line.format(small), check="storage.space")

    found = evidence.with_evidence(of_this_host(context), full, STATE)

    assert f"the file system {small} (tmpfs) has no {lacks}" == found.title
    assert found.seen[0].startswith(f"{small}: ")
    assert found.remedy is not None
    assert "in memory" in found.remedy.text
    if use_up is fill:
        assert f"the largest entries: {small / 'large'} " in found.seen[1]


def test_a_full_disk_without_a_full_file_system_keeps_its_text(context: Context) -> None:
    full = cause("disk-full", "the disk is full", "write /nowhere/x: no space left on device")

    found = evidence.with_evidence(of_this_host(context), full, STATE)

    assert "the disk is full" == found.title


def test_a_certificate_that_expired_while_the_clock_is_right(context: Context) -> None:
    line = "x509: certificate has expired or is not yet valid: current time {} is {} {}"
    now, then = "2026-12-05T00:00:00Z", "2026-12-04T00:00:00Z"
    after, before = (
        replace(cause("clock", check="host.clock"), line=line.format(now, relation, then))
        for relation in ("after", "before")
    )

    found = [evidence.with_evidence(of_this_host(context), one, STATE) for one in (after, before)]

    assert ["certificate-expired", "clock"] == [one.id for one in found]


def test_a_survived_problem_that_the_host_refutes_gives_way_to_the_next(context: Context) -> None:
    """The limit is high enough now; the other problem has no check."""
    limit = context.paths.root / "proc/sys/fs/inotify/max_user_instances"
    limit.parent.mkdir(parents=True)
    limit.write_text("8192\n")
    used_up = replace(cause("inotify", check="sysctl.inotify_instances"), fatal=False)
    linger = replace(cause("linger-refused"), fatal=False)
    log = StartLog(used_up, (linger,))
    running = Ending("loaded", "active", "running")
    state = replace(STATE, active_state="active", sub_state="running")

    refuted = evidence.cause_of(context, log, state, running, ready=True)
    waiting = evidence.cause_of(context, log, state, running)

    assert refuted is not None
    assert "linger-refused" == refuted.id
    assert waiting is not None
    assert "inotify" == waiting.id
    assert evidence.cause_of(context, StartLog(used_up), state, running, ready=True) is None
