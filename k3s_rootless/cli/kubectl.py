"""`k3s-rootless kubectl`: K3s's own kubectl with K3s's kubeconfig."""

from __future__ import annotations

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.pass_through import FAILED, PassThrough


class _Kubectl(PassThrough):
    """A command with the options of kubectl, except for a leading `--help`.

    click would take the `h` in `-nhello` for our option `-h`.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep all arguments as they are; a `--` before them is optional."""
        if args[:1] in (["-h"], ["--help"]):
            return super().parse_args(ctx, args[:1])
        if args[:1] == ["--"]:
            args = args[1:]
        ctx.params["words"] = tuple(args)
        return []


@click.command(
    "kubectl",
    cls=_Kubectl,
    exit_codes={FAILED: "kubectl could not be run; all other codes are those of kubectl"},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[--] ARGUMENTS ...")
def command(*, words: tuple[str, ...]) -> None:
    """Run the kubectl of K3s on this cluster.

    All arguments are those of kubectl: `k3s-rootless kubectl get pods`. It uses the kubeconfig of
    K3s, whatever KUBECONFIG and PATH contain. For the help of kubectl itself, run `k3s-rootless
    kubectl -- --help`.
    """
    from k3s_rootless.operations import kubectl

    kubectl.replace(begin("kubectl", as_json=False), words)
