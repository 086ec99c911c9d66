"""Diagnosis of a broken K3s, its remedy followed as printed, and K3s ready again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from tests.e2e.causes import Case, broken, order
from tests.e2e.conftest import Tool
from tests.lab.fixtures import fresh
from tests.machine import TOOL, Machine
from tests.vm.machine import Vm

# Commands for the user within a remedy for an administrator.
_OF_THE_USER = re.compile(r"k3s-rootless |systemctl --user |ssh |mkdir -p ~|printf .* >> ~")


@contextmanager
def installed(machine: Machine) -> Iterator[Tool]:
    """Yield a K3s that was ready once; tests then break and fix it."""
    fresh(machine)
    machine.root("sysctl", "-w", "net.ipv4.ip_forward=1").check_returncode()
    tool = Tool(machine)
    order()(tool)
    tool.up().check_returncode()
    yield tool
    fresh(machine)


def tried(tool: Tool, case: Case) -> dict[str, Any]:
    """Break K3s, run `diagnose`, follow the remedy, and require K3s to be ready.

    Returns the cause that was reported.
    """
    output = ""
    with broken(tool, case) as done:
        found = json.loads(done.stdout)
        assert 1 == done.returncode, done.stderr
        cause = expected_cause(found["cause"], case)
        if not case.manual_reason:
            case.end_simulation(tool)
            output = follow(tool, cause["remedy"])
            ready(tool, output)
    if case.manual_reason:
        ready(tool, output)
    return cause


def expected_cause(cause: dict[str, Any] | None, case: Case) -> dict[str, Any]:
    """Assert that the reported cause is the expected one, and return it."""
    assert cause is not None
    assert (case.id, case.fixable_by) == (cause["id"], cause["remedy"]["fixable_by"]), cause
    assert case.check is None or case.check == cause["check"]
    assert case.title in cause["title"]
    assert case.observed in "; ".join(cause["seen"])
    return cause


def ready(tool: Tool, output: str) -> None:
    """Assert that K3s is ready, and that `diagnose` reports this."""
    if "K3s is ready (" not in output:
        up = tool.up()
        assert 0 == up.returncode, (output, up.stderr)
    well = tool("diagnose")
    first, *more = well.stdout.splitlines()
    assert (0, "no problem found: K3s is ready") == (well.returncode, first), (output, well.stdout)
    # systemd restarts a K3s that was killed: `diagnose` then shows the kill as the failure of an
    # earlier start.
    assert not more or more[0].startswith("earlier "), well.stdout


def follow(tool: Tool, remedy: dict[str, Any]) -> str:
    """Paste the commands of a remedy into a shell as printed; return the output.

    Commands for an administrator run as root, where `sudo` does nothing; the others run as the
    user.
    """
    output = ""
    for of_user, lines in groupby(
        remedy["commands"], lambda line: remedy["fixable_by"] == "user" or _OF_THE_USER.match(line)
    ):
        script = "\n".join(lines)
        if of_user:
            output += _as_user(tool, script)
        else:
            done = tool.machine.root("bash", "-c", f'sudo() {{ "$@"; }}\n{script}')
            output += f"{done.stdout}{done.stderr}"
    return output


def _as_user(tool: Tool, script: str) -> str:
    # In a lab without controllers, `up` must ignore that check. The user has no SSH key for a new
    # login.
    script = re.sub(
        r"^k3s-rootless up", " ".join((TOOL, "up", *tool.ignore)), script, flags=re.MULTILINE
    )
    if isinstance(tool.machine, Vm) and "ssh localhost true" in script:
        script = script.replace("ssh localhost true", "true")
        tool.machine.login().check_returncode()
    done = tool.machine.user("bash", "-c", script, timeout=240)
    assert "Traceback" not in done.stderr, done.stderr
    return f"{done.stdout}{done.stderr}"
