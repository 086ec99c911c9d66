"""`k3s-rootless policies`: NetworkPolicies, and the packets that they refuse."""

from __future__ import annotations

from pathlib import Path

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command, Group
from k3s_rootless.cli.options import json_option


@click.group("policies", cls=Group)
def command() -> None:
    """Check NetworkPolicies, and show refused packets."""


@command.command(
    "status",
    cls=Command,
    exit_codes={
        0: "K3s enforces all policies, or there are none",
        1: "there are policies, and K3s does not enforce them",
        3: "K3s is not running",
        4: "K3s has not created its namespaces yet",
    },
)
@json_option
def status(*, as_json: bool) -> None:
    """Show whether K3s enforces the NetworkPolicies.

    The API server accepts policies also if K3s cannot enforce them, for example because ipset does
    not work on this host.
    """
    from k3s_rootless.cli.display import policies
    from k3s_rootless.operations.policies import status as reading

    session = begin("policies-status", as_json=as_json)
    answer = reading.read_status(session)
    policies.show_status(session.report, answer)
    click.get_current_context().exit(1 if answer.problems else 0)


@command.command(
    "log",
    cls=Command,
    exit_codes={
        1: "another program reads the packets, or the file cannot be written",
        3: "K3s is not running, or stopped",
        4: "K3s has not created its namespaces yet",
    },
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Append the packets to this file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document per line.")
def log(*, output: Path | None, as_json: bool) -> None:
    """Show the packets that NetworkPolicies refuse.

    Shows packets from now on, until interrupted.

    `rejected` packets are those that no policy of the Pod allows. A packet that one policy does not
    allow can still be allowed by another policy of the same Pod.

    K3s logs at most 10 packets a minute for each policy and Pod, after the first 10. Annotations of
    the policy change this: see docs/how-to/network-policies.md.
    """
    from k3s_rootless.cli.display import policies, stream
    from k3s_rootless.operations.policies import log as packet_log
    from k3s_rootless.operations.policies import log_file

    session = begin("policies-log", as_json=as_json)
    with packet_log.reading(session) as records:
        rendered = policies.log_lines(records, as_json=as_json)
        if output is None:
            stream.write(rendered, at_once=True)
        else:
            log_file.append(output, rendered)
