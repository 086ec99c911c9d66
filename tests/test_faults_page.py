"""Tests that the page of faults lists all faults, with a result for each machine."""

from __future__ import annotations

import re

from tests.e2e.fault import Unseen
from tests.e2e.faults import FAULTS
from tests.e2e.faults_page import MACHINES, PAGE

ROW = re.compile(
    r"^\| `(?P<id>[a-z0-9-]+)` \| (?:.* \| )?(?P<lab>[^|]*) \| (?P<trixie>[^|]*) \|"
    r" (?P<bookworm>[^|]*) \|$",
    re.MULTILINE,
)


def rows() -> dict[str, re.Match[str]]:
    return {found["id"]: found for found in ROW.finditer(PAGE.read_text("utf-8"))}


def test_the_page_lists_each_fault_and_the_check_that_reports_it() -> None:
    found = rows()

    assert [one.id for one in FAULTS] == list(found)
    for one in FAULTS:
        assert f"`{one.check}` ({one.verdict})" in found[one.id][0]
        assert one.what in found[one.id][0]


def test_each_fault_had_its_expected_result() -> None:
    assert "**no**" not in PAGE.read_text("utf-8")


def test_on_each_machine_k3s_showed_at_least_25_faults_that_were_fixed() -> None:
    found = rows()
    shown = [one for one in FAULTS if not isinstance(one.shows, Unseen)]

    for machine in MACHINES:
        assert sum(found[one.id][machine].strip() == "yes" for one in shown) >= 25, machine


def test_only_a_machine_that_cannot_have_a_fault_has_a_dash() -> None:
    found = rows()

    for one in FAULTS:
        for machine in MACHINES:
            assert (found[one.id][machine].strip() == "-") is (machine not in one.machines), (
                one.id,
                machine,
            )
