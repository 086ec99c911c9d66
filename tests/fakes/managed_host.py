"""Host for tests of operations: a home, a private bus with a fake user manager, a listener."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event, Listener, Notice
from k3s_rootless.paths import UNIT, Paths
from tests.fakes.session import Session, session
from tests.fakes.user import USER, ordinary_user

COMMAND = "/usr/local/bin/k3s server --rootless"
TEXT = f"[Service]\nExecStart={COMMAND}\n"


class ManagedHost:
    """Home of a user, the user manager (`bus`), and the events of the operations."""

    def __init__(self, place: Path, bus: Session) -> None:
        self.bus = bus
        self.events: list[Event] = []
        self.home = place / "home"
        paths = Paths(place, self.home, bus.runtime, place / "config")
        self.context = Context(paths, {"PATH": "/usr/bin:/bin"}, USER, "alice", self.events.append)
        self.unit = bus.units / UNIT
        self.drop_ins = bus.units / f"{UNIT}.d"
        # Units of the user are in `user`, next to `user.control`.
        (bus.directory / "user").symlink_to("units")

    @property
    def notices(self) -> list[str]:
        """Notices so far."""
        return [event.text for event in self.events if isinstance(event, Notice)]

    @property
    def members(self) -> list[str]:
        """Methods of the user manager that were called, except for reading properties."""
        return [call[0] for call in self.bus.calls()]

    def context_with(
        self, listener: Listener | None = None, environ: Mapping[str, str] | None = None
    ) -> Context:
        """Return the context with another listener or environment."""
        return replace(
            self.context,
            listener=listener or self.context.listener,
            environ=environ or self.context.environ,
        )

    def install(self, text: str = TEXT) -> None:
        """Write a unit file; systemd reads a new file at the first request for the unit."""
        self.unit.write_text(text)

    def write_drop_in(self, name: str, *lines: str) -> Path:
        """Write a drop-in of the unit."""
        self.drop_ins.mkdir(exist_ok=True)
        path = self.drop_ins / name
        path.write_text("".join(f"{line}\n" for line in ("[Service]", *lines)))
        return path

    def files(self) -> dict[str, str]:
        """Return the drop-ins and their copies, each with its text."""
        if not self.drop_ins.exists():
            return {}
        return {path.name: path.read_text() for path in sorted(self.drop_ins.iterdir())}

    def provide_k3s(self, release: str = "v1.33.4+k3s1") -> Path:
        """Write a k3s of this release, and return its path."""
        program = self.home / "bin" / "k3s"
        program.parent.mkdir(mode=0o755)
        program.write_text(f"#!/bin/sh\necho 'k3s version {release} (148243c4)'\n")
        program.chmod(0o755)
        return program


@contextmanager
def host() -> Iterator[ManagedHost]:
    """Yield a host, and run this process as its user."""
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-") as name:
        place = Path(name)
        place.chmod(0o755)
        for directory in (place / "home", place / "config", place / "session"):
            directory.mkdir()
            shutil.chown(directory, USER)
        with session(place / "session", USER) as bus, ordinary_user():
            yield ManagedHost(place, bus)
