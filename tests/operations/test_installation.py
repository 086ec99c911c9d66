"""Tests of the expected unit, rendered or adopted, and of the unit as read from systemd."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.errors import PreflightFailed, UsageError
from k3s_rootless.k3s.version import parse
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.operations import installation
from k3s_rootless.operations.context import Context
from k3s_rootless.paths import UNIT
from k3s_rootless.preflight.facts import K3sBinary
from k3s_rootless.service.facts import UnitState
from tests.fakes.session import Session
from tests.operations import unit

STATE = UnitState(UNIT, "loaded", "inactive", "dead")


def k3s(version: str = unit.VERSION, path: str | None = "/usr/local/bin/k3s") -> K3sBinary:
    found = parse(version)
    assert found is not None
    return K3sBinary(path=path, version=Known(found))


def test_the_unit_is_rendered_for_the_k3s_that_was_found(tmp_path: Path) -> None:
    desired = installation.desired(k3s(), tmp_path)

    assert (tmp_path / UNIT, unit.VERSION) == (desired.path, desired.version)
    assert "/usr/local/bin/k3s" in desired.text
    assert "server --rootless" in desired.text


def test_a_unit_in_its_expected_form_is_kept(tmp_path: Path) -> None:
    text = installation.desired(k3s(), tmp_path).text
    (tmp_path / UNIT).write_text(text)

    assert text == installation.desired(k3s(), tmp_path).text


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (K3sBinary(path=None, version=Unknown("none")), "k3s was not found"),
        (K3sBinary(path="/bin/k3s", version=Unknown("none")), "the version of k3s is not known"),
        (k3s("v1.19.1+k3s1"), "K3s v1.19.1+k3s1 ships no unit for rootless mode"),
    ],
)
def test_nothing_is_rendered_without_a_k3s_that_ships_a_unit(
    found: K3sBinary, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(PreflightFailed) as refused:
        installation.desired(found, tmp_path)

    assert f"cannot render the unit: {reason}" == str(refused.value)


def test_the_unit_file_of_a_user_must_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        installation.desired(k3s(), tmp_path, tmp_path / "absent")


def test_drop_ins_extend_the_installed_unit(context: Context, home: Path) -> None:
    (home / UNIT).write_text("installed")
    elsewhere = home / "elsewhere.service"
    elsewhere.write_text("of systemd")
    state = replace(STATE, fragment=elsewhere)

    own = installation.text_to_build_on(context, home, state)
    (home / UNIT).unlink()

    assert ("installed", "of systemd") == (
        own,
        installation.text_to_build_on(context, home, state),
    )


def test_drop_ins_without_a_unit_extend_the_unit_that_up_would_write(
    context: Context, home: Path
) -> None:
    unit.write_k3s(home)

    assert unit.VERSION in installation.text_to_build_on(context, home, STATE)


@pytest.mark.parametrize(("content", "stale"), [("[Service]\n", True), ("", False)])
def test_a_drop_in_that_systemd_did_not_notice_needs_a_reload(
    context: Context, bus: Session, home: Path, content: str, *, stale: bool
) -> None:
    unit.write(bus, home)
    directory = installation.drop_in_directory(home)
    with context.manager() as manager:
        before = installation.observed(manager, home).needs_reload
        directory.mkdir()
        (directory / "10-limits.conf").write_text(content)
        after = installation.observed(manager, home).needs_reload

    assert (False, stale) == (before, after)


def test_files_of_a_killed_k3s_are_found_only_while_no_k3s_runs(
    context: Context, home: Path
) -> None:
    rootless = home / "data" / "rootless"
    rootless.mkdir(parents=True)
    (rootless / "child_pid").write_text("7")
    state = replace(STATE, argv=("k3s", "server", f"--data-dir={home / 'data'}"))
    runs = replace(state, active_state="active", sub_state="running")

    assert (rootless / "child_pid",) == installation.left_behind(context, state, {})
    assert () == installation.left_behind(context, runs, {})


def test_a_masked_unit_has_its_own_error() -> None:
    masked = installation.absence(replace(STATE, load_state="masked"))
    absent = installation.absence(replace(STATE, load_state="not-found"))

    assert f"unmask it with: systemctl --user unmask {UNIT}" == masked.hint
    assert "K3s is not installed for this user" == str(absent)
