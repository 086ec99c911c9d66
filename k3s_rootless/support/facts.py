"""The records of the support archive: its files, redacted spans, and the time line of the page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a line to be redacted, from `start` to before `end`; `kind` names the secret."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class SecretFiles:
    """The content of the files that hold secrets.

    Each of the `tokens` contains one secret. In the `texts`, the names of values identify secrets.
    `passwords` is K3s's list of passwords, `encryption` is its document of encryption keys for
    Secrets. `problems` are the files that could not be read.
    """

    tokens: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    passwords: str = ""
    encryption: str = ""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Names:
    """The names that identify the user and the host; an empty value means not known.

    `host` may have a domain, `aliases` are other names of the host, `domains` are those of its
    network, `homes` are other paths of the home directory, `identifiers` are values such as the
    machine id.
    """

    user: str = ""
    full_name: str = ""
    host: str = ""
    home: str = ""
    addresses: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    homes: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the journal.

    `time` is in UTC, `level` is one of `journal.lines.LEVELS`, `source` is the program that wrote
    the line (`k3s[4711]`).
    """

    time: datetime | None
    level: str
    source: str
    text: str


@dataclass(frozen=True, slots=True)
class LoggedStart:
    """One start of the unit in the journal, the oldest line first.

    `cut` is True if older lines were left out because of the size limit.
    """

    invocation: str
    lines: tuple[Line, ...]
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """One file of the archive, with redacted text.

    `problem` is what could not be read; empty if everything was read.
    """

    name: str
    what: str
    text: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Missing:
    """A file that the archive does not contain, and the reason."""

    name: str
    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A phase on the time line, in percent of its length; `width` is None if it was not observed.

    `after` is when the phase was reached, `note` is the source of that time, `end` is True if the
    start failed there.
    """

    label: str
    start: float = 0.0
    width: float | None = None
    after: str = ""
    note: str = ""
    end: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on the axis of the time line, in percent of its length."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class TimeLine:
    """The bars of the phases in order, and the ticks of the axis from left to right.

    `step` is the distance between two ticks, in percent of the length.
    """

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    step: float
