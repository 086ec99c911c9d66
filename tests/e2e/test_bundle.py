"""Tests of bundles: of a healthy host, a host with faults, and one that exposes its secrets."""

from __future__ import annotations

import base64
import html
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import UNIT, Tool
from tests.machine import HOME, RUNTIME_DIR, UID, Machine
from tests.patience import PATIENCE
from tests.support.search import Haystack, unpacked
from tests.support.seeds import JOURNAL, SECRETS, SEEDS

pytestmark = pytest.mark.lab
FILE = str(HOME / "support.tar.gz")
MUTE = """
import os, socket, time
if os.path.exists("/tmp/mute-bus"): os.unlink("/tmp/mute-bus")
bus = socket.socket(socket.AF_UNIX)
bus.bind("/tmp/mute-bus")
bus.listen(50)
print("ready", flush=True)
time.sleep(60)
"""
ALWAYS = {
    "index.html",
    "check.json",
    "status.json",
    "ports.json",
    "config.json",
    "env.json",
    "version.json",
    "host.json",
    "diagnosis.json",
    "phases.json",
    "manifest.json",
}


@pytest.fixture(autouse=True)
def _no_file(lab: Machine) -> Iterator[None]:
    lab.user("rm", "-f", FILE)
    yield
    lab.user("rm", "-f", FILE)


PRINTS_SEEDS = "import time; print(open('%h/seeds.txt').read(), flush=True); time.sleep(1)"


def bundle(tool: Tool, *args: str, env: dict[str, str] | None = None) -> dict[str, str]:
    """Create a bundle, and return its files."""
    begun = time.monotonic()
    done = tool("bundle", "-o", FILE, "--force", *args, env=env)
    assert 0 == done.returncode, done.stderr
    assert time.monotonic() - begun < PATIENCE
    assert "600 alice" == tool.machine.user("stat", "-c", "%a %U", FILE).stdout.strip()
    return unpacked(base64.b64decode(tool.machine.user("base64", "-w0", FILE).stdout))


def of(files: dict[str, str], name: str) -> Any:
    """Return one document."""
    return json.loads(files[name])


def test_a_healthy_cluster(lab_tool: Tool) -> None:
    lab_tool.up().check_returncode()

    files = bundle(lab_tool)

    assert files.keys() >= {*ALWAYS, "unit.txt", "journal/start-1.txt"}
    assert of(files, "status.json")["ready"]
    assert {6443, 10080} <= {row["parent_port"] for row in of(files, "ports.json")["ports"]}
    assert of(files, "diagnosis.json")["cause"] is None
    assert all(one["seconds"] is not None for one in of(files, "phases.json")["phases"])
    assert {"K3S_ROOTLESS_MTU"} <= {one["name"] for one in of(files, "env.json")["variables"]}
    assert "PATH" in of(files, "env.json")["unit"]
    assert {"snapshotter"} <= {one["name"] for one in of(files, "config.json")["settings"]}
    assert "Delegate=yes" in files["unit.txt"]
    assert "k3s is up and running" in files["journal/start-1.txt"]
    assert [] == of(files, "manifest.json")["missing"]
    listed = {one["name"]: one["size"] for one in of(files, "manifest.json")["files"]}
    assert listed == {
        name: len(text.encode()) for name, text in files.items() if name != "manifest.json"
    }
    token = lab_tool.machine.user("cat", str(HOME / ".rancher/k3s/server/token")).stdout.strip()
    assert not token or token not in "".join(files.values())


def test_the_list_shows_the_content_and_writes_nothing(lab: Machine, lab_tool: Tool) -> None:
    before = lab.user("sh", "-c", "ls -A ~").stdout
    listed = lab_tool.json("bundle", "--list")

    assert listed["file"] is None
    assert {one["name"] for one in listed["files"]} >= ALWAYS
    assert ["unit.txt"] == [one["name"] for one in listed["missing"] if one["name"] == "unit.txt"]
    assert before == lab.user("sh", "-c", "ls -A ~").stdout


def test_a_stopped_k3s_after_a_failed_start(lab_tool: Tool) -> None:
    lab_tool.order(
        die={"after": 0.5, "message": "failed to find memory cgroup (v2)", "level": "fatal"}
    )
    lab_tool.up()
    lab_tool.machine.user("systemctl", "--user", "stop", UNIT.name)

    files = bundle(lab_tool)

    assert "K3s is not running" in of(files, "ports.json")["errors"][0]["message"]
    assert "not running" == of(files, "status.json")["state"]
    diagnosis = of(files, "diagnosis.json")
    assert "k3s-rootless/diagnose/v2" == diagnosis["schema"]
    assert "cgroup.delegation.memory" == diagnosis["cause"]["check"]
    assert "inactive" == diagnosis["unit"]["active_state"]
    assert diagnosis["cause"]["seen"], "what the host shows of it"
    assert diagnosis["cause"]["seen"][0] in html.unescape(files["index.html"])
    assert [] == diagnosis["errors"]
    assert "failed" == of(files, "phases.json")["phases"][-1]["phase"]
    assert "failed to find memory cgroup" in files["index.html"]


