"""Tests of the rules of the K3s stand-in, as tables.

Tests that use the stand-in prove something only if it behaves like K3s.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.standin.k3s_standin import (
    flags,
    goparse,
    journal,
    kernel,
    orders,
    parent,
    pulls,
    settings,
)
from tests.standin.k3s_standin.cluster import Cluster, Object
from tests.standin.k3s_standin.forwards import ApiError, Reconciler, desired, host_port
from tests.standin.k3s_standin.journal import Fatal, Journal
from tests.standin.k3s_standin.release import Release

QUIET = Journal()
NEW, OLD = Release("v1.35.2+k3s1"), Release("v1.29.2+k3s1")


@pytest.mark.parametrize(
    ("rule", "first", "last_without"),
    [
        ("fixed_state_directory", "v1.29.2+k3s1", "v1.29.1+k3s2"),
        ("fixed_state_directory", "v1.28.7+k3s1", "v1.28.6+k3s2"),
        ("fixed_state_directory", "v1.27.11-rc1+k3s1", "v1.27.10+k3s2"),
        ("fixed_state_directory", "v1.26.14+k3s1", "v1.25.16+k3s4"),
        ("reads_rootless_environment", "v1.26.0+k3s1", "v1.24.8+k3s1"),
        ("reads_copyupdirs", "v1.31.2+k3s1", "v1.31.1+k3s1"),
        ("forwards_node_ports", "v1.29.3+k3s1", "v1.29.2+k3s1"),
        ("forwards_node_ports", "v1.30.0+k3s1", "v1.26.14+k3s1"),
        ("forwards_udp", "v1.35.0+k3s1", "v1.34.3+k3s1"),
        ("forwards_udp", "v1.33.7+k3s3", "v1.33.7+k3s2"),
        ("forwards_udp", "v1.32.11+k3s3", "v1.31.14+k3s1"),
        ("forwards_api_without_servicelb", "v1.17.4+k3s1", "v1.17.3+k3s1"),
        ("validates_sysctls", "v1.20.0+k3s2", "v1.19.16+k3s1"),
        ("requires_delegation", "v1.22.2+k3s1", "v1.21.14+k3s1"),
        ("runs_getsubids", "v1.33.0+k3s1", "v1.32.9+k3s1"),
    ],
)
def test_a_rule_begins_with_its_release(rule: str, first: str, last_without: str) -> None:
    assert getattr(Release(first), rule)
    assert not getattr(Release(last_without), rule)


def test_version_output_is_that_of_k3s() -> None:
    assert (
        Release("v1.28.14+k3s-914f1d91")
        .output("k3s")
        .startswith("k3s version v1.28.14+k3s-914f1d91 (914f1d91)\ngo ")
    )
    assert "old version v1.19.1+k3s1 (b66760fc)\n" == Release("v1.19.1+k3s1", "b66760fc").output(
        "old"
    )
    assert re.fullmatch(
        r"k3s version v1\.33\.4\+k3s1 \([0-9a-f]{8}\)\ngo version go1\.24\.5\n",
        Release("v1.33.4+k3s1").output("k3s"),
    )


@pytest.mark.parametrize(
    "text", ["", " 1", "1_000", "0x10", "1.0", "9223372036854775808", "\u0661"]
)
def test_parse_int_refuses_what_go_refuses(text: str) -> None:
    with pytest.raises(goparse.GoError):
        goparse.parse_int(text)


def test_parse_int_takes_signs_and_leading_zeros() -> None:
    assert [5, -5, 10] == [goparse.parse_int(text) for text in ("+5", "-5", "0010")]


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("T", True), ("True", True), ("0", False), ("f", False)]
)
def test_parse_bool_takes_gos_spellings(*, text: str, value: bool) -> None:
    assert goparse.parse_bool(text) is value


@pytest.mark.parametrize("text", ["", "yes", "on", "tRUE", "true "])
def test_parse_bool_refuses_everything_else(text: str) -> None:
    with pytest.raises(goparse.GoError, match="invalid syntax"):
        goparse.parse_bool(text)


@pytest.mark.parametrize(
    "text",
    ["10.41.0.0", "10.41.0.0/33", "10.41.0.0/255.255.0.0", "010.0.0.0/8", "fe80::%eth0/64", "x/8"],
)
def test_parse_cidr_refuses_what_go_refuses(text: str) -> None:
    with pytest.raises(goparse.GoError, match=f"invalid CIDR address: {re.escape(text)}"):
        goparse.parse_cidr(text)


@pytest.mark.parametrize(
    ("text", "cleaned"), [("", "."), ("/a//b/", "/a/b"), ("//a", "/a"), ("a/..", "."), (" b", " b")]
)
def test_clean_is_gos(text: str, cleaned: str) -> None:
    assert cleaned == goparse.clean(text)


@pytest.mark.parametrize(
    ("name", "value", "warning"),
    [
        ("MTU", "15OO", "Failed to parse rootless mtu value; using default"),
        ("ENABLE_IPV6", "yes", "Failed to parse rootless enable-ipv6 value; using default"),
        (
            "DISABLE_HOST_LOOPBACK",
            "no",
            "Failed to parse rootless disable-host-loopback value; using default",
        ),
        ("PORT_DRIVER", "builtin ", "Unsupported port driver builtin ; using default builtin"),
    ],
)
def test_bad_values_warn_and_count_as_unset(name: str, value: str, warning: str) -> None:
    warnings: list[str] = []
    read = settings.read(
        {f"K3S_ROOTLESS_{name}": value}, NEW, dual_stack=False, warn=warnings.append
    )
    assert read == settings.Settings()
    assert warnings == [warning]


@pytest.mark.parametrize(
    ("release", "environment", "message"),
    [
        (NEW, {"K3S_ROOTLESS_MTU": "-1"}, "got negative mtu"),
        (NEW, {"K3S_ROOTLESS_CIDR": "10.41.0.0"}, "invalid CIDR address: 10.41.0.0"),
        (
            NEW,
            {"K3S_ROOTLESS_CIDR": "10.41.0.1/16"},
            "host identifier bits must not be set in CIDR prefix",
        ),
        (
            OLD,
            {"K3S_ROOTLESS_CIDR": "10.41.0.1/16"},
            "cidr must be like 10.0.2.0/24, not like 10.0.2.100/24",
        ),
    ],
)
def test_fatal_values_have_the_messages_of_k3s(
    release: Release, environment: dict[str, str], message: str
) -> None:
    with pytest.raises(Fatal) as caught:
        settings.read(environment, release, dual_stack=False, warn=pytest.fail)
    assert message == caught.value.message


def test_a_release_before_the_variables_ignores_them() -> None:
    old = Release("v1.24.8+k3s1")
    read = settings.read(
        {"K3S_ROOTLESS_CIDR": "x", "K3S_ROOTLESS_MTU": "9"}, old, dual_stack=False, warn=pytest.fail
    )
    assert read == settings.Settings()


def test_an_empty_entry_copies_up_the_working_directory() -> None:
    environment = {"K3S_ROOTLESS_COPYUPDIRS": "/opt/,"}
    assert (
        "/opt",
        str(Path.cwd()),
    ) == settings.read(environment, NEW, dual_stack=False, warn=pytest.fail).copy_up


@pytest.mark.parametrize(
    ("directory", "message"),
    [
        ("/tmp", "/tmp cannot be copied up"),
        ("/nowhere", "failed to create bind mount on /nowhere: no such file or directory"),
    ],
)
def test_a_bad_copy_up_directory_is_fatal(directory: str, message: str) -> None:
    with pytest.raises(Fatal, match=re.escape(message)):
        settings.check_copy_up([directory])


@pytest.mark.parametrize(
    ("value", "fatal"), [("1", False), ("0", True), ("2", True), (None, False)]
)
def test_sysctls_are_checked_where_they_exist(
    *, tmp_path: Path, value: str | None, fatal: bool
) -> None:
    (tmp_path / "net/ipv4").mkdir(parents=True)
    if value is not None:
        (tmp_path / "net/ipv4/ip_forward").write_text(f"{value}\n")
    if not fatal:
        parent.validate_sysctls(tmp_path)
        return
    with pytest.raises(
        Fatal,
        match=f'expected sysctl value "net.ipv4.ip_forward" to be "1", got "{value}"; try adding',
    ):
        parent.validate_sysctls(tmp_path)


def test_evacuation_needs_cgroup_v2(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own").write_text("4:cpu:/x\n0::/unit\n")
    (tmp_path / "unit").mkdir()
    assert parent.can_evacuate(tmp_path / "own", tmp_path, QUIET)
    (tmp_path / "own").write_text("4:cpu:/x\n")
    assert not parent.can_evacuate(tmp_path / "own", tmp_path, QUIET)
    assert 'level=warning msg="Enabling cgroup2 is highly recommended' in capfd.readouterr().err


@pytest.mark.parametrize(
    ("raw", "rewritten"),
    [
        ('[rootlesskit:parent] error: user 1003 ("a")', r'level=fatal msg="user 1003 (\"a\")"'),
        (
            "[rootlesskit:child ] error: EOF",
            'level=fatal msg="child died: parsing message from fd 3: EOF"',
        ),
        (
            (
                "[rootlesskit:child ] error: command [/v/bin/python3 -P -m k3s_standin server"
                " --rootless] exited: exit status 1"
            ),
            'level=fatal msg="command [/proc/self/exe server --rootless] exited: exit status 1"',
        ),
        (
            'time="x" level=warning msg="[rootlesskit:parent] one"',
            'time="x" level=warning msg="one"',
        ),
        ('time="x" level=info msg="two"', 'time="x" level=info msg="two"'),
        (
            "I1123 21:35:11.838197      21 server.go:656] three",
            "I1123 21:35:11.838197      21 server.go:656] three",
        ),
    ],
)
def test_rootlesskits_lines_become_k3ss(raw: str, rewritten: str) -> None:
    assert journal.rewrite(raw).endswith(rewritten)


def test_the_rewriter_joins_pieces_and_ends_a_broken_line() -> None:
    written: list[bytes] = []
    lines = journal.Rewriter(written.append, nanoseconds=False)
    lines.feed(b"[rootlesskit:parent] err")
    lines.feed(b"or: x y\nplain\nlast")
    lines.finish()
    assert [
        'level=fatal msg="x y"',
        "plain",
        "last",
    ] == [line.partition('Z" ')[2] or line for line in b"".join(written).decode().splitlines()]


_SUPERVISE = """
import os, sys
from pathlib import Path
from tests.standin.k3s_standin.supervisor import supervise
supervise("/bin/sh", ("sh", "-c", sys.argv[1]), os.environ, state=Path(sys.argv[2]),
    nanoseconds=False)
