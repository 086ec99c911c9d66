"""Show the results of the release commands."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from k3s_rootless import byte_size
from k3s_rootless.operations.releases import document

if TYPE_CHECKING:
    from k3s_rootless.binaries.facts import Answers, Channel, Passage, Release
    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.operations.releases.get import Got
    from k3s_rootless.operations.releases.listing import Listing
    from k3s_rootless.operations.releases.prune import Pruned
    from k3s_rootless.operations.releases.use import Used


def show_list(report: Report, listing: Listing) -> None:
    """Print a table of releases, and one of channels."""
    if listing.releases:
        rows = [
            (one.version, byte_size.text(one.size), one.integrity.value, _place(one))
            for one in listing.releases
        ]
        report.table(("VERSION", "SIZE", "CHECKSUM", "USE"), rows)
    else:
        report.answer("no releases on this host; download one with: k3s-rootless release get")
    if listing.answers is not None:
        _show_channels(report, listing.answers, remote=listing.remote)
    elif listing.problem is None:
        report.answer("")
        report.answer("query the channels with: k3s-rootless release list --remote")
    source = listing.source
    if source is not None and source.mirror:
        report.answer("")
        report.answer(f"release get downloads from {source.downloads} ({source.origin})")
    if listing.history is not None:
        _show_history(report, listing.history)
    if listing.problem is not None and report.json_for is None:
        report.problem(listing.problem.message, listing.problem.hint)
    report.document(document.of_listing(listing))


def show_got(report: Report, got: Got) -> None:
    """Print which release is on this host now."""
    version = got.record.version
    if got.changed:
        report.answer(f"K3s {version} is verified: {got.path}")
    else:
        report.answer(f"K3s {version} is already on this host, and verified: {got.path}")
    if got.images is not None:
        report.answer(f"K3s imports the images from {got.images.path} at its next start")
    if got.used:
        report.answer("it is in use now; start K3s with: k3s-rootless up")
    elif got.changed:
        report.answer(f"use it with: k3s-rootless release use {version}")
    report.document(document.of_got(got))


def show_used(report: Report, used: Used) -> None:
    """Print which release is in use, and when it takes effect."""
    if not used.changed:
        report.answer(f"nothing to do: K3s {used.version} is in use")
    elif used.replaced is not None:
        # The unit starts the other k3s until `up` writes it again.
        report.answer(
            f"K3s {used.version} is in use; start or restart K3s with it: k3s-rootless up --restart"
        )
    else:
        report.answer(
            f"K3s {used.version} takes effect at the next start of K3s, also if K3s restarts after"
            " a failure; start or restart K3s now with: k3s-rootless up --restart"
        )
    if used.replaced is not None:
        report.answer(
            f"it replaces {used.replaced}, which k3s-rootless used until now; to use that again,"
            f" run: rm {shlex.quote(str(used.link))}"
        )
    report.document(document.of_used(used))


def show_pruned(report: Report, pruned: Pruned) -> None:
    """Print what was removed and kept, and the bytes that were freed."""
    verb = "would remove" if pruned.dry_run else "removed"
    for item in pruned.removed:
        report.answer(f"{verb} {item.path} ({byte_size.text(item.size)}): {item.reason}")
    for item in pruned.kept:
        report.answer(f"kept {item.path} ({byte_size.text(item.size)}): {item.reason}")
    if pruned.removed:
        freed = "would be freed" if pruned.dry_run else "freed"
        report.answer(f"{byte_size.text(pruned.freed)} {freed}")
    elif not pruned.problems:
        report.answer("nothing to remove")
    if report.json_for is None:
        for problem in pruned.problems:
            report.problem(problem, None)
    report.document(document.of_pruned(pruned))


def _show_channels(report: Report, answers: Answers, *, remote: bool) -> None:
    report.answer("")
    if not answers.channels:
        report.answer("no channels")
        return
    if not remote:
        report.answer(f"channels, as known on {answers.date:%Y-%m-%d %H:%M} UTC:")
    offers = [(one.name, _offer(one)) for one in answers.channels]
    report.table(("CHANNEL", "OFFERS"), offers)


def _offer(channel: Channel) -> str:
    found = channel.latest or "nothing"
    if channel.date is None:
        return found
    return f"{found} (queried on {channel.date:%Y-%m-%d %H:%M} UTC)"


def _show_history(report: Report, history: tuple[Passage, ...]) -> None:
    report.answer("")
    if not history:
        report.answer("there was no upgrade and no rollback")
        return
    rows = [
        (
            f"{one.date:%Y-%m-%d %H:%M} UTC",
            one.kind,
            one.before,
            one.after,
            _end(one),
            one.backup or "-",
        )
        for one in history
    ]
    report.table(("DATE", "KIND", "FROM", "TO", "RESULT", "BACKUP"), rows, spare=("BACKUP",))


def _end(passage: Passage) -> str:
    if not passage.done:
        return "undone"
    if passage.downtime is None:
        return "done"
    return f"done, downtime {passage.downtime:.0f} s"


def _place(release: Release) -> str:
    if release.in_use:
        return "in use"
    return "previous" if release.previous else "-"
