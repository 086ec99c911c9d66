"""Tests that configuration files become the same flags as with K3s's own parser.

The expected flags are recorded from that parser.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.k3s import config_file, config_yaml
from k3s_rootless.k3s.config_file import ConfigFile, Given
from k3s_rootless.k3s.config_yaml import Entry, Item
from k3s_rootless.observation import Known, Unknown

RECORDED = json.loads((Path(__file__).parent.parent / "data" / "config-files.json").read_text())
CONFIG = Path("/etc/rancher/k3s/config.yaml")


def files(texts: dict[str, str]) -> tuple[ConfigFile, ...]:
    """Parse the texts in the order in which K3s reads them: the file, then its drop-ins by name."""
    names = [name for name in sorted(texts) if name.lower().endswith((".yaml", ".yml"))]
    return tuple(ConfigFile(Path(name), config_yaml.parse(texts[name])) for name in names)


def flag(found: Given) -> str:
    return f"{'-' if len(found.name) == 1 else '--'}{found.name}={found.text}"


@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda case: case["name"])
def test_files_result_in_the_same_flags_as_in_k3s(case: dict[str, Any]) -> None:
    found = files(case["files"])
    flags = [flag(one) for one in config_file.merged(found)]
    unreadable = [file for file in found if isinstance(file.entries, Unknown)]

    assert bool(unreadable) == ("error" in case and bool(case["files"]))
    if not unreadable:
        # For a mapping, Go prints text that no flag accepts; the parser under test keeps the text
        # of the file.
        expected = [one for one in case.get("flags", []) if "[{" not in one]
        assert expected == [one for one in flags if "{" not in one]
        assert len(case.get("flags", [])) == len(flags)


def test_each_value_has_its_file_and_line() -> None:
    found = files(
        {
            "config.yaml": "# c\ndata-dir: /a\ndisable:\n- b\n\n- c\n",
            "config.yaml.d/1.yaml": "\ndisable+: d",
        }
    )

    assert [
        Given("data-dir", "/a", Path("config.yaml"), 2),
        Given("disable", "b", Path("config.yaml"), 4),
        Given("disable", "c", Path("config.yaml"), 6),
        Given("disable", "d", Path("config.yaml.d/1.yaml"), 2),
    ] == list(config_file.merged(found))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: b\nc\n", "line 3: could not find expected ':'"),
        ("- a\n", "line 1: it is not a mapping of options to values"),
        ("\na: *x\n", "line 2: unknown anchor 'x' referenced"),
        ("a: !!binary '%'\n", "base64 data"),
        ("a: " + "[" * 5000, "line 1: it is nested more than 100 levels deep"),
        ("a: \x07\n", "unacceptable character"),
        ("a: \udc80\n", "'utf-8' codec can't encode"),
    ],
    ids=lambda text: ascii(text)[:30],
)
def test_an_invalid_file_is_reported_with_its_line(text: str, reason: str) -> None:
    found = config_yaml.parse(text)

    assert isinstance(found, Unknown)
    assert reason in found.reason


def test_nested_aliases_are_read_quickly() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{n}: &{n} [*{p}, *{p}]\n"
        for p, n in zip("abcdefghijklmnop", "bcdefghijklmnopq")  # noqa: B905
    )

    found = config_yaml.parse(bomb)

    assert isinstance(found, Known)
    assert Entry("a", (Item("x", 1), Item("x", 1)), 1, listed=True) == found.value[0]


@given(st.text() | st.text(st.sampled_from("ab:-[]{}#&*!|>'\"%@,?~0x1.e+_ \n\t")))
def test_any_text_has_an_answer(text: str) -> None:
    assert isinstance(config_yaml.parse(text), Known | Unknown)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_shown_unchanged(number: float) -> None:
    found = config_yaml.parse(f"a: {number!r}")

    assert isinstance(found, Known)
    assert number == float(found.value[0].items[0].text)


@pytest.mark.parametrize(
    ("arguments", "variable", "expected"),
    [
        ("", "", str(CONFIG)),
        ("-c /x.yaml", "", "/x.yaml"),
        ("--config=/x.yaml", "/y.yaml", "/y.yaml"),
        ("--config /x.yaml --config /y.yaml", "", "/x.yaml"),
        ("-c=/x.yaml", "", "/x.yaml"),
        ("-config /x.yaml", "", str(CONFIG)),
        ("--config=", "", ""),
        ("--config", "", ""),
    ],
)
def test_the_configuration_file_that_k3s_reads(
    arguments: str, variable: str, expected: str
) -> None:
    assert expected == config_file.location(("k3s", "server", *arguments.split()), variable)
