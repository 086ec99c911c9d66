"""Settings of K3s for tests, read from a command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from k3s_rootless.k3s.origin import Variable
from k3s_rootless.k3s.settings import Inputs, Settings, resolve


def of_command(argv: Sequence[str], environ: Mapping[str, str], home: Path) -> Settings:
    """Return the settings of a command line and an environment alone."""
    variables = {name: Variable(text) for name, text in environ.items()}
    return resolve(Inputs(home, argv, environment=variables))


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
