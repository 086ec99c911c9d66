"""`k3s-rootless logs`: the journal of the unit, by default of its current start."""

from __future__ import annotations

from contextlib import closing

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command, Option
from k3s_rootless.errors import UsageError

_LEVELS = ("trace", "debug", "info", "warning", "error", "fatal")
_COMPONENTS = ("k3s", "kubelet", "containerd", "apiserver", "rootlesskit", "systemd")
_STARTS = "Starts to show"
_LINES = "Lines to show"


@click.command(
    "logs",
    cls=Command,
    exit_codes={0: "the lines are shown", 3: "there is no such start"},
)
@click.option(
    "-f",
    "--follow",
    cls=Option,
    group=_STARTS,
    is_flag=True,
    help="Show new lines as they are written, also those of later starts.",
)
@click.option(
    "--previous",
    cls=Option,
    group=_STARTS,
    is_flag=True,
    help="Show the start before the current or last start.",
)
@click.option(
    "--since",
    cls=Option,
    group=_STARTS,
    metavar="TIME",
    help="Show all starts since TIME: `1 hour ago`, `09:00`, `2026-11-23`.",
)
@click.option(
    "--boot",
    cls=Option,
    group=_STARTS,
    is_flag=True,
    help="Show all starts since this host booted.",
)
@click.option(
    "-n",
    "--lines",
    cls=Option,
    group=_LINES,
    metavar="N",
    type=click.IntRange(min=0),
    help="Show the last N lines only.",
)
@click.option(
    "--grep",
    cls=Option,
    group=_LINES,
    metavar="PATTERN",
    help="Show lines that match this regular expression.",
)
@click.option(
    "--level",
    cls=Option,
    group=_LINES,
    metavar="LEVEL",
    type=click.Choice(_LEVELS),
    help=f"Show lines of this level or higher: {', '.join(_LEVELS)}.",
)
@click.option(
    "--component",
    cls=Option,
    group=_LINES,
    metavar="NAME",
    type=click.Choice(_COMPONENTS),
    help=f"Show lines of this component: {', '.join(_COMPONENTS)}.",
)
@click.option(
    "--file",
    "in_file",
    cls=Option,
    group=_STARTS,
    is_flag=True,
    help="Show the current start in the file that K3s writes with `log`.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document per line.")
@click.option("--raw", is_flag=True, help="Print the unchanged output of journalctl.")
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
    in_file: bool,
    as_json: bool,
    raw: bool,
) -> None:
    """Show the K3s logs of the current start.

    If K3s is stopped, shows the logs of its last start. On a terminal, warnings and errors are
    coloured, known harmless lines are dimmed, and repeated lines are counted. --raw and --json
    print every line unchanged.

    The logs of Pods are not included. They are in logs/pods of the K3s data directory, by default
    ~/.rancher/k3s.
    """
    from k3s_rootless.cli.display import stream
    from k3s_rootless.command import replace
    from k3s_rootless.operations import logs

    session = begin("logs", as_json=as_json)
    _require_one_format(raw=raw, others=any((level, component, as_json)))
    _require_one_start(previous=previous, others=any((since, boot, follow)))
    if component == "containerd":
        _require_current_start(others=any((previous, since, boot)))
    if in_file:
        _require_the_file(others=any((previous, since, boot, raw, component == "containerd")))
    request = logs.Request(
        previous, since, boot, level, component, lines, grep, follow, file=in_file
    )
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


def _require_the_file(*, others: bool) -> None:
    if others:
        raise UsageError(
            "--file cannot be used with --previous, --since, --boot, --raw or --component"
            " containerd: it shows the current start in one file",
            hint="remove these options, or read the file itself",
        )
