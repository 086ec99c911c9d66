"""Tests of `release get` against a TLS server: what is kept, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.binaries import installed
from k3s_rootless.binaries.download import ChecksumMismatch
from k3s_rootless.binaries.facts import DOWNLOADS as DEFAULT
from k3s_rootless.binaries.facts import Integrity
from k3s_rootless.errors import (
    PeerError,
    PreflightFailed,
    RootlessError,
    UsageError,
)
from k3s_rootless.operations.configuration import change
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event, Notice
from k3s_rootless.operations.releases import events as downloads
from k3s_rootless.operations.releases import servers
from k3s_rootless.operations.releases.get import Got, Request, get
from tests.fakes.release_server import (
    CHANNELS,
    DOWNLOADS,
    LIMITS,
    PAGE,
    VERSION,
    Fault,
    ReleaseServer,
    binary,
    checksum_lines,
)
from tests.killing import killed_at_many_points

ROOT = Path(__file__).parents[3]
OTHER = "v1.35.7+k3s2"
ON_AMD64 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the server has amd64 only")
pytestmark = ON_AMD64


def got(context: Context, wanted: str | None = None, **options: object) -> Got:
    return get(context, Request(wanted, **options), LIMITS)  # type: ignore[arg-type]


def is_untouched(context: Context) -> bool:
    """Return whether no release and no part of one is there."""
    own = context.paths.own
    return () == installed.releases(own) and () == installed.leftovers(own)


def test_the_stable_release_is_verified_kept_and_used(
    context: Context, server: ReleaseServer, events: list[Event]
) -> None:
    data = server.publish()

    found = got(context)

    (release,) = installed.releases(context.paths.own)
    assert data == release.path.read_bytes()
    assert 0o755 == release.path.stat().st_mode & 0o777
    assert (VERSION, True, True) == (found.record.version, found.changed, found.used)
    assert (Integrity.VERIFIED, True) == (release.integrity, release.in_use)
    assert f"{server.url}{DOWNLOADS}/v1.36.3%2Bk3s1/k3s" == found.record.source
    assert data == (context.paths.own / "bin/k3s").read_bytes()
    last = [one for one in events if isinstance(one, downloads.Arriving)][-1]
    assert (len(data), len(data), "localhost") == (last.received, last.size, last.host)
    assert isinstance(events[-1], downloads.Arrived)
    assert () == installed.leftovers(context.paths.own)


@pytest.mark.parametrize("wanted", ["v1.36", "1.36", "latest", VERSION, VERSION[1:]])
def test_channels_and_releases_can_be_named(
    context: Context, server: ReleaseServer, wanted: str
) -> None:
    server.publish()
    server.channels |= {"v1.36": VERSION, "latest": VERSION}

    assert VERSION == got(context, wanted).record.version


def test_the_second_time_nothing_is_downloaded(context: Context, server: ReleaseServer) -> None:
    server.publish()
    got(context)
    before = len(server.requests)

    assert not got(context, VERSION).changed
    assert before == len(server.requests)


def test_another_release_is_kept_but_not_used(context: Context, server: ReleaseServer) -> None:
    server.publish()
    server.publish(OTHER)
    got(context)

    assert not got(context, OTHER).used
    assert VERSION == installed.linked(context.paths.own, installed.LINK)


def test_a_release_that_changed_on_this_host_is_downloaded_again(
    context: Context, server: ReleaseServer
) -> None:
    data = server.publish()
    path = got(context).path
    status = path.stat()
    path.write_bytes(data.replace(b"exit 0", b"exit 1"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert got(context).changed
    assert data == path.read_bytes()


def test_the_answer_of_the_channel_is_remembered(context: Context, server: ReleaseServer) -> None:
    server.publish()
    got(context)
    server.fail(f"{CHANNELS}/stable", Fault(503, permanent=True))

    answers = installed.answers(context.paths.own)
    assert answers
    assert [("stable", VERSION)] == [(one.name, one.latest) for one in answers.channels]
    with pytest.raises(PeerError) as raised:
        got(context)
    assert f"k3s-rootless release get {VERSION}" in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("wanted", "kind", "similar"),
    [
        ("stabel", RootlessError, "stable"),
        ("v1.36.3", UsageError, VERSION),
        ("v1.36.4+k3s1", RootlessError, VERSION),
        ("nothing-like-it", RootlessError, "release list --remote"),
        ("../../x", UsageError, "release list --remote"),
    ],
)
def test_what_does_not_exist_has_similar_names(
    context: Context, server: ReleaseServer, wanted: str, kind: type[RootlessError], similar: str
) -> None:
    server.publish()

    with pytest.raises(kind, match=r"cannot get") as raised:
        got(context, wanted)

    assert kind is type(raised.value)
    assert similar in (raised.value.hint or "")
    assert is_untouched(context)


def test_a_swapped_checksum_file_is_noticed_and_leaves_nothing(
    context: Context, server: ReleaseServer
) -> None:
    server.publish()
    server.put(VERSION, "sha256sum-amd64.txt", checksum_lines({"k3s": binary(OTHER)}))

    with pytest.raises(ChecksumMismatch, match="published checksum"):
        got(context)

    assert is_untouched(context)


def test_a_whole_release_under_another_name_is_noticed(
    context: Context, server: ReleaseServer
) -> None:
    server.publish(VERSION, binary(OTHER))

    with pytest.raises(RootlessError, match=r"it is K3s v1.35.7\+k3s2, not v1.36.3\+k3s1"):
        got(context)

    assert is_untouched(context)


def test_a_binary_for_another_machine_is_noticed(context: Context, server: ReleaseServer) -> None:
    server.publish(VERSION, b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00" + bytes(1000))

    with pytest.raises(RootlessError, match="does not run here"):
        got(context)

    assert is_untouched(context)


@pytest.mark.parametrize(
    ("name", "fault", "reason"),
    [
        ("sha256sum-amd64.txt", Fault(200, PAGE), "a web page"),
        ("sha256sum-amd64.txt", Fault(200, b""), "no checksum file"),
        ("sha256sum-amd64.txt", Fault(403, PAGE), "HTTP status 403"),
        ("sha256sum-amd64.txt", Fault(200, checksum_lines({"k3s-arm64": b""})), "does not list it"),
        ("k3s", Fault(200, PAGE), "a web page"),
        ("k3s", Fault(302, b"", {"Location": "http://localhost/k3s"}), "leaves https"),
        ("k3s", Fault(404), "HTTP status 404"),
    ],
)
def test_wrong_answers_leave_nothing(
    context: Context, server: ReleaseServer, name: str, fault: Fault, reason: str
) -> None:
    server.publish()
    server.fail_file(name, replace(fault, permanent=True))

    with pytest.raises(RootlessError, match=reason):
        got(context)

    assert () == installed.releases(context.paths.own)
    assert not (context.paths.own / "bin").exists()


def test_three_tries_are_made(context: Context, server: ReleaseServer, events: list[Event]) -> None:
    server.publish()
    server.fail(f"{CHANNELS}/stable", Fault(500))
    server.fail_file("sha256sum-amd64.txt", Fault(502))
    server.fail_file("k3s", Fault(cut=100_000))
    server.fail_file("k3s", Fault(503))

    assert got(context).changed
    notices = [one.text for one in events if isinstance(one, Notice)]
    assert 4 == len(notices)
    assert all("next try in" in one for one in notices)
    assert server.requested("/k3s")[-1].startswith("bytes=")


def test_after_three_tries_the_part_is_kept_for_the_next_command(
    context: Context, server: ReleaseServer
) -> None:
    data = server.publish()
    for after in (100_000, 50_000, 30_000):
        server.fail_file("k3s", Fault(cut=after))
    with pytest.raises(PeerError, match="localhost"):
        got(context)
    (part, _) = installed.leftovers(context.paths.own)
    assert 0 < part.size < len(data)

    assert got(context).changed
    assert f"bytes={part.size}-" == server.requested("/k3s")[-1]
    assert () == installed.leftovers(context.paths.own)


def test_the_part_of_another_release_is_removed(context: Context, server: ReleaseServer) -> None:
    server.publish()
    server.publish(OTHER)
    server.fail_file("k3s", Fault(cut=1000, permanent=True), OTHER)
    with pytest.raises(PeerError):
        got(context, OTHER)

    got(context, VERSION)

    assert () == installed.leftovers(context.paths.own)


def test_two_at_once_download_once(context: Context, server: ReleaseServer) -> None:
    server.publish()
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: got(context, VERSION), range(4)))

    assert [False, False, False, True] == sorted(one.changed for one in results)
    assert [""] == server.requested(f"{server.stored(VERSION, 'k3s')}")


def test_a_mirror_replaces_the_downloads_only(context: Context, server: ReleaseServer) -> None:
    server.publish()
    environ = {**context.environ, "INSTALL_K3S_ARTIFACT_URL": "https://localhost:1/nothing"}
    context = replace(context, environ=environ)

    assert got(context, mirror=f"{server.url}{DOWNLOADS}/").changed


def test_the_mirror_of_the_settings_is_used(context: Context, server: ReleaseServer) -> None:
    server.publish()
    environ = dict(context.environ)
    mirror = environ.pop("INSTALL_K3S_ARTIFACT_URL")
    context = replace(context, environ=environ)
    change.change(context, {"release.mirror": (mirror,)}, force=False)

    assert got(context).record.source.startswith(mirror)
    assert ("release.mirror", True) == (
        servers.source(context).origin,
        servers.source(context).mirror,
    )


def test_option_variable_and_setting_come_in_this_order(context: Context) -> None:
    variable = context.environ["INSTALL_K3S_ARTIFACT_URL"]
    change.change(context, {"release.mirror": ("https://c.example",)}, force=False)

    assert "https://a.example" == servers.source(context, "https://a.example").downloads
    assert variable == servers.source(context).downloads
    without = replace(context, environ={"INSTALL_K3S_ARTIFACT_URL": ""})
    assert "https://c.example" == servers.source(without).downloads
    change.change(context, {"release.mirror": ()}, force=False)
    found = servers.source(without)
    assert (DEFAULT, False, "") == (found.downloads, found.mirror, found.origin)


def test_a_mirror_of_the_settings_that_is_down_is_named(
    context: Context, server: ReleaseServer
) -> None:
    environ = {**context.environ, "INSTALL_K3S_ARTIFACT_URL": ""}
    context = replace(context, environ=environ)
    change.change(context, {"release.mirror": ("https://localhost:1/x",)}, force=False)

    with pytest.raises(PeerError, match="cannot connect to localhost") as raised:
        got(context, VERSION)

    assert "k3s-rootless config unset release.mirror" in (raised.value.hint or "")


@pytest.mark.parametrize("mirror", ["http://localhost/x", "https://a:b@localhost/x", "/srv/k3s"])
def test_a_mirror_must_be_https_without_a_password(context: Context, mirror: str) -> None:
    with pytest.raises(UsageError, match="--mirror"):
        got(context, mirror=mirror)


def test_a_mirror_that_is_down(context: Context, server: ReleaseServer) -> None:
    with pytest.raises(PeerError, match="cannot connect to localhost"):
        got(context, VERSION, mirror="https://localhost:1/x")

    assert is_untouched(context)


def test_root_is_refused(context: Context) -> None:
    with pytest.raises(PreflightFailed, match="as root"):
        got(replace(context, uid=0))


def test_a_path_that_others_can_change_is_refused(context: Context, server: ReleaseServer) -> None:
    server.publish()
    context.paths.own.mkdir(parents=True)
    context.paths.own.chmod(0o777)

    with pytest.raises(PreflightFailed, match="every user can write"):
        got(context)

    assert () == installed.releases(context.paths.own)


def test_images_are_placed_where_k3s_imports_them(context: Context, server: ReleaseServer) -> None:
    server.publish()
    directory = context.paths.data / "agent/images"
    directory.mkdir(parents=True)
    (directory / "k3s-airgap-images-amd64.tar").write_bytes(b"old")
    (directory / "mine.tar").write_bytes(b"mine")

    images = got(context, images=True).images
    again = got(context, images=True).images

    assert images
    assert again
    assert (True, False) == (images.changed, again.changed)
    assert {"k3s-airgap-images-amd64.tar.zst", "mine.tar"} == {
        one.name for one in directory.iterdir()
    }
    assert b"images of v1.36.3+k3s1 zst" == images.path.read_bytes()


def test_images_with_a_wrong_checksum_are_not_placed(
    context: Context, server: ReleaseServer
) -> None:
    server.publish()
    server.put(VERSION, "k3s-airgap-images-amd64.tar.zst", b"else")

    with pytest.raises(ChecksumMismatch):
        got(context, images=True)

    assert [] == list((context.paths.data / "agent/images").iterdir())


@pytest.mark.thorough
def test_killed_anywhere_nothing_half_made_is_used(context: Context, server: ReleaseServer) -> None:
    """A process ends before each of its changes of the file system; each time it continues."""
    data = server.publish()
    own = context.paths.own
    link = own / "bin/k3s"
    images = context.paths.data / "agent/images"
    stop = 0
    for stop in killed_at_many_points(lambda: got(context, images=True), step=1):
        assert all(one.path.read_bytes() == data for one in installed.releases(own))
        assert not link.exists() or link.read_bytes() == data
        assert not images.exists() or all(
            one.read_bytes() == b"images of v1.36.3+k3s1 zst" for one in images.iterdir()
        )
        if stop % 3 == 0:
            # Start from nothing as well, and not only from what the last process left.
            subprocess.run(["rm", "-rf", str(own), str(images)], check=True)

    assert stop > 20
    assert () == installed.leftovers(own)
    assert [VERSION] == [one.version for one in installed.releases(own)]


GET = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from k3s_rootless.operations.configuration import change
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.releases.get import Request, get
from k3s_rootless.paths import Paths
from tests.fakes.release_server import LIMITS
UID = os.getuid() or 1000
home = Path(sys.argv[2])
context = Context(
    Paths(home / "root", home, home / "run", home / "config"),
    {"PATH": str(home / "path"), **dict(one.split("=", 1) for one in sys.argv[3:])}, UID, "alice",
)
get(context, Request(images=True), LIMITS)
"""


