"""The JSON documents of the commands for tokens; secrets are in them with `--reveal` only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k3s_rootless.printable import json_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3s_rootless.cluster.bootstrap_tokens import BootstrapToken
    from k3s_rootless.operations.token.show import Shown


def of_shown(shown: Shown, *, reveal: bool) -> dict[str, Any]:
    """Return the document of `token show`."""
    return {
        "tokens": [
            {
                "kind": one.kind,
                "path": str(one.path),
                "exists": one.text is not None,
                "set_in": list(one.set_in),
                "token": _revealed(one.text, reveal=reveal),
            }
            for one in shown.tokens
        ],
        "earlier": [
            {
                "kind": one.kind,
                "replaced": json_time(one.replaced),
                "token": _revealed(one.token, reveal=reveal),
            }
            for one in shown.earlier
        ],
        "errors": [],
    }


def of_list(found: Iterable[BootstrapToken], *, reveal: bool) -> dict[str, Any]:
    """Return the document of `token list`."""
    return {"tokens": [_bootstrap(one, reveal=reveal) for one in found], "errors": []}


def of_created(created: BootstrapToken, *, reveal: bool) -> dict[str, Any]:
    """Return the document of `token create`."""
    return {
        "id": created.identifier,
        "token": _revealed(created.text, reveal=reveal),
        "errors": [],
    }


def of_deleted(identifiers: Sequence[str]) -> dict[str, Any]:
    """Return the document of `token delete`."""
    return {"deleted": list(identifiers), "errors": []}


def _bootstrap(one: BootstrapToken, *, reveal: bool) -> dict[str, Any]:
    return {
        "id": one.identifier,
        "description": one.description,
        "expires": one.expires or None,
        "usages": list(one.usages),
        "groups": list(one.groups),
        "token": _revealed(one.text, reveal=reveal),
    }


def _revealed(text: str | None, *, reveal: bool) -> str | None:
    return text if reveal else None
