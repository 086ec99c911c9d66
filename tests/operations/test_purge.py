"""Tests that only known data directories that belong to K3s alone are purged."""

from __future__ import annotations

import fcntl
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.k3s.settings import Settings
from k3s_rootless.operations import purge
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.purge import Purged
from k3s_rootless.paths import UNIT
from k3s_rootless.service.facts import UnitState
from tests.fakes.managed_host import ManagedHost
from tests.server import of_command


def data(directory: Path) -> Path:
    """Create a data directory of K3s."""
    (directory / "server").mkdir(parents=True)
    (directory / "server/token").write_text("K10")
    return directory


def settings_of(context: Context) -> Settings:
    return of_command(("k3s", "server"), {}, context.paths.home)


def test_the_data_directories_contain_the_next_start_and_the_default_once(
    host: ManagedHost,
) -> None:
    own, default = data(host.home / "own"), data(host.context.paths.data)
    state = UnitState(
        UNIT, "loaded", "inactive", "dead", argv=("k3s", "server", f"--data-dir={own}")
    )

    settings = purge.known_settings(host.context, state, {})

    assert [own] == [one.data for one in settings]
    assert (own, default) == purge.existing(host.context, (*settings, *settings))
    assert (own, default) == purge.directories(host.context, settings, None)
    assert () == purge.known_settings(host.context, None, {})


def test_the_data_directory_of_the_running_k3s_comes_first(host: ManagedHost) -> None:
    state = UnitState(
        UNIT, "loaded", "active", "running", argv=("k3s", "server", "--data-dir=/srv/new")
    )

    assert 2 == len(purge.known_settings(host.context, state, {}))


def test_an_unknown_data_directory_must_be_specified(host: ManagedHost) -> None:
    doubtful = replace(settings_of(host.context), problems=("/k3s.yaml: permission denied",))

    with pytest.raises(UsageError, match=r"is not known: .*permission denied") as refused:
        purge.directories(host.context, [doubtful], None)

    assert "--data-dir DIRECTORY" in (refused.value.hint or "")
    named = data(host.home / "named")
    assert (named,) == purge.directories(host.context, [doubtful], named)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("x/../own", "contains `..`"),
        ("", "it is your home directory, or contains it"),
        ("other", "other"),
    ],
    ids=["dots", "home", "of others"],
)
def test_a_directory_that_k3s_shares_is_refused(host: ManagedHost, path: str, reason: str) -> None:
    data(host.home / "own")
    (host.home / "other").mkdir()
    (host.home / "other/precious").touch()

    with pytest.raises(UsageError, match=reason):
        purge.directories(host.context, [], host.home / path)

    assert (host.home / "other/precious").exists()


def test_only_files_of_k3s_are_removed_from_a_specified_directory(host: ManagedHost) -> None:
    named = data(host.home / "named")
    (named / "mine").touch()

    done = purge.purge(host.context, named)

    assert ["mine"] == [path.name for path in named.iterdir()]
    assert "newuidmap was not found" == done.outside
    assert (named, 2) == (done.directory, done.removed)
    assert ((str(named / "mine"), "it was not created by K3s"),) == done.survivors
    assert [
        f"remove {named} in a user namespace: its files belong to your subordinate ids"
    ] == host.notices


def test_the_default_directory_is_removed_with_its_empty_parent(host: ManagedHost) -> None:
    default = data(host.context.paths.data)
    (default / "mine").touch()

    purge.purge(host.context, default)

    assert not default.parent.exists()


def test_a_directory_in_use_by_another_k3s_is_kept(host: ManagedHost) -> None:
    named = data(host.home / "named")
    (named / "rootless").mkdir()
    with (named / "rootless/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RootlessError, match="another K3s uses it"):
            purge.purge(host.context, named)

    assert (named / "server/token").exists()


def test_remaining_paths_are_counted_and_the_first_are_listed() -> None:
    survivors = tuple((f"/data/{number}", "permission denied") for number in range(22))
    problem = Purged(Path("/data"), 3, survivors, 5, "newuidmap was not found").problem

    lines = problem.split("\n")
    assert (
        "cannot remove all of /data (without a user namespace, because newuidmap was not found):"
        " 27 left"
    ) == lines[0]
    assert "  '/data/0': permission denied" == lines[1]
    assert "  and 7 more" == lines[-1]
    assert 22 == len(lines)
    assert "" == Purged(Path("/data"), 3).problem
