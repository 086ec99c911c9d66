"""YAML as K3s reads its configuration files: each key, its values as K3s prints them, and their
lines.

K3s reads them with gopkg.in/yaml.v2 and prints each value with Go's fmt (K3s pkg/configfilearg,
v1.21 to v1.36). Both differ from PyYAML: `0644` is 420 and `y` is true, but `12:30` is a text.
Tried against K3s's own parser, see tests/data/config-files.json.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from k3s_rootless.observation import Known, Observed, Unknown

if TYPE_CHECKING:
    from k3s_rootless.yaml_file import Node

_DEEPEST = 100
_LONGEST_REASON = 300
_TRUE = frozenset(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"))
_FALSE = frozenset(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"))
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_NOT_FINITE = {
    **dict.fromkeys((".nan", ".NaN", ".NAN"), "NaN"),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), "+Inf"),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), "-Inf"),
}
_INTEGER = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<two>[01]+)|"
    r"0[oO]?(?P<octal>[0-7]+)|(?P<ten>0|[1-9]\d*))",
    re.ASCII,
)
_FLOAT = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Item:
    """One value as K3s prints it into a flag; `null` is a key without a value, which is no element
    of a list.
    """

    text: str
    line: int
    null: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One key.

    `items` are the elements of a list, or the one value; `appends` is whether `+` follows the key.
    """

    key: str
    items: tuple[Item, ...]
    line: int
    appends: bool = False
    listed: bool = False


def parse(text: str) -> Observed[tuple[Entry, ...]]:
    """Read one file; Unknown with the place of the error where K3s does not start with it."""
    # Here, since only few hosts have such a file, and PyYAML takes 20 ms to load.
    from k3s_rootless import yaml_file

    try:
        return Known(tuple(_entries(yaml_file.compose(text, _DEEPEST), text)))
    except yaml_file.NotYaml as error:
        place = "" if error.line is None else f"line {error.line}: "
        return Unknown(place + (error.problem or _one_line(str(error))))
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
            continue  # yaml.v2 drops what it merges into a MapSlice
        name = _item(key, text).text
        listed = value.text is None and not value.mapping
        found = (_item(one, text) for one in (value.children if listed else [value]))
        items = tuple(replace(one, null=False) for one in found) if listed else tuple(found)
        yield Entry(name.removesuffix("+"), items, key.line, name.endswith("+"), listed)


def _item(node: Node, text: str) -> Item:
    if node.text is not None:
        resolved = _resolved(node)
        return Item((resolved or "").strip(), node.line, null=resolved is None)
    if not node.mapping and node.children and node.children[0].text is not None:
        return _item(node.children[0], text)
    # No flag takes what Go prints for it: the text of the file says more.
    return Item(
        " ".join(text[node.start : node.end].split())[:200] if node.children else "", node.line
    )


def _resolved(node: Node) -> str | None:
    value = node.text or ""
    if node.tag == "tag:yaml.org,2002:binary":
        import base64

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


_MOST_DIGITS = 66
_BASES = {"hex": 16, "two": 2, "octal": 8, "ten": 10}


def _number(value: str) -> str:
    """Return a number as Go prints it, and any other text as it is."""
    if not value[0].isdigit() and value[0] not in "+-.":
        return value
    plain = value.replace("_", "") if value[0] != "." else value
    if (whole := integer(plain)) is not None:
        return str(whole)
    number = float(plain) if _FLOAT.fullmatch(plain) else math.inf
    return value if math.isinf(number) else _printed(number)


def integer(text: str) -> int | None:
    """Read an integer as Go's strconv does with base 0; None for what is none, or has more than 64
    bits.
    """
    found = _INTEGER.fullmatch(text.replace("_", ""))
    if found is None:
        return None
    base, digits = next((base, found[name]) for name, base in _BASES.items() if found[name])
    if len(digits) > _MOST_DIGITS:
        return None
    number = int(digits, base) * (-1 if found["sign"] == "-" else 1)
    return number if -(2**63) <= number < (2**63 if found["sign"] else 2**64) else None


def _printed(number: float) -> str:
    """Print a number as Go's %v does: the shortest digits, with an exponent below -4 and from 6
    on.
    """
    from decimal import Decimal

    exact = Decimal(repr(number))
    power = exact.adjusted() if exact else 0
    if -4 <= power < 6:
        whole = format(exact, "f")
        return whole.rstrip("0").rstrip(".") if "." in whole else whole
    sign, figures, _ = exact.normalize().as_tuple()
    digits = "".join(map(str, figures))
    mantissa = digits[0] + (f".{digits[1:]}" if digits[1:] else "")
    exponent = f"{'-' if power < 0 else '+'}{abs(power):02}"
    return f"{'-' if sign else ''}{mantissa}e{exponent}"
