"""Let a release unpack itself before K3s is stopped, so that its first start takes less time.

K3s unpacks about 200 MB at the first command of a release, whatever the command is (K3s
cmd/k3s/main.go), which takes up to 20 s on a slow machine. A running K3s does not use the links
`current` and `previous` that change with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless import command
from k3s_rootless.binaries import installed
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import features, version

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.operations.context import Context

SECONDS = 300.0
_HARMLESS = ("kubectl", "version", "--client")
"""A command that needs no server."""


def ahead(context: Context, data: Path, release: str) -> None:
    """Let a release of our own unpack itself to a data directory; a failure is reported only."""
    found = version.parse(release)
    if found is None or not features.DATA_DIR_VARIABLE.holds(found):
        return  # it would unpack itself to another directory
    context.notice(f"K3s {release} unpacks itself")
    program = installed.path_of(context.paths.own, release)
    environ = {**context.environ, "K3S_DATA_DIR": str(data), "HOME": str(context.paths.home)}
    try:
        done = command.run([str(program), *_HARMLESS], timeout=SECONDS, environ=environ)
    except RootlessError as error:
        context.notice(f"its start takes longer: {error.message}")
        return
    if done.status:
        context.notice(f"its start may take longer: it exited with status {done.status}")
