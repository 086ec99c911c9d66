from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.binaries import installed
from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.operations import k3s_search
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.releases import document
from k3s_rootless.operations.releases.get import Request, get
from k3s_rootless.operations.releases.listing import listing
from k3s_rootless.operations.releases.use import use
from tests.fakes.release_server import CHANNELS, LIMITS, VERSION, Fault, ReleaseServer, binary

OTHER = "v1.35.7+k3s2"


@pytest.fixture
def both(context: Context, server: ReleaseServer) -> Context:
    for version in (VERSION, OTHER):
        server.publish(version)
        get(context, Request(version), LIMITS)
    return context


def test_the_stable_path_is_found_and_stays(both: Context) -> None:
    link = str(both.paths.own / "bin/k3s")
    first = k3s_search.found(both, "")
    used = use(both, OTHER)
    second = k3s_search.found(both, "")

    assert (link, link) == (first.path, second.path)
    assert f"Known({VERSION}" in f"Known({first.version.value}"  # type: ignore[union-attr]
    assert OTHER == second.version.value.text  # type: ignore[union-attr]
    assert str(both.paths.own / "releases") == second.releases
    assert (OTHER, VERSION, None) == (used.version, used.before, used.replaced)


def test_a_k3s_on_path_is_replaced_and_named_once(both: Context) -> None:
    other = both.paths.home / "path/k3s"
    other.parent.mkdir()
    other.write_bytes(binary("v1.30.1+k3s1"))
    other.chmod(0o755)

    (both.paths.own / "bin/k3s").unlink(missing_ok=True)
    assert str(other) == use(both, OTHER).replaced
    assert document.of_used(use(both, OTHER))["replaced"] is None


def test_a_link_to_the_stable_path_is_the_stable_path(both: Context) -> None:
    (both.paths.home / "path").mkdir()
    (both.paths.home / "path/k3s").symlink_to(both.paths.own / "bin/k3s")

    assert use(both, OTHER).replaced is None


def test_a_stable_path_that_others_can_change_is_not_run(both: Context) -> None:
    (both.paths.own / "bin").chmod(0o777)

    found = k3s_search.found(both, "")

    assert "every user can write" in found.risk


@pytest.mark.parametrize("wanted", ["stable", "v1.36", "../x", ""])
def test_only_one_release_can_be_used(both: Context, wanted: str) -> None:
    with pytest.raises(UsageError, match="name a release"):
        use(both, wanted)


def test_a_release_that_is_not_here(both: Context) -> None:
    with pytest.raises(RootlessError, match="not on this host") as raised:
        use(both, "v1.36.9+k3s1")

    assert raised.value.hint == "k3s-rootless release get v1.36.9+k3s1"


def test_a_release_that_changed_is_not_used(both: Context) -> None:
    path = installed.path_of(both.paths.own, OTHER)
    status = path.stat()
    path.write_bytes(path.read_bytes().replace(b"exit 0", b"exit 1"))

    with pytest.raises(RootlessError, match="changed after it was verified"):
        use(both, OTHER)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(RootlessError, match="the SHA-256 of"):
        use(both, OTHER)
    path.with_name("record.json").unlink()
    with pytest.raises(RootlessError, match="was not verified"):
        use(both, OTHER)

    assert VERSION == installed.linked(both.paths.own, installed.LINK)


def test_the_list_has_the_releases_and_the_last_answer(
    both: Context, server: ReleaseServer
) -> None:
    before = len(server.requests)
    get(both, Request("stable"), LIMITS)
    requests = len(server.requests)

    found = document.of_listing(listing(both, remote=False))

    assert before + 1 == requests == len(server.requests)
    assert [(VERSION, True, True), (OTHER, True, False)] == [
        (one["version"], one["verified"], one["in_use"]) for one in found["releases"]
    ]
    (offer,) = found["channels"]["offers"]
    assert ("stable", VERSION) == (offer["channel"], offer["version"])
    assert not found["channels"]["queried"]


def test_the_list_queries_the_server_on_request(both: Context, server: ReleaseServer) -> None:
    server.channels["latest"] = "v1.37.0+k3s1"

    found = listing(both, remote=True, limits=LIMITS)

    assert found.remote
    assert found.answers
    assert {"stable", "latest"} == {one.name for one in found.answers.channels}
    assert found.answers == installed.answers(both.paths.own)
    downloads = document.of_listing(found)["downloads"]
    assert (True, "INSTALL_K3S_ARTIFACT_URL") == (downloads["mirror"], downloads["origin"])


def test_a_channel_that_was_queried_later_keeps_its_own_date(
    both: Context, server: ReleaseServer
) -> None:
    """The date of the list stays that of the other channels."""
    server.channels |= {"latest": OTHER}
    listing(both, remote=True, limits=LIMITS)
    first = installed.answers(both.paths.own)
    get(both, Request("stable"), LIMITS)
    second = installed.answers(both.paths.own)

    assert first
    assert second
    assert first.date == second.date
    assert {"latest": first.date} == {
        one.name: second.date_of(one) for one in second.channels if one.name == "latest"
    }
    (stable,) = (one for one in second.channels if one.name == "stable")
    assert second.date_of(stable) > first.date


def test_without_the_server_the_last_answer_is_shown_with_the_problem(
    both: Context, server: ReleaseServer
) -> None:
    listing(both, remote=True, limits=LIMITS)
    server.fail(CHANNELS, Fault(503, permanent=True))

    found = listing(both, remote=True, limits=LIMITS)

    assert not found.remote
    assert found.answers
    assert found.problem
    assert 1 == len(document.of_listing(found)["errors"])


def test_a_first_list_is_empty(context: Context) -> None:
    found = document.of_listing(listing(context, remote=False))

    assert {"releases": [], "channels": None, "downloads": None, "errors": []} == found


def test_the_home_can_be_elsewhere(context: Context, server: ReleaseServer, home: Path) -> None:
    server.publish()
    moved = replace(context, paths=replace(context.paths, share=home / "share"))
    get(moved, Request(), LIMITS)

    assert (home / "share/k3s-rootless/bin/k3s").exists()
    assert () == listing(context, remote=False).releases
