"""State of the unit in relation to its files, their times and the k3s binary."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from k3s_rootless.service.facts import UnitState
from k3s_rootless.service.unit import pending_changes
from k3s_rootless.service.unit.pending_changes import Part
from k3s_rootless.service.unit.seal import Author

THEN = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
UNIT, DROP_IN = Path("/u/k3s-rootless.service"), Path("/u/k3s-rootless.service.d/a.conf")


def state(**more: object) -> UnitState:
    given: dict[str, object] = {
        "active_state": "active",
        "sub_state": "running",
        "started": THEN,
        **more,
    }
    return UnitState("k3s-rootless.service", "loaded", **given)  # type: ignore[arg-type]


def part(path: Path = UNIT, seconds: float = -60, author: Author | None = Author.OURS) -> Part:
    return Part(path, THEN + timedelta(seconds=seconds), author)


@pytest.mark.parametrize(
    ("unit", "parts", "expected"),
    [
        (state(), [part()], []),
        (state(), [part(seconds=0.9)], []),
        (
            state(),
            [part(seconds=60)],
            ["restart: the running K3s was started before `/u/k3s-rootless.service` was written"],
        ),
        (
            state(),
            [part(), part(DROP_IN, 60)],
            [f"restart: the running K3s was started before `{DROP_IN}` was written"],
        ),
        (
            state(needs_reload=True),
            [part(seconds=60)],
            [
                "reload: the unit changed after systemd read it",
                "restart: the running K3s was started before that change",
            ],
        ),
        (
            state(needs_reload=True, active_state="inactive", sub_state="dead"),
            [part(seconds=60)],
            ["reload: the unit changed after systemd read it"],
        ),
        (state(active_state="inactive", sub_state="dead"), [part(seconds=60)], []),
        (state(started=None), [part(seconds=60)], []),
        (state(), [Part(UNIT, None, None, "cannot read it")], []),
    ],
)
def test_a_configured_change_that_is_not_in_effect_is_pending(
    unit: UnitState, parts: list[Part], expected: list[str]
) -> None:
    assert expected == [f"{one.what}: {one.cause}" for one in pending_changes.pending(unit, parts)]


def test_changed_variables_are_reported_as_pending() -> None:
    expected = [
        f"{one.what}: {one.cause}"
        for one in pending_changes.pending(state(), [part(DROP_IN, 60)], ("A", "B"))
    ]

    assert [
        "restart: A, B changed after K3s was started",
        f"restart: the running K3s was started before `{DROP_IN}` was written",
    ] == expected
    assert () == pending_changes.pending(
        state(active_state="inactive", sub_state="dead"), [], ("A",)
    )


def test_drift_names_the_files_that_are_not_ours() -> None:
    parts = [
        part(author=Author.EDITED),
        part(DROP_IN, author=Author.FOREIGN),
        part(DROP_IN),
        part(author=None),
    ]

    assert (
        "`/u/k3s-rootless.service` was written by k3s-rootless and edited since",
        f"`{DROP_IN}` was not written by k3s-rootless",
    ) == pending_changes.drift(parts)


@pytest.mark.parametrize(
    ("binary", "parts", "same"),
    [
        (THEN - timedelta(days=1), [part()], True),
        (THEN - timedelta(seconds=60.5), [part()], False),
        (THEN, [part()], False),
        (THEN - timedelta(days=1), [part(author=Author.EDITED)], False),
        (THEN - timedelta(days=1), [part(author=Author.FOREIGN)], False),
        (THEN - timedelta(days=1), [], False),
        (None, [part()], False),
    ],
)
def test_a_binary_is_the_one_of_the_unit_only_if_it_is_older(
    binary: datetime | None, parts: list[Part], *, same: bool
) -> None:
    assert same is pending_changes.unchanged(binary, parts)
