"""Where a setting of K3s comes from.

Small records here and in `config_file` are named tuples: to load one takes half of the time of a
dataclass, and `status` and `ports` load them all.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import NamedTuple


class Source(Enum):
    """Where a value comes from, from the strongest to the weakest; PROCESS is what a running K3s
    itself shows.
    """

    PROCESS = "running K3s"
    COMMAND_LINE = "command line"
    CONFIG_FILE = "configuration file"
    ENVIRONMENT = "environment"
    DEFAULT = "default"


class Origin(NamedTuple):
    """Where a value comes from: the file, as far as it is known, its line, or the variable and what
    sets it.
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
    """The value of an environment variable as K3s finds it; `place` and `path` say what sets it."""

    text: str
    place: str = ""
    path: Path | None = None
