"""`python -m tests.e2e.recorded_output`: record the outputs that the documentation shows.

The commands run in a lab. A recording keeps its values (times, PIDs, sizes) if only these changed.
Afterwards, the blocks of the documentation are written again.

The lab of a host that keeps its controllers on cgroup v1 needs `--ignore cgroup.delegation`, which
the recordings do not show. Lines that depend on the host of the lab are left out.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests import recorded
from tests.e2e import policies
from tests.e2e.conftest import UNIT, Tool
from tests.e2e.upgrading import OWN, QUICK, bring
from tests.lab.driver import Lab
from tests.lab.fixtures import fresh
from tests.machine import HOME, Completed
from tests.node.images import archives

_DEPENDS_ON_HOST = re.compile(r"\b\d+ of \d+ [a-z ]*passed\b|^memory  ")
_APP = """apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  type: LoadBalancer
  ports:
  - name: http
    port: 80
"""
_OTHER_CLUSTER = """apiVersion: v1
kind: Config
clusters:
- cluster:
    server: https://work.example:6443
  name: work
contexts:
- context:
    cluster: work
    user: alice
  name: work
current-context: work
users:
- name: alice
  user: {}
"""
_REGISTRIES = """mirrors:
  docker.io:
    endpoint:
      - https://mirror.example:5000
configs:
  mirror.example:5000:
    auth:
      username: alice
      password: not-shown
    tls:
      ca-file: /home/alice/ca.pem
"""
_TEMPLATE = """{{ template "base" . }}

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.crun.options]
  BinaryName = "/usr/bin/crun"
  SystemdCgroup = true
