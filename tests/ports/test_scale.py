"""Tests that 10,000 Services with 20,000 ports take linear time and bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ports import peers, scale

ROOT = Path(__file__).parents[2]


def taken(directory: Path, count: int) -> dict[str, Any]:
    directory.mkdir()
    with peers.on_socket(directory / "socket", scale.write(directory, count)):
        done = subprocess.run(
            [sys.executable, "-m", "tests.ports.scale", str(directory)],
            cwd=ROOT,
            capture_output=True,
            check=True,
            timeout=120,
        )
    assert 2 * count + 1 == len(json.loads(done.stdout)["ports"])
    found: dict[str, Any] = json.loads(done.stderr)
    return found


@pytest.mark.thorough
def test_ten_thousand_services_take_ten_times_as_long_as_a_thousand(tmp_path: Path) -> None:
    small = min(
        (taken(tmp_path / f"small{one}", 1000) for one in range(2)),
        key=lambda one: float(one["seconds"]),
    )
    large = taken(tmp_path / "large", 10_000)

    assert (20_001, 20_000) == (large["rows"], large["listening"])
    assert large["peak_mib"] < 150, large
    # Ten times the input takes ten times as long if the time is linear, and a hundred times if it
    # is quadratic.
    assert large["seconds"] < 25 * small["seconds"], (small, large)
