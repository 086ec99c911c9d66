"""Reads the files in which K3s and its user keep secrets, to know what must not get out; nothing of them is handed over.

Below the data directory: server/token, server/node-token, server/agent-token, server/cred/passwd, server/cred/ipsec.psk,
server/cred/encryption-config.json, agent/etc/rancher/node/password, etc/rancher/k3s/registries.yaml; besides, the kubeconfig,
/etc/rancher/k3s/config.yaml and registries.yaml, and files that the unit
names (K3s v1.21 to v1.36, pkg/server and pkg/daemons).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from k3s_rootless.support.facts import Kept

LARGEST = 256 * 1024
"""Bytes."""
_TOKENS = (
    "server/token",
    "server/node-token",
    "server/agent-token",
    "agent/etc/rancher/node/password",
    "server/cred/ipsec.psk",
)
_TEXTS = ("etc/rancher/k3s/registries.yaml", "etc/rancher/k3s/config.yaml")
_HOST_TEXTS = ("/etc/rancher/k3s/config.yaml", "/etc/rancher/k3s/registries.yaml", "/etc/rancher/node/password")


def read(data: Path, kubeconfig: Path, tokens: Iterable[Path] = (), texts: Iterable[Path] = ()) -> Kept:
    """Read them; `tokens` and `texts` are more files of the kinds that `Kept` has."""
    problems: list[str] = []
    in_texts = (kubeconfig, *(data / name for name in _TEXTS), *map(Path, _HOST_TEXTS), *texts)
    return Kept(
        tokens=tuple(_content(path, problems) for path in (*(data / name for name in _TOKENS), *tokens)),
        texts=tuple(_content(path, problems) for path in in_texts),
        passwords=_content(data / "server/cred/passwd", problems),
        encryption=_content(data / "server/cred/encryption-config.json", problems),
        problems=tuple(problems),
    )


def _content(path: Path, problems: list[str]) -> str:
    try:
        # A pipe in place of a file would be waited for without O_NONBLOCK.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        problems.append(f"{path}: {(error.strerror or str(error)).lower()}")
        return ""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return os.read(descriptor, LARGEST).decode("utf-8", "replace")
    except OSError as error:
        problems.append(f"{path}: {(error.strerror or str(error)).lower()}")
        return ""
    finally:
        os.close(descriptor)
