"""The entries of kubeconfigs, and the mark of those that k3s-rootless wrote.

Several files count as one kubeconfig: for each name, the first file that has the entry counts
(client-go tools/clientcmd). The mark is an extension, a field that client-go keeps and does not
interpret (its api/v1, NamedExtension). It has what was written: that of a user the SHA-256 of the
certificates and the key, that of a cluster the server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

INNER = {"clusters": "cluster", "contexts": "context", "users": "user"}
"""The lists of a kubeconfig, and the key of the object in each element."""
CURRENT = "current-context"
EXTENSIONS = "extensions"
_MARK = "k3s-rootless"

Document = dict[str, Any]


def problem(document: object) -> str:
    """Return why a document is no kubeconfig that can be edited; empty if it can be."""
    if not isinstance(document, dict):
        return "it is not a mapping"
    if document.get("kind", "Config") != "Config":
        return "its `kind` is not `Config`"
    if not isinstance(document.get(CURRENT) or "", str):
        return f"its `{CURRENT}` is not a string"
    return next(filter(None, (_problem(document, kind) for kind in INNER)), "")


def _problem(document: Document, kind: str) -> str:
    listed = document.get(kind) or []
    if not isinstance(listed, list):
        return f"its `{kind}` is not a list"
    if not all(isinstance(one, dict) for one in listed):
        return f"an element of its `{kind}` is not a mapping"
    return ""


def listed(document: Document, kind: str) -> Sequence[Document]:
    """Return the entries of a kind; an absent or empty list has none."""
    return document.get(kind) or ()


def positions(document: Document, kind: str, name: str) -> list[int]:
    """Return the positions of the entries of a name in their list."""
    return [at for at, one in enumerate(listed(document, kind)) if one.get("name") == name]


def where(documents: Sequence[Document], kind: str, name: str) -> int | None:
    """Return the position of the document with the entry that counts; None if there is none."""
    return next((at for at, one in enumerate(documents) if positions(one, kind, name)), None)


def first(documents: Sequence[Document], kind: str, name: str) -> Document | None:
    """Return the entry of a name that counts; None if there is none."""
    at = where(documents, kind, name)
    if at is None:
        return None
    return listed(documents[at], kind)[positions(documents[at], kind, name)[0]]


def inner(entry: Document | None, kind: str) -> Document:
    """Return the object in an entry; empty if there is none."""
    found = (entry or {}).get(INNER[kind])
    if isinstance(found, dict):
        return found
    return {}


def mark(entry: Document | None, kind: str) -> Document | None:
    """Return the content of our mark; None for an entry that is not ours."""
    for one in _extensions(inner(entry, kind)):
        if _is_mark(one):
            content = one.get("extension")
            return content if isinstance(content, dict) else {}
    return None


def marked(kind: str, entry: Document | None, content: Mapping[str, Any]) -> list[Any]:
    """Return the extensions of an entry with our mark; those of other programs are kept."""
    others = [one for one in _extensions(inner(entry, kind)) if not _is_mark(one)]
    return [*others, {"extension": dict(content), "name": _MARK}]


def our_names(document: Document) -> tuple[str, ...]:
    """Return the names of our entries in a document."""
    found = {
        one["name"]
        for kind in INNER
        for one in listed(document, kind)
        if isinstance(one.get("name"), str) and mark(one, kind) is not None
    }
    return tuple(sorted(found))


def referring(document: Document, name: str) -> Iterator[str]:
    """Yield the contexts of the user that use our cluster or user of this name."""
    for one in listed(document, "contexts"):
        used = inner(one, "contexts")
        uses = name in {used.get("cluster"), used.get("user")}
        if uses and one.get("name") != name and mark(one, "contexts") is None:
            yield str(one.get("name"))


def current_context(documents: Sequence[Document]) -> str:
    """Return the current context: the first file that sets one counts."""
    return next((found for one in documents if (found := one.get(CURRENT) or "")), "")


def _extensions(found: Document) -> list[Any]:
    extensions = found.get(EXTENSIONS)
    if isinstance(extensions, list):
        return extensions
    return []


def _is_mark(extension: object) -> bool:
    return isinstance(extension, dict) and extension.get("name") == _MARK
