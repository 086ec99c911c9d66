"""Tests of how NetworkPolicies and refused packets are shown."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from k3s_rootless.cli.display import policies
from k3s_rootless.cli.display.report import Report
from k3s_rootless.cluster.policies.facts import Direction, Policy
from k3s_rootless.k3s import version
from k3s_rootless.linux.packets import Headers
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations.policies.judgement import Judgement, State
from k3s_rootless.operations.policies.log import CaughtUp, Logged, Verdict
from k3s_rootless.operations.policies.names import Named
from k3s_rootless.operations.policies.status import Answer, Row

TIME = datetime(2026, 11, 27, 12, tzinfo=UTC)
IPV6 = Headers("tcp", "fd00::9", "fd00::8", 43210, 80, ("SYN", "ACK"))
PING = Headers("icmp", "10.42.0.9", "192.0.2.1")


def logged(
    headers: Headers | None, named: Named, verdict: Verdict = Verdict.REJECTED, lost: int = 0
) -> Logged:
    return Logged(TIME, verdict, headers, named, lost)


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (
            logged(IPV6, Named("default/a", "default/b", ("default/x", "default/y"))),
            (
                "rejected     tcp SYN ACK  default/a [fd00::9]:43210 -> default/b [fd00::8]:80"
                "  policies: default/x, default/y"
            ),
        ),
        (
            logged(PING, Named(source="default/a"), Verdict.NOT_ALLOWED, lost=3),
            "not allowed  icmp  default/a 10.42.0.9 -> 192.0.2.1  3 packets before it are lost",
        ),
        (logged(None, Named()), "rejected     not an IP packet"),
    ],
)
def test_a_packet_is_one_line(one: Logged, text: str) -> None:
    (line,) = policies.log_lines([one], as_json=False)

    assert line
    assert line.endswith(text)
    assert "Nov 27 " in line or "Nov 28 " in line  # in the time zone of this machine


def test_a_pause_is_no_line_and_json_is_one_line_a_packet() -> None:
    lines = list(policies.log_lines([CaughtUp(), logged(None, Named())], as_json=True))

    assert lines[0] is None
    assert lines[1]
    document = json.loads(lines[1])
    assert "k3s-rootless/policies-log/v1" == document["schema"]
    assert (None, None, None) == tuple(
        document[key] for key in ("protocol", "source", "destination")
    )


def answer(
    state: State = State.RUNNING,
    sets: Observed[int] | None = None,
    rows: Observed[tuple[Row, ...]] | None = None,
    release: str = "v1.36.3+k3s1",
) -> Answer:
    one = Policy("default", "deny", frozenset(Direction), limit="10/week")
    return Answer(
        Judgement(state, "the reason"),
        sets or Known(2),
        rows or Known((Row(one, 3),)),
        version.parse(release),
    )


def shown(capsys: pytest.CaptureFixture[str], found: Answer) -> tuple[str, str]:
    policies.show_status(Report(), found)
    printed = capsys.readouterr()
    return printed.out, printed.err


def test_policies_are_a_table_with_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = shown(capsys, answer())

    assert ["default/deny", "Egress, Ingress", "3", "10, then 10/minute"] == [
        cell for cell in out.splitlines()[-1].split("   ") if cell.strip()
    ]
    assert "warning: K3s uses the default limits for default/deny: the annotation" in err
    assert "error" not in err


@pytest.mark.parametrize(
    ("state", "hint"),
    [
        (State.NOT_RUNNING, "k3s-rootless check kernel.ip_set"),
        (State.DISABLED, "k3s-rootless restart"),
        (State.UNKNOWN, "k3s-rootless logs --grep 'network policy'"),
    ],
)
def test_policies_without_effect_are_an_error(
    capsys: pytest.CaptureFixture[str], state: State, hint: str
) -> None:
    _, err = shown(capsys, answer(state, rows=Known((Row(policy(), 1), Row(policy(), 1)))))

    assert "2 NetworkPolicies are" in err
    assert hint in err


def test_without_policies_nothing_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = shown(capsys, answer(State.NOT_RUNNING, Unknown("no ipset"), Known(())))

    assert "ipset       not usable: no ipset" in out
    assert "no NetworkPolicies" in out
    assert not err


def test_an_api_server_without_an_answer_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = shown(capsys, answer(rows=Unknown("it is silent")))

    assert "POLICY" not in out
    assert "error: cannot list the NetworkPolicies: it is silent" in err


def test_a_release_that_does_not_name_policies_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, _ = shown(capsys, answer(release="v1.27.3+k3s1"))

    assert "(K3s v1.27.3+k3s1 does not log the names of policies)" in out


def policy() -> Policy:
    return Policy("default", "deny", frozenset({Direction.INGRESS}))
