from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.errors import WouldOverwrite
from k3s_rootless.paths import UNIT
from k3s_rootless.service.facts import DesiredUnit, Found, UnitSettings, UnitState
from k3s_rootless.service.plan import planner, steps
from k3s_rootless.service.unit.seal import sealed
from k3s_rootless.service.unit.text import render

PATH = Path("/home/alice/.config/systemd/user") / UNIT
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=5)


def text(version: str) -> str:
    return render(UnitSettings(version, "server --rootless", "/usr/local/bin/k3s", "/usr/bin"))


DESIRED = DesiredUnit(PATH, text("v1.36.1+k3s1"), "v1.36.1+k3s1")
OLD = text("v1.35.0+k3s1")
EDITED = DESIRED.text.replace("TasksMax=infinity", "TasksMax=100")
FOREIGN = "[Service]\nExecStart=/usr/local/bin/k3s server --rootless\n"
ABSENT = UnitState(UNIT, "not-found", "inactive", "dead")
STOPPED = UnitState(UNIT, "loaded", "inactive", "dead", fragment=PATH, file_state="enabled")
RUNNING = replace(STOPPED, active_state="active", sub_state="running", started=LATER)
FAILED = replace(STOPPED, active_state="failed", sub_state="failed", result="exit-code")
LOOPING = replace(STOPPED, active_state="activating", sub_state="auto-restart", result="exit-code")


def found(
    state: UnitState, contents: str | None = DESIRED.text, *, reexecute: bool = False
) -> Found:
    return Found(contents, NOON if contents is not None else None, state, reexecute)


def killed(state: UnitState) -> Found:
    return replace(found(state), leftovers=(STATE / "api.sock", STATE / ".bp.sock"))


def described(planned: Sequence[steps.Step]) -> str:
    return "\n".join(f"{step.describe()}: {step.cause}" for step in planned)


STATE = Path("/home/alice/.rancher/k3s/rootless")
CLEAR = (
    f"remove api.sock, .bp.sock from {STATE}: a K3s that was killed left them, and no process uses"
    " them"
)
STOP_LOOP = f"stop {UNIT}: systemd is about to restart it"
WRITE_NEW = f"write {PATH}: the unit file does not exist"
RENEW = f"write {PATH}: it was written for K3s v1.35.0+k3s1, but v1.36.1+k3s1 is installed"
RELOAD_CHANGED = "reload the user manager: the unit file changed"
RELOAD_SEEN = "reload the user manager: the unit or a drop-in changed after systemd read it"
RELOAD_UNREAD = "reload the user manager: systemd has not read the unit file yet"
ENABLE = f"enable {UNIT}: it does not start with the user manager yet"
START = f"start {UNIT}: it is not running"
RESET = f"reset the failed state of {UNIT}: it failed"
RESET_COUNT = f"reset the failed state of {UNIT}: manual restarts count against its start limit"
RESTART = f"restart {UNIT}: the running K3s was started before these changes"
RESTART_OLD = f"restart {UNIT}: the running K3s was started before its unit was written"
RESTART_LOOP = f"restart {UNIT}: systemd is about to restart it after a failure"
REEXECUTE = (
    "re-execute systemd --user (running services are not affected): systemd --user does not use the"
    " new cgroup controllers yet"
)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param(found(ABSENT, None), [WRITE_NEW, RELOAD_CHANGED, ENABLE, START], id="no unit"),
        pytest.param(found(RUNNING), [], id="nothing to do"),
        pytest.param(
            found(replace(RUNNING, file_state="enabled-runtime")), [], id="enabled until logout"
        ),
        pytest.param(found(replace(RUNNING, file_state="disabled")), [ENABLE], id="disabled"),
        pytest.param(found(STOPPED), [START], id="stopped"),
        pytest.param(found(FAILED), [RESET, START], id="failed"),
        pytest.param(found(LOOPING), [RESET, RESTART_LOOP], id="restart loop"),
        pytest.param(
            found(replace(RUNNING, active_state="deactivating", sub_state="stop-sigterm")),
            [START],
            id="stopping",
        ),
        pytest.param(
            found(RUNNING, OLD), [RENEW, RELOAD_CHANGED, RESTART], id="another release, running"
        ),
        pytest.param(
            found(STOPPED, OLD), [RENEW, RELOAD_CHANGED, START], id="another release, stopped"
        ),
        pytest.param(
            found(FAILED, OLD), [RENEW, RELOAD_CHANGED, RESET, START], id="another release, failed"
        ),
        pytest.param(
            found(RUNNING, reexecute=True), [REEXECUTE, RESTART], id="controllers not passed on"
        ),
        pytest.param(found(ABSENT), [RELOAD_UNREAD, ENABLE, START], id="killed after the write"),
        pytest.param(
            found(replace(RUNNING, needs_reload=True, started=NOON - timedelta(hours=1))),
            [RELOAD_SEEN, RESTART],
            id="killed after the write, running",
        ),
        pytest.param(
            found(replace(RUNNING, needs_reload=True)),
            [RELOAD_SEEN, RESTART],
            id="killed after the write, restarted since",
        ),
        pytest.param(
            found(replace(STOPPED, file_state="disabled")),
            [ENABLE, START],
            id="killed after the reload",
        ),
        pytest.param(
            found(replace(RUNNING, started=NOON - timedelta(seconds=2))),
            [RESTART_OLD],
            id="killed before the restart",
        ),
        pytest.param(
            found(replace(RUNNING, started=NOON - timedelta(milliseconds=900))),
            [],
            id="started in the second of the write",
        ),
        pytest.param(found(replace(RUNNING, started=None)), [], id="start unknown"),
        pytest.param(killed(STOPPED), [CLEAR, START], id="killed, stopped"),
        pytest.param(killed(FAILED), [RESET, CLEAR, START], id="killed, failed"),
        pytest.param(killed(LOOPING), [RESET, STOP_LOOP, CLEAR, START], id="killed, restart loop"),
        pytest.param(killed(RUNNING), [], id="killed, and runs again"),
    ],
)
def test_up_performs_the_missing_steps_with_their_causes(
    before: Found, expected: list[str]
) -> None:
    assert described(planner.up(DESIRED, before)) == "\n".join(expected)


