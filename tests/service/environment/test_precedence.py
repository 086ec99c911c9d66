from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.observation import Known, Unknown
from k3s_rootless.service.environment import pending
from k3s_rootless.service.environment.precedence import (
    EnvironmentFile,
    Origin,
    Sources,
    differing,
    resolve,
)
from k3s_rootless.service.environment.variables import VARIABLES
from k3s_rootless.service.facts import FoundFile, UnitState

UNIT, OURS, USERS = (
    Path("/u/k.service"),
    Path("/u/k.service.d/50-ours.conf"),
    Path("/u/k.service.d/override.conf"),
)
FILE, CONF = Path("/etc/proxy.env"), Path("/h/.config/environment.d/9.conf")
NAME = "K3S_ROOTLESS_MTU"


def files(**texts: str) -> tuple[FoundFile, ...]:
    places = {"unit": UNIT, "ours": OURS, "users": USERS}
    return tuple(FoundFile(places[name], f"[Service]\n{text}\n") for name, text in texts.items())


def environment_file(value: str) -> EnvironmentFile:
    return EnvironmentFile(FILE, Known({NAME: value}))


MANAGER = {"manager": {NAME: "1"}}
UNITS = {"unit": {NAME: "2"}, "files": files(unit=f"Environment={NAME}=2")}
DROP_IN = {
    "unit": {NAME: "3"},
    "files": files(unit=f"Environment={NAME}=2", ours=f"Environment={NAME}=3"),
}
USERS_OWN = {
    "unit": {NAME: "4"},
    "files": files(ours=f"Environment={NAME}=3", users=f"Environment={NAME}=4"),
}
FROM_FILE = {"environment_files": (environment_file("5"),)}
UNSET = {"unset": (NAME,), "files": files(users=f"UnsetEnvironment={NAME}")}


@pytest.mark.parametrize(
    ("sources", "value", "origin", "path"),
    [
        ({}, None, Origin.DEFAULT, None),
        (MANAGER, "1", Origin.MANAGER, None),
        (MANAGER | {"generated": {NAME: ("1", CONF)}}, "1", Origin.ENVIRONMENT_D, CONF),
        (MANAGER | {"generated": {NAME: ("other", CONF)}}, "1", Origin.MANAGER, None),
        (MANAGER | UNITS, "2", Origin.UNIT, UNIT),
        (MANAGER | DROP_IN, "3", Origin.DROP_IN, OURS),
        (USERS_OWN, "4", Origin.DROP_IN, USERS),
        ({"unit": {NAME: "3"}}, "3", Origin.UNIT, None),
        (
            {
                "unit": {NAME: "3"},
                "files": files(ours=f"Environment={NAME}=3", users="Environment="),
            },
            "3",
            Origin.UNIT,
            None,
        ),
        (MANAGER | DROP_IN | FROM_FILE, "5", Origin.ENVIRONMENT_FILE, FILE),
        (
            FROM_FILE | {"environment_files": (environment_file("5"), environment_file("6"))},
            "6",
            Origin.ENVIRONMENT_FILE,
            FILE,
        ),
        (MANAGER | FROM_FILE | UNSET, None, Origin.UNSET, USERS),
        (FROM_FILE | {"unset": (f"{NAME}=5",)}, None, Origin.UNSET, None),
        (FROM_FILE | {"unset": (f"{NAME}=4",)}, "5", Origin.ENVIRONMENT_FILE, FILE),
        ({"unset": (NAME,)}, None, Origin.DEFAULT, None),
    ],
)
def test_the_strongest_counts(
    sources: dict[str, object], value: str | None, origin: Origin, path: Path | None
) -> None:
    found = resolve(NAME, Sources(**sources))  # type: ignore[arg-type]

    assert (found.value, found.last.origin, found.last.path) == (value, origin, path)


def test_layers_that_override_ours_are_returned() -> None:
    files: Any = DROP_IN["files"]
    sources = Sources(unit={NAME: "3"}, files=files, environment_files=(environment_file("5"),))
    found = resolve(NAME, sources)

    assert [f"EnvironmentFile {FILE}"] == [
        layer.place for layer in found.above(Origin.DROP_IN, OURS.name)
    ]
    assert found.above(Origin.DROP_IN, USERS.name) == found.layers, (
        "what another drop-in sets is in its place"
    )
    assert () == found.above(Origin.ENVIRONMENT_FILE)


def test_an_unreadable_file_makes_the_value_uncertain() -> None:
    sources = Sources(
        MANAGER["manager"], environment_files=(EnvironmentFile(FILE, Unknown("permission denied")),)
    )

    assert "permission denied" == resolve(NAME, sources).doubt
    assert () == differing([NAME], sources, {NAME: "7"}), "an unknown value is no difference"


@given(
    st.dictionaries(st.sampled_from("ABC"), st.text(max_size=2)),
    st.dictionaries(st.sampled_from("ABC"), st.text(max_size=2)),
)
def test_only_differences_are_returned(now: dict[str, str], started: dict[str, str]) -> None:
    found = differing("ABC", Sources(unit=now), started)

    assert found == tuple(
        name for name in "ABC" if (now.get(name) or "") != (started.get(name) or "")
    )


SOME = st.dictionaries(
    st.sampled_from(["K3S_ROOTLESS_MTU", "NO_PROXY", "https_proxy", "K3S_DATA_DIR", "OTHER"]),
    st.sampled_from(["", "1", "2"]),
)


@given(
    SOME, SOME, st.sets(st.sampled_from(["K3S_ROOTLESS_MTU", "NO_PROXY=1", "https_proxy="])), SOME
)
def test_differences_are_the_same_with_and_without_layers(
    manager: dict[str, str], unit: dict[str, str], unset: set[str], running: dict[str, str]
) -> None:
    state = UnitState(
        "k.service", "loaded", "active", "running", environment=unit, unset=tuple(unset)
    )

    assert differing(
        pending.COMPARED, Sources(manager, unit=unit, unset=tuple(unset)), running
    ) == pending.differing(manager, state, running)


@pytest.mark.parametrize(
    ("started", "expected"),
    [("/home/alice/.rancher/k3s/data/" + "0f" * 32, ()), ("/srv/k3s", ("K3S_DATA_DIR",)), ("", ())],
)
def test_the_unpack_directory_of_an_older_k3s_is_not_a_setting(
    started: str, expected: tuple[str, ...]
) -> None:
    state = UnitState("k.service", "loaded", "active", "running")

    assert expected == pending.differing({}, state, {"K3S_DATA_DIR": started})


def test_the_compared_names_are_those_with_a_judge() -> None:
    assert [*VARIABLES] == [name for name in pending.NAMES if name not in pending.TWINS]
    assert {*pending.TWINS} == {
        name for name in pending.NAMES if name.lower().endswith("_proxy")
    } - {*VARIABLES}
