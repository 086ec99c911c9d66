from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.service import proxies


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
def test_a_password_is_left_out(text: str, expected: str) -> None:
    assert proxies.redacted(text) == expected


@given(st.text(), st.text(min_size=1), st.text())
def test_no_password_stays_whatever_stands_around_it(user: str, secret: str, rest: str) -> None:
    marked = f"\ue000{secret}\ue001"

    assert "\ue000" not in proxies.redacted(f"http://{user}:{marked}@{rest}")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.8.9.10", "0.0.0.0", "::1", "::"])  # noqa: S104
def test_this_machine_has_many_names(host: str) -> None:
    assert proxies.loopback(host)


@pytest.mark.parametrize("host", ["10.41.0.2", "proxy", "localhost.example", "128.0.0.1", "fe80::1", "127.1"])
def test_others_are_others(host: str) -> None:
    assert not proxies.loopback(host)


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("localhost,.example,*.example,10.0.0.0/8,10.1.2.3,10.1.2.3:80,*", []),
        ("10.0.*", ["10.0.*"]),
        ("a*b, *.a*b ,*", ["a*b", "*.a*b"]),
        ("10.0.0.0/33,10.0.0.0/255.0.0.0", ["10.0.0.0/33", "10.0.0.0/255.0.0.0"]),
        ("http://example", ["http://example"]),
        ("", []),
    ],
)
def test_what_matches_nothing_is_told(text: str, lost: list[str]) -> None:
    assert list(proxies.unmatched(text)) == lost
