"""Write new certificates into one copy of our entries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless import user_file
from k3s_rootless.cluster.kubeconfig import copies, merging
from k3s_rootless.cluster.kubeconfig.facts import Copy, Entries
from k3s_rootless.cluster.kubeconfig.merging import Owner
from k3s_rootless.errors import WouldOverwrite
from k3s_rootless.operations.kubeconfig.group import KEY, Group, locked, no_user

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
            edits = merging.merge(group.documents, 0, entries, switch=False)
            texts, holder = group.texts_with_key(edits, copy.name, 0)
            group.write(texts, holder)
            kept.append(Copy(copy.file, copy.name, entries.server, entries.fingerprint))
            if texts:
                context.notice(f"refreshed the context `{copy.name}` in {copy.file}")
            if holder.shared:
                context.notice(user_file.made_private(holder, KEY, dry_run=False))
        copies.write(context.paths.own, kept)
