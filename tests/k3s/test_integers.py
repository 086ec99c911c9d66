from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.k3s import integers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("6443", 6443),
        ("-12", -12),
        ("+12", 12),
        ("0644", 420),
        ("0o17", 15),
        ("0x1D13", 7443),
        ("0b101", 5),
        ("1_000", 1000),
        ("-9223372036854775808", -(2**63)),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", None),
        ("+9223372036854775808", None),
        ("0" * 100, None),
        ("089", None),
        ("1.0", None),
        ("0x", None),
        ("\u0661", None),
        ("", None),
    ],
)
def test_an_integer_is_read_as_go_reads_it(text: str, expected: int | None) -> None:
    assert expected == integers.parse(text)


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_integer_of_64_bits_is_read(number: int) -> None:
    assert number == integers.parse(str(number))
