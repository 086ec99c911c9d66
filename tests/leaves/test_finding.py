from __future__ import annotations

import pytest

from k3s_rootless.finding import Finding, FixableBy, Remedy, Severity, Verdict, matches


@pytest.mark.parametrize(
    ("check", "selected", "expected"),
    [
        ("cgroup.delegation.cpu", "cgroup.delegation.cpu", True),
        ("cgroup.delegation.cpu", "cgroup.delegation", True),
        ("cgroup.delegation.cpu", "cgroup", True),
        ("cgroup.delegation.cpuset", "cgroup.delegation.cpu", False),
        ("cgroup.delegation", "cgroup.delegation.cpu", False),
        ("cgroup.delegation.cpu", "cgroup.", False),
        ("cgroup.delegation.cpu", "delegation", False),
        ("cgroup.delegation.cpu", "", False),
        ("cgroup.delegation.cpu", "cgroup.delegation.cpu.", False),
    ],
)
def test_an_id_selects_a_check_or_a_group(check: str, selected: str, *, expected: bool) -> None:
    assert expected == matches(check, selected)


@pytest.mark.parametrize(
    ("check", "anchor"),
    [
        ("cgroup.delegation.cpuset", "cgroupdelegationcpuset"),
        ("session.runtime_dir", "sessionruntime_dir"),
    ],
)
def test_a_finding_has_a_link_to_its_explanation(check: str, anchor: str) -> None:
    """GitHub removes dots from the anchor of a heading, and keeps underscores."""
    assert f"docs/reference/checks.md#{anchor}" == Finding(check, "", Verdict.PASS, "").anchor


def test_verdicts_and_severities_have_their_json_values() -> None:
    assert ["pass", "info", "warn", "fail", "unknown"] == [verdict.value for verdict in Verdict]
    assert ["fatal", "degraded", "informative"] == [severity.value for severity in Severity]


def test_the_json_of_a_finding_has_its_remedy_without_the_measures() -> None:
    remedy = Remedy(FixableBy.ADMINISTRATOR, "load it", ("modprobe tun",))
    finding = Finding("a.b", "A", Verdict.FAIL, "none", "/proc", "no tunnel", remedy)

    assert {
        "check": "a.b",
        "title": "A",
        "verdict": "fail",
        "severity": "fatal",
        "observed": "none",
        "source": "/proc",
        "reason": "no tunnel",
        "documentation": "docs/reference/checks.md#ab",
        "remedy": {"fixable_by": "administrator", "text": "load it", "commands": ["modprobe tun"]},
    } == finding.document()
    assert Finding("a.b", "A", Verdict.PASS, "").document()["remedy"] is None
