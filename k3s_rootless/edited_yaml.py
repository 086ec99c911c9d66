"""Change YAML texts of users with ruamel.yaml: comments, order and unknown keys stay.

ruamel.yaml writes YAML 1.2, where `yes` is a string; kubectl and K3s read YAML 1.1, as PyYAML does.
The caller reads a changed text again with PyYAML, and compares it with the expected content.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from k3s_rootless import yaml_file

_WIDE = 2**30
"""Columns; certificates are never broken into several lines."""
_LIST = re.compile(r"^(?P<above> *)(?:- )?[^\s#-][^\n]*:[^\S\n]*\n(?P<indent> *)- ", re.MULTILINE)
_MAPPING = re.compile(
    r"^(?P<above> *)[^\s#-][^\n]*:[^\S\n]*\n(?P<indent> +)[^\s#-][^\n]*:", re.MULTILINE
)
_USUAL_INDENT = 2
_AFTER_VALUE = 2
"""ruamel.yaml's index of the comment after a value in a mapping."""


class NotEditable(ValueError):
    """A text that cannot be changed without a loss; the message quotes nothing."""


def edited(content: bytes, change: Callable[[Any], str], empty: Mapping[str, Any]) -> bytes:
    """Return the text with a change of its document; `empty` is the document of an empty text.

    `change` returns lines that follow the last line, such as comments that it displaced. Raises
    NotEditable.
    """
    # Imported here: loading takes 60 ms, and few commands change a file of the user.
    from ruamel.yaml.error import YAMLError

    try:
        text = content.decode("utf-8")
        handler = _handler(text)
        document = handler.load(text)
        before = ""
        if not document:
            # ruamel.yaml drops the comments of an empty document.
            before, document = _lines(text), handler.map(**empty)
        after = change(document)
        written = io.StringIO()
        handler.dump(document, written)
    except (YAMLError, ValueError) as error:
        raise NotEditable("it has a form that cannot be changed without a loss") from error
    return (before + written.getvalue() + after).encode()


def put(document: Any, path: Sequence[str], value: Any) -> str:  # noqa: ANN401 (parsed YAML)
    """Set the value at a path of keys; return comment lines that belong after the last line."""
    depth, mapping = _deepest(document, path)
    key = path[depth]
    for name in reversed(path[depth + 1 :]):
        value = {quoted(name): value}
    before = key
    if key not in mapping:
        before = next(reversed(mapping), "")
    lines = taken_comment(mapping, before)
    mapping[quoted(key)] = quoted(value)
    return _put_comment(document, path[: depth + 1], lines)


def remove(document: Any, path: Sequence[str]) -> str:  # noqa: ANN401 (parsed YAML)
    """Remove the value at a path of keys, and mappings that become empty.

    Returns comment lines that belong after the last line.
    """
    depth, mapping = _deepest(document, path)
    if depth != len(path) - 1 or path[-1] not in mapping:
        return ""
    lines = taken_comment(mapping, path[-1])
    gone = len(path)
    while gone > 1 and len(_at(document, path[: gone - 1])) == 1:
        gone -= 1
    path = path[:gone]
    after = _put_comment(document, path, lines)
    del _at(document, path[:-1])[path[-1]]
    return after


def taken_comment(container: Any, last: Any) -> list[str]:  # noqa: ANN401 (types of ruamel.yaml)
    """Remove and return the comment lines between a value and what follows it.

    ruamel.yaml attaches them to the last scalar of the value, although they describe what follows.
    """
    token = _token(container, last)
    if token is None:
        return []
    first, *rest = token.value.split("\n")
    lines = [line.strip() for line in rest if line.strip()]
    if lines:
        token.value = f"{first}\n"
    return lines


def uncommented(lines: Sequence[str]) -> str:
    """Return comment lines without their number signs, as ruamel.yaml expects them."""
    return "\n".join(line.lstrip("#").removeprefix(" ") for line in lines)


def quoted(value: Any) -> Any:  # noqa: ANN401 (strings, lists and mappings of strings)
    """Return a value with quotes around strings that are something else without them."""
    # Imported here: loading takes 60 ms, and few commands change a file of the user.
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    match value:
        case dict():
            return {key: quoted(one) for key, one in value.items()}
        case list():
            return [quoted(one) for one in value]
        case str() if not _is_plain(value):
            return DoubleQuotedScalarString(value)
        case _:
            return value


def _is_plain(text: str) -> bool:
    """Return whether a string needs no quotes, or ruamel.yaml adds them by itself."""
    try:
        return not isinstance(yaml_file.load(text.encode(), 1), bool | int | float | date)
    except yaml_file.NotYaml:
        return True


def _deepest(document: Any, path: Sequence[str]) -> tuple[int, Any]:  # noqa: ANN401 (parsed YAML)
    """Return the deepest mapping on a path, and the position of the key that belongs in it."""
    for depth, key in enumerate(path[:-1]):
        inner = document.get(key)
        if not isinstance(inner, dict) or not inner:
            return depth, document
        document = inner
    return len(path) - 1, document


def _at(document: Any, path: Sequence[str]) -> Any:  # noqa: ANN401 (parsed YAML)
    for key in path:
        document = document[key]
    return document


def _put_comment(document: Any, path: Sequence[str], lines: Sequence[str]) -> str:  # noqa: ANN401
    """Put comment lines before what follows the value at a path; return them if it is the last."""
    if not lines:
        return ""
    for depth in reversed(range(len(path))):
        mapping = _at(document, path[:depth])
        keys = list(mapping)
        following = keys[keys.index(path[depth]) + 1 :][:1]
        if not following:
            continue
        mapping.yaml_set_comment_before_after_key(
            following[0], before=uncommented(lines), indent=mapping.lc.col
        )
        return ""
    return "".join(f"{line}\n" for line in lines)


def _token(node: Any, last: Any) -> Any:  # noqa: ANN401 (types of ruamel.yaml)
    """Return the comment after the last scalar below an entry of a mapping or list, or None."""
    token = None
    while node and hasattr(node, "ca"):
        place = 0
        if isinstance(node, dict):
            place = _AFTER_VALUE
        comments = [*(node.ca.items.get(last) or ()), *[None] * 4]
        token = comments[place] or token
        node = node[last]
        last = len(node) - 1 if isinstance(node, list) else None
        if isinstance(node, dict):
            last = next(reversed(node), None)
    return token


def _lines(text: str) -> str:
    """Return the lines of a text without a document, such as comments."""
    kept = [line for line in text.splitlines() if line.startswith("#")]
    return "".join(f"{line}\n" for line in kept)


def _handler(text: str) -> Any:  # noqa: ANN401 (ruamel.yaml is loaded lazily)
    # Imported here: loading takes 60 ms, and few commands change a file of the user.
    from ruamel.yaml import YAML

    handler = YAML(typ="rt", pure=True)
    handler.preserve_quotes = True
    handler.width = _WIDE
    mapping = _indent(_MAPPING.search(text), _USUAL_INDENT)
    offset = _indent(_LIST.search(text), 0)
    handler.indent(mapping=mapping, sequence=offset + 2, offset=offset)
    handler.representer.add_representer(type(None), _null)
    return handler


def _indent(found: re.Match[str] | None, usual: int) -> int:
    """Return by how many columns a line is deeper than the line above it."""
    if found is None or len(found["indent"]) < len(found["above"]):
        return usual
    return len(found["indent"]) - len(found["above"])


def _null(representer: Any, _: None) -> Any:  # noqa: ANN401 (types of ruamel.yaml)
    # By default, `users: null` would become `users:`.
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")
