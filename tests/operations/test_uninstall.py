"""Tests that `uninstall` removes only files of k3s-rootless.

Data of K3s is removed on request only.
"""

from __future__ import annotations

import fcntl
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from k3s_rootless import own_settings
from k3s_rootless.backup import record as records
from k3s_rootless.backup.facts import Kind, Phase, Switch
from k3s_rootless.backup.facts import Record as Transaction
from k3s_rootless.binaries import installed as installed_releases
from k3s_rootless.binaries import store
from k3s_rootless.binaries.facts import Answers, Record
from k3s_rootless.cluster.kubeconfig import read
from k3s_rootless.errors import (
    PreflightFailed,
    RootlessError,
    SystemdError,
    UsageError,
    WouldOverwrite,
)
from k3s_rootless.operations.environment import change
from k3s_rootless.operations.events import Event, Notice
from k3s_rootless.operations.kubeconfig import merge
from k3s_rootless.operations.uninstall import Request, Uninstalled, document, uninstall
from k3s_rootless.paths import UNIT
from k3s_rootless.service.plan.steps import Disable, Reload, Remove, RemoveDirectory, Stop
from k3s_rootless.service.unit.seal import sealed
from tests.cluster.conftest import Cluster
from tests.fakes.managed_host import TEXT, ManagedHost

VERSIONS = ("v1.36.3+k3s1", "v1.35.7+k3s1")
OURS = "50-k3s-rootless-environment.conf"
PURGE = Request(purge=True)


def refuse_to_ask(question: str) -> bool | None:
    raise AssertionError(question)


def uninstalled(
    host: ManagedHost,
    request: Request = Request(),  # noqa: B008 (frozen)
) -> Uninstalled:
    return uninstall(host.context, request, refuse_to_ask)


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return Cluster.make()


@pytest.fixture
def installed(host: ManagedHost) -> ManagedHost:
    """Return a host with our unit, our drop-in, and data of K3s."""
    host.install(sealed(TEXT))
    change.set_variables(host.context, {"K3S_ROOTLESS_MTU": "1400"})
    token = host.context.paths.data / "server/token"
    token.parent.mkdir(parents=True)
    token.write_text("K10")
    host.events.clear()
    return host


def start(host: ManagedHost) -> None:
    """Enable the unit, and start it."""
    with host.context.manager() as manager:
        manager.enable(UNIT)
        manager.reload()
        manager.start(UNIT)


def test_the_unit_is_stopped_and_our_files_are_removed(installed: ManagedHost) -> None:
    start(installed)

    done = uninstalled(installed)

    assert [Stop, Disable, Remove, RemoveDirectory, Remove, Reload] == list(map(type, done.done))
    assert [f"{step.describe()}: {step.cause}" for step in done.done] == installed.notices
    assert ((), (), ()) == (done.problems, done.kept, done.purged)
    assert (installed.context.paths.data,) == done.data
    assert ["default.target.wants"] == [path.name for path in installed.bus.units.iterdir()]
    assert (installed.context.paths.data / "server/token").exists()


def test_copies_of_the_kubeconfig_are_removed(installed: ManagedHost, cluster: Cluster) -> None:
    context = installed.context
    own = context.paths.kubeconfig
    own.parent.mkdir()
    config = own.with_name("config")
    config.write_text("current-context: work\ncontexts: [{name: work, context: {}}]\n")
    cluster.write(own)
    found = read.load(own, uid=context.uid)
    edited = own.with_name("edited")
    for file, name in ((config, "one"), (config, "two"), (edited, "one")):
        request = merge.Request(file, name, switch=True)
        merge.merge_from(context, request, found, lambda _: None)
    edited.write_text(edited.read_text().replace("client-key-data: ", "client-key-data: X"))

    done = uninstalled(installed)

    (removed,) = done.kubeconfigs.files
    assert (config, ("one", "two"), "work") == (removed.file, removed.contexts, removed.current)
    assert "work" == yaml.safe_load(config.read_text())["current-context"]
    assert ((edited, "one"),) == done.kubeconfigs.kept
    assert 1 == len(document(done)["kubeconfigs"]["kept"])
    assert () == done.problems


def test_a_second_run_has_nothing_to_do(installed: ManagedHost) -> None:
    uninstalled(installed)

    again = uninstalled(installed)

    assert ((), (), False) == (again.done, again.problems, document(again)["changed"])


def test_files_of_other_authors_are_kept_and_listed(installed: ManagedHost) -> None:
    foreign = installed.write_drop_in("override.conf", "Nice=1")
    copy = installed.bus.units / f"{UNIT}.0123abcd.bak"
    copy.touch()

    done = uninstalled(installed)

    user = installed.bus.directory / "user"
    assert (user / copy.name, user / foreign.parent.name / foreign.name) == done.kept
    assert ["override.conf"] == list(installed.files())


