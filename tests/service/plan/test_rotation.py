"""Place of the certificate renewal in a plan: after the stop, and only before a start."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError
from k3s_rootless.paths import UNIT
from k3s_rootless.service.act import apply
from k3s_rootless.service.facts import UnitState
from k3s_rootless.service.plan import steps
from k3s_rootless.service.plan.rotation import stopped_for
from k3s_rootless.service.systemd.user import UserManager
from tests.fakes.session import Session

ROTATE = steps.RotateCertificates(
    UNIT,
    ("/usr/local/bin/k3s", "certificate", "rotate"),
    {"K3S_TOKEN": "s3cret"},
    Path("/d/rootless"),
    "port 6444",
)
RUNNING = UnitState(UNIT, "loaded", "active", "running")
STOPPED = UnitState(UNIT, "loaded", "inactive", "dead")
FAILED = UnitState(UNIT, "loaded", "failed", "failed")
LOOPING = UnitState(UNIT, "loaded", "activating", "auto-restart")
START, RESTART = steps.Start(UNIT, "it is not running"), steps.Restart(UNIT, "it was requested")
RESET = steps.ResetFailed(UNIT, "it failed")


def kinds(
    rotation: steps.RotateCertificates | None, planned: tuple[steps.Step, ...], state: UnitState
) -> list[str]:
    return [type(step).__name__ for step in stopped_for(rotation, planned, state)]


def test_without_a_rotation_a_plan_is_unchanged() -> None:
    assert (RESET, RESTART) == stopped_for(None, (RESET, RESTART), RUNNING)


def test_a_plan_without_a_start_is_unchanged() -> None:
    reload = steps.Reload("a drop-in changed")
    assert (reload,) == stopped_for(ROTATE, (reload,), RUNNING)
    assert () == stopped_for(ROTATE, (), RUNNING)


def test_k3s_is_stopped_before_and_started_after() -> None:
    assert ["ResetFailed", "Stop", "RotateCertificates", "Start"] == kinds(
        ROTATE, (RESET, RESTART), RUNNING
    )
    assert ["Stop", "RotateCertificates", "Start"] == kinds(ROTATE, (RESTART,), LOOPING)
    assert ["RotateCertificates", "Start"] == kinds(ROTATE, (START,), STOPPED)
    assert ["ResetFailed", "RotateCertificates", "Start"] == kinds(ROTATE, (RESET, START), FAILED)
    stop = steps.Stop(UNIT, "systemd is about to restart it")
    assert ["Stop", "RotateCertificates", "Start"] == kinds(ROTATE, (stop, START), LOOPING)


def test_no_secret_of_the_environment_is_shown() -> None:
    assert "s3cret" not in f"{ROTATE!r} {ROTATE.describe()}"


def command(tmp_path: Path, body: str) -> steps.RotateCertificates:
    """Return the step with a test program instead of k3s."""
    program = tmp_path / "k3s"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    environ = {"K3S_CONFIG_FILE": "/c.yaml", "HOME": "/h"}
    argv = (str(program), "certificate", "rotate", "--data-dir", "/d")
    return steps.RotateCertificates(UNIT, argv, environ, tmp_path / "data/rootless", "port 6444")


def test_the_command_gets_its_arguments_and_only_the_environment_of_the_unit(
    manager: UserManager, tmp_path: Path
) -> None:
    output = tmp_path / "output"

    apply.perform(
        command(
            tmp_path, f'echo "$@" > {output}; env | grep -v ^_= | grep -v ^PWD= | sort >> {output}'
        ),
        manager,
    )

    assert [
        "certificate rotate --data-dir /d",
        "HOME=/h",
        "K3S_CONFIG_FILE=/c.yaml",
    ] == output.read_text().splitlines()


def test_a_failed_command_is_reported_with_its_last_line(
    manager: UserManager, tmp_path: Path
) -> None:
    with pytest.raises(RootlessError) as caught:
        apply.perform(
            command(tmp_path, 'echo first >&2; printf "no \\033[2Jroom\\n" >&2; exit 3'), manager
        )

    assert "--data-dir /d` exited with status 3: no " in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_the_command_does_not_run_while_k3s_runs(
    manager: UserManager, fake: Session, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    step = command(tmp_path, f"touch {ran}")
    state = tmp_path / "data/rootless"
    state.mkdir(parents=True)
    with (state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RootlessError, match="a K3s that was not started by the unit uses"):
            apply.perform(step, manager)
    fake.order(properties={"ActiveState": ("s", "active"), "SubState": ("s", "running")})
    (fake.units / UNIT).write_text("[Service]\nExecStart=/bin/true\n")
    with pytest.raises(RootlessError, match="the unit is active"):
        apply.perform(step, manager)

    assert not ran.exists()
