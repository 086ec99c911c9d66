from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.errors import WouldOverwrite
from k3s_rootless.service.drop_ins import drop_in
from k3s_rootless.service.facts import DesiredDropIn, FoundFile, UnitState
from k3s_rootless.service.plan import planner, steps
from k3s_rootless.service.unit.seal import Author, author

PATH = Path("/home/alice/.config/systemd/user/k3s-rootless.service.d") / drop_in.name("server")
NEW = drop_in.render("About it.", ["[Service]", "CPUWeight=50"])
OLD = drop_in.render("About it.", ["[Service]", "CPUWeight=10"])
EDITED = OLD.replace("10", "20")
FOREIGN = "[Service]\nCPUWeight=30\n"


def found(text: str | None, **changes: Any) -> FoundFile:
    return replace(FoundFile(PATH, text, datetime(2026, 11, 24, tzinfo=UTC), 0o644), **changes)


def test_our_name_sorts_before_the_users_drop_in() -> None:
    assert "50-k3s-rootless-server.conf" == drop_in.name("server")
    assert drop_in.is_ours(drop_in.name("environment", 7))
    assert not any(
        map(
            drop_in.is_ours,
            ("override.conf", "50-k3s-rootless-server.conf.bak", "k3s-rootless-server.conf"),
        )
    )
    assert drop_in.name("server", 99) < "override.conf"


def test_a_drop_in_is_recognised_until_it_is_edited() -> None:
    assert [Author.OURS, Author.EDITED, Author.FOREIGN] == [
        author(text) for text in (NEW, EDITED, FOREIGN)
    ]
    assert ["# About it.", "", "[Service]", "CPUWeight=50"] == NEW.splitlines()[1:]


@pytest.mark.parametrize(
    ("before", "desired", "expected"),
    [
        (found(None), NEW, f"write {PATH}: requested"),
        (found(OLD), NEW, f"write {PATH}: requested"),
        (found(NEW), NEW, ""),
        (
            found(NEW, mode=0o666),
            NEW,
            f"set the mode of {PATH} to 0644: other users can access it: its mode is 0666",
        ),
        (found(NEW, mode=0o600), NEW, ""),
        (found(OLD), None, f"remove {PATH}: requested"),
        (found(None), None, ""),
    ],
    ids=["new", "changed", "same", "wide", "strict", "gone", "never there"],
)
def test_our_drop_in_gets_its_desired_state(
    before: FoundFile, desired: str | None, expected: str
) -> None:
    made = planner.drop_in(DesiredDropIn(PATH, desired), before, "requested")

    assert expected == "\n".join(f"{step.describe()}: {step.cause}" for step in made)


@pytest.mark.parametrize("desired", [NEW, None])
@pytest.mark.parametrize(
    "before",
    [found(EDITED), found(FOREIGN), found(OLD, link=True), found("", link=True)],
    ids=["edited", "foreign", "link", "mask"],
)
def test_only_force_replaces_a_drop_in_that_is_not_ours(
    before: FoundFile, desired: str | None
) -> None:
    with pytest.raises(WouldOverwrite):
        planner.drop_in(DesiredDropIn(PATH, desired), before, "requested")
    (step,) = planner.drop_in(DesiredDropIn(PATH, desired), before, "requested", force=True)

    assert isinstance(step, steps.WriteDropIn | steps.Remove)
    assert step.backup is not None
    assert step.backup.name.startswith(f"{PATH.name}.")
    assert ".bak" == step.backup.suffix


def test_an_unreadable_file_is_not_replaced_even_with_force() -> None:
    with pytest.raises(WouldOverwrite, match="it is not a regular file"):
        planner.drop_in(
            DesiredDropIn(PATH, NEW),
            found(None, problem="it is not a regular file"),
            "requested",
            force=True,
        )


NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
RUNNING = UnitState("k3s-rootless.service", "loaded", "active", "running", started=NOON)


@pytest.mark.parametrize(
    ("state", "seconds", "pending"),
    [
        (RUNNING, 1.5, True),
        (RUNNING, 0.9, False),
        (RUNNING, -60, False),
        (RUNNING, None, False),
        (replace(RUNNING, active_state="inactive", sub_state="dead"), 60, False),
        (replace(RUNNING, started=None), 60, False),
    ],
    ids=["after", "in the same second", "before", "nothing is there", "stopped", "start unknown"],
)
def test_a_change_after_the_start_requires_a_restart(
    state: UnitState, seconds: float | None, *, pending: bool
) -> None:
    changed = None if seconds is None else NOON + timedelta(seconds=seconds)

    assert pending == (drop_in.restart_pending(state, changed) is not None)


@given(
    st.sampled_from([None, OLD, NEW, EDITED, FOREIGN]),
    st.sampled_from([None, NEW]),
    st.sampled_from([0o600, 0o644]),
)
def test_a_second_change_has_no_steps(before: str | None, desired: str | None, mode: int) -> None:
    configured = DesiredDropIn(PATH, desired, mode)
    here = found(before)
    for step in planner.drop_in(configured, here, "requested", force=True):
        match step:
            case steps.WriteDropIn():
                here = found(step.text, mode=step.mode)
            case steps.SetMode():
                here = replace(here, mode=step.mode)
            case _:
                here = found(None)

    assert () == planner.drop_in(configured, here, "requested")


@pytest.mark.parametrize("desired", [NEW, None])
def test_a_dangling_link_is_foreign_and_has_no_copy(
    desired: str | None,
) -> None:
    link = found(None, link=True)

    with pytest.raises(WouldOverwrite):
        planner.drop_in(DesiredDropIn(PATH, desired), link, "requested")
    (step,) = planner.drop_in(DesiredDropIn(PATH, desired), link, "requested", force=True)
    assert isinstance(step, steps.WriteDropIn | steps.Remove)
    assert step.backup is None
