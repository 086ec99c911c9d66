"""K3s's kubeconfig, read as untrusted input.

K3s writes the file at each start, with a client certificate of an administrator of the cluster.
With --write-kubeconfig, K3s makes `~/.kube/k3s.yaml` a link to the requested file (its pkg/server,
v1.21 to v1.36). So links are followed, and the owner of the opened file counts.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from k3s_rootless import web_address
from k3s_rootless.cluster import own_file
from k3s_rootless.cluster.facts import Kubeconfig
from k3s_rootless.cluster.kubeconfig import k3s_form
from k3s_rootless.errors import RootlessError

LARGEST = 256 * 1024
"""Bytes; K3s's kubeconfig has about 3 KiB."""
_DEEPEST = 32
"""Levels; K3s's kubeconfig has five, and no aliases."""
_PLAIN = re.compile(r"https://(?P<host>[A-Za-z0-9.-]+):(?P<port>[0-9]{1,5})", re.ASCII)
_HIGHEST_PORT = 65535
_HTTPS_PORT = 443
RESTART = "restart K3s, which writes the kubeconfig again: `k3s-rootless restart`"
_START = "start K3s, which writes the kubeconfig: `k3s-rootless up`"


def load(path: Path, *, uid: int) -> Kubeconfig:
    """Read the kubeconfig of `uid`.

    Raises RootlessError, with a hint, if the file is missing, belongs to another user, or is
    invalid.
    """
    content, status = own_file.read(
        path, uid, what="the kubeconfig", largest=LARGEST, missing=_START, damaged=RESTART
    )
    try:
        return _record(path, _document(content), status)
    except (ValueError, binascii.Error) as error:
        raise RootlessError(f"cannot use the kubeconfig {path}: {error}", hint=RESTART) from error


def _document(content: bytes) -> Any:  # noqa: ANN401 (parsed YAML)
    known = k3s_form.document(content)
    if known is not None:
        return known
    # Lazy: K3s's own file does not need PyYAML, which takes 20 ms to load.
    from k3s_rootless import yaml_file

    try:
        return yaml_file.load(content, _DEEPEST)
    except yaml_file.NotYaml as error:
        raise ValueError(f"it is not valid YAML ({str(error).splitlines()[0]})") from None


def _record(
    path: Path,
    document: Any,  # noqa: ANN401 (parsed YAML)
    status: os.stat_result,
) -> Kubeconfig:
    chosen = _named(document, "contexts", _string(document, "current-context"), "context")
    cluster = _named(document, "clusters", _string(chosen, "cluster"), "cluster")
    user = _named(document, "users", _string(chosen, "user"), "user")
    server = _string(cluster, "server")
    host, port = _address(server)
    return Kubeconfig(
        path=path,
        server=server,
        host=host,
        port=port,
        authority=_pem(cluster, "certificate-authority-data"),
        certificate=_pem(user, "client-certificate-data"),
        key=_pem(user, "client-key-data"),
        modified=datetime.fromtimestamp(status.st_mtime, tz=UTC),
        mode=stat.S_IMODE(status.st_mode),
    )


def _named(document: Any, kind: str, name: str, inner: str) -> Any:  # noqa: ANN401 (parsed YAML)
    listed = document.get(kind)
    if not isinstance(listed, list):
        listed = []
    for one in listed:
        if isinstance(one, dict) and one.get("name") == name and isinstance(one.get(inner), dict):
            return one[inner]
    raise ValueError(f"it has no {inner} named {name!r}")


def _string(document: Any, key: str) -> str:  # noqa: ANN401 (parsed YAML)
    value = document.get(key) if isinstance(document, dict) else None
    if not isinstance(value, str) or not value:
        raise ValueError(f"it has no {key}")
    return value


def _pem(document: Any, key: str) -> bytes:  # noqa: ANN401 (parsed YAML)
    try:
        return base64.b64decode(_string(document, key), validate=True)
    except binascii.Error:
        raise ValueError(f"its {key} is not valid base64") from None


def _address(server: str) -> tuple[str, int]:
    # K3s writes a plain address. The general parser takes 2 ms to load.
    plain = _PLAIN.fullmatch(server)
    if plain is not None and int(plain["port"]) <= _HIGHEST_PORT:
        return plain["host"].lower(), int(plain["port"])
    url = web_address.split(server)
    if url.scheme != "https" or not url.hostname or not server.isprintable():
        raise ValueError("its server is not an https URL")
    return url.hostname, _HTTPS_PORT if url.port is None else url.port
