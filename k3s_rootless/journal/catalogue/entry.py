"""What one way to fail is described by: the words that it is known by, what they mean, and who mends it how."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from k3s_rootless.finding import Mender, Remedy


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

    `literal` stands in each line that `pattern` matches, which makes the search cheap. `title`, `check` and `weight` replace
    those of the entry where they are given; `{name}` in a text stands for what the group of that name matched.
    """

    literal: str
    pattern: re.Pattern[str]
    title: str = ""
    check: str = ""
    weight: Weight | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """One way to fail.

    `id` is stable; `check` is the id, or a group of ids, of the check that asks the host about the same trouble, empty where
    none does. `told_by` names the entry whose words are the same: only the host tells the two apart.
    """

    id: str
    title: str
    why: str
    remedy: Remedy
    signs: tuple[Sign, ...]
    weight: Weight = Weight.FATAL
    check: str = ""
    told_by: str = ""


def sign(literal: str, pattern: str, title: str = "", *, check: str = "", weight: Weight | None = None) -> Sign:
    """Give one form of words."""
    return Sign(literal, re.compile(pattern), title, check, weight)


def user(text: str, *commands: str) -> Remedy:
    """Give a remedy that the user can follow alone."""
    return Remedy(Mender.USER, text, commands)


def administrator(text: str, *commands: str) -> Remedy:
    """Give a remedy that needs root."""
    return Remedy(Mender.ADMINISTRATOR, text, commands)


def setting(text: str, line: str) -> Remedy:
    """Give the remedy that is a line in a drop-in of the unit."""
    return user(
        text,
        f"systemctl --user edit k3s-rootless.service   # under [Service]: {line}",
        "systemctl --user restart k3s-rootless.service",
    )


def variable(text: str, assignment: str) -> Remedy:
    """Give the remedy that is a variable of the environment."""
    return user(text, f"k3s-rootless env set {assignment}", "k3s-rootless restart")


def sysctl(file: str, *assignments: str) -> Remedy:
    """Give the remedy that sets sysctls now and for later boots, in a file of their own."""
    lines = tuple(f"echo '{one}' | sudo tee -a /etc/sysctl.d/{file}" for one in assignments)
    return administrator(f"set {' and '.join(assignments)}", *lines, "sudo sysctl --system")


SYSCTL_FILE = "60-k3s-rootless.conf"
RESTART = "systemctl --user restart k3s-rootless.service"
