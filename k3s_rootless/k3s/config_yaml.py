"""YAML as K3s reads its configuration files: keys, values as K3s prints them, and lines.

K3s reads the files with gopkg.in/yaml.v2 and prints each value with Go's fmt (K3s
pkg/configfilearg, v1.21 to v1.36). Both differ from PyYAML: `0644` is 420 and `y` is true, but
`12:30` is text. This was tested against K3s's own parser, see tests/data/config-files.json. Import
this module only where a file is read: few hosts have one, and PyYAML takes 20 ms to load.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from k3s_rootless import yaml_file
from k3s_rootless.k3s import integers
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.yaml_file import Node

_DEEPEST = 100
_LONGEST_REASON = 300
_LONGEST_COLLECTION = 200
_TRUE = frozenset(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"))
_FALSE = frozenset(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"))
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_NOT_FINITE = {
    **dict.fromkeys((".nan", ".NaN", ".NAN"), "NaN"),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), "+Inf"),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), "-Inf"),
}
_FLOAT = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Item:
    """One value as K3s prints it into a flag.

    `null` marks a key without a value, which is not an element of a list.
    """

    text: str
    line: int
    null: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One key.

    `items` are the elements of a list, or the single value; `appends` is True if `+` follows the
    key.
    """

    key: str
    items: tuple[Item, ...]
    line: int
    appends: bool = False
    listed: bool = False


def parse(text: str) -> Observed[tuple[Entry, ...]]:
    """Read one file; return Unknown with the position of the error if K3s cannot start with it."""
    try:
        return Known(tuple(_entries(yaml_file.compose(text, _DEEPEST), text)))
    except yaml_file.NotYaml as error:
        reason = error.problem or _one_line(str(error))
        return Unknown(reason if error.line is None else f"line {error.line}: {reason}")
    except ValueError as error:
        return Unknown(_one_line(str(error)))


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_REASON] or "it is not YAML"


def _entries(root: Node | None, text: str) -> Iterator[Entry]:
    if root is None or (root.text is not None and _resolved(root) is None):
        return
    if not root.mapping:
        raise ValueError(f"line {root.line}: it is not a mapping of options to values")
    for key, value in zip(root.children[::2], root.children[1::2], strict=True):
        if key.plain and key.text == "<<":
            continue  # yaml.v2 drops merged keys of a MapSlice
        name = _item(key, text).text
        items: tuple[Item, ...] = (_item(value, text),)
        listed = value.text is None and not value.mapping
        if listed:
            items = tuple(replace(_item(one, text), null=False) for one in value.children)
        yield Entry(name.removesuffix("+"), items, key.line, name.endswith("+"), listed)


def _item(node: Node, text: str) -> Item:
    if node.text is not None:
        resolved = _resolved(node)
        return Item((resolved or "").strip(), node.line, null=resolved is None)
    if not node.mapping and node.children and node.children[0].text is not None:
        return _item(node.children[0], text)
    if not node.children:
        return Item("", node.line)
    # No flag accepts what Go prints for a collection, so show the text of the file.
    written = " ".join(text[node.start : node.end].split())
    return Item(written[:_LONGEST_COLLECTION], node.line)


def _resolved(node: Node) -> str | None:
    value = node.text or ""
    if node.tag == "tag:yaml.org,2002:binary":
        return base64.b64decode("".join(value.split()), validate=True).decode("utf-8", "replace")
    if not node.plain and node.tag not in _RESOLVED_TAGS:
        return value
    if value in _NULL:
        return None
    if value in _TRUE:
        return "true"
    if value in _FALSE:
        return "false"
    return _NOT_FINITE.get(value) or _number(value)


_RESOLVED_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "null"))


def _number(value: str) -> str:
    """Return a number as Go prints it, and any other text unchanged."""
    if not value[0].isdigit() and value[0] not in "+-.":
        return value
    plain = value
    if not value.startswith("."):
        plain = value.replace("_", "")
    whole = integers.parse(plain)
    if whole is not None:
        return str(whole)
    if not _FLOAT.fullmatch(plain):
        return value
    number = float(plain)
    return value if math.isinf(number) else _printed(number)


def _printed(number: float) -> str:
    """Format a number as Go's %v does.

    It has the shortest digits, and an exponent below -4 and from 6 on.
    """
    exact = Decimal(repr(number))
    power = exact.adjusted() if exact else 0
    if -4 <= power < 6:
        whole, _, part = format(exact, "f").partition(".")
        return f"{whole}.{part}".rstrip("0").rstrip(".") if part else whole
    sign, figures, _ = exact.normalize().as_tuple()
    mantissa = ".".join(filter(None, (str(figures[0]), "".join(map(str, figures[1:])))))
    return f"{'-' if sign else ''}{mantissa}e{power:+03}"
