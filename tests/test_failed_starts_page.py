"""Tests that the page of failed starts lists every kind on each machine.

Each row must have the result that the tests expect.
"""

from __future__ import annotations

import re

import pytest

from tests.e2e.failed_starts_page import PAGE, table
from tests.e2e.ways import ways

ROW = re.compile(r"^\| `([^`]+)` \| [^|]* \| (\d+) \| (?:`([^`]+)`)? \|")


@pytest.mark.parametrize("machine", ["lab", "vm"])
def test_the_page_lists_each_failed_start_with_its_result(machine: str) -> None:
    rows = {
        found[0]: found[1:]
        for line in table(PAGE.read_text("utf-8"), machine).values()
        for found in ROW.findall(line)
    }
    expected = {way.id: way for way in ways(machine)}

    assert table(PAGE.read_text("utf-8"), machine).keys() == expected.keys()
    # On the virtual machine, a kind that changed since the last run there has no result yet.
    assert machine == "vm" or rows.keys() == expected.keys()
    assert len(rows) >= 30
    for name, (code, cause) in rows.items():
        assert (str(expected[name].code), expected[name].cause in {None, cause}) == (code, True), (
            name
        )


@pytest.mark.parametrize("machine", ["lab", "vm"])
def test_each_exit_was_reported_within_a_quarter_of_a_second(machine: str) -> None:
    late = re.findall(
        r"\| (\d+) ms \|$", "".join(table(PAGE.read_text("utf-8"), machine).values()), re.MULTILINE
    )

    assert len(late) >= 25
    assert max(map(int, late)) < 250
