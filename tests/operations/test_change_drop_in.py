"""Tests that our drop-ins are written, reloaded and read back.

If this fails, the previous state is restored.
"""

from __future__ import annotations

import pytest

from k3s_rootless.errors import RootlessError, WouldOverwrite
from k3s_rootless.operations import change_drop_in
from k3s_rootless.paths import UNIT
from k3s_rootless.service.facts import DesiredDropIn, UnitState
from k3s_rootless.service.observe import files
from k3s_rootless.service.unit.seal import sealed
from tests.fakes.managed_host import ManagedHost

OURS = "50-k3s-rootless-environment.conf"
TEXT = sealed("[Service]\nEnvironment=A=b\n")


def as_desired(state: UnitState) -> str | None:
    return None if (state.environment or {}).get("A") == "b" else "A is not b"


def accept(state: UnitState) -> None:
    del state


def perform(
    host: ManagedHost, text: str | None = TEXT, *, checked: bool = True, force: bool = False
) -> tuple[UnitState, bool]:
    found = files.read(host.drop_ins / OURS)
    desired = DesiredDropIn(found.path, text)
    differs = as_desired if checked else accept
    with host.context.manager() as manager, host.context.locked():
        return change_drop_in.perform(
            host.context, manager, [(found, desired)], "a test", differs, force=force
        )


@pytest.fixture
def installed(host: ManagedHost) -> ManagedHost:
    host.install()
    return host


def test_a_drop_in_is_written_and_reloaded_once(installed: ManagedHost) -> None:
    state, changed = perform(installed)

    assert (True, "b") == (changed, (state.environment or {})["A"])
    assert {OURS: TEXT} == installed.files()
    assert [
        f"write {installed.drop_ins / OURS}: a test",
        "reload the user manager: the drop-ins changed",
    ] == installed.notices

    assert not perform(installed)[1]
    assert 1 == installed.members.count("Reload")


def test_what_a_killed_run_did_not_reload_is_reloaded(installed: ManagedHost) -> None:
    with installed.context.manager() as manager:
        manager.unit(UNIT)
    installed.write_drop_in(OURS).write_text(TEXT)

    state, changed = perform(installed)

    assert (False, "b") == (changed, (state.environment or {})["A"])
    assert 1 == installed.members.count("Reload")


def test_what_a_killed_run_left_half_written_goes(installed: ManagedHost) -> None:
    half = installed.write_drop_in(f".{OURS}.abcdefgh.new")

    perform(installed)

    assert not half.exists()


def test_the_last_drop_in_goes_with_its_directory(installed: ManagedHost) -> None:
    perform(installed)

    assert perform(installed, None, checked=False)[1]

    assert not installed.drop_ins.exists()


def test_while_k3s_runs_the_directory_stays_and_its_files_are_recorded(
    installed: ManagedHost,
) -> None:
    with installed.context.manager() as manager:
        manager.start(UNIT)

    perform(installed)
    perform(installed, None, checked=False)

    assert {} == installed.files()
    assert installed.drop_ins.is_dir()
    assert installed.context.paths.start_record.exists()


def test_a_difference_undoes_the_change(installed: ManagedHost) -> None:
    installed.bus.order(deaf=True)

    with pytest.raises(
        RootlessError, match="systemd did not apply the change: A is not b"
    ) as refused:
        perform(installed)

    assert "systemctl --user cat" in (refused.value.hint or "")
    assert not installed.drop_ins.exists(), "it did not exist before"
    assert "the change was undone: the drop-ins are as before" == installed.notices[-1]


def test_an_undone_change_leaves_no_copy(installed: ManagedHost) -> None:
    edited = "[Service]\nEnvironment=A=x\n"
    installed.write_drop_in(OURS).write_text(edited)
    with pytest.raises(WouldOverwrite):
        perform(installed)
    installed.bus.order(deaf=True)

    with pytest.raises(RootlessError):
        perform(installed, force=True)

    assert {OURS: edited} == installed.files()


def test_a_manager_that_is_gone_at_the_reload_is_reported_with_the_undo(
    installed: ManagedHost,
) -> None:
    installed.bus.order(exit_at="Reload")

    with pytest.raises(RootlessError):
        perform(installed)

    assert {} == installed.files()
    assert installed.notices[-1].startswith(
        "the change was undone, but systemd did not reload the earlier drop-ins:"
    )


def test_a_unit_that_systemd_cannot_load_undoes_the_change(installed: ManagedHost) -> None:
    installed.bus.order(
        properties={
            "LoadState": ("s", "bad-setting"),
            "LoadError": ("(ss)", ["org.freedesktop.systemd1.BadUnitSetting", "bad"]),
        }
    )

    with pytest.raises(RootlessError, match="systemd cannot load the unit: bad"):
        perform(installed)

    assert {} == installed.files()


def test_without_a_unit_there_is_nothing_to_read_back(host: ManagedHost) -> None:
    state, changed = perform(host)

    assert (True, False) == (changed, state.installed)
    assert {OURS: TEXT} == host.files()
