from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.cluster.packaged import deployments
from k3s_rootless.observation import Known, Unknown


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["coredns.yaml", "ccm.yaml", "rolebindings.yaml"], {"coredns"}),
        (
            ["local-storage.yaml", "metrics-server", "traefik.yaml"],
            {"local-path-provisioner", "metrics-server", "traefik"},
        ),
        (["coredns.yaml", "traefik.yaml", "traefik.yaml.skip"], {"coredns"}),
        ([], set()),
    ],
)
def test_the_manifests_determine_the_packaged_deployments(
    tmp_path: Path, files: list[str], expected: set[str]
) -> None:
    manifests = tmp_path / "server" / "manifests"
    manifests.mkdir(parents=True)
    for name in files:
        (manifests / name).touch()

    assert Known(frozenset(expected), str(manifests)) == deployments(tmp_path)


def test_an_unreadable_directory_is_unknown(tmp_path: Path) -> None:
    assert isinstance(deployments(tmp_path), Unknown)
