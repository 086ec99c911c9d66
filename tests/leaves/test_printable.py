from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.printable import json_text, printable


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
    assert expected == printable(text)


@given(st.text())
def test_the_result_is_always_printable_and_stable(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)


@given(
    st.recursive(
        st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_a_printable_document_has_the_same_content(content: object) -> None:
    shown = json_text(json.dumps(content, indent=2, ensure_ascii=False))

    assert shown.replace("\n", "").isprintable()
    assert content == json.loads(shown)


def test_a_surrogate_is_escaped_in_a_document() -> None:
    assert '"\\udcff\\u007f\\u202e\\udb40\\udc01 é"' == json_text(
        json.dumps("\udcff\x7f\u202e\U000e0001 é", ensure_ascii=False)
    )
