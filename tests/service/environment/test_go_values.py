from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.service.environment import go_values, proxies

WORDS = json.loads((Path(__file__).parents[2] / "data/go-words.json").read_text("utf-8"))


def ours(text: str) -> dict[str, Any]:
    network, proxy = go_values.network(text), proxies.parse(text) if text else None
    return {
        "text": text,
        "integer": go_values.integer(text),
        "boolean": go_values.boolean(text),
        "network": network and [str(network[0]), network[1]],
        "clean": go_values.clean(text),
        "proxy": proxy and [proxy.scheme, proxy.host, proxy.port, proxy.password],
    }


@pytest.mark.parametrize("parsed", WORDS, ids=lambda parsed: ascii(parsed["text"])[:40])
def test_a_text_is_read_as_go_reads_it(parsed: dict[str, Any]) -> None:
    assert parsed == ours(parsed["text"])


def test_the_sample_has_texts_of_each_kind() -> None:
    for kind in ("integer", "boolean", "network", "proxy"):
        assert sum(parsed[kind] is not None for parsed in WORDS) >= 8
        assert sum(parsed[kind] is None for parsed in WORDS) >= 8


@given(st.text())
def test_every_text_is_read_without_an_exception(text: str) -> None:
    ours(text)


@given(st.integers(-(2**64), 2**64), st.integers(0, 30))
def test_numbers_have_64_bits(number: int, zeros: int) -> None:
    text = f"{'-' if number < 0 else ''}{'0' * zeros}{abs(number)}"

    assert go_values.integer(text) == (number if -(2**63) <= number < 2**63 else None)


def test_thousands_of_digits_are_read_quickly() -> None:
    assert go_values.integer("9" * 100_000) is None
    assert 7 == go_values.integer("0" * 100_000 + "7")
    assert go_values.network(f"10.0.0.0/{'0' * 100_000}8") is not None
