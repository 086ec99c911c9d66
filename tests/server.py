"""Settings of K3s for tests, read from a command line."""

from __future__ import annotations

from pathlib import Path

from k3s_rootless.k3s.settings import Settings, of_command


def settings(
    data: Path = Path("/d"),
    kubeconfig: Path = Path("/k"),
    *,
    port: int = 6443,
    servicelb: bool = True,
    temporary: Path = Path("/tmp"),
    flags: tuple[str, ...] = (),
) -> Settings:
    """Return the settings of K3s with these paths, this port and these additional flags."""
    paths = (
        f"--data-dir={data}",
        f"--write-kubeconfig={kubeconfig}",
        f"--https-listen-port={port}",
    )
    disabled = () if servicelb else ("--disable=servicelb",)
    return of_command((*paths, *disabled, *flags), {"TMPDIR": str(temporary)}, Path("/home/alice"))
