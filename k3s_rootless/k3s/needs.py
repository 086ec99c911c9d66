"""The cgroup controllers and the amounts of memory, tasks and open files that K3s needs.

`deadly` is the largest limit with which K3s v1.36.3 was seen to exit. `enough` is the smallest
limit for an idle K3s. Only the owner of the Pods knows how much they need in addition.
"""

from __future__ import annotations

from dataclasses import dataclass

CONTROLLERS = frozenset({"cpu", "cpuset", "memory", "pids"})
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Need:
    """The need for one resource, in bytes for memory; `reason` explains what happens below it."""

    deadly: int
    enough: int
    reason: str


MEMORY = Need(200 * _MIB, 800 * _MIB, "an idle K3s uses 500 to 800 MiB")
TASKS = Need(
    24,
    2048,
    "each thread counts as a task, and K3s, containerd, containers and their shims have many",
)
FILES = Need(88, 4096, "K3s and containers fail with `too many open files`")
