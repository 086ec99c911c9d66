"""`k3s etcd-snapshot` (K3s pkg/cli/etcdsnapshot)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from . import supervisor_client
from .journal import Fatal, Journal


def run(words: list[str], data: Path, journal: Journal) -> int:
    """Run the sub-command, and return the exit status."""
    option = supervisor_client.option
    server = option(words, "etcd-server", "s") or supervisor_client.DEFAULT
    file = data / "server" / "token"
    if not file.exists():
        raise Fatal(f"Error: open {file}: no such file or directory")
    token = option(words, "etcd-token", "t") or file.read_text().strip()
    request: dict[str, Any] = {"operation": "list"}
    if words[:1] == ["save"]:
        name = option(words, "name") or "on-demand"
        request = {"operation": "save", "name": [name], "retention": 0}
        if place := option(words, "dir", "etcd-snapshot-dir"):
            request["dir"] = place
    try:
        found = json.loads(supervisor_client.call(server, token, "POST", "/db/snapshot", request))
    except Fatal as error:
        raise Fatal(f"Error: see server log for details: {error.message}") from None
    for name in found.get("created", ()):
        journal.info(f"Snapshot {name} saved.")
    if request["operation"] == "list":
        print("Name Location Size Created")
    return 0
