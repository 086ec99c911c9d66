"""Tests that the page of JSON documents has the keys of the documents, and no others.

Its tables are compared with recorded documents (tests/recorded.py) and with the JSON Schemas.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import recorded

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/reference/json.md"
SCHEMAS = ROOT / "docs/reference/schemas"

EVERYWHERE = {"schema", "errors"}
"""Keys that the tables leave out."""
RECORDINGS = sorted(
    file.name for file in recorded.OUTPUTS.iterdir() if file.suffix in {".json", ".jsonl"}
)
_OF_ANOTHER_SECTION = {
    "admin-script": "check",
    "config-set": "config-set-and-config-unset",
    "env-set": "env-set-and-env-unset",
    "ports-stopped": "ports",
    "up-dry-run": "up",
    "up-events": "events-of-a-start",
    "up-failed": "up",
}
"""The sections that describe recordings of another name."""
_WORDS = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}
_SECTION = re.compile(r"^## (?P<title>[^\n]+)\n(?P<text>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(r"^\| key(?P<head>[^|]*)\|.*\n\|[-|]+\n(?P<rows>(?:\|.*\n)+)", re.MULTILINE)
_CELL = re.compile(r"(?<!\\)\|")
_OBJECT_OF = re.compile(
    r"those of one object in `(?P<key>\w+)` of \[[^]]+\]\(#(?P<section>[^)]+)\)"
)
_THOSE_OF = re.compile(
    r"^(?P<keys>`.*) are those of \[[^]]+\]\(#(?P<section>[^)]+)\)", re.MULTILINE
)
_REFERENCES = 2
"""How many references a reader follows from one row."""


@dataclass(frozen=True)
class Row:
    """What the page has about a key: its types, and its meaning."""

    types: str
    meaning: str

    def refers(self) -> bool:
        """Return whether the keys of this object are described at another place."""
        return bool(re.search(r"\bas (in|for|above)\b|keys as|, as ", self.meaning))

    def sections(self) -> list[str]:
        """Return the sections to which the meaning links."""
        return re.findall(r"\]\(#([a-z-]+)\)", self.meaning)


Rows = dict[str, Row]
"""The rows of a section, by the path of their key, such as `checks[].remedy.text`."""


def sections() -> dict[str, str]:
    """Return the text of each section of the page, by its anchor."""
    found = _SECTION.finditer(PAGE.read_text("utf-8"))
    return {match["title"].lower().replace(" ", "-"): match["text"] for match in found}


def rows(section: str, *, of_errors: bool = False) -> Rows:
    """Return the rows of a section, or those of the tables that describe an error."""
    text = sections()[section]
    found: Rows = {}
    for table in _TABLE.finditer(text):
        if ("error" in table["head"]) != of_errors:
            continue
        for line in table["rows"].splitlines():
            keys, types, meaning = (cell.strip() for cell in _CELL.split(line)[1:4])
            for key in re.findall(r"`([^`]+)`", keys):
                found[key] = Row(types, meaning)
    return found or ({} if of_errors else _rows_of_another(text))


def _rows_of_another(text: str) -> Rows:
    if match := _OBJECT_OF.search(text):
        start = f"{match['key']}[]."
        return {
            key.removeprefix(start): row
            for key, row in rows(match["section"]).items()
            if key.startswith(start)
        }
    if match := _THOSE_OF.search(text):
        names = re.findall(r"`(\w+)`", match["keys"])
        found = rows(match["section"])
        return {key: row for key, row in found.items() if re.split(r"[.\[]", key)[0] in names}
    return {}


def paths(value: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path of each key below a value, and what it has there."""
    match value:
        case dict():
            for key, inner in value.items():
                path = f"{above}.{key}" if above else key
                yield path, inner
                yield from paths(inner, path)
        case list():
            for inner in value:
                yield from paths(inner, f"{above}[]")
        case _:
            pass


def schema_paths(schema: Any, above: str = "") -> Iterator[str]:
    """Yield the path of each key that a JSON Schema has."""

    def walk(node: Any, above: str) -> Iterator[str]:
        if "$ref" in node:
            target = schema
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            yield from walk(target, above)
        for key, inner in node.get("properties", {}).items():
            path = f"{above}.{key}" if above else key
            yield path
            yield from walk(inner, path)
        if isinstance(node.get("items"), dict):
            yield from walk(node["items"], f"{above}[]")
        for word in ("anyOf", "oneOf", "allOf"):
            for inner in node.get(word, ()):
                yield from walk(inner, above)

    yield from walk(schema, above)


def is_described(path: str, known: Rows, depth: int = 0) -> bool:
    """Return whether the page describes a path: in its own row, or in that of an object above.

    The row of an object can name its keys, or refer to the keys of another object.
    """
    if path.removesuffix("[]") in known:
        return True
    above, _, below = path.rpartition(".")
    while above and depth < _REFERENCES:
        row = known.get(above) or known.get(above.removesuffix("[]"))
        if row and re.search(rf"`{re.escape(below)}`", row.meaning):
            return True
        if row and row.refers():
            # The first key can be named here, and only what is below it described elsewhere.
            first, _, rest = below.partition(".")
            wanted = {below, rest if f"`{first}`" in row.meaning and rest else below}
            return any(
                is_described(f"{start}.{one}" if start else one, other, depth + 1)
                for other in (known, *map(rows, row.sections()))
                for start in objects(other)
                for one in wanted
            )
        above, _, last = above.rpartition(".")
        below = f"{last}.{below}"
    return False


