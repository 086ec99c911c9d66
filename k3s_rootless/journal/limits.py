"""Resource limits of the unit that explain why K3s exited.

A limit that systemd reports outranks its effects in the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from shlex import quote

from k3s_rootless import unit_file
from k3s_rootless.finding import Remedy
from k3s_rootless.journal.catalogue import CATALOGUE
from k3s_rootless.journal.catalogue.entry import RESTART, administrator, drop_in, user
from k3s_rootless.journal.facts import Cause, Ending, Limit

_MIB = 2**20
_NEARLY = 0.95
"""The share of a limit that a unit has used when the kernel kills a process for that limit.

The kernel reclaims pages before the limit is reached.
"""
_ENTRIES = {failure.id: failure for failure in CATALOGUE}


@dataclass(frozen=True, slots=True)
class _Rule:
    """A limit, and the value below which K3s reaches it by itself.

    `enough` is that value (bytes or a count); `raised` is the value that the remedy sets.
    """

    name: str
    enough: int
    raised: str


_MEMORY = _Rule("MemoryMax", 2048 * _MIB, "2G")
_RULES = {
    "killed-by-memory": _MEMORY,
    # No line names the memory here. So only a limit below what K3s needs without any Pod explains
    # the kill.
    "killed": replace(_MEMORY, enough=500 * _MIB),
    "unit-tasks-limit": _Rule("TasksMax", 4096, "infinity"),
    "unit-open-files-limit": _Rule("LimitNOFILE", 65536, "infinity"),
}
NAMES = tuple(dict.fromkeys(rule.name for rule in _RULES.values()))
"""The properties of systemd that this module judges."""


def found_in(name: str, texts: Mapping[str, str]) -> str:
    """Return the path of the last text that assigns `name`; empty if none does.

    `texts` holds a unit file and its drop-ins, in the order in which systemd reads them.
    """
    found = ""
    for path, text in texts.items():
        for value in unit_file.values(text, name):
            found = path if value else ""
    return found


def behind(causes: Iterable[Cause], ending: Ending) -> Cause | None:
    """Return the cause that names the limit of the unit behind one of `causes`.

    This is the first cause that a limit explains; None if no limit explains any cause.
    """
    limits = {limit.name: limit for limit in ending.limits}
    for cause in causes:
        rule = _RULES.get(cause.id)
        if rule is None:
            continue
        limit = limits.get(rule.name)
        if limit is not None and _explains(rule, limit, ending):
            return _named(cause, rule, limit, ending)
    return None


def _explains(rule: _Rule, limit: Limit, ending: Ending) -> bool:
    return limit.value < rule.enough or (rule.name == "MemoryMax" and _reached(limit, ending))


def _reached(limit: Limit, ending: Ending) -> bool:
    return ending.memory_peak is not None and ending.memory_peak >= _NEARLY * limit.value


def _named(cause: Cause, rule: _Rule, limit: Limit, ending: Ending) -> Cause:
    entry = _ENTRIES["unit-memory-limit" if rule.name == "MemoryMax" else cause.id]
    value = f"{limit.name}={_shown(limit)}"
    facts = [f"systemd runs the unit with {value}"]
    if limit.file:
        facts = [f"{value} is set in {limit.file}"]
    if rule.name == "MemoryMax" and _reached(limit, ending):
        facts.append(f"the peak memory use of the unit was {(ending.memory_peak or 0) // _MIB} MiB")
    return replace(
        cause,
        id=entry.id,
        check="",
        title=_TITLES[limit.name].format(limit=value),
        why=entry.why,
        fatal=True,
        seen=(*cause.seen, *facts),
        remedy=_remedy(rule, limit),
    )


_TITLES = {
    "MemoryMax": _ENTRIES["unit-memory-limit"].title,
    "TasksMax": "the task limit of the K3s unit is too low: {limit}",
    "LimitNOFILE": "the open-file limit of the K3s unit is too low: {limit}",
}


def _remedy(rule: _Rule, limit: Limit) -> Remedy:
    # A K3s that had as much as the remedy would set needs more than that.
    enough = limit.value < rule.enough or rule.raised == "infinity"
    value = rule.raised
    if not enough:
        value = f"{2 * limit.value // _MIB}M"
    line = f"{limit.name}={value}"
    if limit.ours:
        return user("raise the limit", f"k3s-rootless config set {limit.name} {value}", RESTART)
    if not limit.file:
        return user(f"set {line} for the unit", *drop_in(line), RESTART)
    text = f"raise the limit in {limit.file}; the old file is kept with the suffix .bak"
    change = f"'s/^ *{limit.name} *=.*/{line}/' {quote(limit.file)}"
    if limit.writable:
        return user(text, f"sed --in-place=.bak --follow-symlinks {change}", RESTART)
    # Without --follow-symlinks: root would write to the target of the user's link.
    return administrator(text, f"sudo sed --in-place=.bak {change}", RESTART)


def _shown(limit: Limit) -> str:
    if limit.name == "MemoryMax" and limit.value % _MIB == 0:
        return f"{limit.value // _MIB}M"
    return str(limit.value)


def relevant(values: Mapping[str, int | None]) -> Sequence[tuple[str, int]]:
    """Return name and value of the limits to look up in the unit's files.

    A limit on tasks or open files counts only if it is too low for K3s; a memory limit always
    counts.
    """
    enough = {rule.name: rule.enough for rule in _RULES.values() if rule.raised == "infinity"}
    known = ((name, values.get(name)) for name in NAMES)
    return [
        (name, value)
        for name, value in known
        if value is not None and value < enough.get(name, value + 1)
    ]
