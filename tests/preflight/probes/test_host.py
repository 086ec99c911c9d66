"""Tests of the probes of network, kernel, storage and neighbours.

Each probe reads a small tree and this machine.
"""

from __future__ import annotations

import fcntl
import gzip
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k3s_rootless.linux import mounts
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.preflight.probes import kernel, network, session, storage, subids
from k3s_rootless.preflight.records import Caller, Resolver
from tests.preflight.trees import write

ROOT = Path("/")
ANYWHERE = ".".join("0000")
# Output of Linux 6.12: a VPN in table 51, the main and the local table, a broadcast address, a
# default route.
TRIE = """Id 51:
  +-- 10.43.0.0/16 2 0 2
     |-- 10.43.0.0
        /16 link UNICAST
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.0
           /24 link UNICAST
Local:
  +-- 0.0.0.0/0 3 0 5
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.0
           /8 host LOCAL
     |-- 192.0.2.7
        /32 host LOCAL
     |-- 192.0.2.255
        /32 link BROADCAST
     |-- 203.0.113.0
        /24 universe UNREACHABLE
"""


def hexed(address: str) -> str:
    return f"{int.from_bytes(socket.inet_aton(address), sys.byteorder):08X}"


def routes(*rows: tuple[str, str, str, int]) -> str:
    head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    lines = (
        f"{name}\t{hexed(to)}\t00000000\t0001\t0\t0\t{metric}\t{hexed(mask)}\t0\t0\t0\n"
        for name, to, mask, metric in rows
    )
    return head + "".join(lines)


def test_routes_of_all_tables_and_addresses_are_found(tmp_path: Path) -> None:
    write(tmp_path / "proc/net/fib_trie", TRIE)
    default_routes = (("eth0", ANYWHERE, ANYWHERE, 100), ("wlan0", ANYWHERE, ANYWHERE, 20))
    write(
        tmp_path / "proc/net/route",
        routes(*default_routes, ("eth0", "192.0.2.0", "255.255.255.0", 100)),
    )
    six = (
        f"{'fd00' + 28 * '0'} 40 {32 * '0'} 00 {32 * '0'} 00000100 00000001 00000000 00000001"
        " eth0\n"
    )
    write(
        tmp_path / "proc/net/ipv6_route",
        six + six.replace(" 40 ", " 00 ", 1).replace("fd00", "0000", 1),
    )
    write(tmp_path / "sys/class/net/wlan0/mtu", "1420\n")

    found = network.network(tmp_path)

    assert isinstance(found, Known)
    assert (
        ("10.43.0.0/16", ""),
        ("192.0.2.0/24", "eth0"),
        ("192.0.2.7/32", ""),
        ("fd00::/64", "eth0"),
    ) == found.value.networks
    assert ("wlan0", 1420) == (found.value.interface, found.value.mtu)


def test_the_addresses_of_this_machine_are_found() -> None:
    found = network.network(ROOT)
    own = subprocess.run(
        ["hostname", "-I"], capture_output=True, text=True, check=False
    ).stdout.split()

    assert isinstance(found, Known)
    networks = {network for network, _ in found.value.networks}
    assert {f"{one}/32" for one in own if "." in one} <= networks


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_no_content_stops_a_reader(tmp_path: Path, junk: bytes) -> None:
    """Each reader returns Known or Unknown for any content of its files.

    Other errors are caught by the caller of the probes.
    """
    for name in (
        "proc/net/fib_trie",
        "proc/net/route",
        "proc/net/ipv6_route",
        "etc/resolv.conf",
        "etc/hosts",
        "proc/modules",
    ):
        write(tmp_path / name, junk)
    write(tmp_path / "proc/sys/kernel/osrelease", junk)
    write(tmp_path / "proc/config.gz", junk)
    write(tmp_path / "proc/self/cgroup", b"0::" + junk)
    write(tmp_path / "proc/self/mountinfo", junk)
    write(tmp_path / "etc/subuid", junk)
    write(tmp_path / "etc/passwd", junk)

    for found in (
        network.network(tmp_path),
        network.resolver(tmp_path),
        kernel.release(tmp_path),
        session.caller(tmp_path, {}),
        subids.of_all(tmp_path, "alice", 1000),
        session.process(tmp_path, (), ""),
        storage.storage(tmp_path, tmp_path / "data", tmp_path, tmp_path, os.getuid()),
    ):
        assert isinstance(found, Known | Unknown)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "nameserver 127.0.0.53\noptions edns0\nsearch a.example b.example\n",
            (("127.0.0.53",), ("a.example", "b.example")),
        ),
        (
            "# nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver ::1\ndomain x\n",
            (("192.0.2.2", "::1"), ("x",)),
        ),
        ("nameserver\n", ((), ())),
        ("", ((), ())),
    ],
)
def test_the_resolver_is_read(
    tmp_path: Path, text: str, expected: tuple[tuple[str, ...], tuple[str, ...]]
) -> None:
    write(tmp_path / "etc/resolv.conf", text)
    write(tmp_path / "etc/hosts", "# localhost\n127.0.0.1 node localhost # here\n")

    assert network.resolver(tmp_path) == Known(
        Resolver(*expected, localhost=True), str(tmp_path / "etc/resolv.conf")
    )