@pytest.mark.thorough
@pytest.mark.parametrize("after", [1, 90_000, 299_999])
def test_killed_while_data_arrives(context: Context, server: ReleaseServer, after: int) -> None:
    """The server stops sending, then the process is killed, and the next one continues."""
    data = server.publish()
    server.fail_file("k3s", Fault(cut=after, pause=30))
    variables = [f"{name}={value}" for name, value in server.environ.items()]
    home = str(context.paths.home)
    with subprocess.Popen([sys.executable, "-c", GET, str(ROOT), home, *variables]) as process:
        part = wait_for_part(context, process)
        process.send_signal(signal.SIGKILL)
    assert () == installed.releases(context.paths.own)

    assert got(context).changed
    assert 0 <= part <= after
    assert data == installed.path_of(context.paths.own, VERSION).read_bytes()


def wait_for_part(context: Context, process: subprocess.Popen[bytes]) -> int:
    while process.poll() is None:
        for one in installed.leftovers(context.paths.own):
            if one.path.suffix == ".part" and one.size:
                return one.size
    raise AssertionError("the process has ended")


def test_files_of_this_host_are_verified_and_kept(
    context: Context, server: ReleaseServer, tmp_path: Path
) -> None:
    data = binary()
    images = b"images"
    (tmp_path / "k3s").write_bytes(data)
    (tmp_path / "k3s-airgap-images-amd64.tar.gz").write_bytes(images)
    sums = checksum_lines({"k3s": data, "k3s-airgap-images-amd64.tar.gz": images})
    (tmp_path / "sums").write_bytes(sums)

    found = got(context, file=tmp_path / "k3s", checksums=tmp_path / "sums", images=True)

    assert (VERSION, True) == (found.record.version, found.used)
    assert str(tmp_path / "k3s") == found.record.source
    assert found.images
    assert images == found.images.path.read_bytes()
    assert [] == server.requests
    assert data == (tmp_path / "k3s").read_bytes()