def objects(known: Rows) -> set[str]:
    """Return the paths that can have keys below them."""
    return {""} | {start for key in known for start in (key, f"{key}[]", key.rpartition(".")[0])}


def documents(name: str) -> list[Any]:
    """Return the documents of a recording, without the keys that the tables leave out."""
    text = recorded.read(name)
    found = [json.loads(one) for one in (text.splitlines() if name.endswith("l") else [text])]
    return [{key: one[key] for key in one if key not in EVERYWHERE} for one in found]


def section_of(name: str) -> str:
    """Return the section that describes a recording."""
    stem = name.partition(".")[0]
    return _OF_ANOTHER_SECTION.get(stem, stem)


def test_each_section_with_keys_has_a_recording() -> None:
    with_keys = {section for section in sections() if rows(section)}

    assert with_keys - {"rules-for-readers"} == {section_of(name) for name in RECORDINGS}


@pytest.mark.parametrize("name", RECORDINGS)
def test_each_key_of_a_document_is_on_the_page(name: str) -> None:
    section = section_of(name)
    known = rows(section)
    if section == "events-of-a-start":
        known |= {"schema": Row("", "")}

    assert set() == {
        path
        for document in documents(name)
        for path, _ in paths(document)
        if not is_described(path, known)
    }


@pytest.mark.parametrize("name", RECORDINGS)
def test_each_key_of_a_document_has_a_type_that_the_page_gives(name: str) -> None:
    known = rows(section_of(name))

    assert [] == [
        (path, value, known[path].types)
        for document in documents(name)
        for path, value in paths(document)
        if path in known and not has_type(value, known[path].types)
    ]


def has_type(value: Any, types: str) -> bool:
    """Return whether a value has one of the types of a cell, such as `string or null`."""
    match value:
        case list():
            strings = all(isinstance(one, str) for one in value)
            return not types or ("array" in types and (strings or "array of strings" not in types))
        case dict():
            return not types or "object" in types
        case _:
            # Events have the names of their events in this column, and few cells are empty.
            given = re.findall(r"\b(?:string|boolean|number|null)\b", types)
            return not given or _WORDS[type(value)] in given


@pytest.mark.parametrize("name", RECORDINGS)
def test_each_key_of_an_error_is_on_the_page(name: str) -> None:
    known = _rows_of_errors() | rows(section_of(name), of_errors=True)
    text = recorded.read(name)
    found = [json.loads(one) for one in (text.splitlines() if name.endswith("l") else [text])]
    errors = [error for document in found for error in document.get("errors", ())]

    assert set() == {key for error in errors for key in error} - set(known)


def _rows_of_errors() -> Rows:
    """Return the rows of the first table of the page, which stands before all sections."""
    table = _TABLE.search(PAGE.read_text("utf-8"))
    assert table
    assert "error" in table["head"]
    return {key: Row("", "") for key in re.findall(r"^\| `(\w+)`", table["rows"], re.MULTILINE)}


@pytest.mark.parametrize("file", sorted(SCHEMAS.glob("*.json")), ids=lambda file: file.name)
def test_the_page_has_the_keys_of_each_schema(file: Path) -> None:
    section = file.name.rpartition("-v")[0]
    known = rows(section)
    have = {
        path
        for path in schema_paths(json.loads(file.read_text("utf-8")))
        if re.split(r"[.\[]", path)[0] not in EVERYWHERE
    }

    assert set() == {path for path in have if not is_described(path, known)}
    assert set() == {key for key in known if not key.endswith("[]")} - have - of_the_script(known)


def of_the_script(known: Rows) -> set[str]:
    """Return the keys of `check --admin-script`, which has no schema."""
    return {"script", "undo", "covers"} & set(known)


def test_each_key_of_the_page_is_in_a_document() -> None:
    """Keys that only some documents have are described as such."""
    have = {section_of(name): set[str]() for name in RECORDINGS}
    for name in RECORDINGS:
        have[section_of(name)] |= {path for one in documents(name) for path, _ in paths(one)}
    schemas = {file.name.rpartition("-v")[0] for file in SCHEMAS.glob("*.json")}
    missing = {
        (section, key)
        for section, found in have.items()
        if section not in schemas and section != "events-of-a-start"
        for key, row in rows(section).items()
        if key not in found and has_its_object(key, found) and not is_optional(row)
    }

    assert set() == missing


def has_its_object(key: str, found: set[str]) -> bool:
    """Return whether a document has the object that a key belongs to, and not null or nothing."""
    above, _, _ = key.rpartition(".")
    return not above or any(path.startswith(f"{above}.") for path in found)


def is_optional(row: Row) -> bool:
    """Return whether only some documents have a key."""
    return bool(re.match(r"(present if|only if|with `--|if )", row.meaning))
