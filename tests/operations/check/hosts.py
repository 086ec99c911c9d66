"""Contexts of operations on a tree of files in place of the host."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Listener, ignore
from k3s_rootless.paths import Paths

UID = 1000


def context(
    root: Path,
    listener: Listener = ignore,
    *,
    uid: int | None = None,
    environ: Mapping[str, str] | None = None,
) -> Context:
    """Return the context of alice on the host below `root`."""
    home = root / "home/alice"
    home.mkdir(parents=True, exist_ok=True)
    paths = replace(Paths.of({}, os.getuid(), home), root=root, runtime=root / "run/user/1000")
    return Context(paths, environ or {}, os.getuid() if uid is None else uid, "alice", listener)
