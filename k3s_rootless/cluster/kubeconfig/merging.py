"""Decide what to change in kubeconfigs so that they have our entries, or have them no longer.

If certificates or key differ from what was written, the entries count as edited. A server that
differs is the choice of the user and stays, like every field that was not written, such as the
namespace of a context.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from enum import Enum
from typing import Any

from k3s_rootless.cluster.kubeconfig.edits import Delete, Edit, Edits, Put, SetCurrent
from k3s_rootless.cluster.kubeconfig.entries import (
    CURRENT,
    EXTENSIONS,
    INNER,
    Document,
    current_context,
    first,
    inner,
    listed,
    mark,
    marked,
    where,
)
from k3s_rootless.cluster.kubeconfig.facts import Entries, fingerprint

_FINGERPRINT = "fingerprint"
_PREVIOUS = "previous-context"
_SERVER = "server"
_AUTHORITY = "certificate-authority-data"
_CERTIFICATE = "client-certificate-data"
_KEY = "client-key-data"


class Owner(Enum):
    """The author of the entries with our name."""

    NONE = "there are no such entries"
    OURS = "they are from k3s-rootless"
    EDITED = "their certificates were edited after they were merged"
    OTHER = "they are not from k3s-rootless"


def owner(documents: Sequence[Document], name: str) -> Owner:
    """Return the author of the entries of this name.

    If entries have different authors, the author that forbids the most is returned.
    """
    found = {kind: first(documents, kind, name) for kind in INNER}
    existing = {kind: one for kind, one in found.items() if one is not None}
    if not existing:
        return Owner.NONE
    if any(mark(one, kind) is None for kind, one in existing.items()):
        return Owner.OTHER
    if _is_as_written(found["clusters"], found["users"]):
        return Owner.OURS
    return Owner.EDITED


def is_current(documents: Sequence[Document], entries: Entries) -> bool:
    """Return whether a copy has these certificates, and our server unless the user set another."""
    user = mark(first(documents, "users", entries.name), "users") or {}
    cluster = first(documents, "clusters", entries.name)
    expected = {entries.server, _chosen_server(cluster)}
    return (
        user.get(_FINGERPRINT) == entries.fingerprint
        and inner(cluster, "clusters").get(_SERVER) in expected
        and first(documents, "contexts", entries.name) is not None
    )


def merge(
    documents: Sequence[Document],
    target: int,
    entries: Entries,
    *,
    switch: bool | None,
    overwrite: bool = False,
) -> Edits:
    """Return what to change in each document so that all together have these entries.

    An existing entry is changed where it is, a new one is added to the document `target`. `switch`
    makes the context the current one; None does so only if there is none. With `overwrite`,
    existing entries are replaced.
    """
    edits: list[list[Edit]] = [[] for _ in documents]
    current = current_context(documents)
    if switch is None:
        switch = not current
    switched = switch and entries.name != current
    previous = _previous(documents, entries.name)
    if switched:
        previous = current
    for put in _puts(documents, entries, previous, overwrite=overwrite):
        at = where(documents, put.kind, put.name)
        edits[target if at is None else at].append(put)
    if switched:
        edits[target].append(SetCurrent(entries.name))
    return tuple(map(tuple, edits))


def remove(documents: Sequence[Document], names: Sequence[str]) -> Edits:
    """Return what to change in each document so that our entries of these names are gone.

    If one of them is the current context, the context before it becomes current again, or none if
    that does not exist any more.
    """
    edits: list[list[Edit]] = [list(_deletions(one, names)) for one in documents]
    left = {
        one.get("name")
        for at, document in enumerate(documents)
        for one in listed(document, "contexts")
        if Delete("contexts", one.get("name", "")) not in edits[at]
    }
    for at, document in enumerate(documents):
        current = document.get(CURRENT) or ""
        if current in names and current not in left:
            edits[at].append(SetCurrent(_previous_left(documents, current, left)))
    return tuple(map(tuple, edits))


def _puts(
    documents: Sequence[Document], entries: Entries, previous: str, *, overwrite: bool
) -> Iterator[Put]:
    """Yield the entries that differ from what they should be."""
    for kind, (fields, content) in _written(entries, previous).items():
        entry = first(documents, kind, entries.name)
        existing = inner(entry, kind)
        fields[EXTENSIONS] = marked(kind, entry, content)
        if kind == "clusters" and not overwrite:
            fields[_SERVER] = _chosen_server(entry) or entries.server
        if overwrite or any(existing.get(key) != value for key, value in fields.items()):
            yield Put(kind, entries.name, dict(sorted(fields.items())), replace=overwrite)


def _written(entries: Entries, previous: str) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Return the fields of each entry, and the content of its mark."""
    before = {_PREVIOUS: previous}
    if not previous:
        before = {}
    server = {_SERVER: entries.server}
    certificates = {_CERTIFICATE: entries.certificate, _KEY: entries.key}
    return {
        "clusters": ({_AUTHORITY: entries.authority, **server}, server),
        "contexts": ({"cluster": entries.name, "user": entries.name}, before),
        "users": (certificates, {_FINGERPRINT: entries.fingerprint}),
    }


def _deletions(document: Document, names: Sequence[str]) -> Iterator[Delete]:
    for kind in INNER:
        for one in listed(document, kind):
            if one.get("name") in names and mark(one, kind) is not None:
                yield Delete(kind, one["name"])


def _chosen_server(cluster: Document | None) -> str:
    """Return the server of our cluster if the user set another one; else an empty text."""
    written = mark(cluster, "clusters")
    server = inner(cluster, "clusters").get(_SERVER)
    if written is None or server == written.get(_SERVER) or not isinstance(server, str):
        return ""
    return server


def _is_as_written(cluster: Document | None, user: Document | None) -> bool:
    held = inner(user, "users")
    found = (inner(cluster, "clusters").get(_AUTHORITY), held.get(_CERTIFICATE), held.get(_KEY))
    written = mark(user, "users") or {}
    return written.get(_FINGERPRINT) == fingerprint(*map(str, found))


def _previous_left(documents: Sequence[Document], name: str, left: Container[object]) -> str:
    """Return the last context before ours that still exists; empty if there is none."""
    seen = {name}
    while (name := _previous(documents, name)) not in {*seen, ""}:
        if name in left:
            return name
        seen.add(name)
    return ""


def _previous(documents: Sequence[Document], name: str) -> str:
    """Return the context that was current before ours; empty if it is not known."""
    found = (mark(first(documents, "contexts", name), "contexts") or {}).get(_PREVIOUS)
    return found if isinstance(found, str) else ""
