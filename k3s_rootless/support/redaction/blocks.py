"""Secrets of YAML that go on in the following lines: blocks (`password: |`), folded and quoted
scalars, lists.
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
# Lines of other writers, in between: K3s logs by logrus and klog.
_LOG = re.compile(r"time=\"|level=[a-z]|[IWEF][0-9]{4} [0-9]{2}:")
_MOST_BETWEEN = 20
_TAG = re.compile(r"(?:[!&][\w!:./-]{0,60}+[ \t]{1,8}){1,3}")


class Blocks:
    """What is remembered of the lines before; each line must be given once, in its order."""

    def __init__(self) -> None:
        self._indent: int | None = None
        self._kind = ""
        self._between = 0
        self._scalar = False
        """Whether the text of the lines that follow is the value, whatever it looks like."""

    def span(self, line: str) -> Span | None:
        """Return what of a line belongs to a secret that an earlier line began."""
        if self._indent is not None and not line.strip():
            return None
        if self._indent is not None and (found := self._inside(line)) is not None:
            return found
        if self._indent is not None and self._between < _MOST_BETWEEN and _LOG.match(line):
            self._between += 1
            return None
        self._begin(line)
        return None

    def _inside(self, line: str) -> Span | None:
        bare = line.lstrip(" \t")
        column = len(line) - len(bare)
        deeper = column > (self._indent or 0) or (
            not self._scalar and column == self._indent and bare.startswith("- ")
        )
        if not deeper or (not self._scalar and _MAPPING.match(line)):
            return None
        return Span(column, len(line), self._kind)

    def _begin(self, line: str) -> None:
        self._indent = None
        found = _KEY.match(line) if ":" in line else None
        if found is None or not (kind := names.kind(found["name"])):
            return
        value = found["rest"].strip()
        value = value[tag.end() :] if (tag := _TAG.match(f"{value} ")) else value
        indicated = assigned.INDICATOR.fullmatch(value) is not None
        if (
            value
            and not indicated
            and not value.startswith("#")
            and assigned.harmless(found["name"], value)
        ):
            return
        quoted = value[:1] in {'"', "'"}
        if quoted and len(value) > 1 and value.rstrip(" ,").endswith(value[0]):
            return
        self._indent, self._kind, self._between = len(found["indent"]), kind, 0
        self._scalar = indicated or quoted
