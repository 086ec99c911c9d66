"""Tests that `uninstall --purge` removes only K3s's data.

The directory tree, the paths and the timing are hostile.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.k3s import layout
from k3s_rootless.linux import tree_removal
from k3s_rootless.service.act import purge
from k3s_rootless.service.observe import data_directory
from tests.fakes.session import PROJECT

UID = os.getuid()
SHA = "5f0c2b6e1a9d" + "0" * 52
ROOT = pytest.mark.skipif(UID != 0, reason="only root can mount, and give files away")


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """Return a host with the home of alice, which has directories with the names of K3s's."""
    for name in ("data", "logs", "storage", "server", "agent"):
        directory = tmp_path / "home/alice" / name
        directory.mkdir(parents=True)
        (directory / "precious").write_text(name)
    return tmp_path


def content(directory: Path) -> dict[str, str]:
    """Return every file below a directory with its text."""
    found = (path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(directory)): path.read_text() for path in found}


def marked(directory: Path) -> Path:
    """Create the marks of a directory that K3s has used."""
    (directory / "server").mkdir(parents=True, exist_ok=True)
    (directory / "server/token").write_text("K10")
    return directory


def purged(directory: Path, home: Path, *, everything: bool = False) -> tree_removal.Result:
    """Purge a directory as a user without subordinate ids."""
    return purge.remove(
        purge.task(directory, home, UID, everything=everything), "there are no subordinate ids"
    )


def straight(target: Path, _: Path) -> Path:
    return target


def through_a_link_above(target: Path, place: Path) -> Path:
    (place / "h").symlink_to(target.parent)
    return place / "h" / target.name


def through_two_links(target: Path, place: Path) -> Path:
    (place / "first").symlink_to(target.parent)
    (place / "second").symlink_to("first")
    return place / "second" / target.name


def through_a_link_to_the_root(target: Path, place: Path) -> Path:
    (place / "root").symlink_to("/")
    return place / "root" / target.relative_to("/")


def through_proc(target: Path, _: Path) -> Path:
    return Path("/proc/self/root") / target.relative_to("/")


def through_the_working_directory(target: Path, _: Path) -> Path:
    os.chdir(target.parent)
    return Path("/proc/self/cwd") / target.name


def through_a_link_itself(target: Path, place: Path) -> Path:
    (place / "alias").symlink_to(target)
    return place / "alias"


def with_dots(target: Path, _: Path) -> Path:
    return Path(f"{target.parent}/.//./{target.name}/.")


ALIASES: tuple[Callable[[Path, Path], Path], ...] = (
    straight,
    through_a_link_above,
    through_two_links,
    through_a_link_to_the_root,
    through_proc,
    through_the_working_directory,
    through_a_link_itself,
    with_dots,
)


@pytest.mark.parametrize("is_marked", [False, True], ids=["as it is", "with a file of K3s"])
@pytest.mark.parametrize("target", ["home/alice", "home", "."])
@pytest.mark.parametrize("alias", ALIASES, ids=lambda alias: alias.__name__)
def test_no_path_leads_to_a_purge_of_the_home_directory(
    host: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    alias: Callable[[Path, Path], Path],
    target: str,
    *,
    is_marked: bool,
) -> None:
    monkeypatch.chdir(host)
    if is_marked:
        marked(host / target)
    before = content(host)
    path = alias(host / target, tmp_path_factory.mktemp("place"))

    with pytest.raises(UsageError, match=r"it is your home directory, or contains it|it is a link"):
        purged(path, host / "home/alice")

    assert before == content(host)
    assert "it is your home directory, or contains it" == data_directory.unusable(
        path, host / "home/alice"
    )


@pytest.mark.parametrize("target", ["real/alice", "real", "home"])
def test_a_home_directory_that_is_a_link_is_known_by_both_its_paths(
    host: Path, target: str
) -> None:
    (host / "real").mkdir()
    (host / "home/alice").rename(host / "real/alice")
    (host / "home/alice").symlink_to("../real/alice")
    before = content(marked(host / target))

    with pytest.raises(UsageError, match="it is your home directory, or contains it"):
        purged(host / target, host / "home/alice")

    assert before == content(host / target)


@ROOT
@pytest.mark.parametrize("target", ["home/alice", "home"])
def test_a_bind_mount_of_the_home_directory_is_the_home_directory(host: Path, target: str) -> None:
    with bound(marked(host / target), host / "elsewhere") as place:
        before = content(host / target)
        with pytest.raises(UsageError, match="it is your home directory, or contains it"):
            purged(place, host / "home/alice")
        assert before == content(host / target)


@ROOT
def test_a_home_directory_that_is_mounted_from_the_data_directory_stays(host: Path) -> None:
    """The home directory is a bind mount of a part of the data directory.

    Nothing in the data directory shows that this part is mounted elsewhere.
    """
    data = marked(host / "srv")
    (data / "data/alice").mkdir(parents=True)
    (data / "data/alice/precious").write_text("precious")
    with bound(data / "data/alice", host / "homes") as home:
        result = purged(data, home, everything=True)

    assert [
        (str(data / "data/alice"), "it is your home directory, or contains it")
    ] == result.survivors
    assert "precious" == (data / "data/alice/precious").read_text()


