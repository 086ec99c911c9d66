"""Tests that variables are set and unset atomically, and read back from systemd."""

from __future__ import annotations

import fcntl
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from k3s_rootless.errors import RootlessError, UsageError, WouldOverwrite
from k3s_rootless.operations.context import WAITING
from k3s_rootless.operations.environment import change
from k3s_rootless.operations.environment.document import change_document
from k3s_rootless.operations.events import Event, Notice
from k3s_rootless.service.environment.precedence import Origin
from k3s_rootless.service.environment.variables import Effect
from tests.fakes.managed_host import ManagedHost
from tests.patience import PATIENCE

MTU, CIDR = "K3S_ROOTLESS_MTU", "K3S_ROOTLESS_CIDR"
OURS = "50-k3s-rootless-environment.conf"


@pytest.fixture
def installed(host: ManagedHost) -> ManagedHost:
    host.install()
    return host


def test_a_variable_is_written_reloaded_and_read_back(installed: ManagedHost) -> None:
    done = change.set_variables(installed.context, {MTU: "1400", "NO_PROXY": "10.0.0.0/8"})

    path = installed.drop_ins / OURS
    assert (True, False) == (done.changed, done.runtime)
    assert [
        (MTU, "1400", Origin.DROP_IN, path, ()),
        ("NO_PROXY", "10.0.0.0/8", Origin.DROP_IN, path, ()),
    ] == [
        (one.name, one.resolved.value, one.origin, one.resolved.last.path.resolve(), one.above)
        for one in done.variables
        if one.resolved.last.path is not None
    ]
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    own = installed.bus.directory / "user" / path.parent.name / OURS
    assert [
        f"write {own}: set {MTU}, NO_PROXY",
        "reload the user manager: the drop-ins changed",
    ] == installed.notices
    assert 1 == installed.members.count("Reload")


def test_the_same_value_again_changes_nothing(installed: ManagedHost) -> None:
    change.set_variables(installed.context, {MTU: "1400"})
    installed.events.clear()

    again = change.set_variables(installed.context, {MTU: "1400"})

    assert (False, []) == (again.changed, installed.notices)


def test_an_unset_variable_leaves_the_others(installed: ManagedHost) -> None:
    change.set_variables(installed.context, {MTU: "1400", "NO_PROXY": "a"})

    done = change.unset_variables(installed.context, [MTU, MTU, CIDR])

    assert [(MTU, True, None, ()), (CIDR, False, None, ())] == [
        (one.name, one.undone, one.resolved.value, one.above) for one in done.variables
    ]
    assert 'Environment="NO_PROXY=a"' in installed.files()[OURS]
    assert MTU not in installed.files()[OURS]


def test_the_last_unset_variable_leaves_no_file(installed: ManagedHost) -> None:
    change.set_variables(installed.context, {MTU: "1400"})

    change.unset_variables(installed.context, [MTU])

    assert not installed.drop_ins.exists()


def test_before_the_unit_is_installed_a_variable_is_kept_for_it(host: ManagedHost) -> None:
    done = change.set_variables(host.context, {CIDR: "10.99.0.0/16"})

    document = change_document(done)
    assert (True, False) == (document["changed"], document["verified"])
    (row,) = document["variables"]
    assert ("10.99.0.0/16", "drop-in", None) == (row["value"], row["origin"], row["shadowed_by"])


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({MTU: "1400", CIDR: "10.99.0.1/16"}, "its network is 10.99.0.0/16"),
        ({MTU: "-5"}, "K3s exits with this value, because the MTU is negative"),
    ],
)
@pytest.mark.parametrize("runtime", [False, True])
def test_a_value_with_which_k3s_exits_is_refused_before_anything_is_written(
    installed: ManagedHost, values: dict[str, str], reason: str, *, runtime: bool
) -> None:
    with pytest.raises(UsageError, match=reason) as refused:
        change.set_variables(installed.context, values, runtime=runtime)

    assert "to use K3s's default: k3s-rootless env unset" in (refused.value.hint or "")
    assert {} == installed.files()
    assert not {"Reload", "UnsetAndSetEnvironment"} & set(installed.members)


def test_a_value_that_k3s_ignores_is_set_with_a_warning(installed: ManagedHost) -> None:
    done = change.set_variables(installed.context, {MTU: "abc"})

    (one,) = done.variables
    assert one.judgement is not None
    assert Effect.IGNORED is one.judgement.effect
    assert f"warning: {MTU}: {one.judgement.reason}" == installed.notices[0]
    assert "ignored" == change_document(done)["variables"][0]["effect"]


def test_the_installed_release_counts_if_the_unit_names_none(host: ManagedHost) -> None:
    k3s = host.provide_k3s("v1.20.15+k3s1")
    context = host.context_with(environ={"PATH": str(k3s.parent)})

    done = change.set_variables(context, {MTU: "1400"})

    (one,) = done.variables
    assert one.judgement is not None
    assert Effect.UNREAD is one.judgement.effect


