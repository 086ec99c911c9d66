"""Files that tests of operations write: the unit of a K3s, and a k3s that prints its version."""

from __future__ import annotations

from pathlib import Path

from k3s_rootless.operations.events import Event, Notice
from k3s_rootless.operations.launch.events import StepBegins
from k3s_rootless.paths import UNIT
from tests.fakes.session import Session

VERSION = "v1.33.4+k3s1"


def write(bus: Session, home: Path, *flags: str) -> Path:
    """Write the unit of a K3s with a data directory below `home`; return that directory."""
    data = home / "data"
    argv = ("/usr/local/bin/k3s", "server", "--rootless", f"--data-dir={data}", *flags)
    kubeconfig = f"--write-kubeconfig={home / 'k3s.yaml'}"
    (bus.units / UNIT).write_text(f"[Service]\nExecStart={' '.join(argv)} {kubeconfig}\n")
    return data


def write_k3s(home: Path, printed: str = f"k3s version {VERSION} (50fa2d70)") -> Path:
    """Write a k3s that prints its version, as the first program on the PATH of the context."""
    program = home / "bin" / "k3s"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\necho '{printed}'\n")
    program.chmod(0o755)
    return program


def notices(events: list[Event]) -> list[str]:
    """Return the texts of the notices."""
    return [event.text for event in events if isinstance(event, Notice)]


def steps(events: list[Event]) -> list[str]:
    """Return the descriptions of the steps."""
    return [event.does for event in events if isinstance(event, StepBegins)]
