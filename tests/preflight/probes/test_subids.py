from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.observation import Known, Unknown
from k3s_rootless.preflight.facts import SubidRange
from k3s_rootless.preflight.probes import subids
from tests.preflight.trees import write

ALICE = (SubidRange(100000, 65536),)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("alice:100000:65536\n", ALICE),
        ("alice:100000:65536", ALICE),
        ("alice:100000:65536\r\n", ALICE),
        ("1000:100000:65536\n", ALICE),
        ("# alice:1:2\n\nbob:1:2\nalice:100000:65536\nalicia:3:4\n", ALICE),
        (
            "alice:1:10\n1000:20:10\nalice:40:10\n",
            (SubidRange(1, 10), SubidRange(20, 10), SubidRange(40, 10)),
        ),
        ("alice:100000:65536\nalice:100000:65536\n", ALICE * 2),
        ("bob:100000:65536\n", ()),
        ("", ()),
        (
            (
                "alice\nalice:\nalice:1\nalice:1:\nalice::1\n"
                "alice:x:1\nalice:-1:1\nalice:1:2:3\nalice:1.5:2\n"
            ),
            (),
        ),
        ("bob:1:2\x0calice:100000:65536\n", ()),
        ("bob:1:2\u2028alice:100000:65536\n", ()),
        ("alice:\u0661\u0660:65536\nalice:\u00b2:1\n", ()),
        ("alice:1:" + "9" * 5000 + "\nalice:100000:65536\n", ALICE),
        (b"\xff\xfe\xff\nalice:100000:65536\n\xff", ALICE),
        (b"\0" * 999, ()),
    ],
    ids=[
        *(
            "by name",
            "no line end",
            "carriage return",
            "by uid",
            "comments and others",
            "several",
            "twice",
            "others only",
            "empty",
        ),
        *(
            "junk",
            "form feed",
            "line separator",
            "other digits",
            "endless number",
            "no UTF-8",
            "zeroes",
        ),
    ],
)
def test_the_ranges_of_a_user_are_read(
    tmp_path: Path, content: str | bytes, expected: tuple[SubidRange, ...]
) -> None:
    path = write(tmp_path / "etc/subuid", content)

    assert subids.of_user("subuid", tmp_path, "alice", 1000) == Known(expected, str(path))


@pytest.mark.parametrize("kind", ["subuid", "subgid"])
def test_each_kind_has_its_file_and_a_missing_file_has_no_range(tmp_path: Path, kind: str) -> None:
    assert subids.of_user(kind, tmp_path, "alice", 1000) == Known((), str(tmp_path / "etc" / kind))

    write(tmp_path / "etc" / kind, "alice:100000:65536\n")

    assert subids.of_user(kind, tmp_path, "alice", 1000) == Known(
        ALICE, str(tmp_path / "etc" / kind)
    )


def test_a_dangling_link_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "etc/subgid").mkdir(parents=True)
    (tmp_path / "etc/subuid").symlink_to("subuid")

    assert isinstance(subids.of_user("subuid", tmp_path, "alice", 1000), Unknown)
    assert isinstance(subids.of_user("subgid", tmp_path, "alice", 1000), Unknown)