def test_an_edited_drop_in_is_removed_with_force_only_and_copied(
    installed: ManagedHost,
) -> None:
    path = installed.drop_ins / OURS
    edited = path.read_text() + "# mine\n"
    path.write_text(edited)

    done = uninstalled(installed)
    assert [OURS] == [path.name for path in done.kept]
    assert {OURS: edited} == installed.files()

    uninstalled(installed, Request(force=True))
    assert [edited] == list(installed.files().values())
    assert OURS not in installed.files()


def test_a_foreign_unit_is_kept_without_force(host: ManagedHost) -> None:
    host.install()
    start(host)

    with pytest.raises(WouldOverwrite, match="not written by k3s-rootless"):
        uninstalled(host)
    assert ([], TEXT) == (host.notices, host.unit.read_text())
    assert "StopUnit" not in host.members

    done = uninstalled(host, Request(force=True))
    assert not host.unit.exists()
    assert [TEXT] == [path.read_text() for path in done.kept]


def test_the_enabling_link_is_removed_if_systemd_cannot_remove_it(
    installed: ManagedHost,
) -> None:
    start(installed)
    installed.bus.kill_manager()
    user_units = installed.context.paths.user_units
    user_units.parent.mkdir(parents=True)
    shutil.move(installed.bus.units, user_units)
    link = user_units / "default.target.wants" / UNIT
    link.unlink()
    link.symlink_to(user_units / UNIT)

    done = uninstalled(installed)

    assert not link.is_symlink()
    assert not (user_units / UNIT).exists()
    (problem,) = done.problems
    assert problem.startswith("cannot stop K3s (if it is running): ")
    assert [1] == [error["exit_code"] for error in document(done)["errors"]]


def test_files_are_removed_without_a_session_and_a_lock(installed: ManagedHost) -> None:
    installed.context.paths.user_units.mkdir(parents=True)
    unit = installed.context.paths.user_units / UNIT
    unit.write_text(sealed(TEXT))
    paths = replace(installed.context.paths, runtime=Path("/run/user/no-such"))
    context = replace(installed.context, paths=paths)

    done = uninstall(context, Request(purge=True, yes=True), refuse_to_ask)

    assert not unit.exists()
    assert ["cannot stop K3s (if it is running)", "cannot purge"] == [
        problem.partition(":")[0] for problem in done.problems
    ]
    assert (context.paths.data / "server/token").exists()


def test_an_upgrade_that_is_not_finished_is_ended_first(installed: ManagedHost) -> None:
    transaction = Transaction(
        Phase.REPLACING, None, (), kind=Kind.UPGRADE, switch=Switch(VERSIONS[1], VERSIONS[0])
    )
    records.save(installed.context.paths.transaction, transaction)

    with pytest.raises(RootlessError, match=r"the upgrade from .* is not finished") as refused:
        uninstalled(installed, Request(purge=True, yes=True))

    assert "k3s-rootless upgrade --abort" in str(refused.value.hint)
    assert installed.unit.exists()


def test_root_is_refused(installed: ManagedHost) -> None:
    with pytest.raises(PreflightFailed, match="as root"):
        uninstall(replace(installed.context, uid=0), Request(), refuse_to_ask)

    assert installed.unit.exists()


def test_files_are_removed_if_the_bus_fails_during_the_stop(installed: ManagedHost) -> None:
    start(installed)

    def listen(event: Event) -> None:
        if isinstance(event, Notice) and event.text.startswith("stop "):
            installed.bus.kill_bus()

    request = Request(purge=True, yes=True)
    done = uninstall(installed.context_with(listen), request, refuse_to_ask)

    assert not installed.unit.exists()
    assert ["cannot stop K3s (if it is running)", "cannot purge"] == [
        problem.partition(":")[0] for problem in done.problems
    ]
    assert installed.context.paths.data.exists()


def test_files_are_kept_if_systemd_does_not_stop_k3s(installed: ManagedHost) -> None:
    start(installed)
    installed.bus.order(errors={"StopUnit": ("org.freedesktop.DBus.Error.Failed", "no")})

    with pytest.raises(SystemdError):
        uninstalled(installed)

    assert installed.unit.exists()


def test_a_user_manager_that_exits_during_the_reload_is_a_problem(installed: ManagedHost) -> None:
    installed.bus.order(exit_at="Reload")

    done = uninstalled(installed)

    (problem,) = done.problems
    assert problem.startswith("cannot reload the user manager after the unit was removed: ")
    assert not installed.unit.exists()