@pytest.mark.parametrize(
    ("wanted", "files", "reason"),
    [
        (None, {"k3s": b"else"}, "its SHA-256 is"),
        (None, {"k3s": b"else", "k3s-arm64": binary()}, "it is k3s-arm64, but this host needs k3s"),
        (None, {"k3s-arm64": binary()}, "does not list k3s"),
        (None, {}, "does not list k3s"),
        (OTHER, {"k3s": binary()}, "not v1.35.7"),
        ("stable", {"k3s": binary()}, "name the release"),
    ],
)
def test_files_that_do_not_fit_are_refused(
    context: Context, tmp_path: Path, wanted: str | None, files: dict[str, bytes], reason: str
) -> None:
    (tmp_path / "k3s").write_bytes(binary())
    (tmp_path / "sums").write_bytes(checksum_lines(files))

    with pytest.raises(RootlessError, match=reason):
        got(context, wanted, file=tmp_path / "k3s", checksums=tmp_path / "sums")

    assert is_untouched(context)
    assert (tmp_path / "k3s").exists()


def test_files_that_are_missing_or_no_files(context: Context, tmp_path: Path) -> None:
    sums = tmp_path / "sums"
    with pytest.raises(RootlessError, match="cannot read"):
        got(context, file=tmp_path / "k3s", checksums=sums)
    sums.write_bytes(checksum_lines({"k3s": b""}))
    with pytest.raises(RootlessError, match="no such file"):
        got(context, file=tmp_path / "k3s", checksums=sums)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RootlessError, match="not a file of K3s"):
        got(context, file=tmp_path / "pipe", checksums=sums)


@pytest.mark.parametrize("option", ["file", "checksums"])
def test_file_and_checksums_belong_together(context: Context, option: str) -> None:
    options: dict[str, object] = {option: Path("x")}

    with pytest.raises(UsageError, match="use both"):
        got(context, None, **options)


def test_the_record_is_json_that_people_can_read(context: Context, server: ReleaseServer) -> None:
    server.publish()
    record = json.loads(got(context).path.with_name("record.json").read_text())

    assert {"version", "asset", "sha256", "size", "changed", "source", "checksums", "date"} == set(
        record
    )
