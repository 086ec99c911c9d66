"""A row: what is changed on a healthy host, and what one check then finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from k3s_rootless.finding import FixableBy, Verdict
from k3s_rootless.preflight.facts import Facts
from tests.strategies import facts

PASS, INFO, WARN, FAIL, UNKNOWN = (
    Verdict.PASS,
    Verdict.INFO,
    Verdict.WARN,
    Verdict.FAIL,
    Verdict.UNKNOWN,
)
USER, ADMIN, UNFIXABLE = FixableBy.USER, FixableBy.ADMINISTRATOR, FixableBy.NONE


@dataclass(frozen=True, slots=True)
class Row:
    """What is changed on a healthy host, and the finding that one check must return.

    `expected` is text of the finding. `fixable_by` is that of the remedy; None if there is none.
    """

    check: str
    verdict: Verdict
    host: Facts
    expected: str
    fixable_by: FixableBy | None = None

    def __str__(self) -> str:
        return f"{self.check} {self.verdict.value}: {self.expected}"


def row(
    check: str, verdict: Verdict, expected: str, fixable_by: FixableBy | None, **changes: Any
) -> Row:
    """Return a row with changes to a healthy host."""
    return Row(check, verdict, facts(**changes), expected, fixable_by)