def test_the_data_is_removed_after_a_confirmation(installed: ManagedHost) -> None:
    questions: list[str] = []

    def ask(question: str) -> bool:
        questions.append(question)
        return True

    done = uninstall(installed.context, PURGE, ask)

    data = installed.context.paths.data
    assert [f"Permanently remove {data}, including the cluster and all its volumes?"] == questions
    assert ((data,), (), ()) == (
        tuple(one.directory for one in done.purged),
        done.problems,
        done.data,
    )
    assert not data.parent.exists()
    assert document(done)["purged"] == [
        {"directory": str(data), "removed": done.removed, "survivors": [], "more_survivors": 0}
    ]


@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [(False, RootlessError, "nothing was removed"), (None, UsageError, "there is no terminal")],
)
def test_without_consent_nothing_is_removed(
    installed: ManagedHost, *, answer: bool | None, error: type[RootlessError], reason: str
) -> None:
    start(installed)

    with pytest.raises(error, match=reason):
        uninstall(installed.context, PURGE, lambda _: answer)

    assert installed.unit.exists()
    assert (installed.context.paths.data / "server/token").exists()
    assert "StopUnit" not in installed.members


def test_without_data_no_question_is_asked(installed: ManagedHost) -> None:
    shutil.rmtree(installed.context.paths.data)

    assert () == uninstalled(installed, PURGE).purged
    assert not installed.unit.exists()


@pytest.fixture
def with_releases(installed: ManagedHost) -> ManagedHost:
    """Return a host with two releases, the rest of a download, a mirror and a backup."""
    own = installed.context.paths.own
    with store.changing(own, lambda: None):
        for version in VERSIONS:
            part = store.incoming(own, "0" * 64)
            part.write_bytes(bytes(10_000))
            date = datetime(2026, 1, 1, tzinfo=UTC)
            store.keep(own, part, Record(version, "k3s", "0" * 64, 10_000, 0, "url", "url", date))
            store.use(own, version)
        store.incoming(own, "1" * 64).write_bytes(bytes(500))
    store.remember(own, Answers("https://x", datetime(2026, 1, 1, tzinfo=UTC)))
    own_settings.change(
        installed.context.paths.settings, {own_settings.MIRROR: "https://x"}, lambda: None
    )
    (own / "backups").mkdir()
    (own / "backups/a.tar.gz").touch()
    return installed


def test_a_purge_removes_the_releases_and_keeps_the_backups(with_releases: ManagedHost) -> None:
    questions: list[str] = []

    def yes(question: str) -> bool:
        questions.append(question)
        return True

    own = with_releases.context.paths.own
    done = uninstall(with_releases.context, PURGE, yes)

    (question,) = questions
    assert f"{own}/releases, the downloaded releases of K3s ({', '.join(VERSIONS)}, 20 KiB)" in (
        question
    )
    assert f"The backups in {own}/backups are kept." in question
    assert [Path("a.tar.gz")] == [
        one.relative_to(own / "backups") for one in own.rglob("*") if one.is_file()
    ]
    assert not with_releases.context.paths.settings.parent.exists()
    assert ((), own / "backups") == (done.problems, done.backups)
    found = document(done)
    assert (list(VERSIONS), True) == (found["releases"]["versions"], found["releases"]["removed"])


def test_a_declined_purge_keeps_the_releases(with_releases: ManagedHost) -> None:
    with pytest.raises(RootlessError, match="nothing was removed"):
        uninstall(with_releases.context, PURGE, lambda _: False)

    assert set(VERSIONS) == {
        one.version for one in installed_releases.releases(with_releases.context.paths.own)
    }


def test_releases_without_data_need_consent_too(with_releases: ManagedHost) -> None:
    shutil.rmtree(with_releases.context.paths.data)

    with pytest.raises(UsageError, match="there is no terminal"):
        uninstall(with_releases.context, PURGE, lambda _: None)
    assert uninstalled(with_releases, replace(PURGE, yes=True)).releases_removed


def test_without_a_purge_the_releases_are_kept_and_named(with_releases: ManagedHost) -> None:
    done = uninstalled(with_releases)

    assert done.releases
    assert (VERSIONS, False) == (done.releases.versions, done.releases_removed)
    assert (with_releases.context.paths.own / "bin/k3s").exists()


def test_if_the_data_cannot_be_purged_the_releases_stay(with_releases: ManagedHost) -> None:
    """Another K3s uses the data directory, and can use a release."""
    state = with_releases.context.paths.data / "rootless"
    state.mkdir()
    with (state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = uninstalled(with_releases, replace(PURGE, yes=True))

    assert not done.releases_removed
    assert "another K3s uses it" in done.problems[0]
    assert (with_releases.context.paths.own / "bin/k3s").exists()


def test_a_file_of_another_author_among_the_releases_stays(with_releases: ManagedHost) -> None:
    mine = with_releases.context.paths.own / "releases/mine"
    mine.touch()

    assert uninstalled(with_releases, replace(PURGE, yes=True)).releases_removed
    assert [mine] == list(mine.parent.iterdir())
