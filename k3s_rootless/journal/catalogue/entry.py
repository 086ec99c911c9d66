"""What one way to fail is described by: the words that it is known by, what they mean, and who
mends it how.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from k3s_rootless.finding import Mender, Remedy

SYSCTL_FILE = "60-k3s-rootless.conf"
# Not systemctl: it refuses to start a unit that died three times in a minute, and does not read
# what changed.
RESTART = "k3s-rootless restart"
_MANAGED = ("K3S_ROOTLESS_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "CONTAINERD_")
"""What `k3s-rootless env` sets."""
_OWN_FILE = ".config/k3s/config.yaml"
_DROP_INS = "~/.config/systemd/user/k3s-rootless.service.d"


class Weight(Enum):
    """What a line of this kind says about the start that it is found in."""

    FATAL = "fatal"
    """K3s dies of it, or never becomes ready."""
    SURVIVED = "survived"
    """K3s goes on without something: the answer where nothing fatal is found."""
    NOTE = "note"
    """Seen in starts that succeed as well: told beside an answer, never as one."""
    BENIGN = "benign"
    """Frightening, and harmless."""


@dataclass(frozen=True, slots=True)
class Sign:
    r"""One form of words, searched in a line after `\"` was read as `"`.

    `literal` stands in each line that `pattern` matches, which makes the search cheap. `title`,
    `check` and `weight` replace those of the entry where they are given; `{name}` in a text stands
    for what the group of that name matched.
    """

    literal: str
    pattern: re.Pattern[str]
    title: str = ""
    check: str = ""
    weight: Weight | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """One way to fail.

    `id` is stable; `check` is the id, or a group of ids, of the check that asks the host about the
    same trouble, empty where none does. `told_by` names the entry whose words are the same: only
    the host tells the two apart. `waits` is for a failure of which K3s does not exit, but tries
    again without end: the key of the phase that it then never reaches (service.phases).
    """

    id: str
    title: str
    why: str
    remedy: Remedy
    signs: tuple[Sign, ...]
    weight: Weight = Weight.FATAL
    check: str = ""
    told_by: str = ""
    waits: str = ""


def sign(
    literal: str, pattern: str, title: str = "", *, check: str = "", weight: Weight | None = None
) -> Sign:
    """Return one form of words."""
    return Sign(literal, re.compile(pattern), title, check, weight)


def user(text: str, *commands: str) -> Remedy:
    """Return a remedy that the user can follow alone."""
    return Remedy(Mender.USER, text, commands)


def administrator(text: str, *commands: str) -> Remedy:
    """Return a remedy that needs root."""
    return Remedy(Mender.ADMINISTRATOR, text, commands)


def environment(text: str, assignment: str, *before: str) -> Remedy:
    """Return the remedy that is a variable of the unit; `before` are commands to run first."""
    if assignment.startswith(_MANAGED):
        return user(text, *before, f"k3s-rootless env set {assignment}", RESTART)
    return user(text, *before, *drop_in(f"Environment={assignment}"), RESTART)


def option(text: str, name: str, value: str, *before: str) -> Remedy:
    """Return the remedy that is an option of K3s which `config` sets; `before` shows what to choose
    from.
    """
    return user(text, *before, f"k3s-rootless config set {name} {value}", RESTART)


def elsewhere(text: str) -> Remedy:
    """Return the remedy that is another place for K3s's data: which one, only the user can say."""
    return option(
        f"{text}, in place of /PLACE; K3s begins anew there",
        "data-dir",
        "/PLACE/k3s",
        "findmnt --types ext4,xfs --output TARGET,OPTIONS,AVAIL",
    )


def own_file(text: str, *lines: str, before: str = "") -> Remedy:
    """Return the remedy that is lines of K3s's own configuration file, for what `config` does not
    set.

    The user's file takes the place of /etc/rancher/k3s/config.yaml. `before` is a command that what
    they name needs.
    """
    words = " ".join(f'"{line}"' for line in lines)
    commands = [f"mkdir -p ~/{_OWN_FILE.rpartition('/')[0]}"]
    if before:
        commands.append(before)
    commands.append(f"printf '%s\\n' {words} >> ~/{_OWN_FILE}")
    return environment(text, f"K3S_CONFIG_FILE=%h/{_OWN_FILE}", *commands)


def drop_in(line: str) -> tuple[str, str]:
    """Return the commands that set something for the service.

    The line goes to the end of the file that `systemctl --user edit` writes: what is read last
    counts (systemd.unit(5)).
    """
    return (
        f"mkdir -p {_DROP_INS}",
        f"printf '%s\\n' '[Service]' '{line}' >> {_DROP_INS}/override.conf",
    )


def sysctl(file: str, *assignments: str) -> Remedy:
    """Return the remedy that sets sysctls now and for later boots, in a file of their own."""
    lines = tuple(f"echo '{one}' | sudo tee -a /etc/sysctl.d/{file}" for one in assignments)
    return administrator(f"set {' and '.join(assignments)}", *lines, "sudo sysctl --system")
