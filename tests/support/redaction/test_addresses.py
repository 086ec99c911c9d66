"""Tests of the rule for passwords in addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.support.redaction import addresses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://proxy:3128", "http://proxy:3128"),
        ("http://user:secret@proxy:3128/", "http://user:***@proxy:3128/"),
        ("user:secret@proxy", "user:***@proxy"),
        ("http://token@proxy", "http://***@proxy"),
        ("http://user:se@cret@proxy", "http://user:***@proxy"),
        ("http://user:se:cret@proxy", "http://user:***@proxy"),
        ("http://us er:secret@proxy", "http://us er:***@proxy"),
        ("http://user:sec\nret@proxy", "http://user:***@proxy"),
        ("http://user:secret@", "http://user:***@"),
        ("@", "***@"),
        ("", ""),
    ],
)
def test_a_password_is_hidden(text: str, expected: str) -> None:
    assert expected == addresses.hidden(text)


@given(st.text(), st.text(min_size=1), st.text())
def test_a_password_is_hidden_in_any_context(user: str, secret: str, rest: str) -> None:
    marked = f"\ue000{secret}\ue001"

    assert "\ue000" not in addresses.hidden(f"http://{user}:{marked}@{rest}")
