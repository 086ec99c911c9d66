"""The command line: arguments, streams and exit codes.

Commands combine the other packages; no package below this one depends on it.

Start-up time is a feature: this module and the module of each command load only click and the
standard library. A command imports everything else in its body, so that `--help`, `--version` and
completion stay as fast as click itself.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import click

from k3s_rootless import __version__
from k3s_rootless.cli import output
from k3s_rootless.errors import RootlessError

_SECTIONS = {
    "Run": {
        "check": "Check whether this host can run rootless K3s",
        "up": "Install and start K3s, and wait until it is ready",
        "down": "Stop K3s",
        "restart": "Restart K3s, and wait until it is ready",
        "status": "Show whether K3s is running and ready",
        "run": "Run K3s in this terminal until Ctrl-C",
    },
    "Use": {
        "kubeconfig": "Show the kubeconfig, and merge it into your own",
        "kubectl": "Run the kubectl of K3s on this cluster",
        "shell": "Run a shell or COMMAND inside the namespaces of K3s",
        "k3s": "Run any K3s sub-command where it must run",
        "images": "List, import, preload and remove container images",
        "ports": "Show which host port reaches which Service",
    },
    "Versions": {
        "release": "Download, verify, list and switch releases of K3s",
        "upgrade": "Upgrade K3s to another release",
        "rollback": "Go back to the release before an upgrade",
        "backup": "Create, verify and restore backups of the cluster",
    },
    "Configure": {
        "config": "Show or change K3s server flags and resource limits",
        "env": "Show or change the environment variables of K3s",
        "registries": "Show, check or change registries.yaml of K3s",
        "containerd": "Show, check or edit the configuration of containerd",
    },
    "Maintain": {
        "certs": "List and rotate the certificates of K3s",
        "token": "Show, rotate, create and delete the tokens of K3s",
        "encryption": "Show, enable and disable the encryption of Secrets",
        "policies": "Check NetworkPolicies, and show refused packets",
        "df": "Show what occupies the disk and how to free space",
        "reset": "Replace the cluster by an empty one",
    },
    "Troubleshoot": {
        "diagnose": "Show why K3s does not start and how to fix it",
        "logs": "Show the K3s logs of the current start",
        "bundle": "Create a support archive with secrets removed",
    },
    "Set up": {
        "install": "Install and enable the unit without starting K3s",
        "uninstall": "Stop K3s and remove the files of k3s-rootless",
        "unit": "Show the systemd unit of K3s and its drop-ins",
        "linger": "Keep K3s running after logout (lingering)",
        "version": "Show the versions of k3s-rootless, K3s and systemd",
    },
}
"""The commands by purpose, in the order of typical use, with their summaries.

`--help` thus loads no command module; a test compares the summaries with those of the commands.
"""
_COMMANDS = {name: summary for commands in _SECTIONS.values() for name, summary in commands.items()}
_GROUPS = frozenset(
    {
        "backup",
        "certs",
        "config",
        "containerd",
        "encryption",
        "env",
        "images",
        "kubeconfig",
        "policies",
        "registries",
        "release",
        "token",
        "unit",
    }
)
"""Commands that have subcommands and do nothing themselves."""
_PASS_THROUGH = frozenset({"k3s", "kubectl", "shell"})
"""Commands that run another program, to which all options belong."""
_MODULES = {"shell": "shell_command"}
"""Modules with another name than their command, because this package has a `shell` itself."""


class Shell(click.Group):
    """The command group, which converts errors into messages or JSON and an exit code.

    This happens in no other place.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """List the commands."""
        return list(_COMMANDS)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 (click's signature)
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the list of commands without loading any command."""
        width = max(map(len, _COMMANDS))
        for heading, commands in _SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([(f"{name:{width}}", text) for name, text in commands.items()])

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 (click's signature)
        cmd_name: str,
    ) -> click.Command | None:
        """Load the module of one command."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(
            f"k3s_rootless.cli.{_MODULES.get(cmd_name, cmd_name)}"
        ).command
        return command

    def main(
        self,
        args: Sequence[str] | None = None,
        *more: Any,  # noqa: ANN401 (click's signature)
        **extra: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Run the command, and exit with a code from docs/reference/exit-codes.md."""
        given = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        try:
            code = self._run(given, *more, **extra)
        except (OSError, ImportError) as error:
            # Errors of the user's files are handled where the files are read. `python -X dev` shows
            # the traceback of other errors.
            if sys.flags.dev_mode:
                raise
            code = _report_unusable(given, error)
        sys.exit(_exit_code(code or 0))

    def _run(self, given: list[str], *more: Any, **extra: Any) -> Any:  # noqa: ANN401 (click's)
        try:
            return super().main(given, *more, **extra)
        except click.exceptions.Abort:
            import signal

            from k3s_rootless import command

            # The first interrupt counts. A second one would interrupt Python while it exits.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            command.end_all(for_good=True)
            click.echo("interrupted", err=True)
            return output.INTERRUPTED
        except RootlessError as error:
            return _report_error(given, error.message, error.hint, error.exit_code, error.details)
        except click.ClickException as error:
            if _in_json(given):
                return _report_error(given, error.format_message(), None, error.exit_code, {})
            error.show()
            return error.exit_code


def _exit_code(code: int) -> int:
    """Return the exit code of the command, or 1 if its answer could not be written."""
    error = output.failure()
    if error is None or code == output.INTERRUPTED:
        return code
    click.echo(f"error: cannot write the output: {_reason(error)}", err=True)
    return 1


def _report_unusable(given: Sequence[str], error: OSError | ImportError) -> int:
    """Report a file that cannot be used, or a missing part of the installation."""
    if isinstance(error, OSError):
        action = f"use {error.filename}" if error.filename else "continue"
        return _report_error(given, f"cannot {action}: {_reason(error)}", None, 1, {})
    return _report_error(
        given, f"cannot load k3s-rootless: {_reason(error)}", "reinstall k3s-rootless", 1, {}
    )


def _reason(error: OSError | ImportError) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return f"{reason[:1].lower()}{reason[1:]}"


def _in_json(given: Sequence[str]) -> bool:
    """Return whether the user requested a JSON document, and not another program does."""
    return "--json" in given and given[0] not in _PASS_THROUGH


def _report_error(
    given: Sequence[str], message: str, hint: str | None, code: int, details: Mapping[str, Any]
) -> int:
    from k3s_rootless.cli.display.report import Report

    positional = [argument for argument in given if not argument.startswith("-")]
    name = next((argument for argument in positional if argument in _COMMANDS), "error")
    if positional[:2] == ["ports", "plan"] or (
        positional[:1] == [name] and name in _GROUPS and len(positional) > 1
    ):
        name = "-".join(positional[:2])
    Report(json_for=name if _in_json(given) else None).error(message, hint, code, details)
    return code


@click.group(
    cls=Shell, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, message="k3s-rootless %(version)s")
def shell() -> None:
    """Run K3s without root, as a systemd user service.

    `k3s-rootless up` installs and starts K3s. `k3s-rootless check` only checks the host.
    """
