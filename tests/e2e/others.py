"""Checks of other projects on the same faults, for a comparison; they are not part of this project.

A directory holds them under their own names, and `revisions.json` with the source of each.
"""

from __future__ import annotations

import json
import re
from base64 import encodebytes
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.e2e.conftest import Tool
from tests.e2e.faults import FAULTS

PLACE = "/srv/others"
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "dockerd-rootless-setuptool.sh": ("sh", f"{PLACE}/dockerd-rootless-setuptool.sh", "check"),
    "containerd-rootless-setuptool.sh": (
        "bash",
        f"{PLACE}/containerd-rootless-setuptool.sh",
        "check",
    ),
    "check-config.sh": ("bash", f"{PLACE}/check-config.sh", f"{PLACE}/kernel-config"),
    "k0s-sysinfo": (f"{PLACE}/k0s-sysinfo",),
}
"""Command line of each program.

The two setup tools need the programs that they would set up; empty files replace these.
"""
_EMPTY = ("dockerd-rootless.sh", "containerd-rootless.sh", "dockerd", "containerd")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_VARYING = re.compile(r"[0-9]+|/tmp/\S+")
_PATIENCE = 120


@dataclass
class Others:
    """Programs on a machine, and the exit status and output of each while the host is healthy."""

    tool: Tool
    healthy: dict[str, tuple[int, frozenset[str]]] = field(default_factory=dict)

    @classmethod
    def of(cls, tool: Tool, directory: Path | None) -> Self:
        """Copy the programs of a directory to the machine; without a directory, there are none."""
        others = cls(tool)
        if directory is None:
            return others
        there = [name for name in COMMANDS if (directory / name).exists()]
        empty = (
            f"cd {PLACE}; for name in {' '.join(_EMPTY)}; do printf '#!/bin/sh\\n' > $name; done;"
            " chmod 755 *"
        )
        tool.machine.root("mkdir", "-p", PLACE).check_returncode()
        for name in [*there, *(["kernel-config"] if "check-config.sh" in there else [])]:
            packed = f"base64 -d > {PLACE}/{name}"
            text = encodebytes((directory / name).read_bytes()).decode()
            tool.machine.root("sh", "-c", packed, stdin=text).check_returncode()
        tool.machine.root("sh", "-c", empty).check_returncode()
        others.healthy = {name: others.run(name) for name in there}
        return others

    def run(self, name: str) -> tuple[int, frozenset[str]]:
        """Run a program, and return its exit status and output, without varying parts."""
        path = f"PATH={PLACE}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        command = ("timeout", str(_PATIENCE), "env", path, *COMMANDS[name])
        done = self.tool.machine.user(*command, timeout=_PATIENCE + 30)
        lines = _COLOUR.sub("", done.stdout + done.stderr).splitlines()
        return done.returncode, frozenset(_VARYING.sub("#", line).strip() for line in lines)

    def found(self) -> dict[str, list[str]]:
        """Return the new lines of each program since the healthy state."""
        answers = {}
        for name, (code, lines) in self.healthy.items():
            now, output = self.run(name)
            answers[name] = sorted(output - lines) + (
                [f"exit {now}, was {code}"] if now != code else []
            )
        return answers

    @staticmethod
    def page(found: Mapping[str, Mapping[str, Any]], directory: Path | None = None) -> str:
        """Return a table of the faults that each program found; empty if none was run."""
        by_program: dict[str, dict[str, bool]] = {}
        ours: dict[str, bool] = {}
        for fault in FAULTS:
            for results in found.values():
                one = results.get(fault.id, {})
                for name, new_lines in one.get("peers", {}).items():
                    by_program.setdefault(name, {})
                    by_program[name][fault.id] = by_program[name].get(fault.id, False) or bool(
                        new_lines
                    )
                    ours[fault.id] = one["named"]["verdict"] == fault.verdict
        if not by_program:
            return ""
        revisions = json.loads((directory / "revisions.json").read_text()) if directory else {}
        rows = [f"| `k3s-rootless check` | this | {sum(ours.values())} of {len(ours)} |\n"]
        rows += [
            f"| {name} | {revisions.get(name, '')} | {sum(results.values())} of {len(results)}:"
            f" {_which(results)} |\n"
            for name, results in by_program.items()
        ]
        return _HEAD + "".join(rows)


_HEAD = """
## Other checks, in the same run

Each check ran first on the healthy machine, and then on the machine with each fault, immediately
after `k3s-rootless check`. A fault counts as found if the check prints anything that it did not
print on the healthy machine, or if its exit status differs; the check does not have to name the
fault. None of these checks is made for rootless K3s, and other findings of these checks are not
measured here. The two setup tools got empty programs to set up, and the script of K3s got the
kernel configuration of Debian 13. Of k0s, only the probes of `sysinfo` were built, with our own
main program, because k0s as a whole did not build on the test machine.

| check | from | faults found |
|---|---|---|
"""


def _which(results: Mapping[str, bool]) -> str:
    return ", ".join(f"`{name}`" for name, found in results.items() if found) or "none"