class bound:  # noqa: N801 (a context manager)
    """Bind mount; skips the test if this machine does not allow mounts."""

    def __init__(self, source: Path, place: Path) -> None:
        self._source, self._place = source, place

    def __enter__(self) -> Path:
        self._place.mkdir()
        done = subprocess.run(
            ["mount", "--bind", self._source, self._place], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip("this machine lets no process mount")
        return self._place

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", self._place], check=True)


def named_as_k3ss(place: Path) -> None:
    for name in layout.TOP:
        (place / name).mkdir()


def marker_is_a_directory(place: Path) -> None:
    (place / "server/token").mkdir(parents=True)


def marker_is_a_link(place: Path) -> None:
    (place / "server").mkdir()
    (place / "server/token").symlink_to("/etc/hostname")


def marker_is_a_pipe(place: Path) -> None:
    (place / "rootless").mkdir()
    os.mkfifo(place / "rootless/lock")


def marker_lies_behind_a_link(place: Path) -> None:
    marked(place.parent / "another")
    (place / "server").symlink_to("../another/server")


def data_lies_behind_a_link(place: Path) -> None:
    (place.parent / "another" / SHA).mkdir(parents=True)
    (place / "data").symlink_to("../another")


def unpacked_is_a_file(place: Path) -> None:
    (place / "data").mkdir()
    (place / "data" / SHA).write_text("mine")


def unpacked_is_a_link(place: Path) -> None:
    (place / "data").mkdir()
    (place / "data" / SHA).symlink_to("/usr")


def hash_is_too_short(place: Path) -> None:
    (place / "data" / SHA[:-1]).mkdir(parents=True)


def hash_is_no_hash(place: Path) -> None:
    (place / "data" / SHA.upper().replace("0", "G")).mkdir(parents=True)


def only_a_lock(place: Path) -> None:
    (place / "data").mkdir()
    (place / "data/.lock").touch()
    (place / "letters").mkdir()


def deep_below(place: Path) -> None:
    marked(place / "old/k3s")


HARMLESS: tuple[Callable[[Path], None], ...] = (
    named_as_k3ss,
    marker_is_a_directory,
    marker_is_a_link,
    marker_is_a_pipe,
    marker_lies_behind_a_link,
    data_lies_behind_a_link,
    unpacked_is_a_file,
    unpacked_is_a_link,
    hash_is_too_short,
    hash_is_no_hash,
    only_a_lock,
    deep_below,
)


@pytest.mark.parametrize("everything", [False, True], ids=["moved", "default"])
@pytest.mark.parametrize("plant", HARMLESS, ids=lambda plant: plant.__name__)
def test_a_directory_that_is_not_k3ss_is_refused(
    host: Path, plant: Callable[[Path], None], *, everything: bool
) -> None:
    place = host / "home/alice/work"
    place.mkdir()
    (place / "precious").write_text("precious")
    plant(place)
    before = sorted(path.name for path in place.rglob("*"))

    with pytest.raises(
        UsageError, match="contains no file that identifies a data directory of K3s"
    ):
        purged(place, host / "home/alice", everything=everything)

    assert before == sorted(path.name for path in place.rglob("*"))
    assert "it is neither empty nor a data directory of K3s" == data_directory.unusable(
        place, host / "home/alice"
    )


@pytest.mark.parametrize(
    "marker",
    [*data_directory.MARKERS, f"data/{SHA}/bin/k3s", f"data/{SHA}-tmp/bin/k3s", "data/.lock", ""],
)
def test_a_data_directory_of_k3s_is_purged_and_nothing_beside_it(host: Path, marker: str) -> None:
    place = host / "home/alice/k3s"
    (place / marker).parent.mkdir(parents=True) if marker else place.mkdir()
    if marker:
        (place / marker).write_text("")
    before = content(host)

    assert "" == data_directory.unusable(place, host / "home/alice")
    assert [] == purged(place, host / "home/alice").survivors

    assert not place.exists()
    assert {
        name: text for name, text in before.items() if not name.startswith("home/alice/k3s/")
    } == content(host)


def farm(place: Path, outside: Path, seed: int) -> None:
    """Create a tree of links, special files and odd names; the same tree for the same seed."""
    chosen = random.Random(seed)  # noqa: S311 (a tree, not a secret)
    directories = [marked(place) / "storage"]
    directories[0].mkdir()
    targets = (
        str(outside),
        "/",
        "..",
        "../" * 40,
        str(outside / "precious"),
        "loop",
        "/proc/self/root",
        "/dev/null",
        ".",
    )
    for number in range(40):
        above = chosen.choice(directories)
        name = chosen.choice(
            [
                f"n{number}",
                f"\x1b[2J{number}",
                f"-rf {number}",
                f"\n{number}",
                os.fsdecode(b"\xff%d" % number),
            ]
        )
        match chosen.randrange(6):
            case 0:
                (above / name).symlink_to(chosen.choice(targets))
            case 1:
                (above / name).hardlink_to(outside / "precious")
            case 2:
                os.mkfifo(above / name)
            case 3:
                (above / name).write_text("x")
                (above / name).chmod(0)
            case _:
                (above / name).mkdir(mode=chosen.choice([0o700, 0o755, 0o1777]))
                directories.append(above / name)
    (directories[0] / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as bound_to:
        os.chdir(directories[0])
        bound_to.bind("socket")


@pytest.mark.parametrize("seed", range(24))
def test_links_are_removed_and_their_targets_stay(
    host: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.chdir(host)
    outside = host / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    before = content(host)
    farm(host / "home/alice/k3s", outside, seed)
    monkeypatch.chdir(host)

    result = purged(host / "home/alice/k3s", host / "home/alice", everything=bool(seed % 2))

    assert [] == result.survivors
    assert not (host / "home/alice/k3s").exists()
    assert before == content(host)


def another_directory(place: Path, precious: Path) -> None:
    place.rename(place.with_name("moved"))
    precious.rename(place)


def a_link(place: Path, precious: Path) -> None:
    place.rename(place.with_name("moved"))
    place.symlink_to(precious)


def nothing(place: Path, _: Path) -> None:
    place.rename(place.with_name("moved"))


@pytest.mark.parametrize(
    "swap", [another_directory, a_link, nothing], ids=lambda swap: swap.__name__
)
def test_a_directory_that_replaced_the_data_directory_after_confirmation_stays(
    host: Path, swap: Callable[[Path, Path], None]
) -> None:
    place, precious = marked(host / "home/alice/k3s"), marked(host / "home/alice/precious")
    (precious / "server/precious").write_text("precious")
    task = purge.task(place, host / "home/alice", UID, everything=True)
    swap(place, precious)
    before = content(host)

    with pytest.raises(
        RootlessError, match=r"it was replaced by another directory|it is a link|no such file"
    ):
        purge.remove(task, "there are no subordinate ids")

    assert before == content(host)


@ROOT
def test_a_directory_of_another_user_is_refused(host: Path) -> None:
    place = marked(host / "home/alice/k3s")
    os.chown(place, 65534, 65534)

    with pytest.raises(UsageError, match="it belongs to uid 65534"):
        purged(place, host / "home/alice")

    assert (place / "server/token").exists()


MAPPER = """\
#!/bin/sh
# newuidmap and newgidmap, for a map of one id
case $0 in
*gid*) echo deny >/proc/$1/setgroups; echo "0 $3 1" >/proc/$1/gid_map ;;
*) echo "0 $3 1" >/proc/$1/uid_map ;;
esac
"""
PURGE = """
import sys
from pathlib import Path
from k3s_rootless.linux.id_mapping import IdMapping
from k3s_rootless.service.act import purge
place, home, programs = map(Path, sys.argv[1:])
mapping = IdMapping(str(programs / "newuidmap"), str(programs / "newgidmap"), [], [])
result = purge.remove(purge.task(place, home, place.stat().st_uid, everything=True), mapping)
print(result.outside, result.survivors, flush=True)
"""
FILES = 30_000


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("newuidmap", "newgidmap"):
        (directory / name).write_text(MAPPER)
        (directory / name).chmod(0o755)
    return directory


def started(place: Path, home: Path, programs: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(PURGE), str(place), str(home), str(programs)]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)


def child_of(process: subprocess.Popen[str]) -> Iterator[int]:
    """Yield the children of a process that were forked from it and execute nothing else."""
    for one in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        if "import purge" in Path(f"/proc/{one}/cmdline").read_text():
            yield int(one)


def lives(pid: int) -> bool:
    """Return whether a process is running; a zombie does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


@pytest.mark.thorough
@pytest.mark.parametrize("moment", ["at once", "while files go"])
def test_a_purge_whose_parent_is_killed_ends_and_can_be_run_again(
    host: Path, programs: Path, moment: str
) -> None:
    home = host / "home/alice"
    place = marked(home / "k3s")
    (place / "agent").mkdir()
    for number in range(FILES):
        (place / "agent" / str(number)).touch()
    purging = started(place, home, programs)
    deadline = time.monotonic() + 60
    child = None
    while child is None and purging.poll() is None and time.monotonic() < deadline:
        child = next(child_of(purging), None)
    assert child is not None
    while (
        moment == "while files go" and (place / "agent/0").exists() and time.monotonic() < deadline
    ):
        pass
    # A stopped child cannot finish before its parent is killed. It continues afterwards, unless the
    # kernel killed it too.
    os.kill(child, signal.SIGSTOP)
    purging.kill()
    purging.wait()
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGCONT)
    while lives(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    output, _ = purging.communicate()

    if "no user namespace could be created" in output:
        pytest.skip("this machine makes no user namespaces")
    assert list(place.glob("agent/*")), "the purge went on without its parent"
    assert "it is neither empty" not in data_directory.unusable(place, home)
    with started(place, home, programs) as again:
        output, _ = again.communicate()
    assert " []\n" == output
    assert not place.exists()
