"""Tests that no line of input can make a regular expression slow.

Every expression for the journal and for bundles must be linear.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest

import k3s_rootless.journal
import k3s_rootless.support
from k3s_rootless.journal.catalogue import CATALOGUE
from k3s_rootless.support.redaction import patterns
from tests import linear

LENGTHS = (1_000, 4_000, 16_000, 64_000)
# For four times the length. Quadratic time would be 16 times as long; the limit leaves room for a
# busy machine.
MOST_GROWTH = 9
# Shorter times are not compared, because they cannot be measured reliably. Quadratic time would
# exceed this at a tenth of the longest line.
SECONDS_UNMEASURED = 0.004
SECONDS = 0.4
# Expressions that the code does not search for, and the method that it calls instead.
USES = {
    "support.redaction.redact._BODY": "fullmatch",
    "support.redaction.redact._LONE_BODY": "fullmatch",
    "support.redaction.redact._HEX": "fullmatch",
    "support.redaction.blocks._KEY": "match",
    "support.redaction.blocks._MAPPING": "match",
    "support.redaction.names._KEY_FILE": "fullmatch",
    "support.redaction.names._OTHERS": "fullmatch",
}
BAD = (
    r"(a+)+b",
    r"(\w+\s?)*x",
    r"(?:a|b+)*c",
    r"a+a+b",
    r"x: \S*\d+y",
    r"\s+$",
    r"\w*=\w",
    r"(a++)+b",
    r"a+b",
)
GOOD = (r"x=a++b", r"x: \d+ \w+", r"(?<!a)a++b", r"K10[0-9a-f]{6,}+(?:::\S++)?", r"x{1,9}x{1,9}y")


def expressions() -> Iterator[tuple[str, re.Pattern[str] | re.Pattern[bytes]]]:
    """Yield every expression of the two subjects that read external text."""
    for failure in CATALOGUE:
        for number, sign in enumerate(failure.signs, 1):
            yield f"{failure.id}-{number}", sign.pattern
    for kind, hints, pattern in patterns.FORMS:
        yield f"form-{kind}-{hints[0]}", pattern
    for subject in (k3s_rootless.journal, k3s_rootless.support):
        for module in pkgutil.walk_packages(subject.__path__, f"{subject.__name__}."):
            for name, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, re.Pattern):
                    yield f"{module.name.removeprefix('k3s_rootless.')}.{name}", value


EXPRESSIONS = dict(expressions())


def slow(
    pattern: re.Pattern[str] | re.Pattern[bytes], use: str, lengths: tuple[int, ...] = LENGTHS
) -> str:
    """Return a text for which an expression is slower than linear, or too slow; empty if none."""
    for text in linear.hostile(pattern):
        before = SECONDS
        for length in lengths:
            bound = min(SECONDS, max(SECONDS_UNMEASURED, MOST_GROWTH * before))
            taken = linear.seconds(pattern, text.of(length), use, tries=1)
            if taken > bound:
                # Another load on the machine may have disturbed one of the two measurements.
                before = linear.seconds(pattern, text.of(length // 4), use, tries=5)
                taken = linear.seconds(pattern, text.of(length), use, tries=5)
                if taken > min(SECONDS, max(SECONDS_UNMEASURED, MOST_GROWTH * before)):
                    return (
                        f"{taken * 1e3:.2f} ms for {length}, {before * 1e3:.2f} ms for a fourth of"
                        f" it: {text.of(80)!r}"
                    )
            before = taken
    return ""


def test_all_expressions_are_found() -> None:
    assert len(EXPRESSIONS) >= 200
    assert len({pattern.pattern for pattern in EXPRESSIONS.values()}) >= 200
    assert set(USES) <= set(EXPRESSIONS)


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_the_parse_tree_shows_linear_time(name: str) -> None:
    assert [] == linear.complaints(EXPRESSIONS[name])


@pytest.mark.thorough
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_no_text_derived_from_the_expression_is_slow(name: str) -> None:
    pattern = EXPRESSIONS[name]
    use = USES.get(name, "finditer")

    assert "" == slow(pattern, use)


@pytest.mark.parametrize("source", BAD)
def test_an_expression_without_linear_time_is_detected(source: str) -> None:
    """The tree shows the problem, or else a text does.

    Expressions that take twice as long for each character cannot be measured.
    """
    pattern = re.compile(source)

    assert linear.complaints(pattern) or slow(pattern, "finditer", (500, 2_000, 8_000))


@pytest.mark.parametrize("source", GOOD)
def test_a_linear_expression_is_accepted(source: str) -> None:
    pattern = re.compile(source)

    assert [] == linear.complaints(pattern)
    assert "" == slow(pattern, "finditer")
