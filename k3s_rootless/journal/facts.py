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

    `time` is in UTC, `priority` that of syslog (0 to 7). `unit` and `invocation` name the unit, and
    the start of it, that the entry is about, also where the user manager wrote it. `message` is as
    written: it may hold escape sequences.
    """

    time: datetime | None
    message: str
    priority: int | None = None
    pid: int | None = None
    identifier: str | None = None
    invocation: str | None = None
    cursor: str | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Unowned:
    """Lines without an invocation: the name that systemd gives them (SyslogIdentifier=), and
    when they reached the journal.
    """

    identifier: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Query:
    """Which entries are asked for: those about the unit of this user, narrowed by what is not None.

    `invocation` is one start (32 hex digits), `lines` the number of last entries, `since` what
    journalctl understands, `boot` the running boot only, `grep` a PCRE, `after` a cursor, `whole`
    all that there is already before what is followed; of `ids`, entries have one (32 hex digits,
    systemd's message catalogue).

    `unowned` adds lines of K3s that carry no invocation. journald takes unit and invocation from
    the control group of the process, which is gone when a process ends at once (systemd 252: 14 of
    40 such lines).
    """

    uid: int
    invocation: str | None = None
    lines: int | None = None
    since: str | None = None
    boot: bool = False
    follow: bool = False
    grep: str | None = None
    after: str | None = None
    whole: bool = False
    ids: tuple[str, ...] = ()
    unowned: Unowned | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a start failed: the first line that says so, or what systemd says of its end.

    `id` names the entry of the catalogue that knew the line and is `unknown` where none did; then
    `check` is empty, there is no remedy, and the title is the line's own message. `check` is the
    id, or a group of ids, of what `check` asks about the same thing; `line` is printable, and empty
    where no line said it. `fatal` is false for what K3s survives, such as a forward that it cannot
    make. `seen` is what the host shows of it now, in sentences. `earlier` marks the failure of a
    start before the present one. `frames` are the first frames of the goroutine that panicked, the
    innermost first. `waits` is the key of the phase that K3s never reaches, if it does not exit but
    tries again without end; otherwise empty.
    """

    id: str
    check: str
    title: str
    line: str
    time: datetime | None
    remedy: Remedy | None
    fatal: bool = True
    why: str = ""
    seen: tuple[str, ...] = ()
    earlier: bool = False
    frames: tuple[str, ...] = ()
    waits: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    """What the lines of one start tell.

    `cause` is the first real cause, None where no line names one; `others` are what else was wrong
    before it, each once, in order. `notes` are lines that starts which succeed have as well.
    `lines` is how many were read, up to the fatal one, and `began` when the first of them came
    (UTC). `ended` tells that systemd said how the start ended. `recovered` tells whether the API
    server of the start after this one came up, None where the lines hold no later start.
    """

    cause: Cause | None
    others: tuple[Cause, ...] = ()
    notes: tuple[Cause, ...] = ()
    invocation: str | None = None
    lines: int = 0
    began: datetime | None = None
    ended: bool = False
    recovered: bool | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A file or directory that K3s writes to: the uid of its owner, and whether the user can
    write to it.
    """

    path: str
    uid: int
    writable: bool


@dataclass(frozen=True, slots=True)
class Limit:
    """A resource limit of the unit that is in force: `name` and `value` as systemd has them, a
    value of bytes or a count.

    `file` is the unit file or drop-in that sets it, empty where none does. `writable` is whether
    the user can write that file, `ours` whether `k3s-rootless config` wrote it.
    """

    name: str
    value: int
    file: str = ""
    writable: bool = False
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """How the unit stands, and how its last process ended, as systemd tells it.

    `code` is the si_code of wait(2) (1 exited, 2 killed, 3 dumped core), `status` the exit status
    or signal. `delegate` is whether the unit asks for delegation, None where systemd does not say.
    `period` is the time between two restarts, in seconds. `changed` is since when the unit is in
    this state (UTC), `memory_peak` the most memory that this start used, in bytes; None where
    systemd does not say.
    """

    load_state: str
    active_state: str
    sub_state: str
    result: str = "success"
    load_error: str = ""
    code: int = 0
    status: int = 0
    restarts: int = 0
    period: float | None = None
    needs_reload: bool = False
    delegate: bool | None = None
    drop_ins: tuple[str, ...] = ()
    changed: datetime | None = None
    memory_peak: int | None = None
    limits: tuple[Limit, ...] = ()

    @property
    def stopping(self) -> bool:
        """Whether systemd waits for the processes of the unit to end."""
        return self.active_state == "deactivating"


@dataclass(frozen=True, slots=True)
class Loop:
    """A unit that systemd restarts again and again: how often it did, the usual seconds
    between, and when it last did (UTC).
    """

    count: int
    period: float | None
    last: datetime
