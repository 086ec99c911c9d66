"""Tests of the JSON documents of `env`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from k3s_rootless.k3s import version
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations.environment import document
from k3s_rootless.operations.environment.reading import ObservedEnvironment
from k3s_rootless.paths import UNIT
from k3s_rootless.service.environment.precedence import EnvironmentFile, Sources
from k3s_rootless.service.environment.variables import VARIABLES, Surroundings
from k3s_rootless.service.facts import FoundFile, UnitState

MTU = "K3S_ROOTLESS_MTU"
DIRECTORY = Path("/home/alice/.config/systemd/user")
OWN = DIRECTORY / f"{UNIT}.d" / "50-k3s-rootless-environment.conf"


def seen(
    sources: Sources, running: Observed[Any] | None = None, *, active: str = "inactive"
) -> ObservedEnvironment:
    state = UnitState(UNIT, "loaded", active, "running", fragment=DIRECTORY / UNIT)
    return ObservedEnvironment(
        state,
        DIRECTORY,
        sources,
        running or Unknown("K3s does not run"),
        version.parse("v1.33.4+k3s1"),
    )


def row(found: ObservedEnvironment, name: str, *, reveal: bool = False) -> dict[str, Any]:
    return document.row(found, Surroundings(), name, reveal=reveal)


def test_an_unset_variable_has_its_default() -> None:
    found = row(seen(Sources()), MTU)

    assert {
        "name": MTU,
        "value": None,
        "set": False,
        "redacted": False,
        "default": "65520",
        "origin": "default",
        "path": None,
        "ours": False,
        "sources": [],
        "effect": "used",
        "reason": "",
        "warnings": [],
        "doubt": "",
        "started_with": None,
        "restart_needed": False,
    } == found


def test_each_source_of_a_value_is_named() -> None:
    sources = Sources(
        manager={MTU: "1"},
        unit={MTU: "2"},
        files=(FoundFile(OWN, f"[Service]\nEnvironment={MTU}=2\n"),),
        environment_files=(EnvironmentFile(Path("/k3s.env"), Unknown("it cannot be read")),),
    )

    found = row(seen(sources), MTU)

    assert [
        {"origin": "manager", "path": None, "value": "1"},
        {"origin": "drop-in", "path": str(OWN), "value": "2"},
    ] == found["sources"]
    assert ("2", "drop-in", True) == (found["value"], found["origin"], found["ours"])
    assert "it cannot be read" == found["doubt"]


def test_a_password_is_redacted_everywhere_unless_it_is_requested() -> None:
    proxy = "http://bob:secret@proxy"
    found = seen(Sources(unit={"HTTP_PROXY": proxy}), Known({"HTTP_PROXY": proxy}, "/proc"))

    hidden = row(found, "HTTP_PROXY")

    assert "secret" not in str(hidden)
    assert hidden["redacted"]
    revealed = row(found, "HTTP_PROXY", reveal=True)
    assert (proxy, proxy, False) == (
        revealed["value"],
        revealed["started_with"],
        revealed["redacted"],
    )


def test_a_restart_is_needed_where_the_process_has_another_value() -> None:
    running = Known({MTU: "1300", "NO_PROXY": ""}, "/proc")
    sources = Sources(unit={MTU: "1400"})

    found = seen(sources, running, active="active")
    answer = document.document(found, Surroundings(), reveal=False)

    rows = {one["name"]: one for one in answer["variables"]}
    assert ("1300", True) == (rows[MTU]["started_with"], rows[MTU]["restart_needed"])
    assert not rows["NO_PROXY"]["restart_needed"], "empty is as good as not set"
    assert ([MTU], None) == (answer["pending"], answer["unknown_running"])
    assert list(VARIABLES) == list(rows)


def test_a_value_in_doubt_needs_no_restart() -> None:
    sources = Sources(
        unit={MTU: "1400"},
        environment_files=(EnvironmentFile(Path("/k3s.env"), Unknown("it cannot be read")),),
    )

    assert not row(seen(sources, Known({}, "/proc")), MTU)["restart_needed"]


def test_an_unknown_process_is_reported_with_the_reason() -> None:
    found = seen(Sources(), Unknown("permission denied"), active="active")
    answer = document.document(found, Surroundings(), reveal=False)

    assert (None, "permission denied") == (answer["pending"], answer["unknown_running"])
    stopped = document.document(seen(Sources()), Surroundings(), reveal=False)
    assert None is stopped["unknown_running"]
