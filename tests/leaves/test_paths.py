from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.paths import UNIT, Paths

HOME = Path("/home/alice")


def paths(**environ: str) -> Paths:
    return Paths.of(environ, 1000, HOME)


def test_without_an_environment_the_user_database_decides() -> None:
    assert Paths(Path("/"), HOME, Path("/run/user/1000"), HOME / ".config") == paths()


@pytest.mark.parametrize(
    ("value", "runtime", "config"),
    [
        ("/srv/x", "/srv/x", "/srv/x"),
        ("/srv/x/", "/srv/x", "/srv/x"),
        ("/", "/", "/"),
        ("", "/run/user/1000", "/home/alice/.config"),
        ("srv/x", "/run/user/1000", "/home/alice/.config"),
        (".", "/run/user/1000", "/home/alice/.config"),
        ("~/x", "/run/user/1000", "/home/alice/.config"),
        (" /srv", "/run/user/1000", "/home/alice/.config"),
    ],
)
def test_only_absolute_paths_of_the_environment_count(
    value: str, runtime: str, config: str
) -> None:
    assert runtime == str(paths(XDG_RUNTIME_DIR=value).runtime)
    assert config == str(paths(XDG_CONFIG_HOME=value).config)


def test_the_home_of_the_environment_does_not_move_anything() -> None:
    """`sudo` and `su` can keep HOME of another user."""
    assert paths(HOME="/root", USER="root") == paths()


@pytest.mark.parametrize(
    ("value", "own"),
    [
        ("/srv", "/srv/k3s-rootless"),
        ("srv", "/home/alice/.local/share/k3s-rootless"),
        ("", "/home/alice/.local/share/k3s-rootless"),
    ],
)
def test_the_directory_of_releases(value: str, own: str) -> None:
    assert own == str(paths(XDG_DATA_HOME=value).own)


def test_backups_are_among_the_data_of_the_user() -> None:
    assert paths().backups == HOME / ".local/share/k3s-rootless/backups"
    assert paths(XDG_DATA_HOME="data").backups == paths().backups
    assert paths(XDG_DATA_HOME="/srv").backups == Path("/srv/k3s-rootless/backups")


def test_all_paths_follow_from_the_variables() -> None:
    found = paths(XDG_RUNTIME_DIR="/run/me", XDG_CONFIG_HOME="/config")

    assert UNIT == "k3s-rootless.service"
    assert Path("/config/systemd/user") == found.user_units
    assert HOME / ".rancher/k3s" == found.data
    assert HOME / ".kube/k3s.yaml" == found.kubeconfig
    assert Path("/run/me/k3s-rootless.lock") == found.lock