def test_without_a_user_manager(lab: Machine, lab_tool: Tool) -> None:
    """The unit file is found in its directory, and the last start is the newest in the journal."""
    lab_tool.order(die={"after": 0.5, "message": "got negative mtu", "level": "fatal"})
    lab_tool.up()
    lab_tool.machine.user("systemctl", "--user", "stop", UNIT.name)
    lab.user("mkdir", "-p", "/tmp/empty-runtime").check_returncode()
    lab.user("chmod", "700", "/tmp/empty-runtime")

    files = bundle(
        lab_tool,
        env={
            "XDG_RUNTIME_DIR": "/tmp/empty-runtime",
            "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
        },
    )

    assert "cannot connect to the user manager" in of(files, "status.json")["errors"][0]["message"]
    assert "Delegate=yes" in files["unit.txt"]
    assert "got negative mtu" in files["journal/start-1.txt"]
    assert "failed" == of(files, "phases.json")["phases"][-1]["phase"]
    diagnosis = of(files, "diagnosis.json")
    assert ("mtu-invalid", None, None) == (
        diagnosis["cause"]["id"],
        diagnosis["ready"],
        diagnosis["unit"],
    )
    assert "cannot connect to the user manager" in diagnosis["errors"][0]["message"]
    assert "cannot connect to the user manager" in files["index.html"]
    assert {"status.json", "ports.json"} <= {
        one["name"] for one in of(files, "manifest.json")["files"] if one["problem"]
    }


def test_an_unreadable_journal_on_a_host_without_k3s(lab: Machine, lab_tool: Tool) -> None:
    refusal = (
        "#!/bin/sh\necho No journal files were opened due to insufficient permissions."
        " >&2\nexit 1\n"
    )
    plant(lab, "/tmp/silent/journalctl", refusal)
    lab.user("chmod", "755", "/tmp/silent/journalctl").check_returncode()

    files = bundle(lab_tool, env={"PATH": "/tmp/silent:/usr/local/bin:/usr/bin:/bin"})

    assert "K3s is not installed for this user" in of(files, "status.json")["errors"][0]["message"]
    reasons = {one["name"]: one["reason"] for one in of(files, "manifest.json")["missing"]}
    assert "cannot read the journal: permission denied" == reasons["journal/"]
    assert "there is no unit" in reasons["unit.txt"]
    assert "cannot read the journal" in files["index.html"]


def test_an_unresponsive_api_server_takes_at_most_its_time_limit(lab_tool: Tool) -> None:
    lab_tool.order(hang_api=True)
    lab_tool.up("--no-wait").check_returncode()
    lab_tool.machine.user(
        "timeout", "20", "sh", "-c", "until test -e ~/.kube/k3s.yaml; do sleep 0.1; done"
    ).check_returncode()

    files = bundle(lab_tool)

    assert "running, not ready" == of(files, "status.json")["state"]


def test_a_hanging_k3s_is_ended(lab: Machine, lab_tool: Tool) -> None:
    lab_tool.order(version_hang=True)
    lab.user("mkdir", "-p", "-m", "700", "/tmp/mute-runtime").check_returncode()
    (socket := lab.popen("python3", "-c", MUTE)).stdout.readline()  # type: ignore[union-attr]
    try:
        files = bundle(
            lab_tool,
            env={
                "XDG_RUNTIME_DIR": "/tmp/mute-runtime",
                "DBUS_SESSION_BUS_ADDRESS": "unix:path=/tmp/mute-bus",
            },
        )
    finally:
        socket.kill()
        socket.communicate()

    # The probe of k3s reached its time limit, and all other checks are in the bundle.
    found = {one["check"]: one for one in of(files, "check.json")["checks"]}
    assert "pass" != found["k3s.version"]["verdict"]
    assert "did not finish within" in found["k3s.version"]["reason"]
    assert "pass" == found["uidmap.newuidmap"]["verdict"]
    assert "" == lab.user("pgrep", "-fa", "--", "--version$").stdout


def test_a_full_disk_leaves_no_file(lab: Machine, lab_tool: Tool) -> None:
    place = "/tmp/tiny"
    lab.root("mkdir", "-p", place).check_returncode()
    lab.root(
        "mount", "-t", "tmpfs", "-o", f"size=8k,uid={UID},gid={UID}", "tmpfs", place
    ).check_returncode()
    try:
        refused = lab_tool("bundle", "-o", f"{place}/support.tar.gz")
        left = lab.user("ls", "-A", place).stdout
    finally:
        lab.root("umount", place)

    assert 1 == refused.returncode, refused.stdout
    assert f"cannot write `{place}/support.tar.gz`: no space left on device" in refused.stderr
    assert "hint:" in refused.stderr
    assert "" == left


