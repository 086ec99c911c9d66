from __future__ import annotations

import pytest

from k3s_rootless.k3s import host_name
from k3s_rootless.k3s.options import OPTIONS


@pytest.mark.parametrize(
    "text", ["a", "host.example", "10.0.0.1", "::1", "fe80::1", "1host", "a-b.c", "x" * 63]
)
def test_a_name_or_an_address(text: str) -> None:
    assert host_name.is_host(text)
    assert text == OPTIONS["tls-san"].read(text, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-a",
        "a-",
        "a..b",
        ".a",
        "a b",
        "a:6443",
        "10.0.0",
        "10.0.0.256",
        "*.a",
        "a\n",
        "é",
        "x" * 64,
        "https://a",
        "[::1]",
        "a_b",
        ".".join(["x" * 60] * 5),
    ],
)
def test_another_text(text: str) -> None:
    assert not host_name.is_host(text)
    with pytest.raises(ValueError, match="neither a host name nor an address"):
        OPTIONS["tls-san"].read(text, None)
