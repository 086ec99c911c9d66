from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.printable import printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("default/web", "default/web"),
        ("Grüße, 世界", "Grüße, 世界"),
        ("\x1b[31mred", "\ufffd[31mred"),
        ("a\r\nb\tc\x7f\x9b", "a\ufffd\ufffdb\ufffdc\ufffd\ufffd"),
        ("user\u202egnp.exe\u2066\u200f\u061c", "user\ufffdgnp.exe\ufffd\ufffd\ufffd"),
        ("x" * 400, "x" * 299 + "…"),
    ],
    ids=["plain", "letters", "escape", "control", "bidi", "long"],
)
def test_the_text_of_others_is_made_safe(text: str, expected: str) -> None:
    assert printable(text) == expected


@given(st.text())
def test_whatever_comes_the_result_prints_and_stays(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
