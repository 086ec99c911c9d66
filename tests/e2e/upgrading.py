"""Releases of K3s in a lab: each is the stand-in with its own orders."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.conftest import Tool
from tests.machine import HOME, K3S

OWN = HOME / ".local/share/k3s-rootless"
QUICK = {"delay": 0.1, "ready_delay": 0.05, "node_delay": 0.05, "deployments_delay": 0.05}


def bring(tool: Tool, release: str, orders: dict[str, Any]) -> None:
    """Get a release that is a stand-in with its own orders."""
    base: dict[str, Any] = {"version": release}
    if not tool.machine.delegates:
        base["enforce_controllers"] = False
    file = f"{HOME}/usb/{release}.json"
    program = f'#!/bin/sh\nK3S_STANDIN_ORDERS={file} exec {K3S} "$@"\n'
    script = f'mkdir -p usb && cd usb && cat >{release}.json && printf %s "$0" >k3s'
    tool.machine.user(
        "sh",
        "-c",
        f"{script} && sha256sum k3s >sha256sum-amd64.txt",
        program,
        stdin=json.dumps(base | orders),
    ).check_returncode()
    files = ("--file", "usb/k3s", "--checksums", "usb/sha256sum-amd64.txt")
    tool("release", "get", *files).check_returncode()
