from __future__ import annotations

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.k3s.version import Version, from_output, parse
from tests.strategies import version, versions

REAL = {
    "v1.35.1+k3s1": (1, 35, 1, 3, 0, 1),
    "v1.33.4+k3s1": (1, 33, 4, 3, 0, 1),
    "v1.28.7-rc1+k3s1": (1, 28, 7, 2, 1, 1),
    "v1.21.3-rc1+k3s1": (1, 21, 3, 2, 1, 1),
    "v1.21.0-alpha1+k3s1": (1, 21, 0, 0, 1, 1),
    "v1.28.14+k3s-914f1d91": (1, 28, 14, 3, 0, 0),
    "v1.30.5+k3s-74ce150e": (1, 30, 5, 3, 0, 0),
    "v1.26.3+k3s-30638072-dirty": (1, 26, 3, 3, 0, 0),
    "v0.9.1": (0, 9, 1, 3, 0, 0),
    "v1.17.0+k3s.1": (1, 17, 0, 3, 0, 1),
    "v1.14.1-k3s.4": (1, 14, 1, 3, 0, 4),
    "v1.20.0+k3s2": (1, 20, 0, 3, 0, 2),
    "v1.34.1-rc1+dk1": (1, 34, 1, 2, 1, 0),
}
JUNK = [
    *(
        "",
        "v",
        "dev",
        "HEAD",
        "1.33.4+k3s1",
        "v1",
        "v1.2",
        "v1.2.3.4",
        "V1.2.3",
        " v1.2.3",
        "v1.2.3 ",
        "v1.2.3\n",
        "v1.2.x",
    ),
    *(
        "v-1.2.3",
        "v1.2.3-",
        "v1.2.3+",
        "v1.2.3+k3s1+k3s2",
        "v1.2.3+k3s1;rm",
        "v1.2.3+\x1b[31m",
        "v1.2.3+k3s\u0661",
        "v1.\u0663.3",
    ),
    *("v" + "9" * 5000 + ".1.1", "v1.2.3-rc" + "9" * 5000),
]
ORDERED = [
    *(
        "v0.9.1",
        "v1.14.1-k3s.4",
        "v1.17.0+k3s.1",
        "v1.20.15+k3s1",
        "v1.21.0-alpha1+k3s1",
        "v1.21.0-beta1+k3s1",
    ),
    *(
        "v1.21.0-rc1+k3s1",
        "v1.21.0-rc2+k3s1",
        "v1.21.0-rc10+k3s1",
        "v1.21.0+k3s1",
        "v1.21.1+k3s1",
        "v1.28.7-rc1+k3s1",
    ),
    *(
        "v1.28.7-rc1+k3s2",
        "v1.28.7+k3s1",
        "v1.28.14+k3s-914f1d91",
        "v1.28.14+k3s1",
        "v1.34.3+k3s1",
        "v1.34.3+k3s3",
    ),
    *("v1.34.3+k3s10", "v1.34.10+k3s1", "v1.100.0+k3s1", "v2.0.0+k3s1"),
]


def numbers(of: Version) -> tuple[int, ...]:
    return (of.major, of.minor, of.patch, of.stage, of.stage_number, of.build)


@pytest.mark.parametrize(("text", "expected"), REAL.items(), ids=REAL)
def test_every_form_of_a_version_is_read(text: str, expected: tuple[int, ...]) -> None:
    found = version(text)

    assert expected == numbers(found)
    assert text == str(found)
    assert found.line == expected[:2]


@pytest.mark.parametrize("text", REAL)
def test_a_build_between_releases_has_its_commit(text: str) -> None:
    assert version(text).commit_build == ("k3s-" in text)


@pytest.mark.parametrize("text", JUNK, ids=[ascii(text)[:24] for text in JUNK])
def test_an_invalid_text_is_not_a_version(text: str) -> None:
    assert parse(text) is None


def test_a_very_long_build_number_is_ignored() -> None:
    assert 0 == version("v1.2.3+k3s" + "9" * 5000).build


def test_versions_are_ordered_as_k3s_counts() -> None:
    for older, newer in pairwise(version(text) for text in ORDERED):
        assert older < newer
        assert newer > older
        assert older != newer


@pytest.mark.parametrize("spelling", ["v1.26.14-k3s1", "v1.26.14+k3s.1", "v1.26.14-k3s.1"])
def test_two_spellings_of_one_version_are_equal(spelling: str) -> None:
    released = version("v1.26.14+k3s1")

    assert released == version(spelling)
    assert version(spelling) <= released <= version(spelling)
    assert hash(version(spelling)) == hash(released)


@given(versions())
def test_a_printed_version_is_read_again(made: Version) -> None:
    read = parse(str(made))

    assert read == made
    assert read is not None
    assert read.text == made.text


@given(st.lists(versions(), min_size=3, max_size=3))
def test_the_order_is_total_and_that_of_the_numbers(three: list[Version]) -> None:
    for one, other in product(three, three):
        assert 1 == (one < other, one == other, one > other).count(True)
        assert (one < other) == (numbers(one) < numbers(other))
        assert (one <= other) == (not other < one)
    assert sorted(three) == sorted(three, key=numbers)


@given(st.text() | st.from_regex(r"v\d+\.\d+\.\d+\S*", fullmatch=True))
def test_no_text_makes_the_parser_fail(text: str) -> None:
    found = parse(text)

    assert found is None or found.text == text


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("k3s version v1.35.1+k3s1 (50fa2d70)\ngo version go1.25.6\n", "v1.35.1+k3s1"),
        ("k3s version v0.9.1 (755bd1c6)\n", "v0.9.1"),
        ("k3s version v1.17.0+k3s.1 (0f644650)", "v1.17.0+k3s.1"),
        ("k3s version v1.28.7-rc1+k3s1 (f19db855)\r\n", "v1.28.7-rc1+k3s1"),
        (
            "k3s version v1.26.3+k3s-30638072-dirty (30638072)\ngo version go1.19.7\n",
            "v1.26.3+k3s-30638072-dirty",
        ),
        ("k3s-v1.17.4+k3s1 version v1.17.4+k3s1 (3eee8ac3)\n", "v1.17.4+k3s1"),
        ("time=now level=info msg=hello\nk3s version v1.33.4+k3s1 (148243c4)\n", "v1.33.4+k3s1"),
        ("a version v1.1.1 (148243c4)\nb version v2.2.2 (148243c4)\n", "v1.1.1"),
    ],
    ids=[
        "today",
        "old",
        "without go",
        "carriage return",
        "dirty",
        "renamed",
        "noise before",
        "first of two",
    ],
)
def test_the_version_is_found_in_the_output_of_k3s(printed: str, expected: str) -> None:
    assert from_output(printed) == version(expected)


@pytest.mark.parametrize(
    "printed",
    [
        "",
        "k3s version dev (HEAD)\ngo version go1.25.6\n",
        "kubectl version v1.30.0\n",
        "k3s version 1.33.4 (148243c4)\n",
        "k3s version v1.33.4+k3s1\n",
        "my k3s version v1.33.4+k3s1 (148243c4)\n",
        "k3s version v1.33.4+k3s1 (148243c4) and more\n",
        "k3s version v9 (148243c4)\n",
        "\0" * 1000,
    ],
    ids=[
        "nothing",
        "dev",
        "kubectl",
        "without v",
        "without commit",
        "two words",
        "more behind",
        "one number",
        "zeroes",
    ],
)
def test_no_other_line_is_read_as_the_version(printed: str) -> None:
    assert from_output(printed) is None
