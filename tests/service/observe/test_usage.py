"""Resource usage of K3s: first from systemd, then from the control group."""

from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.service.facts import UnitState, Usage
from k3s_rootless.service.observe import usage

GROUP = "/user.slice/user-1500.slice/user@1500.service/app.slice/k3s-rootless.service"


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    here = tmp_path / GROUP.lstrip("/")
    here.mkdir(parents=True)
    files = {
        "memory.current": "607834112\n",
        "memory.peak": "681537536\n",
        "memory.max": "max\n",
        "cpu.stat": "usage_usec 487565336\nuser_usec 1\nsystem_usec 2\n",
        "cpu.max": "150000 100000\n",
    }
    for name, text in files.items():
        (here / name).write_text(text)
    return tmp_path


def test_the_control_group_has_values_that_systemd_lacks(mount: Path) -> None:
    assert Usage(607834112, 681537536, None, 487.565336, 1.5) == usage.of(None, GROUP, mount)


def test_values_of_systemd_come_first(mount: Path) -> None:
    state = UnitState("u", "loaded", "active", "running", memory=1, cpu=3.0, memory_limit=4)

    assert Usage(1, 681537536, 4, 3.0, 1.5) == usage.of(state, GROUP, mount)


@pytest.mark.parametrize("group", ["", "/gone"])
def test_usage_is_unknown_without_a_control_group(group: str, tmp_path: Path) -> None:
    assert Usage() == usage.of(None, group, tmp_path)


@pytest.mark.parametrize("content", ["", "max\n", "-1\n", "some words\n", "\x00"])
def test_invalid_content_is_not_a_number(mount: Path, content: str) -> None:
    for name in ("memory.current", "memory.peak", "cpu.stat", "cpu.max"):
        (mount / GROUP.lstrip("/") / name).write_text(content)

    assert Usage() == usage.of(None, GROUP, mount)


@pytest.mark.parametrize(
    ("text", "group"),
    [
        (f"0::{GROUP}/k3s_evac\n", GROUP),
        (f"12:cpu:/elsewhere\n0::{GROUP}\n", GROUP),
        ("0::/user.slice/session-2.scope\n", ""),
        ("1:name=systemd:/x/k3s-rootless.service\n", ""),
        ("", ""),
    ],
)
def test_a_process_shows_the_control_group(tmp_path: Path, text: str, group: str) -> None:
    (tmp_path / "42").mkdir()
    (tmp_path / "42/cgroup").write_text(text)

    assert group == usage.group_of(42, "k3s-rootless.service", tmp_path)


def test_a_process_that_has_exited_has_no_control_group(tmp_path: Path) -> None:
    assert "" == usage.group_of(42, "k3s-rootless.service", tmp_path)
