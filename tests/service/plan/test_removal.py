from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from k3s_rootless.errors import WouldOverwrite
from k3s_rootless.paths import UNIT
from k3s_rootless.service.drop_ins import drop_in
from k3s_rootless.service.facts import FoundFile, UnitState
from k3s_rootless.service.plan import removal
from k3s_rootless.service.unit.seal import sealed

UNITS = Path("/home/alice/.config/systemd/user")
DROP_INS = UNITS / f"{UNIT}.d"
OURS, EDITED, FOREIGN = sealed("a\n"), sealed("a\n") + "b\n", "[Service]\n"
LINK = UNITS / "default.target.wants" / UNIT


def file(path: Path, text: str | None, *, link: bool = False) -> FoundFile:
    return FoundFile(path, text, datetime(2026, 11, 24, tzinfo=UTC), 0o644, link)


def described(
    unit: FoundFile, *drop_ins: FoundFile, link: Path | None = None, force: bool = False
) -> list[str]:
    names = frozenset(one.path.name for one in drop_ins) if drop_ins else None
    return [
        step.describe()
        for step in removal.files(unit, drop_ins, DROP_INS, names, link, force=force)
    ]


CONFIG = DROP_INS / drop_in.name("config")


def test_our_files_and_the_empty_directory_are_removed() -> None:
    assert [f"remove {CONFIG}", f"remove {DROP_INS}", f"remove {UNITS / UNIT}"] == described(
        file(UNITS / UNIT, OURS), file(CONFIG, OURS)
    )


def test_a_foreign_file_and_its_directory_stay() -> None:
    others = [
        file(DROP_INS / "override.conf", OURS),
        file(Path("/etc/systemd/user") / f"{UNIT}.d" / drop_in.name("x"), OURS),
        file(DROP_INS / drop_in.name("environment"), EDITED),
        file(DROP_INS / drop_in.name("mask"), "", link=True),
        FoundFile(DROP_INS / drop_in.name("pipe"), None, problem="it is not a regular file"),
    ]

    assert [f"remove {CONFIG}", f"remove {UNITS / UNIT}"] == described(
        file(UNITS / UNIT, OURS), *others, file(CONFIG, OURS)
    )


@pytest.mark.parametrize(
    "unit",
    [file(UNITS / UNIT, EDITED), file(UNITS / UNIT, FOREIGN), file(UNITS / UNIT, OURS, link=True)],
    ids=["edited", "foreign", "link"],
)
def test_only_force_removes_a_foreign_unit_and_keeps_a_copy(unit: FoundFile) -> None:
    with pytest.raises(WouldOverwrite):
        described(unit, file(CONFIG, OURS))

    assert [f"remove {CONFIG}", f"remove {DROP_INS}"] == described(
        unit, file(CONFIG, OURS), force=True
    )[:2]
    assert "keeping it as k3s-rootless.service." in described(unit, force=True)[-1]


def test_files_of_a_killed_run_are_removed() -> None:
    assert [f"remove {LINK}"] == described(file(UNITS / UNIT, None), link=LINK)
    assert [f"remove {CONFIG}", f"remove {DROP_INS}"] == described(
        file(UNITS / UNIT, None), file(CONFIG, OURS)
    )
    assert [] == described(file(UNITS / UNIT, None))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (
            UnitState(UNIT, "loaded", "active", "running", file_state="enabled"),
            [f"stop {UNIT}", f"disable {UNIT}"],
        ),
        (
            UnitState(UNIT, "loaded", "activating", "auto-restart", file_state="disabled"),
            [f"stop {UNIT}"],
        ),
        (UnitState(UNIT, "loaded", "failed", "failed", file_state="enabled"), [f"disable {UNIT}"]),
        (UnitState(UNIT, "not-found", "inactive", "dead"), []),
        (UnitState(UNIT, "not-found", "active", "running"), [f"stop {UNIT}"]),
    ],
    ids=["running", "restart loop", "failed", "absent", "runs without its file"],
)
def test_k3s_is_stopped_before_its_unit_is_removed(state: UnitState, expected: list[str]) -> None:
    assert expected == [
        step.describe() for step in removal.stopping(state, file(UNITS / UNIT, OURS))
    ]
