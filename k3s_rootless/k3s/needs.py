"""Which controllers K3s needs to run, and how much memory, how many tasks and open files.

`deadly` is the largest value of a limit that K3s v1.36.3 was seen to die of. `enough` is the least
value for an idle K3s: how much the Pods need on top, only their owner knows.
"""

from __future__ import annotations

from dataclasses import dataclass

CONTROLLERS = frozenset({"cpu", "cpuset", "memory", "pids"})
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Need:
    """What K3s needs of one resource, in bytes for memory; `reason` says what happens below it."""

    deadly: int
    enough: int
    reason: str


MEMORY = Need(200 * _MIB, 800 * _MIB, "an idle K3s takes 500 to 800 MiB")
TASKS = Need(
    24,
    2048,
    "each thread counts as a task: K3s, containerd, and each container with its shim have some",
)
FILES = Need(88, 4096, "K3s and containers fail with `too many open files`")
