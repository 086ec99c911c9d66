"""`k3s secrets-encrypt` (K3s pkg/cli/secretsencrypt)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from . import supervisor_client
from .journal import Fatal

_REQUESTS: dict[str, tuple[dict[str, Any], str]] = {
    "enable": ({"enable": True}, "secrets-encryption enabled"),
    "disable": ({"enable": False}, "secrets-encryption disabled"),
    "prepare": ({"stage": "prepare"}, "prepare completed successfully"),
    "rotate": ({"stage": "rotate"}, "rotate completed successfully"),
    "reencrypt": ({"stage": "reencrypt_active"}, "reencryption started"),
    "rotate-keys": ({"stage": "rotate_keys"}, "keys rotated, reencryption finished"),
}


def run(words: list[str], data: Path) -> int:
    """Run the sub-command, and return the exit status."""
    given = supervisor_client.option(words, "server", "s") or os.environ.get("K3S_URL", "")
    server = given or supervisor_client.DEFAULT
    file = data / "server" / "token"
    if not file.exists():
        raise Fatal(f"open {file}: no such file or directory")
    token, verb = file.read_text().strip(), next(iter(words), "")
    try:
        if verb != "status":
            request, done = _REQUESTS[verb]
            options = {"force": "--force" in words, "skip": "--skip" in words}
            supervisor_client.call(
                server, token, "PUT", "/v1-k3s/encrypt/config", request | options
            )
            print(done)
            return 0
        found = json.loads(supervisor_client.call(server, token, "GET", "/v1-k3s/encrypt/status"))
    except Fatal as error:
        raise Fatal(f"see server log for details: {error.message}") from None
    _show(found, as_json=supervisor_client.option(words, "output", "o") == "json")
    return 0


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found, indent="\t"))
        return
    if "enable" not in found:
        print("Encryption Status: Disabled, no configuration file found")
        return
    print(f"Encryption Status: {'Enabled' if found['enable'] else 'Disabled'}")
    print(f"Current Rotation Stage: {found['stage']}")
    print("Server Encryption Hashes: All hashes match")
    print("\nActive  Key Type  Name\n------  --------  ----")
    if found["activekey"]:
        print(f" *      {'  '.join(found['activekey'].split())}")
    for key in found.get("inactivekeys", ()):
        print(f"        {'  '.join(key.split())}")
