"""Checks of NVIDIA GPUs and of container runtimes.

Rootless K3s with a GPU was not tried on hardware. The facts are those of NVIDIA's container toolkit
(issues 56, 85 and 434), of K3s pkg/agent/containerd, and of containerd's CRI plugin.
"""

from __future__ import annotations

import errno

from k3s_rootless.finding import FixableBy, Remedy
from k3s_rootless.k3s.features import Since
from k3s_rootless.k3s.version import Version
from k3s_rootless.observation import Known
from k3s_rootless.preflight.checks.judgement import (
    FATAL,
    INFORMATIVE,
    Checklist,
    Judgement,
    failed,
    info,
    passed,
)
from k3s_rootless.preflight.facts import Facts
from k3s_rootless.preflight.records import DeviceSpecification, Gpu
from k3s_rootless.preflight.remedies import settings

check = Checklist()
_CDI_BY_DEFAULT = Since.of("v1.31.6+k3s1", "v1.32.2+k3s1")
"""containerd 2 reads CDI specifications by default; 1.7 does not."""
_RUNTIME = "default-runtime"
_NOT_NEEDED = "not needed: no NVIDIA driver is loaded"
_INSTALL = (
    "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html"
)
_GENERATE = "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"


@check.seen("gpu.driver", "NVIDIA driver", INFORMATIVE, "gpu")
def driver(_: Facts, seen: Known[Gpu]) -> Judgement:
    """Check that a card has its driver."""
    found = seen.value
    if found.driver is not None:
        return passed(f"driver {found.driver}", "/proc/driver/nvidia/version")
    if not found.cards:
        return passed("no NVIDIA GPU", seen.source)
    return info(
        f"{len(found.cards)} cards, no driver",
        "the kernel module of NVIDIA is not loaded, so no pod can use the GPU",
        seen.source,
        Remedy(FixableBy.ADMINISTRATOR, "install NVIDIA's driver, and load it before K3s starts"),
    )


@check.seen("gpu.devices", "NVIDIA device nodes", INFORMATIVE, "gpu")
def device_nodes(_: Facts, seen: Known[Gpu]) -> Judgement:
    """Check that the user can open the device nodes, which cannot be created in a namespace."""
    found = seen.value
    if found.driver is None:
        return passed(_NOT_NEEDED)
    missing = [name for name, error in found.devices.items() if error == errno.ENOENT]
    cards = [name for name in found.devices if name[-1].isdecimal()]
    if missing or not cards:
        names = ", ".join(f"/dev/{name}" for name in missing or ["nvidia0"])
        return info(
            f"missing: {names}",
            "no program in K3s's namespaces can create device nodes, so they must exist before a"
            " start",
            "/dev",
            Remedy(
                FixableBy.ADMINISTRATOR,
                "create the device nodes, at each boot",
                ("sudo nvidia-modprobe -u -c 0",),
            ),
        )
    closed = [name for name, error in found.devices.items() if error]
    if closed:
        names = ", ".join(f"/dev/{name}" for name in closed)
        return info(
            f"cannot be opened: {names}",
            "containers have the rights of this user, or fewer",
            "open(2)",
            Remedy(
                FixableBy.ADMINISTRATOR,
                "let this user open the devices (NVIDIA's default mode is 0666)",
            ),
        )
    return passed(", ".join(f"/dev/{name}" for name in found.devices), "open(2)")


@check.seen("gpu.toolkit", "NVIDIA container toolkit", INFORMATIVE, "gpu")
def toolkit(_: Facts, seen: Known[Gpu]) -> Judgement:
    """Check that K3s finds a runtime of NVIDIA at its start."""
    found = seen.value
    names = [name for name, path in found.runtimes.items() if path and name.startswith("nvidia")]
    if names:
        return passed(", ".join(names), "the PATH of the unit")
    if found.driver is None:
        return passed(_NOT_NEEDED)
    return info(
        "not found",
        "K3s searches nvidia-container-runtime at each start, in /usr/local/nvidia/toolkit and in"
        f" the PATH of the unit: {found.search}",
        "",
        Remedy(FixableBy.ADMINISTRATOR, f"install the NVIDIA container toolkit: {_INSTALL}"),
    )


