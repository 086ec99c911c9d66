from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.service.environment import assignments
from k3s_rootless.unit_file import quoted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[Service]\nEnvironment=A=1 B=2\n", {"A": "1", "B": "2"}),
        ("[Service]\nEnvironment=A=1\nEnvironment=A=2\n", {"A": "2"}),
        ("[Service]\nEnvironment=A=1\nEnvironment=\nEnvironment=B=2\n", {"B": "2"}),
        ("[Service]\n  Environment = A=1  \n", {"A": "1"}),
        (
            '[Service]\nEnvironment="A=1 2" \'B="3"\' C=4" "5\n',
            {"A": "1 2", "B": '"3"', "C": "4 5"},
        ),
        (
            "[Service]\nEnvironment=A=\\x41\\n\\101\\u00e9\\U0001f600\\s\\\\\n",
            {"A": "A\nA\u00e9\U0001f600 \\"},
        ),
        ("[Service]\nEnvironment=A=100%% B=%h C=%%h\n", {"A": "100%", "B": None, "C": "%h"}),
        ("[Service]\nEnvironment=A=1 \\\n# in between\n  B=2\n", {"A": "1", "B": "2"}),
        ("[Service]\nEnvironment=A=1\\\nB=2\n", {"A": "1", "B": "2"}),
        ("[Unit]\nEnvironment=A=1\n[Service]\nEnvironment=B=2\n[X]\nEnvironment=C=3\n", {"B": "2"}),
        ("[Service]\nEnvironmentFile=A=1\n#Environment=B=2\n;Environment=C=3\n", {}),
        ("[Service]\nEnvironment=A=\\q B=2\n", {}),
        ('[Service]\nEnvironment="A=1 B=2\n', {}),
        ("[Service]\nEnvironment=noequals =x 1A=2 A-B=3 _a1=4\n", {"_a1": "4"}),
        ("Environment=A=1\n", {}),
        ("[Service]\r\nEnvironment=A=1\r\n", {"A": "1"}),
        ("", {}),
    ],
)
def test_a_drop_in_is_read_as_systemd_reads_it(text: str, expected: dict[str, str | None]) -> None:
    assert expected == dict(assignments.of_drop_in(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nB=2", {"A": "1", "B": "2"}),
        ("# c\n; d\n\n  A = 1 2  \n", {"A": "1 2"}),
        ("A=\nB=''\n", {"A": "", "B": ""}),
        ('A="a\\"b\\\\c\\$d\\`e\\nf"\n', {"A": 'a"b\\c$d`e\\nf'}),
        ("A='a\\\"b'\n", {"A": 'a\\"b'}),
        ('A="two\nlines"\nB=2\n', {"A": "two\nlines", "B": "2"}),
        ("A=a\\\nb\nB=2\n", {"A": "ab", "B": "2"}),
        ("A=a\\ \nB=\\\\\n", {"A": "a ", "B": "\\"}),
        ("A='a'\"b\"c\n", {"A": "abc"}),
        ("A=%h $HOME\n", {"A": "%h $HOME"}),
        ("no equals\nA=1\n", {"A": "1"}),
        ("A=1\nA=2\n", {"A": "2"}),
        ("1A=2\n", {}),
        ("", {}),
    ],
)
def test_an_environment_file_is_read_as_systemd_reads_it(
    text: str, expected: dict[str, str]
) -> None:
    assert expected == assignments.of_file(text)


def test_unset_variables_are_read() -> None:
    text = "[Service]\nUnsetEnvironment=A B=1\nUnsetEnvironment=\nUnsetEnvironment=C\n"

    assert [("A", "B=1"), None, ("C",)] == list(assignments.unset_by(text))


VALUES = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"])
    | st.sampled_from("\\\"%$\n\t' ")
)


@given(st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True), VALUES))
def test_quoted_values_are_read_back(values: dict[str, str]) -> None:
    lines = "".join(f"Environment={quoted(f'{name}={value}')}\n" for name, value in values.items())

    assert values == dict(assignments.of_drop_in(f"[Service]\n{lines}"))


@given(st.text(st.characters() | st.sampled_from("[]Service=Environment\\\"'#;%\n\r\t ")))
def test_every_text_can_be_read(text: str) -> None:
    assignments.of_drop_in(f"[Service]\nEnvironment={text}")
    list(assignments.unset_by(text))
    assignments.of_file(text)
