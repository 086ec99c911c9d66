"""Tests of findings as text.

Failures come first, a shared remedy is printed once, and passed checks are folded.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from k3s_rootless.cli.display import findings
from k3s_rootless.cli.display.report import Report
from k3s_rootless.finding import Finding, FixableBy, Remedy, Verdict
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.operations.check.checking import Checked
from k3s_rootless.preflight.checks import checklist
from k3s_rootless.preflight.facts import Facts
from tests.strategies import HEALTHY

PROJECT = Path(__file__).parents[3]
FAIL, UNKNOWN, WARN, INFO, PASS = (
    Verdict.FAIL,
    Verdict.UNKNOWN,
    Verdict.WARN,
    Verdict.INFO,
    Verdict.PASS,
)
REMEDY = Remedy(FixableBy.USER, "turn it on", ("turn on", "look"))


def finding(check: str, verdict: Verdict, **more: Any) -> Finding:
    return Finding(check, check.upper(), verdict, "seen", "a file", "it matters", **more)


def plain(*found: Finding) -> list[str]:
    return [text for text, _ in findings.lines(found)]


def printed(facts: Facts, capsys: pytest.CaptureFixture[str]) -> str:
    Report().findings(checklist.judge(facts))
    return capsys.readouterr().out


def test_failures_come_first_and_passed_checks_are_folded(
    capsys: pytest.CaptureFixture[str],
) -> None:
    facts = replace(
        HEALTHY, lingers=Known(value=False), systemd_booted=False, iptables=Unknown("dark")
    )

    lines = [
        line.split()[0] for line in printed(facts, capsys).splitlines() if not line.startswith(" ")
    ]

    assert lines == [*("fail", "unknown", "warn"), *["pass"] * (len(lines) - 3)]
    assert len(lines) < 25


def test_a_remedy_of_several_findings_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    none = frozenset[str]()
    reach = replace(
        HEALTHY.delegation, effective=Known(none), realized=Known(none), configured=Known(none)
    )

    text = printed(replace(HEALTHY, delegation=reach), capsys)

    assert text.count("not delegated") == 5
    assert text.count("60-k3s-rootless.conf") == 1
    lines = text.splitlines()
    script = next(number for number, line in enumerate(lines) if "60-k3s-rootless.conf" in line)
    warning = next(number for number, line in enumerate(lines) if line.startswith("warn"))
    assert script < warning, "a failure has its remedy before the next warning"
    assert "fix (administrator): same as for cgroup.delegation.pids" in lines[warning + 2]


def test_a_finding_has_its_reason_source_remedy_and_commands_below_it() -> None:
    assert [
        "fail    A.ONE  seen",
        "        it matters (a.one, a file)",
        "        fix: turn it on",
        "          $ turn on",
        "          $ look",
    ] == [click.unstyle(line) for line in plain(finding("a.one", FAIL, remedy=REMEDY))]


def test_a_shared_remedy_follows_the_last_of_the_most_severe_findings() -> None:
    lines = plain(
        finding("a.warned", WARN, remedy=REMEDY),
        finding("a.first", FAIL, remedy=REMEDY),
        finding("a.last", FAIL, remedy=REMEDY),
    )

    assert ["a.first", "a.last", "a.warned"] == [
        line.split("(")[1].split(",")[0] for line in lines if "it matters" in line
    ]
    assert [4] == [number for number, line in enumerate(lines) if "turn it on" in line]
    assert "        fix: same as for a.last" == lines[-1]


def test_an_info_has_no_commands() -> None:
    lines = plain(finding("a.one", INFO, remedy=REMEDY))

    assert "        fix: turn it on" == lines[-1]


@pytest.mark.parametrize(
    ("fixable_by", "line"),
    [
        (FixableBy.ADMINISTRATOR, "fix (administrator): turn it on"),
        (FixableBy.NONE, "cannot be fixed on this host: turn it on"),
    ],
)
def test_a_remedy_has_the_label_of_who_can_fix_it(fixable_by: FixableBy, line: str) -> None:
    lines = plain(finding("a.one", FAIL, remedy=Remedy(fixable_by, "turn it on")))

    assert f"        {line}" == lines[-1]


def test_a_few_passed_checks_are_not_folded() -> None:
    few = [finding(f"a.{number}", PASS) for number in range(12)]

    assert 12 == len(plain(*few))
    assert ["pass    a  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12"] == [
        click.unstyle(line) for line in plain(*few, finding("a.12", PASS))
    ]


def test_control_characters_of_a_host_are_not_printed() -> None:
    hostile = replace(finding("a.one", FAIL), reason="\x1b[2Jgone", observed="\x1b]0;x\x07")

    assert all("\x1b[2J" not in line and "\x07" not in line for line in plain(hostile))


def test_colour_is_added_only_if_the_terminal_shows_it() -> None:
    code = (
        "import sys; from k3s_rootless.cli.display.style import styled;"
        " sys.stdout.write(styled('fail', fg='red'))"
    )
    for environ, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environ,
            capture_output=True,
            text=True,
            check=True,
            cwd=PROJECT,
        )
        assert ("\x1b" in done.stdout) is coloured


@pytest.mark.parametrize(
    ("found", "ignored", "complete", "expected"),
    [
        ([], (), True, "\nthis host is ready for rootless K3s\nnext: k3s-rootless up"),
        (
            [("a.b", WARN)],
            (),
            True,
            (
                "\nthis host is ready for rootless K3s, with 1 warning (see above)\n"
                "next: k3s-rootless up"
            ),
        ),
        (
            [("a.b", WARN), ("a.c", WARN), ("d.e", FAIL)],
            ("d", "x"),
            True,
            (
                "\nthis host is ready for rootless K3s, with 2 warnings (see above); ignored: d.e\n"
                "next: k3s-rootless up --ignore d"
            ),
        ),
        (
            [("a.b", PASS)],
            (),
            False,
            (
                "\nthe selected checks passed; the other checks were not run\n"
                "next: k3s-rootless check"
            ),
        ),
        (
            [("a.b", FAIL)],
            (),
            True,
            (
                "\nthis host is not ready for rootless K3s: a.b\n"
                "next: apply the fixes above, then run `k3s-rootless check`"
            ),
        ),
    ],
)
def test_the_summary_has_the_result_and_the_next_command(
    found: list[tuple[str, Verdict]], ignored: tuple[str, ...], *, complete: bool, expected: str
) -> None:
    checked = Checked(tuple(finding(*one) for one in found), ignored, complete=complete)

    assert expected == findings.summary(checked)
