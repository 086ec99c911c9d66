"""`k3s certificate rotate`: removes certificates, which the next start issues again.

Source: K3s pkg/cli/cert/cert.go.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path

from . import flags
from .certificates import CLIENTS, SAVED, write_private
from .journal import Fatal, Journal
from .release import Release

_SERVING = "serving-kube-apiserver"
_SERVICES: dict[str, tuple[str, ...]] = {
    "admin": ("client-admin",),
    "api-server": ("client-kube-apiserver", _SERVING),
    "cloud-controller": ("client-k3s-cloud-controller",),
    "controller-manager": ("client-controller",),
    "scheduler": ("client-scheduler",),
    "supervisor": ("client-supervisor",),
    **dict.fromkeys(
        ("auth-proxy", "etcd", "k3s-controller", "k3s-server", "kube-proxy", "kubelet"), ()
    ),
}
"""Services of K3s, and their certificates that the stand-in has."""
_PORT = re.compile(r"^ +server: https://127\.0\.0\.1:(\d+)$", re.MULTILINE)


def run(arguments: list[str], release: Release, journal: Journal) -> int:
    """Run `k3s certificate` with these arguments; return the exit status."""
    if not release.rotates_certificates:
        raise Fatal("No help topic for 'certificate'", code=3)
    if arguments[:1] != ["rotate"]:
        raise Fatal("the stand-in has `certificate rotate` and `rotate-ca` only", code=3)
    services, arguments = _services(arguments)
    # K3s reads no config file for this command: its parser supports `server`, `agent` and
    # `etcd-snapshot` only.
    data = flags.from_line(arguments[1:]).data_dir
    tls = data / "server" / "tls"
    journal.info("Server detected, rotating agent and server certificates")
    backup = tls.with_name(f"tls-{int(time.time())}")
    # A second rotation in the same second adds to the directory, as in K3s.
    shutil.copytree(tls, backup, dirs_exist_ok=True)
    journal.info("Rotating dynamic listener certificate")
    if not services or "k3s-server" in services:
        (tls / "dynamic-cert-regenerate").touch(mode=0o600)
    for name in _files(services):
        journal.info(f"Rotating certificates for {name}")
        for kind in ("crt", "key"):
            (tls / f"{name}.{kind}").unlink(missing_ok=True)
    journal.info(
        f"Successfully backed up certificates to {backup}, please restart k3s server or agent to"
        " rotate certificates"
    )
    return 0


def _services(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return the services of a command line, and its other words."""
    services, left = [], []
    words = iter(arguments)
    for word in words:
        if word in {"--service", "-s"}:
            services.append(next(words, ""))
        else:
            left.append(word)
    for one in services:
        if one not in _SERVICES:
            raise Fatal(f"service {one} is not recognized")
    return services, left


def _files(services: list[str]) -> list[str]:
    if not services:
        return [*CLIENTS.values(), _SERVING]
    return [name for one in services for name in _SERVICES[one]]


def save_authorities(data: Path, directory: Path, journal: Journal, *, force: bool) -> int:
    """Save new authorities in the datastore, as the server does for `certificate rotate-ca`."""
    found = {
        f"{name}.{kind}": path.read_text()
        for name in ("server-ca", "client-ca")
        for kind in ("crt", "key")
        if (path := directory / "tls" / f"{name}.{kind}").exists()
    }
    alone = [name for name, text in found.items() if text.count("BEGIN CERTIFICATE") == 1]
    if alone and not force:
        journal.error(
            "failed to validate new CA certificates and keys: new CA bundle contains only a single"
            " certificate but should include root or intermediate CA certificates"
        )
        raise Fatal("see server log for details: 500 Internal Server Error")
    saved = data / "server" / SAVED
    write_private(saved, json.dumps(found).encode())
    (data / "server" / "tls" / "dynamic-cert-regenerate").touch(mode=0o600)
    print("certificates saved to datastore")
    return 0


def named_port(data: Path) -> int:
    """Return the port in the kubeconfig of the controller manager."""
    found = _PORT.search((data / "server" / "cred" / "controller.kubeconfig").read_text())
    if found is None:
        raise Fatal(
            'controller-manager exited: invalid configuration: no server found for cluster "local"'
        )
    return int(found[1])
