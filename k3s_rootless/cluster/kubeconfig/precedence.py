"""The kubeconfigs that kubectl would read, and the one that it would write new entries to.

Source: client-go tools/clientcmd, loader.go and config.go (v0.20 to v0.35).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "KUBECONFIG"
_DEFAULT = ".kube/config"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The files in order of precedence, as absolute paths, and the index of the one to write."""

    files: tuple[Path, ...]
    target: int

    @property
    def file(self) -> Path:
        """The file that gets new entries."""
        return self.files[self.target]


def choose(environ: Mapping[str, str], home: Path, into: Path | None = None) -> Chosen | None:
    """Return the kubeconfigs of a user; with `into`, only that file counts.

    Of several files in KUBECONFIG, the first one that exists gets new entries, and else the last
    one. `home` is used if HOME is not set. None if KUBECONFIG is set, but names no file.
    """
    if into is not None:
        return Chosen((_absolute(into),), 0)
    given = environ.get(VARIABLE, "")
    if not given:
        default = Path(environ.get("HOME") or home) / _DEFAULT
        return Chosen((_absolute(default),), 0)
    files = tuple(dict.fromkeys(_absolute(Path(one)) for one in given.split(os.pathsep) if one))
    if not files:
        return None
    existing = (at for at, file in enumerate(files) if file.exists())
    return Chosen(files, next(existing, len(files) - 1))


def _absolute(path: Path) -> Path:
    # Not resolved: the lock of client-go is beside the path that was named, even for a link.
    return Path(os.path.abspath(path))  # noqa: PTH100 (resolve() would follow links)
