"""Tests of `env` as text: a table with notes, and the result of a change for each variable."""

from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.cli.display import environment
from k3s_rootless.cli.display.report import Report
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.operations.environment import document
from k3s_rootless.operations.environment.change import Changed, ChangedVariable
from k3s_rootless.operations.environment.reading import ObservedEnvironment
from k3s_rootless.paths import UNIT
from k3s_rootless.service.environment.precedence import Origin, Sources
from k3s_rootless.service.environment.variables import Surroundings
from k3s_rootless.service.facts import FoundFile, UnitState

MTU = "K3S_ROOTLESS_MTU"
DIRECTORY = Path("/units")
OWN = DIRECTORY / f"{UNIT}.d" / "50-k3s-rootless-environment.conf"
IN_DROP_IN = (FoundFile(OWN, f"[Service]\nEnvironment={MTU}=1400\n"),)


def seen(
    sources: Sources, started_with: dict[str, str] | None = None, *, installed: bool = True
) -> ObservedEnvironment:
    state = UnitState(
        UNIT,
        "loaded" if installed else "not-found",
        "inactive" if started_with is None else "active",
        "dead" if started_with is None else "running",
        fragment=DIRECTORY / UNIT if installed else None,
    )
    running = (
        Unknown("K3s is not running") if started_with is None else Known(started_with, "/proc")
    )
    return ObservedEnvironment(state, DIRECTORY, sources, running, None)


def listed(found: ObservedEnvironment, capsys: pytest.CaptureFixture[str]) -> list[str]:
    answer = document.document(found, Surroundings(), reveal=False)
    environment.show_list(Report(), answer)
    return capsys.readouterr().out.split("\n")


def line_of(name: str, lines: list[str]) -> list[str]:
    (line,) = (line for line in lines if line.split()[:1] == [name])
    return line.split()[1:]


def test_a_drop_in_is_shown_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    lines = listed(seen(Sources(unit={MTU: "1400"}, files=IN_DROP_IN)), capsys)

    assert ["VARIABLE", "NEXT", "START", "ORIGIN"] == lines[0].split()
    assert ["1400", "drop-in", OWN.name] == line_of(MTU, lines)
    assert ["-"] == line_of("HTTP_PROXY", lines)


def test_the_running_values_have_their_own_column(capsys: pytest.CaptureFixture[str]) -> None:
    sources = Sources(unit={MTU: "1400", "NO_PROXY": "a"}, files=IN_DROP_IN)

    lines = listed(seen(sources, {MTU: ""}), capsys)

    assert "RUNNING" == lines[0].split()[-1]
    assert ["1400", "drop-in", OWN.name, "(empty)"] == line_of(MTU, lines)
    assert ["a", "unit", "not", "set"] == line_of("NO_PROXY", lines)
    assert ["10.41.0.0/16", "default", "same"] == line_of("K3S_ROOTLESS_CIDR", lines)
    assert (
        f"restart required: {MTU}, NO_PROXY changed after K3s was started; apply it with:"
        " k3s-rootless restart"
    ) in lines


def test_notes_are_below_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    lines = listed(seen(Sources(manager={"_K3S_ROOTLESS_SOCK": "/x", MTU: "-1"})), capsys)

    assert f"{MTU}: K3s exits with this value, because the MTU is negative" in lines
    assert (
        "remove it from the user manager with: k3s-rootless env unset --runtime _K3S_ROOTLESS_SOCK"
    ) in lines


def test_an_unknown_process_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    found = seen(Sources(), {})
    unknown = ObservedEnvironment(
        found.state, DIRECTORY, Sources(), Unknown("permission denied"), None
    )

    lines = listed(unknown, capsys)

    assert "the environment of the running K3s is unknown: permission denied" in lines
    assert "RUNNING" not in lines[0]


def test_only_the_value_is_printed_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    found = seen(Sources(unit={"HTTP_PROXY": "http://a:b@c"}))
    row = document.row(found, Surroundings(), "HTTP_PROXY", reveal=False)

    environment.show_variable(Report(), row)

    shown = capsys.readouterr()
    assert "http://a:***@c\n" == shown.out
    assert (
        "the password is not shown; show it with: k3s-rootless env get --reveal HTTP_PROXY\n"
    ) == shown.err


@pytest.mark.parametrize(
    ("installed", "sources", "origin", "undone", "out", "err"),
    [
        (True, Sources(unit={MTU: "1400"}, files=IN_DROP_IN), Origin.DROP_IN, False, "is set", ""),
        (
            False,
            Sources(unit={MTU: "1400"}, files=IN_DROP_IN),
            Origin.DROP_IN,
            False,
            "is set; `k3s-rootless up` starts K3s with it",
            "",
        ),
        (
            True,
            Sources(manager={MTU: "1"}, unit={MTU: "2"}),
            Origin.MANAGER,
            False,
            "is set",
            "is overridden by unit",
        ),
        (
            True,
            Sources(unit={MTU: "2"}, unset=(MTU,)),
            Origin.DROP_IN,
            False,
            "is set",
            "is removed by UnsetEnvironment",
        ),
        (True, Sources(), None, True, "is unset", ""),
        (True, Sources(), None, False, "is not set by k3s-rootless", ""),
        (True, Sources(unit={MTU: "2"}), None, True, "is unset", "is still set by unit"),
    ],
)
def test_a_change_reports_the_state_of_the_variable(
    capsys: pytest.CaptureFixture[str],
    sources: Sources,
    origin: Origin | None,
    out: str,
    err: str,
    *,
    installed: bool,
    undone: bool,
) -> None:
    after = seen(sources, installed=installed)
    resolved = after.resolved(MTU)
    above = resolved.layers if origin is None else resolved.above(origin, OWN.name)
    if origin is Origin.MANAGER:
        above = resolved.above(origin)
    if sources.unset:
        above = resolved.layers[-1:]
    one = ChangedVariable(MTU, resolved, above, origin, undone=undone)

    environment.show_change(Report(), Changed(after, (one,), changed=True, runtime=False))

    shown = capsys.readouterr()
    assert f"{MTU} {out}\n" == shown.out
    assert (f"warning: {MTU} {err}\n" if err else "") == shown.err
