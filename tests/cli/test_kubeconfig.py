"""Tests of `kubeconfig` and `kubectl` as users run them."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from k3s_rootless import schemas
from tests.cli.conftest import USER
from tests.cli.test_bad_bus import environment
from tests.fakes.session import PROJECT, Session, as_user, session

pytestmark = pytest.mark.thorough

PEM = base64.b64encode(b"-----BEGIN CERTIFICATE-----\n").decode()
KUBECONFIG = f"""\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {PEM}
    server: https://127.0.0.1:6443
  name: default
contexts:
- context:
    cluster: default
    user: default
  name: default
current-context: default
kind: Config
users:
- name: default
  user:
    client-certificate-data: {PEM}
    client-key-data: {PEM}
"""
K3S = """#!/bin/sh
case $4 in
exit) exit 77 ;;
kill) kill -TERM $$ ;;
cat) exec cat ;;
esac
printf '%s\\n' "$KUBECONFIG" "$@"
"""


class Installed:
    """A user with a K3s that prints the arguments of its kubectl."""

    def __init__(self, home: Path, bus: Session) -> None:
        self.kubeconfig = home / "k3s.yaml"
        self.config = home / ".kube/config"
        binary = home / "bin/k3s"
        binary.parent.mkdir()
        for path, text in ((self.kubeconfig, KUBECONFIG), (binary, K3S)):
            path.write_text(text)
            os.chown(path, USER, USER)
        binary.chmod(0o755)
        os.chown(home, USER, USER)
        command = f"{binary} server --rootless --write-kubeconfig={self.kubeconfig}"
        (bus.units / "k3s-rootless.service").write_text(f"[Service]\nExecStart={command}\n")
        self.environ = environment(home, bus.runtime) | {"XDG_DATA_HOME": str(home / "share")}

    def __call__(
        self, *arguments: str, more: Mapping[str, str] | None = None, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run `k3s-rootless arguments`."""
        return subprocess.run(
            [*as_user(USER), sys.executable, "-m", "k3s_rootless", *arguments],
            cwd=PROJECT,
            env={**self.environ, **(more or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            input=stdin,
        )

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run a command with --json, and return its document."""
        done = self(*arguments, "--json")
        assert code == done.returncode, done
        found = json.loads(done.stdout)
        assert schemas.name("-".join(arguments[:2])) == found["schema"]
        return found


@pytest.fixture
def tool(home: Path, dbus_daemon: None) -> Iterator[Installed]:
    (home / "session").mkdir()
    with session(home / "session", USER) as bus:
        (bus.directory / "user").symlink_to(bus.units)
        yield Installed(home, bus)


def test_show_path_merge_and_remove(tool: Installed) -> None:
    shown = tool("kubeconfig", "show")
    assert (0, "") == (shown.returncode, shown.stderr)
    assert "DATA+OMITTED" in shown.stdout
    assert PEM not in shown.stdout
    assert (
        KUBECONFIG.replace(" default\n", " k3s-rootless\n")
        == tool("kubeconfig", "show", "--raw").stdout
    )
    assert "https://127.0.0.1:6443" == tool.json("kubeconfig", "show")["server"]
    assert f"{tool.kubeconfig}\n" == tool("kubeconfig", "path").stdout

    merged = tool("kubeconfig", "merge")
    assert (0, "") == (merged.returncode, merged.stderr)
    assert f"merged the context `k3s-rootless` (https://127.0.0.1:6443) into {tool.config}\n" in (
        merged.stdout
    )
    assert "nothing to do" in tool("kubeconfig", "merge").stdout
    assert not tool.json("kubeconfig", "merge")["changed"]
    assert "k3s-rootless" == yaml.safe_load(tool.config.read_text())["current-context"]

    removed = tool("kubeconfig", "remove")
    assert (0, "") == (removed.returncode, removed.stderr)
    assert f"removed the context `k3s-rootless` from {tool.config}\n" in removed.stdout
    assert not tool.json("kubeconfig", "remove")["changed"]
    tool.kubeconfig.unlink()
    gone = tool("kubeconfig", "path")
    assert (3, f"{tool.kubeconfig}\n") == (gone.returncode, gone.stdout)
    assert 3 == tool.json("kubeconfig", "merge", code=3)["errors"][0]["exit_code"]


def test_refusals_name_what_to_do(tool: Installed) -> None:
    tool.config.parent.mkdir()
    tool.config.write_text("users: [{name: k3s-rootless, user: {token: c2VjcmV0}}]\n")
    os.chown(tool.config, USER, USER)
    os.chown(tool.config.parent, USER, USER)

    foreign = tool("kubeconfig", "merge")
    assert (7, "") == (foreign.returncode, foreign.stdout)
    assert "--overwrite" in foreign.stderr
    tool.config.write_text("users: [c2VjcmV0")
    malformed = tool("kubeconfig", "merge")
    assert (1, "") == (malformed.returncode, malformed.stdout)
    assert "c2VjcmV0" not in malformed.stderr
    assert "it is not valid YAML" in malformed.stderr
    assert 2 == tool("kubeconfig", "merge", "--into", str(tool.kubeconfig)).returncode


def test_kubectl_gets_exactly_its_arguments(tool: Installed) -> None:
    def printed(*arguments: str) -> list[str]:
        done = tool("kubectl", *arguments, more={"KUBECONFIG": "/elsewhere", "PATH": "/usr/bin"})
        assert 0 == done.returncode, done
        place, name, *given = done.stdout.splitlines()
        assert (str(tool.kubeconfig), "kubectl") == (place, name)
        return given

    given = ["-nhello", "get", "pods", "--json", "-h", "--", "-x", "a  b", ""]
    assert given == printed(*given)
    assert ["--help"] == printed("--", "--help")
    assert [] == printed()
    helped = tool("kubectl", "--help")
    assert "Usage: " in helped.stdout
    assert "Run the kubectl of K3s" in helped.stdout


def test_kubectl_replaces_the_process(tool: Installed) -> None:
    assert 77 == tool("kubectl", "get", "pods", "exit").returncode
    assert -15 == tool("kubectl", "get", "pods", "kill").returncode
    text = "x" * 200_000
    assert text == tool("kubectl", "get", "pods", "cat", stdin=text).stdout


def test_our_own_failures_have_an_exit_code_of_their_own(tool: Installed) -> None:
    tool.kubeconfig.unlink()

    done = tool("kubectl", "get", "pods", "--json")

    assert (125, "") == (done.returncode, done.stdout)
    assert "error: cannot use the kubeconfig" in done.stderr
    assert "hint: K3s writes it at each start" in done.stderr
    without = tool("kubectl", more={"XDG_RUNTIME_DIR": "/nonexistent"})
    assert 125 == without.returncode


@pytest.mark.parametrize("arguments", [("kubectl", "get"), ("kubeconfig", "show")])
def test_hot_paths_load_nothing_heavy(tool: Installed, arguments: tuple[str, ...]) -> None:
    heavy = {"yaml", "ruamel", "asyncio", "dbus_next", "pydantic", "rich", "http.client", "ssl"}
    code = (
        "import sys, os, atexit\nfrom k3s_rootless.cli import shell\n"
        "os.execve = lambda *_: sys.exit(0)\n"
        f"try: shell({list(arguments)!r})\n"
        "except SystemExit: pass\nprint(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [*as_user(USER), sys.executable, "-c", code],
        cwd=PROJECT,
        env=tool.environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )

    assert set() == heavy & set(done.stderr.split())
