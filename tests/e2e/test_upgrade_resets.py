"""The machine is reset during an upgrade: a power failure at moments spread over its time.

`make test` tries one reset. `RESETS=20` tries twenty; each needs about a minute.
"""

from __future__ import annotations

import os
import time

import pytest

from tests.e2e.conftest import Tool, delegating
from tests.e2e.test_upgrade import GUARD, NEW, OLD, RECORD, started
from tests.e2e.upgrading import QUICK, bring
from tests.machine import TOOL
from tests.patience import PATIENCE
from tests.vm.machine import Vm

pytestmark = pytest.mark.vm
RESETS = int(os.environ.get("RESETS", "1"))
STATE = "before-upgrade"


@pytest.fixture(scope="module")
def seconds(vm: Vm, kept: set[str]) -> float:
    """Save a state in which K3s runs with the release OLD; return how long an upgrade takes."""
    tool = Tool(delegating(vm, kept))
    if not vm.plays_k3s:
        pytest.skip("only the stand-in has several releases")
    for release in (OLD, NEW):
        bring(tool, release, QUICK)
    tool("release", "use", OLD).check_returncode()
    tool("linger", "on").check_returncode()
    tool.up().check_returncode()
    # K3s does not sync its certificates; the kernel writes them to the disk within half a minute.
    vm.root("sync").check_returncode()
    vm.save(STATE)
    begun = time.monotonic()
    tool("upgrade", NEW, "--yes").check_returncode()
    return time.monotonic() - begun


@pytest.mark.parametrize("number", range(RESETS))
def test_a_reset_during_an_upgrade_loses_nothing(vm: Vm, seconds: float, number: int) -> None:
    vm.restore(STATE)
    tool = Tool(vm)
    with vm.popen(TOOL, "upgrade", NEW, "--yes") as running:
        time.sleep(seconds * (number + 0.5) / RESETS)
        vm.cut_power()
        running.kill()

    done = tool.up()

    assert 0 == done.returncode, done.stderr
    release = release_that_runs(tool)
    assert release in {OLD, NEW}
    if release == OLD:
        tool("upgrade", NEW, "--yes").check_returncode()
    assert [OLD, NEW] == list(dict.fromkeys(started(tool)))
    tool("rollback", "--yes").check_returncode()
    assert OLD == release_that_runs(tool)
    assert {OLD} == set(started(tool))


def release_that_runs(tool: Tool) -> str:
    """Return the release of K3s when it is ready; nothing of a transaction may be left.

    The emulated machine can be too slow for the time limit of `status`.
    """
    assert tool.machine.user("test", "-e", str(RECORD), "-o", "-e", str(GUARD)).returncode
    deadline = time.monotonic() + PATIENCE
    status = tool.json("status")
    while not status["ready"]:
        assert time.monotonic() < deadline, status
        status = tool.json("status")
    assert [] == status["pending"]
    return str(status["release"])
