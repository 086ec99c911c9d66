"""Faults of K3s's settings: the check that reports each, the effect on K3s, and the fix."""

from __future__ import annotations

from tests.e2e.causes import both, drop_in, no_drop_in, root, user
from tests.e2e.fault import DATA, LAB, Exits, Fault, Unseen, Waits
from tests.machine import HOME, K3S, UID

_OWN = HOME / ".config/k3s/config.yaml"
_KUBE = HOME / ".kube"
_SERVER = f"{K3S} server --rootless --snapshotter=fuse-overlayfs"
_TOKEN = f"K10{'0' * 64}::server:right"
_DATASTORE = """
import pathlib, sys
from k3s_standin import kept, kine
kine.store(pathlib.Path(sys.argv[1]), kept.bootstrap_key("right"), b"")
"""
"""A program that writes a datastore, as the first start with the token does."""
_LIMIT = "the effect of a limit depends on the controllers of the machine"


def _configured(text: str) -> tuple[str, ...]:
    """Return the scripts that make K3s read a configuration file with this text."""
    return (f"mkdir -p {_OWN.parent}; printf '%s\\n' '{text}' > {_OWN}",)


FAULTS = (
    Fault(
        "config-yaml",
        "K3s's configuration file is not YAML",
        "config.syntax",
        "user",
        both(user(*_configured("debug: [")), drop_in(f"Environment=K3S_CONFIG_FILE={_OWN}")),
        no_drop_in,
        Exits("yaml"),
        machines=LAB,
    ),
    Fault(
        "config-number",
        "https-listen-port in K3s's configuration file is not a number",
        "config.options",
        "user",
        both(
            user(*_configured("https-listen-port: http")),
            drop_in(f"Environment=K3S_CONFIG_FILE={_OWN}"),
        ),
        no_drop_in,
        Exits("invalid value"),
        machines=LAB,
    ),
    Fault(
        "option-unknown",
        "a drop-in starts K3s with an option that it does not know",
        "config.options",
        "user",
        drop_in("ExecStart=", f"ExecStart={_SERVER} --frobnicate"),
        no_drop_in,
        Exits("flag provided but not defined"),
        machines=LAB,
    ),
    Fault(
        "token-differs",
        "K3S_TOKEN is not the token of the datastore",
        "config.token",
        "user",
        both(
            root(f"rm -rf {DATA}"),
            user(
                f"mkdir -p {DATA}/server/db; echo {_TOKEN} > {DATA}/server/token;"
                f" /opt/k3s-standin/bin/python -c '{_DATASTORE}' {DATA}/server/db/state.db"
            ),
            drop_in("Environment=K3S_TOKEN=wrong"),
        ),
        both(root(f"rm -rf {DATA}"), no_drop_in),
        Exits("different token"),
        machines=LAB,
    ),
    Fault(
        "kubeconfig-of-root",
        "~/.kube belongs to root",
        "config.kubeconfig",
        "user",
        root(f"rm -rf {_KUBE}; install -d -o 0 -g 0 -m 755 {_KUBE}"),
        both(root(f"rm -rf {_KUBE}; install -d -o {UID} -g {UID} -m 755 {_KUBE}"), no_drop_in),
        Exits("k3s.yaml: permission denied"),
        machines=LAB,
    ),
    Fault(
        "port-driver-unknown",
        "K3S_ROOTLESS_PORT_DRIVER is not a port driver",
        "env.valid",
        "user",
        drop_in("Environment=K3S_ROOTLESS_PORT_DRIVER=bogus"),
        no_drop_in,
        Waits("Unsupported port driver"),
        verdict="warn",
        machines=LAB,
    ),
    Fault(
        "variable-unknown",
        "K3S_ROOTLESS_PORTDRIVER is not a variable of K3s",
        "env.valid",
        "user",
        drop_in("Environment=K3S_ROOTLESS_PORTDRIVER=builtin"),
        no_drop_in,
        Unseen("K3s does not read it"),
        verdict="warn",
        machines=LAB,
    ),
    Fault(
        "memory-max",
        "MemoryMax of the unit is 100 MiB",
        "unit.memory",
        "user",
        drop_in("MemoryMax=100M"),
        no_drop_in,
        Unseen(_LIMIT),
        machines=LAB,
    ),
    Fault(
        "tasks-max",
        "TasksMax of the unit is 24",
        "unit.tasks",
        "user",
        drop_in("TasksMax=24"),
        no_drop_in,
        Unseen(_LIMIT),
        machines=LAB,
    ),
    Fault(
        "open-files",
        "LimitNOFILE of the unit is 64",
        "unit.files",
        "user",
        drop_in("LimitNOFILE=64"),
        no_drop_in,
        Unseen("the stand-in opens few files"),
        machines=LAB,
    ),
)
