"""Recorded output of the tool, and the blocks of the documentation that show it.

A comment above a block names its recordings in `tests/data/outputs`:

    <!-- recorded: up[5+1] ports -->

A name without a suffix is that of a text. `[5+1]` shows its first five lines and its last one, with
`[…]` for the lines in between. A recording of JSON (`ports.json`) is shown with other line breaks,
and with `…` for the third and further objects of an array.
`python -m tests.e2e.recorded_output` records all outputs again, and writes the blocks again.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from k3s_rootless import __version__

ROOT = Path(__file__).parent.parent
OUTPUTS = ROOT / "tests/data/outputs"
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])

MARKED = re.compile(
    r"^<!-- recorded: (?P<names>[^>]+) -->\n```(?:[a-z]+)?\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
"""A comment and the block below it."""
BLOCK = re.compile(r"^ *```[a-z]*\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"(?P<name>[a-z0-9-]+(?:\.jsonl?)?)(?:\[(?P<first>\d+)\+(?P<last>\d+)\])?")
_WIDTH = 118
_ENTRIES = 2
"""The number of entries of an array that a block shows."""
_LONGEST = 400
"""The length from which a block cuts a string."""

_VOLATILE = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\b[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d", "TIME"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00| UTC)?", "TIME"),
        (r"\b\d{8}T\d{6}Z\b", "TIME"),
        (r"\b20\d\d-\d\d-\d\d\b", "TIME"),
        (r"\btls-\d+\b", "TIME"),
        (r"-ca@\d+\b", "-ca@TIME"),
        (r"\b\d\d:\d\d:\d\d(?:\.\d+)?\b", "TIME"),
        (r"\bs=[0-9a-f]{32};\S+", "CURSOR"),
        (r"\b[0-9a-f]{32,64}\b", "ID"),
        (r"\b\d+(?:\.\d+)? ?(?:ms|s|min|[KMG]iB)\b", "N"),
        (r"\b\d+(?:\.\d+)?%", "N"),
        (r"(?i)\bpid \d+", "PID"),
        (rf"\b{re.escape(__version__)}\b", "VERSION"),
        (r"[ ─]{2,}", "  "),
    )
)
_VOLATILE_KEYS = {
    "at_least",
    "bytes",
    "child_pid",
    "content",
    "cpu_seconds",
    "free",
    "downtime",
    "expected_downtime",
    "lines_read",
    "main_pid",
    "memory_bytes",
    "memory_limit_bytes",
    "memory_peak_bytes",
    "milliseconds",
    "pid",
    "removed",
    "restarts",
    "script",
    "serial",
    "seconds",
    "seconds_between_restarts",
    "size",
    "systemd",
    "took",
}
"""Keys that have another value in each run, or on each host."""


def read(name: str) -> str:
    """Return the text of a recording."""
    return path(name).read_text("utf-8")


def path(name: str) -> Path:
    """Return the file of a recording."""
    return OUTPUTS / (name if "." in name else f"{name}.txt")


def stable(text: str, kind: str) -> object:
    """Return what two recordings of one output have in common: no times, ids, PIDs or sizes."""
    match kind:
        case ".json":
            return _stable_value(json.loads(text))
        case ".jsonl":
            return [_stable_value(json.loads(line)) for line in text.splitlines()]
        case _:
            return _stable_text(text)


def _stable_text(text: str) -> str:
    for pattern, replacement in _VOLATILE:
        text = pattern.sub(replacement, text)
    return text


def _stable_value(value: Any) -> Any:
    match value:
        case dict():
            return {
                key: None
                if key in _VOLATILE_KEYS and not isinstance(one, dict | list)
                else _stable_value(one)
                for key, one in value.items()
            }
        case list():
            return [_stable_value(one) for one in value]
        case str():
            return _stable_text(value)
        case _:
            return value


def shown(names: str) -> str:
    """Return the text of a block for the names in its comment."""
    return "".join(_one(match) for match in _NAME.finditer(names))


def _one(match: re.Match[str]) -> str:
    text, kind = read(match["name"]), path(match["name"]).suffix
    if kind == ".json":
        return f"{example(json.loads(text))}\n"
    if match["first"] is None:
        return text
    lines = text.splitlines(keepends=True)
    first, last = int(match["first"]), int(match["last"])
    return "".join([*lines[:first], "[…]\n", *lines[len(lines) - last :]])


def written(page: str) -> str:
    """Return the text of a page with the current recordings in its blocks."""

    def block(match: re.Match[str]) -> str:
        start, end = match.start("text") - match.start(), match.end("text") - match.start()
        return f"{match[0][:start]}{shown(match['names'])}{match[0][end:]}"

    return MARKED.sub(block, page)


def unmarked(page: str) -> list[str]:
    """Return the text of the blocks that no comment belongs to."""
    return [match["text"] for match in BLOCK.finditer(MARKED.sub("", page))]


def example(value: Any, indent: int = 0, room: int = _WIDTH) -> str:
    """Return a value as JSON in few lines; `…` is in place of the entries that are left out.

    `room` is the number of columns that are left on the current line.
    """
    flat = _flat(value)
    if indent and len(flat) <= room and len(flat) + indent <= _WIDTH:
        return flat
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: " for key in value]
        opening, closing = "{", "}"
    elif isinstance(value, list):
        parts = [""] * len(value)
        opening, closing = "[", "]"
    else:
        return flat
    inside = " " * (indent + 2)
    entries = list(value.values()) if isinstance(value, dict) else _first(value)
    rows: list[str] = []
    for part, one in zip([*parts, ""], entries, strict=False):
        used = len(rows[-1]) + 2 if rows else 0
        whole = part + (one if one is _MORE else _flat(one))
        if rows and "\n" not in rows[-1] and used + len(whole) < _WIDTH:
            rows[-1] += f", {whole}"
        elif len(inside) + len(whole) < _WIDTH:
            rows.append(inside + whole)
        else:
            rows.append(inside + part + example(one, indent + 2, 0))
    return f"{opening}\n" + ",\n".join(rows) + f"\n{' ' * indent}{closing}"


_MORE = "…"


def _first(values: list[Any]) -> list[Any]:
    """Return the entries of an array that a block shows."""
    if len(values) > _ENTRIES and any(isinstance(one, dict) for one in values):
        return [*values[:_ENTRIES], _MORE]
    return values


def _flat(value: Any) -> str:
    match value:
        case dict():
            inner = ", ".join(f"{json.dumps(key)}: {_flat(one)}" for key, one in value.items())
            return f"{{{inner}}}"
        case list():
            return f"[{', '.join(one if one is _MORE else _flat(one) for one in _first(value))}]"
        case str() if len(value) > _LONGEST:
            return json.dumps(value[:_LONGEST].rpartition("\n")[0] + "\n…", ensure_ascii=False)
        case _:
            return json.dumps(value, ensure_ascii=False)
