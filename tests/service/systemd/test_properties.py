from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.paths import UNIT
from k3s_rootless.service.facts import UnitState
from k3s_rootless.service.systemd.properties import unit_state

K3S = "/usr/local/bin/k3s"
SEARCH = (
    "/usr/local/lib/k3s:/usr/lib/cni:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)
GROUP = "/user.slice/user-1000.slice/user@1000.service/app.slice/k3s-rootless.service"
RUNNING: dict[str, Any] = {
    "LoadState": "loaded",
    "LoadError": ["", ""],
    "ActiveState": "active",
    "SubState": "running",
    "Result": "success",
    "FragmentPath": "/home/dev/.config/systemd/user/k3s-rootless.service",
    "DropInPaths": ["/home/dev/.config/systemd/user/k3s-rootless.service.d/override.conf"],
    "UnitFileState": "enabled",
    "NeedDaemonReload": False,
    "InvocationID": bytes.fromhex("c1885cfeb3ef48ae81eee01c9bcad20c"),
    "MainPID": 5163,
    "NRestarts": 0,
    "ExecMainCode": 0,
    "ExecMainStatus": 0,
    "ExecStart": [
        [K3S, [K3S, "server", "--rootless"], False, 1795469701000000, 2191462246, 0, 0, 5163, 0, 0]
    ],
    "Environment": [f"PATH={SEARCH}", "A=b=c", "EMPTY="],
    "ControlGroup": GROUP,
    "ExecMainStartTimestamp": 1795469701000000,
    "MemoryCurrent": 607834112,
    "CPUUsageNSec": 487565336000,
    "SomethingNew": 7,
}


def test_a_running_unit_is_read_whole() -> None:
    assert unit_state(UNIT, RUNNING) == UnitState(
        name=UNIT,
        load_state="loaded",
        active_state="active",
        sub_state="running",
        result="success",
        fragment=Path("/home/dev/.config/systemd/user/k3s-rootless.service"),
        drop_ins=(Path("/home/dev/.config/systemd/user/k3s-rootless.service.d/override.conf"),),
        file_state="enabled",
        invocation="c1885cfeb3ef48ae81eee01c9bcad20c",
        main_pid=5163,
        argv=(K3S, "server", "--rootless"),
        environment={"PATH": SEARCH, "A": "b=c", "EMPTY": ""},
        control_group=GROUP,
        started=datetime(2026, 11, 23, 21, 35, 1, tzinfo=UTC),
        memory=607834112,
        cpu=487.565336,
    )


@pytest.mark.parametrize("name", sorted(RUNNING))
def test_any_property_may_be_missing(name: str) -> None:
    left = {key: value for key, value in RUNNING.items() if key != name}

    assert UNIT == unit_state(UNIT, left).name


def test_an_empty_record_has_no_values() -> None:
    assert UnitState(
        name=UNIT, load_state="", active_state="", sub_state="", environment={}
    ) == unit_state(UNIT, {})


@pytest.mark.parametrize("name", ["MemoryCurrent", "CPUUsageNSec", "ExecMainStartTimestamp"])
def test_the_largest_number_means_not_set(name: str) -> None:
    state = unit_state(UNIT, RUNNING | {name: 2**64 - 1})

    assert None in (state.memory, state.cpu, state.started)


def test_a_unit_that_never_ran_has_no_start() -> None:
    state = unit_state(
        UNIT,
        RUNNING
        | {"ExecMainStartTimestamp": 0, "InvocationID": b"", "ExecStart": [], "MemoryCurrent": 0},
    )

    assert (None, "", (), 0) == (state.started, state.invocation, state.argv, state.memory)


def test_the_load_error_of_a_unit_is_kept() -> None:
    error = [
        "org.freedesktop.systemd1.BadUnitSetting",
        "Unit k3s-rootless.service has a bad unit file setting.",
    ]

    assert unit_state(UNIT, {"LoadError": error}).load_error == error[1]


@pytest.mark.parametrize(
    ("active", "sub", "running", "failed"),
    [
        ("active", "running", True, False),
        ("reloading", "reload", True, False),
        ("reloading", "reload-signal", True, False),
        ("active", "exited", False, False),
        ("inactive", "dead", False, False),
        ("failed", "failed", False, True),
        ("activating", "auto-restart", False, True),
        ("activating", "auto-restart-queued", False, True),
        ("deactivating", "stop-sigterm", False, False),
        ("activating", "start-pre", False, False),
    ],
)
def test_running_and_failed_units_are_distinguished(
    active: str, sub: str, *, running: bool, failed: bool
) -> None:
    state = UnitState(name=UNIT, load_state="loaded", active_state=active, sub_state=sub)

    assert (running, failed) == (state.running, state.failed)


@given(
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.binary(max_size=16),
    st.lists(st.text(max_size=8)),
)
def test_every_value_of_the_right_type_is_read(
    time: int, number: int, invocation: bytes, words: list[str]
) -> None:
    values = {
        "ExecMainStartTimestamp": time,
        "CPUUsageNSec": number,
        "InvocationID": invocation,
        "Environment": words,
        "ExecStart": [["", words, False]],
    }

    assert unit_state(UNIT, values).argv == tuple(words)


@pytest.mark.parametrize(
    ("directory", "expected"),
    [
        (None, None),
        ("", None),
        ("~", None),
        ("!~", None),
        ("!/home/alice", Path("/home/alice")),
        ("/srv", Path("/srv")),
    ],
)
def test_the_working_directory_is_a_path_or_the_home(
    directory: str | None, expected: Path | None
) -> None:
    """The value `!/home/alice` comes from systemd 252, for a unit of alice that sets none."""
    values = {} if directory is None else {"WorkingDirectory": directory}
    assert expected == unit_state("k.service", values).working_directory
