"""The page of failed starts lists the ways that there are, with the ends that the tests hold them to."""

from __future__ import annotations

import re

from tests.life.failed_starts_page import PAGE
from tests.life.ways import WAYS


def test_the_page_lists_each_way_with_its_end() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| [^|]* \| (\d+) \| (?:`([^`]+)`)? \|", PAGE.read_text("utf-8"), re.MULTILINE)

    assert [(way.id, str(way.code)) for way in WAYS] == [(name, code) for name, code, _ in rows]
    assert all(way.cause in {None, cause} for way, (_, _, cause) in zip(WAYS, rows, strict=True))


def test_each_death_of_the_page_was_told_within_a_quarter_of_a_second_in_the_median() -> None:
    found = re.search(r"^Median (\d+) ms, longest \d+ ms, of (\d+) deaths", PAGE.read_text("utf-8"), re.MULTILINE)

    assert found
    assert int(found[1]) < 250
    assert int(found[2]) >= 25
