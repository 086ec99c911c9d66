"""The copies of our entries that have other certificates, or another server, than K3s now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.cluster.kubeconfig import copies
from k3s_rootless.operations.kubeconfig import source

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3s_rootless.cluster.facts import Kubeconfig
    from k3s_rootless.cluster.kubeconfig.facts import Copy, Entries
    from k3s_rootless.operations.context import Context


def stale(context: Context, load: Callable[[], Kubeconfig]) -> tuple[Copy, ...]:
    """Return the stale copies; `load` returns K3s's kubeconfig.

    The record decides whether a copy can be stale, so that the user's files are read only in that
    case. A copy that was removed or edited is not stale. Raises RootlessError.
    """
    recorded = copies.read(context.paths.own)
    if not recorded:
        return ()
    found = load()
    return tuple(
        one for one in recorded if _is_stale(context, one, source.entries(found, one.name))
    )


def _is_stale(context: Context, copy: Copy, entries: Entries) -> bool:
    if (copy.fingerprint, copy.server) == (entries.fingerprint, entries.server):
        return False
    # Imported here: few copies are stale, and PyYAML takes 20 ms to load.
    from k3s_rootless.cluster.kubeconfig import merging
    from k3s_rootless.operations.kubeconfig.group import Group

    documents = Group.read([copy.file], context.uid).documents
    ours = merging.owner(documents, copy.name) is merging.Owner.OURS
    return ours and not merging.is_current(documents, entries)
