"""The text of a kubeconfig of the user, read strictly, and changed with all else kept.

YAML keeps its order, comments and unknown keys (ruamel.yaml), JSON stays JSON. A changed text is
read again with PyYAML, and is used only if it has exactly the expected content. No message quotes
the text, which can hold secrets.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from copy import deepcopy
from datetime import date
from typing import Any

from k3s_rootless import yaml_file
from k3s_rootless.cluster.kubeconfig import edits as changes
from k3s_rootless.cluster.kubeconfig import entries
from k3s_rootless.cluster.kubeconfig.edits import Delete, Edit, Put, SetCurrent
from k3s_rootless.cluster.kubeconfig.entries import Document

_HEAD = {"apiVersion": "v1", "kind": "Config"}
_DEEPEST = 64
_WIDE = 2**30
"""Columns; certificates are never broken into several lines."""
_ITEM = re.compile(r"^(?P<offset> *)- ", re.MULTILINE)
_INDENTED = re.compile(r"\n(?P<indent>[ \t]+)\S")
_AFTER_VALUE = 2
"""ruamel.yaml's index of the comment after a value in a mapping."""


class NotKubeconfig(ValueError):
    """A text that is no kubeconfig, or that cannot be changed; the message quotes nothing."""


def parse(content: bytes) -> Document:
    """Return the content of a kubeconfig; an empty file has none. Raises NotKubeconfig."""
    try:
        found = yaml_file.load(content, _DEEPEST)
    except yaml_file.NotYaml as error:
        raise NotKubeconfig(f"it is not valid YAML (line {error.line or 1})") from None
    if found is None:
        found = {}
    problem = entries.problem(found)
    if problem:
        raise NotKubeconfig(problem)
    document: Document = found
    return document


def edited(content: bytes, edits: Sequence[Edit]) -> bytes:
    """Return the text with these changes. Raises NotKubeconfig."""
    expected = deepcopy(parse(content))
    if not expected:
        expected.update(_HEAD)
    changes.apply(edits, expected)
    new = _as_json(content, expected)
    if new is None:
        new = _as_yaml(content, edits)
    if parse(new) != expected:
        raise NotKubeconfig("it has a form that cannot be changed without a loss")
    return new


def _as_json(content: bytes, expected: Document) -> bytes | None:
    """Return the document as JSON in the style of the text; None if the text is not JSON."""
    text = content.decode("utf-8", "replace").strip()
    if not text.startswith("{"):
        return None
    try:
        json.loads(text)
    except ValueError:
        return None
    indented = _INDENTED.search(text)
    indent = None
    if indented:
        indent = indented["indent"]
    end = b"\n" * content.endswith(b"\n")
    return json.dumps(expected, indent=indent, ensure_ascii=False).encode() + end


def _as_yaml(content: bytes, edits: Sequence[Edit]) -> bytes:
    # Imported here: loading takes 60 ms, and few commands change a kubeconfig.
    from ruamel.yaml.error import YAMLError

    try:
        text = content.decode("utf-8")
        handler = _handler(text)
        document = handler.load(text)
        before = ""
        if not document:
            # ruamel.yaml drops the comments of an empty document.
            before, document = _lines(text), dict(_HEAD)
        for edit in edits:
            if isinstance(edit, Delete):
                _keep_comments(document, edit)
            changes.apply([_unambiguous(edit)], document)
        written = io.StringIO()
        handler.dump(document, written)
    except (YAMLError, ValueError) as error:
        raise NotKubeconfig("it has a form that cannot be changed without a loss") from error
    return (before + written.getvalue()).encode()


def _lines(text: str) -> str:
    """Return the lines of a text without a document, such as comments."""
    kept = [line for line in text.splitlines() if line.startswith("#")]
    return "".join(f"{line}\n" for line in kept)


def _unambiguous(edit: Edit) -> Edit:
    """Return the change with quotes around strings that are something else without them.

    ruamel.yaml writes YAML 1.2, where `yes` is a string; kubectl reads YAML 1.1, as PyYAML does.
    """
    match edit:
        case Put(kind, name, fields, replace):
            return Put(kind, _quoted(name), _quoted(fields), replace)
        case SetCurrent(name):
            return SetCurrent(_quoted(name))
        case _:
            return edit


def _quoted(value: Any) -> Any:  # noqa: ANN401 (strings, lists and mappings of strings)
    # Imported here: loading takes 60 ms, and few commands change a kubeconfig.
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    match value:
        case dict():
            return {key: _quoted(one) for key, one in value.items()}
        case list():
            return [_quoted(one) for one in value]
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


def _handler(text: str) -> Any:  # noqa: ANN401 (ruamel.yaml is loaded lazily)
    # Imported here: loading takes 60 ms, and few commands change a kubeconfig.
    from ruamel.yaml import YAML

    handler = YAML(typ="rt", pure=True)
    handler.preserve_quotes = True
    handler.width = _WIDE
    offset = 0
    item = _ITEM.search(text)
    if item:
        offset = len(item["offset"])
    handler.indent(mapping=2, sequence=offset + 2, offset=offset)
    handler.representer.add_representer(type(None), _null)
    return handler


def _null(representer: Any, _: None) -> Any:  # noqa: ANN401 (types of ruamel.yaml)
    # By default, `users: null` would become `users:`.
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def _keep_comments(document: Any, edit: Delete) -> None:  # noqa: ANN401 (types of ruamel.yaml)
    """Move the comment lines between an entry and the next one, which ruamel.yaml removes.

    ruamel.yaml attaches them to the last value of the entry, although they describe the next one.
    """
    listed = document.get(edit.kind)
    for at in entries.positions(document, edit.kind, edit.name):
        lines = [line for line in _comment_after(listed[at]).split("\n")[1:] if line.strip()]
        comment = "\n".join(line.strip().lstrip("#").removeprefix(" ") for line in lines)
        if not lines:
            continue
        if at + 1 < len(listed):
            # The position is that of the entry itself, which is removed next.
            listed.yaml_set_comment_before_after_key(at + 1, before=comment)
            continue
        keys = list(document)
        after = keys[keys.index(edit.kind) :][:2]
        document.yaml_set_comment_before_after_key(after[-1], before=comment)


def _comment_after(node: Any) -> str:  # noqa: ANN401 (types of ruamel.yaml)
    """Return the comment after the last value in a tree of ruamel.yaml, with its line ends."""
    token = None
    while node and hasattr(node, "ca"):
        if isinstance(node, dict):
            last, place = list(node)[-1], _AFTER_VALUE
        else:
            last, place = len(node) - 1, 0
        comments = [*(node.ca.items.get(last) or ()), *[None] * 4]
        token = comments[place]
        node = node[last]
    return token.value if token is not None else ""
