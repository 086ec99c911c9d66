"""The origin of a K3s setting.

The small records here and in `config_file` are named tuples: creating such a class takes half of
the time that a dataclass takes, and `status` and `ports` load all of them.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import NamedTuple


class Source(Enum):
    """The kind of origin of a value, from the strongest to the weakest.

    PROCESS is a value that a running K3s itself shows.
    """

    PROCESS = "running K3s"
    COMMAND_LINE = "command line"
    CONFIG_FILE = "configuration file"
    ENVIRONMENT = "environment"
    DEFAULT = "default"


class Origin(NamedTuple):
    """The origin of a value.

    It contains the file, if it is known, with the line; or the variable, and in `place` what sets
    it.
    """

    source: Source
    path: Path | None = None
    line: int = 0
    variable: str = ""
    place: str = ""

    def __str__(self) -> str:
        where = str(self.path or "")
        if self.path and self.line:
            where = f"{self.path}:{self.line}"
        match self.source:
            case Source.CONFIG_FILE if where:
                return where
            case Source.ENVIRONMENT:
                return f"{self.variable} ({' '.join(filter(None, (self.place, where)))})"
            case Source.PROCESS:
                return f"{self.source.value}: {self.place or where}"
            case _:
                return " ".join(filter(None, (self.source.value, where)))


class Value(NamedTuple):
    """One value of a flag; `name` is the flag as it was written, such as `d` for `data-dir`."""

    name: str
    text: str
    origin: Origin


class Variable(NamedTuple):
    """The value of an environment variable of K3s; `place` and `path` show what sets it."""

    text: str
    place: str = ""
    path: Path | None = None
