"""Tests of the password in a token of K3s, as K3s's own parser reads it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.k3s import token

HASH = "a" * 64


@pytest.mark.parametrize(
    ("text", "password"),
    [
        ("secret", "secret"),
        ("server:secret", "server:secret"),
        (f"K10{HASH}::server:secret", "secret"),
        (f"K10{HASH}::server:with:colons", "with:colons"),
        ("K10::server:secret", "secret"),
        ("K10server:secret", "secret"),
        ("K10abc::server:secret", None),
        (f"K10{HASH}::server:", None),
        (f"K10{HASH}", None),
        ("abcdef.0123456789abcdef", None),
        (f"K10{HASH}::abcdef.0123456789abcdef", None),
        ("", None),
    ],
)
def test_the_password_of_a_token(text: str, password: str | None) -> None:
    assert password == token.password(text)


@given(st.text(min_size=1).filter(lambda text: not text.startswith("K10") and "." not in text))
def test_a_bare_password_equals_that_of_the_full_token(secret: str) -> None:
    assert token.password(secret) == token.password(f"K10{HASH}::server:{secret}")
