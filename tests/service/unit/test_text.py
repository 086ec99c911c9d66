from __future__ import annotations

import shutil
import subprocess
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.errors import PreflightFailed
from k3s_rootless.k3s.features import UNIT_PATH, UnitVariant
from k3s_rootless.service.facts import UnitSettings
from k3s_rootless.service.unit.seal import Author, author, sealed
from k3s_rootless.service.unit.text import is_rendered_from, render, written_for

# The directives that K3s ships (its k3s-rootless.service, v1.22 and later); v1.21 has no
# --snapshotter.
SHIPPED = r"""
[Unit]
Description=k3s (Rootless)
[Service]
Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/usr/local/bin/k3s server --rootless --snapshotter=fuse-overlayfs
ExecReload=/bin/kill -s HUP $MAINPID
TimeoutSec=0
RestartSec=2
Restart=always
StartLimitBurst=3
StartLimitInterval=60s
LimitNOFILE=infinity
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
Delegate=yes
Type=simple
KillMode=mixed
[Install]
WantedBy=default.target
"""


def settings(
    binary: str = "/usr/local/bin/k3s",
    variant: UnitVariant = UnitVariant.FUSE_OVERLAYFS,
    search: str = UNIT_PATH,
) -> UnitSettings:
    return UnitSettings(version="v1.36.1+k3s1", server=variant.value, binary=binary, search=search)


def directives(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines()]
    return [line.replace('"', "") for line in lines if line and not line.startswith("#")]


def test_the_unit_has_the_directives_of_k3s() -> None:
    assert directives(SHIPPED) == directives(render(settings()))


def test_the_unit_for_the_first_releases_has_no_snapshotter() -> None:
    expected = SHIPPED.replace(" --snapshotter=fuse-overlayfs", "")

    assert directives(expected) == directives(render(settings(variant=UnitVariant.PLAIN)))


def test_the_unit_names_its_release() -> None:
    assert "v1.36.1+k3s1" == written_for(render(settings()))
    assert written_for("[Service]\n") is None


PLAIN = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn"), exclude_characters="\"'\\"),
    min_size=1,
)
ANY = st.builds(UnitSettings, version=PLAIN, server=PLAIN, binary=PLAIN, search=PLAIN)


@given(one=ANY, other=ANY)
def test_a_rendered_unit_is_recognised_without_rendering(
    one: UnitSettings, other: UnitSettings
) -> None:
    text = render(one)

    assert is_rendered_from(text, one)
    assert is_rendered_from(text, other) == (one == other)


@pytest.mark.parametrize("name", [field.name for field in fields(UnitSettings)])
def test_a_unit_with_other_settings_is_not_recognised(name: str) -> None:
    assert not is_rendered_from(render(settings()), replace(settings(), **{name: "/another"}))


def test_an_edited_unit_is_not_recognised() -> None:
    text = render(settings())

    assert not is_rendered_from(text.replace("RestartSec=2", "RestartSec=3"), settings())
    assert not is_rendered_from(text.partition("\n")[2], settings())
    assert not is_rendered_from(sealed("[Service]\n"), settings())


@pytest.mark.parametrize(
    "name",
    [
        'q"',
        "q'",
        "back\\slash",
        "new\nline",
        "tab\t",
        "\x7f",
        "not\udcfftext",
        "\ufffe",
        "\ufdd0",
        "\U0001ffff",
    ],
)
def test_a_program_that_systemd_would_not_start_is_refused(name: str) -> None:
    with pytest.raises(PreflightFailed) as caught:
        render(settings(f"/opt/{name}/k3s"))

    assert caught.value.message.isprintable()
    assert (
        "install k3s in a path without these characters, such as ~/.local/bin/k3s"
        == caught.value.hint
    )


def test_our_unit_is_recognised_until_it_is_edited() -> None:
    ours = render(settings())

    assert author(ours) is Author.OURS
    assert author(ours.replace("TasksMax=infinity", "TasksMax=100")) is Author.EDITED
    assert author(ours + "\n") is Author.EDITED
    assert author(ours.replace("\n", "\r\n")) is Author.EDITED
    assert author(ours.rstrip("\n")) is Author.EDITED
    assert author(ours + "# caf\udce9\n") is Author.EDITED


@pytest.mark.parametrize(
    "text", [SHIPPED, SHIPPED.replace("\n", "\r\n"), "", "\n", "# caf\udce9", "\ufeff"]
)
def test_a_file_of_another_author_is_foreign(text: str) -> None:
    assert author(text) is Author.FOREIGN


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(min_value=0))
def test_every_edit_is_detected(extra: str, place: int) -> None:
    ours = render(settings())
    at = ours.index("\n") + 1 + place % (len(ours) - ours.index("\n"))

    changed = ours[:at] + extra + ours[at:]

    assert author(changed) is (Author.EDITED if extra else Author.OURS)


@pytest.mark.parametrize(
    ("variant", "directory"),
    [
        (UnitVariant.PLAIN, "plain"),
        *(
            (UnitVariant.FUSE_OVERLAYFS, name)
            for name in ("with space", "50%h", "a$HOME ${x}", "é日😀", "-x;#{}")
        ),
    ],
)
def test_systemd_accepts_the_unit(tmp_path: Path, variant: UnitVariant, directory: str) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze to ask")
    binary, unit = tmp_path / directory / "k3s", tmp_path / "k3s-rootless.service"
    binary.parent.mkdir()
    binary.touch(mode=0o755)
    unit.write_text(render(settings(str(binary), variant, f"{binary.parent}:{UNIT_PATH}")))

    verified = subprocess.run(
        [analyze, "--user", "verify", "--man=no", "--recursive-errors=yes", str(unit)],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (verified.returncode, verified.stderr)
