"""`k3s certificate rotate`: removes certificates, which the next start issues again.

Source: K3s pkg/cli/cert/cert.go.
"""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

from . import flags
from .certificates import CLIENTS
from .journal import Fatal, Journal
from .release import Release

_SERVING = "serving-kube-apiserver"
_PORT = re.compile(r"^ +server: https://127\.0\.0\.1:(\d+)$", re.MULTILINE)


def run(arguments: list[str], release: Release, journal: Journal) -> int:
    """Run `k3s certificate` with these arguments; return the exit status."""
    if not release.rotates_certificates:
        raise Fatal("No help topic for 'certificate'", code=3)
    if arguments[:1] != ["rotate"]:
        raise Fatal("the stand-in has `certificate rotate` alone", code=3)
    # K3s reads no config file for this command: its parser supports `server`, `agent` and
    # `etcd-snapshot` only.
    data = flags.from_line(arguments[1:]).data_dir
    tls = data / "server" / "tls"
    journal.info("Server detected, rotating agent and server certificates")
    backup = tls.with_name(f"tls-{int(time.time())}")
    shutil.copytree(tls, backup)
    journal.info("Rotating dynamic listener certificate")
    (tls / "dynamic-cert-regenerate").touch(mode=0o600)
    for name in (*CLIENTS.values(), _SERVING):
        journal.info(f"Rotating certificates for {name}")
        for kind in ("crt", "key"):
            (tls / f"{name}.{kind}").unlink(missing_ok=True)
    journal.info(
        f"Successfully backed up certificates to {backup}, please restart k3s server or agent to"
        " rotate certificates"
    )
    return 0


def named_port(data: Path) -> int:
    """Return the port in the kubeconfig of the controller manager."""
    found = _PORT.search((data / "server" / "cred" / "controller.kubeconfig").read_text())
    if found is None:
        raise Fatal(
            'controller-manager exited: invalid configuration: no server found for cluster "local"'
        )
    return int(found[1])
