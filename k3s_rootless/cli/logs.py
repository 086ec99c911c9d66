"""`k3s-rootless logs`: the journal of the unit, of this start by default."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from k3s_rootless.journal.facts import Entry


@click.command("logs")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("-n", "--lines", type=click.IntRange(min=0), help="Only the last so many lines.")
@click.option("--since", metavar="TIME", help="From this time on, of all starts: `1 hour ago`, `09:00`, `2026-11-23`.")
@click.option("--grep", metavar="PATTERN", help="Only lines that match this regular expression.")
@click.option("--boot", is_flag=True, help="All starts since the host was booted.")
def command(*, follow: bool, lines: int | None, since: str | None, grep: str | None, boot: bool) -> None:
    """Show what K3s said, in this start of it."""
    from k3s_rootless.cli.session import Session
    from k3s_rootless.errors import NotRunning
    from k3s_rootless.journal import reader
    from k3s_rootless.journal.facts import Query
    from k3s_rootless.paths import UNIT

    session = Session.of()
    invocation = None
    if not (since or boot):
        with session.manager() as manager:
            invocation = manager.unit(UNIT).invocation
        if not invocation:
            raise NotRunning(
                "K3s has not been started since you logged in", hint="see earlier starts: k3s-rootless logs --boot"
            )
    query = Query(uid=session.uid, invocation=invocation, lines=lines, since=since, boot=boot, follow=follow, grep=grep)
    with reader.read(query) as entries:
        for entry in entries:
            session.report.answer(_line(entry))


def _line(entry: Entry) -> str:
    time = entry.time.astimezone().strftime("%b %d %H:%M:%S") if entry.time else "-"
    return f"{time} {entry.identifier or 'k3s'}: {entry.message}"
