"""A K3s for tests of upgrades: releases on a server, a unit, and a datastore.

systemd is the fake user manager. The K3s that it starts is played: it writes to its datastore, and
gets ready or not, as its release does.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from k3s_rootless.backup import names
from k3s_rootless.backup import record as records
from k3s_rootless.backup.facts import Record
from k3s_rootless.binaries import installed
from k3s_rootless.errors import NotReady, RootlessError
from k3s_rootless.operations import up
from k3s_rootless.operations.backup import kept
from k3s_rootless.operations.backup.running_cluster import SystemdCluster
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.releases.get import Request, get
from k3s_rootless.operations.releases.use import use
from k3s_rootless.paths import UNIT
from k3s_rootless.preflight.checks import checklist
from k3s_rootless.service.systemd.user import UserManager
from tests.backup.cluster import opened, write
from tests.fakes.release_server import LIMITS
from tests.fakes.session import Session
from tests.operations.backup import k3s

OLD = "v1.35.7+k3s1"
NEW = "v1.36.3+k3s1"
NEXT = "v1.36.4+k3s1"
SKIPPING = "v1.37.0+k3s1"
BEFORE = "v1.34.9+k3s1"
ALL = tuple(sorted({check.id.partition(".")[0] for check in checklist.CHECKS}))


@dataclass
class World:
    """A running K3s of the release OLD, on a host where NEW was downloaded as well.

    `broken` releases do not get ready. With `interrupts`, the wait for K3s is interrupted.
    """

    context: Context
    bus: Session
    broken: set[str] = field(default_factory=set)
    interrupts: bool = False
    before_stop: Callable[[], None] = lambda: None
    after_start: Callable[[], None] = lambda: None

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.context.paths.data

    @property
    def own(self) -> Path:
        """The directory of the tool."""
        return self.context.paths.own

    @property
    def database(self) -> Path:
        """The datastore."""
        return self.data / "server/db/state.db"

    @property
    def unit(self) -> Path:
        """The unit file."""
        return self.bus.units / UNIT

    @property
    def guard(self) -> Path:
        """The drop-in of a transaction."""
        return self.bus.units / f"{UNIT}.d/00-k3s-rootless-transaction.conf"

    @property
    def linked(self) -> str | None:
        """The release in use."""
        return installed.linked(self.own, installed.LINK)

    @property
    def record(self) -> Record | None:
        """The record of an unfinished transaction."""
        return records.load(self.context.paths.transaction)

    def make(self) -> World:
        """Install and start the release OLD."""
        with self.context.manager() as manager:
            manager.change_environment((), {"HOME": str(self.context.paths.home)})
        for release in (OLD, NEW):
            get(self.context, Request(release), LIMITS)
        use(self.context, OLD)
        up.up(self.context, up.Request(ignored=ALL), lambda _: None)
        k3s.make(self.data)
        self.insert(f"/registry/configmaps/default/of-{OLD}")
        return self

    def insert(self, *names: str) -> None:
        """Write rows to the datastore, as K3s does."""
        with closing(opened(self.database)) as found:
            found.executemany("INSERT INTO kine (name) VALUES (?)", [(name,) for name in names])
            found.commit()

    def rows(self, database: Path | None = None) -> set[str]:
        """Return the names in a datastore."""
        with closing(opened(database or self.database)) as found:
            return {name for (name,) in found.execute("SELECT name FROM kine")}

    def cluster(self, manager: UserManager) -> Played:
        """Return the cluster, with a K3s that is played."""
        return Played(self, manager)

    def running(self) -> bool:
        """Return whether the unit runs."""
        with self.context.manager() as manager:
            return manager.unit(UNIT).running

    def backups(self) -> list[Path]:
        """Return what is in the directory of backups."""
        directory = self.context.paths.backups
        if not directory.exists():
            return []
        return list(directory.iterdir())

    def hidden(self) -> list[Path]:
        """Return what a transaction has left beside other files."""
        places = (self.data, self.bus.units)
        return [path for place in places for path in place.rglob(".*k3s-rootless-*")]

    def save(self, place: Path) -> None:
        """Save all files."""
        for number, directory in enumerate(self._directories):
            shutil.copytree(directory, place / str(number), symlinks=True)

    def reset(self, place: Path) -> None:
        """Restore all files."""
        for number, directory in enumerate(self._directories):
            shutil.rmtree(directory)
            shutil.copytree(place / str(number), directory, symlinks=True)

    @property
    def _directories(self) -> tuple[Path, ...]:
        return self.data, self.own, self.bus.units


class Played(SystemdCluster):
    """The cluster of the real unit; the K3s in it is played."""

    def __init__(self, world: World, manager: UserManager) -> None:
        super().__init__(world.context, manager, 5, patient=True)
        self.world = world

    def stop(self) -> None:
        """Stop the unit."""
        self.world.before_stop()
        super().stop()

    def start(self) -> None:
        """Start the unit, unless a condition prevents it; K3s writes to its datastore."""
        super().start()
        assert not self.world.guard.exists(), "held"
        release = self.world.linked or OLD
        assert f"K3s {release};" in self.world.unit.read_text(), "another unit"
        self.world.insert(f"/registry/configmaps/default/of-{release}")
        write(self.world.data / "server/manifests/coredns.yaml", str(release), 0o600)
        os.utime(self.world.database)
        self.world.after_start()

    def wait(self, release: str = "") -> None:
        """Wait for a K3s that gets ready, or not."""
        if self.world.interrupts:
            raise KeyboardInterrupt
        running = self.world.linked or OLD
        if running in self.world.broken:
            raise NotReady("K3s is not ready after 5 s", hint="k3s-rootless diagnose")
        if release not in {"", running}:
            raise RootlessError(f"the node reports {running}")


def assert_upgraded(world: World, backups: int = 1) -> None:
    """Fail unless K3s runs with NEW, and its backup has everything of OLD."""
    assert (NEW, OLD) == (world.linked, installed.linked(world.own, installed.PREVIOUS))
    assert_whole(world)
    assert f"K3s {NEW};" in world.unit.read_text()
    assert {f"/registry/configmaps/default/of-{one}" for one in (OLD, NEW)} <= world.rows()
    found = [one.manifest for one in kept.kept(world.context)]
    assert [OLD] * backups == [one.origin.k3s for one in found if one], found
    assert kept.verified(world.context, kept.kept(world.context)[-1].path)


def assert_undone(world: World, before: dict[str, bytes], unit: str) -> None:
    """Fail unless everything is as before the upgrade, and K3s runs with OLD."""
    assert world.linked == OLD
    assert_whole(world)
    assert unit == world.unit.read_text()
    assert f"/registry/configmaps/default/of-{NEW}" not in world.rows()
    assert own(before) == own(k3s.content(world.data))


def assert_whole(world: World) -> None:
    """Fail if something of a transaction is left, or a row is lost."""
    assert world.record is None
    assert [] == world.hidden()
    assert not world.guard.exists()
    assert world.running()
    assert "first" in world.rows()
    others = [one for one in world.backups() if not one.name.endswith(names.ARCHIVE_SUFFIX)]
    # An empty file that is new counts as one that another process is about to write.
    assert [] == [one for one in others if one.stat().st_size]


def own(content: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files that a K3s does not write at its start."""
    return {
        path: text
        for path, text in content.items()
        if "coredns" not in path and "server/db" not in path
    }
