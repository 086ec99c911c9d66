"""Demonstration of the README's first command in a lab, with a check after each step.

It needs no systemd on the host.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Collection

from tests.lab.driver import Lab
from tests.machine import USER

_CHECK_FAILED = (5, 6)  # exit statuses of `k3s-rootless check` when a requirement is not met
_IGNORE = ("--ignore", "cgroup.delegation")


def demonstrate() -> int:
    """Run the demonstration, and return 0 if every step succeeded."""
    _print(
        "booting a lab: a real systemd in namespaces of its own, with a K3s stand-in; nothing of"
        " this host changes"
    )
    with Lab.up(f"demo-{os.getpid()}") as lab:
        failed = next((name for name, step in _steps(lab) if not step()), None)
    if failed:
        _print(f"failed: {failed}; the lab was removed")
        return 1
    _print("success; the lab was removed")
    return 0


def _steps(lab: Lab) -> list[tuple[str, Callable[[], bool]]]:
    up = ("k3s-rootless", "up", *(() if lab.delegates else _IGNORE))
    return [
        ("check", lambda: _check(lab)),
        ("up", lambda: _shown(lab, *up)),
        ("ports", lambda: _shown(lab, "k3s-rootless", "ports")),
        ("curl", lambda: _shown(lab, "curl", "-si", "http://localhost:10080/")),
        ("up again", lambda: _shown(lab, *up)),
        ("down", lambda: _shown(lab, "k3s-rootless", "down")),
    ]


def _check(lab: Lab) -> bool:
    good = _shown(lab, "k3s-rootless", "check", expected=(0, *_CHECK_FAILED))
    if lab.delegates:
        # A fresh Debian does not delegate cpuset to users. The check shows the commands for an
        # administrator; the demonstration can run them as root.
        return good and _administer(lab)
    _print(
        f"this host keeps {', '.join(lab.lacking)} on cgroup v1, so no user in the lab can be given"
        f" them; the stand-in does without, hence {' '.join(_IGNORE)}"
    )
    return good


def _administer(lab: Lab) -> bool:
    findings = json.loads(lab.user("k3s-rootless", "check", "--json").stdout)["checks"]
    failed = [one["remedy"] for one in findings if one["verdict"] == "fail"]
    # Several checks can have the same remedy.
    commands = dict.fromkeys(
        command
        for one in failed
        if one["fixable_by"] == "administrator"
        for command in one["commands"]
    )
    for command in commands:
        sys.stdout.write(f"\nadministrator$ {command}\n")
        sys.stdout.flush()
        if lab.attached("bash", "-euc", command.replace("sudo ", ""), as_root=True) != 0:
            return False
    if commands:
        _print(f"{USER} logs in again; `up` completes the work")
        lab.log_in_again()
    return True


def _shown(lab: Lab, *command: str, expected: Collection[int] = (0,)) -> bool:
    sys.stdout.write(f"\n$ {shlex.join(command)}\n")
    sys.stdout.flush()
    status = lab.attached(*command)
    if status not in expected:
        _print(f"exit status {status}")
    return status in expected


def _print(text: str) -> None:
    sys.stdout.write(f"\n# {text}\n")
    sys.stdout.flush()
