"""Start of a lab: its namespaces, and the wait until its systemd reports that it is ready."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from tests.lab.errors import LabError
from tests.lab.site import Site

_HERE = Path(__file__).parent
_PATIENCE = 60.0
_NAMESPACES = ("--mount", "--pid", "--ipc", "--uts", "--net", "--propagation", "private")


@dataclass(frozen=True)
class Holder:
    """Process on the host that holds the namespaces, and the socket for reports of systemd."""

    site: Site
    process: subprocess.Popen[bytes]
    reports: socket.socket

    def wait_until_ready(self) -> None:
        """Wait for `READY=1`, which systemd sends when it has started all of lab.target."""
        deadline = time.monotonic() + _PATIENCE
        reports, ended = self.reports.fileno(), os.pidfd_open(self.process.pid)
        try:
            while True:
                ready, _, _ = select.select(
                    [reports, ended], [], [], max(0, deadline - time.monotonic())
                )
                if reports in ready:
                    if b"READY=1" in self.reports.recv(65536).splitlines():
                        return
                elif ready:
                    raise LabError(
                        f"lab {self.site.label} exited during the boot:\n{self._console()}"
                    )
                else:
                    raise LabError(
                        f"lab {self.site.label} did not boot within {_PATIENCE:g} s:\n"
                        f"{self._console()}"
                    )
        finally:
            os.close(ended)
            self.reports.close()

    def _console(self) -> str:
        return (self.site.state / "console").read_text(errors="replace").strip()[-4000:]


def boot(site: Site, lower: Path, contents: Path, *, stay: bool) -> Holder:
    """Start a lab at `site`, and return without waiting for it."""
    reports = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    reports.bind(str(site.state / "notify"))
    # The holder exits with this process, unless the lab may stay. systemd exits with the holder,
    # and all other processes exit with systemd.
    mortal = [] if stay else ["setpriv", "--pdeathsig", "KILL"]
    command = [
        *mortal,
        "unshare",
        "--fork",
        "--kill-child",
        *_NAMESPACES,
        "sh",
        str(_HERE / "boot.sh"),
    ]
    with (site.state / "console").open("wb") as console:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            cwd="/",
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "LANG": "C.UTF-8",
                **_settings(site, lower, contents),
            },
            start_new_session=True,
        )
    site.settle(process.pid)
    return Holder(site, process, reports)


def pid_of_systemd(site: Site) -> int:
    """Return the PID that systemd of the lab has on the host."""
    return int((site.cgroup / "init.scope" / "cgroup.procs").read_text().split()[0])


def _settings(site: Site, lower: Path, contents: Path) -> dict[str, str]:
    k3s = os.environ.get("K3S_BINARY", "")
    if k3s:
        (site.state / "real-k3s").touch()
    return {
        "LAB_STATE": str(site.state),
        "LAB_CGROUP": str(site.cgroup),
        "LAB_LOWER": str(lower),
        "LAB_PAYLOAD": str(contents),
        "LAB_FURNITURE": str(_HERE / "rootfs"),
        "LAB_K3S": k3s,
        "LAB_MACHINE_ID": uuid.uuid4().hex,
    }
