"""Comparison of the variables of a running K3s with the variables of its next start.

Only a restart applies a variable that differs. This module uses neither the layers of `precedence`
nor the judges of values: `status` needs the comparison each time, and the judges take 10 ms to
load.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from k3s_rootless.k3s.flags import VARIABLES

if TYPE_CHECKING:
    from k3s_rootless.service.facts import UnitState

_OF_K3S = ("MTU", "CIDR", "ENABLE_IPV6", "PORT_DRIVER", "DISABLE_HOST_LOOPBACK", "COPYUPDIRS")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_CONTAINERD = "CONTAINERD_"
PREFIX = "K3S_ROOTLESS_"
TWINS = {before + name.lower(): before + name for before in ("", _CONTAINERD) for name in _PROXIES}
"""Lowercase names such as `http_proxy`, mapped to their uppercase names.

Go reads a lowercase variable if its uppercase variable is empty.
"""
NAMES = (
    *(PREFIX + name for name in _OF_K3S),
    *_PROXIES,
    *(_CONTAINERD + name for name in _PROXIES),
    *TWINS,
)
"""The variables that K3s and containerd read, without the variables of the flags of K3s."""
COMPARED = (*NAMES, *VARIABLES)
"""The variables that only a restart applies."""
# K3s before v1.31 sets K3S_DATA_DIR itself, to the directory to which it unpacks its programs (K3s
# commit a26a5ab1d).
_DATA, _UNPACKED = "K3S_DATA_DIR", r"/data/[0-9a-f]{64}"


def differing(
    manager: Mapping[str, str], state: UnitState, running: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the variables that differ between the running process and the next start.

    `manager` is the environment that the user manager passes to each unit (systemd.exec(5)). The
    unit must not have environment files. An empty variable is treated like one that is not set, as
    K3s and Go do.
    """
    assigned = {**manager, **(state.environment or {})}
    following = {
        name: value
        for name, value in assigned.items()
        if {name, f"{name}={value}"}.isdisjoint(state.unset)
    }
    return tuple(
        name
        for name in comparable(running)
        if (following.get(name) or "") != (running.get(name) or "")
    )


def comparable(running: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables of a process that K3s did not set itself."""
    if re.search(_UNPACKED, running.get(_DATA, "")):
        return tuple(name for name in COMPARED if name != _DATA)
    return COMPARED
