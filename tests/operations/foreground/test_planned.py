"""Tests of what `run` starts, with an installed unit and without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.errors import UsageError
from k3s_rootless.k3s import version
from k3s_rootless.observation import Known
from k3s_rootless.operations.foreground import planned
from k3s_rootless.paths import FOREGROUND, UNIT
from k3s_rootless.preflight.facts import K3sBinary
from k3s_rootless.service.facts import UnitState

RELEASE = version.parse("v1.33.4+k3s1")
assert RELEASE is not None
K3S = K3sBinary("/opt/100%/k3s", executable=True, version=Known(RELEASE))
INSTALLED = UnitState(
    UNIT,
    "loaded",
    "inactive",
    "dead",
    fragment=Path("/home/alice/.config/systemd/user") / UNIT,
    argv=("/usr/local/bin/k3s", "server", "--rootless", "--data-dir=$HOME/k3s"),
    environment={"K3S_ROOTLESS_MTU": "1400"},
    environment_files=(("/home/alice/env", True),),
    unset=("K3S_TOKEN",),
    limits={"MemoryMax": 2**31},
    working_directory=Path("/srv"),
)
ABSENT = UnitState(UNIT, "not-found", "inactive", "dead")


def test_an_installed_unit_is_copied_with_the_arguments(tmp_path: Path) -> None:
    found = planned.unit(INSTALLED, tmp_path, K3S, ("--debug", "--data-dir=$HOME"))

    assert FOREGROUND == found.name
    assert (*INSTALLED.argv, "--debug", "--data-dir=$$HOME") == found.argv
    assert INSTALLED.environment == found.environment
    assert INSTALLED.environment_files == found.environment_files
    assert (INSTALLED.unset, INSTALLED.limits) == (found.unset, found.limits)
    assert INSTALLED.working_directory == found.working_directory
    assert found.fragment is None


def test_without_a_unit_it_is_what_up_would_write(tmp_path: Path) -> None:
    found = planned.unit(ABSENT, tmp_path, K3S, ("--debug",))

    assert (
        "/opt/100%/k3s",
        "server",
        "--rootless",
        "--snapshotter=fuse-overlayfs",
        "--debug",
    ) == found.argv
    assert ["PATH"] == list(found.environment or {})
    assert {} == found.limits


def test_without_a_unit_the_settings_of_the_user_count(tmp_path: Path) -> None:
    drop_ins = tmp_path / f"{UNIT}.d"
    drop_ins.mkdir()
    (drop_ins / "50-k3s-rootless-config.conf").write_text(
        "[X-K3sRootless]\nsnapshotter=native\nMemoryMax=2G\n\n[Service]\nMemoryMax=2G\n"
    )
    (drop_ins / "50-k3s-rootless-environment.conf").write_text(
        '[Service]\nEnvironment="K3S_ROOTLESS_MTU=1400"\n'
    )

    found = planned.unit(ABSENT, tmp_path, K3S, ())

    assert ("/opt/100%/k3s", "server", "--rootless", "--snapshotter=native") == found.argv
    assert "1400" == (found.environment or {})["K3S_ROOTLESS_MTU"]
    assert {"MemoryMax": 2**31} == found.limits


def test_a_masked_unit_does_not_count(tmp_path: Path) -> None:
    masked = UnitState(UNIT, "masked", "inactive", "dead")

    assert "/opt/100%/k3s" == planned.unit(masked, tmp_path, K3S, ()).argv[0]


@pytest.mark.parametrize("words", [("agent",), ("server", "--debug"), ("",)])
def test_the_arguments_must_be_flags(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="flags of `k3s server`"):
        planned.require_flags(words)


@pytest.mark.parametrize("flag", ["--docker", "--token=s3cret", "-t", "--node-ip=10.0.0.1"])
def test_flags_that_config_refuses_are_refused_without_their_values(flag: str) -> None:
    with pytest.raises(UsageError, match="to rootless K3s") as found:
        planned.require_flags(("--debug", flag, "x"))

    assert "s3cret" not in f"{found.value.message}{found.value.hint}"


def test_flags_may_have_values() -> None:
    planned.require_flags(("--rootless",))
    planned.require_flags(("--disable", "traefik"))
    planned.require_flags(())
