from __future__ import annotations

import pytest

from k3s_rootless.service.environment.expansion import expanded, named

VALUES = {"A": "one two", "Q": "'a b' c", "B": "b", "EMPTY": ""}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["k3s", "server"], ["k3s", "server"]),
        (["k3s", "$A"], ["k3s", "one", "two"]),
        (["k3s", "${A}"], ["k3s", "one two"]),
        (["k3s", "$Q", "${Q}"], ["k3s", "a b", "c", "'a b' c"]),
        (["k3s", "--x=${B}/${A}"], ["k3s", "--x=b/one two"]),
        (["k3s", "--x=$B"], ["k3s", "--x=$B"]),
        (["k3s", "$HOME/x", "$", "x$"], ["k3s", "x$"]),
        (["k3s", "$$B", "$$"], ["k3s", "$B", "$"]),
        (["k3s", "$NONE", "${NONE}", "$EMPTY"], ["k3s", ""]),
        (["k3s", "${9}", "${B", "$9"], ["k3s", "", "${B"]),
        (["${B}/k3s", "$B"], ["${B}/k3s", "b"]),
    ],
)
def test_variables_are_expanded_as_in_systemd(words: list[str], expected: list[str]) -> None:
    """Observed with systemd 252, with `printf` as the program."""
    assert expected == list(expanded(words, lambda name: VALUES.get(name, "")))


def test_the_variables_that_a_command_names() -> None:
    assert {
        "A",
        "B",
        "C",
        "HOME/x",
    } == named(["${PROGRAM}", "$A", "--x=${B}${C}", "$$D", "$HOME/x"])
