"""Find secrets in YAML that continue on the following lines.

Forms: blocks (`password: |`), folded and quoted scalars, lists.
"""

from __future__ import annotations

import re

from k3s_rootless.support.facts import Span
from k3s_rootless.support.redaction import assigned, names

_KEY = re.compile(
    r"(?P<indent>[ \t]{0,200}+(?:-[ \t]{1,8}){0,8})[\"']?(?P<name>[\w.-]++)[\"']?[ \t]{0,8}:(?=["
    r" \t]|$)(?P<rest>.*+)"
)
_MAPPING = re.compile(r"[ \t]*+(?:-[ \t]{1,8}){0,8}[\"']?[\w./-]++[\"']?[ \t]{0,8}:(?:[ \t]|$)")
# Lines of other programs in between: K3s logs with logrus and klog.
_LOG = re.compile(r"time=\"|level=[a-z]|[IWEF][0-9]{4} [0-9]{2}:")
_MOST_BETWEEN = 20
_QUOTES = ('"', "'")
_TAG = re.compile(r"(?:[!&][\w!:./-]{0,60}+[ \t]{1,8}){1,3}")


class Blocks:
    """The state from the previous lines; each line must be passed once, in order."""

    def __init__(self) -> None:
        self._indent: int | None = None
        self._kind = ""
        self._between = 0
        self._scalar = False
        """Whether the following lines are the text of the value, regardless of their form."""

    def span(self, line: str) -> Span | None:
        """Return the part of a line that belongs to a secret that began on an earlier line."""
        if self._indent is None:
            self._begin(line)
            return None
        if not line.strip():
            return None
        found = self._inside(line, self._indent)
        if found is not None:
            return found
        if self._between < _MOST_BETWEEN and _LOG.match(line):
            self._between += 1
            return None
        self._begin(line)
        return None

    def _inside(self, line: str, indent: int) -> Span | None:
        bare = line.lstrip(" \t")
        column = len(line) - len(bare)
        of_list = not self._scalar and column == indent and bare.startswith("- ")
        deeper = column > indent or of_list
        if not deeper or (not self._scalar and _MAPPING.match(line)):
            return None
        return Span(column, len(line), self._kind)

    def _begin(self, line: str) -> None:
        self._indent = None
        if ":" not in line:
            return
        found = _KEY.match(line)
        if found is None:
            return
        kind = names.kind(found["name"])
        value = _untagged(found["rest"].strip())
        if not kind or _is_complete(found["name"], value):
            return
        self._indent = len(found["indent"])
        self._kind = kind
        self._between = 0
        self._scalar = value.startswith(_QUOTES) or _is_indicator(value)


def _untagged(value: str) -> str:
    tag = _TAG.match(f"{value} ")
    if tag is None:
        return value
    return value[tag.end() :]


def _is_indicator(value: str) -> bool:
    return assigned.INDICATOR.fullmatch(value) is not None


def _is_complete(name: str, value: str) -> bool:
    """Return whether the line contains the complete value, or a value that can be shown."""
    if value.startswith(_QUOTES):
        closed = len(value) > 1 and value.rstrip(" ,").endswith(value[0])
        return closed or assigned.harmless(name, value)
    if not value or value.startswith("#") or _is_indicator(value):
        return False
    return assigned.harmless(name, value)
