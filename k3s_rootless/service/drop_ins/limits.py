"""Resource limits of the unit: the values that systemd accepts and reports.

Source: systemd.resource-control(5), systemd 247 to 262.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from k3s_rootless import unit_file
from k3s_rootless.k3s.needs import MEMORY, Need

_PERCENT = re.compile(r"(?P<whole>\d{1,6})(?:\.(?P<part>\d{1,2}))?%", re.ASCII)
_SIZE = re.compile(r"(?P<number>\d{1,15})(?P<unit>[KMGT]?)", re.ASCII)
_POWERS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_LARGEST = 2**63
_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Limit:
    """A directive that limits a resource.

    `read` returns the value of its property for a text, or raises ValueError; `show` returns the
    text for a property value. `need` is the amount of the resource that K3s needs; `kills` is true
    if the kernel kills K3s at this limit.
    """

    name: str
    prop: str
    what: str
    read: Callable[[str], int]
    show: Callable[[int], str]
    need: Need | None = None
    kills: bool = False


def _quota(text: str) -> int:
    found = _PERCENT.fullmatch(text)
    if found is None:
        raise ValueError("it must be a percentage of one CPU, such as 150%")
    hundredths = int(found["whole"]) * 100 + int((found["part"] or "0").ljust(2, "0"))
    if hundredths < 100:
        raise ValueError("K3s cannot run with less than 1% of a CPU")
    return hundredths * _SECOND // 10_000


def _weight(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 10_000):
        raise ValueError("it must be a number from 1 to 10000; the default is 100")
    return int(text)


def _size(text: str) -> int:
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError("it must be a size in bytes, or with K, M, G or T, such as 4G")
    size = int(found["number"]) << _POWERS[found["unit"]]
    if size < 2**20:
        raise ValueError("K3s cannot run with less than 1M")
    if size >= _LARGEST:
        raise ValueError("it is larger than systemd supports")
    return size


def _show_quota(value: int) -> str:
    whole, part = divmod(value * 10_000 // _SECOND, 100)
    return f"{whole}.{part:02}".rstrip("0").rstrip(".") + "%"


def _show_size(value: int) -> str:
    unit = next(
        (unit for unit, power in reversed(_POWERS.items()) if value and value % (1 << power) == 0),
        "",
    )
    return f"{value >> _POWERS[unit]}{unit}"


LIMITS = {
    limit.name: limit
    for limit in (
        Limit(
            "CPUQuota",
            "CPUQuotaPerSecUSec",
            "maximum CPU time, in percent of one CPU",
            _quota,
            _show_quota,
        ),
        Limit(
            "CPUWeight",
            "CPUWeight",
            "share of CPU time when the CPUs are busy; default 100",
            _weight,
            str,
        ),
        Limit(
            "MemoryMax",
            "MemoryMax",
            "maximum memory; above it, the kernel kills processes",
            _size,
            _show_size,
            MEMORY,
            kills=True,
        ),
        Limit(
            "MemoryHigh",
            "MemoryHigh",
            "memory above which the kernel slows K3s down",
            _size,
            _show_size,
            MEMORY,
        ),
    )
}


def too_low(limit: Limit, size: int) -> str | None:
    """Return why K3s cannot start with a limit of this size; None if it can."""
    if limit.need is None or not limit.kills or size > limit.need.deadly:
        return None
    most = limit.show(limit.need.deadly)
    return f"with {most} or less, the kernel kills K3s at each start: {limit.need.reason}"


def doubtful(limit: Limit, size: int) -> str | None:
    """Return why a limit of this size may be too low.

    Returns None if it is sufficient for an idle K3s.
    """
    if limit.need is None or size >= limit.need.enough:
        return None
    happens = "the kernel slows K3s down so much that it does not start"
    if limit.kills:
        happens = "the kernel kills K3s or its containers"
    return f"{limit.show(size)} may be too low: {limit.need.reason}, and at this limit {happens}"


def value(limit: Limit, properties: Mapping[str, int | None]) -> str | None:
    """Return the value of a limit that systemd reports; None if there is no limit."""
    found = properties.get(limit.prop)
    if found is None:
        return None
    return limit.show(found)


def assigned(name: str, texts: Iterable[str]) -> int | None:
    """Return the value that the files of a unit assign to MemoryMax, TasksMax or LimitNOFILE.

    `texts` are the unit file and its drop-ins in systemd's order. The value is in bytes or a count,
    and None if there is no limit. Raises ValueError for a value that only systemd can interpret,
    such as a share of the host's tasks.
    """
    found = ""
    for text in texts:
        for assignment in unit_file.values(text, name):
            found = assignment
    # A pair is the soft and the hard limit, and K3s raises the soft one (Go 1.19 and later).
    found = found.rpartition(":")[2]
    if found in {"", "infinity"}:
        return None
    amount = _SIZE.fullmatch(found)
    if amount is None or (amount["unit"] and name != "MemoryMax"):
        raise ValueError(f"{name}={found} is not a plain number")
    return int(amount["number"]) << _POWERS[amount["unit"]]