DROP_IN = steps.WriteDropIn(
    PATH.parent / f"{UNIT}.d" / "50-k3s-rootless-config.conf", "x", "the unit changed"
)


def test_our_drop_in_is_written_before_the_unit_that_it_is_based_on() -> None:
    written = f"write {DROP_IN.path}: the unit changed"

    assert f"{written}\n{RENEW}\n{RELOAD_CHANGED}\n{RESTART}" == described(
        planner.up(DESIRED, found(RUNNING, OLD), (DROP_IN,))
    )
    assert f"{written}\nreload the user manager: the drop-ins changed\n{RESTART}" == described(
        planner.up(DESIRED, found(RUNNING), (DROP_IN,))
    )


def test_a_foreign_drop_in_does_not_restart_k3s() -> None:
    theirs = replace(found(replace(RUNNING, needs_reload=True)), changed=LATER)

    assert RELOAD_SEEN == described(planner.up(DESIRED, theirs))
    assert RELOAD_SEEN == described(planner.install(DESIRED, theirs))


def test_a_directory_that_becomes_empty_is_removed_unless_k3s_runs() -> None:
    directory = Path("/u/k3s-rootless.service.d")
    remove, kept = (
        steps.Remove(directory / "a.conf", ""),
        steps.Remove(directory / "a.conf", "", directory / "a.conf.bak"),
    )
    write = steps.WriteDropIn(directory / "a.conf", "", "")
    stopped = replace(RUNNING, active_state="inactive", sub_state="dead")
    gone = (steps.RemoveDirectory(directory, "it is empty"),)

    def emptied(
        step: steps.Step | None, *names: str, state: UnitState = stopped
    ) -> tuple[steps.Step, ...]:
        return planner.emptied((step,) if step else (), {directory: frozenset(names)}, state)

    assert gone == emptied(remove, "a.conf") == emptied(None)
    assert (
        () == emptied(remove, "a.conf", state=RUNNING) == emptied(remove, "a.conf", "override.conf")
    )
    assert (
        ()
        == emptied(kept, "a.conf")
        == emptied(write)
        == planner.emptied((), {directory: None}, stopped)
    )


