from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.linux import os_release


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_assignments_are_read_without_quotes_and_comments(tmp_path: Path) -> None:
    write(
        tmp_path / "etc/os-release",
        '# ID=none\nID=debian\nNAME="Debian GNU/Linux"\n'
        "VARIANT='a b'\nno assignment\nURL=\"a?b=c\"\n",
    )

    assert {
        "ID": "debian",
        "NAME": "Debian GNU/Linux",
        "VARIANT": "a b",
        "URL": "a?b=c",
    } == os_release.read(tmp_path)


def test_the_file_of_the_vendor_is_read_if_there_is_no_other(tmp_path: Path) -> None:
    write(tmp_path / "usr/lib/os-release", "ID=fedora\n")
    assert {"ID": "fedora"} == os_release.read(tmp_path)

    write(tmp_path / "etc/os-release", "ID=debian\n")
    assert {"ID": "debian"} == os_release.read(tmp_path)


def test_the_error_names_the_usual_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        os_release.read(tmp_path)

    assert str(tmp_path / "etc/os-release") == caught.value.filename
