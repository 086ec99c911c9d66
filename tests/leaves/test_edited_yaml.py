"""Tests that a change of a YAML text keeps its comments, its order and its other keys."""

from __future__ import annotations

from typing import Any

import pytest

from k3s_rootless import edited_yaml, yaml_file

TEXT = """# registries of the team
mirrors:
  # first
  docker.io:
    endpoint:
      - "https://mirror.example"  # near
  # second
  quay.io:
    endpoint:
      - https://quay.example
# passwords
configs:
  mirror.example:
    auth: {username: a, password: "no"}  # old
# the end
"""


def put(text: str, path: tuple[str, ...], value: Any) -> str:
    changed = edited_yaml.edited(
        text.encode(), lambda document: edited_yaml.put(document, path, value), {}
    )
    return changed.decode()


def remove(text: str, *path: str) -> str:
    changed = edited_yaml.edited(
        text.encode(), lambda document: edited_yaml.remove(document, path), {}
    )
    return changed.decode()


def test_a_value_is_replaced_where_it_is() -> None:
    new = put(TEXT, ("mirrors", "quay.io", "endpoint"), ["https://other.example"])

    assert TEXT.replace("https://quay.example", "https://other.example") == new


def test_a_new_key_is_the_last_one_of_its_mapping() -> None:
    new = put(TEXT, ("mirrors", "ghcr.io", "endpoint"), ["https://g.example"])

    added = "  ghcr.io:\n    endpoint:\n      - https://g.example\n# passwords\n"
    assert TEXT.replace("# passwords\n", added) == new


def test_a_new_key_at_the_end_leaves_the_last_comment_at_the_end() -> None:
    new = put(TEXT, ("configs", "b:5000", "tls", "ca_file"), "/ca.crt")

    added = "  b:5000:\n    tls:\n      ca_file: /ca.crt\n# the end\n"
    assert TEXT.replace("# the end\n", added) == new


def test_a_removed_key_leaves_the_comment_of_the_next_one() -> None:
    new = remove(TEXT, "mirrors", "docker.io")

    gone = '  docker.io:\n    endpoint:\n      - "https://mirror.example"  # near\n'
    assert TEXT.replace(gone, "") == new


def test_the_last_key_takes_its_empty_mapping_with_it() -> None:
    new = remove(TEXT, "configs", "mirror.example")

    assert "configs" not in new
    assert new.endswith("      - https://quay.example\n# passwords\n# the end\n")


def test_a_removed_key_that_is_not_there_changes_nothing() -> None:
    assert TEXT == remove(TEXT, "mirrors", "ghcr.io")
    assert TEXT == remove(TEXT, "nothing", "ghcr.io", "x")


@pytest.mark.parametrize("text", ["", "# only comments\n", "---\n", "{}\n", "mirrors:\n"])
def test_a_document_without_values_gets_the_first_one(text: str) -> None:
    new = put(text, ("mirrors", "a", "endpoint"), ["b"])

    assert {"mirrors": {"a": {"endpoint": ["b"]}}} == yaml_file.load(new.encode(), 9)
    assert "#" not in text or new.startswith("# only comments\n")


@pytest.mark.parametrize("word", ["yes", "1234", "0123", "null", "1.5", "2026-01-01", "a: b", "#"])
def test_strings_stay_strings_for_readers_of_yaml_1_1(word: str) -> None:
    new = put("a: 1\n", ("configs", word, "password"), word)

    assert {"a": 1, "configs": {word: {"password": word}}} == yaml_file.load(new.encode(), 9)


@pytest.mark.parametrize("content", [b"a: [", b"a: \xff\n", b"a: 1\n---\nb: 2\n"])
def test_a_text_that_cannot_be_changed_is_refused(content: bytes) -> None:
    with pytest.raises(edited_yaml.NotEditable):
        edited_yaml.edited(content, lambda document: edited_yaml.put(document, ("a",), "b"), {})
