"""Tests of the options of `upgrade` and `rollback`, as users give them."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from k3s_rootless.cli.rollback import command as rollback
from k3s_rootless.cli.upgrade import command as upgrade
from k3s_rootless.errors import UsageError

pytestmark = pytest.mark.thorough


@pytest.mark.parametrize(
    "words",
    [
        ("--continue", "--abort"),
        ("--continue", "v1.36"),
        ("--abort", "--dry-run"),
    ],
)
def test_requests_that_cannot_be_meant(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(upgrade, words)

    assert isinstance(done.exception, UsageError)
    assert "use --continue or --abort alone" in str(done.exception)


def test_help_names_the_exit_codes() -> None:
    for command in (upgrade, rollback):
        assert "Exit codes" in CliRunner().invoke(command, ["--help"]).output
