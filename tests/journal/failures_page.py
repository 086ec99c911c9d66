"""`python -m tests.journal.failures_page` writes docs/reference/failures.md.

The page is generated from the catalogue and its log lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from k3s_rootless.finding import Remedy
from k3s_rootless.journal import exits, verdict
from k3s_rootless.journal.catalogue import CATALOGUE, Failure
from k3s_rootless.journal.facts import Cause, Ending

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/failures.md"
LINES = ROOT / "tests/data/fatal-lines.json"
_HEAD = """# Failures

The failures that `k3s-rootless diagnose` recognises. This page is generated from the catalogue of
failures. Each section has the id of a failure, its meaning, the check for the same problem, how to
fix it, and log lines that show it. `Fix` is for the user of K3s, `Fix (administrator)` needs root.

The weight of a failure is in parentheses:

- `fatal`: K3s exits, or waits without end.
- `survived`: K3s keeps running, but a function does not work.
- `note`: the line also occurs in successful starts. It is shown only together with a cause.
- `benign`: the line is harmless.
"""


_BY_SYSTEMD = """# Failures that only systemd reports

K3s logs no line about these failures. `diagnose` recognises them by the state, the result and the
exit status of the unit.
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
    from_systemd = (part for cause in by_systemd() for part in _systemd_section(cause))
    return "\n".join(
        (
            _HEAD,
            *(part for failure in CATALOGUE for part in _section(failure, known)),
            _BY_SYSTEMD,
            *from_systemd,
        )
    )


def _systemd_section(cause: Cause) -> Iterator[str]:
    yield f"## {cause.id}\n"
    yield f"**{cause.title}**: {cause.why}.\n"
    if cause.check:
        yield f"Check: `{cause.check}`.\n"
    if cause.remedy is not None:
        commands = "\n".join(cause.remedy.commands)
        yield f"{_fix(cause.remedy)}\n"
        yield f"```sh\n{commands}\n```\n"


def _section(failure: Failure, known: list[dict[str, str]]) -> Iterator[str]:
    yield f"## {failure.id}\n"
    title = _with_placeholders(failure.title)
    yield f"**{title}** ({failure.weight.value}): {failure.why}.\n"
    if failure.check:
        yield f"Check: `{_with_placeholders(failure.check)}`.\n"
    if failure.same_lines_as:
        other = failure.same_lines_as
        yield (
            f"The log lines are the same as for [{other}](#{other}); the state of the host or of"
            " the unit shows which failure it is.\n"
        )
    yield f"{_fix(failure.remedy)}\n"
    commands = "\n".join(failure.remedy.commands)
    if commands:
        yield f"```sh\n{commands}\n```\n"
    lines = [case["line"].strip() for case in known if case["id"] == failure.id]
    if lines:
        yield "```text\n" + "\n".join(lines) + "\n```\n"


def _fix(remedy: Remedy) -> str:
    label = remedy.label
    return f"{label[0].upper()}{label[1:]}: {remedy.text}."


def _with_placeholders(text: str) -> str:
    return text.replace("{", "[").replace("}", "]")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
