"""What is handed over, what is kept back, and the time line of the page: frozen records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a line that is to go: from `start` to before `end`; `kind` is one word that says
    what it was.
    """

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What the files hold in which secrets are kept; `problems` says which could not be read.

    `tokens` hold one secret each, in `texts` names promise them, `passwords` is K3s's list of them,
    `encryption` its document of keys for Secrets.
    """

    tokens: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    passwords: str = ""
    encryption: str = ""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Names:
    """What identifies the user and the host; an empty text or tuple means not known.

    `host` may have a domain, `aliases` are other names of the host, `domains` are those of its
    network, `homes` other paths of the home directory, `identifiers` such as the machine id.
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
    """One line of the journal; `time` is in UTC, `level` one of `journal.lines.LEVELS`, `source`
    who wrote it (`k3s[4711]`).
    """

    time: datetime | None
    level: str
    source: str
    text: str


@dataclass(frozen=True, slots=True)
class Begun:
    """One start of the unit as its journal tells it, oldest line first; `cut` when older lines had
    no room.
    """

    invocation: str
    lines: tuple[Line, ...]
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """One file of the archive: its text is redacted, `problem` says what could not be read, empty
    where all could.
    """

    name: str
    what: str
    text: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Missing:
    """A file that the archive would have, and why it has none."""

    name: str
    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A phase on the time line, in percent of its length; `width` is None if it was not observed.

    `after` is when the phase was reached, `note` where that was seen, `end` whether the start died
    there.
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
    """The phases of a start from the first to the last, ticks from left to right, and the percent
    between two ticks.
    """

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    step: float
