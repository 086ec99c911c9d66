"""Tests that registries.yaml is found, shown and changed as a whole, or not at all."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.errors import PreflightFailed, RootlessError, UsageError
from k3s_rootless.node.registries.facts import Credentials
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event, Notice
from k3s_rootless.operations.registries import change, check, document, place, show
from k3s_rootless.operations.registries.change import Request
from k3s_rootless.paths import UNIT
from tests.fakes.session import Session
from tests.fakes.user import USER
from tests.largest_file import largest_file
from tests.operations import unit

SECRET = "not-to-be-shown"  # noqa: S105 (a value that no answer may contain)
TEXT = f"""# by hand
mirrors:
  docker.io:
    endpoint: [https://mirror.example]
configs:
  mirror.example:
    auth: {{username: alice, password: {SECRET}}}
"""


@pytest.fixture
def path(bus: Session, home: Path) -> Path:
    """Return the file that K3s reads, with a unit that has a data directory of its own."""
    return unit.write(bus, home) / "etc/rancher/k3s/registries.yaml"


def written(path: Path, text: str = TEXT, mode: int = 0o600) -> Path:
    for directory in reversed(path.parents):
        if not directory.exists():
            directory.mkdir()
            os.chown(directory, USER, USER)
    path.write_text(text)
    path.chmod(mode)
    os.chown(path, USER, USER)
    return path


def test_the_file_is_in_the_data_directory(context: Context, path: Path) -> None:
    found = place.find(context)

    assert (path, "/etc/rancher/k3s/registries.yaml") == (found.path, found.inside)
    assert Path("/srv/ca.pem") == found.on_host("/srv/ca.pem")
    assert path.parent / "ca.pem" == found.on_host("/etc/rancher/k3s/ca.pem")


@pytest.mark.parametrize("flag", ["/srv/r.yaml", "r.yaml"])
def test_a_flag_can_name_another_file(
    context: Context, bus: Session, home: Path, flag: str
) -> None:
    unit.write(bus, home, f"--private-registry={flag}")

    if flag.startswith("/"):
        assert Path(flag) == place.find(context).path
        return
    with pytest.raises(RootlessError, match="which is not an absolute path"):
        place.find(context)


def test_the_file_can_be_written_before_k3s_is_installed(
    context: Context, home: Path, bus: Session
) -> None:
    with context.manager() as manager:
        manager.change_environment((), {"HOME": str(home)})

    done = change.set_registry(context, "a.example", Request(("http://b",)), dry_run=False)

    assert home / ".rancher/k3s/etc/rancher/k3s/registries.yaml" == done.path
    assert 0o600 == stat.S_IMODE(done.path.stat().st_mode)


def test_no_answer_contains_a_password(context: Context, path: Path) -> None:
    written(path)
    request = Request(credentials=Credentials("alice", f"{SECRET}-2"))

    shown = show.show(context)
    checked = check.check(context)
    changed = change.set_registry(context, "mirror.example", request, dry_run=True)

    documents = [
        document.of_shown(shown),
        document.of_checked(checked),
        document.of_changed(changed),
    ]
    assert SECRET not in json.dumps(documents)
    assert SECRET not in repr((shown, checked, changed, request))
    assert "K3s is not running, so no registry was requested" == checked.not_requested
    assert TEXT == path.read_text()


def test_a_password_makes_the_file_private(context: Context, path: Path) -> None:
    events: list[Event] = []
    context = replace(context, listener=events.append)
    written(path, "# all can read this\n", 0o644)
    change.set_registry(context, "a.example", Request(("https://b",)), dry_run=False)
    assert 0o644 == stat.S_IMODE(path.stat().st_mode)

    request = Request(credentials=Credentials("alice", SECRET))
    change.set_registry(context, "a.example", request, dry_run=False)

    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert path.read_text().startswith("# all can read this\n")
    notice = f"{path} is now readable by you only (mode 0600, not 0644): it has passwords"
    assert [Notice(notice)] == events


def test_a_link_stays_a_link(context: Context, path: Path, home: Path) -> None:
    target = written(home / "mine.yaml")
    written(path).unlink()
    path.symlink_to(target)

    change.remove_registry(context, "docker.io", dry_run=False)

    assert path.is_symlink()
    assert "mirrors" not in target.read_text()


def test_what_is_not_there_cannot_be_removed_or_checked(context: Context, path: Path) -> None:
    written(path)

    with pytest.raises(RootlessError, match=r"cannot remove `ghcr\.io`: it is not in"):
        change.remove_registry(context, "ghcr.io", dry_run=False)
    with pytest.raises(RootlessError, match=r"cannot check `ghcr\.io`: it is not in"):
        check.check(context, ("ghcr.io",))


@pytest.mark.parametrize(
    ("name", "request_", "words"),
    [
        ("https://a.example", Request(("https://b",)), "a registry has the form HOST"),
        ("a.example/image", Request(("https://b",)), "a registry has the form HOST"),
        ("a b", Request(("https://b",)), "it contains spaces"),
        ("a.example:port", Request(("https://b",)), "its port is not a number"),
        ("a.example", Request(), "no setting is given"),
        ("a.example", Request(("ftp://b",)), "neither http nor https"),
        ("a.example", Request((f"https://u:{SECRET}@b",)), r"the endpoint `https://\*\*\*@b`"),
        ("a.example", Request(files={"ca_file": "/no/such"}), "is not a readable file"),
        (
            "a.example",
            Request(files={"ca_file": "/etc/rancher/ca.pem"}),
            "data/etc/rancher/ca.pem on the host, is not a readable file",
        ),
    ],
)
def test_values_that_k3s_would_ignore_are_refused(
    context: Context, path: Path, name: str, request_: Request, words: str
) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        change.set_registry(context, name, request_, dry_run=False)

    assert SECRET not in refused.value.message
    assert not path.exists()


def test_a_file_that_k3s_cannot_read_is_not_changed(context: Context, path: Path) -> None:
    text = f"configs:\n  a:\n    auth: [{SECRET}]\n"
    written(path, text)

    with pytest.raises(
        RootlessError, match=r"line 3: `configs\.a\.auth` must be a mapping"
    ) as error:
        change.set_registry(context, "a", Request(("https://b",)), dry_run=False)

    assert text == path.read_text()
    assert SECRET not in error.value.message
    assert show.show(context).fatal
    assert not check.check(context, ("anything",)).good


def test_a_file_of_another_user_is_refused(context: Context, path: Path) -> None:
    os.chown(written(path), 12345, 12345)

    with pytest.raises(PreflightFailed, match="it belongs to uid 12345"):
        change.remove_registry(context, "docker.io", dry_run=False)
    with pytest.raises(PreflightFailed, match="cannot read"):
        show.show(context)


def test_a_file_that_others_can_change_is_refused(context: Context, path: Path) -> None:
    written(path, mode=0o666)

    with pytest.raises(PreflightFailed, match="every user can write"):
        change.remove_registry(context, "docker.io", dry_run=False)


def test_a_full_disk_leaves_the_file_as_it_is(context: Context, path: Path) -> None:
    written(path)

    with largest_file(10), pytest.raises(RootlessError, match="cannot write"):
        change.remove_registry(context, "docker.io", dry_run=False)

    assert TEXT == path.read_text()
    assert [path.name] == [one.name for one in path.parent.iterdir()]


def test_an_unchanged_file_is_not_written(context: Context, path: Path) -> None:
    written(path)
    request = Request(("https://mirror.example",))
    inode = path.stat().st_ino

    done = change.set_registry(context, "docker.io", request, dry_run=False)

    assert (False, "") == (done.changed, done.restart_needed)
    assert inode == path.stat().st_ino


def test_a_running_k3s_needs_a_restart(context: Context, path: Path, bus: Session) -> None:
    with context.manager() as manager:
        manager.start(UNIT)
    written(path)
    os.utime(path, (2_000_000_000, 2_000_000_000))

    assert f"the running K3s was started before `{path}` was written" == (
        show.show(context).restart_needed
    )
    done = change.remove_registry(context, "docker.io", dry_run=False)
    assert f"the running K3s does not read `{path}` again" == done.restart_needed
