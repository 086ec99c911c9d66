"""Tests that everything people read is plain technical English.

The words of `WORDS` are hard to understand for readers who learned English later, or they have no
exact meaning in this field. There is no list of exceptions. Log lines of K3s are data, which is
recognised by its place: the patterns of the catalogue and other regular expressions in the code,
and blocks with log lines in the documentation.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "k3s_rootless"
PYTHON = sorted(PACKAGE.rglob("*.py"))
TEXT = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "docs").rglob("*.json"),
        *(ROOT / "benchmarks").rglob("*.md"),
        *(ROOT / "units").glob("*.j2"),
        *(PACKAGE / "templates").glob("*.j2"),
        ROOT / "pyproject.toml",
    ]
)

WORDS = {
    r"told|tell(?:s|ing)?": "printed, reported, shows; check whether",
    r"mend(?:s|ed|ing)?": "fix, fixed, how to fix it",
    r"nobody|somebody": "no process, another process, the overflow user",
    r"anew": "again, new",
    r"whoever": "the caller",
    r"(?:is|are|was|were)\s+to\s+be|ha(?:s|ve|d)\s+to\s+be": "must",
    r"stands?\s+(?:for|in)": "is mapped to, is in",
    r"(?:comes?|came)\s+to": "reaches, reached",
    r"owed": "pending, restart required",
    r"not\s+the\s+less|no\s+longer\s+than": "still, at most",
    r"outliv(?:es?|ed|ing)": "keeps running after",
    r"unasked": "by default, automatically",
    r"was\s+asked\s+for": "was requested",
}
"""What neither text nor identifiers may hold, and what to write in place of it."""
PROSE_WORDS = {r"rivals?": "other programs on the port, other Services"}
"""What sentences must not hold; keys of JSON documents and identifiers keep their names."""

_NAME = re.compile(r"\S*")
_LOG_LINE = re.compile(r"\blevel=[a-z]+ |^[IWEF]\d{4} \d\d:\d\d:|^\S+\[\d+\]: |^\S+\.service: ")
_BLOCK = re.compile(r"^```(?P<kind>[a-z]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_KEY = re.compile(r"`[^`\n]+`|\"[a-z_]+\"")

Piece = tuple[int, str]
"""A line number, and the text that begins there."""


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_strings_comments_and_names_are_plain(path: Path) -> None:
    source = path.read_text("utf-8")

    assert_plain(path, [*strings(source), *comments(source), *names(source)])


@pytest.mark.parametrize("path", TEXT, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_and_templates_are_plain(path: Path) -> None:
    text = path.read_text("utf-8")

    assert_plain(path, lines(text) if path.suffix == ".md" else [(1, text)])


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('"""Tell why."""', ["Tell"]),
        ('print(f"{port} is held: nobody may\\nopen it")', ["nobody"]),
        ('x = ("it was not the"\n     " less")', ["not the less"]),
        ("# not the\n# less\n", ["not the less"]),
        ("told = 1", ["told"]),
        ('error("two rivals want it")', ["rivals"]),
        ('key = "rivals"', []),
        ('sign("nobody", r"told by nobody", "the title, anew")', ["anew"]),
        ('re.compile(r"nobody")', []),
        ("recommend = unsold = 'amended'", []),
    ],
)
def test_words_are_found_in_code(source: str, words: list[str]) -> None:
    pieces = [*strings(source), *comments(source), *names(source)]

    assert words == [word for _, word, *_ in found(pieces)]


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("K3s begins anew.", ["anew"]),
        ("The key `rivals` has the targets.", []),
        ("```\nstarts anew\n```\n", ["anew"]),
        ('```\ntime="…" level=fatal msg="nobody may"\n```\n', []),
        ("```text\nnobody: no such user\n```\n", []),
    ],
)
def test_words_are_found_in_pages(page: str, words: list[str]) -> None:
    assert words == [word for _, word, *_ in found(lines(page))]


def assert_plain(path: Path, pieces: list[Piece]) -> None:
    """Fail with a line for each word that is not plain."""
    if findings := [
        f"{path.relative_to(ROOT)}:{line}: {word} ({replacement}): {sentence}"
        for line, word, replacement, sentence in sorted(found(pieces))
    ]:
        pytest.fail("\n".join(findings), pytrace=False)


def found(pieces: list[Piece]) -> Iterator[tuple[int, str, str, str]]:
    """Yield line, word, replacement and sentence for each word that is not plain."""
    for number, text in pieces:
        prose = "" if _NAME.fullmatch(text) else _KEY.sub("", text)
        for words, searched in ((WORDS, text), (PROSE_WORDS, prose)):
            for word, replacement in words.items():
                for match in re.finditer(rf"\b(?:{word})\b", searched, re.IGNORECASE):
                    line = number + searched.count("\n", 0, match.start())
                    around = searched[max(0, match.start() - 40) : match.end() + 40]
                    yield line, one_line(match[0]), replacement, one_line(around)


def one_line(text: str) -> str:
    """Return a text with one space in place of each run of white space."""
    return re.sub(r"\s+", " ", text)


def strings(source: str) -> list[Piece]:
    """Return all string constants, docstrings among them, apart from patterns of log lines."""
    tree = ast.parse(source)
    data = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for argument in patterns(node)
        for inner in ast.walk(argument)
    }
    whole = [
        node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) and id(node) not in data
    ]
    data |= {id(part) for node in whole for part in node.values}
    return [
        *((node.lineno, joined(node)) for node in whole),
        *(
            (node.lineno, node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in data
        ),
    ]


def patterns(call: ast.Call) -> list[ast.expr]:
    """Return the arguments of a call that match text of other programs."""
    match call.func:
        case ast.Name("sign"):
            return call.args[:2]
        case ast.Attribute(ast.Name("re"), _):
            return call.args[:1]
        case _:
            return []


def joined(node: ast.JoinedStr) -> str:
    """Return an f-string with `{}` in place of each value."""
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
    )


def comments(source: str) -> list[Piece]:
    """Return the comments; consecutive lines are one piece."""
    pieces: list[Piece] = []
    last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        text = token.string.lstrip("# ")
        if pieces and token.start[0] == last + 1:
            pieces[-1] = (pieces[-1][0], f"{pieces[-1][1]}\n{text}")
        else:
            pieces.append((token.start[0], text))
        last = token.start[0]
    return pieces


def names(source: str) -> list[Piece]:
    """Return the identifiers."""
    return [
        (token.start[0], token.string)
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.NAME
    ]


def lines(page: str) -> list[Piece]:
    """Return a page without its log lines."""
    return [(1, _BLOCK.sub(without_log_lines, page))]


def without_log_lines(block: re.Match[str]) -> str:
    """Return a block with empty lines in place of log lines; blocks of `text` hold only these."""
    return "".join(
        "\n" if block["kind"] == "text" or _LOG_LINE.search(line) else line
        for line in block[0].splitlines(keepends=True)
    )
