"""Tests of the results of the release commands as text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.binaries import pruning
from k3s_rootless.binaries.facts import (
    Answers,
    Channel,
    Extraction,
    Integrity,
    Leftover,
    Passage,
    Record,
    Release,
    Source,
)
from k3s_rootless.cli.display import release
from k3s_rootless.cli.display.report import Report
from k3s_rootless.errors import PeerError
from k3s_rootless.operations.releases.get import Got
from k3s_rootless.operations.releases.images import Images
from k3s_rootless.operations.releases.listing import Listing
from k3s_rootless.operations.releases.prune import Pruned
from k3s_rootless.operations.releases.use import Used
from tests.cli.display import documents, narrow

OWN = Path("/home/alice/.local/share/k3s-rootless")
NEW, OLD, OLDEST = "v1.36.3+k3s1", "v1.35.7+k3s1", "v1.34.9+k3s1"
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


LEFT = Release(OLDEST, OWN / "releases" / OLDEST / "k3s", 80 * 2**20, Integrity.VERIFIED)
RELEASES = (
    replace(LEFT, version=NEW, path=OWN / "releases" / NEW / "k3s", in_use=True),
    replace(LEFT, version=OLD, path=OWN / "releases" / OLD / "k3s", previous=True),
    replace(LEFT, integrity=Integrity.UNVERIFIED),
)
CHANNELS = (Channel("stable", NEW), Channel("latest", None), Channel("v1.35", OLD, NOON))
ANSWERS = Answers("https://update.k3s.io", NOON, CHANNELS)
LISTING = Listing(RELEASES, None)
MIRROR = Source(downloads="https://mirror.example/k3s", mirror=True, origin="release.mirror")
OFFLINE = PeerError("cannot list the channels: no route to host", hint="try again")
HISTORY = (
    Passage("upgrade", OLDEST, OLD, NOON, done=True, downtime=61.2, backup="b.tar.gz"),
    Passage("upgrade", OLD, NEW, NOON, done=False),
    Passage("rollback", NEW, OLD, NOON, done=True),
)
RECORD = Record(NEW, "k3s", "a" * 64, 80 * 2**20, 1, "https://a/k3s", "https://a/sums", NOON)
GOT = Got(RECORD, OWN / "releases" / NEW / "k3s", changed=True, used=False, seconds=3.2)
USED = Used(NEW, OLD, OWN / "bin/k3s", None)
FOUND = pruning.judge(
    RELEASES,
    (Extraction(Path("/data/0a1b"), 200 * 2**20, linked=True),),
    (Leftover(OWN / "k3s.part", 2**20),),
    busy="",
)
PRUNED = Pruned(FOUND.removed, FOUND.kept, dry_run=False)
QUERY = "query the channels with: k3s-rootless release list --remote"
RESTART = "k3s-rootless up --restart"
Captured = pytest.CaptureFixture[str]


def printed(capsys: Captured, listing: Listing) -> list[str]:
    release.show_list(Report(), listing)
    return capsys.readouterr().out.splitlines()


def test_releases_are_a_table(capsys: Captured) -> None:
    assert [
        "VERSION        SIZE       CHECKSUM       USE",
        "────────────   ────────   ────────────   ────────",
        "v1.36.3+k3s1   80.0 MiB   verified       in use",
        "v1.35.7+k3s1   80.0 MiB   verified       previous",
        "v1.34.9+k3s1   80.0 MiB   not verified   -",
        "",
        QUERY,
    ] == printed(capsys, LISTING)


def test_earlier_answers_of_the_server_have_their_date(capsys: Captured) -> None:
    lines = printed(capsys, replace(LISTING, answers=ANSWERS))
    now = printed(capsys, replace(LISTING, answers=ANSWERS, remote=True))

    assert ["", "channels, as known on 2026-11-27 12:00 UTC:", *now[6:]] == lines[5:]
    assert [
        "CHANNEL   OFFERS",
        "───────   ──────────────────────────────────────────────",
        "stable    v1.36.3+k3s1",
        "latest    nothing",
        "v1.35     v1.35.7+k3s1 (queried on 2026-11-27 12:00 UTC)",
    ] == now[6:]


def test_a_server_without_channels_has_no_empty_table(capsys: Captured) -> None:
    found = replace(LISTING, answers=replace(ANSWERS, channels=()), remote=True, source=MIRROR)

    assert [
        "",
        "no channels",
        "",
        "release get downloads from https://mirror.example/k3s (release.mirror)",
    ] == printed(capsys, found)[5:]


def test_a_host_without_releases_and_network_has_a_command_and_an_error(capsys: Captured) -> None:
    release.show_list(Report(), Listing((), None, problem=OFFLINE))

    assert (
        "no releases on this host; download one with: k3s-rootless release get\n",
        f"error: {OFFLINE.message}\n\nhint: try again\n",
    ) == capsys.readouterr()


def test_the_history_has_the_result_of_each_upgrade(capsys: Captured) -> None:
    rows = printed(capsys, replace(LISTING, history=HISTORY))[10:]

    assert [
        ["upgrade", OLDEST, OLD, "done, downtime 61 s", "b.tar.gz"],
        ["upgrade", OLD, NEW, "undone", "-"],
        ["rollback", NEW, OLD, "done", "-"],
    ] == [[cell.strip() for cell in row.split("   ") if cell.strip()][1:] for row in rows]
    assert ["", "there was no upgrade and no rollback"] == printed(
        capsys, replace(LISTING, history=())
    )[7:]


def test_a_narrow_terminal_shows_the_history_without_backups() -> None:
    backed_up = replace(HISTORY[2], backup="k3s-20261127-120000.tar.gz")
    found = replace(LISTING, history=(backed_up,))

    lines = narrow.lines(lambda report: release.show_list(report, found))

    assert ["DATE", "KIND", "FROM", "TO", "RESULT"] == lines[8].split()
    assert "(a wider terminal also shows BACKUP)" == lines[-1]


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (
            GOT,
            [f"K3s {NEW} is verified: {GOT.path}", f"use it with: k3s-rootless release use {NEW}"],
        ),
        (
            replace(GOT, used=True, images=Images(Path("/i.tar.zst"), "b" * 64, 1, changed=True)),
            [
                f"K3s {NEW} is verified: {GOT.path}",
                "K3s imports the images from /i.tar.zst at its next start",
                "it is in use now; start K3s with: k3s-rootless up",
            ],
        ),
        (
            replace(GOT, changed=False),
            [f"K3s {NEW} is already on this host, and verified: {GOT.path}"],
        ),
    ],
    ids=["new", "in use", "unchanged"],
)
def test_a_release_that_was_downloaded(capsys: Captured, got: Got, expected: list[str]) -> None:
    release.show_got(Report(), got)

    assert expected == capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (
            USED,
            [
                (
                    f"K3s {NEW} takes effect at the next start of K3s, also if K3s restarts after a"
                    f" failure; start or restart K3s now with: {RESTART}"
                )
            ],
        ),
        (
            Used(NEW, None, Path("/home/al ice/bin/k3s"), "/usr/local/bin/k3s"),
            [
                f"K3s {NEW} is in use; start or restart K3s with it: {RESTART}",
                (
                    "it replaces /usr/local/bin/k3s, which k3s-rootless used until now; to use that"
                    " again, run: rm '/home/al ice/bin/k3s'"
                ),
            ],
        ),
        (replace(USED, before=NEW), [f"nothing to do: K3s {NEW} is in use"]),
    ],
    ids=["changed", "replaced", "unchanged"],
)
def test_a_release_in_use_has_its_next_step(
    capsys: Captured, used: Used, expected: list[str]
) -> None:
    release.show_used(Report(), used)

    assert expected == capsys.readouterr().out.splitlines()


def test_pruning_shows_removed_and_kept_files(capsys: Captured) -> None:
    release.show_pruned(Report(), PRUNED)
    release.show_pruned(Report(), Pruned(FOUND.removed[:1], (), dry_run=True))

    part = f"{OWN}/k3s.part (1.0 MiB): left by an interrupted download"
    assert [
        f"removed {part}",
        f"removed {OWN}/releases/{OLDEST} (80.0 MiB): not in use",
        f"kept {OWN}/releases/{NEW} (80.0 MiB): in use",
        f"kept {OWN}/releases/{OLD} (80.0 MiB): the release before the one in use",
        "kept /data/0a1b (200.0 MiB): the release that K3s unpacked last, or the one before",
        "81.0 MiB freed",
        f"would remove {part}",
        "1.0 MiB would be freed",
    ] == capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("problems", "expected"),
    [((), ("nothing to remove\n", "")), (("cannot remove x",), ("", "error: cannot remove x\n"))],
)
def test_a_failed_removal_is_not_nothing_to_remove(
    capsys: Captured, problems: tuple[str, ...], expected: tuple[str, str]
) -> None:
    release.show_pruned(Report(), Pruned((), (), dry_run=False, problems=problems))

    assert expected == capsys.readouterr()


@pytest.mark.parametrize(
    ("name", "show", "result"),
    [
        (
            "release-list",
            release.show_list,
            Listing(RELEASES, ANSWERS, problem=OFFLINE, history=HISTORY),
        ),
        ("release-get", release.show_got, GOT),
        ("release-use", release.show_used, USED),
        ("release-prune", release.show_pruned, replace(PRUNED, problems=("cannot remove x",))),
    ],
)
def test_json_is_one_document_and_no_other_text(
    capsys: Captured, name: str, show: Callable[[Report, Any], None], result: object
) -> None:
    show(Report(json_for=name), result)

    documents.require_only(capsys, name)