def test_runtime_changes_the_user_manager_and_a_drop_in_overrides_it(
    installed: ManagedHost,
) -> None:
    change.set_variables(installed.context, {MTU: "1400"})

    done = change.set_variables(installed.context, {MTU: "1300", "NO_PROXY": "a"}, runtime=True)

    assert (True, True) == (done.changed, done.runtime)
    assert [(MTU, "1400", [Origin.DROP_IN]), ("NO_PROXY", "a", [])] == [
        (one.name, one.resolved.value, [layer.origin for layer in one.above])
        for one in done.variables
    ]
    assert (None, True) == (change_document(done)["file"], change_document(done)["verified"])
    again = change.set_variables(installed.context, {"NO_PROXY": "a"}, runtime=True)
    assert not again.changed

    undone = change.unset_variables(installed.context, [MTU, "NO_PROXY", CIDR], runtime=True)

    assert [(MTU, True), ("NO_PROXY", True), (CIDR, False)] == [
        (one.name, one.undone) for one in undone.variables
    ]
    assert [Origin.DROP_IN] == [layer.origin for layer in undone.variables[0].above]


def test_a_variable_that_another_drop_in_sets_stays_and_is_reported(installed: ManagedHost) -> None:
    installed.write_drop_in("override.conf", f"Environment={MTU}=1")

    with pytest.raises(RootlessError, match=rf"override\.conf also sets {MTU}, and is read later"):
        change.set_variables(installed.context, {MTU: "1400"})
    done = change.unset_variables(installed.context, [MTU])

    assert ["override.conf"] == list(installed.files())
    (one,) = done.variables
    assert (False, "1") == (one.undone, one.resolved.value)
    assert str(change_document(done)["variables"][0]["shadowed_by"]).startswith("drop-in ")


def test_a_change_that_systemd_does_not_apply_is_undone(installed: ManagedHost) -> None:
    change.set_variables(installed.context, {MTU: "1400"})
    before = installed.files()
    installed.bus.order(deaf=True)
    installed.events.clear()

    with pytest.raises(
        RootlessError, match=r"systemd did not apply the change: .* also sets K3S_ROOTLESS_MTU"
    ):
        change.set_variables(installed.context, {MTU: "1300"})
    assert "the change was undone: the drop-ins are as before" == installed.notices[-1]
    with pytest.raises(RootlessError, match=f"it does not set {CIDR}"):
        change.set_variables(installed.context, {CIDR: "10.99.0.0/16"})
    with pytest.raises(RootlessError, match=f"it still sets {MTU}"):
        change.unset_variables(installed.context, [MTU])
    with pytest.raises(RootlessError, match=f"the user manager did not accept {CIDR}") as refused:
        change.set_variables(installed.context, {CIDR: "10.99.0.0/16"}, runtime=True)

    assert ("check its environment with: systemctl --user show-environment") == refused.value.hint
    assert before == installed.files()


@pytest.mark.parametrize(
    "perform",
    [
        lambda host: change.set_variables(host.context, {CIDR: "10.99.0.0/16"}),
        lambda host: change.unset_variables(host.context, [MTU]),
    ],
    ids=["set", "unset"],
)
def test_an_edited_drop_in_stays(
    installed: ManagedHost, perform: Callable[[ManagedHost], object]
) -> None:
    change.set_variables(installed.context, {MTU: "1400"})
    edited = installed.files()[OURS] + 'Environment="NO_PROXY=a"\n'
    (installed.drop_ins / OURS).write_text(edited)

    with pytest.raises(WouldOverwrite, match="edited since"):
        perform(installed)

    assert {OURS: edited} == installed.files()


def test_force_replaces_an_edited_drop_in_and_keeps_a_copy(installed: ManagedHost) -> None:
    change.set_variables(installed.context, {MTU: "1400"})
    edited = installed.files()[OURS] + 'Environment="NO_PROXY=a"\n'
    (installed.drop_ins / OURS).write_text(edited)

    change.set_variables(installed.context, {CIDR: "10.99.0.0/16"}, force=True)

    files = installed.files()
    assert 'Environment="NO_PROXY=a"' in files.pop(OURS)
    assert [edited] == list(files.values())


def test_a_password_is_in_no_document(installed: ManagedHost) -> None:
    proxy = "http://bob:secret-1@proxy:3128"

    done = change.set_variables(installed.context, {"HTTPS_PROXY": proxy})

    assert proxy == done.variables[0].resolved.value
    assert "http://bob:***@proxy:3128" == change_document(done)["variables"][0]["value"]


def test_a_change_waits_for_another_command_and_reports_that(installed: ManagedHost) -> None:
    waiting = threading.Event()

    def listen(event: Event) -> None:
        installed.events.append(event)
        if event == Notice(WAITING):
            waiting.set()

    context = installed.context_with(listen)
    with locked_until(installed, waiting):
        done = change.set_variables(context, {MTU: "1400"})

    assert done.changed
    assert WAITING == installed.notices[0]


@contextmanager
def locked_until(host: ManagedHost, released: threading.Event) -> Iterator[None]:
    """Hold the lock of changing commands until an event happens."""
    with host.context.paths.lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        def release() -> None:
            released.wait(PATIENCE)
            fcntl.flock(file, fcntl.LOCK_UN)

        thread = threading.Thread(target=release)
        thread.start()
        yield
        thread.join()
