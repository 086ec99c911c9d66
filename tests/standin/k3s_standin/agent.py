"""The agent: cgroup controllers, the snapshotter, and a Node that becomes Ready.

Source: K3s pkg/agent/run.go.
"""

from __future__ import annotations

import ipaddress
import os
import platform
import re
import socket

from . import containerd, kept, kernel, objects, pulls, settings
from .cluster import Object
from .flags import Flags
from .journal import Fatal, klog
from .milestones import Milestones
from .orders import Orders
from .story import Story
from .watching import Context

_RETRY = 2.0
_TAP_OFFSET = 100
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.',"
    " and must start and end with an alphanumeric character"
)


class Agent:
    """Agent of K3s, which runs after the API is ready: its missing requirements show that late."""

    def __init__(
        self, flags: Flags, orders: Orders, context: Context, milestones: Milestones, story: Story
    ) -> None:
        self._flags = flags
        self._orders = orders
        self._context = context
        self._milestones = milestones
        self._story = story
        self._name = flags.text("node-name") or socket.gethostname().lower()

    def run(self) -> None:
        """Check the requirements, register the node and make it ready.

        Raises Fatal where K3s exits. Waits forever where K3s waits forever.
        """
        if self._flags.rootless and self._orders.enforce_controllers:
            self._validate_cgroups()
        if self._orders.check_snapshotter:
            self._wait_for_snapshotter()
        if self._orders.containerd_error is not None:
            self._wait_for_containerd(self._orders.containerd_error)
        self._story.kubelet(self._name)
        self._sleep(self._orders.node_delay)
        self._wait_for_a_name()
        self._put_node(ready=False)
        self._milestones.mark("node-registered")
        self._story.registered(self._name)
        self._sleep(self._orders.node_delay)
        if not self._orders.node_ready:
            return
        self._put_node(ready=True)
        self._milestones.mark("node-ready")
        if self._orders.pull is not None:
            pulls.request(self._orders.pull, os.environ, self._context.journal)
        self._sleep(self._orders.deployments_delay)
        for deployment in self._context.cluster.items("deployments")[0]:
            self._context.cluster.put("deployments", objects.available(deployment))
        self._milestones.mark("deployments-ready")

    def _validate_cgroups(self) -> None:
        found = kernel.controllers(self._orders.controllers)
        writable = os.access(kernel.CGROUP_ROOT, os.W_OK)
        release, journal = self._context.release, self._context.journal
        try:
            kernel.validate_controllers(found, release, writable=writable, journal=journal)
        except Fatal as fatal:
            raise release.last_message(fatal.message) from None

    def _wait_for_snapshotter(self) -> None:
        name = self._flags.text("snapshotter", "overlayfs")
        while (error := kernel.snapshotter_error(name, self._flags.data_dir)) is not None:
            if self._context.release.triple >= (1, 23, 0):
                self._context.journal.info(
                    f"Waiting to retrieve agent configuration; server is not ready: {error}"
                )
            else:
                self._context.journal.error(f"Failed to configure agent: {error}")
            self._sleep(_RETRY)

    def _wait_for_containerd(self, error: str) -> None:
        """Repeat forever, as a real K3s v1.36.3 does."""
        containerd.write_failure(self._flags.data_dir, error)
        while True:
            self._context.journal.info(
                "Waiting for containerd startup: rpc error: code = Unimplemented desc = unknown"
                " service runtime.v1.RuntimeService"
            )
            self._sleep(_RETRY)

    def _wait_for_a_name(self) -> None:
        # Repeat forever: the API server rejects such a name, and the kubelet retries.
        while not SUBDOMAIN.fullmatch(self._name):
            why = (
                f'Node \\"{self._name}\\" is invalid: metadata.name: Invalid value:'
                f' \\"{self._name}\\": {_RULE}'
            )
            message = f'"Unable to register node with API server" err="{why}" node="{self._name}"'
            self._context.journal.raw(klog("E", "kubelet_node_status.go:107", message))
            self._sleep(_RETRY)

    def _put_node(self, *, ready: bool) -> None:
        address = (
            tap_address(os.environ.get("K3S_ROOTLESS_CIDR", ""))
            if self._flags.rootless
            else "127.0.0.1"
        )
        network = kept.node_network(self._flags, self._name)
        version = self._orders.node_version or self._context.release.version
        found = node(self._name, version, address, network, ready=ready)
        self._context.cluster.put("nodes", found)

    def _sleep(self, seconds: float) -> None:
        if self._context.gate.stopping.wait(seconds):
            raise SystemExit


def tap_address(cidr: str) -> str:
    """Return the address of the node: slirp4netns gives the tap device the 100th of the network."""
    return str(ipaddress.ip_network(cidr or settings.DEFAULT_CIDR).network_address + _TAP_OFFSET)


def node(name: str, version: str, address: str, network: str, *, ready: bool) -> Object:
    """Return the only Node of the cluster."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    info = {
        "kubeletVersion": version,
        "kubeProxyVersion": version,
        "architecture": machine,
        "operatingSystem": "linux",
        "kernelVersion": platform.release(),
        "containerRuntimeVersion": "containerd://2.0.5-k3s2",
    }
    notes = {"k3s.io/internal-ip": address, "k3s.io/hostname": name}
    amounts = {"cpu": "2", "memory": "4015712Ki", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": _labels(name, machine), "annotations": notes},
        "spec": {"podCIDR": network, "podCIDRs": [network], "providerID": f"k3s://{name}"},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "Hostname", "address": name},
            ],
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": _conditions(ready=ready),
            "nodeInfo": info,
        },
    }


def _labels(name: str, machine: str) -> dict[str, str]:
    return {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine,
        "node-role.kubernetes.io/control-plane": "true",
        "node.kubernetes.io/instance-type": "k3s",
    }


def _conditions(*, ready: bool) -> list[dict[str, str]]:
    missing = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady"
    last = (
        objects.condition("Ready", "True", "KubeletReady", "kubelet is posting ready status")
        if ready
        else objects.condition("Ready", "False", "KubeletNotReady", missing)
    )
    return [
        objects.condition(
            "MemoryPressure",
            "False",
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available",
        ),
        objects.condition(
            "DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"
        ),
        objects.condition(
            "PIDPressure",
            "False",
            "KubeletHasSufficientPID",
            "kubelet has sufficient PID available",
        ),
        last,
    ]
