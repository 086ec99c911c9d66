"""The record of one failure: the log lines that show it, their meaning, and how to fix it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from k3s_rootless.finding import FixableBy, Remedy

SYSCTL_FILE = "60-k3s-rootless.conf"
# Not systemctl: it refuses to start a unit that exited three times in a minute, and does not reload
# changed unit files.
RESTART = "k3s-rootless restart"
_MANAGED = ("K3S_ROOTLESS_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "CONTAINERD_")
"""The variables that `k3s-rootless env` sets."""
_OWN_FILE = ".config/k3s/config.yaml"
_DROP_INS = "~/.config/systemd/user/k3s-rootless.service.d"


class Weight(Enum):
    """What a line of this kind means for the start that it belongs to."""

    FATAL = "fatal"
    """K3s exits, or never becomes ready."""
    SURVIVED = "survived"
    """K3s continues with reduced function; reported as the cause if no fatal line is found."""
    NOTE = "note"
    """Occurs in successful starts as well; shown beside a cause, never as one."""
    BENIGN = "benign"
    """Looks like an error, but is harmless."""


@dataclass(frozen=True, slots=True)
class Sign:
    r"""One pattern, searched in a line after each `\"` was replaced by `"`.

    Each line that `pattern` matches contains `literal`, which makes the search cheap. `title`,
    `check` and `weight` replace those of the entry if they are not empty. `{name}` in a text is
    replaced by the match of the group of that name.
    """

    literal: str
    pattern: re.Pattern[str]
    title: str = ""
    check: str = ""
    weight: Weight | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure.

    `id` is stable. `check` is the id, or a group of ids, of the check that examines the host for
    the same problem; empty if there is none. `same_lines_as` names the entry with the same log
    lines; the host or the unit shows which of the two it is. `waits` is for a failure after which
    K3s does not exit, but retries without end: the key of the phase that it never reaches
    (operations.readiness.phases).

    `exhausted` marks a resource of the host or the unit that is used up: it shows up as many
    errors, and so it explains an `effect`, a failure whose lines name no reason. `transient` marks
    a problem that is over as soon as the API server is ready.
    """

    id: str
    title: str
    why: str
    remedy: Remedy
    signs: tuple[Sign, ...]
    weight: Weight = Weight.FATAL
    check: str = ""
    same_lines_as: str = ""
    waits: str = ""
    exhausted: bool = False
    effect: bool = False
    transient: bool = False


def sign(
    literal: str, pattern: str, title: str = "", *, check: str = "", weight: Weight | None = None
) -> Sign:
    """Return one sign."""
    return Sign(literal, re.compile(pattern), title, check, weight)


def user(text: str, *commands: str) -> Remedy:
    """Return a remedy that the user can apply alone."""
    return Remedy(FixableBy.USER, text, commands)


def administrator(text: str, *commands: str) -> Remedy:
    """Return a remedy that needs root."""
    return Remedy(FixableBy.ADMINISTRATOR, text, commands)


def environment(text: str, assignment: str, *before: str) -> Remedy:
    """Return the remedy that sets a variable of the unit; `before` are commands to run first."""
    if assignment.startswith(_MANAGED):
        return user(text, *before, f"k3s-rootless env set {assignment}", RESTART)
    return user(text, *before, *drop_in(f"Environment={assignment}"), RESTART)


def option(text: str, name: str, value: str, *before: str) -> Remedy:
    """Return the remedy that sets an option of K3s with `config`.

    `before` are commands that show the possible values.
    """
    return user(text, *before, f"k3s-rootless config set {name} {value}", RESTART)


def other_data_directory(text: str) -> Remedy:
    """Return the remedy that moves K3s's data to another place, which the user must choose."""
    return option(
        f"{text} (replace /PLACE); K3s starts there with an empty cluster",
        "data-dir",
        "/PLACE/k3s",
        "findmnt --types ext4,xfs --output TARGET,OPTIONS,AVAIL",
    )


def own_file(text: str, *lines: str, before: str = "") -> Remedy:
    """Return the remedy that adds lines to the user's own configuration file of K3s.

    This is for options that `config` does not set. The user's file replaces
    /etc/rancher/k3s/config.yaml. `before` is a command that prepares what the lines name.
    """
    quoted = " ".join(f'"{line}"' for line in lines)
    commands = [f"mkdir -p ~/{_OWN_FILE.rpartition('/')[0]}"]
    if before:
        commands.append(before)
    commands.append(f"printf '%s\\n' {quoted} >> ~/{_OWN_FILE}")
    return environment(text, f"K3S_CONFIG_FILE=%h/{_OWN_FILE}", *commands)


def drop_in(line: str) -> tuple[str, str]:
    """Return the commands that add a setting to the service.

    The line goes to the end of the file that `systemctl --user edit` writes, because the last
    assignment counts (systemd.unit(5)).
    """
    return (
        f"mkdir -p {_DROP_INS}",
        f"printf '%s\\n' '[Service]' '{line}' >> {_DROP_INS}/override.conf",
    )


def sysctl(file: str, *assignments: str) -> Remedy:
    """Return the remedy that sets sysctls now and for later boots, in a separate file."""
    lines = tuple(f"echo '{one}' | sudo tee -a /etc/sysctl.d/{file}" for one in assignments)
    return administrator(f"set {' and '.join(assignments)}", *lines, "sudo sysctl --system")
