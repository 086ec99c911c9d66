from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless import unit_file
from k3s_rootless.unit_file import Assignment, quoted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[Unit]\n\n  After = a  \n", ["[Unit]", "After = a"]),
        ("# a\n; b\nA=1 # no comment\n", ["A=1 # no comment"]),
        ("A=1 \\\n  2\nB=3", ["A=1    2", "B=3"]),
        ("A=1 \\\r\n2\r\nB=3\r\n", ["A=1  2", "B=3"]),
        ("A=1\\\n# between\n  ; between\n2\n", ["A=1 2"]),
        ("# a comment never goes on \\\nA=1\n", ["A=1"]),
        ("A=1\\\\\nB=2\n", ["A=1\\\\", "B=2"]),
        ("A=1\\\\\\\nB=2\n", ["A=1\\\\ B=2"]),
        ("A=1\\\n\nB=2\n", ["A=1", "B=2"]),
        ("A=1\\", ["A=1"]),
        ("\\\n\\\n", []),
        ("", []),
    ],
    ids=[
        "blanks",
        "comments",
        "continuation",
        "CRLF",
        "comments between",
        "backslash in a comment",
        "escaped backslash",
        "three backslashes",
        "empty continuation",
        "last line",
        "backslashes only",
        "empty",
    ],
)
def test_lines_are_those_of_systemd(text: str, expected: list[str]) -> None:
    assert expected == list(unit_file.lines(text))


def test_joined_lines_keep_comments_and_blanks() -> None:
    assert "# a  b\nPASSWORD=c d\n" == unit_file.joined("# a \\\nb\nPASSWORD=c\\\nd\n")


def test_assignments_name_their_section() -> None:
    text = "A=0\n[Unit]\nA = 1\n[Service]\nno assignment\nA=2=3 \nB=\n[X-Mine]\nA=4\n"

    assert [
        Assignment("", "A", "0"),
        Assignment("Unit", "A", "1"),
        Assignment("Service", "A", "2=3"),
        Assignment("Service", "B", ""),
        Assignment("X-Mine", "A", "4"),
    ] == list(unit_file.assignments(text))
    assert ["2=3"] == list(unit_file.values(text, "A"))
    assert ["4"] == list(unit_file.values(text, "A", "X-Mine"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a b\tc", ["a", "b", "c"]),
        ("a'b c'd", ["ab cd"]),
        ("'' \"\"", ["", ""]),
        ("'it \"is\"'", ['it "is"']),
        (r"\x41\101\u00e9\s\\", ["AA\u00e9 \\"]),
        (r"\U00110000 b", ["", "b"]),
        (r"\q", None),
        ("'open", None),
        ("", []),
    ],
)
def test_words_are_those_of_systemd(value: str, expected: list[str] | None) -> None:
    assert expected == unit_file.words(value)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("/usr/bin/k3s", '"/usr/bin/k3s"'),
        ("/a b/k3s", '"/a b/k3s"'),
        ("/50%h/k3s", '"/50%%h/k3s"'),
        ("/$HOME/${HOME}", '"/$HOME/${HOME}"'),
        ('say "it\'s"', '"say \\"it\'s\\""'),
        ("back\\", '"back\\\\"'),
        ("a\nb\tc\r\x7f", '"a\\nb\\tc\\x0d\\x7f"'),
        ("é日😀", '"é日😀"'),
    ],
    ids=["plain", "space", "percent", "dollar", "quotes", "backslash", "control", "letters"],
)
def test_a_word_is_quoted_as_systemd_reads_it_back(word: str, expected: str) -> None:
    assert expected == quoted(word)


def read_back(word: str) -> str:
    """Read a quoted word by the rules of systemd.syntax(7), with systemd.unit(5) specifiers."""
    plain, rest = "", word[1:-1]
    while rest:
        if rest[0] == "\\":
            kind = rest[1]
            plain += (
                chr(int(rest[2:4], 16)) if kind == "x" else {"n": "\n", "t": "\t"}.get(kind, kind)
            )
            rest = rest[4:] if kind == "x" else rest[2:]
        else:
            assert rest[0] not in '"\n'
            plain, rest = plain + rest[0], rest[2:] if rest.startswith("%%") else rest[1:]
    return plain


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('\\"%$\n\t ')))
def test_every_word_is_read_back_as_it_was(word: str) -> None:
    assert word == read_back(quoted(word))
    assert [word.replace("%", "%%")] == unit_file.words(quoted(word))
    assert "\n" not in quoted(word)


@given(st.text(st.characters() | st.sampled_from("[]=\\\"'#;%\n\r\t ")))
def test_every_text_is_read(text: str) -> None:
    assert all(unit_file.lines(text))
    list(unit_file.assignments(text))
    unit_file.words(text)
