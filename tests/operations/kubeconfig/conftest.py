"""A user with an installed K3s, its kubeconfig, and kubeconfigs of the user."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from k3s_rootless.operations.consent import Ask
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event, Notice
from k3s_rootless.operations.kubeconfig import merge as merging
from k3s_rootless.operations.kubeconfig import source
from k3s_rootless.operations.kubeconfig.merge import Merged
from k3s_rootless.paths import Paths
from tests.cluster.conftest import Cluster
from tests.fakes.user import USER, ordinary_user

THEIRS = """\
# clusters at work
apiVersion: v1
kind: Config
clusters:
- name: work   # the big one
  cluster:
    server: https://work.example:6443
    certificate-authority: ca.pem
- name: home
  cluster: {server: "https://home.example:6443"}
contexts:
- context:
    cluster: work
    namespace: team
    user: alice
  name: work
# the one in the cupboard
- context:
    cluster: home
    user: alice
  name: home
current-context: work
users:
- name: alice
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: login
      interactiveMode: Never
x-of-a-plugin: [1, 2]
"""


class Host:
    """A user with the kubeconfig of K3s, and kubeconfigs of the user."""

    def __init__(self, home: Path, cluster: Cluster) -> None:
        self.home = home
        self.cluster = cluster
        self.environ: dict[str, str] = {"PATH": "/usr/bin:/bin"}
        self.events: list[Event] = []
        self.paths = Paths(home / "root", home, home / "run", home / ".config")
        self.k3s = home / ".kube/k3s.yaml"
        self.config = home / ".kube/config"
        self.k3s.parent.mkdir()
        cluster.write(self.k3s)

    @property
    def context(self) -> Context:
        """The context of the user."""
        return Context(self.paths, self.environ, USER, "alice", self.events.append)

    @property
    def notices(self) -> list[str]:
        """The notices so far."""
        return [event.text for event in self.events if isinstance(event, Notice)]

    def own(self, text: str = THEIRS, path: Path | None = None) -> Path:
        """Write a kubeconfig of the user."""
        path = path or self.config
        path.write_text(text)
        path.chmod(0o600)
        return path

    def merge(self, confirm: Ask = lambda _: None, **options: Any) -> Merged:
        """Merge; by default, no user answers questions."""
        found = source.load(self.context, self.k3s)
        return merging.merge_from(self.context, merging.Request(**options), found, confirm)

    def rotate(self) -> None:
        """Write a kubeconfig with other certificates, as K3s does after a rotation."""
        self.cluster = Cluster.make()
        self.cluster.write(self.k3s)


def document(path: Path) -> Any:
    """Return the content of a kubeconfig."""
    return yaml.safe_load(path.read_text())


def names(path: Path) -> dict[str, list[str]]:
    """Return the names of the entries of a kubeconfig."""
    found = document(path)
    return {
        kind: [one["name"] for one in found.get(kind) or ()]
        for kind in ("clusters", "contexts", "users")
    }


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return Cluster.make()


@pytest.fixture
def host(cluster: Cluster) -> Iterator[Host]:
    """Yield a host, and run this process as its user."""
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-") as name, ordinary_user():
        shutil.chown(name, USER)
        yield Host(Path(name), cluster)
