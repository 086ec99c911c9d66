"""Host of one user for tests of operations.

It has directories, programs on PATH, and a listener that collects events.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event
from k3s_rootless.paths import UNIT, Paths
from tests.fakes.session import Session, session
from tests.fakes.user import USER, ordinary_user

if TYPE_CHECKING:
    import pytest

_JOURNALCTL = """\
#!/bin/sh
echo "$*" >> {place}/calls
case "$*" in
*--follow*) cat {place}/new ;;
*MESSAGE_ID*) cat {place}/starts ;;
*) cat {place}/existing ;;
esac
echo "no entry"
"""
"""Its output is never empty.

With empty output, the result would depend on the journal of this machine.
"""


class Host:
    """Host without a user manager; its journalctl prints the entries that a test sets."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.events: list[Event] = []
        self.paths = Paths(place, place / "home", place / "session/runtime", place / "config")
        environ = {"PATH": os.environ["PATH"]}
        self.context = Context(self.paths, environ, USER, "alice", self.events.append)
        for directory in (self.paths.home, place / "bin"):
            directory.mkdir()
        self.program("journalctl", _JOURNALCTL.format(place=place))
        (place / "calls").touch()
        (place / "calls").chmod(0o666)
        for name in ("existing", "new", "starts"):
            self.log(name)

    def program(self, name: str, text: str) -> Path:
        """Write a program to a directory on PATH."""
        file = self.place / "bin" / name
        file.write_text(text)
        file.chmod(0o755)
        return file

    def log(self, name: str, *entries: dict[str, str]) -> None:
        """Set the output of journalctl: `existing` lines, `new` lines, or the `starts`."""
        lines = (
            json.dumps({"__CURSOR": f"s=1;i={number}", "SYSLOG_IDENTIFIER": "k3s", **entry}) + "\n"
            for number, entry in enumerate(entries)
        )
        (self.place / name).write_text("".join(lines))

    def calls(self) -> list[list[str]]:
        """Return the arguments of each call of journalctl."""
        return [line.split() for line in (self.place / "calls").read_text().splitlines()]

    def write(self, path: Path, text: str) -> Path:
        """Write a file, and create its parent directories."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def install(self, bus: Session, *lines: str) -> None:
        """Write a unit, and start the user manager that loads it."""
        command = f"/usr/local/bin/k3s server --rootless --data-dir={self.paths.data}"
        text = "\n".join(("[Service]", f"ExecStart={command}", *lines, ""))
        (bus.units / UNIT).write_text(text)
        bus.start_manager()


@contextmanager
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """Create a host, and put its programs first on PATH."""
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-") as name:
        place = Path(name)
        place.chmod(0o755)
        monkeypatch.setenv("PATH", f"{place}/bin:{os.environ['PATH']}")
        yield Host(place)


@contextmanager
def user_session(host: Host) -> Iterator[Session]:
    """Open the bus of the user on a host, and run this process as that user until the end."""
    (host.place / "session").mkdir()
    with session(host.place / "session", USER) as bus, ordinary_user():
        yield bus
