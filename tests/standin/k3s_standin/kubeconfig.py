"""The kubeconfig: its form, and where K3s puts it (K3s pkg/server/server.go, HomeKubeConfig)."""

from __future__ import annotations

import base64
import contextlib
import os
from pathlib import Path

from .certificates import Certificates, write_private
from .flags import Flags


class Unwritable(Exception):
    """The kubeconfig cannot be written, in Go's words."""


def render(certificates: Certificates, port: int) -> str:
    """Return the text of the kubeconfig, key by key in K3s's order."""

    def encoded(data: bytes) -> str:
        return base64.b64encode(data).decode()

    return f"""apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {encoded(certificates.server_ca)}
    server: https://127.0.0.1:{port}
  name: default
contexts:
- context:
    cluster: default
    user: default
  name: default
current-context: default
kind: Config
preferences: {{}}
users:
- name: default
  user:
    client-certificate-data: {encoded(certificates.admin_certificate)}
    client-key-data: {encoded(certificates.admin_key)}
"""


def write(flags: Flags, certificates: Certificates) -> Path:
    """Write the kubeconfig and return its path; an ordered path gets the file, and the usual place
    a link to it.
    """
    home = os.environ.get("HOME")
    usual = (
        Path(home) / ".kube" / "k3s.yaml"
        if home
        else flags.data_dir / "server" / "kubeconfig-k3s.yaml"
    )
    ordered = flags.text("write-kubeconfig")
    path = Path(ordered).absolute() if ordered else usual
    mode = int(flags.text("write-kubeconfig-mode", "600"), 8)
    try:
        # as K3s does: a file that is there is written into, and not replaced; that of another user
        # it cannot open
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if path == usual and path.is_symlink():
            path.unlink()
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, mode))
    except OSError as error:
        raise Unwritable(f"open {error.filename}: {(error.strerror or '').lower()}") from None
    write_private(path, render(certificates, flags.https_port).encode(), mode)
    if path != usual:
        # K3s logs what keeps it from making this link, and goes on
        with contextlib.suppress(OSError):
            _link(usual, path)
    return path


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)
