"""The JSON documents of the `config` commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from k3s_rootless.k3s.origin import Value
    from k3s_rootless.operations.configuration.change import Changed
    from k3s_rootless.operations.configuration.setting import Setting
    from k3s_rootless.operations.configuration.settings_list import Answer


def list_document(answer: Answer) -> dict[str, Any]:
    """Return the document of `list`."""
    own = answer.drop_in
    drop_in = None
    if own is not None:
        drop_in = {"path": str(own.path), "author": own.author.name.lower()}
    return {
        "settings": [_setting(one) for one in answer.settings],
        "drop_in": drop_in,
        "restart_needed": answer.restart_needed,
        "config_files": [
            {"path": str(file.path), "missing": file.missing or None}
            for file in answer.resolved.files
        ],
        "skipped": [
            {"name": one.name, "path": str(one.origin.path), "line": one.origin.line}
            for one in answer.resolved.skipped
        ],
        "drift": [one.document() for one in answer.drift],
        "unknown": list(answer.resolved.problems),
        "errors": [],
    }


def get_document(setting: Setting) -> dict[str, Any]:
    """Return the document of `get`."""
    return {**_setting(setting), "errors": []}


def change_document(done: Changed) -> dict[str, Any]:
    """Return the document of `set` and `unset`."""
    return {"changed": done.changed, "restart_needed": done.restart_needed, "errors": []}


def _setting(one: Setting) -> dict[str, Any]:
    return {
        "name": one.name,
        "values": list(one.values),
        "origin": one.origin,
        "set_to": list(one.set_to),
        "sources": [_source(value) for value in one.sources],
    }


def _source(value: Value) -> dict[str, Any]:
    origin = value.origin
    return {
        "value": value.text,
        "origin": origin.source.value,
        "path": str(origin.path) if origin.path else None,
        "line": origin.line or None,
        "variable": origin.variable or None,
    }