def test_a_dangling_resolv_conf_has_no_name_server(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    write(tmp_path / "etc/hosts", "127.0.0.1 localhost.localdomain\n")

    found = network.resolver(tmp_path)

    assert isinstance(found, Known)
    assert Resolver((), (), localhost=False) == found.value


def modules(root: Path) -> tuple[set[str], set[str], bool]:
    found = kernel.modules(root)
    assert isinstance(found, Known)
    return set(found.value.present), set(found.value.loadable), found.value.complete


def test_modules_are_found_in_all_places(tmp_path: Path) -> None:
    write(tmp_path / "proc/sys/kernel/osrelease", "6.1.0-9\n")
    write(
        tmp_path / "proc/modules",
        "br_netfilter 32768 0 - Live 0x0\nbridge 311296 1 br_netfilter, Live 0x0\n",
    )
    (tmp_path / "sys/module/fuse").mkdir(parents=True)
    tree = tmp_path / "lib/modules/6.1.0-9"
    write(tree / "modules.builtin", "kernel/drivers/net/tun.ko\n")
    write(
        tree / "modules.dep",
        "kernel/drivers/net/vxlan.ko.zst: kernel/net/ipv4/udp_tunnel.ko.zst\nkernel/net/veth.ko:\n",
    )

    assert ({"br_netfilter", "bridge", "fuse", "tun"}, {"vxlan", "veth"}, True) == modules(tmp_path)


@pytest.mark.parametrize("packed", [True, False])
def test_built_in_modules_are_found_in_the_kernel_configuration(
    tmp_path: Path, *, packed: bool
) -> None:
    lines = (
        "# x",
        "CONFIG_VXLAN=y",
        "CONFIG_VETH=m",
        "# CONFIG_TUN is not set",
        "CONFIG_BRIDGE_NETFILTER=yes",
        "# CONFIG_MODULES is not set",
    )
    text = "\n".join(lines) + "\n"
    write(tmp_path / "proc/sys/kernel/osrelease", "6.1.0-9\n")
    if packed:
        write(tmp_path / "proc/config.gz", gzip.compress(text.encode()))
    else:
        write(tmp_path / "boot/config-6.1.0-9", text)

    present, loadable, complete = modules(tmp_path)

    assert {"vxlan"} <= present
    assert not present & {"veth", "tun"}
    assert (set(), True) == (loadable, complete)


def test_without_a_list_of_modules_the_result_is_not_complete(tmp_path: Path) -> None:
    write(tmp_path / "proc/modules", "overlay 1 0 - Live 0x0\n")

    assert ({"overlay"}, set(), False) == modules(tmp_path)


def test_a_device_without_its_module_is_not_opened(tmp_path: Path) -> None:
    """The device is a FIFO: opening it would block, or fail without a reader."""
    (tmp_path / "dev/net").mkdir(parents=True)
    os.mkfifo(tmp_path / "dev/net/tun")

    found = kernel.opened(tmp_path)

    assert isinstance(found, Known)
    assert (0, 2, 2) == (found.value["tun"], found.value["fuse"], found.value["kmsg"])


def test_of_a_missing_directory_the_nearest_parent_is_read(tmp_path: Path) -> None:
    found = storage.storage(ROOT, tmp_path / "a/b/c", tmp_path, Path("/tmp"), os.getuid())

    assert isinstance(found, Known)
    data = found.value.data
    room = os.statvfs(tmp_path)
    assert (data.exists, data.found, data.writable, data.owner) == (
        False,
        str(tmp_path.resolve()),
        True,
        os.getuid(),
    )
    assert data.size == room.f_blocks * room.f_frsize
    assert data.type == subprocess.run(
        ["stat", "-f", "-c", "%T", tmp_path], capture_output=True, text=True, check=True
    ).stdout.split("/")[0].strip().replace("ext2", "ext4")
    assert found.value.home.exists


def test_mount_points_with_spaces_are_found(tmp_path: Path) -> None:
    rows = (
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw",
        r"2 1 0:9 / /my\040disk rw,noexec - nfs4 host:/a rw",
        "junk",
        "3 1 0:9 / /my rw - xfs x rw",
    )
    lines = "\n".join(rows) + "\n"
    write(tmp_path / "proc/self/mountinfo", lines)

    found = mounts.mounts(tmp_path)

    assert ["/", "/my disk", "/my"] == [one.point for one in found]
    found_mounts = [
        mounts.mount_of(found, Path(path)) for path in ("/my disk/x", "/my/x", "/mydisk", "/")
    ]
    assert ["nfs4", "xfs", "ext4", "ext4"] == [one.type if one else None for one in found_mounts]


def test_limits_are_read_from_the_process_of_the_user_manager(tmp_path: Path) -> None:
    group = "/user.slice/user-1000.slice/user@1000.service"
    write(tmp_path / "sys/fs/cgroup" / group[1:] / "init.scope/cgroup.procs", "700\n701\n")
    write(tmp_path / "sys/fs/cgroup/user.slice/user-1000.slice/pids.max", "9000\n")
    write(tmp_path / "proc/self/uid_map", "         0     100000      65536\n")
    write(tmp_path / "proc/700/status", "Name:\tsystemd\nNoNewPrivs:\t1\n")
    write(
        tmp_path / "proc/700/limits",
        "Limit                     Soft Limit           Hard"
        f" Limit\n{'Max open files':<26}{'1024':<21}{'524288':<21}files\n",
    )

    found = session.process(tmp_path, (tmp_path / "sys/fs/cgroup",), group)

    assert isinstance(found, Known)
    process = found.value
    assert (True, 524288, 9000) == (process.no_new_privileges, process.open_files, process.tasks)
    assert ((0, 100000, 65536),) == process.id_map


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "0::/user.slice/user-1000.slice/session-3.scope\n",
            "/user.slice/user-1000.slice/session-3.scope",
        ),
        ("1:name=systemd:/user.slice/a.scope\n0::/\n", "/user.slice/a.scope"),
        ("4:memory:/docker/x\n0::/\n", "/"),
        ("", ""),
    ],
)
def test_the_cgroup_of_this_process_is_read_in_both_cgroup_versions(
    tmp_path: Path, text: str, expected: str
) -> None:
    write(tmp_path / "proc/self/cgroup", text)

    found = session.caller(tmp_path, {"SUDO_USER": "bob"})

    assert isinstance(found, Known)
    assert found.value == Caller("bob", expected)


