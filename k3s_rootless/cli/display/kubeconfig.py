"""Show the results of `kubeconfig`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from k3s_rootless.operations.kubeconfig import document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.operations.kubeconfig.merge import Merged
    from k3s_rootless.operations.kubeconfig.removed import Removed, RemovedFrom
    from k3s_rootless.operations.kubeconfig.show import Located, Shown


def show(report: Report, shown: Shown) -> None:
    """Print K3s's kubeconfig."""
    report.verbatim(shown.text.removesuffix("\n"))
    report.document(document.of_shown(shown))


def show_path(report: Report, located: Located) -> None:
    """Print the path of K3s's kubeconfig."""
    report.value(str(located.path))
    if not located.exists:
        report.notice("K3s has not written this file yet; start K3s with: k3s-rootless up")
    report.document(document.of_located(located))


def show_merged(report: Report, merged: Merged) -> None:
    """Print which file has the context, and how to use it."""
    name, file = merged.name, merged.file
    verb = "is"
    if not merged.changed:
        report.answer(f"nothing to do: {file} has the context `{name}`")
    elif merged.dry_run:
        verb = "would be"
        report.answer(f"would merge the context `{name}` ({merged.server}) into {file}")
    else:
        report.answer(f"merged the context `{name}` ({merged.server}) into {file}")
    if merged.current == name:
        report.answer(f"it {verb} the current context: kubectl get pods -A")
    else:
        report.answer(f"use it with: kubectl --context {shlex.quote(name)} get pods -A")
    report.document(document.of_merged(merged))


def show_removed(report: Report, removed: Removed) -> int:
    """Print which files changed; return the exit code."""
    for one in removed.files:
        for line in lines_of(one, would=removed.dry_run):
            report.answer(line)
    for file, name in removed.kept:
        report.notice(kept(str(file), name))
    for problem in removed.problems:
        report.problem(problem.message, problem.hint)
    if not (removed.files or removed.kept or removed.problems):
        report.answer("nothing to do: no kubeconfig has entries of k3s-rootless")
    report.document(document.of_removed(removed))
    return removed.code


def show_removed_with_k3s(report: Report, removed: Removed) -> None:
    """Print which copies of the kubeconfig `uninstall` removed, and which it kept."""
    for one in removed.files:
        for line in lines_of(one):
            report.answer(line)
    for file, name in removed.kept:
        report.notice(kept(str(file), name))


def lines_of(one: RemovedFrom, *, would: bool = False) -> Iterator[str]:
    """Yield what was removed from a file, or would be, and what follows from it."""
    does = "removed"
    now = "is"
    without = "has no current context now"
    effect = "used these entries, and does not work any more"
    if would:
        does = "would remove"
        now = "would be"
        without = "would have no current context then"
        effect = "uses these entries, and would not work any more"
    noun = "context"
    if len(one.contexts) > 1:
        noun = "contexts"
    names = ", ".join(f"`{name}`" for name in one.contexts)
    if names:
        yield f"{does} the {noun} {names} from {one.file}"
    if one.current:
        yield f"the current context in {one.file} {now} `{one.current}` again"
    elif one.current is not None:
        yield f"{one.file} {without}; set one with: kubectl config use-context"
    for name in one.referring:
        yield f"the context `{name}` in {one.file} {effect}"


def kept(file: str, name: str) -> str:
    """Return the message for entries that were edited."""
    return (
        f"kept the context `{name}` in {file}: its certificates were edited; remove it with:"
        f" kubectl config delete-context {shlex.quote(name)}"
    )
