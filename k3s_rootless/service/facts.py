"""What is wanted of the unit, and what was found: frozen records without behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from k3s_rootless.observation import Observed


@dataclass(frozen=True, slots=True)
class UnitSettings:
    """What the unit is rendered from: the K3s release, the path of its binary, and the PATH that
    K3s is to search.
    """

    version: str
    server: str
    binary: str
    search: str


@dataclass(frozen=True, slots=True)
class DesiredUnit:
    """The unit as it should be: where, with which text, enabled and running; `given` is whether the
    user brought the text.
    """

    path: Path
    text: str
    version: str
    given: bool = False


@dataclass(frozen=True, slots=True)
class DesiredDropIn:
    """One of our drop-ins as it should be; a `text` of None is one that should not be there."""

    path: Path
    text: str | None
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of the unit as it was found; `text` is None where there is none, or where `problem`
    says why it cannot be read.

    `link` is whether the last part of its path is a symbolic link, behind which `text` was read;
    `target` is what it names.
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
    """What the user manager says of a unit (org.freedesktop.systemd1.Unit and .Service).

    `environment` is what the unit sets; `environment_files` are patterns of paths, each with
    whether it may be missing; `unset` are names and assignments that are taken out last. `argv` is
    ExecStart's argument list. Times are UTC, None when systemd has none to give.
    `working_directory` is None for the user's home. `delegate` is whether it asks for controllers
    of its own, None where systemd does not say. `memory` is in bytes, `cpu` in seconds; None where
    they are not accounted. `memory_limit` and `cpu_limit` (in CPUs) are None where there is none,
    too. `changed` is when it came into the state in which it is, `ended` when it last was inactive
    or failed. `limits` are the resource limits by the names of their properties, in bytes, in
    microseconds a second, as weights or as counts; None where there is none.
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
        """Whether there is a unit to start."""
        return self.load_state not in {"not-found", "masked"}

    @property
    def running(self) -> bool:
        """Whether its process runs; says nothing about readiness, since K3s's unit is of
        Type=simple.
        """
        return self.active_state in {"active", "reloading"} and self.sub_state.startswith(
            ("running", "reload")
        )

    @property
    def dead(self) -> bool:
        """Whether a start has failed: the unit failed, or waits to be restarted after it failed."""
        return self.active_state == "failed" or self.sub_state.startswith("auto-restart")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a control group uses; bytes, seconds of CPU time, and CPUs; None where it is not
    accounted, or has no limit.
    """

    memory: int | None = None
    memory_peak: int | None = None
    memory_limit: int | None = None
    cpu: float | None = None
    cpu_limit: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What there is before a plan is made: the text of the unit file and its age, and what the
    manager knows.

    `leftovers` are files in the state directory of a K3s that was killed. `changed` is when the
    unit or a drop-in was last changed, None where there is none.
    """

    text: str | None
    written: datetime | None
    state: UnitState
    reexecute: bool = False
    leftovers: tuple[Path, ...] = ()
    changed: datetime | None = None


@dataclass(frozen=True, slots=True)
class ControllerReach:
    """How far controllers reach; see preflight.facts.Delegation, which is built from this."""

    kernel: Observed[frozenset[str]]
    configured: Observed[frozenset[str]]
    realized: Observed[frozenset[str]]
    effective: Observed[frozenset[str]]