"""
_CONFIG = "/etc/rancher/k3s/config.yaml"
_OUTPUT = recorded.OUTPUTS
_PATIENCE = 60.0
_ATTEMPTS = 5
_INCOMPLETE = re.compile(r'^unknown |"unknown(?:_sources)?": \[[^]]', re.MULTILINE)

_BACKUPS = ".local/share/k3s-rootless/backups"
_TOKENS = ".local/share/k3s-rootless/earlier-tokens.json"

Recording = tuple[str, str]
"""The name of the file of an output, and its text."""


def main() -> None:
    """Record all outputs in a lab, and write the blocks of the documentation again."""
    _OUTPUT.mkdir(exist_ok=True)
    with Lab.up("recorded-output") as lab:
        if not lab.plays_k3s:
            sys.exit("error: outputs are recorded with the stand-in; unset K3S_BINARY")
        new = dict(recordings(Tool(lab)))
    for file in _OUTPUT.iterdir():
        if file.name not in new:
            file.unlink()
    for name, text in new.items():
        file = _OUTPUT / name
        if not same(name, text):
            file.write_text(text, "utf-8")
            sys.stderr.write(f"{name} is new\n")
    for page in recorded.PAGES:
        page.write_text(recorded.written(page.read_text("utf-8")), "utf-8")


def same(name: str, text: str) -> bool:
    """Return whether the recording of this name has this text, apart from times and the like."""
    file = _OUTPUT / name
    return file.exists() and recorded.stable(
        file.read_text("utf-8"), file.suffix
    ) == recorded.stable(text, file.suffix)


def recordings(tool: Tool) -> Iterator[Recording]:
    """Run all commands, and yield their outputs."""
    yield from _of_a_fault(tool)
    yield from _of_the_first_start(tool)
    yield from _of_settings(tool)
    yield from _of_origins(tool)
    yield from _of_services(tool)
    yield from _of_images(tool)
    yield from _of_policies(tool)
    yield from _of_registries(tool)
    yield from _of_containerd(tool)
    yield from _of_the_end(tool)
    fresh(tool.machine)
    yield from _of_releases(tool)
    fresh(tool.machine)
    yield from _of_upgrades(tool)
    fresh(tool.machine)


def _of_a_fault(tool: Tool) -> Iterator[Recording]:
    """Record a host that forwards no packets, which no user can change."""
    fresh(tool.machine)
    tool.machine.root("sysctl", "-qw", "net.ipv4.ip_forward=0").check_returncode()
    ids = ("sysctl.ip_forward", "session.linger")
    yield text(tool, "check-ip-forward", "check", *ids)
    yield document(tool, "check", "check", *ids)
    yield document(tool, "admin-script", "check", "--admin-script", ids[0])
    yield text(tool, "up-refused", "up", hidden=tool.ignore)
    failing = ("up", "--ignore", ids[0], *tool.ignore, "--json")
    done = tool(*failing)
    yield "up-failed.json", pretty(json.loads(done.stdout))
    yield "up-events.jsonl", events(done.stderr)
    _wait_until_systemd_gives_up(tool)
    yield text(tool, "diagnose", "diagnose")
    yield document(tool, "diagnose", "diagnose")
    tool.machine.root("sysctl", "-qw", "net.ipv4.ip_forward=1").check_returncode()
    tool("uninstall")
    fresh(tool.machine)


def _wait_until_systemd_gives_up(tool: Tool) -> None:
    """Wait for the start limit of the unit, after which its state does not change."""
    end = time.monotonic() + _PATIENCE
    while tool.machine.user("systemctl", "--user", "is-failed", UNIT.name).returncode != 0:
        assert time.monotonic() < end, "systemd still restarts K3s"
        time.sleep(0.2)


def _of_the_first_start(tool: Tool) -> Iterator[Recording]:
    yield document(tool, "ports-stopped", "ports")
    yield document(tool, "install", "install")
    tool("uninstall")
    yield document(tool, "up-dry-run", "up", "--dry-run", hidden=tool.ignore)
    yield text(tool, "up", "up", hidden=tool.ignore)
    tool.up("--wait-for", "deployments")
    yield text(tool, "ports", "ports")
    yield document(tool, "ports", "ports")
    yield text(tool, "status", "status")
    yield document(tool, "status", "status")
    yield from _of_the_kubeconfig(tool)
    yield document(tool, "version", "version")
    yield document(tool, "linger", "linger", "status")
    yield document(tool, "logs", "logs", "--grep", "Bound parent port :6443 ", kind="jsonl")
    tool.machine.user("tee", "app.yaml", stdin=_APP).check_returncode()
    yield text(tool, "ports-plan", "ports", "plan", "app.yaml")
    yield document(tool, "ports-plan", "ports", "plan", "app.yaml")
    yield text(tool, "bundle", "bundle")
    yield document(tool, "bundle", "bundle", "-o", "/tmp/support.tar.gz")
    yield document(tool, "backup-create", "backup", "create")
    yield document(tool, "backup-list", "backup", "list")
    yield document(tool, "backup-verify", "backup", "verify", _backup(tool))
    yield document(tool, "backup-restore", "backup", "restore", _backup(tool), "--yes")
    yield text(tool, "df", "df")
    yield document(tool, "df", "df")
    yield document(tool, "backup-schedule", "backup", "schedule", "daily")
    tool("backup", "schedule", "off")
    yield from _of_certificates(tool)
    yield document(tool, "reset", "reset", "--yes")
    yield from _of_tokens(tool)
    yield from _of_the_encryption(tool)
    tool.machine.root("rm", "-rf", f"{HOME}/{_BACKUPS}")
    tool.machine.root("sh", "-c", f"rm -f {HOME}/*.tar.gz {HOME}/app.yaml /tmp/support.tar.gz")


def _of_certificates(tool: Tool) -> Iterator[Recording]:
    """Record the certificates, and authorities that are the present ones again."""
    yield text(tool, "certs-list", "certs", "list")
    yield document(tool, "certs-list", "certs", "list")
    yield text(tool, "certs-rotate", "certs", "rotate", "--dry-run")
    yield document(tool, "certs-rotate", "certs", "rotate", "--yes", "--service", "admin")
    tls = f"{HOME}/.rancher/k3s/server/tls"
    stage = f"umask 077; mkdir -p ca/tls; cd ca/tls; cat {tls}/server-ca.crt {tls}/server-ca.crt"
    stage += f" > server-ca.crt; cp {tls}/server-ca.key ."
    tool.machine.user("sh", "-c", stage).check_returncode()
    yield document(tool, "certs-rotate-ca", "certs", "rotate-ca", "--path", "ca", "--dry-run")
    tool.machine.root("sh", "-c", f"rm -rf {HOME}/ca {HOME}/.rancher/k3s/server/tls-*")


def _of_the_kubeconfig(tool: Tool) -> Iterator[Recording]:
    """Record a merge into a kubeconfig with another cluster."""
    tool.machine.user("tee", ".kube/config", stdin=_OTHER_CLUSTER).check_returncode()
    tool.machine.user("chmod", "600", ".kube/config").check_returncode()
    yield document(tool, "kubeconfig-show", "kubeconfig", "show")
    yield document(tool, "kubeconfig-path", "kubeconfig", "path")
    yield text(tool, "kubeconfig-merge", "kubeconfig", "merge")
    tool("kubeconfig", "remove").check_returncode()
    yield document(tool, "kubeconfig-merge", "kubeconfig", "merge", "--switch")
    yield document(tool, "kubeconfig-remove", "kubeconfig", "remove")
    tool.machine.user("rm", ".kube/config").check_returncode()


def _of_tokens(tool: Tool) -> Iterator[Recording]:
    """Record the tokens; a bootstrap token has the same identifier in each recording."""
    created = document(tool, "token-create", "token", "create", "--description", "for my laptop")
    identifier = json.loads(created[1])["id"]
    recorded_ones = (
        created,
        text(tool, "token-list", "token", "list"),
        document(tool, "token-list", "token", "list"),
        document(tool, "token-delete", "token", "delete", identifier),
    )
    for name, printed in recorded_ones:
        yield name, printed.replace(identifier, "ab12cd")
    yield text(tool, "token-rotate-dry-run", "token", "rotate", "--dry-run")
    yield document(tool, "token-rotate", "token", "rotate", "--yes")
    yield text(tool, "token-show", "token", "show")
    yield document(tool, "token-show", "token", "show")


def _of_the_encryption(tool: Tool) -> Iterator[Recording]:
    """Record the encryption of Secrets; K3s stays without it."""
    yield text(tool, "encryption-enable-dry-run", "encryption", "enable", "--dry-run")
    yield document(tool, "encryption-enable", "encryption", "enable", "--yes")
    yield text(tool, "encryption-rotate-keys", "encryption", "rotate-keys")
    yield document(tool, "encryption-rotate-keys", "encryption", "rotate-keys")
    yield text(tool, "encryption-status", "encryption", "status")
    yield document(tool, "encryption-status", "encryption", "status")
    yield document(tool, "encryption-disable", "encryption", "disable", "--yes")
    tool("config", "unset", "secrets-encryption").check_returncode()
    tool.machine.root("rm", "-rf", f"{HOME}/{_TOKENS}").check_returncode()


def _backup(tool: Tool) -> str:
    """Return the name of the backup that was created."""
    return tool.machine.user("ls", f"{HOME}/{_BACKUPS}").stdout.split()[0]


def _of_settings(tool: Tool) -> Iterator[Recording]:
    yield document(tool, "config-set", "config", "set", "https-listen-port", "7443")
    yield document(tool, "config-list", "config", "list")
    yield document(tool, "config-get", "config", "get", "https-listen-port")
    yield document(tool, "env-set", "env", "set", "K3S_ROOTLESS_MTU=1400")
    yield document(tool, "env-list", "env", "list")
    yield document(tool, "env-get", "env", "get", "K3S_ROOTLESS_MTU")
    proxy = {"HTTPS_PROXY": "http://alice:password@proxy.example:3128"}
    words = ("env", "import-proxy", "--dry-run")
    yield document(tool, "env-import-proxy", *words, env=proxy)
    tool("config", "unset", "https-listen-port")
    tool("env", "unset", "K3S_ROOTLESS_MTU")
    yield document(tool, "restart", "restart")
    yield document(tool, "down", "down")
    yield document(tool, "up", "up", hidden=tool.ignore)
    yield document(tool, "unit-show", "unit", "show")
    yield text(tool, "unit-show", "unit", "show")
    tool.machine.user("sed", "-i", "s/^RestartSec=.*/RestartSec=5/", str(UNIT))
    yield document(tool, "unit-diff", "unit", "diff")
    yield text(tool, "unit-diff", "unit", "diff")
    tool("uninstall", "--force")
    fresh(tool.machine)


def _of_origins(tool: Tool) -> Iterator[Recording]:
    """Record settings from a configuration file and from an environment file."""
    machine, drop_in = tool.machine, f"{UNIT}.d"
    machine.root(
        "sh", "-c", "mkdir -p /etc/rancher/k3s && echo 'https-listen-port: 7443' >$0", _CONFIG
    ).check_returncode()
    machine.user("tee", "k3s.env", stdin=f"K3S_DATA_DIR={HOME}/k3s-data\n").check_returncode()
    machine.user("mkdir", "-p", drop_in).check_returncode()
    machine.user(
        "tee", f"{drop_in}/override.conf", stdin=f"[Service]\nEnvironmentFile={HOME}/k3s.env\n"
    ).check_returncode()
    tool("install").check_returncode()
    yield text(tool, "config-list-origins", "config", "list")
    machine.root("rm", "-rf", "/etc/rancher", f"{HOME}/k3s.env").check_returncode()
    fresh(machine)


def _of_services(tool: Tool) -> Iterator[Recording]:
    tool.order(services=[{"name": "web-direct", "ports": [8080]}])
    yield text(tool, "up-deployments", "up", "--wait-for", "deployments", hidden=tool.ignore)
    yield text(tool, "ports-url", "ports", "web-direct", "--url")
    yield text(tool, "ports-one", "ports", "web-direct")


def _of_images(tool: Tool) -> Iterator[Recording]:
    # Small enough to be read at once: the progress of a larger one depends on the machine.
    content = archives.docker("localhost/app:1", layer=archives.LAYER[:500_000])
    archive = base64.b64encode(content).decode()
    tool.machine.user("sh", "-c", "base64 -d > app.tar", stdin=archive).check_returncode()
    yield text(tool, "images-import", "images", "import", "app.tar")
    yield document(tool, "images-import", "images", "import", "app.tar")
    yield text(tool, "images-list", "images", "list")
    yield document(tool, "images-list", "images", "list")
    yield document(tool, "images-prune", "images", "prune", "--dry-run")
    yield document(tool, "images-preload", "images", "preload", "app.tar")
    tool.machine.root("rm", "-f", f"{HOME}/app.tar").check_returncode()


def _of_policies(tool: Tool) -> Iterator[Recording]:
    """Record a policy, and two packets of one connection that the policy refuses."""
    policies.add_pods(tool.machine)
    policies.add_policy(tool.machine)
    yield text(tool, "policies-status-not-enforced", "policies", "status")
    policies.add_rules(tool)
    yield text(tool, "policies-status", "policies", "status")
    yield document(tool, "policies-status", "policies", "status")
    for kind, options in (("txt", ()), ("jsonl", ("--json",))):
        with policies.logging(tool, *options) as (_, seen):
            policies.send(tool)
            lines = [seen.wait_for("10.42.0.8").text for _ in range(2)]
        begin = ["$ k3s-rootless policies log\n"] if kind == "txt" else []
        yield f"policies-log.{kind}", "".join((*begin, *lines))


def _of_registries(tool: Tool) -> Iterator[Recording]:
    """Record a mirror with a wrong key, and a registry on the loopback of the host."""
    directory = f"{HOME}/.rancher/k3s/etc/rancher/k3s"
    local = ("registries", "set", "registry.local", "--endpoint", "http://127.0.0.1:5000")
    yield text(tool, "registries-set", *local)
    tool("registries", "remove", "registry.local").check_returncode()
    yield document(tool, "registries-set", *local)
    yield text(tool, "registries-check", "registries", "check", "registry.local")
    yield document(tool, "registries-check", "registries", "check", "registry.local")
    yield document(tool, "registries-remove", "registries", "remove", "registry.local", "--dry-run")
    tool.machine.user("tee", f"{directory}/registries.yaml", stdin=_REGISTRIES).check_returncode()
    yield text(tool, "registries-show", "registries", "show")
    yield document(tool, "registries-show", "registries", "show")
    tool.machine.user("rm", "-r", directory).check_returncode()


def _of_containerd(tool: Tool) -> Iterator[Recording]:
    """Record a template with the cgroup driver that rootless K3s cannot use."""
    directory = f"{HOME}/.rancher/k3s/agent/etc/containerd"
    editor = {"VISUAL": 'sed -i "$ a [debug]"'}
    done = tool("containerd", "edit", "--json", env=editor)
    yield "containerd-edit.json", pretty(json.loads(done.stdout))
    template = f"{directory}/config-v3.toml.tmpl"
    tool.machine.user("tee", template, stdin=_TEMPLATE).check_returncode()
    yield text(tool, "containerd-check", "containerd", "check")
    yield document(tool, "containerd-check", "containerd", "check")
    tool.machine.user("rm", template).check_returncode()
    yield text(tool, "containerd-show", "containerd", "show")
    yield document(tool, "containerd-show", "containerd", "show")
    yield document(
        tool, "containerd-runtime-class", "containerd", "runtime-class", "nvidia-cdi", "--dry-run"
    )


def _of_releases(tool: Tool) -> Iterator[Recording]:
    """Record releases from files, because a lab has no network."""
    for version in ("v1.34.9+k3s1", "v1.35.7+k3s1", "v1.36.3+k3s1"):
        _bring_release(tool, version)
        files = ("--file", "usb/k3s", "--checksums", "usb/sha256sum-amd64.txt")
        if version.startswith("v1.36"):
            yield text(tool, "release-get", "release", "get", *files)
            yield document(tool, "release-use", "release", "use", version)
        else:
            yield document(tool, "release-get", "release", "get", *files)
            tool("release", "use", version)
    yield text(tool, "release-list", "release", "list")
    yield document(tool, "release-list", "release", "list")
    yield document(tool, "release-prune", "release", "prune", "--dry-run")
    yield text(tool, "release-prune", "release", "prune")
    tool.machine.root("rm", "-rf", f"{HOME}/.local/share/k3s-rootless", f"{HOME}/usb")


def _of_upgrades(tool: Tool) -> Iterator[Recording]:
    """Record an upgrade and a rollback, with releases that are stand-ins."""
    before, after = "v1.36.2+k3s1", "v1.36.3+k3s1"
    for release in (before, after):
        bring(tool, release, QUICK)
    tool("release", "use", before).check_returncode()
    tool.up().check_returncode()
    yield text(tool, "upgrade-dry-run", "upgrade", after, "--dry-run")
    yield document(tool, "upgrade", "upgrade", after, "--yes")
    tool("rollback", "--yes").check_returncode()
    yield text(tool, "upgrade", "upgrade", after, "--yes")
    yield text(tool, "rollback-dry-run", "rollback", "--dry-run")
    yield document(tool, "rollback", "rollback", "--yes")
    tool("down").check_returncode()
    tool.machine.root("rm", "-rf", str(OWN), f"{HOME}/usb").check_returncode()


def _bring_release(tool: Tool, version: str) -> None:
    """Write a K3s that prints a version, and its checksum file."""
    program = f"#!/bin/sh\necho 'k3s version {version} (148243c4)'\n#{'-' * 2_000_000}\n"
    tool.machine.user("mkdir", "-p", "usb").check_returncode()
    tool.machine.user("tee", "usb/k3s", stdin=program).check_returncode()
    command = "cd usb && sha256sum k3s > sha256sum-amd64.txt"
    tool.machine.user("sh", "-c", command).check_returncode()


def _of_the_end(tool: Tool) -> Iterator[Recording]:
    yield text(tool, "down", "down")
    yield text(tool, "status-stopped", "status")
    yield text(tool, "uninstall", "uninstall", "--purge", "--yes")
    tool.up()
    tool("kubeconfig", "merge").check_returncode()
    yield document(tool, "uninstall", "uninstall", "--purge", "--yes")


def text(tool: Tool, file: str, *args: str, hidden: tuple[str, ...] = ()) -> Recording:
    """Run a command, and return what a terminal would show, with the command.

    `hidden` are options that the recording does not show.
    """
    command = ("sh", "-c", 'exec "$@" 2>&1', "sh", "k3s-rootless", *args, *hidden)
    printed = _complete(lambda: tool.machine.user(*command)).stdout.rstrip().splitlines()
    assert "Traceback" not in "".join(printed), printed
    kept = [line for line in printed if not _DEPENDS_ON_HOST.search(line)]
    lines = [f"$ k3s-rootless {' '.join(args)}", *kept]
    return f"{file}.txt", "".join(f"{line}\n" for line in lines)


def document(
    tool: Tool,
    file: str,
    *args: str,
    hidden: tuple[str, ...] = (),
    kind: str = "json",
    env: dict[str, str] | None = None,
) -> Recording:
    """Run a command with --json, and return its document, or its lines."""
    done = _complete(lambda: tool(*args, *hidden, "--json", env=env))
    if kind == "jsonl":
        return f"{file}.jsonl", done.stdout
    return f"{file}.json", pretty(json.loads(done.stdout))


def _complete(run: Callable[[], Completed]) -> Completed:
    """Run a command again if it could not read a source in time, on a machine that is busy."""
    for _ in range(_ATTEMPTS - 1):
        done = run()
        if not _INCOMPLETE.search(done.stdout):
            return done
    return run()


def events(stderr: str) -> str:
    """Return the events of a start, without those that depend on the host."""
    return "".join(
        f"{line}\n"
        for line in stderr.splitlines()
        if line.startswith("{") and not _DEPENDS_ON_HOST.search(line)
    )


def pretty(value: Any) -> str:
    """Return the text of a file with a document."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    main()
