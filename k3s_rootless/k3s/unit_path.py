"""The PATH of K3s's unit, in which K3s finds the programs of the host."""

from __future__ import annotations

import shutil
from pathlib import Path

from k3s_rootless.k3s.features import UNIT_PATH

# NixOS keeps its privileged programs in this directory, which is not in the PATH of K3s's unit.
_NIX_WRAPPERS = "/run/wrappers/bin"


def unit_search(root: Path = Path("/")) -> str:
    """Return the PATH of the unit: K3s's own, extended only if newuidmap is elsewhere."""
    places = ":".join(str(root / entry.lstrip("/")) for entry in UNIT_PATH.split(":"))
    if (
        shutil.which("newuidmap", path=places) is None
        and (root / _NIX_WRAPPERS.lstrip("/") / "newuidmap").exists()
    ):
        return f"{_NIX_WRAPPERS}:{UNIT_PATH}"
    return UNIT_PATH