def test_the_archive_fits_on_a_nearly_full_disk(lab: Machine, lab_tool: Tool) -> None:
    """A bundle needs disk space only for itself, and only once."""
    place = "/tmp/narrow"
    room = f"size=256k,uid={UID},gid={UID}"
    lab.root(
        "sh", "-c", f"mkdir -p {place} && mount -t tmpfs -o {room} tmpfs {place}"
    ).check_returncode()
    try:
        lab.user("dd", "if=/dev/zero", f"of={place}/fill", "bs=1k", "count=160").check_returncode()
        written = lab_tool("bundle", "-o", f"{place}/support.tar.gz")
        left = lab.user("ls", "-A", place).stdout.split()
    finally:
        lab.root("umount", place)

    assert 0 == written.returncode, written.stderr
    assert ["fill", "support.tar.gz"] == left


def test_an_existing_file_is_kept_and_a_link_is_not_followed(lab: Machine, lab_tool: Tool) -> None:
    lab.user("sh", "-c", f"echo mine > ~/victim; ln -s ~/victim {FILE}").check_returncode()

    refused = lab_tool("bundle", "-o", FILE)
    bundle(lab_tool)

    assert 7 == refused.returncode
    assert "--force" in refused.stderr
    assert "mine\n" == lab.user("cat", str(HOME / "victim")).stdout
    assert "regular file" == lab.user("stat", "-c", "%F", FILE).stdout.strip()


def test_no_seeded_secret_is_in_the_archive(lab: Machine, lab_tool: Tool) -> None:
    service = {
        "namespace": "default",
        "type": "LoadBalancer",
        "ports": [{"port": 8081, "name": "x"}],
    }
    noted = {"name": "noted", "annotations": {"note": SECRETS[0][1]}}
    lab_tool.order(
        services=[service | noted, service | {"name": "psk-71fe0a93bb", "ports": [8082]}]
    )
    lab_tool.up().check_returncode()
    drop_in = [
        "[Service]",
        # journald assigns a line to the unit of the process that wrote it, while it exists.
        f'ExecStartPre=/usr/bin/python3 -c "{PRINTS_SEEDS}"',
        *(line for seed in SEEDS for line in seed.drop_in),
    ]
    plant(
        lab,
        f"{HOME}/.config/systemd/user/{UNIT.name}.d/50-secrets.conf",
        "\n".join(drop_in).replace("{home}", str(HOME)) + "\n",
    )
    plant(lab, f"{HOME}/seeds.txt", "\n".join(JOURNAL) + "\n")
    for seed in SEEDS:
        for path, text in seed.files.items():
            plant(lab, path.replace("{home}", str(HOME)), text)
    variables = {name: value for seed in SEEDS for name, value in seed.manager.items()}
    lab.user(
        "systemctl",
        "--user",
        "set-environment",
        *(f"{name}={value}" for name, value in variables.items()),
    )
    try:
        lab.user("systemctl", "--user", "daemon-reload").check_returncode()
        lab.user("systemctl", "--user", "restart", UNIT.name).check_returncode()
        files = bundle(lab_tool, "--anonymous")
        blind = bundle(
            lab_tool,
            env={"XDG_RUNTIME_DIR": "/tmp/none", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/none"},
        )
    finally:
        lab.user("systemctl", "--user", "unset-environment", *variables)
        lab.user("sh", "-c", "rm -rf ~/seeds.txt ~/k3s.env")

    for found in (files, blind):
        everything = Haystack("\n".join((*found, *found.values())))
        # Proof that the seeds were in places that the bundle reads.
        assert "[redacted:" in found["journal/start-1.txt"]
        assert "and then something else" in found["journal/start-1.txt"]
        # Without a user manager, its variables are unknown. Text that looks like a secret is still
        # found.
        unknowable = {"variable of the manager"} if found is blind else set()
        assert [] == [
            (kind, secret)
            for kind, secret in SECRETS
            if kind not in unknowable and everything.holds(secret)
        ]
    plain = "\n".join((*files, *files.values()))
    assert "alice" not in plain.lower()
    assert str(HOME) not in plain
    assert str(RUNTIME_DIR) in plain


def plant(machine: Machine, path: str, text: str) -> None:
    """Write a file of the user, and create its directories."""
    machine.user("mkdir", "-p", path.rpartition("/")[0]).check_returncode()
    machine.user("rm", "-f", path)
    machine.user("tee", path, stdin=text).check_returncode()