@check.seen("gpu.cdi", "CDI specification of the GPUs", INFORMATIVE, "gpu", "k3s")
def specification(facts: Facts, seen: Known[Gpu]) -> Judgement:
    """Check the CDI specification, with which a GPU needs no cgroup of devices."""
    found = seen.value
    if found.driver is None:
        return passed(_NOT_NEEDED)
    release = facts.k3s.version
    if isinstance(release, Known) and not _CDI_BY_DEFAULT.holds(release.value):
        return _old(release.value)
    usable = [one for one in found.specifications if one.devices and not one.problem]
    if not usable:
        return info(
            _unusable(found.specifications),
            "containerd looks for specifications in /etc/cdi and /var/run/cdi",
            "",
            _generate(
                "write the specification, and restart K3s, which sees new directories in /etc"
                " only then"
            ),
        )
    stale = [one for one in usable if one.version and one.version != found.driver]
    if stale:
        return info(
            f"{stale[0].path} is for driver {stale[0].version}",
            f"the driver is {found.driver}: containers would not find its libraries",
            stale[0].path,
            _generate("write the specification again, as after each update of the driver"),
        )
    first = usable[0]
    shown = ", ".join(f"{first.kind}={name}" for name in first.devices[:3])
    return passed(f"{len(first.devices)} devices: {shown}", first.path)


@check.seen("gpu.cgroups", "NVIDIA runtime without cgroups of devices", INFORMATIVE, "gpu")
def cgroups(_: Facts, seen: Known[Gpu]) -> Judgement:
    """Check that NVIDIA's runtime does not change the cgroup of devices, which needs root."""
    found = seen.value
    if found.driver is None:
        return passed(_NOT_NEEDED)
    if found.no_cgroups:
        return passed("no-cgroups = true", "/etc/nvidia-container-runtime/config.toml")
    if found.mode == "cdi":
        return passed("mode = cdi", "/etc/nvidia-container-runtime/config.toml")
    return info(
        "no-cgroups is not set",
        "the runtime `nvidia` in its legacy mode fails without root: `bpf_prog_query"
        "(BPF_CGROUP_DEVICE) failed: operation not permitted`. Use the runtime `nvidia-cdi`, which"
        " does not need it. With `no-cgroups = true` for this host, containers of a Docker with"
        " root lose their GPUs",
        "/etc/nvidia-container-runtime/config.toml",
    )


@check.seen("containerd.default_runtime", "Default container runtime", FATAL, "gpu", "unit")
def default_runtime(facts: Facts, seen: Known[Gpu]) -> Judgement:
    """Check that K3s finds the runtime that `default-runtime` names."""
    value = facts.server.value(_RUNTIME)
    name = value.text
    if not name:
        return passed("runc")
    path = seen.value.runtimes.get(name)
    if path is not None:
        return passed(f"{name} ({path})", "the PATH of the unit")
    return failed(
        f"{name}, not found",
        f"K3s exits: `default runtime {name} was not found`. It searches the program in"
        " /usr/local/nvidia/toolkit, in /opt/kwasm/bin and in the PATH of the unit:"
        f" {seen.value.search}",
        settings.without(_RUNTIME, value.origin, str(facts.server.home)),
    )


def _old(release: Version) -> Judgement:
    firsts = ", ".join(map(str, _CDI_BY_DEFAULT.firsts))
    return info(
        f"not read by {release}",
        "its containerd reads no CDI specification by default; the first releases that do are"
        f" {firsts}",
        "",
        Remedy(FixableBy.USER, "upgrade K3s", ("k3s-rootless upgrade",)),
    )


def _unusable(found: tuple[DeviceSpecification, ...]) -> str:
    damaged = next((one for one in found if one.problem), None)
    if damaged is None:
        return "none"
    return f"{damaged.path}: {damaged.problem}"


def _generate(text: str) -> Remedy:
    return Remedy(FixableBy.ADMINISTRATOR, text, (_GENERATE,))
