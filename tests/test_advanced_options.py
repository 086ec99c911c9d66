"""Tests of the page that maps K3s's page "Advanced Options / Configuration" to this tool.

The page has each section of K3s's page. Its commands are parsed by the command line itself, so that
each command, option and setting in it exists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from k3s_rootless.cli import shell
from k3s_rootless.k3s import features, options
from k3s_rootless.node import subcommands
from k3s_rootless.operations.configuration import change
from k3s_rootless.preflight.checks.checklist import CHECKS
from k3s_rootless.service.environment.variables import VARIABLES

PAGE = Path(__file__).parent.parent / "docs/reference/advanced-options.md"
SECTIONS = (
    "Certificate Management",
    "Certificate Authority Certificates",
    "Client and Server certificates",
    "Token Management",
    "Configuring an HTTP proxy",
    "Using Docker as the Container Runtime",
    "Using etcdctl",
    "Configuring containerd",
    "Base template",
    "Alternative Container Runtime Support",
    "Running Agentless Servers (Experimental)",
    "Running Rootless Servers (Experimental)",
    "Known Issues with Rootless mode",
    "Starting Rootless Servers",
    "Advanced Rootless Configuration",
    "Troubleshooting Rootless",
    "Node Labels and Taints",
    "Starting the Service with the Installation Script",
    "Additional OS Preparations",
    "Old iptables versions",
    "Red Hat Enterprise Linux / CentOS / Fedora",
    "Ubuntu / Debian",
    "Raspberry Pi",
    "Running K3s in Docker",
    "SELinux Support",
    "Enabling SELinux Enforcement",
    "Enabling Lazy Pulling of eStargz (Experimental)",
    "What's lazy pulling and eStargz?",
    "Configure k3s for lazy pulling of eStargz",
    "Additional Logging Sources",
    "Additional Network Policy Logging",
)
"""The headings of K3s's page (k3s-io/docs docs/advanced.md, November 2026, and 2023 for the host).

Two of its tabs are no headings: k3d and Docker, and automatic and manual installation.
"""
HEAD = ("K3s's page", "in rootless mode", "command", "from")


@dataclass(frozen=True)
class Row:
    """One row of a table, with the section that it is in."""

    section: str
    original: str
    rootless: str
    command: str
    since: str

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command in the column `command`, without the program."""
        found = re.findall(r"`k3s-rootless ([^`]+)`", self.command)
        return [one.split() for one in found]

    @property
    def refused(self) -> list[str]:
        """The settings that this row calls refused."""
        return re.findall(r"`([^`]+)`", self.command.partition("refused: ")[2])


def rows() -> list[Row]:
    """Return the rows of all tables of the page."""
    section = ""
    found = []
    for line in PAGE.read_text("utf-8").splitlines():
        if heading := re.fullmatch(r"##+ (.+)", line):
            section = heading[1]
        cells = [one.strip() for one in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) != len(HEAD) or tuple(cells) == HEAD or set(cells) == {"---"}:
            continue
        found.append(Row(section, *cells))
    return found


ROWS = rows()
COMMANDS = sorted({" ".join(words) for row in ROWS for words in row.commands})


def test_each_section_of_the_page_of_k3s_is_there_in_its_order() -> None:
    headings = re.findall(r"^##+ (.+)$", PAGE.read_text("utf-8"), re.MULTILINE)

    assert list(SECTIONS) == headings


def test_each_section_has_a_row_or_a_sentence() -> None:
    parts = re.split(r"^##+ .+$", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]
    divided = {"Certificate Management", "Enabling Lazy Pulling of eStargz (Experimental)"}

    assert [] == [
        name
        for name, text in zip(SECTIONS, parts, strict=True)
        if not text.strip() and name not in divided
    ]


