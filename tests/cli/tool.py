"""Run the tool as the user of a fake user manager, whose unit keeps K3s's data below its home."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cli.conftest import USER
from tests.cli.test_bad_bus import environment
from tests.fakes.session import PROJECT, Session, as_user
from tests.patience import PATIENCE

UNIT = "k3s-rootless.service"


@dataclass(frozen=True)
class Tool:
    """The tool of a user with a unit; K3s does not run."""

    home: Path
    bus: Session

    @property
    def data(self) -> Path:
        """The data directory of K3s."""
        return self.home / "data"

    def install(self) -> None:
        """Write the unit, and create the data directory."""
        argv = f"/usr/local/bin/k3s server --rootless --data-dir={self.data}"
        (self.bus.units / UNIT).write_text(f"[Service]\nExecStart={argv}\n")
        self.data.mkdir()
        os.chown(self.data, USER, USER)

    def run(
        self, *words: str, code: int, stdin: str = "", more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `k3s-rootless words`, which must end with status `code`."""
        done = subprocess.run(
            [*as_user(USER), sys.executable, "-m", "k3s_rootless", *words],
            cwd=PROJECT,
            env=environment(self.home, self.bus.runtime) | dict(more or {}),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert code == done.returncode, (done.stdout, done.stderr)
        return done
