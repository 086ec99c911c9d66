"""Tests of the readers of NVIDIA GPUs with recorded trees of files; no hardware was at hand.

The files have the form of NVIDIA's driver 550 and of nvidia-ctk 1.17 (its `cdi generate`).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from k3s_rootless.observation import Known
from k3s_rootless.preflight.probes.gpu import gpu
from k3s_rootless.preflight.records import DeviceSpecification, Gpu
from tests.preflight.trees import program, write

VERSION = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n"
    "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n"
)
OPEN_VERSION = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  565.57.01  Release Build\n"
SPECIFICATION = """---
cdiVersion: 0.5.0
containerEdits:
  deviceNodes:
  - path: /dev/nvidiactl
  - path: /dev/nvidia-uvm
  mounts:
  - containerPath: /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.550.54.15
    hostPath: /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.550.54.15
    options: [ro, nosuid, nodev, bind]
devices:
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
  name: "0"
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
  name: all
kind: nvidia.com/gpu
"""
CONFIGURATION = """#accept-nvidia-visible-devices-as-volume-mounts = false
[nvidia-container-cli]
load-kmods = true
no-cgroups = true

[nvidia-container-runtime]
mode = "auto"
"""


def found(root: Path, search: str = "/usr/bin") -> Gpu:
    seen = gpu(root, search)
    assert isinstance(seen, Known)
    return seen.value


def test_a_host_with_a_gpu(tmp_path: Path) -> None:
    card = tmp_path / "sys/bus/pci/devices/0000:01:00.0"
    write(card / "vendor", "0x10de\n")
    write(card / "class", "0x030000\n")
    audio = tmp_path / "sys/bus/pci/devices/0000:01:00.1"
    write(audio / "vendor", "0x10de\n")
    write(audio / "class", "0x040300\n")
    write(tmp_path / "proc/driver/nvidia/version", VERSION)
    for name in ("nvidia0", "nvidiactl", "nvidia-uvm", "nvidia-modeset"):
        write(tmp_path / "dev" / name, "")
    toolkit = program(tmp_path / "usr/local/nvidia/toolkit/nvidia-container-runtime.cdi")
    program(tmp_path / "usr/bin/crun")
    write(tmp_path / "etc/cdi/nvidia.yaml", SPECIFICATION)
    write(tmp_path / "etc/nvidia-container-runtime/config.toml", CONFIGURATION)

    one = found(tmp_path)

    assert (("0000:01:00.0",), "550.54.15") == (one.cards, one.driver)
    assert {"nvidia0": 0, "nvidiactl": 0, "nvidia-uvm": 0} == one.devices
    assert str(toolkit) == one.runtimes["nvidia-cdi"]
    assert {"nvidia-cdi", "crun"} == {name for name, path in one.runtimes.items() if path}
    assert (
        DeviceSpecification("/etc/cdi/nvidia.yaml", "nvidia.com/gpu", ("0", "all"), "550.54.15"),
    ) == one.specifications
    assert (True, "auto") == (one.no_cgroups, one.mode)


def test_a_host_without_a_gpu(tmp_path: Path) -> None:
    one = found(tmp_path)

    assert ((), None, (), None, "") == (
        one.cards,
        one.driver,
        one.specifications,
        one.no_cgroups,
        one.mode,
    )
    assert set(one.devices) == {"nvidiactl", "nvidia-uvm"}


def test_the_open_kernel_module_has_another_form(tmp_path: Path) -> None:
    write(tmp_path / "proc/driver/nvidia/version", OPEN_VERSION)

    assert "565.57.01" == found(tmp_path).driver


def test_a_specification_of_the_toolkit_is_read_once(tmp_path: Path) -> None:
    document = {"kind": "nvidia.com/gpu", "devices": [{"name": "all"}]}
    write(tmp_path / "run/cdi/nvidia.json", json.dumps(document))
    (tmp_path / "var").mkdir()
    (tmp_path / "var/run").symlink_to("../run")

    assert [("/run/cdi/nvidia.json", ("all",), "")] == [
        (one.path, one.devices, one.version) for one in found(tmp_path).specifications
    ]


def test_other_specifications_do_not_count(tmp_path: Path) -> None:
    write(tmp_path / "etc/cdi/vendor.yaml", "kind: vendor.com/net\ndevices: []\n")
    write(tmp_path / "etc/cdi/README", "nvidia.com/gpu")

    assert () == found(tmp_path).specifications


@pytest.mark.parametrize(
    "text", ["kind: [", "\x00", "a: &x 1\nb: *x\n", "- kind: nvidia.com/gpu\n", ""]
)
def test_damaged_files_are_no_failure(tmp_path: Path, text: str) -> None:
    write(tmp_path / "etc/cdi/nvidia.yaml", text)
    write(tmp_path / "etc/nvidia-container-runtime/config.toml", text or "[nvidia-container-cli")
    write(tmp_path / "proc/driver/nvidia/version", text)

    one = found(tmp_path)

    assert (None, None) == (one.driver, one.no_cgroups)
    assert all(specification.problem for specification in one.specifications)


def test_a_directory_in_place_of_a_file_is_no_failure(tmp_path: Path) -> None:
    for path in ("etc/cdi/a.yaml", "etc/nvidia-container-runtime/config.toml"):
        (tmp_path / path).mkdir(parents=True)

    assert ["is a directory"] == [one.problem for one in found(tmp_path).specifications]
