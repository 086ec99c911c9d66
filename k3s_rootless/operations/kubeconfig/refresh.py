"""Refresh the copies of our entries after K3s has new certificates or another port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.cluster.kubeconfig import copies
from k3s_rootless.errors import RootlessError
from k3s_rootless.operations.kubeconfig import source

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.cluster.kubeconfig.facts import Copy, Entries
    from k3s_rootless.operations.context import Context


def has_copies(context: Context) -> bool:
    """Return whether a copy is recorded."""
    return (context.paths.own / copies.RECORD).exists()


def refresh(context: Context, kubeconfig: Path) -> None:
    """Refresh all recorded copies, and report each that changed or could not be refreshed.

    `kubeconfig` is the file that K3s writes. A file from which our entries were removed is
    forgotten; entries that were edited are kept. Raises nothing: K3s itself is not affected.
    """
    found = copies.read(context.paths.own)
    if not found:
        return
    try:
        loaded = source.load(context, kubeconfig)
    except RootlessError as error:
        context.notice(f"cannot refresh the copies of the kubeconfig: {error.message}")
        return
    for copy in found:
        entries = source.entries(loaded, copy.name)
        if (copy.fingerprint, copy.server) != (entries.fingerprint, entries.server):
            _refresh(context, copy, entries)


def _refresh(context: Context, copy: Copy, entries: Entries) -> None:
    # Imported here: few copies are stale, and PyYAML takes 20 ms to load.
    from k3s_rootless.operations.kubeconfig import renewed_copy

    try:
        renewed_copy.write(context, copy, entries)
    except RootlessError as error:
        context.notice(f"cannot refresh the context `{copy.name}` in {copy.file}: {error.message}")
