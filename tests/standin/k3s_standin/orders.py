"""Orders of a test for the stand-in: a JSON object.

The file is `$K3S_STANDIN_ORDERS`, else `~/.k3s-standin.json`. A missing file means the defaults. An
unknown key, or a value of the wrong type, is refused with exit status 97, so that a typing error in
a test is not ignored. Times are seconds. Each order below is followed by its default.

Release
    version             "v1.33.4+k3s1": the release to play; commit builds
                        ("v1.28.14+k3s-914f1d91") are allowed
    commit              null: eight hexadecimal digits for `--version`; null derives them from the
                        version
    version_output      null: the exact output of `k3s --version`, instead of the real two lines
    version_exit        0: exit status of `k3s --version`
    version_hang        false: `k3s --version` never ends

Start
    delay               0.5: from the start of the server to an API that listens
    ready_delay         0.2: from there to `/readyz` 200
    kubeconfig_delay    0.0: from an API that listens to the kubeconfig
    refusal_delay       1.0: from ready to the exit of a controller manager if its kubeconfig
                        names another port
    node_delay          0.3: from ready to a Node object, and as long again until its Ready
                        condition is True
    deployments_delay   0.2: from a Ready node to available replicas
    noise               20: number of benign klog lines of a start
    enforce_controllers true: exit if cgroup v2 controllers are missing, by the rule of the
                        release
    controllers         null: use this ("cpu memory pids") as the delegated controllers, instead
                        of reading them
    check_snapshotter   true: try what the snapshotter needs; if it fails, the node never
                        registers, as in K3s
    check_copy_up       true: exit at a bad K3S_ROOTLESS_COPYUPDIRS; false leaves it to
                        rootlesskit 2.0.2: its parent process then waits forever and ignores
                        SIGTERM
    node_ready          true: false leaves the node NotReady forever
    pull                null: a URL that containerd requests when the node is ready, as for a
                        pull, through the proxy of its environment
    node_version        null: the version that the node reports, instead of that of the release

Cluster
    services            []: Services to add at each start: {"namespace": "default", "name": "web",
                        "type": "LoadBalancer", "ports": [80, {"port": 53, "protocol": "UDP",
                        "nodePort": 30053, "name": "dns"}], "pending": false, "ingress": null,
                        "annotations": {}, "delay": 0}. A full Kubernetes object (with "metadata")
                        is used unchanged. `ingress` is a list that is set at once, e.g.
                        [{"hostname": "lb.example"}] or [{"ip": "127.0.0.1"}]; with `pending`, it
                        is never set.
    service_count       0: number of additional LoadBalancer Services, bulk-0 ..., one port each
                        from 20000 up
    lb_delay            0.1: from a new LoadBalancer Service to its ingress address
    pending             []: "namespace/name" of Services with a load balancer that stays pending
    reencrypt_delay     0.0: time that it takes to encrypt all Secrets again
    keep                true: Services made through the API survive a restart
    keep_node           false: the Node survives a restart unchanged, Ready and with its
                        heartbeat, as in K3s

Faults
    die                 null: {"after": 2.0, "message": "...", "level": "fatal", "code": 1,
                        "where": "child"}: end with that line; "raw": true writes the message
                        unchanged; "where": "parent" exits before rootlesskit starts. With
                        "signal": 9 the server ends by that signal, without a line
    panic               0: after `panic_after` (1.0), write a Go panic with this many lines and
                        exit with 2
    containerd_error    null: containerd's CRI plugin does not load, because of this; K3s waits for
                        it forever
    hang_api            false: accept connections and never answer
    hang_api_after      null: the same from that time on
    freeze_after        null: the server stops (SIGSTOP) after this time; SIGTERM then has no
                        effect
    stop_delay          0.0: time that the server takes to end after SIGTERM
    stop_exit           0: exit status of the server after SIGTERM; that of a real v1.21.2 is 1
    ignore_term         false: SIGTERM has no effect
    watch_timeout       null: close every watch after this time
    damaged             false: what k3s unpacks does not match its checksums, as after an
                        incomplete download
    known_bad           true: releases that are known not to start rootless do not start

The annotation `k3s-standin/pending: "true"` on a Service has the effect of `pending`, for Services
made through the API. With `k3s-standin/deaf: "true"`, a Service gets its address, but no process
listens behind it. At SIGUSR1, the server (the child) closes the socket of the API, and all else
continues. Pods are stored unchanged, and never run. With `k3s-standin/ends-after: "5"`, a Pod takes
that many seconds to end.

Milestones are appended to `DATA_DIR/standin-events.jsonl`, one JSON object a line: {"event", "time"
(Unix time), "monotonic" (CLOCK_MONOTONIC), "pid", "invocation" (systemd's INVOCATION_ID or null)},
with "message" for a fatal one. Events: parent-started, child-started, api-up, kubeconfig, readyz,
forwards (first pass that succeeded), node-registered, node-ready, deployments-ready, fatal, panic,
frozen, stopping.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

BAD_ORDERS = 97
"""Exit status for orders that cannot be read; K3s never uses it."""


@dataclass(frozen=True)
class Orders:
    """Orders of one start; the docstring of the module explains each."""

    version: str = "v1.33.4+k3s1"
    commit: str | None = None
    version_output: str | None = None
    version_exit: int = 0
    version_hang: bool = False
    delay: float = 0.5
    ready_delay: float = 0.2
    kubeconfig_delay: float = 0.0
    refusal_delay: float = 1.0
    node_delay: float = 0.3
    deployments_delay: float = 0.2
    noise: int = 20
    enforce_controllers: bool = True
    controllers: str | None = None
    check_snapshotter: bool = True
    containerd_error: str | None = None
    check_copy_up: bool = True
    node_ready: bool = True
    pull: str | None = None
    node_version: str | None = None
    services: tuple[dict[str, Any], ...] = ()
    service_count: int = 0
    lb_delay: float = 0.1
    pending: tuple[str, ...] = ()
    reencrypt_delay: float = 0.0
    keep: bool = True
    keep_node: bool = False
    die: dict[str, Any] | None = None
    panic: int = 0
    panic_after: float = 1.0
    hang_api: bool = False
    hang_api_after: float | None = None
    freeze_after: float | None = None
    stop_delay: float = 0.0
    stop_exit: int = 0
    ignore_term: bool = False
    watch_timeout: float | None = None
    damaged: bool = False
    known_bad: bool = True


def parse(text: str) -> Orders:
    """Return the orders of a JSON text; raises ValueError for invalid orders."""
    data = json.loads(text)
    if not isinstance(data, dict):
        # All errors in orders raise the same exception.
        raise ValueError("orders are a JSON object")  # noqa: TRY004
    known = {field.name: field for field in dataclasses.fields(Orders)}
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key not in known:
            raise ValueError(f"no such order: {key}")
        values[key] = _checked(key, value, known[key].default)
    return Orders(**values)


def load() -> Orders:
    """Read the orders of this process; invalid orders end the process."""
    path = Path(os.environ.get("K3S_STANDIN_ORDERS") or Path.home() / ".k3s-standin.json")
    try:
        return parse(path.read_text())
    except FileNotFoundError:
        return Orders()
    except (OSError, ValueError) as error:
        _refuse(f"k3s stand-in: orders {path}: {error}")


def _checked(key: str, value: Any, default: object) -> Any:
    if isinstance(default, tuple):
        if not isinstance(value, list):
            raise ValueError(f"{key}: must be a list")  # noqa: TRY004 (as in `parse`)
        return tuple(value)
    if default is None:
        return value
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        raise ValueError(f"{key}: must be of type {type(default).__name__}, got {value!r}")
    return value


def _refuse(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    raise SystemExit(BAD_ORDERS)
