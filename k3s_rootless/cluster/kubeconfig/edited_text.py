"""The text of a kubeconfig of the user, read strictly, and changed with all else kept.

YAML keeps its order, comments and unknown keys, JSON stays JSON. A changed text is
read again with PyYAML, and is used only if it has exactly the expected content. No message quotes
the text, which can hold secrets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from k3s_rootless import edited_yaml, yaml_file
from k3s_rootless.cluster.kubeconfig import edits as changes
from k3s_rootless.cluster.kubeconfig import entries
from k3s_rootless.cluster.kubeconfig.edits import Delete, Edit, Put, SetCurrent
from k3s_rootless.cluster.kubeconfig.entries import Document

_HEAD = {"apiVersion": "v1", "kind": "Config"}
_DEEPEST = 64
_INDENTED = re.compile(r"\n(?P<indent>[ \t]+)\S")


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
    def change(document: Any) -> str:  # noqa: ANN401 (types of ruamel.yaml)
        for edit in edits:
            if isinstance(edit, Delete):
                _keep_comments(document, edit)
            changes.apply([_unambiguous(edit)], document)
        return ""

    try:
        return edited_yaml.edited(content, change, _HEAD)
    except edited_yaml.NotEditable as error:
        raise NotKubeconfig(str(error)) from error


def _unambiguous(edit: Edit) -> Edit:
    """Return the change with quotes around strings that are something else without them."""
    match edit:
        case Put(kind, name, fields, replace):
            return Put(kind, edited_yaml.quoted(name), edited_yaml.quoted(fields), replace)
        case SetCurrent(name):
            return SetCurrent(edited_yaml.quoted(name))
        case _:
            return edit


def _keep_comments(document: Any, edit: Delete) -> None:  # noqa: ANN401 (types of ruamel.yaml)
    """Move the comment lines between an entry and the next one, which ruamel.yaml removes.

    ruamel.yaml attaches them to the last value of the entry, although they describe the next one.
    """
    listed = document.get(edit.kind)
    for at in entries.positions(document, edit.kind, edit.name):
        lines = edited_yaml.taken_comment(listed, at)
        comment = edited_yaml.uncommented(lines)
        if not lines:
            continue
        if at + 1 < len(listed):
            # The position is that of the entry itself, which is removed next.
            listed.yaml_set_comment_before_after_key(at + 1, before=comment)
            continue
        keys = list(document)
        after = keys[keys.index(edit.kind) :][:2]
        document.yaml_set_comment_before_after_key(after[-1], before=comment)