"""


@pytest.mark.parametrize(
    ("script", "status", "last"),
    [
        ("echo one >&2; sleep 60 & echo last >&2; exit 3", 3, "last"),
        ("printf 'one\\nlast' >&2; kill -TERM $$", -signal.SIGTERM, "last"),
        ("exec >&- 2>&-; kill -TERM $PPID; sleep 60", -signal.SIGTERM, ""),
        ("trap 'echo last; exit 5' TERM; kill -TERM $PPID; while :; do :; done", 5, "last"),
    ],
)
def test_the_supervisor_logs_the_last_line_and_ends_as_its_child(
    tmp_path: Path, script: str, status: int, last: str
) -> None:
    command = (sys.executable, "-c", _SUPERVISE, script, str(tmp_path))
    log = tmp_path / "log"
    with log.open("wb") as file:
        done = subprocess.run(command, stderr=file, stdout=file, check=False)
    assert status == done.returncode
    assert last == "".join(log.read_text().splitlines()[-1:])
    assert (tmp_path / "lock").exists()


def test_log_lines_are_quoted_as_logrus_quotes() -> None:
    stamp = r'time="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"'
    assert re.fullmatch(stamp + r' level=info msg="a \\"b\\" c"', journal.line("info", 'a "b" c'))
    assert re.fullmatch(stamp + r" level=info msg=bare", journal.line("info", "bare"))


@pytest.mark.parametrize(
    ("version", "found", "message"),
    [
        ("v1.33.4+k3s1", "cpu memory pids", "failed to find cpuset cgroup (v2)"),
        ("v1.21.2+k3s1", "cpu memory pids", "failed to find cpuset cgroup (v2)"),
        ("v1.33.4+k3s1", "cpu cpuset memory", "pids cgroup controller not found"),
        ("v1.33.4+k3s1", "", "failed to find cpu cgroup (v2)"),
        ("v1.33.4+k3s1", "cpu cpuset memory pids", None),
        ("v1.21.2+k3s1", "cpu cpuset memory", None),
        ("v1.20.15+k3s1", "", None),
    ],
)
def test_controllers_are_required_by_release(version: str, found: str, message: str | None) -> None:
    controllers = kernel.controllers(found)
    if message is None:
        kernel.validate_controllers(controllers, Release(version), writable=True, journal=QUIET)
        return
    with pytest.raises(Fatal) as caught:
        kernel.validate_controllers(controllers, Release(version), writable=True, journal=QUIET)
    assert message == caught.value.message


@pytest.mark.parametrize(
    ("version", "level", "message"),
    [
        ("v1.29.0+k3s1", "fatal", "x"),
        ("v1.33.4+k3s1", "fatal", "Error: x"),
        ("v1.35.0+k3s1", "error", 'Shutdown request received: "x"'),
    ],
)
def test_the_last_message_depends_on_the_release(version: str, level: str, message: str) -> None:
    fatal = Release(version).last_message("x")
    assert (fatal.level, fatal.message) == (level, message)


@pytest.mark.parametrize(
    ("port", "expected"),
    [(1, 10001), (80, 10080), (1023, 11023), (1024, 11024), (1025, 1025), (65535, 65535)],
)
def test_the_offset_takes_1024_along(port: int, expected: int) -> None:
    assert expected == host_port(port)


def service(*ports: Any, ip: str | None = "127.0.0.1") -> Object:
    entries = [{"port": port} if isinstance(port, int) else port for port in ports]
    ingress = [{"ip": ip} if ip else {"hostname": "lb.example"}]
    return {"spec": {"ports": entries}, "status": {"loadBalancer": {"ingress": ingress}}}


@pytest.mark.parametrize(
    ("release", "servicelb", "services", "expected"),
    [
        (NEW, True, [], {("tcp", 6443): 6443}),
        (NEW, False, [service(80)], {("tcp", 6443): 6443}),
        (Release("v1.17.3+k3s1"), False, [service(80)], {}),
        (NEW, True, [service(80, ip=None)], {("tcp", 6443): 6443}),
        (
            NEW,
            True,
            [service({"port": 80, "nodePort": 31080})],
            {("tcp", 6443): 6443, ("tcp", 10080): 80, ("tcp", 31080): 31080},
        ),
        (
            OLD,
            True,
            [service({"port": 80, "nodePort": 31080})],
            {("tcp", 6443): 6443, ("tcp", 10080): 80},
        ),
        (
            NEW,
            True,
            [service({"port": 53, "protocol": "UDP"})],
            {("tcp", 6443): 6443, ("udp", 10053): 53},
        ),
        (OLD, True, [service({"port": 53, "protocol": "UDP"})], {("tcp", 6443): 6443}),
        (NEW, True, [service({"port": 9, "protocol": "SCTP"})], {("tcp", 6443): 6443}),
        (NEW, True, [service(80), service(10080)], {("tcp", 6443): 6443, ("tcp", 10080): 10080}),
        (
            NEW,
            True,
            [{"spec": {"ports": [{"port": 80}]}, "status": {"loadBalancer": {}}}],
            {("tcp", 6443): 6443},
        ),
    ],
)
def test_expected_forwards(
    *,
    release: Release,
    servicelb: bool,
    services: list[Object],
    expected: dict[tuple[str, int], int],
) -> None:
    assert expected == desired(services, release, https_port=6443, servicelb=servicelb)


class Kit:
    """Port API in memory, with some ports in use."""

    def __init__(self, *busy: int) -> None:
        self.bound: dict[int, Object] = {}
        self.busy = set(busy)

    def ports(self) -> list[Object]:
        return list(self.bound.values())

    def add(self, protocol: str, parent: int, child: int) -> None:
        if parent in self.busy:
            raise ApiError(f"listen {protocol} :{parent}: bind: address already in use")
        number = len(self.bound) + 1
        self.bound[number] = {
            "id": number,
            "spec": {"proto": protocol, "parentPort": parent, "childPort": child},
        }

    def remove(self, identifier: int) -> None:
        del self.bound[identifier]

    def numbers(self) -> set[int]:
        return {item["spec"]["parentPort"] for item in self.bound.values()}


def test_a_pass_removes_foreign_forwards_and_keeps_those_with_the_right_host_port(
    capfd: pytest.CaptureFixture[str],
) -> None:
    kit = Kit()
    kit.add("tcp", 9999, 9999)
    kit.add("tcp", 10080, 8080)
    Reconciler(Cluster(), kit, QUIET, NEW, https_port=6443, servicelb=True).reconcile([service(80)])
    assert {6443, 10080} == kit.numbers()
    assert 8080 == kit.bound[2]["spec"]["childPort"]
    errors = capfd.readouterr().err
    assert "Bound parent port :6443/tcp to child namespace port 6443" in errors
    assert "Removed parent port :9999/tcp" in errors


def test_a_refused_port_ends_the_pass_before_removals() -> None:
    kit = Kit(10080)
    kit.add("tcp", 9999, 9999)
    reconciler = Reconciler(Cluster(), kit, QUIET, NEW, https_port=6443, servicelb=True)
    with pytest.raises(ApiError, match="listen tcp :10080: bind: address already in use"):
        reconciler.reconcile([service(80)])
    assert 9999 in kit.numbers()


def test_flags_config_file_and_environment(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("https-listen-port: 7443\ndisable: [traefik]\nnonsense: 1\nrootless: true\n")
    given = flags.parse(
        ["--snapshotter=native", "--disable", "servicelb", "-d", "/x"],
        {"K3S_CONFIG_FILE": str(config), "K3S_DATA_DIR": "/y", "K3S_NODE_NAME": "z"},
        QUIET,
    )
    assert "z" == given.text("node-name")
    assert (
        7443,
        ["traefik", "servicelb"],
        True,
    ) == (given.https_port, given.values("disable"), given.rootless)
    assert (
        False,
        Path("/x"),
        "native",
    ) == (given.servicelb, given.data_dir, given.text("snapshotter"))
    assert "Unknown flag --nonsense found in config.yaml" in capfd.readouterr().err


def test_drop_ins_of_the_config_file_replace_and_append(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    (tmp_path / "config.yaml.d").mkdir()
    config.write_text("https-listen-port: 1\nnode-label: [a]\ndata-dir: /a\n")
    (tmp_path / "config.yaml.d/20.YML").write_text("node-label+: c\n")
    (tmp_path / "config.yaml.d/10.yaml").write_text("https-listen-port: 7443\nnode-label+: [b]\n")

    given = flags.parse(["--config", str(config), "--node-label=d"], {"K3S_DATA_DIR": "/y"}, QUIET)

    assert (7443, Path("/a")) == (given.https_port, given.data_dir)
    assert ["a", "b", "c", "d"] == given.values("node-label")


def test_two_forms_of_a_flag_are_fatal(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("data-dir: /a\n")
    with pytest.raises(Fatal, match="Cannot use two forms of the same flag: d data-dir"):
        flags.parse(["-d", "/x"], {"K3S_CONFIG_FILE": str(config)}, QUIET)


@pytest.mark.parametrize(
    ("version", "expected"), [("v1.30.3+k3s1", "/h/.rancher/k3s"), ("v1.30.4+k3s1", "/y")]
)
def test_the_variable_of_the_data_directory_came_late(
    version: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/h")
    given = flags.parse(
        [], {"K3S_DATA_DIR": "/y", "K3S_CONFIG_FILE": "/dev/null"}, QUIET, Release(version)
    )
    assert expected == str(given.data_dir)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--foo"], "flag provided but not defined: -foo"),
        (["--data-dir"], "flag needs an argument: -data-dir"),
        (["--https-listen-port=x"], 'invalid value "x" for flag -https-listen-port: parse error'),
    ],
)
def test_bad_flags_are_fatal(arguments: list[str], message: str) -> None:
    with pytest.raises(Fatal) as caught:
        flags.parse(arguments, {"K3S_CONFIG_FILE": "/nonexistent"}, QUIET)
    assert message == caught.value.message


def test_a_config_file_that_is_no_file_is_fatal(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match=f"open {tmp_path}: is a directory"):
        flags.read_config(tmp_path)


def test_orders_are_checked() -> None:
    assert orders.parse('{"delay": 2, "services": []}') == orders.Orders(delay=2.0)
    for wrong in ('{"dealy": 2}', '{"noise": "many"}', "[]", "{"):
        with pytest.raises(ValueError, match=r".+"):
            orders.parse(wrong)


def test_containerd_gets_the_proxies_of_k3s_and_its_own() -> None:
    found = pulls.environment(
        {
            "HTTPS_PROXY": "http://a:1",
            "CONTAINERD_HTTPS_PROXY": "http://b:2",
            "NO_PROXY": ".x",
            "no_proxy": ".y",
        }
    )

    assert "http://b:2" == found["HTTPS_PROXY"]
    assert ".x,.y,.svc,.cluster.local,10.42.0.0/16,10.43.0.0/16" == found["NO_PROXY"]
    assert ".z" == pulls.environment({"CONTAINERD_NO_PROXY": ".z"})["NO_PROXY"]
