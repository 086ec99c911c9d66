"""The program `k3s`: `--version`, `server`, and a subset of the other sub-commands."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from . import orders
from .journal import Fatal, Journal
from .orders import Orders
from .release import Release

# `--version` runs at least once in each command under test. Each sub-command imports its modules
# itself: without the others, `--version` needs a fifth of the time.

_LOGGED = "_K3S_LOG_REEXEC_"


def main(arguments: list[str]) -> int:
    """Run the command of the arguments, and return the exit status."""
    ordered = orders.load()
    release = Release(ordered.version, ordered.commit)
    journal = Journal(nanoseconds=release.nanoseconds)
    try:
        return _run(arguments, ordered, release, journal)
    except Fatal as fatal:
        journal.die(fatal)
        return fatal.code


def _run(arguments: list[str], ordered: Orders, release: Release, journal: Journal) -> int:
    command, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if command in {"--version", "-v"}:
        return _version(ordered, release)
    if command == "server":
        return _server(rest, ordered, journal, release)
    if command in {"crictl", "ctr"}:
        from . import cri

        return cri.run(command, rest, release, journal)
    if command == "kubectl":
        from . import kubectl

        return kubectl.run(rest)
    if command in {"--help", "-h", "help"}:
        print(
            "NAME:\n   k3s - Kubernetes, but small and simple\n\nUSAGE:\n   k3s [global options]"
            " command [command options]"
        )
        return 0
    from . import subcommands

    return subcommands.run(command, rest, release, journal)


def _version(ordered: Orders, release: Release) -> int:
    if release.version_reads_config:
        from . import flags

        named = "K3S_CONFIG_FILE" in os.environ and not release.ignores_missing_config
        flags.read_config(flags.config_path([], os.environ), named=named)
    while ordered.version_hang:
        time.sleep(60)
    program = Path(os.environ.get("K3S_STANDIN_ARGV0") or "k3s").name
    sys.stdout.write(
        release.output(program) if ordered.version_output is None else ordered.version_output
    )
    return ordered.version_exit


def _server(arguments: list[str], ordered: Orders, journal: Journal, release: Release) -> int:
    from . import flags, parent
    from .milestones import Milestones

    inside = os.environ.pop(parent.CHILD_MARK, None) is not None
    given = flags.parse(arguments, os.environ, journal, release)
    if given.text("log") and _LOGGED not in os.environ:
        os.environ[_LOGGED] = "true"
        from . import log_file

        log_file.split(Path(given.text("log")), also=given.switch("alsologtostderr"))
    if inside or not given.rootless:
        if not inside and not given.switch("disable-agent") and os.geteuid() != 0:
            raise Fatal("must run as root unless --disable-agent is specified")
        from .child import Child

        return Child(given, ordered, journal).run()
    try:
        parent.start(["server", *arguments], given, ordered, journal)
    except Fatal as fatal:
        Milestones(given.data_dir).mark("fatal", message=fatal.message)
        raise


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    # Exit at once: threads of the server may wait for clients that never disconnect.
    os._exit(status)
