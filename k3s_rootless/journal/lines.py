"""The level, the component and the text of one line of the journal.

journald stores all lines of K3s with the same priority, so the level comes from the text. K3s is
one process that writes several kinds of log lines: its own (logrus) and those of Kubernetes (klog).
containerd writes to a separate file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LEVELS = ("trace", "debug", "info", "warning", "error", "fatal")
"""From the least to the most serious: the levels of K3s, to which klog's letters are mapped."""
COMPONENTS = ("k3s", "kubelet", "containerd", "apiserver", "rootlesskit", "systemd")

_LOGRUS = re.compile(r'^(?:time="?[^\s"]{1,64}"? )?level=(?P<level>[a-z]{4,7}) msg=')
_TERMINAL = re.compile(r"^(?P<level>TRAC|DEBU|INFO|WARN|ERRO|FATA|PANI)\[\d{1,9}\]")
_KLOG = re.compile(
    r"^(?P<level>[IWEF])\d{4} \d\d:\d\d:\d\d\.\d{1,9}\s{1,9}\d{1,9}"
    r" (?P<file>[\w.-]{1,64}):\d{1,6}\]"
)
_LOGRUS_LEVELS = {"warn": "warning", "panic": "fatal"}
_LETTERS = {"I": "info", "W": "warning", "E": "error", "F": "fatal"}
_SHORT = {
    "TRAC": "trace",
    "DEBU": "debug",
    "INFO": "info",
    "WARN": "warning",
    "ERRO": "error",
    "FATA": "fatal",
    "PANI": "fatal",
}
# The Go runtime and rootlesskit print these prefixes just before they exit, without a level.
_FATAL_PREFIXES = (
    "panic: ",
    "fatal error: ",
    "[rootlesskit:parent] error: ",
    "[rootlesskit:child ] error: ",
)
_PRIORITIES = ("fatal", "fatal", "fatal", "error", "warning", "info", "info", "debug")
# Files that klog names, by the part of Kubernetes that they belong to (Kubernetes v1.21 to v1.36,
# its pkg/ and staging/). A file that several parts share, such as shared_informer.go, names no
# part. It counts as K3s's, because all parts run in the process of K3s.
_KUBELET = re.compile(
    r"^(kube(let|runtime)|pod_(container|workers|startup)|kuberuntime|container_(manager|gc|log)|"
    r"cri_|remote_(runtime|image)|"
    r"eviction_manager|volume_(manager|stat)|reconciler(_common|_new)?\.|csi_|"
    r"plugin_(manager|watcher)|operation_generator|"
    r"desired_state|status_manager|prober|image_gc|fs_resource|oom|node_container|qos_|cpu_manager|"
    r"memory_manager|topology_|"
    r"policy_none|state_mem|setters|nestedpendingoperations|scope|manager\.)"
)
_APISERVER = re.compile(
    r"^(apf_|handler|storage_|genericapiserver|apiserver\.|secure_serving|instance|rest\.|"
    r"(local_|remote_)?available_controller|"
    r"apiservice|apiapproval|cache\.|cacher|dynamic_(cafile|serving)_content|"
    r"crd|customresource_discovery|"
    r"openapi|aggregator|"
    r"autoregister|cluster_authentication_trust|establishing|naming_controller|nonstructural|"
    r"trace\.|httplog|controller\.|"
    r"tlsconfig|watch_cache|etcd|lease\.|alloc\.|cidrallocator|repairip)"
)
# Two parts have a file of the same name; the text of the line shows which part it is.
_BY_TEXT = {
    "server.go": ("kubelet", "kubelet"),
    "plugins.go": ("admission controller", "apiserver"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line with the level and the component that it names.

    `level` is one of LEVELS, `component` one of COMPONENTS.
    """

    level: str
    component: str
    text: str


def parse(message: str, identifier: str | None = None, priority: int | None = None) -> Line:
    """Read a message.

    A message without a level gets the level of its priority, and `info` if it has no priority.
    """
    if identifier == "systemd" or (identifier or "").startswith(("systemd-", "(")):
        return Line(_by_priority(priority), "systemd", message)
    head = message[:200]
    klog = _KLOG.match(head)
    if klog is not None:
        return Line(_LETTERS[klog["level"]], _of_file(klog["file"], head), message)
    level = _level(head) or _by_priority(priority)
    if identifier == "containerd":
        return Line(level, "containerd", message)
    return Line(level, _rootless(message), message)


def _level(head: str) -> str | None:
    """Return the level that a line names; None if it names no level."""
    logrus = _LOGRUS.match(head)
    if logrus is not None:
        level = _LOGRUS_LEVELS.get(logrus["level"], logrus["level"])
        return level if level in LEVELS else "info"
    terminal = _TERMINAL.match(head)
    if terminal is not None:
        return _SHORT[terminal["level"]]
    if head.startswith(_FATAL_PREFIXES):
        return "fatal"
    return None


def at_least(level: str, least: str) -> bool:
    """Return whether `level` is at least as serious as `least`."""
    return LEVELS.index(level) >= LEVELS.index(least)


def folded(text: str) -> str:
    """Return a line without the time stamp of klog or logrus.

    Lines that differ only in their times become equal.
    """
    head = text[:200]
    klog = _KLOG.match(head)
    if klog is not None:
        return text[klog.start("file") :]
    if head.startswith("time=") and " " in head:
        return text[text.index(" ") + 1 :]
    return text


def _by_priority(priority: int | None) -> str:
    if priority is None or not 0 <= priority < len(_PRIORITIES):
        return "info"
    return _PRIORITIES[priority]


def _of_file(file: str, head: str) -> str:
    if file in _BY_TEXT:
        text, component = _BY_TEXT[file]
        return component if text in head.lower() else "k3s"
    if _KUBELET.match(file):
        return "kubelet"
    if _APISERVER.match(file):
        return "apiserver"
    return "k3s"


def _rootless(message: str) -> str:
    head = message[:600]
    texts = (
        "[rootlesskit:",
        "rootlessports",
        "rootless API socket",
        "slirp4netns",
        "UID/GID map",
        "Bound parent port",
        "start the child",
    )
    return "rootlesskit" if any(text in head for text in texts) else "k3s"
