"""The PATH that K3s's unit has, and with it every program that K3s finds on the host."""

from __future__ import annotations

import shutil
from pathlib import Path

from k3s_rootless.k3s.features import UNIT_PATH

# NixOS keeps its privileged programs here, and the PATH of K3s's unit does not name it.
_NIX_WRAPPERS = "/run/wrappers/bin"


def unit_search(root: Path = Path("/")) -> str:
    """Give the PATH of the unit: K3s's own, extended only where newuidmap lies elsewhere."""
    places = ":".join(str(root / entry.lstrip("/")) for entry in UNIT_PATH.split(":"))
    if (
        shutil.which("newuidmap", path=places) is None
        and (root / _NIX_WRAPPERS.lstrip("/") / "newuidmap").exists()
    ):
        return f"{_NIX_WRAPPERS}:{UNIT_PATH}"
    return UNIT_PATH
