"""`k3s-rootless certs`: the certificates of K3s."""

from __future__ import annotations

from pathlib import Path

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command, Group
from k3s_rootless.cli.options import dry_run_option, json_option, timeout_option, yes_option


@click.group("certs", cls=Group)
def command() -> None:
    """List and rotate the certificates of K3s.

    K3s renews its certificates at a start near their end. Its authorities end after ten years, and
    nothing renews them.
    """


@command.command(
    "list",
    cls=Command,
    exit_codes={1: "a certificate cannot be read", 3: "K3s is not installed"},
)
@json_option
def list_(*, as_json: bool) -> None:
    """List the certificates, their ends and what renews them.

    Reads the files in the data directory of K3s, which does not have to run.
    """
    from k3s_rootless.cli.display import certs
    from k3s_rootless.operations.certificates import listing

    session = begin("certs-list", as_json=as_json)
    listed = listing.read(session)
    certs.show_list(session.report, listed)
    click.get_current_context().exit(1 if listed.problems else 0)


@command.command(
    "rotate",
    cls=Command,
    exit_codes={
        0: "K3s has new certificates, and is ready if it was running before",
        1: "the rotation failed, or was not confirmed; K3s runs again if it was running before",
        2: "the service is unknown; or no terminal to ask for confirmation, and no --yes",
        3: "K3s is not installed",
        4: "K3s has new certificates, but was not ready in time",
    },
)
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="SERVICE",
    help="Rotate the certificates of this service only. Repeatable.",
)
@yes_option
@dry_run_option
@timeout_option
@json_option
def rotate(
    *, services: tuple[str, ...], yes: bool, dry_run: bool, timeout: float, as_json: bool
) -> None:
    """Issue new certificates and keys, with a restart of K3s.

    Stops K3s, because `kubectl exec` and `logs` fail without the files, removes them with
    `k3s certificate rotate`, and starts K3s, which issues new ones. K3s keeps a copy. Merged
    kubeconfigs are refreshed. Authorities are not changed.
    """
    from k3s_rootless.cli.display import certs
    from k3s_rootless.operations.certificates import rotate as rotating

    session = begin("certs-rotate", as_json=as_json)
    request = rotating.Request(services, timeout, yes=yes)
    if dry_run:
        certs.show_plan(session.report, rotating.plan(session, request))
        return
    certs.show_rotated(session.report, rotating.rotate(session, request, session.report.confirm))


@command.command(
    "rotate-ca",
    cls=Command,
    exit_codes={
        0: "K3s is ready with the new authorities",
        1: "the new authorities are refused, or the replacement was not confirmed",
        2: "no new authorities in the directory; or no terminal for the question, and no --yes",
        3: "K3s is not running",
        4: "K3s has the new authorities, but was not ready in time",
    },
)
@click.option(
    "--path",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIRECTORY",
    help="The directory above `tls`, in which the new authorities are.",
)
@click.option("--force", is_flag=True, help="Ignore what is wrong with the new authorities.")
@yes_option
@click.option("--dry-run", is_flag=True, help="Check the authorities, without replacing any.")
@timeout_option
@json_option
def rotate_ca(
    *, path: Path, force: bool, yes: bool, dry_run: bool, timeout: float, as_json: bool
) -> None:
    """Replace the certificate authorities, with a restart of K3s.

    Checks first that the keys belong to the certificates, that the present authorities have signed
    the new ones, and that tokens of service accounts stay valid. Merged kubeconfigs are refreshed.
    """
    from k3s_rootless.cli.display import certs
    from k3s_rootless.operations.certificates import authorities

    session = begin("certs-rotate-ca", as_json=as_json)
    request = authorities.Request(path, timeout, force=force, yes=yes)
    if dry_run:
        found = authorities.plan(session, request)
        certs.show_authorities(session.report, found)
        click.get_current_context().exit(1 if found.problems else 0)
    certs.show_replaced(
        session.report, authorities.replace(session, request, session.report.confirm)
    )
