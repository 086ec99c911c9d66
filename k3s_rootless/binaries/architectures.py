"""The architectures that K3s is released for, and the names of their assets.

Source: scripts/validate-artifacts and install.sh of K3s (v1.36). Releases for s390x ended in 2023.
"""

from __future__ import annotations

from k3s_rootless.binaries.facts import Architecture

_NAMES = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
}
_SUFFIXES = {"amd64": "", "arm64": "-arm64", "arm": "-armhf"}
_ARCHIVES = (".tar.zst", ".tar.gz", ".tar")
"""The smallest one first; before v1.21 there was only the last one."""


def of_machine(machine: str) -> Architecture | None:
    """Return the architecture of a machine, as `uname -m` prints it; None if K3s has none."""
    # Every 32-bit ARM machine gets the same binary, as in install.sh.
    name = _NAMES.get(machine) or ("arm" if machine.startswith("arm") else None)
    if name is None:
        return None
    return Architecture(
        name=name,
        binary=f"k3s{_SUFFIXES[name]}",
        checksums=f"sha256sum-{name}.txt",
        images=f"k3s-airgap-images-{name}",
    )


def archives(architecture: Architecture) -> tuple[str, ...]:
    """Return the names of the archives of images, the smallest archive first."""
    return tuple(f"{architecture.images}{suffix}" for suffix in _ARCHIVES)
