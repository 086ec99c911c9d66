"""Tests of the settings of k3s-rootless itself, which need no user manager."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless import own_settings
from k3s_rootless.errors import PeerError, PreflightFailed, RootlessError, UsageError
from k3s_rootless.operations.configuration import change, document, settings_list
from k3s_rootless.operations.configuration.change import Changed
from k3s_rootless.operations.context import Context
from k3s_rootless.paths import Paths

MIRROR = "https://mirror.example/k3s"


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """Return the context of a user without a session."""
    paths = Paths(tmp_path / "root", tmp_path, tmp_path / "run", tmp_path / "config")
    return Context(paths, {}, os.getuid() or 1000, "alice")


def changed(context: Context, *values: str) -> Changed:
    return change.change(context, {"release.mirror": values}, force=False)


def test_a_mirror_is_set_shown_and_unset(context: Context) -> None:
    before = settings_list.one(context, "release.mirror")
    done = changed(context, f"{MIRROR}/")
    shown = settings_list.one(context, "release.mirror")
    undone = changed(context)

    assert ((), "default") == (before.values, before.places)
    assert (True, None, (shown,)) == (done.changed, done.state, done.settings)
    assert ((MIRROR,), "config", (MIRROR,)) == (shown.values, shown.places, shown.set_to)
    assert (True, ()) == (undone.changed, undone.settings[0].values)
    assert not changed(context).changed


def test_the_variable_of_a_shell_comes_first(context: Context) -> None:
    changed(context, MIRROR)
    context = replace(context, environ={"INSTALL_K3S_ARTIFACT_URL": "https://other.example"})

    shown = settings_list.one(context, "release.mirror")

    assert "INSTALL_K3S_ARTIFACT_URL (this shell)" == shown.places
    found = document.get_document(shown)
    assert (["https://other.example"], "environment", [MIRROR]) == (
        found["values"],
        found["origin"],
        found["set_to"],
    )
    assert "INSTALL_K3S_ARTIFACT_URL" == found["sources"][0]["variable"]


@pytest.mark.parametrize("url", ["https://alice:secret@x", "https://x/?sig=secret", "secret"])
def test_a_url_that_cannot_be_used_is_not_shown(context: Context, url: str) -> None:
    """A variable, and a file that was edited, can contain a password."""
    context.paths.settings.parent.mkdir(parents=True)
    context.paths.settings.write_text(json.dumps({"release.mirror": url}))
    shell = replace(context, environ={"INSTALL_K3S_ARTIFACT_URL": url})

    for one in (context, shell):
        shown = settings_list.one(one, "release.mirror")
        assert "secret" not in json.dumps(document.get_document(shown))
        assert ("(not a URL that can be used)",) == shown.values


@pytest.mark.parametrize("name", ["release.mirror", "Release.Mirror", "--release.mirror"])
def test_its_name_is_known(name: str) -> None:
    assert "release.mirror" == change.require_known(name)


def test_a_similar_name_is_proposed() -> None:
    with pytest.raises(UsageError) as raised:
        change.require_known("release.miror")

    assert "did you mean `release.mirror`?" == raised.value.hint


@pytest.mark.parametrize("value", ["http://mirror.example", "/srv/k3s", "https://a:b@x", ""])
def test_a_url_that_cannot_be_used_is_not_set(context: Context, value: str) -> None:
    with pytest.raises(UsageError, match=r"cannot use release\.mirror"):
        changed(context, value)

    assert not context.paths.settings.exists()


def test_two_values_are_refused(context: Context) -> None:
    with pytest.raises(UsageError, match="only one"):
        changed(context, MIRROR, MIRROR)


def test_other_entries_and_links_of_the_file_are_kept(context: Context, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles.json"
    target.write_text('{"another.setting": "x"}')
    context.paths.settings.parent.mkdir(parents=True)
    context.paths.settings.symlink_to(target)

    changed(context, MIRROR)

    assert context.paths.settings.is_symlink()
    assert {"another.setting": "x", "release.mirror": MIRROR} == json.loads(target.read_text())


@pytest.mark.parametrize("text", ["{", "[]", '{"release.mirror": 5}', "\xff", ""])
def test_a_damaged_file_is_named_and_kept(context: Context, text: str) -> None:
    context.paths.settings.parent.mkdir(parents=True)
    context.paths.settings.write_text(text, "latin-1")

    with pytest.raises(PeerError, match="cannot parse the settings in") as raised:
        changed(context, MIRROR)

    assert f"rm {context.paths.settings}" in (raised.value.hint or "")
    assert text == context.paths.settings.read_text("latin-1")


def test_a_pipe_is_no_file(context: Context) -> None:
    context.paths.settings.parent.mkdir(parents=True)
    os.mkfifo(context.paths.settings)

    with pytest.raises(RootlessError, match="it is not a file"):
        settings_list.one(context, "release.mirror")


def test_a_file_that_others_can_write_is_not_used(context: Context) -> None:
    changed(context, MIRROR)
    context.paths.settings.chmod(0o666)

    with pytest.raises(PreflightFailed, match="every user can write"):
        own_settings.read(context.paths.settings)


def test_a_directory_that_cannot_be_written(context: Context) -> None:
    context.paths.settings.parent.parent.write_text("a file")

    with pytest.raises(RootlessError, match="cannot change"):
        changed(context, MIRROR)
