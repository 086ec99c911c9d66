"""Show findings as text, the most urgent first, with a shared remedy shown only once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from k3s_rootless.cli.display.style import STYLES, styled
from k3s_rootless.finding import Verdict
from k3s_rootless.printable import printable_lines as safe

if TYPE_CHECKING:
    from k3s_rootless.finding import Finding, Remedy
    from k3s_rootless.operations.check.checking import Checked

_ORDER = (Verdict.FAIL, Verdict.UNKNOWN, Verdict.WARN, Verdict.INFO, Verdict.PASS)
_INDENT = 8
"""Columns of the verdict, and indentation of the lines below it."""
_MOST_PASSED = 12
"""If more findings pass, they are combined into one line for each group."""

Line = tuple[str, int | None]
"""A line, and the indentation of its continuation in columns (`layout.wrapped`)."""


def lines(findings: Sequence[Finding]) -> Iterator[Line]:
    """Yield the lines of findings, the most severe first.

    A remedy that several findings share is shown in full after the last of the most severe ones.
    """
    ordered = sorted(findings, key=lambda one: _ORDER.index(one.verdict))
    owners = _owners(ordered)
    passed = [one for one in ordered if one.verdict is Verdict.PASS]
    folded = []
    if len(passed) > _MOST_PASSED:
        folded = passed
    for one in ordered[: len(ordered) - len(folded)]:
        yield _head(one), _INDENT
        for text in _details(one, owners.get(one.remedy, one)):
            yield f"{' ' * _INDENT}{text}", None
    for group in dict.fromkeys(_group(one) for one in folded):
        names = [one.check.partition(".")[2] for one in folded if _group(one) == group]
        yield (
            f"{styled('pass    ', fg='green')}{group}  {styled(', '.join(names), dim=True)}",
            _INDENT,
        )


def summary(checked: Checked) -> str:
    """Return the last lines of `check`: whether this host is ready, and what to run next."""
    error = checked.error
    if error is not None:
        return f"\n{error.message}\nnext: {error.hint}"
    limits = ""
    if checked.warnings:
        plural = "s" if checked.warnings > 1 else ""
        limits += f", with {checked.warnings} warning{plural} (see above)"
    if checked.ignored_problems:
        limits += f"; ignored: {', '.join(checked.ignored_problems)}"
    if not checked.complete:
        return (
            f"\nthe selected checks passed{limits}; the other checks were not run\n"
            "next: k3s-rootless check"
        )
    options = "".join(f" --ignore {name}" for name in checked.effective_ignored)
    return f"\nthis host is ready for rootless K3s{limits}\nnext: k3s-rootless up{options}"


def _owners(ordered: Sequence[Finding]) -> Mapping[Remedy | None, Finding]:
    """Return the finding that shows each remedy in full."""
    owners: dict[Remedy | None, Finding] = {}
    for one in ordered:
        if one.remedy is None:
            continue
        owner = owners.setdefault(one.remedy, one)
        if owner.verdict is one.verdict:
            owners[one.remedy] = one
    return owners


def _head(one: Finding) -> str:
    verdict = styled(f"{one.verdict.value:<{_INDENT}}", fg=STYLES[one.verdict.value])
    failed = one.verdict is Verdict.FAIL
    observed = styled(safe(one.observed), bold=failed, dim=not failed)
    return f"{verdict}{one.title}  {observed}".rstrip()


def _details(one: Finding, owner: Finding) -> list[str]:
    """Return the lines below a finding: the reason, who can fix it, and how.

    `owner` is the finding that shows the same remedy in full.
    """
    if one.verdict is Verdict.PASS:
        return []
    source = f", {safe(one.source)}" if one.source else ""
    texts = [f"{safe(one.reason)} ({one.check}{source})"]
    if one.remedy is None:
        return texts
    label = one.remedy.label
    if owner.verdict is not one.verdict:
        return [*texts, f"{label}: same as for {owner.check}"]
    if owner.check != one.check:
        return texts
    texts.append(f"{label}: {safe(one.remedy.text)}")
    if one.verdict is not Verdict.INFO:  # no action is needed; the commands are in the JSON
        texts += [f"  $ {safe(command)}" for command in one.remedy.commands]
    return texts


def _group(one: Finding) -> str:
    return one.check.partition(".")[0]
