from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.observation import Known, Unknown
from k3s_rootless.service.systemd import logind

FLAGS = "var/lib/systemd/linger"


@pytest.mark.parametrize(
    ("user", "flag"),
    [
        ("alice", "alice"),
        ("DOMAIN\\bob", "DOMAIN\\\\bob"),
        ("bjørn", "bj\\303\\270rn"),
        ("o'b", "o\\'b"),
    ],
)
def test_lingering_is_read_from_the_file_of_logind(tmp_path: Path, user: str, flag: str) -> None:
    (tmp_path / FLAGS).mkdir(parents=True)
    path = tmp_path / FLAGS / flag

    before = logind.lingers(user, tmp_path)
    path.touch()

    assert Known(value=False, source=str(path)) == before
    assert Known(value=True, source=str(path)) == logind.lingers(user, tmp_path)


def test_a_directory_that_cannot_be_listed_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "var/lib/systemd").mkdir(parents=True)
    (tmp_path / FLAGS).symlink_to("linger")

    assert isinstance(logind.lingers("alice", tmp_path), Unknown)
