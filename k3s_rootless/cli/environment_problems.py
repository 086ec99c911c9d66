"""Tells which values of the unit's environment K3s dies of."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from k3s_rootless.observation import Known, Observed
from k3s_rootless.preflight.records import Problem

_LARGEST_MTU = 65521


def problems(environment: Mapping[str, str]) -> Observed[tuple[Problem, ...]]:
    """List the settings that K3s dies of (K3s pkg/rootless/rootless.go; slirp4netns 1.2 takes prefixes of 1 to 25)."""
    found = []
    for name, value in environment.items():
        judge = _JUDGES.get(name, _internal if name.startswith("_K3S_ROOTLESS_") else None)
        if value and judge and (reason := judge(value)):
            found.append(Problem(name, f"{value!r}: {reason}", fatal=True))
    return Known(tuple(found), "Environment of the unit")


def _cidr(value: str) -> str:
    try:
        network = ipaddress.IPv4Network(value)
    except ValueError as error:
        return f"K3s dies of it: {error}"
    return "" if 1 <= network.prefixlen <= 25 else "slirp4netns takes a prefix of 1 to 25 bits"


def _mtu(value: str) -> str:
    try:
        number = int(value) if value.isascii() and "_" not in value and value == value.strip() else 0
    except ValueError:
        return ""  # K3s warns, and takes its default
    return "" if 0 <= number <= _LARGEST_MTU else f"the MTU is 0 to {_LARGEST_MTU}"


def _internal(_: str) -> str:
    return "it is K3s's own, from its parent process to its child: set from outside it keeps K3s from starting"


_JUDGES = {"K3S_ROOTLESS_CIDR": _cidr, "K3S_ROOTLESS_MTU": _mtu}
