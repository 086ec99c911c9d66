"""The text of registries.yaml as K3s reads it, with the line of each key.

K3s uses yaml.v2 (wharfie v0.7.1, pkg/registries): it takes the text of a scalar for a string, such
as `0123` for a password, ignores unknown keys, and uses the last one of several equal keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from k3s_rootless import yaml_file
from k3s_rootless.node.registries.facts import Problem

DEEPEST = 16
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})

Path = tuple[str | int, ...]


@dataclass(slots=True)
class Content:
    """A document with scalars as texts or None, the lines of its keys, and repeated keys."""

    document: Any = field(repr=False)
    lines: dict[Path, int] = field(default_factory=dict)
    repeated: list[Problem] = field(default_factory=list)

    def line(self, path: Sequence[str | int]) -> int | None:
        """Return the line of a path, or of the nearest one above it."""
        for end in range(len(path), 0, -1):
            found = self.lines.get(tuple(path[:end]))
            if found is not None:
                return found
        return None


def read(text: bytes) -> Content:
    """Return the content of a file. Raises yaml_file.NotYaml, also for aliases."""
    # Refuses aliases first, which could expand without a limit.
    yaml_file.load(text, DEEPEST)
    node = yaml_file.compose(text.decode("utf-8-sig"), DEEPEST)
    content = Content(None)
    if node is not None:
        content.document = _plain(node, (), content)
    return content


def _plain(node: yaml_file.Node, path: Path, content: Content) -> Any:  # noqa: ANN401 (YAML)
    if node.mapping:
        return _mapping(node, path, content)
    if node.text is None:
        return [_item(one, (*path, at), content) for at, one in enumerate(node.children)]
    if node.plain and node.text in _NULLS:
        return None
    return node.text


def _item(node: yaml_file.Node, path: Path, content: Content) -> Any:  # noqa: ANN401 (YAML)
    content.lines[path] = node.line
    return _plain(node, path, content)


def _mapping(node: yaml_file.Node, path: Path, content: Content) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for key, value in zip(node.children[::2], node.children[1::2], strict=True):
        name = key.text if key.text is not None else "?"
        if name in found:
            text = f"`{name}` occurs again; K3s uses only this one"
            content.repeated.append(Problem(key.line, text))
        content.lines[*path, name] = key.line
        found[name] = _plain(value, (*path, name), content)
    return found
