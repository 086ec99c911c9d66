"""Write new certificates into one copy of our entries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.cluster.kubeconfig import copies, merging
from k3s_rootless.cluster.kubeconfig.facts import Copy, Entries
from k3s_rootless.cluster.kubeconfig.merging import Owner
from k3s_rootless.errors import WouldOverwrite
from k3s_rootless.operations.kubeconfig.group import Group, locked, no_user

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context


def write(context: Context, copy: Copy, entries: Entries) -> None:
    """Refresh a copy; forget it if our entries were removed from the file.

    Raises WouldOverwrite if the certificates in the copy were edited, RootlessError.
    """
    with locked(context, [copy.file], no_user):
        group = Group.read([copy.file], context.uid)
        found = merging.owner(group.documents, copy.name)
        if found is Owner.EDITED:
            raise WouldOverwrite(
                f"{found.value}; to replace them, run: k3s-rootless kubeconfig merge --into"
                f" {copy.file} --context {copy.name} --overwrite"
            )
        kept = [one for one in copies.read(context.paths.own) if one != copy]
        if found is Owner.OURS:
            texts = group.texts(merging.merge(group.documents, 0, entries, switch=False))
            group.write(texts)
            kept.append(Copy(copy.file, copy.name, entries.server, entries.fingerprint))
            if texts:
                context.notice(f"refreshed the context `{copy.name}` in {copy.file}")
        copies.write(context.paths.own, kept)
