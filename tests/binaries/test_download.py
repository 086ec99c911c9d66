"""Tests of a download: resumed, cut, slow, wrong, changed, and without space."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.binaries import download
from k3s_rootless.binaries.facts import Asset
from k3s_rootless.binaries.https import Client, Transient
from k3s_rootless.errors import PeerError, PreflightFailed, RootlessError
from tests.fakes.release_server import LIMITS, PAGE, Fault, ReleaseServer
from tests.largest_file import largest_file

DATA = hashlib.shake_128(b"k3s").digest(1_000_000)
PATH = "/stored/k3s"


@pytest.fixture
def asset(server: ReleaseServer) -> Asset:
    server.files[PATH] = DATA
    return Asset("k3s", f"{server.url}{PATH}", hashlib.sha256(DATA).hexdigest(), 2_000_000)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "x.part"


def fetch(client: Client, asset: Asset, part: Path) -> list[tuple[int, int | None]]:
    reports: list[tuple[int, int | None]] = []
    download.fetch(client, asset, part, lambda *report: reports.append(report))
    return reports


def interrupt(
    client: Client, asset: Asset, part: Path, server: ReleaseServer, after: int = 400_000
) -> None:
    server.fail(PATH, Fault(cut=after))
    with pytest.raises(Transient):
        fetch(client, asset, part)
    assert part.stat().st_size <= after


def test_a_file_arrives_and_cannot_be_executed(client: Client, asset: Asset, part: Path) -> None:
    reports = fetch(client, asset, part)

    assert DATA == part.read_bytes()
    assert 0o600 == part.stat().st_mode & 0o777
    assert (0, len(DATA)) == reports[0]
    assert (len(DATA), len(DATA)) == reports[-1]
    assert sorted(reports) == reports


def test_a_cut_names_how_much_arrived_and_the_next_try_continues(
    client: Client, asset: Asset, part: Path, server: ReleaseServer
) -> None:
    interrupt(client, asset, part, server)
    had = part.stat().st_size
    reports = fetch(client, asset, part)

    assert 0 < had
    assert DATA == part.read_bytes()
    assert ["", f"bytes={had}-"] == server.requested("k3s")
    assert (had, len(DATA)) == reports[0]


@pytest.mark.parametrize("after", [0, 1, 65_536, 999_999])
def test_a_cut_at_any_place_can_be_continued(
    client: Client, asset: Asset, part: Path, server: ReleaseServer, after: int
) -> None:
    interrupt(client, asset, part, server, after)
    fetch(client, asset, part)

    assert DATA == part.read_bytes()


def test_a_file_that_changed_on_the_server_starts_over(
    client: Client, asset: Asset, part: Path, server: ReleaseServer
) -> None:
    interrupt(client, asset, part, server)
    server.files[PATH] = DATA[::-1]
    changed = replace(asset, sha256=hashlib.sha256(DATA[::-1]).hexdigest())
    reports = fetch(client, changed, part)

    assert (0, len(DATA)) == reports[0]
    assert DATA[::-1] == part.read_bytes()


def test_a_server_without_ranges_starts_over(
    client: Client, asset: Asset, part: Path, server: ReleaseServer
) -> None:
    interrupt(client, asset, part, server)
    server.fail(PATH, Fault(ignore_range=True))
    fetch(client, asset, part)

    assert DATA == part.read_bytes()


def test_without_an_etag_the_date_is_the_validator(
    client: Client, asset: Asset, part: Path, server: ReleaseServer
) -> None:
    server.etags = False
    interrupt(client, asset, part, server)
    fetch(client, asset, part)

    assert DATA == part.read_bytes()
    assert server.requested("k3s")[1]


def test_without_a_validator_nothing_is_continued(
    client: Client, asset: Asset, part: Path, server: ReleaseServer
) -> None:
    without = {"ETag": 'W/"weak"', "Last-Modified": ""}
    server.fail(PATH, Fault(cut=400_000, headers=without))
    with pytest.raises(Transient):
        fetch(client, asset, part)
    fetch(client, asset, part)

    assert ["", ""] == server.requested("k3s")


@pytest.mark.parametrize(
    "headers", [{"Content-Range": "bytes 5-999999/1000000"}, {"Content-Range": "junk"}]
)
def test_another_range_than_requested_starts_over(
    client: Client, asset: Asset, part: Path, server: ReleaseServer, headers: dict[str, str]
) -> None:
    interrupt(client, asset, part, server)
    server.fail(PATH, Fault(headers=headers))
    with pytest.raises(Transient, match="another part"):
        fetch(client, asset, part)
    fetch(client, asset, part)

    assert DATA == part.read_bytes()


def test_a_part_that_is_longer_than_the_file_starts_over(
    client: Client, asset: Asset, part: Path, server: ReleaseServer
) -> None:
    interrupt(client, asset, part, server)
    with part.open("ab") as file:
        file.write(bytes(len(DATA)))
    with pytest.raises(Transient, match="no longer has"):
        fetch(client, asset, part)
    fetch(client, asset, part)

    assert DATA == part.read_bytes()


def test_a_part_that_was_damaged_is_downloaded_again(
    client: Client, asset: Asset, part: Path, server: ReleaseServer
) -> None:
    interrupt(client, asset, part, server)
    with part.open("r+b") as file:
        file.write(b"junk")
    with pytest.raises(Transient, match="damaged"):
        fetch(client, asset, part)
    fetch(client, asset, part)

    assert DATA == part.read_bytes()


def test_a_wrong_checksum_shows_both_and_removes_the_file(
    client: Client, asset: Asset, part: Path
) -> None:
    wrong = replace(asset, sha256="f" * 64)

    with pytest.raises(download.ChecksumMismatch, match=f"{asset.sha256}.*{'f' * 64}"):
        fetch(client, wrong, part)

    assert not part.exists()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(200, PAGE, {"Content-Type": "text/html; charset=utf-8"}), "a web page"),
        (Fault(200, PAGE), "a web page"),
        (Fault(404), "HTTP status 404"),
        (Fault(403, PAGE, {"Content-Type": "text/html"}), "HTTP status 403"),
        (Fault(204), "HTTP status 204"),
        (Fault(headers={"Content-Encoding": "gzip"}), "compressed"),
        (Fault(headers={"Content-Length": "99999999999"}), "more than 1.9 MiB"),
        (Fault(200, bytes(3_000_000), {"Content-Length": "3000000"}), "more than"),
    ],
)
def test_other_answers_are_refused(
    client: Client, asset: Asset, part: Path, server: ReleaseServer, fault: Fault, reason: str
) -> None:
    server.fail(PATH, fault)

    with pytest.raises(PeerError, match=reason) as raised:
        fetch(client, asset, part)

    assert not isinstance(raised.value, Transient)
    assert part.stat().st_size < 2_000_000


def test_a_file_without_a_length_is_bounded(
    client: Client, asset: Asset, part: Path, server: ReleaseServer
) -> None:
    chunk = b"30D40\r\n" + bytes(200_000) + b"\r\n"
    body = chunk * 20 + b"0\r\n\r\n"
    headers = {"Transfer-Encoding": "chunked", "Content-Length": ""}
    server.fail(PATH, Fault(200, body, headers))

    with pytest.raises(PeerError, match="sends more than 2000000 bytes"):
        fetch(client, asset, part)


@pytest.mark.parametrize("status", [408, 416, 429, 500, 502, 503])
def test_these_answers_are_worth_another_try(
    client: Client, asset: Asset, part: Path, server: ReleaseServer, status: int
) -> None:
    server.fail(PATH, Fault(status))

    with pytest.raises(Transient):
        fetch(client, asset, part)


def test_a_transfer_that_is_too_slow_ends(asset: Asset, part: Path, server: ReleaseServer) -> None:
    server.fail(PATH, Fault(pause=0.05))
    client = Client(server.environ, replace(LIMITS, stall=0.3, slowest=500_000))

    with pytest.raises(Transient, match="bytes in 0 s"):
        fetch(client, asset, part)


def test_a_transfer_that_stops_ends(asset: Asset, part: Path, server: ReleaseServer) -> None:
    server.fail(PATH, Fault(cut=100_000, pause=5))
    client = Client(server.environ, replace(LIMITS, read=0.3))

    with pytest.raises(Transient, match="did not answer in time"):
        fetch(client, asset, part)


@pytest.mark.parametrize("fault", [Fault(), Fault(ignore_range=True)])
def test_the_size_is_known_without_a_download(
    client: Client, asset: Asset, server: ReleaseServer, fault: Fault
) -> None:
    server.fail(PATH, fault)

    assert len(DATA) == download.size(client, asset.url)


@pytest.mark.parametrize(
    "headers", [{"Content-Range": "bytes 0-0/*"}, {"Content-Range": "junk"}, {"Content-Range": ""}]
)
def test_a_size_that_the_server_does_not_name(
    client: Client, asset: Asset, server: ReleaseServer, headers: dict[str, str]
) -> None:
    server.fail(PATH, Fault(headers=headers))

    assert None is download.size(client, asset.url)


def test_a_file_that_does_not_exist_has_no_size(client: Client, server: ReleaseServer) -> None:
    with pytest.raises(PeerError, match="HTTP status 404"):
        download.size(client, f"{server.url}/missing")


def test_too_little_space_is_known_before_the_download(
    client: Client, asset: Asset, part: Path, server: ReleaseServer
) -> None:
    huge = 2**49
    server.fail(PATH, Fault(headers={"Content-Length": str(huge)}))

    with pytest.raises(PreflightFailed, match=r"needs \d+\.\d GiB on the file system"):
        fetch(client, replace(asset, largest=2**50), part)

    assert 0 == part.stat().st_size


def test_a_full_disk_gives_its_space_back(client: Client, asset: Asset, part: Path) -> None:
    with (
        largest_file(300_000),
        pytest.raises(RootlessError, match=f"cannot store k3s in {part.parent}: file too large"),
    ):
        fetch(client, asset, part)

    assert not part.exists()


def test_a_link_is_not_followed(client: Client, asset: Asset, part: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    part.symlink_to(victim)

    with pytest.raises(RootlessError, match="cannot store"):
        fetch(client, asset, part)

    assert "mine" == victim.read_text()
