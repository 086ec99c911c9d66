from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from k3s_rootless import errors
from k3s_rootless.errors import (
    NotRunning,
    PeerError,
    RootlessError,
    SystemdError,
    error_document,
)

CLASSES = [
    made
    for _, made in inspect.getmembers(errors, inspect.isclass)
    if issubclass(made, RootlessError)
]


def drawn() -> dict[str, int]:
    """Return the names and exit codes of the tree in the docstring."""
    return {
        name: int(code)
        for name, code in re.findall(
            r"^[ │├└─]+(\w+) +(\d)(?: |$)", errors.__doc__ or "", re.MULTILINE
        )
    }


def test_the_documented_tree_is_the_tree_of_the_classes() -> None:
    assert drawn() == {made.__name__: made.exit_code for made in CLASSES}


@pytest.mark.parametrize("made", CLASSES, ids=lambda made: made.__name__)
def test_every_error_has_a_message_and_a_separate_hint(made: type[RootlessError]) -> None:
    name: dict[str, Any] = (
        {"name": "org.freedesktop.systemd1.NoSuchUnit"} if made is SystemdError else {}
    )

    error = made("cannot start: it is late", hint="sleep", **name)

    assert (
        "cannot start: it is late",
        "cannot start: it is late",
        "sleep",
    ) == (str(error), error.message, error.hint)
    assert made("cannot", **name).hint is None


def test_exit_codes_match_the_documentation() -> None:
    named = {
        code: {made.__name__ for made in CLASSES if made.exit_code == code} for code in range(10)
    }

    assert {"UsageError"} == named[2]
    assert {"NotRunning"} == named[3]
    assert {"NotReady"} == named[4]
    assert {"PreflightFailed"} == named[5]
    assert {"AdministratorNeeded"} == named[6]
    assert {"WouldOverwrite"} == named[7]
    assert {"UnsupportedHost"} == named[8]
    assert named[0] == named[9] == set()


def test_some_errors_have_further_fields() -> None:
    assert (
        "org.freedesktop.systemd1.NoSuchUnit"
        == SystemdError("no", name="org.freedesktop.systemd1.NoSuchUnit").name
    )
    assert 503 == PeerError("no", status=503).status
    assert PeerError("no").status is None


def test_the_json_of_an_error_has_its_keys_in_the_documented_order() -> None:
    error = NotRunning("cannot stop: no", hint="look", details={"cause": "stopped", "check": None})

    assert [
        ("message", "cannot stop: no"),
        ("hint", "look"),
        ("exit_code", 3),
        ("cause", "stopped"),
        ("check", None),
    ] == list(error.document().items())
    assert {"message": "no", "hint": None, "exit_code": 1} == error_document("no")
