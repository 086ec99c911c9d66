"""The checksum files of releases.

A line has 64 hexadecimal digits, two characters and the name of an asset. Which assets are listed,
and in which order, differs between releases, so lines are found by name.
"""

from __future__ import annotations

import re

_LINE = re.compile(r"(?P<digest>[0-9a-fA-F]{64})[ \t]+[*]?(?P<name>\S+)", re.ASCII)
LARGEST = 64 * 1024
"""Bytes; real files have under 1 KiB."""


def parse(text: str) -> dict[str, str]:
    """Return the checksums by the name of their asset; empty if the text is no checksum file.

    A name with two different checksums is left out: neither can be trusted.
    """
    found: dict[str, str] = {}
    ambiguous: set[str] = set()
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None:
            continue
        name = match["name"].rpartition("/")[2]
        digest = match["digest"].lower()
        if found.setdefault(name, digest) != digest:
            ambiguous.add(name)
    return {name: digest for name, digest in found.items() if name not in ambiguous}
