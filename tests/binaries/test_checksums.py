from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.binaries import checksums

ONE, OTHER = "a" * 64, "b" * 64


def test_checksums_are_found_by_name_in_any_order() -> None:
    text = f"{ONE}  k3s-airgap-images-arm.tar.zst\n{OTHER}  k3s-armhf\n"

    assert {"k3s-airgap-images-arm.tar.zst": ONE, "k3s-armhf": OTHER} == checksums.parse(text)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (f"{ONE} *k3s", "k3s"),
        (f"{ONE.upper()}  k3s", "k3s"),
        (f"{ONE}  dist/artifacts/k3s\r", "k3s"),
    ],
)
def test_a_line_of_other_programs(line: str, name: str) -> None:
    assert {name: ONE} == checksums.parse(line)


def test_a_name_with_two_checksums_is_left_out() -> None:
    text = f"{ONE}  k3s\n{OTHER}  k3s\n{ONE}  k3s-arm64\n{ONE}  k3s-arm64\n"

    assert {"k3s-arm64": ONE} == checksums.parse(text)


@pytest.mark.parametrize("text", ["", "<html>", "a" * 64, f"{ONE[1:]}  k3s", f"{ONE}  k3s now"])
def test_other_texts_have_no_checksums(text: str) -> None:
    assert {} == checksums.parse(text)


@given(st.text())
def test_any_text_can_be_parsed(text: str) -> None:
    assert all(len(one) == 64 for one in checksums.parse(text).values())
