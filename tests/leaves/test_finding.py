from __future__ import annotations

import pytest

from k3s_rootless.finding import Finding, FixableBy, Remedy, Severity, Verdict, matches


@pytest.mark.parametrize(
    ("check", "requested", "expected"),
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
def test_an_id_matches_a_check_or_its_group(check: str, requested: str, *, expected: bool) -> None:
    assert expected == matches(check, requested)


@pytest.mark.parametrize(
    ("check", "anchor"),
    [
        ("cgroup.delegation.cpuset", "cgroupdelegationcpuset"),
        ("session.runtime_dir", "sessionruntime_dir"),
    ],
)
def test_the_link_to_the_documentation_of_a_finding(check: str, anchor: str) -> None:
    """GitHub removes dots from the anchor of a heading, and keeps underscores."""
    assert f"docs/reference/checks.md#{anchor}" == Finding(check, "", Verdict.PASS, "").anchor


def test_the_values_of_verdicts_and_severities_do_not_change() -> None:
    assert ["pass", "info", "warn", "fail", "unknown"] == [verdict.value for verdict in Verdict]
    assert ["fatal", "degraded", "informative"] == [severity.value for severity in Severity]


@pytest.mark.parametrize(
    ("fixable_by", "label"),
    [
        (FixableBy.USER, "fix"),
        (FixableBy.ADMINISTRATOR, "fix (administrator)"),
        (FixableBy.NONE, "cannot be fixed on this host"),
    ],
)
def test_the_label_of_a_remedy(fixable_by: FixableBy, label: str) -> None:
    assert label == Remedy(fixable_by, "").label == fixable_by.label


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
