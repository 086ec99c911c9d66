from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from k3s_rootless.errors import NotRunning, RootlessError
from k3s_rootless.operations import kubectl
from k3s_rootless.paths import UNIT
from tests.fakes.managed_host import ManagedHost
from tests.fakes.managed_host import host as managed

HEAD = "# K3s for this user, without root. Written by k3s-rootless for K3s {}; see below."


@pytest.fixture(scope="module")
def user() -> Iterator[ManagedHost]:
    with managed() as one:
        one.provide_k3s()
        one.context.paths.kubeconfig.parent.mkdir()
        yield one


@pytest.fixture
def k3s(dbus_daemon: None, user: ManagedHost) -> ManagedHost:
    user.bus.reset()
    user.events.clear()
    user.context.paths.kubeconfig.touch()
    install(user)
    return user


def install(host: ManagedHost, release: str = "v1.36.3+k3s1", flags: str = "") -> None:
    binary = host.home / "bin/k3s"
    own = host.context.paths
    # The environment of the fake user manager has another HOME.
    places = f"--write-kubeconfig={own.kubeconfig} --data-dir={own.data}"
    command = f"{binary} server --rootless {places} {flags}"
    host.install("\n".join((HEAD.format(release), "[Service]", f"ExecStart={command}", "")))
    with host.context.manager() as manager:
        manager.reload()
        manager.start(UNIT)


def test_everything_is_given_explicitly(k3s: ManagedHost) -> None:
    misleading = {
        "KUBECONFIG": "/elsewhere",
        "K3S_DATA_DIR": "/elsewhere",
        "K3S_CONFIG_FILE": "/elsewhere",
        "PATH": "/nowhere",
        "EDITOR": "vi",
    }

    found = kubectl.program(k3s.context_with(environ=misleading), ("get", "-o=name", "--", "a b"))

    assert (str(k3s.home / "bin/k3s"), "kubectl", "get", "-o=name", "--", "a b") == found.argv
    paths = k3s.context.paths
    assert {
        "KUBECONFIG": str(paths.kubeconfig),
        "K3S_DATA_DIR": str(paths.data),
        "PATH": "/nowhere",
        "EDITOR": "vi",
    } == found.environ
    assert [] == k3s.notices


def test_the_settings_of_the_unit_are_used(k3s: ManagedHost) -> None:
    place = k3s.home / "k3s.yaml"
    place.touch()
    (k3s.home / "own.yaml").write_text("debug: true\n")
    flags = f"--data-dir={k3s.home}/data --write-kubeconfig={place} --config={k3s.home}/own.yaml"
    install(k3s, flags=flags)

    found = kubectl.program(k3s.context, ())

    assert str(place) == found.environ["KUBECONFIG"]
    assert f"{k3s.home}/data" == found.environ["K3S_DATA_DIR"]
    assert f"{k3s.home}/own.yaml" == found.environ["K3S_CONFIG_FILE"]


def test_an_older_release_gets_no_data_directory(k3s: ManagedHost) -> None:
    install(k3s, "v1.28.12+k3s1")

    assert "K3S_DATA_DIR" not in kubectl.program(k3s.context, ()).environ


def test_a_stopped_k3s_is_reported_and_kubectl_runs(k3s: ManagedHost) -> None:
    with k3s.context.manager() as manager:
        manager.stop(UNIT)

    assert kubectl.program(k3s.context, ("version", "--client")).argv
    assert ["K3s is not running; start it with: k3s-rootless up"] == k3s.notices


def test_what_prevents_kubectl_from_running(k3s: ManagedHost) -> None:
    binary, kubeconfig = k3s.home / "bin/k3s", k3s.context.paths.kubeconfig

    def refused() -> RootlessError:
        with pytest.raises(RootlessError) as raised:
            kubectl.program(k3s.context, ())
        return raised.value

    binary.chmod(0o777)
    assert "every user can write" in refused().message
    binary.chmod(0o644)
    assert "is not a program" in refused().message
    binary.chmod(0o755)

    kubeconfig.unlink()
    assert isinstance(refused(), NotRunning)
    assert "k3s-rootless up" in (refused().hint or "")
    _link_to_a_file_of_root(kubeconfig)
    assert "belongs to uid 0" in refused().message
    kubeconfig.unlink()

    k3s.bus.reset()
    assert "not installed" in refused().message


def _link_to_a_file_of_root(path: Path) -> None:
    if os.getuid() == 0:
        pytest.skip("the test needs a file of another user")
    path.symlink_to("/etc/passwd")
