from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless import yaml_file
from k3s_rootless.yaml_file import Node, NotYaml

DEEP = b"[" * 1_000_000
"""At this depth, the C composer of PyYAML crashes the process."""
BOMB = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [*{before}, *{before}]\n" for before, name in pairwise("abcdefghijklmnop")
)


def load(content: bytes) -> Any:
    return yaml_file.load(content, 10)


def load_all(content: bytes) -> Any:
    return list(yaml_file.load_all(content))


def compose(content: bytes) -> Any:
    return yaml_file.compose(content.decode(), 10)


def test_a_document_is_loaded() -> None:
    assert {"a": [1, "x"], "b": None} == load(b"a: [1, x]\nb:\n")


def test_documents_are_loaded_without_the_empty_ones() -> None:
    assert [1, {"a": [2, 2]}] == load_all(b"1\n---\n# nothing\n---\na: [&x 2, *x]\n")


@pytest.mark.parametrize("read", [load, load_all, compose])
@pytest.mark.parametrize(
    ("content", "expected", "line"),
    [
        (b"a: b\nc\n", "could not find expected ':'", 3),
        (b"a: [", "did not find expected node content", 2),
        (b"a: \x07\n", "control characters are not allowed", None),
    ],
    ids=["no colon", "cut", "control character"],
)
def test_invalid_yaml_is_refused_with_its_position(
    read: Callable[[bytes], Any], content: bytes, expected: str, line: int | None
) -> None:
    with pytest.raises(NotYaml, match=expected) as caught:
        read(content)

    assert line == caught.value.line
    assert caught.value.problem in {"", expected}


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (load, "it is nested too deeply"),
        (load_all, "it is nested too deeply"),
        (compose, "it is nested more than 10 levels deep"),
    ],
)
def test_depth_is_bounded(read: Callable[[bytes], Any], expected: str) -> None:
    with pytest.raises(NotYaml, match=expected):
        read(DEEP)


@pytest.mark.parametrize("read", [load_all, compose])
def test_an_alias_without_an_anchor_is_refused(read: Callable[[bytes], Any]) -> None:
    with pytest.raises(NotYaml) as caught:
        read(b"a: 1\nb: *x\n")

    assert 2 == caught.value.line


@pytest.mark.parametrize("read", [load, load_all])
def test_a_tag_of_python_runs_nothing(read: Callable[[bytes], Any]) -> None:
    with pytest.raises(NotYaml, match="could not determine a constructor"):
        read(b"!!python/object/apply:os.system [exit]\n")


def test_aliases_are_refused_in_a_single_document() -> None:
    with pytest.raises(NotYaml, match="YAML aliases are not allowed"):
        load(BOMB.encode())


def test_depth_is_limited_and_size_is_not() -> None:
    assert 2000 == len(load(b"[" + b"[[[[1]]]]," * 2000 + b"]"))
    assert [[[1]]] == yaml_file.load(b"[[[1]]]", 3)
    with pytest.raises(NotYaml, match="it is nested too deeply"):
        yaml_file.load(b"[[[1]]]", 2)
    with pytest.raises(NotYaml, match="it is nested more than 2 levels deep"):
        yaml_file.compose("[[[1]]]", 2)


def test_nodes_have_positions() -> None:
    text = "# c\na: 'b'\nlist:\n- !!int 1\n"

    assert Node(
        line=2,
        start=4,
        end=len(text),
        mapping=True,
        children=[
            Node(2, 4, 5, "a", plain=True),
            Node(2, 7, 10, "b"),
            Node(3, 11, 15, "list", plain=True),
            Node(
                4,
                17,
                len(text),
                children=[Node(4, 19, 26, "1", "tag:yaml.org,2002:int")],
            ),
        ],
    ) == yaml_file.compose(text, 10)
    assert yaml_file.compose("# nothing\n", 10) is None


def test_an_alias_is_the_node_of_its_anchor() -> None:
    root = yaml_file.compose(BOMB, 10)

    assert root is not None
    first, second = root.children[1], root.children[3]
    assert second.children[0] is first
    assert second.children[1] is first


@given(st.text() | st.text(st.sampled_from("ab:-[]{}#&*!|>'\"%@,?~ \n\t")))
def test_every_text_is_read_or_refused(text: str) -> None:
    for read in (load, load_all, compose):
        with suppress(NotYaml):
            read(text.encode())
