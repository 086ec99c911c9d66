"""The configuration files of K3s: where they are, and the flags that they result in.

K3s inserts these flags directly after the word `server` of its command line (K3s pkg/configfilearg,
v1.21 to v1.36). Therefore a flag of the command line overrides them, and lists contain the values
of both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from k3s_rootless.observation import Observed, Unknown

if TYPE_CHECKING:
    from k3s_rootless.k3s.config_yaml import Entry, Item

DEFAULT = "/etc/rancher/k3s/config.yaml"
VARIABLE = "K3S_CONFIG_FILE"
SUFFIXES = (".yaml", ".yml")
DIRECTORY_SUFFIX = ".d"
_FLAGS = ("--config", "-c")


class ConfigFile(NamedTuple):
    """One configuration file, with its keys in order or the reason why they are unknown.

    `missing` explains why K3s finds nothing at this location: neither a file nor drop-ins.
    """

    path: Path
    entries: Observed[tuple[Entry, ...]]
    missing: str = ""


class Given(NamedTuple):
    """One flag that the files result in, with its name and value.

    `path` and `line` are the position of the value.
    """

    name: str
    text: str
    path: Path
    line: int


def location(argv: Iterable[str], variable: str) -> str:
    """Return the configuration file that K3s reads; empty for none.

    `variable` is the value of K3S_CONFIG_FILE, which overrides `--config`. If `--config` is given
    several times, the first one counts. `-config` is not accepted.
    """
    if variable:
        return variable
    words = list(argv)
    for index, word in enumerate(words):
        if word in _FLAGS:
            return words[index + 1] if index + 1 < len(words) else ""
        name, equals, value = word.partition("=")
        if equals and name in _FLAGS:
            return value
    return DEFAULT


def is_url(text: str) -> bool:
    """Return whether K3s interprets this location as a URL."""
    return text.lower().startswith(("http:", "https:"))


def merged(files: Iterable[ConfigFile]) -> Iterator[Given]:
    """Yield the flags that the files result in, in K3s's order.

    If two files have the same key, the later file counts.
    """
    found: dict[str, tuple[tuple[Item, Path], ...]] = {}
    for file in files:
        if isinstance(file.entries, Unknown):
            continue
        for entry in file.entries.value:
            items = tuple((item, file.path) for item in entry.items)
            before = found.get(entry.key)
            if before is not None and entry.appends:
                items = tuple(one for one in (*before, *items) if not one[0].null)
            found[entry.key] = items
    for key, items in found.items():
        for item, path in items:
            yield Given(key, item.text, path, item.line)
