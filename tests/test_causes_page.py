"""Tests that the page of causes lists every cause that the tests produce.

Each cause must have been reported and fixed on each of its machines.
"""

from __future__ import annotations

from tests.e2e.causes import CASES
from tests.e2e.causes_page import NOT_RUN, rows


def test_the_page_lists_each_cause_and_each_was_fixed() -> None:
    found = rows()

    assert [
        (f"`{case.id}`", case.what, case.fixable_by, case.manual_reason or "as printed")
        for case in CASES
    ] == [(row[0], row[1], row[3], row[4]) for row in found]
    for case, row in zip(CASES, found, strict=True):
        for machine, cell in zip(("lab", "vm"), row[5:], strict=True):
            # A virtual machine may be unavailable where a cause is added; the lab is always
            # available.
            accepted = (
                {"ready", *((NOT_RUN,) if machine == "vm" else ())}
                if machine in case.machines
                else {""}
            )
            assert cell in accepted, (case, machine)
