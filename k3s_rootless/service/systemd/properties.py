"""Conversion of systemd's properties into the records of `service.facts`.

D-Bus types are used up to here, and not in the callers. Any property may be missing (systemd 247 to
262), and the largest unsigned number means "not set".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from k3s_rootless.service.facts import LIMIT_PROPERTIES, TimerState, UnitState

_NOT_SET = 2**64 - 1
_YEAR_10000 = 253_402_300_799_000_000


def unit_state(name: str, values: Mapping[str, Any]) -> UnitState:
    """Return the state of a unit from its properties, as GetAll returns them for all interfaces."""
    commands = values.get("ExecStart") or [[None, []]]
    fragment = values.get("FragmentPath") or ""
    return UnitState(
        name=name,
        load_state=values.get("LoadState", ""),
        active_state=values.get("ActiveState", ""),
        sub_state=values.get("SubState", ""),
        result=values.get("Result", "success"),
        load_error=_load_error(values),
        fragment=Path(fragment) if fragment else None,
        drop_ins=tuple(Path(path) for path in values.get("DropInPaths", ())),
        file_state=values.get("UnitFileState", ""),
        needs_reload=values.get("NeedDaemonReload", False),
        invocation=bytes(values.get("InvocationID", b"")).hex(),
        main_pid=values.get("MainPID", 0),
        restarts=values.get("NRestarts", 0),
        exit_code=values.get("ExecMainCode", 0),
        exit_status=values.get("ExecMainStatus", 0),
        argv=tuple(commands[0][1]),
        environment=environment(values.get("Environment", ())),
        environment_files=tuple(
            (str(path), bool(optional)) for path, optional in values.get("EnvironmentFiles", ())
        ),
        unset=tuple(values.get("UnsetEnvironment", ())),
        control_group=values.get("ControlGroup", ""),
        delegate=values.get("Delegate"),
        started=_time(values.get("ExecMainStartTimestamp")),
        memory=_number(values.get("MemoryCurrent")),
        limits={name: _number(values[name]) for name in LIMIT_PROPERTIES if name in values},
        cpu=None if (used := _number(values.get("CPUUsageNSec"))) is None else used / 1e9,
        # MemoryPeak exists since systemd 254. EffectiveMemoryMax, which respects the parent
        # cgroups, exists since 256.
        memory_peak=_number(values.get("MemoryPeak")),
        memory_limit=_number(values.get("EffectiveMemoryMax", values.get("MemoryMax"))),
        cpu_limit=None
        if (quota := _number(values.get("CPUQuotaPerSecUSec"))) is None
        else quota / 1e6,
        changed=_time(values.get("StateChangeTimestamp")),
        ended=_time(values.get("InactiveEnterTimestamp")),
        working_directory=_directory(values.get("WorkingDirectory")),
    )


def timer_state(name: str, values: Mapping[str, Any]) -> TimerState:
    """Return the state of a timer from its properties, as GetAll returns them."""
    # The number 0 means that there is no such time.
    return TimerState(
        unit_state(name, values),
        _time(values.get("NextElapseUSecRealtime")),
        _time(values.get("LastTriggerUSec")),
    )


def _load_error(values: Mapping[str, Any]) -> str:
    error = values.get("LoadError") or ["", ""]
    return str(error[1]) if error[0] else ""


def environment(assignments: list[str] | tuple[str, ...]) -> dict[str, str]:
    """Return a list of assignments `NAME=value` as a mapping.

    If a name occurs more than once, its last value counts.
    """
    return dict(assignment.split("=", 1) for assignment in assignments if "=" in assignment)


def _directory(text: str | None) -> Path | None:
    # A `!` in front marks an optional directory. An empty text, or `~`, is the home directory of
    # the user (systemd.exec(5)).
    path = (text or "").removeprefix("!")
    return Path(path) if path.startswith("/") else None


def _time(microseconds: int | None) -> datetime | None:
    known = _number(microseconds)
    return datetime.fromtimestamp(known / 1e6, UTC) if known and known < _YEAR_10000 else None


def _number(value: int | None) -> int | None:
    return None if value is None or value == _NOT_SET else value
