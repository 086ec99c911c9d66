"""The ids of a user namespace in which the files of all pods belong to ids of the namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.k3s.unit_path import unit_search
from k3s_rootless.linux.id_mapping import IdMapping
from k3s_rootless.observation import Unknown
from k3s_rootless.preflight.probes import host, subids

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context


def mapping(context: Context) -> IdMapping | str:
    """Return the mapping that K3s's own namespace has, or the reason why there is none."""
    root = context.paths.root
    programs = []
    for name in ("newuidmap", "newgidmap"):
        found = host.map_program(name, unit_search(), root)
        if isinstance(found, Unknown) or found.value.path is None:
            return f"{name} was not found"
        programs.append(found.value.path)
    ranges = []
    for kind in ("subuid", "subgid"):
        ids = subids.of_user(kind, root, context.user, context.uid)
        if isinstance(ids, Unknown):
            return ids.reason
        ranges.append([(one.start, one.count) for one in ids.value])
    return IdMapping(programs[0], programs[1], ranges[0], ranges[1])
