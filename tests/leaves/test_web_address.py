"""Tests that addresses with passwords, however malformed, appear in no error and no traceback."""

from __future__ import annotations

import re
import ssl
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from k3s_rootless import web_address, web_request
from k3s_rootless.binaries import tags, urls
from k3s_rootless.binaries.https import Client
from k3s_rootless.node.registries import challenge, endpoints
from k3s_rootless.node.registries.challenge import Challenge
from k3s_rootless.web_request import Way
from tests.fakes.release_server import LIMITS

SECRET = "s3cr3t"  # noqa: S105 (no password of anything)
# Among them are characters that NFKC maps to `/`, `?`, `#`, `@` and `:`.
ODD = st.text(st.sampled_from("\u2100\u2047\uff03\uff20\uff1a[]%\\ \t\n@:/?#x.é1"), max_size=6)
ADDRESSES = st.builds(
    lambda scheme, before, behind, port: f"{scheme}{before}u:{SECRET}@{behind}{port}",
    st.sampled_from(["http://", "https://", "//", "", "HTTP:/", "https:[//"]),
    ODD,
    ODD,
    st.sampled_from(["", ":1", ":99999", ":-1", ":x", "]:1", "/v2"]),
)


def shown(call: Callable[[], object]) -> str:
    """Return everything that a call prints about its failure."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 (each error would reach the user)
        return f"{error} {getattr(error, 'hint', '')} {traceback.format_exc()}"
    return ""


@given(ADDRESSES)
@example(f"http://u:{SECRET}@h℀:1")
@example(f"https://[u:{SECRET}@bad")
@example(f"https://u:{SECRET}@h:99999")
@example(f"http://u:p://{SECRET}@h/x")
@example(f"u:{SECRET}@h")
def test_no_error_about_an_address_quotes_its_password(address: str) -> None:
    environ = {"HTTPS_PROXY": address}
    way = Way(ssl.create_default_context(), 0.01)
    calls = (
        lambda: web_address.split(address),
        lambda: web_address.joined("https://host/", address),
        lambda: urls.checked_base(address, "--mirror"),
        lambda: Client(environ, LIMITS).document("https://host.invalid/", 10),
        lambda: endpoints.parsed(address),
        lambda: challenge.token_address(Challenge("bearer", {"realm": address})),
        lambda: web_request.get(address, way),
    )

    assert [] == [text for call in calls if SECRET in (text := _without_source(shown(call)))]
    assert SECRET not in endpoints.without_password(address)
    assert SECRET not in urls.host_of(address) or "@" not in urls.host_of(address)
    tags.of_location(address)


def _without_source(text: str) -> str:
    # Source lines in a traceback are code, and this file contains the word.
    return "\n".join(line for line in text.splitlines() if not line.startswith("    "))


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://u:p@h℀:1", "it is not a valid address"),
        ("https://[bad", "it is not a valid address"),
        ("https://h:99999", "its port is not a number from 1 to 65535"),
        ("https://h:x", "its port is not a number from 1 to 65535"),
    ],
)
def test_the_reason_is_given(address: str, reason: str) -> None:
    with pytest.raises(web_address.BadAddress, match=reason):
        web_address.split(address)


def test_one_module_parses_addresses() -> None:
    package = Path(web_address.__file__).parent
    users = [
        path.name
        for path in package.rglob("*.py")
        if re.search(r"\b(urlsplit|urlparse|urljoin)\(", path.read_text("utf-8"))
    ]

    assert ["web_address.py"] == users
