"""Let the running K3s save a snapshot of its embedded etcd.

Since K3s #9816, `k3s etcd-snapshot save` sends a request to the server, and the server writes the
file. Earlier releases connect to etcd themselves, which is possible only inside of the namespaces.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import command
from k3s_rootless.backup import contents, etcd, names, staging
from k3s_rootless.backup.facts import Source
from k3s_rootless.errors import RootlessError
from k3s_rootless.journal import lines
from k3s_rootless.node import invocation, subcommands
from k3s_rootless.operations.node import surroundings
from k3s_rootless.printable import printable

if TYPE_CHECKING:
    from k3s_rootless.backup.facts import Entry
    from k3s_rootless.node.facts import Surroundings
    from k3s_rootless.operations.context import Context

SECONDS = 300.0
"""K3s itself stops waiting for its server after 2 minutes (its pkg/cli/etcdsnapshot)."""
_NAME = "k3s-rootless"
_STOPPED = "copy the files of the stopped etcd instead: k3s-rootless backup create --stop"


def require_possible(context: Context) -> Surroundings:
    """Raise RootlessError if this release of K3s cannot save a snapshot from outside.

    Returns the K3s.
    """
    _, found = surroundings.read(context)
    words = ("etcd-snapshot", "save")
    try:
        subcommands.require(subcommands.find(words), words, found.release)
    except RootlessError as error:
        raise RootlessError(error.message, hint=_STOPPED) from error
    return found


def save(context: Context, data: Path, folder: Path) -> Entry:
    """Save a snapshot, check it, and move it to `folder`; return its entry.

    `data` is the data directory of the running K3s. Raises RootlessError.
    """
    found = require_possible(context)
    # Below the data directory, because K3s has a directory of its own in place of /var/lib, for
    # example. One level deeper, because K3s writes metadata beside the directory of snapshots.
    with staging.directory(data / names.DATABASE_DIRECTORY) as place:
        target = place / "snapshots"
        target.mkdir(mode=0o700)
        _save(context, found, data, target)
        written = sorted(target.iterdir())
        if len(written) != 1:
            raise RootlessError(
                f"cannot save a snapshot of etcd: K3s wrote {len(written)} files instead of one",
                hint=_STOPPED,
            )
        etcd.check_snapshot(written[0])
        entry = staging.copy(Source(written[0], contents.SNAPSHOT), folder)
    if entry is None:
        raise RootlessError("cannot save a snapshot of etcd: another process removed it")
    return entry


def _save(context: Context, found: Surroundings, data: Path, target: Path) -> None:
    words = (
        "etcd-snapshot",
        "save",
        f"--data-dir={data}",
        f"--name={_NAME}",
        f"--dir={target}",
        "--snapshot-compress=false",
    )
    # Without the configuration file, which can name a bucket of S3: the backup must not leave this
    # host. K3s reads the token in the data directory.
    found = replace(found, config="")
    program = invocation.of_subcommand(subcommands.find(words), words, found, context.environ)
    done = command.run(program.argv, timeout=SECONDS, environ=program.environ)
    if done.status:
        reason = printable(lines.folded(done.last_line.strip())) or "K3s printed no reason"
        raise RootlessError(
            f"cannot save a snapshot of etcd: {reason}",
            hint=f"read the log of K3s: k3s-rootless logs; or {_STOPPED}",
        )
