"""What the journal says, entry by entry, and what a start died of: frozen records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k3s_rootless.finding import Remedy


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; what it does not hold is None, and a message that is absent is empty.

    `time` is in UTC, `priority` that of syslog (0 to 7). `invocation` names the start of the unit that the entry is about, also
    where the user manager wrote it. `message` is as written: it may hold escape sequences.
    """

    time: datetime | None
    message: str
    priority: int | None = None
    pid: int | None = None
    identifier: str | None = None
    invocation: str | None = None
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """Which entries are asked for: those about the unit of this user, narrowed by what is not None.

    `invocation` is one start (32 hex digits), `lines` the number of last entries, `since` what journalctl understands, `boot`
    the running boot only, `grep` a PCRE, `after` a cursor.
    """

    uid: int
    invocation: str | None = None
    lines: int | None = None
    since: str | None = None
    boot: bool = False
    follow: bool = False
    grep: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a start failed: the first line that says so.

    `id` names the signature that knew the line and is `unknown` where none did; then `check` is empty, there is no remedy, and
    the title is the line's own message. `check` is the id of the question that `check` answers about the same thing, `line` is
    printable. `fatal` is false for what K3s survives, such as a forward that it cannot make.
    """

    id: str
    check: str
    title: str
    line: str
    time: datetime | None
    remedy: Remedy | None
    fatal: bool = True