def test_configuration_and_services_of_the_host_are_found(tmp_path: Path) -> None:
    write(tmp_path / "etc/rancher/k3s/config.yaml", "debug: true\n")
    write(tmp_path / "etc/rancher/k3s/config.yaml.d/10.yaml", "")
    write(tmp_path / "etc/rancher/k3s/config.yaml.d/README", "")
    write(tmp_path / "etc/rancher/k3s/k3s.yaml", "")
    write(tmp_path / "etc/ufw/ufw.conf", "LOGLEVEL=low\nENABLED=yes\n")
    (tmp_path / "sys/fs/cgroup/systemd/system.slice/k3s.service").mkdir(parents=True)

    found = session.surroundings(tmp_path, "/etc/rancher/k3s/config.yaml")
    other = session.surroundings(tmp_path, "/etc/other.yaml")

    assert isinstance(found, Known)
    assert isinstance(other, Known)
    names = [Path(path).name for path in found.value.configuration]
    assert (["config.yaml", "10.yaml"], {0}) == (names, set(found.value.configuration.values()))
    assert (frozenset({"k3s"}), True) == (found.value.services, found.value.ufw)
    assert {"/etc/rancher/k3s/k3s.yaml"} == found.value.files
    assert {} == other.value.configuration


def test_an_unfinished_copy_of_k3s_is_found_with_its_size(tmp_path: Path) -> None:
    unfinished = tmp_path / "data/data" / f"{'ab' * 32}-tmp"
    for other in (
        unfinished,
        tmp_path / "data/data" / ("ab" * 32),
        tmp_path / "data/data/mine-tmp",
    ):
        write(other / "bin/k3s", b"x" * 2**20)
    (tmp_path / "data/data" / f"{'cd' * 32}-tmp").symlink_to(unfinished)

    found = unfinished_copies(tmp_path)

    assert [str(unfinished)] == [path for path, _ in found]
    assert 2**20 <= found[0][1] < 2 * 2**20


def test_a_copy_that_k3s_is_unpacking_is_not_unfinished(tmp_path: Path) -> None:
    write(tmp_path / "data/data" / f"{'ab' * 32}-tmp" / "bin/k3s", "x")
    lock = write(tmp_path / "data/data/.lock", "")

    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert () == unfinished_copies(tmp_path)
    assert 1 == len(unfinished_copies(tmp_path))


def unfinished_copies(tmp_path: Path) -> tuple[tuple[str, int], ...]:
    found = storage.storage(ROOT, tmp_path / "data", tmp_path, tmp_path, os.getuid())
    assert isinstance(found, Known)
    return found.value.unfinished
