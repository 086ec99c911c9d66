"""Tests of settings with the whole tool: set, loaded by systemd, and applied by a restart.

Files of other authors stay unchanged.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import UNIT, Tool
from tests.machine import HOME
from tests.patience import PATIENCE

pytestmark = pytest.mark.lab
DROP_INS = UNIT.parent / f"{UNIT.name}.d"
CONFIG = DROP_INS / "50-k3s-rootless-config.conf"
OVERRIDE = DROP_INS / "override.conf"


def put(tool: Tool, path: Path, text: str) -> None:
    tool.machine.user("mkdir", "-p", str(path.parent)).check_returncode()
    tool.machine.user("tee", str(path), stdin=text).check_returncode()


def text(tool: Tool, path: Path) -> str | None:
    done = tool.machine.user("cat", str(path))
    return done.stdout if done.returncode == 0 else None


def setting(tool: Tool, name: str) -> tuple[list[str], str]:
    (found,) = (one for one in tool.json("config", "list")["settings"] if one["name"] == name)
    return found["values"], found["origin"]


def show(tool: Tool, name: str) -> str:
    return tool.machine.user(
        "systemctl", "--user", "show", "--value", "-p", name, UNIT.name
    ).stdout.strip()


def invocation(tool: Tool) -> str:
    found: str = tool.json("status")["unit"]["invocation"]
    return found


def test_settings_are_used_by_k3s_and_by_all_commands(lab_tool: Tool) -> None:
    assert 0 == lab_tool("config", "set", "https-listen-port", "7443").returncode
    assert "not installed yet" in lab_tool("config", "set", "snapshotter", "native").stdout
    assert (["native"], "config") == setting(lab_tool, "snapshotter")
    up = lab_tool.up()
    assert 0 == up.returncode, up.stderr
    assert "port 7443 forwarded" in up.stderr
    assert {7443} < {row["parent_port"] for row in lab_tool.json("ports")["ports"]}
    before = invocation(lab_tool)

    done = lab_tool("config", "set", "data-dir", "~/my data")
    lab_tool("config", "set", "https-listen-port", "8443").check_returncode()

    assert 0 == done.returncode, done.stderr
    assert "restart required: " in done.stdout
    status = lab_tool.json("status")
    assert (True, before) == (
        status["ready"],
        status["unit"]["invocation"],
    ), "K3s still runs with the earlier settings"
    assert "was written" in status["restart_needed"]
    assert {7443} < {row["parent_port"] for row in lab_tool.json("ports")["ports"]}
    again = lab_tool.up()
    assert 0 == again.returncode, again.stderr
    assert "restart required" in again.stderr
    assert before == invocation(lab_tool)

    lab_tool("restart").check_returncode()

    assert lab_tool.json("status")["restart_needed"] is None
    assert {8443} < {row["parent_port"] for row in lab_tool.json("ports")["ports"]}
    assert (
        0 == lab_tool.machine.user("test", "-S", str(HOME / "my data/rootless/api.sock")).returncode
    )
    assert ([f"{HOME}/my data"], "config") == setting(lab_tool, "data-dir")
    lab_tool("down").check_returncode()
    lab_tool.machine.root("rm", "-rf", str(HOME / "my data"))


def test_limits_are_set_in_systemd_and_unset_again(lab_tool: Tool) -> None:
    lab_tool("install").check_returncode()
    for name, value in (
        ("CPUQuota", "150%"),
        ("CPUWeight", "50"),
        ("MemoryMax", "4G"),
        ("MemoryHigh", "1073741825"),
    ):
        lab_tool("config", "set", name, value).check_returncode()

    assert ["1.500000s", "50", str(4 * 2**30), "1073741825"] == [
        show(lab_tool, name)
        for name in ("CPUQuotaPerSecUSec", "CPUWeight", "MemoryMax", "MemoryHigh")
    ]
    lab_tool(
        "config", "unset", "CPUQuota", "CPUWeight", "MemoryMax", "MemoryHigh"
    ).check_returncode()
    assert ["infinity", "[not set]", "infinity", "infinity"] == [
        show(lab_tool, name)
        for name in ("CPUQuotaPerSecUSec", "CPUWeight", "MemoryMax", "MemoryHigh")
    ]
    assert text(lab_tool, CONFIG) is None
    assert 1 == lab_tool("config", "get", "MemoryMax").returncode


def test_a_reverted_change_needs_no_restart(lab_tool: Tool) -> None:
    """This also holds if other settings were changed meanwhile, in another file or by hand."""
    lab_tool("config", "set", "CPUWeight", "50").check_returncode()
    lab_tool.up().check_returncode()
    time.sleep(2.1)  # changes within one second of the start count as earlier

    for change, back in (
        ([("config", "set", "snapshotter", "native")], [("config", "unset", "snapshotter")]),
        ([("config", "set", "CPUWeight", "60")], [("config", "set", "CPUWeight", "50")]),
        ([("env", "set", "K3S_ROOTLESS_MTU=1400")], [("env", "unset", "K3S_ROOTLESS_MTU")]),
        (
            [("config", "set", "disable", "traefik"), ("env", "set", "K3S_ROOTLESS_MTU=1300")],
            [("config", "unset", "disable"), ("env", "unset", "K3S_ROOTLESS_MTU")],
        ),
    ):
        for arguments in change:
            lab_tool(*arguments).check_returncode()
        changed = (lab_tool.json("status")["restart_needed"], lab_tool.up().stderr)
        *_, last = [lab_tool(*arguments) for arguments in back]
        shown = (
            lab_tool.json("status")["restart_needed"],
            lab_tool.json("config", "list")["restart_needed"],
        )
        up = lab_tool.up()

        assert changed[0] is not None, change
        assert "restart required" in changed[1], change
        assert 0 == last.returncode, last.stderr
        assert "restart" not in last.stdout, last.stdout
        assert (None, None) == shown, change
        assert "restart" not in up.stderr, up.stderr

    put(lab_tool, OVERRIDE, "[Service]\nLimitNOFILE=4096\n")
    lab_tool.machine.user("systemctl", "--user", "daemon-reload").check_returncode()
    assert "was written" in lab_tool.json("status")["restart_needed"], (
        "the user's own change is found although the record exists"
    )


def test_a_fatal_limit_is_refused_and_a_low_limit_causes_a_warning(lab_tool: Tool) -> None:
    refused = lab_tool("config", "set", "MemoryMax", "1M")
    low = lab_tool("config", "set", "MemoryMax", "600M")
    slow = lab_tool("config", "set", "MemoryHigh", "1M")
    enough = lab_tool("config", "set", "MemoryMax", "800M")

    assert 2 == refused.returncode
    assert (
        "cannot set MemoryMax to `1M`: with 200M or less, the kernel kills K3s at each start"
        in refused.stderr
    )
    assert (0, 0, 0) == (low.returncode, slow.returncode, enough.returncode)
    assert "warning: MemoryMax=600M may be too low: an idle K3s uses 500 to 800 MiB" in low.stderr
    assert "warning: MemoryHigh=1M may be too low" in slow.stderr
    assert "warning" not in enough.stderr


def test_a_change_that_systemd_does_not_apply_is_undone(lab_tool: Tool) -> None:
    lab_tool("install").check_returncode()
    lab_tool("config", "set", "CPUWeight", "50").check_returncode()
    before = text(lab_tool, CONFIG)
    override = (
        "[Service]\nExecStart=\nExecStart=/usr/local/bin/k3s server --rootless"
        " --snapshotter=overlayfs\n"
    )
    put(lab_tool, OVERRIDE, override)

    done = lab_tool("config", "set", "snapshotter", "native")

    assert 1 == done.returncode
    assert (
        "systemd did not apply the change: snapshotter is overlayfs instead of native"
        in done.stderr
    )
    assert (before, override) == (text(lab_tool, CONFIG), text(lab_tool, OVERRIDE))
    assert (["overlayfs"], "another drop-in") == setting(lab_tool, "snapshotter")
    assert "no" == show(lab_tool, "NeedDaemonReload")


def test_only_force_replaces_an_edited_drop_in(lab_tool: Tool) -> None:
    lab_tool("config", "set", "CPUWeight", "50").check_returncode()
    edited = (text(lab_tool, CONFIG) or "") + "CPUWeight=70\n"
    put(lab_tool, CONFIG, edited)

    up = lab_tool.up()
    diff = lab_tool("unit", "diff")
    refused = lab_tool("config", "set", "CPUWeight", "60")

    assert 0 == up.returncode, up.stderr
    assert f"kept {CONFIG}: it was " in up.stderr
    assert (1, "-CPUWeight=70") == (diff.returncode, diff.stdout.splitlines()[-1])
    assert diff.stdout == lab_tool("unit", "diff").stdout
    assert 7 == refused.returncode
    assert edited == text(lab_tool, CONFIG)
    files = {file["path"]: file["author"] for file in lab_tool.json("unit", "show")["files"]}
    assert {str(UNIT): "ours", str(CONFIG): "edited"} == files

    forced = lab_tool("config", "set", "CPUWeight", "60", "--force")

    assert 0 == forced.returncode, forced.stderr
    assert edited == lab_tool.machine.user("sh", "-c", f"cat {DROP_INS}/*.bak").stdout
    assert 0 == lab_tool("unit", "diff").returncode


def test_a_foreign_drop_in_is_listed_and_does_not_restart_k3s(lab_tool: Tool) -> None:
    lab_tool.up().check_returncode()
    before = invocation(lab_tool)
    time.sleep(1.2)
    theirs = (
        "[Service]\nCPUWeight=20\nEnvironment=HTTPS_PROXY=http://alice:s3cr3t-Pa55@proxy:3128\n"
    )
    put(lab_tool, OVERRIDE, theirs)
    lab_tool.machine.root("mkdir", "-p", f"/etc/systemd/user/{UNIT.name}.d").check_returncode()
    lab_tool.machine.root(
        "tee", f"/etc/systemd/user/{UNIT.name}.d/10-admin.conf", stdin="[Service]\nNice=1\n"
    ).check_returncode()
    try:
        up = lab_tool.up()

        assert 0 == up.returncode, up.stderr
        assert "reload the user manager" in up.stderr
        assert "restart required" in up.stderr
        assert before == invocation(lab_tool)
        shown = lab_tool("unit", "show")
        assert "10-admin.conf\n# not written by k3s-rootless" in shown.stdout
        assert "s3cr3t" not in shown.stdout
        lab_tool("restart").check_returncode()
        assert before != invocation(lab_tool)
        assert theirs == text(lab_tool, OVERRIDE)
    finally:
        lab_tool.machine.root("rm", "-r", f"/etc/systemd/user/{UNIT.name}.d")


def test_an_upgrade_rewrites_the_unit_and_the_drop_in(lab_tool: Tool) -> None:
    lab_tool.order(version="v1.21.14+k3s1")
    lab_tool("config", "set", "node-label", "a=b").check_returncode()
    lab_tool("install").check_returncode()
    assert "fuse-overlayfs" not in show(lab_tool, "ExecStart")
    lab_tool.order(version="v1.33.4+k3s1")

    up = lab_tool.up()

    assert 0 == up.returncode, up.stderr
    assert (
        f"write {UNIT}: it was written for K3s v1.21.14+k3s1, but v1.33.4+k3s1 is installed"
        in up.stderr
    )
    assert f"write {CONFIG}: the unit that it is based on changed" in up.stderr
    assert "--snapshotter=fuse-overlayfs --node-label=a=b" in show(lab_tool, "ExecStart")


def test_only_the_unit_file_of_k3s_is_used(lab_tool: Tool) -> None:
    data = json.loads((Path(__file__).parents[1] / "data/shipped-units.json").read_text("utf-8"))
    lines = data["units"][data["minors"]["1.33"]]
    given = HOME / "k3s-rootless.service"
    put(lab_tool, given, "# systemd unit file for k3s (rootless)\n" + "\n".join(lines) + "\n")

    done = lab_tool("install", "--from", str(given))

    assert 0 == done.returncode, done.stderr
    assert "# systemd unit file for k3s (rootless)" in (lab_tool.unit_text() or "")
    assert 0 == lab_tool("unit", "diff").returncode
    assert "write" not in lab_tool.up().stderr
    put(lab_tool, given, "\n".join(lines).replace("KillMode=mixed", "KillMode=none"))
    refused = lab_tool.up("--from", str(given))
    assert 2 == refused.returncode
    assert "`KillMode=none` where K3s ships `KillMode=mixed`" in refused.stderr
    lab_tool.machine.user("rm", str(given))


@pytest.mark.parametrize(
    ("release", "code", "text"),
    [
        ("v1.20.15+k3s1", 5, "k3s.version"),
        ("v1.35.1+k3s1", 5, "v1.35.2+k3s1"),
        ("v1.99.0+k3s1", 0, "newer than"),
    ],
    ids=["without a unit", "known to be broken", "newer than known"],
)
def test_unusual_releases_are_reported(lab_tool: Tool, release: str, code: int, text: str) -> None:
    lab_tool.order(version=release)

    done = lab_tool("install")

    assert code == done.returncode, done.stderr
    assert text in done.stderr
    assert (code == 0) == (lab_tool.unit_text() is not None)


def test_concurrent_changes_are_all_kept(lab_tool: Tool) -> None:
    lab_tool("install").check_returncode()
    running = [
        lab_tool.machine.popen("k3s-rootless", "config", "set", name, value)
        for name, value in (
            ("CPUWeight", "50"),
            ("MemoryMax", "4G"),
            ("snapshotter", "native"),
            ("disable", "traefik"),
        )
    ]
    ends = [(one.wait(PATIENCE), one.stderr.read() if one.stderr else "") for one in running]
    for one in running:
        one.communicate()

    assert [0] * 4 == [code for code, _ in ends], ends
    assert {
        "CPUWeight": ["50"],
        "MemoryMax": ["4G"],
        "snapshotter": ["native"],
        "disable": ["traefik"],
    } == {
        one["name"]: one["set_to"]
        for one in lab_tool.json("config", "list")["settings"]
        if one["set_to"]
    }


_LOG_FILE = HOME / ".rancher/k3s/logs/k3s.log"
_QUICK = {"delay": 0.1, "ready_delay": 0.05, "node_delay": 0.05, "deployments_delay": 0.05}


def test_the_log_is_in_the_file_and_diagnose_reads_it(lab_tool: Tool) -> None:
    if lab_tool.machine.plays_k3s:
        lab_tool.order(**_QUICK)
    done = lab_tool("config", "set", "log", "~/.rancher/k3s/logs/k3s.log")
    assert 0 == done.returncode, done.stderr
    assert "k3s-rootless logs --file" in done.stderr

    up = lab_tool.up()
    assert 0 == up.returncode, up.stderr
    found = lab_tool.json("status")
    assert (True, []) == (found["ready"], found["unknown"])
    assert 0 == lab_tool("ports").returncode

    journal = lab_tool("logs", "--grep", "Bound parent port")
    assert "" == journal.stdout
    assert f"K3s writes its log to {_LOG_FILE}, and not to the journal" in lab_tool("logs").stderr
    assert "Bound parent port" in lab_tool("logs", "--file").stdout
    assert 2 == lab_tool("logs", "--file", "--previous").returncode

    lab_tool("config", "set", "alsologtostderr", "true").check_returncode()
    lab_tool("restart").check_returncode()
    assert "Bound parent port" in lab_tool("logs").stdout

    lab_tool("config", "unset", "alsologtostderr").check_returncode()
    lab_tool.order(**_QUICK, die={"after": 0.2, "message": "failed to find memory cgroup (v2)"})
    failed = lab_tool("restart", "--timeout", "60")
    assert 1 == failed.returncode, failed.stderr
    diagnosed = lab_tool.json("diagnose")
    assert str(_LOG_FILE) == diagnosed["source"]
    assert "failed to find memory cgroup" in diagnosed["cause"]["line"]


def test_without_an_agent_the_commands_report_the_api_server_only(lab_tool: Tool) -> None:
    lab_tool("config", "set", "disable-agent", "true").check_returncode()
    checked = lab_tool.json("check")
    started = lab_tool("up")
    status = lab_tool("status")
    ports = lab_tool("ports")
    shell = lab_tool("shell", "--", "true")
    pods = lab_tool("kubectl", "get", "namespaces")

    delegation = next(one for one in checked["checks"] if one["check"] == "cgroup.delegation.cpu")
    assert delegation["verdict"] in {"pass", "info"}
    assert 0 == started.returncode, started.stderr
    assert "K3s is ready" in started.stdout
    assert "port 6443 forwarded" not in started.stderr
    assert 0 == status.returncode, status.stdout
    assert "K3s runs without its agent" in status.stdout
    assert 0 == ports.returncode, ports.stderr
    assert "listens on this port of the host" in ports.stdout
    assert (125, True) == (shell.returncode, "has no namespaces" in shell.stderr)
    assert 0 == pods.returncode, pods.stderr
