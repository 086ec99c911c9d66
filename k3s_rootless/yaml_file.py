"""Read YAML of users and other programs with PyYAML, without executing or trusting it.

A short text with aliases can expand to a huge document, and PyYAML's composer in C recurses until
the process crashes. Therefore the events of a text, which cause neither problem, are checked before
anything is built. PyYAML takes 20 ms to load; import this module only where a document is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import yaml

# The loader in C is ten times as fast, but not every build of PyYAML has it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST_MANIFEST = 1000


class NotYaml(ValueError):
    """A text that is refused, with PyYAML's message, which may have several lines.

    `problem` is its short form, and `line` the line of the problem; None if it is unknown.
    """

    def __init__(self, text: str, problem: str = "", line: int | None = None) -> None:
        super().__init__(text)
        self.problem = problem
        self.line = line


@dataclass(slots=True)
class Node:
    """A value of a document with its position: a scalar or a collection.

    A scalar has its text and tag, a collection its children (for a mapping: key, value, key, …).
    `plain` is a scalar without quotes or a tag; `start` and `end` are positions in the text.
    """

    line: int
    start: int
    end: int = 0
    text: str | None = None
    tag: str | None = None
    plain: bool = False
    mapping: bool = False
    children: list[Node] = field(default_factory=list)


def load(content: bytes, deepest: int) -> Any:  # noqa: ANN401 (a document of any type)
    """Return the only document of a file; raises NotYaml, also for aliases and deep nesting."""
    with _refusing():
        _require_shallow(_without_aliases(_events(content)), deepest)
        return yaml.load(content, Loader=_LOADER)  # noqa: S506 (a safe loader)


def load_all(content: bytes, deepest: int = _DEEPEST_MANIFEST) -> Iterator[Any]:
    """Yield the documents of a file that are not empty; raises NotYaml.

    Aliases are allowed: a document may contain itself.
    """
    with _refusing():
        _require_shallow(_events(content), deepest)
        documents = yaml.load_all(content, Loader=_LOADER)
        yield from (document for document in documents if document is not None)


def compose(text: str, deepest: int) -> Node | None:
    """Return the first document of a text as nodes, None for an empty text; raises NotYaml.

    An alias is the same node object as its anchor, so that aliases of aliases take no time.
    """
    with _refusing():
        return _composed(_events(text), deepest)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except NotYaml:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or ""
        raise NotYaml(str(error), problem, mark.line + 1 if mark else None) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise NotYaml(str(error) or type(error).__name__) from None


def _events(content: str | bytes) -> Iterator[Any]:
    return yaml.parse(content, Loader=_LOADER)


def _without_aliases(events: Iterable[Any]) -> Iterator[Any]:
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            raise NotYaml("YAML aliases are not allowed")
        yield event


def _require_shallow(events: Iterable[Any], deepest: int) -> None:
    depth = 0
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > deepest:
            raise NotYaml("it is nested too deeply")


def _composed(events: Iterable[Any], deepest: int) -> Node | None:
    anchors: dict[str, Node] = {}
    open_nodes: list[Node] = []
    root: Node | None = None
    for event in events:
        end = event.end_mark.index
        if isinstance(event, yaml.DocumentEndEvent):
            return root
        if isinstance(event, yaml.CollectionEndEvent):
            open_nodes.pop().end = end
            continue
        node = _node(event, anchors)
        if node is None:
            continue
        if open_nodes:
            open_nodes[-1].children.append(node)
        root = root or node
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append(node)
            if len(open_nodes) > deepest:
                problem = f"it is nested more than {deepest} levels deep"
                raise NotYaml(problem, problem, node.line)
    return root


def _node(event: Any, anchors: dict[str, Node]) -> Node | None:  # noqa: ANN401 (PyYAML's events)
    line, start, end = event.start_mark.line + 1, event.start_mark.index, event.end_mark.index
    if isinstance(event, yaml.AliasEvent):
        if event.anchor not in anchors:
            problem = f"unknown anchor '{event.anchor}' referenced"
            raise NotYaml(problem, problem, line)
        return anchors[event.anchor]
    if isinstance(event, yaml.ScalarEvent):
        node = Node(line, start, end, event.value, event.tag, plain=event.implicit[0])
    elif isinstance(event, yaml.CollectionStartEvent):
        node = Node(line, start, mapping=isinstance(event, yaml.MappingStartEvent))
    else:
        return None
    if event.anchor:
        anchors[event.anchor] = node
    return node