def test_each_table_has_the_same_columns_and_each_row_all_of_them() -> None:
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|")]
    heads = [line for line in lines if line == f"| {' | '.join(HEAD)} |"]

    assert len(lines) == 2 * len(heads) + len(ROWS)
    assert [] == [row for row in ROWS if "" in (row.original, row.rootless, row.command, row.since)]


@pytest.mark.parametrize("text", COMMANDS)
def test_each_command_is_parsed(text: str) -> None:
    assert parsed(text.split()).command.name


@pytest.mark.parametrize("text", COMMANDS)
def test_each_setting_check_and_sub_command_exists(text: str) -> None:
    match text.split():
        case ["config", "set" | "unset" | "get", name, *values]:
            assert name == change.require_known(name)
            if option := options.OPTIONS.get(name):
                assert all(option.read(value, None) for value in values)
        case ["env", "set", *assignments]:
            assert {one.partition("=")[0] for one in assignments} <= set(VARIABLES)
        case ["check", *ids]:
            known = {check.id for check in CHECKS}
            assert all(one in known or group(one, known) for one in ids if one[0] != "-")
        case ["k3s", *words]:
            assert subcommands.find(words).name == words[0]
        case _:
            pass


def test_the_refused_settings_are_refused() -> None:
    assert [] == [row for row in ROWS if not set(row.refused) <= set(options.REFUSED)]


def test_a_setting_that_is_refused_has_a_row() -> None:
    """The remaining settings that are refused do not occur on K3s's page."""
    elsewhere = {
        "rootless",
        "node-ip",
        "bind-address",
        "flannel-iface",
        "vpn-auth",
        "vpn-auth-file",
        "kube-proxy-arg",
        "kubelet-arg",
        "datastore-endpoint",
    }

    assert set(options.REFUSED) - elsewhere == {name for row in ROWS for name in row.refused}


@pytest.mark.parametrize("since", sorted({row.since for row in ROWS} - {"all", "-"}))
def test_the_releases_are_releases_in_their_order(since: str) -> None:
    releases = since.split(", ")

    assert releases == [str(one) for one in features.Since.of(*releases).firsts]


def test_the_releases_are_those_of_the_code() -> None:
    different = [
        (row.section, row.since, known)
        for row in ROWS
        for words in row.commands
        if (known := since_of(words)) not in {None, row.since}
    ]

    assert [] == different


def since_of(words: list[str]) -> str | None:
    """Return the first releases that the code knows for a command; None if it knows none."""
    found: features.Since | None = None
    match words:
        case ["env", "set", assignment, *_]:
            found = VARIABLES[assignment.partition("=")[0]].since
        case ["k3s", *rest]:
            found = subcommands.find(rest).since
        case ["config", "set", "snapshotter", name]:
            found = features.SNAPSHOTTERS[name]
        case ["config", "set", "prefer-bundled-bin", _]:
            found = features.PREFER_BUNDLED_BIN
        case _:
            return None
    return ", ".join(first.text for first in found.firsts) if found else "all"


def group(name: str, known: set[str]) -> bool:
    """Return whether a name is that of a group of checks."""
    return any(one.startswith(f"{name}.") for one in known)


def parsed(words: list[str]) -> click.Context:
    """Parse a command line as the program does, and return the context of its command.

    Raises click.ClickException.
    """
    context = click.Context(shell, info_name="k3s-rootless")
    command: click.Command = shell
    rest = words
    while isinstance(command, click.Group):
        inner = command.get_command(context, rest[0]) if rest else None
        if inner is None:
            raise click.UsageError(f"no such command: {' '.join(words)}")
        context = click.Context(inner, context, rest[0])
        command, rest = inner, rest[1:]
    return command.make_context(context.info_name, list(rest), parent=context.parent)


@pytest.mark.parametrize(
    "text",
    ["certs", "check --all", "config", "env set", "up --nothing", "ports plan", "backup new"],
)
def test_a_command_that_does_not_exist_is_found(text: str) -> None:
    with pytest.raises(click.ClickException):
        parsed(text.split())
