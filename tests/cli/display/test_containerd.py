"""Tests of the settings of containerd as text, and of the problems in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.cli.display import containerd
from k3s_rootless.cli.display.report import Report
from k3s_rootless.k3s import version
from k3s_rootless.node.containerd import forms, settings
from k3s_rootless.node.containerd.facts import File, Found
from k3s_rootless.operations.containerd.check import Checked, Problem
from k3s_rootless.operations.containerd.edit import Edited
from k3s_rootless.operations.containerd.runtime_class import Written
from k3s_rootless.operations.containerd.show import Row, Shown
from tests.cli.display import documents, narrow

DIRECTORY = Path("/home/alice/.rancher/k3s/agent/etc/containerd")
RENDERED = File(DIRECTORY / "config.toml", 'version = 3\nroot = "/data"\n')
DROP_IN = File(DIRECTORY / "config-v3.toml.d/user.toml", 'root = "/other"\n')
OLD = File(DIRECTORY / "config.toml.d/user.toml", "")
PARTS = forms.parts(
    Found(
        DIRECTORY,
        RENDERED,
        drop_ins={"config-v3.toml.d": (DROP_IN,), "config.toml.d": (OLD,)},
    ),
    version.parse("v1.36.3+k3s1"),
)
SHOWN = Shown(
    DIRECTORY,
    rendered=True,
    parts=PARTS,
    rows=tuple(
        Row(settings.dotted(one.key), settings.shown(one), one.origin, one.path, one.overridden)
        for one in settings.merged(PARTS)
    ),
    newer=(),
    text="version = 3\n",
)
CHECKED = Checked(DIRECTORY, (), (), (), DIRECTORY / "containerd.log", (), validated=True)
CGROUP = Problem(DROP_IN.path, 5, "SystemdCgroup is true: pods cannot start", fatal=True)
UNKNOWN_KEY = Problem(DROP_IN.path, None, "unknown key in TOML: `rot`", fatal=False)
EDITED = Edited(DROP_IN.path, (), validated=True, changed=True)
MANIFEST = "apiVersion: node.k8s.io/v1\nkind: RuntimeClass\n"
PATH = Path("/home/alice/.rancher/k3s/server/manifests/k3s-rootless-runtime-crun.yaml")
WRITTEN = Written(PATH, "crun", MANIFEST, changed=True, dry_run=False, running=True)
RESTART = "apply it with: k3s-rootless restart"
Captured = pytest.CaptureFixture[str]


def test_settings_are_a_table_with_their_files_below(capsys: Captured) -> None:
    containerd.show(Report(), SHOWN, raw=False)

    assert [
        "SETTING   VALUE    FROM",
        "───────   ──────   ─────────",
        "version   3        K3s",
        "root      /other   user.toml",
        "",
        "root: user.toml overrides config.toml",
        f"{RENDERED.path} (rendered configuration): K3s writes it at each start",
        f"{DROP_IN.path} (drop-in): containerd imports it after the rendered configuration",
        (
            f"{OLD.path} (drop-in, not read): the configuration has version 3, which imports"
            " config-v3.toml.d"
        ),
    ] == capsys.readouterr().out.splitlines()


def test_files_are_wrapped_with_an_indent_on_a_narrow_terminal() -> None:
    shown = narrow.lines(lambda report: containerd.show(report, SHOWN, raw=False))

    assert [
        f"{DROP_IN.path}",
        "  (drop-in): containerd imports it after the rendered configuration",
    ] == shown[-4:-2]


def test_a_changed_file_needs_a_restart(capsys: Captured) -> None:
    containerd.show(Report(), replace(SHOWN, newer=(DROP_IN.path,)), raw=False)

    line = f"restart required: {DROP_IN.path} changed after the last start; {RESTART}"
    assert line == capsys.readouterr().out.splitlines()[-1]


def test_before_the_first_start_there_is_no_configuration(capsys: Captured) -> None:
    nothing = replace(SHOWN, rendered=False, parts=(), rows=(), text="")

    containerd.show(Report(), nothing, raw=False)
    containerd.show(Report(), nothing, raw=True)

    assert f"K3s has not rendered {RENDERED.path} yet\n" * 2 == capsys.readouterr().out


def test_raw_prints_only_the_file(capsys: Captured) -> None:
    containerd.show(Report(), SHOWN, raw=True)

    assert "version = 3\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("checked", "expected"),
    [
        (CHECKED, ["no problem was found"]),
        (
            replace(CHECKED, problems=(CGROUP, UNKNOWN_KEY)),
            [
                f"error: {DROP_IN.path}, line 5: {CGROUP.text}",
                f"warning: {DROP_IN.path}: {UNKNOWN_KEY.text}",
            ],
        ),
        (
            replace(CHECKED, unknown=("K3s has not unpacked its containerd yet",)),
            ["unknown: K3s has not unpacked its containerd yet", "no problem was found"],
        ),
        (
            replace(CHECKED, lines=("containerd: invalid plugin config",)),
            [f"log of containerd ({CHECKED.log}):", "  containerd: invalid plugin config"],
        ),
    ],
    ids=["good", "problems", "unknown", "log"],
)
def test_a_check_shows_problems_or_that_there_is_none(
    capsys: Captured, checked: Checked, expected: list[str]
) -> None:
    containerd.show_checked(Report(), checked)

    assert expected == capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("edited", "expected"),
    [
        (EDITED, [f"wrote {DROP_IN.path}"]),
        (replace(EDITED, removed=True), [f"removed {DROP_IN.path}"]),
        (
            replace(EDITED, changed=False, validated=False),
            [f"nothing to do: {DROP_IN.path} was not changed"],
        ),
        (
            replace(EDITED, problems=(UNKNOWN_KEY,), validated=False, restart_needed="it is old"),
            [
                f"warning: {DROP_IN.path}: {UNKNOWN_KEY.text}",
                f"wrote {DROP_IN.path}",
                (
                    "K3s has not unpacked its containerd yet, so only the TOML syntax was checked;"
                    " check it after the first start with: k3s-rootless containerd check"
                ),
                f"restart required: it is old; {RESTART}",
            ],
        ),
    ],
    ids=["written", "removed", "unchanged", "warnings"],
)
def test_an_edit_shows_what_changed(capsys: Captured, edited: Edited, expected: list[str]) -> None:
    containerd.show_edited(Report(), edited)

    assert expected == capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (WRITTEN, f"wrote {PATH}; K3s applies it within seconds\n"),
        (replace(WRITTEN, running=False), f"wrote {PATH}; K3s applies it at its next start\n"),
        (replace(WRITTEN, changed=False), f"nothing to do: {PATH} is there\n"),
        (replace(WRITTEN, dry_run=True), f"would write {PATH}\n{MANIFEST}"),
        (replace(WRITTEN, dry_run=True, changed=False), f"nothing to do\n{MANIFEST}"),
    ],
)
def test_a_runtime_class_is_a_manifest(capsys: Captured, written: Written, expected: str) -> None:
    containerd.show_written(Report(), written)

    assert expected == capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "show", "result"),
    [
        ("containerd-show", partial(containerd.show, raw=False), SHOWN),
        ("containerd-show", partial(containerd.show, raw=True), SHOWN),
        ("containerd-check", containerd.show_checked, CHECKED),
        ("containerd-edit", containerd.show_edited, EDITED),
        ("containerd-runtime-class", containerd.show_written, replace(WRITTEN, dry_run=True)),
    ],
)
def test_json_is_one_document(
    capsys: Captured, name: str, show: Callable[[Report, Any], None], result: object
) -> None:
    show(Report(json_for=name), result)

    documents.require_one(capsys.readouterr().out, name)
