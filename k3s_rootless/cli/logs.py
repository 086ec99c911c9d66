"""`k3s-rootless logs`: the journal of the unit, by default of its current start."""

from __future__ import annotations

from contextlib import closing

import click

from k3s_rootless.errors import UsageError

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
    from k3s_rootless.cli.display import stream
    from k3s_rootless.cli.session import Session
    from k3s_rootless.command import replace
    from k3s_rootless.operations import logs

    session = Session.begin("logs" if as_json else None)
    _require_one_format(raw=raw, others=any((level, component, as_json)))
    _require_one_start(previous=previous, others=any((since, boot, follow)))
    if component == "containerd":
        _require_current_start(others=any((previous, since, boot)))
    request = logs.Request(previous, since, boot, level, component, lines, grep, follow)
    if raw:
        replace(logs.journalctl(session, request), session.environ)
    in_colour = stream.coloured() and not as_json
    with closing(logs.read(session, request, weighed=in_colour)) as records:
        rendered = stream.json_lines(records)
        if not as_json:
            rendered = stream.text_lines(records, in_colour=in_colour)
        stream.write(rendered, at_once=follow)


def _require_one_format(*, raw: bool, others: bool) -> None:
    if raw and others:
        raise UsageError(
            "--raw cannot be used with --level, --component or --json",
            hint="remove --level, --component and --json",
        )


def _require_one_start(*, previous: bool, others: bool) -> None:
    if previous and others:
        raise UsageError(
            "--previous cannot be used with --since, --boot or --follow: it shows one start that"
            " has ended",
            hint="remove --since, --boot and --follow",
        )


def _require_current_start(*, others: bool) -> None:
    if others:
        raise UsageError(
            "--component containerd cannot be used with --previous, --since or --boot: the log of"
            " containerd is a file, not part of the journal",
            hint=(
                "remove --previous, --since and --boot, or read the file: less"
                " ~/.rancher/k3s/agent/containerd/containerd.log"
            ),
        )
