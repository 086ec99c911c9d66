"""Records of the unit as it should be and as it was observed.

All records are frozen and have no behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from k3s_rootless.observation import Observed
from k3s_rootless.paths import FOREGROUND


@dataclass(frozen=True, slots=True)
class UnitSettings:
    """Values from which the unit is rendered.

    These are the K3s release, the server command, the path of the K3s binary, and the PATH in which
    K3s searches for programs.
    """

    version: str
    server: str
    binary: str
    search: str


@dataclass(frozen=True, slots=True)
class DesiredUnit:
    """The unit as it should be: path, text and K3s release, enabled and running.

    `given` is true if the user supplied the text.
    """

    path: Path
    text: str
    version: str
    given: bool = False


@dataclass(frozen=True, slots=True)
class BackupSettings:
    """Values from which the units of scheduled backups are rendered.

    `program` starts k3s-rootless. `every` is `daily` or `weekly`, and `keep` the number of
    scheduled backups to keep. `parts` are options of `backup create` that add parts. `data_home` is
    XDG_DATA_HOME, empty for its default.
    """

    program: tuple[str, ...]
    every: str
    keep: int
    data_home: str = ""
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TimerState:
    """State of a timer as the user manager reports it.

    `next_run` is None if the timer does not run, and `last_run` if it never started its service.
    Times are in UTC.
    """

    unit: UnitState
    next_run: datetime | None
    last_run: datetime | None


@dataclass(frozen=True, slots=True)
class DesiredDropIn:
    """A drop-in of k3s-rootless as it should be; if `text` is None, it should not exist."""

    path: Path
    text: str | None
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of the unit as it was read.

    `text` is None if the file does not exist, or if `problem` contains the reason why it cannot be
    read. `link` is true if the last part of `path` is a symbolic link; `text` is then the text of
    the file to which the link points, and `target` is the target of the link.
    """

    path: Path
    text: str | None
    written: datetime | None = None
    mode: int = 0
    link: bool = False
    problem: str = ""
    target: str = ""


LIMIT_PROPERTIES = (
    "CPUQuotaPerSecUSec",
    "CPUWeight",
    "MemoryMax",
    "MemoryHigh",
    "TasksMax",
    "LimitNOFILE",
)


@dataclass(frozen=True, slots=True)
class UnitState:
    """State of a unit as the user manager reports it.

    The source is org.freedesktop.systemd1.Unit and .Service. Times are in UTC, and None if systemd
    reports none.

    `environment` holds the assignments of the unit. `environment_files` are path patterns; each has
    a flag that is true if the file is optional. `unset` holds the names and assignments that
    systemd removes last. `argv` is the argument list of ExecStart. `working_directory` is None for
    the home directory of the user. `delegate` is true if the unit requests cgroup controllers, and
    None if systemd does not report it.

    `memory` is in bytes and `cpu` in seconds; each is None if it is not accounted. `memory_limit`
    (in bytes) and `cpu_limit` (in CPUs) are also None if there is no limit. `limits` maps the names
    of limit properties to bytes, microseconds per second, weights or counts, and to None for no
    limit.

    `changed` is the time when the unit entered its current state, `ended` the last time when the
    unit became inactive or failed.
    """

    name: str
    load_state: str
    active_state: str
    sub_state: str
    result: str = "success"
    load_error: str = ""
    fragment: Path | None = None
    drop_ins: tuple[Path, ...] = ()
    file_state: str = ""
    needs_reload: bool = False
    invocation: str = ""
    main_pid: int = 0
    restarts: int = 0
    exit_code: int = 0
    exit_status: int = 0
    argv: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None
    environment_files: tuple[tuple[str, bool], ...] = ()
    unset: tuple[str, ...] = ()
    control_group: str = ""
    delegate: bool | None = None
    started: datetime | None = None
    memory: int | None = None
    cpu: float | None = None
    memory_peak: int | None = None
    memory_limit: int | None = None
    cpu_limit: float | None = None
    changed: datetime | None = None
    ended: datetime | None = None
    working_directory: Path | None = None
    limits: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def installed(self) -> bool:
        """True if there is a unit that can be started."""
        return self.load_state not in {"not-found", "masked"}

    @property
    def in_foreground(self) -> bool:
        """True if this is the transient unit of `run`."""
        return self.name == FOREGROUND

    @property
    def running(self) -> bool:
        """True if the process of the unit runs.

        This does not show that K3s is ready: the unit of K3s has Type=simple.
        """
        return self.active_state in {"active", "reloading"} and self.sub_state.startswith(
            ("running", "reload")
        )

    @property
    def at_rest(self) -> bool:
        """True if no process of the unit is left, and systemd will not start one."""
        return self.active_state in {"inactive", "failed", ""}

    @property
    def failed(self) -> bool:
        """True if the unit failed: its state is failed, or systemd is about to restart it."""
        return self.active_state == "failed" or self.sub_state.startswith("auto-restart")


@dataclass(frozen=True, slots=True)
class Usage:
    """Resource usage of a control group, in bytes, seconds of CPU time, and CPUs.

    A value is None if it is not accounted, or if there is no limit.
    """

    memory: int | None = None
    memory_peak: int | None = None
    memory_limit: int | None = None
    cpu: float | None = None
    cpu_limit: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """State of the unit before a plan is made.

    `text` and `written` are the text of the unit file and the time when it was written; `state` is
    what the user manager reports. `reexecute` is true if the user manager must be re-executed.
    `leftovers` are files in the state directory of a K3s that was killed. `changed` is the last
    time when the unit or a drop-in changed, None if there is no unit.
    """

    text: str | None
    written: datetime | None
    state: UnitState
    reexecute: bool = False
    leftovers: tuple[Path, ...] = ()
    changed: datetime | None = None


@dataclass(frozen=True, slots=True)
class ControllerReach:
    """Cgroup controllers at four places between the kernel and a unit.

    preflight.facts.Delegation describes the places and is built from this record.
    """

    kernel: Observed[frozenset[str]]
    configured: Observed[frozenset[str]]
    realized: Observed[frozenset[str]]
    effective: Observed[frozenset[str]]
