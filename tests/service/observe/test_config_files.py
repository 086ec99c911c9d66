"""Configuration files are read at the paths and in the order of K3s."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from k3s_rootless.k3s.config_file import DEFAULT, merged
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.service.observe import config_files

URL_REASON = "it is a URL, which K3s does not fetch: it looks for a local file with that name"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def read(location: str, home: Path) -> list[str]:
    return [f"{one.name}={one.text}" for one in merged(config_files.read(location, home, home))]


def test_the_default_file_and_its_drop_ins_are_read_in_order(tmp_path: Path) -> None:
    config = write(tmp_path / DEFAULT.lstrip("/"), "https-listen-port: 1\ndata-dir: /a\n")
    write(tmp_path / f"{DEFAULT}.d/20.yml".lstrip("/"), "https-listen-port: 3\n")
    write(tmp_path / f"{DEFAULT}.d/10.YAML".lstrip("/"), "https-listen-port: 2\n")
    write(tmp_path / f"{DEFAULT}.d/90.conf".lstrip("/"), "https-listen-port: 9\n")
    (tmp_path / f"{DEFAULT}.d/95.yaml".lstrip("/")).mkdir()

    assert ["https-listen-port=3", "data-dir=/a"] == read(DEFAULT, tmp_path)
    config.unlink()
    assert ["https-listen-port=3"] == read(DEFAULT, tmp_path)


def test_without_a_file_the_result_is_empty(tmp_path: Path) -> None:
    assert () == config_files.read(DEFAULT, tmp_path, tmp_path)
    assert () == config_files.read("", tmp_path, tmp_path)


def test_a_relative_location_starts_in_the_working_directory(tmp_path: Path) -> None:
    write(tmp_path / "k3s/config.yaml", "data-dir: /a\n")

    assert ["data-dir=/a"] == read("k3s/config.yaml", tmp_path)


def test_a_named_file_that_is_missing_is_reported(tmp_path: Path) -> None:
    (found,) = config_files.read("/none.yaml", tmp_path)

    assert (Path("/none.yaml"), "it does not exist") == (found.path, found.missing)


@pytest.mark.parametrize(
    "url", ["https://user:secret@example.org/k3s.yaml?token=secret", "HTTP://example.org/k3s.yaml"]
)
def test_a_url_is_reported_and_not_fetched(url: str, tmp_path: Path) -> None:
    (found,) = config_files.read(url, tmp_path)

    assert URL_REASON == found.missing
    assert Known(()) == found.entries
    assert "secret" not in str(found.path)
    assert config_files.last_changed(url, tmp_path) is None


def test_an_unreadable_file_is_unknown_with_a_reason(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "- a list\n")
    write(tmp_path / "a.yaml.d/1.yaml", "data-dir: /a\n")
    (tmp_path / "a.yaml.d/2.yaml").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "b.yaml")
    write(tmp_path / "c.yaml.d", "a file, no directory")

    first, second, third = config_files.read("a.yaml", tmp_path)
    pipe = config_files.read("b.yaml", tmp_path)[0]
    beside = config_files.read("c.yaml", tmp_path)[0]

    assert Unknown("line 1: it is not a mapping of options to values") == first.entries
    assert isinstance(second.entries, Known)
    assert isinstance(third.entries, Unknown)
    assert "is a directory" in third.entries.reason
    assert isinstance(pipe.entries, Unknown)
    assert isinstance(beside.entries, Unknown)
    assert "cannot list" in beside.entries.reason


def test_the_newest_change_is_that_of_the_inode(tmp_path: Path) -> None:
    config = write(tmp_path / "a.yaml", "")
    assert config_files.last_changed("none.yaml", tmp_path) is None
    found = config_files.last_changed("a.yaml", tmp_path)
    assert found is not None
    assert config == found[0]

    os.utime(config, (1, 1))

    again = config_files.last_changed("a.yaml", tmp_path)
    assert again is not None
    assert again[1] >= found[1]


def test_a_removed_drop_in_counts_as_a_change(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "")
    drop_in = write(tmp_path / "a.yaml.d/1.yaml", "")
    drop_in.unlink()

    found = config_files.last_changed("a.yaml", tmp_path)

    assert found is not None
    assert tmp_path / "a.yaml.d" == found[0]
