from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k3s_rootless.observation import Known, Unknown
from k3s_rootless.preflight.facts import CgroupMode, RuntimeDirectory
from k3s_rootless.preflight.probes import host, subids
from tests.patience import PATIENCE
from tests.preflight.trees import write

FORWARD, CLONE, LIMIT = host.SYSCTLS[:3]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can set this up")


def run_python(code: str) -> str:
    """Run code in a separate interpreter, because it would change this one."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout.strip()


def as_overflow_user(code: str) -> str:
    # Imported first: the checkout can be below a directory that only root can enter.
    become = "os.setgroups([]); os.setgid(65534); os.setuid(65534)"
    return run_python(
        f"import os\nfrom k3s_rootless.preflight.probes import host as probes\n{become}\n{code}"
    )


def test_sysctls_are_read_without_the_newline(tmp_path: Path) -> None:
    path = write(tmp_path / "proc/sys/net/ipv4/ip_forward", "1\n")
    write(tmp_path / "proc/sys/user/max_user_namespaces", "63432\n")

    found = host.sysctls(tmp_path)

    assert {key: found[key] for key in (FORWARD, CLONE, LIMIT)} == {
        FORWARD: Known("1", str(path)),
        CLONE: Known(None, str(tmp_path / "proc/sys/kernel/unprivileged_userns_clone")),
        LIMIT: Known("63432", str(tmp_path / "proc/sys/user/max_user_namespaces")),
    }


def test_sysctls_that_are_not_text_do_not_stop_the_probe(tmp_path: Path) -> None:
    write(tmp_path / "proc/sys/net/ipv4/ip_forward", b"\xff1\n")
    (tmp_path / "proc/sys/kernel/unprivileged_userns_clone").mkdir(parents=True)
    (tmp_path / "proc/sys/user").symlink_to("user")

    found = host.sysctls(tmp_path)

    assert found[FORWARD] == Known("\ufffd1", str(tmp_path / "proc/sys/net/ipv4/ip_forward"))
    assert [type(found[CLONE]), type(found[LIMIT])] == [Unknown, Unknown]


@needs_root
def test_an_unreadable_file_is_unknown(tmp_path: Path) -> None:
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o755)
    write(tmp_path / "proc/sys/net/ipv4/ip_forward", "1\n", 0o600)
    write(tmp_path / "etc/subuid", "nobody:1:2\n", 0o600)

    output = as_overflow_user(
        "from pathlib import Path\nfrom k3s_rootless.preflight.probes import subids\n"
        f"root = Path({str(tmp_path)!r})\nprint(probes.sysctls(root)['net.ipv4.ip_forward'])\n"
        "print(subids.of_user('subuid', root, 'nobody', 65534))"
    )

    assert ["Unknown", "Unknown"] == [line.split("(")[0] for line in output.splitlines()]
    assert 2 == output.count("Permission denied")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary() | st.text().map(lambda text: f"alice:{text}".encode("utf-8", "replace")))
def test_no_content_stops_the_readers(tmp_path: Path, content: bytes) -> None:
    for name in ("etc/subuid", "etc/os-release", "proc/sys/net/ipv4/ip_forward"):
        write(tmp_path / name, content)

    assert isinstance(subids.of_user("subuid", tmp_path, "alice", 1000), Known)
    assert isinstance(host.sysctls(tmp_path)[FORWARD], Known)
    assert host.distribution(tmp_path) == host.distribution(tmp_path).strip()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("ID=debian\n", "debian"),
        ('NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n', "ubuntu debian"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "rocky rhel centos fedora"),
        ("# ID=arch\nID='opensuse-leap'\nID_LIKE='suse opensuse'\n", "opensuse-leap suse opensuse"),
        ('ID="debian" \r\n', "debian"),
        ("ID_LIKE=debian\n", "debian"),
        ("NAME=Anything\nVERSION_ID=13\n", ""),
        ("ID\n=\nID=a=b\n", "a=b"),
        ("", ""),
        (b"ID=debian\nNAME=\xff\n", "debian"),
    ],
    ids=[
        "plain",
        "like",
        "quoted",
        "single quotes",
        "blanks",
        "like only",
        "no id",
        "junk",
        "empty",
        "no UTF-8",
    ],
)
def test_the_distribution_is_read_from_os_release(
    tmp_path: Path, content: str | bytes, expected: str
) -> None:
    write(tmp_path / "etc/os-release", content)

    assert expected == host.distribution(tmp_path)


def test_the_second_os_release_is_read_if_the_first_does_not_exist(tmp_path: Path) -> None:
    assert "" == host.distribution(tmp_path)

    write(tmp_path / "usr/lib/os-release", "ID=fedora\n")
    assert "fedora" == host.distribution(tmp_path)

    write(tmp_path / "etc/os-release", "ID=debian\n")
    assert "debian" == host.distribution(tmp_path)


def test_systemd_has_booted_if_its_directory_exists(tmp_path: Path) -> None:
    assert not host.systemd_booted(tmp_path)
    write(tmp_path / "run/systemd/system", "")
    assert not host.systemd_booted(tmp_path)
    (tmp_path / "run/systemd/system").unlink()
    (tmp_path / "run/systemd/system").mkdir()
    assert host.systemd_booted(tmp_path)


def test_the_cgroup_version_of_this_machine_is_read() -> None:
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text("utf-8").splitlines()]
    types = {fields[1]: fields[2] for fields in mounts}
    expected = {"cgroup2": CgroupMode.UNIFIED, "tmpfs": CgroupMode.LEGACY}.get(
        types.get("/sys/fs/cgroup", ""), CgroupMode.ABSENT
    )
    if expected is CgroupMode.LEGACY and types.get("/sys/fs/cgroup/unified") == "cgroup2":
        expected = CgroupMode.HYBRID

    assert host.cgroup_mode(Path("/")) == Known(expected, "statfs /sys/fs/cgroup")


def test_a_root_without_a_cgroup_file_system_has_no_cgroups(tmp_path: Path) -> None:
    assert host.cgroup_mode(tmp_path) == Known(CgroupMode.ABSENT, str(tmp_path / "sys/fs/cgroup"))


def test_a_tmpfs_without_cgroup_v2_is_cgroup_v1_only(tmp_path: Path) -> None:
    (tmp_path / "sys/fs").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup").symlink_to("/dev/shm")

    assert host.cgroup_mode(tmp_path) == Known(
        CgroupMode.LEGACY, f"statfs {tmp_path}/sys/fs/cgroup"
    )


def test_another_file_system_at_the_cgroup_mount_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "sys/fs").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup").symlink_to("/proc")

    found = host.cgroup_mode(tmp_path)

    assert isinstance(found, Unknown)
    assert "0x9fa0" in found.reason


def test_the_runtime_directory_is_read(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    path = str(tmp_path)
    expected = RuntimeDirectory(path, given=True, exists=True, owner=os.getuid(), mode=0o700)

    assert expected == host.runtime_directory({"XDG_RUNTIME_DIR": path}, tmp_path)
    assert expected == host.runtime_directory({"XDG_RUNTIME_DIR": f"{path}/"}, tmp_path)


@pytest.mark.parametrize(
    "environ",
    [{}, {"XDG_RUNTIME_DIR": ""}, {"XDG_RUNTIME_DIR": "run"}],
    ids=["unset", "empty", "relative"],
)
def test_without_xdg_runtime_dir_the_directory_is_derived(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    assert not host.runtime_directory(environ, tmp_path).given


@pytest.mark.parametrize("kind", ["missing", "file", "socket", "loop", "long"])
def test_a_file_is_no_runtime_directory(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("x" * 300 if kind == "long" else kind)
    if kind == "file":
        path.write_text("")
    elif kind == "loop":
        path.symlink_to(kind)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))

    assert not host.runtime_directory({}, path).exists
