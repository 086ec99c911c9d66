"""Tests that our rules are those of kubectl, with a real kubectl of any release."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from k3s_rootless.cluster.kubeconfig import entries, lock, merging, precedence
from k3s_rootless.operations.kubeconfig import source
from k3s_rootless.operations.kubeconfig.show import Shown, redacted
from tests.operations.kubeconfig.conftest import THEIRS, Host, document, names
from tests.patience import PATIENCE

pytestmark = pytest.mark.thorough

OURS = "k3s-rootless"


class Kubectl:
    """A real kubectl, run as the user of a host."""

    def __init__(self, program: str, host: Host) -> None:
        self.program = program
        self.host = host

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run kubectl; the caller checks its exit status."""
        return subprocess.run(
            [self.program, *arguments],
            # kubectl creates the lock of an empty entry of KUBECONFIG in the current directory.
            cwd=self.host.home,
            env={**self.host.environ, "HOME": str(self.host.home)},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def __call__(self, *arguments: str) -> str:
        """Run `kubectl config`, and return its output."""
        done = self.run("config", *arguments)
        assert 0 == done.returncode, done.stderr
        return done.stdout

    def view(self, *arguments: str) -> Any:
        """Return what kubectl reads from all files together."""
        return json.loads(self("view", "--raw", "-o", "json", *arguments))


@pytest.fixture
def kubectl(host: Host) -> Kubectl:
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("kubectl is not installed (Debian: kubernetes-client)")
    host.environ["HOME"] = str(host.home)
    return Kubectl(program, host)


@pytest.mark.parametrize(
    ("variable", "existing"),
    [
        ("", ()),
        ("", (".kube/config",)),
        ("a", ()),
        ("a:b:c", ()),
        ("a:b:c", ("b", "c")),
        ("a:b:c", ("c",)),
        ("a::b", ("b",)),
        ("a:a:b", ("b",)),
        ("new/directory/a", ()),
        ("a:link:b", ("link", "b")),
    ],
    ids=range(10),
)
def test_new_entries_go_to_the_same_file(
    kubectl: Kubectl, host: Host, variable: str, existing: tuple[str, ...]
) -> None:
    for name in existing:
        host.own("{}", host.home / name)
    if "link" in existing:
        (host.home / "link").rename(host.home / "target")
        (host.home / "link").symlink_to("target")
    if variable:
        host.environ["KUBECONFIG"] = ":".join(
            str(host.home / one) if one else "" for one in variable.split(":")
        )
    chosen = precedence.choose(host.environ, Path("/nowhere"))
    assert chosen

    kubectl("set-context", "probe", "--cluster=x")

    assert ["probe"] == names(chosen.file)["contexts"]
    host.merge()
    assert ["probe", OURS] == names(chosen.file)["contexts"]
    seen = kubectl.view()
    assert OURS == seen["current-context"] == kubectl("current-context").strip()


def test_kubectl_reads_what_merge_writes(kubectl: Kubectl, host: Host) -> None:
    host.own()
    host.merge(switch=True)

    seen = kubectl.view("--minify")

    found = source.load(host.context, host.k3s)
    ours = source.entries(found, OURS)
    (cluster,), (user,) = seen["clusters"], seen["users"]
    assert (ours.server, ours.authority) == (
        cluster["cluster"]["server"],
        cluster["cluster"]["certificate-authority-data"],
    )
    assert (ours.certificate, ours.key) == (
        user["user"]["client-certificate-data"],
        user["user"]["client-key-data"],
    )


def test_our_mark_survives_changes_of_kubectl(kubectl: Kubectl, host: Host) -> None:
    path = host.own()
    host.merge(switch=True)

    kubectl("set-context", "--current", "--namespace=dev")
    kubectl("set-cluster", OURS, "--tls-server-name=localhost")
    kubectl("use-context", "home")
    kubectl("delete-context", "work")

    assert merging.Owner.OURS is merging.owner([document(path)], OURS)
    assert not host.merge().changed
    host.rotate()
    assert host.merge().changed
    (ours,) = (one for one in document(path)["contexts"] if one["name"] == OURS)
    assert "dev" == ours["context"]["namespace"]
    (cluster,) = (one for one in document(path)["clusters"] if one["name"] == OURS)
    assert "localhost" == cluster["cluster"]["tls-server-name"]


def test_the_first_file_counts_for_both(kubectl: Kubectl, host: Host) -> None:
    first = host.own("current-context: ''\n", host.home / "a")
    second = host.own(path=host.home / "b")
    third = host.own(THEIRS.replace("current-context: work", "current-context: home"))
    host.environ["KUBECONFIG"] = f"{first}:{second}:{third}"
    found = [document(path) for path in (first, second, third)]

    assert kubectl("current-context").strip() == entries.current_context(found)
    seen = {one["name"]: one["cluster"]["server"] for one in kubectl.view()["clusters"]}
    for name, server in seen.items():
        assert server == entries.inner(entries.first(found, "clusters", name), "clusters")["server"]


def test_secrets_are_removed_as_kubectl_does(kubectl: Kubectl, host: Host) -> None:
    found = source.load(host.context, host.k3s)
    shown = Shown(host.k3s, redacted(source.entries(found, "default")), raw=False)
    seen = kubectl("view", "--kubeconfig", str(host.k3s))

    # Before v1.24, kubectl used another word for the key and certificate of a user.
    expected = yaml.safe_load(seen.replace("REDACTED", "DATA+OMITTED"))
    expected.pop("preferences", None)
    assert expected == yaml.safe_load(shown.text)


def test_kubectl_waits_for_no_lock_of_ours_and_we_take_none_of_its(
    kubectl: Kubectl, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = host.own()
    with lock.locked([path]):
        refused = kubectl.run("config", "use-context", "home")
    assert 0 != refused.returncode
    assert "config.lock: file exists" in refused.stderr

    os.close(os.open(path.with_name("config.lock"), os.O_CREAT | os.O_EXCL, 0))
    assert 0 != kubectl.run("config", "use-context", "home").returncode
    monkeypatch.setattr(lock, "SECONDS", 0.0)
    with pytest.raises(lock.LockHeld):
        host.merge()
    assert THEIRS == path.read_text()


def test_two_kinds_of_writers_at_once(kubectl: Kubectl, host: Host) -> None:
    path = host.own()
    writers = 6
    children = [_in_child(host, f"ours-{number}") for number in range(writers)]
    made = []
    for number in range(writers):
        # kubectl does not wait for a lock.
        while kubectl.run("config", "set-cluster", f"its-{number}", "--server=x").returncode:
            pass
        made.append(f"its-{number}")

    assert [0] * writers == [os.waitstatus_to_exitcode(os.waitpid(one, 0)[1]) for one in children]
    expected = {"work", "home", *made, *(f"ours-{number}" for number in range(writers))}
    assert expected == set(names(path)["clusters"])


def _in_child(host: Host, name: str) -> int:
    child = os.fork()
    if child:
        return child
    try:
        host.merge(name=name)
    except BaseException:  # noqa: BLE001 (the parent checks the status)
        os._exit(1)
    os._exit(0)
