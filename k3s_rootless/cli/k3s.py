"""`k3s-rootless k3s`: run a sub-command of K3s."""

from __future__ import annotations

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.pass_through import FAILED, SETTINGS, PassThrough, end_as


@click.command(
    "k3s",
    cls=PassThrough,
    context_settings={**SETTINGS, "ignore_unknown_options": True},
    exit_codes={FAILED: "k3s could not be run; all other codes are those of k3s"},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, required=True, metavar="SUBCOMMAND ...")
def command(*, words: tuple[str, ...]) -> None:
    """Run any K3s sub-command where it must run.

    kubectl, token, certificate, secrets-encrypt, etcd-snapshot, check-config and completion run on
    the host, with the kubeconfig, the data directory and the server address of your K3s. crictl and
    ctr run inside the namespaces of K3s. See docs/reference/subcommands.md.
    """
    from k3s_rootless.operations.node import k3s_command

    end_as(k3s_command.run(begin("k3s", as_json=False), words))
