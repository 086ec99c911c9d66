"""Which variables only a restart applies: what a running K3s was started with, against what its
next start finds.

Without the layers of `precedence`, and without loading what judges values: `status` needs this each
time, and the judges take 10 ms to load.
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
"""What Go reads where the capitals are empty, such as `http_proxy`, by its name."""
NAMES = (
    *(PREFIX + name for name in _OF_K3S),
    *_PROXIES,
    *(_CONTAINERD + name for name in _PROXIES),
    *TWINS,
)
"""All that K3s and containerd read, besides the variables of K3s's flags."""
COMPARED = (*NAMES, *VARIABLES)
"""All that only a restart applies."""
# K3s before v1.31 sets K3S_DATA_DIR itself, to where it unpacks its programs (its commit
# a26a5ab1d).
_DATA, _UNPACKED = "K3S_DATA_DIR", r"/data/[0-9a-f]{64}"


def differing(
    manager: Mapping[str, str], state: UnitState, running: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the variables that have another value in the next start than in the running process
    (systemd.exec(5)).

    `manager` is what the user manager hands to each unit; the unit names no environment files.
    Empty is as good as not set: K3s and Go treat both in the same way.
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
    """Return the variables of a process that it has from outside."""
    if re.search(_UNPACKED, running.get(_DATA, "")):
        return tuple(name for name in COMPARED if name != _DATA)
    return COMPARED
