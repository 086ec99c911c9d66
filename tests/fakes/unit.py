"""One unit of the fake user manager, with its properties in the spelling of systemd."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import Any

NAME = "org.freedesktop.systemd1"
NOT_SET = 2**64 - 1
_SHOWN = ("Environment", "MemoryMax", "TasksMax")
"""The properties of a transient unit that have the same form when they are read."""
NEXT_RUN = 1_800_000_000_000_000
"""When each timer elapses next, in microseconds."""


class Refusal(Exception):
    """Error reply; if `text` is None, the error has no body."""

    def __init__(self, name: str, text: str | None) -> None:
        super().__init__(name, text)
        self.name = name
        self.text = text


def no_such_unit(name: str, what: str) -> Refusal:
    return Refusal(f"{NAME}.NoSuchUnit", f"Unit {name} not {what}.")


def object_path(name: str) -> str:
    """Return the object path of a unit; the name is escaped as in sd-bus."""
    escaped = (c if c.isascii() and c.isalnum() else f"_{ord(c):02x}" for c in name)
    return f"/org/freedesktop/systemd1/unit/{''.join(escaped)}"


def wants(name: str) -> str:
    """Return the directory of the link that enables a unit, as [Install] of ours has it."""
    return "timers.target.wants" if name.endswith(".timer") else "default.target.wants"


def variants(values: dict[str, tuple[str, Any]]) -> dict[str, Any]:
    from dbus_next import Variant

    return {
        name: Variant(
            kind, bytes.fromhex(value) if kind == "ay" and isinstance(value, str) else value
        )
        for name, (kind, value) in values.items()
    }


class Unit:
    """Unit as the manager loaded it."""

    def __init__(self, name: str, directory: Path, *, transient: bool = False) -> None:
        self.name = name
        self.path = object_path(name)
        self.file = directory / "units" / name
        self.cgroups = directory / "cgroup"
        self.transient = transient
        self.once = False
        self.given: dict[str, tuple[str, Any]] = {}
        """Properties of a transient unit, as the caller has set them."""
        self.active, self.sub, self.result = "inactive", "dead", "success"
        self.invocation, self.main_pid, self.restarts, self.started = "", 0, 0, 0
        self.control_group = ""
        self.text: str | None = None
        self.load()

    def load(self) -> None:
        """Read the unit file as far as the fake supports it; the result is kept until a reload."""
        self.enabled = (self.file.parent / wants(self.name) / self.name).is_symlink()
        self.text = self._on_disk()
        self.drop_ins = {path: path.read_text() for path in self._drop_ins_on_disk()}
        self.load_state = (
            "loaded"
            if self.transient or self.text
            else "not-found"
            if self.text is None
            else "masked"
        )

    def _on_disk(self) -> str | None:
        return self.file.read_text(errors="surrogateescape") if self.file.exists() else None

    def _drop_ins_on_disk(self) -> list[Path]:
        return sorted(self.file.with_name(f"{self.name}.d").glob("*.conf"))

    def environment(self) -> list[str]:
        """Return the assignments of unit and drop-ins; the last one of each name wins.

        The fake supports one quoted assignment per line.
        """
        lines = [
            line
            for text in self.drop_ins.values()
            for line in text.splitlines()
            if line.startswith("Environment=")
        ]
        assignments = [line.removeprefix("Environment=").strip('"') for line in lines]
        return [
            f"{name}={value}"
            for name, value in {
                "PATH": "/usr/local/bin:/usr/bin",
                **dict(one.split("=", 1) for one in assignments),
            }.items()
        ]

    def environment_files(self) -> list[list[str | bool]]:
        """Return the environment files of the unit; the fake supports none in drop-ins."""
        lines = (self.text or "").splitlines()
        named = [line.partition("=")[2] for line in lines if line.startswith("EnvironmentFile=")]
        return [[path.removeprefix("-"), path.startswith("-")] for path in named]

    def require_startable(self) -> None:
        if self.load_state == "not-found":
            raise no_such_unit(self.name, "found")
        if self.load_state == "masked":
            raise Refusal(f"{NAME}.UnitMasked", f"Unit {self.name} is masked.")

    def became(self, verb: str, result: str, inside: str, controllers: str) -> None:
        """Apply the result of a job to the state of the unit."""
        if result != "done":
            if result == "failed":
                self.active, self.sub, self.result = "failed", "failed", "exit-code"
            return
        if verb == "stop":
            self.active, self.sub, self.main_pid = "inactive", "dead", 0
            return
        if verb == "restart" or self.active != "active":
            self.active, self.sub, self.result = "active", "running", "success"
            self.invocation, self.main_pid, self.started = (
                uuid.uuid4().hex,
                os.getpid(),
                time.time_ns() // 1000,
            )
        self.control_group = f"{inside}/app.slice/{self.name}"
        group = self.cgroups / self.control_group.lstrip("/")
        group.mkdir(parents=True, exist_ok=True)
        (group / "cgroup.controllers").write_text(f"{controllers}\n")

    def properties(self) -> dict[str, tuple[str, Any]]:
        lines = (self.text or "").splitlines()
        argv = next(
            (
                line.removeprefix("ExecStart=").split()
                for line in lines
                if line.startswith("ExecStart=")
            ),
            [],
        )
        error = (
            ["", ""]
            if self.load_state == "loaded"
            else [f"{NAME}.NoSuchUnit", f"Unit {self.name} not found."]
        )
        return {
            "Id": ("s", self.name),
            "LoadState": ("s", self.load_state),
            "LoadError": ("(ss)", error),
            "ActiveState": ("s", self.active),
            "SubState": ("s", self.sub),
            "Result": ("s", self.result),
            "FragmentPath": ("s", str(self.file) if self.text is not None else ""),
            "DropInPaths": ("as", list(map(str, self.drop_ins)) if self.text else []),
            "UnitFileState": ("s", "enabled" if self.enabled else "disabled" if self.text else ""),
            "NeedDaemonReload": ("b", not self.transient and self._on_disk() != self.text),
            "InvocationID": ("ay", self.invocation),
            "MainPID": ("u", self.main_pid),
            "NRestarts": ("u", self.restarts),
            "ExecMainCode": ("i", 0),
            "ExecMainStatus": ("i", 0),
            "ExecStart": (
                "a(sasbttttuii)",
                [[argv[0], argv, False, 0, 0, 0, 0, 0, 0, 0]] if argv else [],
            ),
            "Environment": ("as", self.environment() if self.text else []),
            "EnvironmentFiles": ("a(sb)", self.environment_files()),
            "UnsetEnvironment": ("as", []),
            "ControlGroup": ("s", self.control_group),
            "ExecMainStartTimestamp": ("t", self.started),
            "MemoryCurrent": ("t", NOT_SET),
            "CPUUsageNSec": ("t", NOT_SET),
            **self._of_a_timer(),
            **self._of_a_transient_unit(),
        }

    def _of_a_timer(self) -> dict[str, tuple[str, Any]]:
        if not self.name.endswith(".timer"):
            return {}
        next_run = NEXT_RUN if self.active == "active" else 0
        return {"NextElapseUSecRealtime": ("t", next_run), "LastTriggerUSec": ("t", 0)}

    def _of_a_transient_unit(self) -> dict[str, tuple[str, Any]]:
        found = {name: self.given[name] for name in _SHOWN if name in self.given}
        if "ExecStart" in self.given:
            _, ((program, argv, _),) = self.given["ExecStart"]
            command = [[program, argv, False, 0, 0, 0, 0, 0, 0, 0]]
            found["ExecStart"] = ("a(sasbttttuii)", command)
        return found
