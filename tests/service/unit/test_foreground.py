"""Tests of the properties of the transient units of `run`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from k3s_rootless.paths import FOREGROUND
from k3s_rootless.service.facts import UnitState
from k3s_rootless.service.unit import foreground, transient
from k3s_rootless.service.unit.foreground import Programs

LOCK = Path("/run/user/1500/k3s-rootless-run.lock")
PROGRAMS = Programs("/usr/bin/flock", "/usr/bin/true", "/usr/bin/rm")
PLANNED = UnitState(
    FOREGROUND,
    "not-found",
    "inactive",
    "dead",
    argv=("/usr/local/bin/k3s", "server", "--rootless"),
    environment={"PATH": "/usr/bin", "K3S_ROOTLESS_MTU": "1400"},
    environment_files=(("/home/alice/env", True),),
    unset=("K3S_TOKEN",),
    limits={"MemoryMax": 2**31, "TasksMax": None, "LimitNOFILE": 4096},
)


def test_the_server_has_the_command_environment_and_limits_of_the_unit() -> None:
    found = foreground.server(PLANNED, LOCK, PROGRAMS)

    argv = list(PLANNED.argv)
    assert ("a(sasb)", [[argv[0], argv, False]]) == found["ExecStart"]
    assert ("as", ["PATH=/usr/bin", "K3S_ROOTLESS_MTU=1400"]) == found["Environment"]
    assert ("a(sb)", [["/home/alice/env", True]]) == found["EnvironmentFiles"]
    assert ("as", ["K3S_TOKEN"]) == found["UnsetEnvironment"]
    assert ("b", True) == found["Delegate"]
    assert [2**31, 2**64 - 1, 4096, 2**64 - 1] == [
        found[name][1] for name in ("MemoryMax", "TasksMax", "LimitNOFILE", "LimitNPROC")
    ]
    assert "WorkingDirectory" not in found


def test_the_server_keeps_a_working_directory() -> None:
    moved = replace(PLANNED, working_directory=Path("/srv"))

    assert ("s", "/srv") == foreground.server(moved, LOCK, PROGRAMS)["WorkingDirectory"]


def test_the_server_ends_with_the_watch_and_removes_the_lock() -> None:
    found = foreground.server(PLANNED, LOCK, PROGRAMS)

    assert ("as", [foreground.WATCH]) == found["BindsTo"] == found["After"]
    assert ["/usr/bin/rm", "-f", str(LOCK)] == found["ExecStopPost"][1][0][1]
    assert {("s", "inactive-or-failed")} == {
        found["CollectMode"],
        foreground.watch(LOCK, PROGRAMS)["CollectMode"],
    }


def test_the_watch_waits_for_the_lock() -> None:
    ((program, argv, _),) = foreground.watch(LOCK, PROGRAMS)["ExecStart"][1]

    assert "/usr/bin/flock" == program
    assert ["/usr/bin/flock", "--shared", str(LOCK), "/usr/bin/true"] == argv


def test_systemd_expands_no_variable_of_an_argument() -> None:
    assert "--token-file=$$HOME/x" == transient.literal("--token-file=$HOME/x")
