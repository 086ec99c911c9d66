"""Results of checks: the verdict, the observation behind it, and how to fix the problem."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from shlex import quote
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from k3s_rootless.host_change import Measure

CHECKS_PAGE = "docs/reference/checks.md"


class Verdict(Enum):
    """The five possible results of a check.

    `info` is a fact worth knowing that needs no action. `unknown` means that the fact could not be
    read; it is never converted into another verdict.
    """

    PASS = "pass"  # noqa: S105 (a verdict, not a password)
    INFO = "info"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Severity(Enum):
    """The worst effect on K3s if a check fails."""

    FATAL = "fatal"
    """K3s does not start, or never becomes ready."""
    DEGRADED = "degraded"
    """K3s runs with restrictions: a port, a name, space or a later start is missing."""
    INFORMATIVE = "informative"
    """K3s is not affected."""


class FixableBy(Enum):
    """Who can fix a finding; NONE means that this host cannot run rootless K3s."""

    USER = "user"
    ADMINISTRATOR = "administrator"
    NONE = "none"

    @property
    def label(self) -> str:
        """The text before a remedy; the value itself is for JSON."""
        return _LABELS[self]


_LABELS = {
    FixableBy.USER: "fix",
    FixableBy.ADMINISTRATOR: "fix (administrator)",
    FixableBy.NONE: "cannot be fixed on this host",
}


@dataclass(frozen=True, slots=True)
class Remedy:
    """How to fix a finding: who can do it, one sentence, and the commands to paste.

    `commands` is empty if no command helps.
    """

    fixable_by: FixableBy
    text: str
    commands: tuple[str, ...] = ()
    measures: tuple[Measure, ...] = ()

    @property
    def label(self) -> str:
        """The text before this remedy: who can fix the finding."""
        return self.fixable_by.label

    def document(self) -> dict[str, Any]:
        """Return this remedy as JSON data."""
        return {
            "fixable_by": self.fixable_by.value,
            "text": self.text,
            "commands": list(self.commands),
        }


def disable_drop_in(drop_in: str, then: str) -> Remedy:
    """Return the remedy that disables a drop-in of the unit and keeps its file.

    `then` is the command that applies the change.
    """
    name, path = drop_in.rpartition("/")[2], quote(drop_in)
    text = f"disable the drop-in {name} with all its settings, by renaming it"
    return Remedy(FixableBy.USER, text, (f"mv {path} {path}.off", then))


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    `check` is its stable id (`cgroup.delegation.cpuset`), `observed` the observed value and
    `source` where it was read. `reason` explains why the verdict is not `pass`, and `remedy` how to
    fix it. `severity` is that of the check: the worst effect that it can find.
    """

    check: str
    title: str
    verdict: Verdict
    observed: str
    source: str = ""
    reason: str = ""
    remedy: Remedy | None = None
    severity: Severity = Severity.FATAL

    @property
    def anchor(self) -> str:
        """The link to the documentation of this check."""
        return f"{CHECKS_PAGE}#{self.check.replace('.', '')}"

    def document(self) -> dict[str, Any]:
        """Return this finding as JSON data; keys are only ever added."""
        return {
            "check": self.check,
            "title": self.title,
            "verdict": self.verdict.value,
            "severity": self.severity.value,
            "observed": self.observed,
            "source": self.source,
            "reason": self.reason,
            "documentation": self.anchor,
            "remedy": self.remedy.document() if self.remedy else None,
        }


def matches(check: str, requested: str) -> bool:
    """Return whether `requested` is the id of this check, or of its group (`cgroup.delegation`)."""
    return check == requested or check.startswith(f"{requested}.")
