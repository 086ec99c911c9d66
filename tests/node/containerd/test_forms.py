"""Tests of which templates and drop-ins a release reads, and which settings are in effect."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.k3s.version import parse
from k3s_rootless.node.containerd import files, forms, settings
from k3s_rootless.node.containerd.facts import File, Found, Role

RENDERED = """version = 3
root = "/d"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
[plugins.'io.containerd.cri.v1.images'.registry.configs.'r:5000'.auth]
  username = "alice"
  password = "not-to-be-shown"
"""
BASE = '{{ template "base" . }}\n'


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a directory that only the user can change, with all files."""
    directory = tmp_path / "containerd"
    for name in ("config-v3.toml.d", "config.toml.d"):
        (directory / name).mkdir(parents=True)
    for path in (directory, *directory.iterdir()):
        path.chmod(0o755)
    return directory


def put(place: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = place / name.replace("__", "/").replace("_v3", "-v3").replace("_", ".")
        path.write_text(text)
        path.chmod(0o600)


def read(place: Path, release: str) -> dict[str, bool]:
    return {
        str(one.file.path.relative_to(place)): one.read
        for one in forms.parts(files.read(place), parse(release))
    }


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("v1.30.4+k3s1", ["config.toml.tmpl"]),
        ("v1.31.5+k3s1", ["config.toml.tmpl"]),
        ("v1.31.6+k3s1", ["config-v3.toml.tmpl"]),
        ("v1.33.9+k3s1", ["config-v3.toml.tmpl"]),
        ("v1.33.10+k3s1", ["config-v3.toml.tmpl", "config-v3.toml.d/a.toml"]),
        ("v1.36.3+k3s1", ["config-v3.toml.tmpl", "config-v3.toml.d/a.toml"]),
    ],
)
def test_the_files_that_a_release_reads(place: Path, release: str, expected: list[str]) -> None:
    put(
        place,
        config_v3_toml_tmpl=BASE,
        config_toml_tmpl=BASE,
        config_v3_toml_d__a_toml="",
        config_toml_d__a_toml="",
        config_v3_toml_d__b_txt="",
    )

    found = read(place, release)

    assert expected == [name for name, counts in found.items() if counts]
    assert 4 == len(found)


def test_a_template_of_version_2_alone_decides_the_directory(place: Path) -> None:
    put(place, config_toml_tmpl=BASE, config_v3_toml_d__a_toml="", config_toml_d__a_toml="")

    found = read(place, "v1.36.3+k3s1")

    assert {
        "config.toml.tmpl": True,
        "config-v3.toml.d/a.toml": False,
        "config.toml.d/a.toml": True,
    } == found


@pytest.mark.parametrize(
    ("template", "counts"),
    [
        ("version = 3\n", False),
        ('version = 3\nimports = ["/d/config-v3.toml.d/*.toml"]\n', True),
        ('{{- template "base" . -}}', True),
    ],
)
def test_a_template_without_that_of_k3s_must_import_drop_ins_itself(
    place: Path,
    template: str,
    counts: bool,  # noqa: FBT001
) -> None:
    put(place, config_v3_toml_tmpl=template, config_v3_toml_d__a_toml="")

    assert counts is read(place, "v1.36.3+k3s1")["config-v3.toml.d/a.toml"]


def test_later_drop_ins_win_and_say_so(place: Path) -> None:
    table = "[plugins.'io.containerd.cri.v1.images']\n"
    put(
        place,
        config_toml=RENDERED,
        config_v3_toml_d__a_toml=f'version = 3\n{table}snapshotter = "native"\n',
        config_v3_toml_d__b_toml=f'{table}snapshotter = "stargz"\nx = [1, 2]\n',
        config_v3_toml_d__c_toml="no [toml",
    )

    found = {
        settings.dotted(one.key): one
        for one in settings.merged(forms.parts(files.read(place), parse("v1.36.3+k3s1")))
    }

    one = found["plugins.'io.containerd.cri.v1.images'.snapshotter"]
    assert ("stargz", "b.toml") == (settings.shown(one), one.origin)
    assert ["a.toml", "config.toml"] == sorted(path.name for path in one.overridden)
    assert "K3s" == found["version"].origin
    assert "[1, 2]" == settings.shown(found["plugins.'io.containerd.cri.v1.images'.x"])


def test_lines_of_a_template_beside_that_of_k3s_have_its_name(place: Path) -> None:
    put(
        place,
        config_toml=RENDERED + "[debug]\n  level = 'debug'\n",
        config_v3_toml_tmpl=BASE + "[debug]\n  level = 'debug'\n",
    )

    found = settings.merged(forms.parts(files.read(place), None))

    assert {"debug.level"} == {
        settings.dotted(one.key) for one in found if one.origin == "config-v3.toml.tmpl"
    }


def test_secrets_are_not_shown(place: Path) -> None:
    put(place, config_toml=RENDERED)

    found = settings.merged(forms.parts(files.read(place), None))

    shown = {one.key[-1]: settings.shown(one) for one in found}
    assert ("alice", "********") == (shown["username"], shown["password"])
    assert ("not-to-be-shown",) == settings.secrets(found)
    assert "not-to-be-shown" not in repr((found, files.read(place)))


def test_files_that_cannot_be_used_are_named(place: Path) -> None:
    put(place, config_toml=RENDERED, config_v3_toml_d__a_toml="", config_v3_toml_d__b_toml="")
    drop_ins = place / "config-v3.toml.d"
    (drop_ins / "a.toml").chmod(0o666)
    (drop_ins / "b.toml").write_bytes(b"\xff")
    (drop_ins / "c.toml").symlink_to("nowhere")
    os.mkfifo(drop_ins / "d.toml")
    (drop_ins / "e.toml").write_bytes(b"#" * (files.LARGEST + 1))

    found = files.read(place).drop_ins["config-v3.toml.d"]

    problems = {one.path.name: one.problem for one in found}
    assert ["a.toml", "b.toml", "d.toml", "e.toml"] == sorted(problems)
    assert "every user can write" in problems["a.toml"]
    assert "it is not utf-8 text" == problems["b.toml"].lower()
    assert "it is not a regular file" == problems["d.toml"]
    assert "larger than" in problems["e.toml"]


def test_a_missing_directory_has_no_files(tmp_path: Path) -> None:
    assert () == forms.parts(files.read(tmp_path / "none"), None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SystemdCgroup = true", True),
        ("  SystemdCgroup=true # x", True),
        ("SystemdCgroup = false", False),
        ("# SystemdCgroup = true", False),
        ("SystemdCgroup = {{ .SystemdCgroup }}", False),
    ],
)
def test_the_cgroup_driver_of_systemd_is_found(text: str, expected: bool) -> None:  # noqa: FBT001
    assert expected is settings.uses_systemd(File(Path("/a"), f"[a]\n{text}\n"))


@given(st.text(max_size=80))
def test_any_text_is_read_without_an_exception(text: str) -> None:
    file = File(Path("/a.toml"), text)
    found = Found(Path("/"), file, {forms.THIRD.template: file})

    listed = forms.parts(found, None)

    assert Role.RENDERED is listed[0].role
    settings.merged(listed)
