"""`k3s-rootless logs`: the journal of the unit, of this start by default."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session

_LEVELS = ("trace", "debug", "info", "warning", "error", "fatal")
_COMPONENTS = ("k3s", "kubelet", "containerd", "apiserver", "rootlesskit", "systemd")


@click.command("logs")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, of later starts too.")
@click.option(
    "-n", "--lines", metavar="N", type=click.IntRange(min=0), help="Only the last N lines."
)
@click.option("--previous", is_flag=True, help="The start before this one.")
@click.option(
    "--since",
    metavar="TIME",
    help="All starts from this time on: `1 hour ago`, `09:00`, `2026-11-23`.",
)
@click.option("--grep", metavar="PATTERN", help="Only lines that match this regular expression.")
@click.option("--boot", is_flag=True, help="All starts since the host was booted.")
@click.option(
    "--level",
    metavar="LEVEL",
    type=click.Choice(_LEVELS),
    help=f"Only lines of this level or a more serious one: {', '.join(_LEVELS)}.",
)
@click.option(
    "--component",
    metavar="PART",
    type=click.Choice(_COMPONENTS),
    help=f"Only lines of this part: {', '.join(_COMPONENTS)}.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each line.")
@click.option("--raw", is_flag=True, help="Print what journalctl prints, byte for byte.")
def command(  # noqa: PLR0913 (one for each option)
    *,
    follow: bool,
    lines: int | None,
    previous: bool,
    since: str | None,
    grep: str | None,
    boot: bool,
    level: str | None,
    component: str | None,
    as_json: bool,
    raw: bool,
) -> None:
    """Show what K3s said, in this start of it.

    Serious lines are in colour, usual noise is dimmed, and what is said again is counted; --raw and
    --json show all as it is.

    Pods' own logs are files: logs/pods in K3s's data directory, which is ~/.rancher/k3s by default.

    Exit codes: 0 shown, 3 K3s was never started.
    """
    from k3s_rootless.cli import following
    from k3s_rootless.cli.session import Session

    session = Session.begin("logs" if as_json else None)
    _require_sense(
        raw=raw and bool(level or component or as_json),
        previous=previous and bool(since or boot or follow),
    )
    wanted = following.Wanted(
        level, component, lines, grep, follow=follow, raw=raw, as_json=as_json
    )
    if component == "containerd":
        _require_sense(other=bool(previous or since or boot))
        following.containerd(session, wanted)
        return
    invocation = None if since or boot else _invocation(session, previous=previous)
    following.journal(session, wanted, invocation=invocation, since=since, boot=boot)


def _require_sense(*, raw: bool = False, previous: bool = False, other: bool = False) -> None:
    from k3s_rootless.errors import UsageError

    if raw:
        raise UsageError(
            "cannot filter what is to be raw", hint="leave --level, --component and --json out"
        )
    if previous:
        raise UsageError(
            "the start before this one is over, and one",
            hint="leave --since, --boot and --follow out",
        )
    if other:
        raise UsageError(
            "cannot look for another start in containerd's log: it is a file, and no journal",
            hint=(
                "leave --previous, --since and --boot out, or read it: less"
                " ~/.rancher/k3s/agent/containerd/containerd.log"
            ),
        )


def _invocation(session: Session, *, previous: bool) -> str:
    from k3s_rootless.errors import NotRunning
    from k3s_rootless.journal.sources import journald
    from k3s_rootless.paths import UNIT

    with session.manager() as manager:
        current = manager.unit(UNIT).invocation
    if current and not previous:
        return current
    earlier = [one for one in journald.invocations(session.uid) if one != current]
    if not earlier:
        raise NotRunning(
            (
                "the journal knows of no start before this one"
                if previous
                else "K3s has not been started since you logged in"
            ),
            hint="see all that is kept: k3s-rootless logs --since 1970-01-01",
        )
    if not previous:
        session.report.story("K3s is not loaded; this is its last start")
    return earlier[-1]
