"""The entries of the journal, and the cause of a failed start: frozen records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k3s_rootless.finding import Remedy


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; an absent field is None, and an absent message is empty.

    `time` is in UTC, `priority` is that of syslog (0 to 7). `unit` and `invocation` name the unit,
    and the start of it, that the entry is about, also if the user manager wrote the entry.
    `message` is as written: it can contain escape sequences.
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
    """Selection of lines without an invocation.

    `identifier` is the name of the lines in systemd (SyslogIdentifier=). `since` and `until` limit
    when the lines reached the journal.
    """

    identifier: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Query:
    """Selection of entries about the unit of this user; each field that is set narrows it.

    - `invocation` is one start (32 hex digits).
    - `lines` is the number of last entries.
    - `since` is a time that journalctl understands.
    - `boot` selects the running boot only.
    - `follow` also selects new entries.
    - `grep` is a PCRE.
    - `after` is a cursor.
    - `whole` selects all existing entries before those that are followed.
    - `ids` are message ids, of which an entry must have one (32 hex digits, systemd's message
      catalogue).

    `unowned` adds lines of K3s that carry no invocation. journald takes unit and invocation from
    the control group of the process, which no longer exists if the process ends at once (systemd
    252: 14 of 40 such lines).
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
    """Why a start failed: the first line with the cause, or systemd's report on how it ended.

    - `id` names the entry of the catalogue that matches the line. If none matches, it is `unknown`:
      `check` is empty, there is no remedy, and the title is the message of the line.
    - `check` is the id, or a group of ids, of the checks of `check` on the same subject.
    - `line` is printable, and empty if no line names the cause.
    - `fatal` is false for a problem that K3s survives, such as a forward that it cannot make.
    - `seen` is what the host shows about the cause now, in sentences.
    - `earlier` marks the failure of a start before the present one.
    - `frames` are the first frames of the goroutine that panicked, the innermost first.
    - `waits` is the key of the phase that K3s never reaches, if K3s does not exit but retries
      without end; otherwise empty.
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
class StartLog:
    """The result of reading the lines of one start.

    - `cause` is the first real cause; None if no line names one.
    - `others` are other problems before the cause, each once, in order.
    - `notes` are lines that also occur in successful starts.
    - `lines` is the number of lines read, up to the fatal one.
    - `began` is the time of the first line (UTC).
    - `ended` is true if systemd reported how the start ended.
    - `stopped` is true if a stop of this start was requested before a line named a fatal cause.
    - `file` is the file of K3s that the lines were read from; empty for the journal.
    - `recovered` is whether the API server of the next start was ready; None if the lines hold no
      later start.
    """

    cause: Cause | None
    others: tuple[Cause, ...] = ()
    notes: tuple[Cause, ...] = ()
    invocation: str | None = None
    lines: int = 0
    began: datetime | None = None
    ended: bool = False
    stopped: bool = False
    recovered: bool | None = None
    file: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A file or directory that K3s writes to.

    `uid` is the uid of its owner. `writable` is whether the user can write to it.
    """

    path: str
    uid: int
    writable: bool


@dataclass(frozen=True, slots=True)
class Full:
    """A file system without free space or inodes, in bytes; `inodes` is None without a limit.

    `in_memory` is true for the user's runtime directory. `largest` are its largest entries, with
    their sizes.
    """

    point: str
    type: str
    free: int
    size: int
    inodes: int | None
    in_memory: bool = False
    largest: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limit:
    """A resource limit of the unit that is in force; `value` is in bytes or a count.

    `name` and `value` are those of systemd. `file` is the unit file or drop-in that sets the limit,
    empty if none does. `writable` is whether the user can write that file, `ours` whether
    `k3s-rootless config` wrote it.
    """

    name: str
    value: int
    file: str = ""
    writable: bool = False
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """The state of the unit, and how its last process ended, as systemd reports them.

    - `code` is the si_code of wait(2) (1 exited, 2 killed, 3 dumped core).
    - `status` is the exit status or signal.
    - `delegate` is whether the unit requests delegation; None if systemd does not report it.
    - `period` is the time between two restarts, in seconds.
    - `changed` is since when the unit is in this state (UTC); None if systemd does not report it.
    - `memory_peak` is the most memory that this start used, in bytes; None if systemd does not
      report it.
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
        """True if systemd waits for the processes of the unit to end."""
        return self.active_state == "deactivating"


@dataclass(frozen=True, slots=True)
class Loop:
    """A restart loop: systemd restarts the unit repeatedly.

    `count` is the number of restarts, `period` the usual seconds between two of them, and `last`
    the time of the last one (UTC).
    """

    count: int
    period: float | None
    last: datetime
