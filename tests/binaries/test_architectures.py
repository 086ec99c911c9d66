from __future__ import annotations

import pytest

from k3s_rootless.binaries import architectures


@pytest.mark.parametrize(
    ("machine", "names"),
    [
        ("x86_64", ("k3s", "sha256sum-amd64.txt", "k3s-airgap-images-amd64")),
        ("aarch64", ("k3s-arm64", "sha256sum-arm64.txt", "k3s-airgap-images-arm64")),
        ("armv7l", ("k3s-armhf", "sha256sum-arm.txt", "k3s-airgap-images-arm")),
        ("armv6l", ("k3s-armhf", "sha256sum-arm.txt", "k3s-airgap-images-arm")),
    ],
)
def test_the_assets_of_an_architecture(machine: str, names: tuple[str, str, str]) -> None:
    found = architectures.of_machine(machine)

    assert found
    assert names == (found.binary, found.checksums, found.images)


@pytest.mark.parametrize("machine", ["s390x", "riscv64", "ppc64le", "i686", ""])
def test_other_machines_have_no_release(machine: str) -> None:
    assert architectures.of_machine(machine) is None
