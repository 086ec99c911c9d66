"""Tests that lingering is read from logind's own file, and switched only if it must change."""

from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError
from k3s_rootless.operations import linger
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.launch import document


def flag(context: Context) -> Path:
    directory = context.paths.root / "var/lib/systemd/linger"
    directory.mkdir(parents=True, exist_ok=True)
    return directory / context.user


def test_lingering_is_on_if_the_file_of_the_user_exists(context: Context) -> None:
    path = flag(context)
    before = linger.lingers(context)
    path.touch()

    assert (False, True) == (before, linger.lingers(context))


def test_a_directory_that_cannot_be_read_is_an_error(context: Context) -> None:
    directory = flag(context).parent
    directory.rmdir()
    directory.write_text("a file in place of the directory")

    with pytest.raises(RootlessError) as unknown:
        linger.lingers(context)

    assert str(unknown.value).startswith("cannot read whether lingering is on: ")


@pytest.mark.parametrize("on", [True, False])
def test_logind_is_not_called_if_nothing_changes(context: Context, *, on: bool) -> None:
    path = flag(context)
    if on:
        path.touch()

    assert on == linger.switch(context, on=on)
    assert {"lingers": on, "errors": []} == document.of_lingering(lingers=on)
