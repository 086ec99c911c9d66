"""The order of the members of a copy of volumes, and the rules for their places and owners.

Each member follows its directory and the members of that directory. A directory is therefore never
looked up by a path, and no link is followed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from k3s_rootless.backup.volumes import members
from k3s_rootless.backup.volumes.members import Damaged, Readable, shown
from k3s_rootless.backup.volumes.records import Kind, Member


@dataclass(slots=True)
class Order:
    """The directories that are open. `ids` is the number of ids in the user namespace."""

    ids: int
    count: int = 0
    above: list[bytes] = field(default_factory=list)

    def follow(self, member: Member) -> int:
        """Accept the next member, and return the number of directories above it.

        This number is 0 for the directory of all volumes, and for the volumes in it. Raises
        Damaged.
        """
        self._require_owner(member)
        self.count += 1
        if (member.path == b".") != (self.count == 1):
            raise Damaged("the volumes do not begin with their directory")
        if member.path == b".":
            if member.kind is not Kind.DIRECTORY:
                raise Damaged("the volumes are no directory")
            return 0
        parents = member.path.split(b"/")[:-1]
        if self.above[: len(parents)] != parents:
            raise Damaged(f"`{shown(member.path)}` is not in the directory before it")
        if not parents and member.kind is not Kind.DIRECTORY:
            # K3s would follow a link in the place of a volume.
            raise Damaged(f"the volume `{shown(member.path)}` is no directory")
        del self.above[len(parents) :]
        if member.kind is Kind.DIRECTORY:
            self.above.append(last_part(member.path))
        return len(parents)

    def _require_owner(self, member: Member) -> None:
        largest = max(member.uid, member.gid)
        if largest >= self.ids:
            raise Damaged(
                f"`{shown(member.path)}` belongs to id {largest} of the user namespace, and this"
                f" user has {self.ids} ids"
            )


def check(stream: Readable, ids: int) -> int:
    """Read a copy completely, and return the number of members.

    Raises Damaged, EOFError for a truncated stream.
    """
    order = Order(ids)
    for member, _ in members.read(stream):
        order.follow(member)
    if not order.count:
        raise Damaged("the copy of the volumes is empty")
    return order.count


def last_part(path: bytes) -> bytes:
    """Return the last part of a path."""
    return path.rpartition(b"/")[2]
