"""Tests that a kubeconfig keeps everything but our entries, in any style."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from k3s_rootless.cluster.kubeconfig import edited_text, merging
from k3s_rootless.cluster.kubeconfig.edits import SetCurrent
from k3s_rootless.cluster.kubeconfig.entries import Document
from k3s_rootless.cluster.kubeconfig.facts import Entries

ENTRIES = Entries("k3s-rootless", "https://127.0.0.1:6443", "QUE=", "Q0U=", "S0U=")
words = st.text("abcYN01.:#-~é ", min_size=1, max_size=6)
scalars = st.one_of(words, st.booleans(), st.integers(-9, 99), st.none(), st.just("1e3"))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(words, inner, max_size=2)),
    max_leaves=4,
)


def entry(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"name": words, kind: st.dictionaries(words, values, max_size=3)},
        optional={"x-other": values},
    )


documents: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "apiVersion": st.just("v1"),
        "kind": st.just("Config"),
        "clusters": st.none() | st.lists(entry("cluster"), max_size=3),
        "contexts": st.none() | st.lists(entry("context"), max_size=3),
        "users": st.none() | st.lists(entry("user"), max_size=3),
        "current-context": words,
        "preferences": st.just({}),
        "x-plugin": values,
    },
)


def merged(content: bytes) -> bytes:
    documents = [edited_text.parse(content)]
    (edits,) = merging.merge(documents, 0, ENTRIES, switch=None)
    return edited_text.edited(content, edits)


def removed(content: bytes) -> bytes:
    (edits,) = merging.remove([edited_text.parse(content)], ["k3s-rootless"])
    return edited_text.edited(content, edits)


def rest(document: Document) -> Document:
    """Return a kubeconfig without what a merge into an empty file adds."""
    added = ("apiVersion", "kind", "current-context")
    return {key: value for key, value in document.items() if value and key not in added}


@pytest.mark.thorough
@given(documents, st.sampled_from(["block", "flow", "json", "indented"]))
@settings(max_examples=150)
def test_a_merge_and_a_removal_leave_what_was_there(document: Document, style: str) -> None:
    match style:
        case "json":
            text = json.dumps(document, indent=2)
        case "flow":
            text = yaml.safe_dump(document, default_flow_style=True, allow_unicode=True)
        case "block":
            text = yaml.safe_dump(document, sort_keys=False)
        case _:
            text = "# mine\n" + yaml.safe_dump(document, default_style='"')

    new = merged(text.encode())
    back = removed(new)

    assert merging.Owner.OURS is merging.owner([edited_text.parse(new)], "k3s-rootless")
    assert rest(yaml.safe_load(text) or {}) == rest(edited_text.parse(back))
    if style == "json":
        assert json.loads(new)
    if style == "indented":
        assert b"# mine\n" in back


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"kind":"Config"}', '{"kind": "Config", "current-context": "x"}'),
        ("{}\n", '{"apiVersion": "v1", "kind": "Config", "current-context": "x"}\n'),
        ('{\n\t"a": 1\n}', '{\n\t"a": 1,\n\t"current-context": "x"\n}'),
        ("{a: 1}\n", "{a: 1, current-context: x}\n"),
        ("# c\na: 1   # d\n\n# e\n", "# c\na: 1   # d\n\n# e\ncurrent-context: x\n"),
        ("current-context: 'y' # c\n", "current-context: 'x' # c\n"),
        (
            "a: 0x10\nb: 010\nc: yes\nd: 1.10\n",
            "a: 0x10\nb: 010\nc: yes\nd: 1.10\ncurrent-context: x\n",
        ),
        ("a: >-\n  folded\n  text\n", "a: >-\n  folded\n  text\ncurrent-context: x\n"),
    ],
    ids=range(8),
)
def test_the_style_of_a_text_is_kept(before: str, after: str) -> None:
    assert after == edited_text.edited(before.encode(), [SetCurrent("x")]).decode()


def test_a_text_with_other_line_ends_keeps_its_content() -> None:
    new = edited_text.edited(b"a: 1\r\n# c\r\nb: 2\r\n", [SetCurrent("x")])

    assert {"a": 1, "b": 2, "current-context": "x"} == yaml.safe_load(new)
    assert b"# c" in new
