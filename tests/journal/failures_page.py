"""`python -m tests.journal.failures_page` renews docs/reference/failures.md.

The page is made from the catalogue and its lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from k3s_rootless.journal import exits, verdict
from k3s_rootless.journal.catalogue import CATALOGUE, Failure
from k3s_rootless.journal.facts import Cause, Ending

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/failures.md"
LINES = ROOT / "tests/data/fatal-lines.json"
_HEAD = """# Failures

The failures that `k3s-rootless diagnose` knows. This page is generated from its data. Under each id
are its meaning, who can fix it and how, the check for the same problem, and log lines that show it.
After a `fatal` line K3s exits, or waits without end. After a `survived` line K3s continues, but
something does not work. A `note` also appears in starts that succeed, and is printed only beside a
cause. A `benign` line is harmless.
"""


_BY_SYSTEMD = """# Failures that only systemd reports

K3s logs no line about these. They are recognised by the unit's state, its result and its exit
status.
"""
_FAILED = Ending("loaded", "failed", "failed")
ENDINGS = (
    Ending("masked", "inactive", "dead"),
    Ending("bad-setting", "inactive", "dead"),
    replace(_FAILED, result="signal", code=2, status=11),
    *(replace(_FAILED, result=result) for result in ("timeout", "start-limit-hit", "resources")),
    *(
        replace(_FAILED, result="exit-code", code=1, status=status)
        for status in exits.STEPS
        if status != 203
    ),
)
"""One ending for each cause that no line names."""


def by_systemd() -> tuple[Cause, ...]:
    """Return the causes that systemd alone reports."""
    return tuple(
        cause for one in ENDINGS if (cause := verdict.of_unit(one) or verdict.of_ending(one))
    )


def page() -> str:
    """Return the text of the page."""
    known = json.loads(LINES.read_text("utf-8"))
    told = (part for cause in by_systemd() for part in _told(cause))
    return "\n".join(
        (
            _HEAD,
            *(part for failure in CATALOGUE for part in _section(failure, known)),
            _BY_SYSTEMD,
            *told,
        )
    )


def _told(cause: Cause) -> Iterator[str]:
    yield f"## {cause.id}\n"
    yield f"**{cause.title}**: {cause.why}.\n"
    if cause.check:
        yield f"Check: `{cause.check}`.\n"
    if cause.remedy is not None:
        commands = "\n".join(cause.remedy.commands)
        yield f"Remedy ({cause.remedy.fixable_by.value}): {cause.remedy.text}.\n"
        yield f"```sh\n{commands}\n```\n"


def _section(failure: Failure, known: list[dict[str, str]]) -> Iterator[str]:
    yield f"## {failure.id}\n"
    yield (
        f"**{_open(failure.title)}** ({failure.weight.value})."
        f" {failure.why[:1].upper()}{failure.why[1:]}.\n"
    )
    if failure.check:
        yield f"Check: `{_open(failure.check)}`.\n"
    if failure.told_by:
        yield (
            f"Its lines are those of [{failure.told_by}](#{failure.told_by}); what the host shows"
            " tells them apart.\n"
        )
    yield f"Remedy ({failure.remedy.fixable_by.value}): {failure.remedy.text}.\n"
    commands = "\n".join(failure.remedy.commands)
    if commands:
        yield f"```sh\n{commands}\n```\n"
    lines = [case["line"].strip() for case in known if case["id"] == failure.id]
    if lines:
        yield "```text\n" + "\n".join(lines) + "\n```\n"


def _open(text: str) -> str:
    return text.replace("{", "[").replace("}", "]")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
