"""The changes of a kubeconfig, as records, and how they are applied to a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from k3s_rootless.cluster.kubeconfig import entries
from k3s_rootless.cluster.kubeconfig.entries import INNER, Document


@dataclass(frozen=True, slots=True)
class Put:
    """Set fields of an entry, and create it if it does not exist.

    With `replace`, all other fields of an existing entry are removed.
    """

    kind: str
    name: str
    fields: Mapping[str, Any] = field(repr=False)
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove an entry."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class SetCurrent:
    """Set the current context; an empty name for none."""

    name: str


Edit = Put | Delete | SetCurrent
Edits = tuple[tuple[Edit, ...], ...]
"""The changes of several documents, by position."""


def apply(edits: Sequence[Edit], document: Document) -> None:
    """Change a document."""
    for edit in edits:
        match edit:
            case SetCurrent(name):
                document[entries.CURRENT] = name
            case Delete(kind, name):
                for at in reversed(entries.positions(document, kind, name)):
                    del document[kind][at]
            case Put():
                _put(document, edit)


def _put(document: Document, edit: Put) -> None:
    key = INNER[edit.kind]
    if not document.get(edit.kind):
        document[edit.kind] = []
    found = entries.positions(document, edit.kind, edit.name)
    if not found:
        new = {key: dict(edit.fields), "name": edit.name}
        # In the order of client-go, which sorts the keys.
        document[edit.kind].append({key: new[key] for key in sorted(new)})
        return
    entry = document[edit.kind][found[0]]
    if edit.replace or not isinstance(entry.get(key), dict):
        entry[key] = dict(edit.fields)
    else:
        entry[key].update(edit.fields)
