"""What is handed over, what is kept back, and what a picture is drawn of: frozen records."""

from __future__ import annotations

from dataclasses import dataclass, field
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
    """A phase on the time line, in the units of its picture; `width` is None where the phase was
    not observed.
    """

    y: int
    label: str
    x: float
    width: float | None
    after: str
    note: str
    end: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on the axis of the time line."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class TimeLine:
    """The picture of a start: `width` and `height` of its view box, bars from top to bottom, ticks
    from left to right.
    """

    width: int
    height: int
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...] = ()


@dataclass(frozen=True, slots=True)
class Arrow:
    """A forward in the picture: what stands in each of its three boxes, its verdict, and the word
    that is written for that.
    """

    y: int
    outside: str
    inside: str
    target: str
    verdict: str
    mark: str = ""
    offset: str = ""


@dataclass(frozen=True, slots=True)
class ForwardPicture:
    """The picture of the forwards; `left_out` counts those that it has no room for."""

    height: int
    arrows: tuple[Arrow, ...] = field(default=())
    left_out: int = 0