def test_an_install_starts_nothing() -> None:
    assert f"{WRITE_NEW}\n{RELOAD_CHANGED}\n{ENABLE}" == described(
        planner.install(DESIRED, found(ABSENT, None))
    )
    assert () == planner.install(DESIRED, found(FAILED))


def test_a_unit_from_k3ss_own_file_stays_until_the_release_changes() -> None:
    given = sealed(
        DESIRED.text.partition("\n")[2].replace("\n[Service]", "# a comment of K3s\n[Service]")
    )

    assert () == planner.up(DESIRED, found(RUNNING, given))
    assert described(
        planner.up(replace(DESIRED, text=OLD, version="v1.35.0+k3s1"), found(RUNNING, given))
    ).startswith("write")
    assert described(planner.up(replace(DESIRED, given=True), found(RUNNING, given))).startswith(
        f"write {PATH}: it was requested"
    )


@pytest.mark.parametrize("state", [ABSENT, STOPPED, RUNNING, FAILED])
@pytest.mark.parametrize(
    ("contents", "author"),
    [
        (EDITED, "written by k3s-rootless and edited since"),
        (DESIRED.text.replace("\n", "\r\n"), "written by k3s-rootless and edited since"),
        (FOREIGN, "not written by k3s-rootless"),
        (FOREIGN.replace("\n", "\r\n"), "not written by k3s-rootless"),
        ("", "not written by k3s-rootless"),
        ("# caf\udce9\n", "not written by k3s-rootless"),
    ],
    ids=["edited", "edited into CRLF", "foreign", "foreign CRLF", "empty", "no text"],
)
def test_only_force_replaces_a_unit_that_is_not_ours(
    state: UnitState, contents: str, author: str
) -> None:
    with pytest.raises(WouldOverwrite) as caught:
        planner.up(DESIRED, found(state, contents))
    forced = planner.up(DESIRED, found(state, contents), force=True)

    assert f"cannot write `{PATH}`: the existing unit was {author}" == caught.value.message
    assert isinstance(forced[0], steps.WriteUnit)
    assert forced[0].backup is not None
    assert forced[0].backup.parent == PATH.parent
    assert ".bak" == forced[0].backup.suffix
    assert f"write {PATH}, keeping the old file as {forced[0].backup.name}" == forced[0].describe()


def test_two_different_units_are_kept_under_two_names() -> None:
    kept = [
        planner.up(DESIRED, found(RUNNING, contents), force=True)[0]
        for contents in (EDITED, FOREIGN)
    ]

    assert 2 == len({step.backup for step in kept if isinstance(step, steps.WriteUnit)})


@pytest.mark.parametrize("contents", [None, DESIRED.text, OLD], ids=["absent", "the same", "ours"])
def test_force_changes_nothing_if_no_change_is_necessary(contents: str | None) -> None:
    state = ABSENT if contents is None else RUNNING

    assert planner.up(DESIRED, found(state, contents)) == planner.up(
        DESIRED, found(state, contents), force=True
    )


@pytest.mark.parametrize(
    ("state", "disable", "expected"),
    [
        pytest.param(STOPPED, False, [], id="stopped"),
        pytest.param(ABSENT, True, [], id="absent"),
        pytest.param(RUNNING, False, [f"stop {UNIT}: it is active"], id="running"),
        pytest.param(LOOPING, False, [f"stop {UNIT}: it is activating"], id="restart loop"),
        pytest.param(FAILED, False, [RESET], id="failed"),
        pytest.param(
            RUNNING,
            True,
            [f"stop {UNIT}: it is active", f"disable {UNIT}: it would start with the user manager"],
            id="disable",
        ),
        pytest.param(replace(STOPPED, file_state="disabled"), True, [], id="disabled"),
    ],
)
def test_down_stops_a_running_unit(state: UnitState, expected: list[str], *, disable: bool) -> None:
    assert described(planner.down(state, disable=disable)) == "\n".join(expected)


