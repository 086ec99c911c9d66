from __future__ import annotations

import pytest

from k3s_rootless.service.environment import proxies


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.0.0.1",
        "127.8.9.10",
        "0.0.0.0",  # noqa: S104 (under test)
        "::1",
        "::",
    ],
)
def test_this_machine_has_many_names(host: str) -> None:
    assert proxies.loopback(host)


@pytest.mark.parametrize(
    "host", ["10.41.0.2", "proxy", "localhost.example", "128.0.0.1", "fe80::1", "127.1"]
)
def test_other_addresses_are_not_loopback(host: str) -> None:
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
def test_entries_that_match_nothing_are_reported(text: str, lost: list[str]) -> None:
    assert lost == list(proxies.unmatched(text))
