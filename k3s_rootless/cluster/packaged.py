"""The Deployments that K3s packages, from the manifests that it wrote at this start.

K3s writes a manifest for each packaged component, removes the manifest of a disabled one, and skips
a manifest with a `.skip` file beside it (K3s pkg/deploy, v1.21 to v1.36). The API server alone is
not enough: it does not list Deployments that K3s has not created yet, such as traefik's, which a
separate Job creates.
"""

from __future__ import annotations

from pathlib import Path

from k3s_rootless.k3s import layout
from k3s_rootless.observation import Known, Observed, Unknown

# The Deployment that each manifest leads to (K3s manifests/, v1.21 to v1.36).
_DEPLOYMENTS = {
    "coredns.yaml": "coredns",
    "local-storage.yaml": "local-path-provisioner",
    "metrics-server": "metrics-server",
    "traefik.yaml": "traefik",
}


def deployments(data: Path) -> Observed[frozenset[str]]:
    """Return the names of the Deployments to expect in kube-system."""
    manifests = data / layout.MANIFESTS
    try:
        existing = {path.name for path in manifests.iterdir()}
    except OSError as error:
        return Unknown(f"cannot read {manifests}: {(error.strerror or str(error)).lower()}")
    left = {
        manifest
        for manifest in _DEPLOYMENTS
        if manifest in existing and f"{manifest}.skip" not in existing
    }
    return Known(frozenset(_DEPLOYMENTS[manifest] for manifest in left), str(manifests))
