"""Tests that `unit show` and `unit diff` print no secret of a unit or a drop-in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import USER
from tests.cli.test_bad_bus import environment
from tests.fakes.session import PROJECT, Session, as_user
from tests.support.search import Haystack

pytestmark = pytest.mark.thorough

UNIT = "k3s-rootless.service"
SECRETS = ("bare-pw-1", "quote'pw-2", "folded-pw-3", "over-lines-4", "flag-pw-5", "learnt-pw-6")
TEXT = """[Unit]
Description=K3s with learnt-pw-6
[Service]
Environment=HTTPS_PROXY=u:bare-pw-1@proxy:3128
Environment="HTTP_PROXY=http://u:quote'pw-2@proxy:3128" K3S_ROOTLESS_MTU=1400
Environment="MY_SECRET=folded-pw-3 \\
over-lines-4"
Environment=DB_PW=learnt-pw-6
ExecStart=/usr/local/bin/k3s server --rootless --agent-token flag-pw-5
"""


@pytest.mark.parametrize(
    "command",
    [["unit", "show"], ["unit", "show", "--json"], ["unit", "diff"], ["unit", "diff", "--json"]],
)
def test_a_unit_is_shown_without_its_secrets(home: Path, bus: Session, command: list[str]) -> None:
    (bus.directory / "user").symlink_to("units")
    (bus.units / UNIT).write_text(TEXT)
    drop_ins = bus.units / f"{UNIT}.d"
    drop_ins.mkdir()
    (drop_ins / "override.conf").write_text(
        "[Service]\n# learnt-pw-6 is in the unit\nEnvironment=PGPASS=bare-pw-1\n"
    )
    bus.order()
    k3s = home / "bin" / "k3s"
    k3s.parent.mkdir(mode=0o755)
    k3s.write_text("#!/bin/sh\necho 'k3s version v1.33.4+k3s1 (148243c4)'\n")
    k3s.chmod(0o755)
    environ = environment(home, bus.runtime)

    done = subprocess.run(
        [*as_user(USER), sys.executable, "-m", "k3s_rootless", *command],
        cwd=PROJECT,
        env={**environ, "PATH": f"{k3s.parent}:{environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == (command[1] == "diff"), done.stderr
    assert "K3S_ROOTLESS_MTU=1400" in done.stdout
    assert [] == [secret for secret in SECRETS if Haystack(done.stdout + done.stderr).holds(secret)]
    assert "Traceback" not in done.stderr
