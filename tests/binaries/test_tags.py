from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.binaries import tags
from k3s_rootless.binaries.tags import Exact, Named


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stable", Named("stable")),
        ("latest", Named("latest")),
        ("v1.36", Named("v1.36")),
        ("1.36", Named("v1.36")),
        ("v1.36.3+k3s1", Exact("v1.36.3+k3s1")),
        ("1.36.3+k3s12", Exact("v1.36.3+k3s12")),
        ("v1.37.0-rc1+k3s1", Exact("v1.37.0-rc1+k3s1")),
        ("v1.16-testing", Named("v1.16-testing")),
        ("v1.36.3", None),
        ("v1.36.3-k3s1", None),
        ("v1.36.3+rke2r1", None),
        ("../../etc", None),
        ("v1.36.3+k3s1/../x", None),
        ("", None),
        ("stable\n", Named("stable")),
        ("STABLE", None),
        ("x" * 100, None),
        ("v\u0661.36.3+k3s1", None),
    ],
)
def test_a_request_is_a_release_or_a_channel(text: str, expected: object) -> None:
    assert expected == tags.parse(text)


@pytest.mark.parametrize(
    ("location", "tag"),
    [
        ("https://github.com/k3s-io/k3s/releases/tag/v1.36.3+k3s1", "v1.36.3+k3s1"),
        ("https://github.com/k3s-io/k3s/releases/tag/v1.36.3%2Bk3s1", "v1.36.3+k3s1"),
        ("https://login.example/?to=/tag/v1.36.3+k3s1", None),
        ("https://login.example/portal", None),
        ("", None),
        ("https://github.com/k3s-io/k3s/releases/tag/v1.36.3+k3s1/", None),
    ],
)
def test_the_release_in_the_location_of_a_redirect(location: str, tag: str | None) -> None:
    assert tag == tags.of_location(location)


@given(st.text(max_size=80))
def test_a_tag_is_always_a_safe_name_of_a_directory(text: str) -> None:
    if tags.is_tag(text):
        assert "/" not in text
        assert text.isascii()
        assert text.startswith("v")
    assert tags.parse(text) is None or len(text) <= 60


def test_a_version_without_its_build_is_similar_to_its_builds() -> None:
    known = ["stable", "v1.36.3+k3s1", "v1.36.3+k3s2", "v1.35.7+k3s1"]

    assert ("v1.36.3+k3s1", "v1.36.3+k3s2") == tags.similar("1.36.3", known)[:2]
    assert ("stable",) == tags.similar("stabel", known)
    assert () == tags.similar("zzz", known)


def test_releases_are_ordered_with_their_build() -> None:
    names = ["v1.36.10+k3s1", "v1.36.9+k3s2", "junk", "v1.36.9+k3s1", "v1.36.10-rc2+k3s1"]

    assert ["junk", "v1.36.9+k3s1", "v1.36.9+k3s2", "v1.36.10-rc2+k3s1", "v1.36.10+k3s1"] == sorted(
        names, key=tags.order
    )
