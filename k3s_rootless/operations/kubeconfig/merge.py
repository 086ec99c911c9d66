"""Merge the entries of our cluster into a kubeconfig of the user."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import user_file
from k3s_rootless.cluster.kubeconfig import copies, merging
from k3s_rootless.cluster.kubeconfig.edits import SetCurrent
from k3s_rootless.cluster.kubeconfig.entries import current_context
from k3s_rootless.cluster.kubeconfig.facts import NAME, Copy, Entries
from k3s_rootless.cluster.kubeconfig.merging import Owner
from k3s_rootless.errors import UsageError, WouldOverwrite
from k3s_rootless.operations import installed
from k3s_rootless.operations.consent import Ask
from k3s_rootless.operations.kubeconfig import source
from k3s_rootless.operations.kubeconfig.group import KEY, Group, chosen, locked

if TYPE_CHECKING:
    from k3s_rootless.cluster.facts import Kubeconfig
    from k3s_rootless.cluster.kubeconfig.precedence import Chosen
    from k3s_rootless.operations.context import Context


@dataclass(frozen=True, slots=True)
class Request:
    """The options of `kubeconfig merge`.

    `into` is the file; None for the one that kubectl would write. `switch` makes the context the
    current one; None does so if there is none. `overwrite` replaces entries of other authors.
    """

    into: Path | None = None
    name: str = NAME
    switch: bool | None = None
    overwrite: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Merged:
    """The result: the file that has the entries, and the current context afterwards."""

    file: Path
    name: str
    server: str
    changed: bool
    current: str
    dry_run: bool


def merge(context: Context, request: Request, ask: Ask) -> Merged:
    """Write the entries into the file, unless they are there already.

    The file with the key is readable by the user only afterwards; a notice reports a change of its
    mode. Raises NotRunning if there is no kubeconfig of K3s, WouldOverwrite for entries of another
    author, UsageError, RootlessError.
    """
    context.require_ordinary_user()
    _, settings = installed.settings(context)
    return merge_from(context, request, source.load(context, settings.kubeconfig), ask)


def merge_from(context: Context, request: Request, found: Kubeconfig, ask: Ask) -> Merged:
    """Write the entries of a kubeconfig into the file; see `merge`."""
    entries = source.entries(found, request.name)
    target = chosen(context, request.into)
    _require_not_k3s_own(target.file, found.path)
    with ExitStack() as held:
        if not request.dry_run:
            held.enter_context(locked(context, target.files, ask))
        return _merge(context, request, entries, target)


def remember(context: Context, copy: Copy) -> None:
    """Record a copy, in place of an earlier record of it. The caller holds the lock."""
    own = context.paths.own
    others = [one for one in copies.read(own) if (one.file, one.name) != (copy.file, copy.name)]
    copies.write(own, (*others, copy))


def _merge(context: Context, request: Request, entries: Entries, target: Chosen) -> Merged:
    group = Group.read(target.files, context.uid)
    _require_ours(request, merging.owner(group.documents, entries.name), target.file)
    edits = merging.merge(
        group.documents,
        target.target,
        entries,
        switch=request.switch,
        overwrite=request.overwrite,
    )
    texts, holder = group.texts_with_key(edits, entries.name, target.target)
    current = current_context(group.documents)
    if any(isinstance(one, SetCurrent) for one in edits[target.target]):
        current = entries.name
    if not request.dry_run:
        # The record is written first, so that no copy is ever forgotten.
        copy = Copy(target.file, entries.name, entries.server, "")
        if texts:
            remember(context, copy)
            group.write(texts, holder)
        copy = replace(copy, fingerprint=entries.fingerprint)
        if copy not in copies.read(context.paths.own):
            remember(context, copy)
    if holder.shared:
        context.notice(user_file.made_private(holder, KEY, dry_run=request.dry_run))
    return Merged(
        target.file,
        entries.name,
        entries.server,
        changed=bool(texts),
        current=current,
        dry_run=request.dry_run,
    )


def _require_ours(request: Request, found: Owner, file: Path) -> None:
    if found in {Owner.NONE, Owner.OURS} or request.overwrite:
        return
    raise WouldOverwrite(
        f"cannot merge `{request.name}` into `{file}`: it has entries of this name, and"
        f" {found.value}",
        hint="use another name with --context NAME, or replace them with --overwrite",
    )


def _require_not_k3s_own(file: Path, own: Path) -> None:
    if os.path.realpath(file) != os.path.realpath(own):
        return
    raise UsageError(
        f"cannot merge into `{file}`: K3s writes this file again at each start",
        hint="name another file, for example: k3s-rootless kubeconfig merge --into ~/.kube/config",
    )
