"""Tests of the store: records, links, locks, leftovers, and directories that cannot be used."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from k3s_rootless.binaries import installed, store
from k3s_rootless.binaries.facts import Answers, Channel, Integrity, Passage, Record
from k3s_rootless.errors import PreflightFailed, RootlessError
from tests.killing import killed_at_many_points

DATE = datetime(2026, 11, 27, 12, tzinfo=UTC)
OLD, NEW = "v1.35.7+k3s1", "v1.36.3+k3s1"


def record(own: Path, version: str, data: bytes) -> Record:
    part = store.incoming(own, "0" * 64)
    status = part.stat()
    return Record(
        version=version,
        asset="k3s",
        sha256=hashlib.sha256(data).hexdigest(),
        size=status.st_size,
        changed=status.st_mtime_ns,
        source="https://x/k3s",
        checksums="https://x/sums",
        date=DATE,
    )


def keep(own: Path, version: str, data: bytes = b"data") -> Path:
    with store.changing(own, never):
        part = store.incoming(own, "0" * 64)
        part.write_bytes(data)
        return store.keep(own, part, record(own, version, data))


def never() -> None:
    raise AssertionError("waited")


def test_a_release_is_kept_with_its_record(own: Path) -> None:
    path = keep(own, NEW)

    (found,) = installed.releases(own)
    assert path == found.path
    assert Integrity.VERIFIED is found.integrity
    assert found.record
    assert DATE == found.record.date
    assert (False, False) == (found.in_use, found.previous)


def test_releases_are_listed_from_the_newest(own: Path) -> None:
    for version in (OLD, NEW, "v1.36.10+k3s1"):
        keep(own, version)

    assert ["v1.36.10+k3s1", NEW, OLD] == [one.version for one in installed.releases(own)]


def test_nothing_is_kept_yet(own: Path) -> None:
    assert () == installed.releases(own / "none")
    assert () == installed.leftovers(own / "none")
    assert installed.answers(own / "none") is None


def test_a_file_that_changed_after_its_verification(own: Path) -> None:
    keep(own, NEW).write_bytes(b"else")
    path = keep(own, OLD)
    path.with_name("record.json").write_text("{")

    changed, unverified = installed.releases(own)
    assert Integrity.CHANGED is changed.integrity
    assert Integrity.UNVERIFIED is unverified.integrity


def test_the_stable_path_leads_to_the_release_in_use(own: Path) -> None:
    keep(own, OLD, b"old")
    keep(own, NEW, b"new")

    for version, data in ((OLD, b"old"), (NEW, b"new"), (NEW, b"new")):
        with store.changing(own, never):
            store.use(own, version)
        assert data == (own / "bin/k3s").read_bytes()

    new, old = installed.releases(own)
    assert (True, False) == (new.in_use, new.previous)
    assert (False, True) == (old.in_use, old.previous)
    assert not (own / "bin/k3s").readlink().is_absolute()


@pytest.mark.parametrize("target", ["/usr/bin/k3s", "../releases/x/k3s", "../../k3s", "k3s"])
def test_a_link_to_something_else_is_no_release(own: Path, target: str) -> None:
    keep(own, NEW)
    (own / "bin").mkdir()
    (own / "bin/k3s").symlink_to(target)

    assert not installed.releases(own)[0].in_use


def test_the_link_that_a_killed_command_left_is_replaced(own: Path) -> None:
    keep(own, NEW)
    (own / "bin").mkdir()
    (own / "bin/.link.new").symlink_to("junk")

    with store.changing(own, never):
        store.use(own, NEW)

    assert installed.releases(own)[0].in_use
    assert [own / "bin/k3s"] == list((own / "bin").iterdir())


def test_leftovers_are_found_and_removed(own: Path) -> None:
    keep(own, NEW)
    with store.changing(own, never):
        store.incoming(own, "1" * 64).write_bytes(b"x" * 10)
        (own / "releases" / OLD).mkdir()
        (own / "releases" / OLD / "record.json").write_text("{}")

        left = installed.leftovers(own)
        assert {10, 2} == {one.size for one in left}
        for one in left:
            store.remove_leftover(one)

    assert () == installed.leftovers(own)
    assert [NEW] == [one.version for one in installed.releases(own)]


def test_a_release_is_removed(own: Path) -> None:
    keep(own, NEW)
    with store.changing(own, never):
        store.remove_release(own, NEW)

    assert () == installed.releases(own)
    assert () == installed.leftovers(own)


def test_the_last_answers_are_kept_with_their_date(own: Path) -> None:
    answers = Answers("https://x", DATE, (Channel("stable", NEW), Channel("old", None)))
    store.remember(own, answers)

    assert answers == installed.answers(own)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"server": "x", "date": "yesterday", "channels": []}', "\udcff", "[" * 99999],
)
def test_answers_that_cannot_be_read_are_none(own: Path, text: str) -> None:
    (own / "channels.json").write_bytes(text.encode("utf-8", "surrogateescape"))

    assert installed.answers(own) is None


def test_a_second_process_waits(own: Path) -> None:
    waited = threading.Event()
    order = []

    def other() -> None:
        with store.changing(own, waited.set):
            order.append("other")

    with store.changing(own, never):
        thread = threading.Thread(target=other)
        thread.start()
        assert waited.wait(30)
        order.append("first")
    thread.join(30)

    assert ["first", "other"] == order


def test_a_directory_that_others_can_change_is_refused(own: Path) -> None:
    (own / "releases").mkdir(mode=0o777)
    (own / "releases").chmod(0o777)

    with (
        pytest.raises(PreflightFailed, match="every user can write"),
        store.changing(own, never),
    ):
        never()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to give a directory away")
def test_a_directory_of_another_user_is_refused(own: Path) -> None:
    (own / "releases").mkdir()
    os.chown(own / "releases", 12345, 12345)

    with pytest.raises(PreflightFailed, match="belongs to uid 12345"), store.changing(own, never):
        never()


def test_a_path_that_is_a_file_is_an_error(own: Path) -> None:
    (own / "releases").write_text("")

    with pytest.raises(RootlessError, match="cannot change"), store.changing(own, never):
        never()


@pytest.mark.parametrize("version", [OLD, NEW])
def test_a_record_of_another_release_is_not_used(own: Path, version: str) -> None:
    path = keep(own, NEW)
    content = json.loads(path.with_name("record.json").read_text())
    path.with_name("record.json").write_text(json.dumps({**content, "version": version}))

    assert (version == NEW) == (installed.read_record(own, NEW) is not None)


def test_killed_anywhere_the_store_is_whole(own: Path) -> None:
    """A process ends before each of its changes of the file system; then it runs again."""

    def work() -> None:
        keep(own, NEW, b"new")
        with store.changing(own, never):
            store.use(own, NEW)

    keep(own, OLD, b"old")
    with store.changing(own, never):
        store.use(own, OLD)
    kills = 0
    for kills in killed_at_many_points(work, step=1):  # noqa: B007 (counted below)
        assert (own / "bin/k3s").read_bytes() in {b"old", b"new"}
        for one in installed.releases(own):
            assert Integrity.VERIFIED is one.integrity
            assert one.path.read_bytes() in {b"old", b"new"}

    assert kills > 10
    assert b"new" == (own / "bin/k3s").read_bytes()
    assert [NEW, OLD] == [one.version for one in installed.releases(own)]


def test_the_links_are_put_back(own: Path) -> None:
    store.use(own, "v1.35.7+k3s1")
    store.use(own, "v1.36.3+k3s1")

    store.put_back(own, "v1.35.7+k3s1", None)

    assert "v1.35.7+k3s1" == installed.linked(own, installed.LINK)
    assert installed.linked(own, installed.PREVIOUS) is None
    store.put_back(own, None, None)
    store.put_back(own / "missing", None, None)
    assert installed.linked(own, installed.LINK) is None


def test_the_history_of_upgrades(own: Path) -> None:
    assert () == installed.history(own)
    noon = datetime(2026, 11, 27, 12, tzinfo=UTC)
    first = Passage("upgrade", "v1.35.7+k3s1", "v1.36.3+k3s1", noon, done=False)
    second = replace(first, date=noon.replace(hour=13), done=True, downtime=5, backup="/b")

    for one in (first, second, second):
        store.add_passage(own, one)

    assert (first, second) == installed.history(own)
    (own / installed.HISTORY).write_text("junk")
    assert () == installed.history(own)
