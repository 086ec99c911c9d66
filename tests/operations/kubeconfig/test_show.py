from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import yaml

from k3s_rootless.cluster.kubeconfig import k3s_form
from k3s_rootless.cluster.kubeconfig.facts import Entries
from k3s_rootless.errors import NotRunning, RootlessError, UsageError
from k3s_rootless.operations.kubeconfig import document as documents
from k3s_rootless.operations.kubeconfig import merge, show
from k3s_rootless.paths import UNIT
from tests.cluster.conftest import Cluster
from tests.fakes.managed_host import TEXT, ManagedHost
from tests.fakes.managed_host import host as managed
from tests.ports import peers


@dataclass
class Installed:
    """A user with an installed K3s."""

    managed: ManagedHost
    cluster: Cluster

    def write(self, server: str = "https://127.0.0.1:6443") -> None:
        """Write the kubeconfig of K3s."""
        path = self.managed.context.paths.kubeconfig
        path.parent.mkdir(exist_ok=True)
        self.cluster.write(path, server)

    def show(self, *, raw: bool = False, host: str | None = None) -> show.Shown:
        """Show the kubeconfig."""
        return show.show(self.managed.context, raw=raw, host=host)


def unit(host: ManagedHost) -> str:
    """Return a unit whose K3s writes its kubeconfig in the home directory of the host."""
    return f"{TEXT.rstrip()} --write-kubeconfig={host.context.paths.kubeconfig}"


@pytest.fixture(scope="module")
def user(cluster: Cluster) -> Iterator[ManagedHost]:
    with managed() as one:
        yield one


@pytest.fixture
def k3s(dbus_daemon: None, user: ManagedHost, cluster: Cluster) -> Installed:
    user.bus.reset()
    user.install(unit(user))
    found = Installed(user, cluster)
    found.write()
    return found


def test_secrets_are_shown_on_request_only(k3s: Installed) -> None:
    hidden, shown = k3s.show(), k3s.show(raw=True)

    theirs = k3s.cluster.document()
    found = yaml.safe_load(shown.text)
    assert theirs["users"][0]["user"] == found["users"][0]["user"]
    assert theirs["clusters"][0]["cluster"] == found["clusters"][0]["cluster"]
    assert "k3s-rootless" == found["current-context"] == found["contexts"][0]["name"]
    for secret in theirs["users"][0]["user"].values():
        assert secret not in hidden.text
        assert secret not in str(documents.of_shown(hidden))
    assert shown.text == documents.of_shown(shown)["kubeconfig"]
    assert {"DATA+OMITTED"} == set(yaml.safe_load(hidden.text)["users"][0]["user"].values())


@pytest.mark.parametrize("name", ["k3s-rootless", "yes", "a: b", "é", "😀", "1", '"', "null"])
def test_a_name_is_a_string(name: str) -> None:
    text = k3s_form.render(Entries(name, "https://a:1", "A", "B", "C"))

    found = yaml.safe_load(text)
    assert name == found["current-context"] == found["users"][0]["name"]


def test_the_address_for_another_machine_must_be_in_the_certificate(k3s: Installed) -> None:
    with pytest.raises(NotRunning, match="K3s is not running"):
        k3s.show(host="localhost")
    with k3s.managed.context.manager() as manager:
        manager.start(UNIT)
    with pytest.raises(RootlessError, match="connection refused") as refused:
        k3s.show(host="localhost")
    assert "k3s-rootless status" in (refused.value.hint or "")

    with peers.over_tls(k3s.cluster.context(), peers.answering({})) as server:
        port = server.server_address[1]
        k3s.write(f"https://127.0.0.1:{port}")
        assert f"https://localhost:{port}" == k3s.show(host="LOCALHOST").entries.server
        with pytest.raises(RootlessError, match="does not have this name") as missing:
            k3s.show(host="box.example")

    hint = missing.value.hint or ""
    assert "k3s-rootless config set tls-san box.example && k3s-rootless restart" in hint
    assert f"ssh -N -L {port}:127.0.0.1:{port} alice@box.example" in hint


def test_names_that_are_set_already_stay_in_the_hint(k3s: Installed) -> None:
    k3s.managed.bus.reset()
    k3s.managed.install(f"{unit(k3s.managed)} --tls-san one --tls-san=two\n")
    with k3s.managed.context.manager() as manager:
        manager.start(UNIT)
    with peers.over_tls(k3s.cluster.context(), peers.answering({})) as server:
        k3s.write(f"https://127.0.0.1:{server.server_address[1]}")
        with pytest.raises(RootlessError) as missing:
            k3s.show(host="2001:db8::1")

    assert "config set tls-san one,two,2001:db8::1 " in (missing.value.hint or "")


@pytest.mark.parametrize("host", ["", "a b", "https://a", "a:1", "-x", "*.a", "a\n"])
def test_a_host_that_is_none(k3s: Installed, host: str) -> None:
    with pytest.raises(UsageError, match="neither a host name nor an address"):
        k3s.show(host=host)


def test_the_path_of_a_file_that_k3s_has_not_written_yet(k3s: Installed) -> None:
    path = k3s.managed.context.paths.kubeconfig
    assert show.Located(path, exists=True) == show.locate(k3s.managed.context)

    path.unlink()
    assert show.Located(path, exists=False) == show.locate(k3s.managed.context)
    with pytest.raises(NotRunning, match="does not exist"):
        k3s.show()
    with pytest.raises(NotRunning, match="does not exist"):
        merge.merge(k3s.managed.context, merge.Request(), lambda _: None)


def test_without_an_installed_k3s(k3s: Installed) -> None:
    k3s.managed.bus.reset()
    context = k3s.managed.context
    for query in (k3s.show, lambda: show.locate(context)):
        with pytest.raises(NotRunning, match="not installed"):
            query()
    with pytest.raises(NotRunning, match="not installed"):
        merge.merge(context, merge.Request(), lambda _: None)
