"""Tests of the environment with a real user manager.

Each value reaches the process of K3s, and equals the value that the tool reported.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.service.environment.variables import VARIABLES
from tests.e2e.conftest import UNIT, Tool
from tests.machine import HOME, RUNTIME_DIR, TOOL, Machine

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]
DROP_INS = UNIT.with_name(f"{UNIT.name}.d")
OURS = DROP_INS / "50-k3s-rootless-environment.conf"
SEEN = RUNTIME_DIR / "seen"
RELEASE = (
    "# K3s for this user, without root. Written by k3s-rootless for K3s v1.33.4+k3s1; for a test.\n"
)
PRINTER = (
    f"{RELEASE}[Service]\nType=oneshot\nExecStart=/bin/sh -c 'cat /proc/self/environ > {SEEN}'\n"
)
SLEEPER = f"{RELEASE}[Service]\nType=exec\nExecStart=/usr/bin/sleep infinity\n"
# These accept any value: K3s ignores values that it cannot read.
NAMES = sorted(
    name
    for name in VARIABLES
    if name not in {"K3S_ROOTLESS_CIDR", "K3S_ROOTLESS_COPYUPDIRS", "K3S_ROOTLESS_MTU"}
)
VALUES = {252: 2250}
"""Values by the version of systemd; the parser of the others has the same rules."""
FEWER = 600
EVERY = 15
"""Number of changes after which a process is started and its environment read."""
# One interpreter for all changes; each change runs the command, and other programs check it.
SETTER = f"""
import contextlib, io, json, os, subprocess, sys
from k3s_rootless.cli import shell
def run(*words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            shell.main(list(words))
        except SystemExit as end:
            return end.code, out.getvalue() + err.getvalue()
def others(values, found):
    pairs = values.items()
    return [[name, value, found.get(name)] for name, value in pairs if found.get(name) != value]
place = "/org/freedesktop/systemd1/unit/k3s_2drootless_2eservice"
ask = ["busctl", "--user", "--json=short", "get-property", "org.freedesktop.systemd1", place]
ask += ["org.freedesktop.systemd1.Service", "Environment"]
wrong, seen = [], 0
for number, values in enumerate(json.load(sys.stdin)):
    code, words = run("env", "set", *(f"{{name}}={{value}}" for name, value in values.items()))
    if code:
        wrong.append([values, code, words])
        continue
    answer = json.loads(subprocess.run(ask, capture_output=True, check=True).stdout)
    found = dict(one.split("=", 1) for one in answer["data"])
    wrong += others(values, found)
    if number % {EVERY} == 0:
        subprocess.run(["systemctl", "--user", "start", "{UNIT.name}"], check=True)
        with open("{SEEN}", "rb") as file:
            pairs = [one.decode().split("=", 1) for one in file.read().split(bytes(1)) if one]
        found = dict(pairs)
        seen += len(values)
        wrong += [[*one, "process"] for one in others(values, found)]
print(json.dumps([wrong, seen]))
"""
ALPHABET = [
    *"ab $%\"'\\\n\t;#={}()*?~^&|<>`!-:/,.@0",
    *(
        "\u00e9",
        "\u65e5",
        "\x01",
        "\x1b",
        "\x7f",
        "\r",
        "\u00a0",
        "\u200b",
        "\U0001f600",
        "\ue000",
        "\U0010fffd",
    ),
    *(
        "%h",
        "%%",
        "$HOME",
        "${HOME}",
        "$$",
        "\\n",
        "\\x41",
        "\\",
        "  ",
        "\n\n",
        "\\\n",
        '"\n',
        "[Service]\n",
        "\nEnvironment=",
    ),
]
CHOSEN = [
    "",
    " ",
    "a b",
    " lead",
    "trail ",
    '"',
    "'",
    "\\",
    "a\\",
    "%",
    "$",
    "\n",
    "\t",
    "#c",
    ";c",
    "=",
    "a=b",
    "x" * 60_000,
    "\U0001f600" * 999,
]


def values(count: int) -> list[str]:
    """Return `count` values of all kinds, the same at each run."""
    drawn = random.Random(4)  # noqa: S311 (test values)
    return [
        *CHOSEN,
        *(
            "".join(drawn.choices(ALPHABET, k=drawn.randint(1, 14)))
            for _ in range(count - len(CHOSEN))
        ),
    ]


def write(tool: Tool, path: Path, text: str, *, reload: bool = True) -> None:
    tool.machine.user("mkdir", "-p", str(path.parent)).check_returncode()
    tool.machine.user("tee", str(path), stdin=text).check_returncode()
    if reload:
        tool.machine.user("systemctl", "--user", "daemon-reload").check_returncode()


def test_each_value_reaches_the_process(any_tool: Tool) -> None:
    write(any_tool, UNIT, PRINTER)
    count = VALUES.get(any_tool.machine.systemd, FEWER)
    texts = values(count)
    batches = [
        dict(zip(NAMES, texts[at:], strict=False)) for at in range(0, len(texts), len(NAMES))
    ]

    done = any_tool.machine.user(
        "/opt/k3s-rootless/bin/python", "-I", "-c", SETTER, stdin=json.dumps(batches), timeout=300
    )

    assert 0 == done.returncode, done.stderr[-2000:]
    wrong, seen = json.loads(done.stdout)
    assert [] == wrong[:5]
    assert count == len(texts)
    assert seen >= count / 25


def row(tool: Tool, name: str = "K3S_ROOTLESS_MTU") -> Any:
    return next(one for one in tool.json("env", "list")["variables"] if one["name"] == name)


def environ(tool: Tool, name: str = "K3S_ROOTLESS_MTU") -> str | None:
    """Restart the unit, and return the value in the environment of its process."""
    tool.machine.user("systemctl", "--user", "reset-failed")
    tool.machine.user("systemctl", "--user", "restart", UNIT.name).check_returncode()
    pid = tool.machine.user(
        "systemctl", "--user", "show", "-P", "MainPID", UNIT.name
    ).stdout.strip()
    pairs = tool.machine.user("cat", f"/proc/{pid}/environ").stdout.split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair).get(name)


def read_from_a_file(tool: Tool) -> None:
    write(tool, PROXY_FILE, f'# c\n{MTU} = "10\\"07" \n')
    write(tool, UNIT, f"{SLEEPER}EnvironmentFile=-%h/proxy.*\n")


def shell(*words: str) -> Callable[[Tool], None]:
    return lambda tool: tool.machine.user(*words).check_returncode()


def file(path: Path, text: str) -> Callable[[Tool], None]:
    return lambda tool: write(tool, path, text)


ENVIRONMENT_D = HOME / ".config/environment.d/60-test.conf"
PROXY_FILE = HOME / "proxy.env"
RUNTIME = RUNTIME_DIR / "systemd/user" / DROP_INS.name / "zz-runtime.conf"
MTU = "K3S_ROOTLESS_MTU"
# From the weakest to the strongest origin: the step, then the expected value, origin and file.
LADDER = (
    (shell("true"), None, "default", None),
    (file(ENVIRONMENT_D, f"TENS=10\n{MTU}=${{TENS}}01\n"), "1001", "environment.d", ENVIRONMENT_D),
    (shell(TOOL, "env", "set", "--runtime", f"{MTU}=1002"), "1002", "manager", None),
    (file(UNIT, f"{SLEEPER}Environment={MTU}=1003\n"), "1003", "unit", UNIT),
    (shell(TOOL, "env", "set", f"{MTU}=1004"), "1004", "drop-in", OURS),
    (
        file(DROP_INS / "override.conf", f"[Service]\nEnvironment='{MTU}=1005'\n"),
        "1005",
        "drop-in",
        DROP_INS / "override.conf",
    ),
    (file(DROP_INS / "override.conf", "[Service]\nEnvironment=\n"), "1002", "manager", None),
    (file(RUNTIME, f"[Service]\nEnvironment={MTU}=10%%\n"), "10%", "drop-in", RUNTIME),
    (read_from_a_file, '10"07', "EnvironmentFile", PROXY_FILE),
    (
        file(DROP_INS / "10-x.conf", f"[Service]\nUnsetEnvironment={MTU}=no\n"),
        '10"07',
        "EnvironmentFile",
        PROXY_FILE,
    ),
    (
        file(DROP_INS / "10-x.conf", f"[Service]\nUnsetEnvironment={MTU}\n"),
        None,
        "UnsetEnvironment",
        DROP_INS / "10-x.conf",
    ),
)


def test_the_strongest_origin_counts_and_reaches_the_process(any_tool: Tool) -> None:
    write(any_tool, UNIT, SLEEPER)
    try:
        for does, value, origin, path in LADDER:
            does(any_tool)
            shown, found = row(any_tool), environ(any_tool)

            expected = (value, origin, str(path) if path else None)
            assert expected == (shown["value"], shown["origin"], shown["path"])
            assert value == found, "what a real process was started with"
            after = row(any_tool)
            assert (after["started_with"], after["restart_needed"]) == (value, False)
    finally:
        any_tool.machine.user("rm", "-f", str(ENVIRONMENT_D), str(PROXY_FILE))


def test_a_set_variable_is_pending_until_a_restart(lab_tool: Tool) -> None:
    lab_tool.up().check_returncode()
    assert lab_tool.json("status")["restart_needed"] is None

    done = lab_tool(
        "env", "set", "K3S_ROOTLESS_MTU=1400", "HTTP_PROXY=http://user:sesame@127.0.0.1:3128"
    )
    assert (
        "restart required: K3S_ROOTLESS_MTU, HTTP_PROXY changed after K3s was started; apply it"
        " with: k3s-rootless restart" in done.stdout
    )

    status = lab_tool("status")
    cause = "K3S_ROOTLESS_MTU, HTTP_PROXY changed after K3s was started"
    assert (
        f"pending      restart required: {cause}; apply it with: k3s-rootless restart"
        in status.stdout
    )
    assert 1 == status.stdout.count("pending")
    assert cause == lab_tool.json("status")["restart_needed"]
    assert f"restart required: {cause}; apply it with: k3s-rootless restart" in lab_tool.up().stderr
    listed = lab_tool("env", "list")
    assert "sesame" not in status.stdout + listed.stdout + listed.stderr
    lab_tool("restart").check_returncode()
    assert lab_tool.json("status")["restart_needed"] is None
    assert "1400" == row(lab_tool)["started_with"]

    lab_tool("env", "unset", "K3S_ROOTLESS_MTU", "HTTP_PROXY").check_returncode()
    assert cause == lab_tool.json("status")["restart_needed"]
    lab_tool("restart").check_returncode()

    runtime = "K3S_ROOTLESS_PORT_DRIVER=slirp4netns"
    assert "PORT_DRIVER changed after" in lab_tool("env", "set", "--runtime", runtime).stdout
    assert (
        "K3S_ROOTLESS_PORT_DRIVER changed after K3s was started"
        == lab_tool.json("status")["restart_needed"]
    )


def test_set_and_unset_leave_the_files_unchanged(lab_tool: Tool) -> None:
    lab_tool("install").check_returncode()
    before = lab_tool.machine.user("find", str(UNIT.parent), "-ls").stdout.splitlines()[1:]

    for _ in range(2):
        lab_tool("env", "set", "K3S_ROOTLESS_MTU=1400").check_returncode()
        assert "Environment=" in lab_tool("unit", "show").stdout
        lab_tool("env", "unset", "K3S_ROOTLESS_MTU").check_returncode()

        assert (
            before == lab_tool.machine.user("find", str(UNIT.parent), "-ls").stdout.splitlines()[1:]
        )


def test_an_overriding_drop_in_is_reported_and_a_link_is_not_removed(lab_tool: Tool) -> None:
    write(lab_tool, DROP_INS / "override.conf", "[Service]\nEnvironment=K3S_ROOTLESS_MTU=9000\n")
    early = lab_tool("env", "set", "K3S_ROOTLESS_MTU=1400")
    lab_tool("install").check_returncode()
    late = lab_tool("env", "set", "K3S_ROOTLESS_MTU=1400")
    unset = lab_tool("env", "unset", "K3S_ROOTLESS_MTU")
    lab_tool.machine.user("ln", "-s", "/nowhere", str(OURS)).check_returncode()
    refused = [
        lab_tool("env", *words) for words in (("unset", "K3S_ROOTLESS_MTU"), ("set", "NO_PROXY=a"))
    ]

    warning = f"K3S_ROOTLESS_MTU is overridden by drop-in {DROP_INS}/override.conf"
    assert (0, True) == (early.returncode, warning in early.stderr)
    assert (1, True) == (late.returncode, "and is read later" in late.stderr)
    assert "K3S_ROOTLESS_MTU is unset\n" == unset.stdout
    assert [7, 7] == [one.returncode for one in refused]
    assert "/nowhere\n" == lab_tool.machine.user("readlink", str(OURS)).stdout


def test_only_force_replaces_an_edited_drop_in(lab_tool: Tool) -> None:
    lab_tool(
        "env", "set", "K3S_ROOTLESS_MTU=1400", "HTTPS_PROXY=http://user:sesame@proxy:3128"
    ).check_returncode()
    lab_tool.up().check_returncode()
    edited = lab_tool.machine.user("cat", str(OURS)).stdout.replace("1400", "1300") + "Nice=5\n"
    lab_tool.machine.user("tee", str(OURS), stdin=edited).check_returncode()

    up, diff = lab_tool.up(), lab_tool("unit", "diff")
    assert (0, 1) == (up.returncode, diff.returncode), up.stderr
    assert f"kept {OURS}: it was written by k3s-rootless and edited since" in up.stderr
    assert "restart required: K3S_ROOTLESS_MTU changed after K3s was started" in up.stderr
    assert "-Nice=5" == diff.stdout.splitlines()[-1]
    assert "sesame" not in diff.stdout + lab_tool("unit", "diff", "--json").stdout
    assert [7, 7] == [
        lab_tool("env", *words).returncode
        for words in (("set", "NO_PROXY=a"), ("unset", "HTTPS_PROXY"))
    ]
    assert edited == lab_tool.machine.user("cat", str(OURS)).stdout

    forced = lab_tool.up("--force", "--restart")
    assert 0 == forced.returncode, forced.stderr
    assert 0 == lab_tool("unit", "diff").returncode
    assert ("1300", "1300", False) == tuple(
        row(lab_tool)[key] for key in ("value", "started_with", "restart_needed")
    )
    kept = lab_tool.machine.user(
        "sh", "-c", f"stat -c %a {DROP_INS}/*.bak && cat {DROP_INS}/*.bak"
    ).stdout
    assert f"600\n{edited}" == kept


def test_a_drop_in_that_others_can_read_gets_its_mode_without_a_restart(lab_tool: Tool) -> None:
    lab_tool("env", "set", "HTTPS_PROXY=http://user:sesame@proxy:3128").check_returncode()
    lab_tool.up().check_returncode()
    before = lab_tool.json("status")["unit"]["invocation"]
    lab_tool.machine.user("chmod", "644", str(OURS)).check_returncode()

    up = lab_tool.up()

    assert (
        f"set the mode of {OURS} to 0600: other users can access it: its mode is 0644" in up.stderr
    )
    assert "600\n" == lab_tool.machine.user("stat", "-c", "%a", str(OURS)).stdout
    assert before == lab_tool.json("status")["unit"]["invocation"]
    assert "nothing to do" in lab_tool.up().stderr


def test_an_internal_variable_in_the_manager_is_reported(lab_tool: Tool) -> None:
    write(lab_tool, UNIT, SLEEPER)
    lab_tool.machine.user(
        "systemctl",
        "--user",
        "set-environment",
        "_K3S_ROOTLESS_SOCK=/x",
        "K3S_ROOTLESS_PORTDRIVER=x",
    )

    assert ["K3S_ROOTLESS_PORTDRIVER", "_K3S_ROOTLESS_SOCK"] == lab_tool.json("env", "list")[
        "unexpected"
    ]
    (found,) = lab_tool.json("check", "env.valid")["checks"]
    assert ("fail", "_K3S_ROOTLESS_SOCK, K3S_ROOTLESS_PORTDRIVER") == (
        found["verdict"],
        found["observed"],
    )
    up = lab_tool.up()
    assert (5, True) == (up.returncode, "env.valid" in up.stderr), up.stderr
    lab_tool(
        "env", "unset", "--runtime", "_K3S_ROOTLESS_SOCK", "K3S_ROOTLESS_PORTDRIVER"
    ).check_returncode()
    assert [] == lab_tool.json("env", "list")["unexpected"]
    lab_tool("env", "set", "--runtime", "K3S_ROOTLESS_PORT_DRIVER=bultin").check_returncode()
    (found,) = lab_tool.json("check", "env.valid")["checks"]
    assert ("warn", "K3S_ROOTLESS_PORT_DRIVER") == (found["verdict"], found["observed"])


def test_a_network_of_this_host_is_known(lab_tool: Tool) -> None:
    write(lab_tool, UNIT, SLEEPER)
    root = lab_tool.machine.root
    root(
        "sh",
        "-c",
        "ip tuntap add d0 mode tap && ip address add 172.29.0.1/24 dev d0 && ip link set d0 up",
    ).check_returncode()
    try:
        done = lab_tool("env", "set", "K3S_ROOTLESS_CIDR=172.29.0.0/16")
    finally:
        root("ip", "link", "del", "d0").check_returncode()

    assert "172.29.0.0/16 overlaps with 172.29.0.0/24 (d0 of this host)" in done.stderr


def test_the_next_run_completes_one_that_was_killed(lab: Machine, lab_tool: Tool) -> None:
    write(lab_tool, UNIT, SLEEPER)
    users = DROP_INS / "override.conf"
    write(lab_tool, users, "[Service]\nEnvironment=MINE=1\n")
    begun = time.monotonic()
    lab_tool("env", "set", "K3S_ROOTLESS_MTU=1").check_returncode()
    whole = time.monotonic() - begun

    for moment in range(8):
        with lab.popen(TOOL, "env", "set", f"K3S_ROOTLESS_MTU={1000 + moment}") as killed:
            time.sleep(whole * (moment + 1) / 8)
            killed.kill()
        lab_tool("env", "set", "HTTP_PROXY=http://proxy").check_returncode()

        shown = row(lab_tool)
        found = lab.user("cat", str(OURS)).stdout
        assert f'"K3S_ROOTLESS_MTU={shown["value"]}"' in found, "file and systemd agree"
        assert int(shown["value"]) in {1, *range(1000, 1000 + moment + 1)}
        names = lab.user("ls", "-A", str(DROP_INS)).stdout.split()
        assert sorted([OURS.name, users.name]) == names, "no temporary file is left behind"
        assert "[Service]\nEnvironment=MINE=1\n" == lab.user("cat", str(users)).stdout
