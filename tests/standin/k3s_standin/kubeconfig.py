"""Format and location of the kubeconfig (K3s pkg/server/server.go, HomeKubeConfig)."""

from __future__ import annotations

import base64
import contextlib
import os
from pathlib import Path

from .certificates import Certificates, write_private
from .flags import Flags


class Unwritable(Exception):
    """The kubeconfig cannot be written; the message is that of Go."""


def render(certificates: Certificates, port: int) -> str:
    """Return the text of the kubeconfig, with its keys in the order of K3s."""

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
    """Write the kubeconfig and return its path.

    If a path is configured, the file is written there, and the usual path is a link to it.
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
        # As in K3s, an existing file is overwritten in place. A file of another user cannot be
        # opened.
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if path == usual and path.is_symlink():
            path.unlink()
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, mode))
    except OSError as error:
        raise Unwritable(f"open {error.filename}: {(error.strerror or '').lower()}") from None
    write_private(path, render(certificates, flags.https_port).encode(), mode)
    if path != usual:
        # If K3s cannot make this link, it logs the error and continues.
        with contextlib.suppress(OSError):
            _link(usual, path)
    return path


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)