@dataclass(frozen=True)
class World:
    """A model of a user manager and a disk, as far as steps change them.

    Each step takes 10 seconds.
    """

    disk: str | None
    loaded: str | None
    enabled: bool
    active: tuple[str, str]
    written: datetime
    started: datetime
    now: datetime = NOON

    def found(self) -> Found:
        known = self.loaded is not None
        state = UnitState(
            UNIT,
            "loaded" if known else "not-found",
            *self.active,
            fragment=PATH if known else None,
            file_state=("enabled" if self.enabled else "disabled") if known else "",
            needs_reload=known and self.disk != self.loaded,
            started=self.started if self.active == ("active", "running") else None,
        )
        return Found(self.disk, self.written if self.disk is not None else None, state)

    def after(self, step: steps.Step) -> World:
        world = replace(self, now=self.now + timedelta(seconds=10))
        match step:
            case steps.WriteUnit(_, contents):
                world = replace(world, disk=contents, written=world.now)
            case steps.Reload():
                world = replace(world, loaded=world.disk)
            case steps.Enable() | steps.Disable():
                world = replace(world, enabled=isinstance(step, steps.Enable), loaded=world.disk)
            case steps.ResetFailed() | steps.Stop():
                world = replace(world, active=("inactive", "dead"))
            case steps.Start() | steps.Restart():
                assert world.loaded is not None
                assert world.active[0] != "failed" or isinstance(step, steps.Restart)
                world = replace(world, active=("active", "running"), started=world.now)
            case _:
                raise AssertionError(step)
        return world


TIMES = st.integers(-3600, 0).map(lambda seconds: NOON + timedelta(seconds=seconds))
ACTIVE = [
    ("active", "running"),
    ("inactive", "dead"),
    ("failed", "failed"),
    ("activating", "auto-restart"),
]
TEXTS = st.sampled_from([None, DESIRED.text, OLD, EDITED, FOREIGN])
WORLDS = st.builds(World, TEXTS, TEXTS, st.booleans(), st.sampled_from(ACTIVE), TIMES, TIMES)


@given(WORLDS)
def test_a_second_up_has_nothing_to_do(world: World) -> None:
    for step in planner.up(DESIRED, world.found(), force=True):
        world = world.after(step)

    assert () == planner.up(DESIRED, world.found())
    assert world.disk == DESIRED.text == world.loaded
    assert world.enabled
    assert ("active", "running") == world.active
    assert world.started + timedelta(seconds=1) >= world.written


@given(WORLDS, st.lists(st.integers(0, 5), max_size=4))
def test_the_next_up_completes_one_that_was_killed(world: World, kills: list[int]) -> None:
    for done in kills:
        for step in planner.up(DESIRED, world.found(), force=True)[:done]:
            world = world.after(step)

    inner = test_a_second_up_has_nothing_to_do.hypothesis  # type: ignore[attr-defined]
    inner.inner_test(world)


@given(WORLDS, st.booleans())
def test_a_second_down_has_nothing_to_do(
    world: World,
    disable: bool,  # noqa: FBT001 (from Hypothesis)
) -> None:
    for step in planner.down(world.found().state, disable=disable):
        world = world.after(step)

    assert () == planner.down(world.found().state, disable=disable)
    assert ("inactive", "dead") == world.active


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (RUNNING, f"{RESET_COUNT}\nrestart {UNIT}: it was requested"),
        (STOPPED, f"{RESET_COUNT}\nrestart {UNIT}: it was requested"),
        (
            FAILED,
            f"reset the failed state of {UNIT}: it failed\nrestart {UNIT}: it was requested",
        ),
        (
            replace(RUNNING, active_state="activating", sub_state="auto-restart"),
            f"reset the failed state of {UNIT}: it failed\nrestart {UNIT}: it was requested",
        ),
        (
            replace(RUNNING, needs_reload=True),
            (
                "reload the user manager: the unit changed after systemd read"
                f" it\n{RESET_COUNT}\nrestart {UNIT}: it was requested"
            ),
        ),
    ],
    ids=["running", "stopped", "failed", "restart loop", "changed"],
)
def test_a_restart_uses_the_current_configuration(state: UnitState, expected: str) -> None:
    assert expected == described(planner.restart(state))
