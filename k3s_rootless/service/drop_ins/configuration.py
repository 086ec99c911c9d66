"""Server flags and resource limits that the user has set: kept in one drop-in of ours, and built
into what systemd starts.

The drop-in says twice what was set: in a section `[X-K3sRootless]`, which systemd passes over
(systemd.unit(5): sections that begin with `X-` are ignored), and built into directives. So it can
be built anew on another unit, when K3s has another release or another path, and nothing is
remembered elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from k3s_rootless import unit_file
from k3s_rootless.k3s import flags
from k3s_rootless.k3s.options import OPTIONS, Option
from k3s_rootless.service.drop_ins import drop_in
from k3s_rootless.service.drop_ins.limits import LIMITS, Limit
from k3s_rootless.service.facts import UnitState
from k3s_rootless.unit_file import quoted

SUBJECT = "config"
MODE = 0o644
_ABOUT = (
    "Server flags and limits of K3s. Written by k3s-rootless; change them with: k3s-rootless"
    " config set"
)
_SECTION = "[X-K3sRootless]"
_RAW_WORD = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\\.|[^\s"'\\])+""", re.DOTALL)


Configuration = Mapping[str, tuple[str, ...]]


def parse(text: str) -> dict[str, tuple[str, ...]]:
    """Read what was set from the text of our drop-in; what it does not know it leaves out."""
    found: dict[str, tuple[str, ...]] = {}
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line
        name, equals, value = line.partition("=")
        if section == _SECTION and equals and name in {*OPTIONS, *LIMITS}:
            found[name] = (*found.get(name, ()), value)
    return found


def render(wanted: Configuration, words: Sequence[str]) -> str | None:
    """Give the drop-in's text for what was set; None where nothing was.

    `words` are those of the unit's own ExecStart, as they stand there (`command_words`); they count
    where a flag was set.
    """
    if not wanted:
        return None
    known = [name for name in (*OPTIONS, *LIMITS) if name in wanted]
    lines = [
        _SECTION,
        *(f"{name}={value}" for name in known for value in wanted[name]),
        "",
        "[Service]",
    ]
    lines += [f"{name}={value}" for name in LIMITS for value in wanted.get(name, ())]
    if any(name in OPTIONS for name in wanted):
        # ExecStart= of a service is one; the empty assignment takes the unit's away
        # (systemd.service(5)).
        lines += [
            "ExecStart=",
            f"ExecStart={' '.join((*_without(words, wanted), *map(quoted, _flags(wanted))))}",
        ]
    return drop_in.render(_ABOUT, lines)


def arguments(wanted: Configuration) -> tuple[str, ...]:
    """Give the command that a unit would have for no more than what was set."""
    added = _flags(wanted)
    return ("k3s", "server", *added) if added else ()


def foreseen(words: Sequence[str], wanted: Configuration) -> tuple[str, ...]:
    """Return the command that a unit with this command has together with what was set."""
    return (*_without(words, wanted), *_flags(wanted))


def command_words(text: str) -> tuple[str, ...]:
    """Give the words of a unit's last ExecStart as they stand in its text, with their quotes,
    escapes and specifiers.
    """
    lines = tuple(unit_file.values(text, "ExecStart"))
    return tuple(_RAW_WORD.findall(lines[-1])) if lines else ()


def differs(wanted: Configuration, state: UnitState) -> str | None:
    """Say in which setting systemd has something else than what was set; None where all is as
    set.
    """
    for name, values in wanted.items():
        has = effective(name, state)
        if has != tuple(values):
            return f"{name} is {', '.join(has) or 'not set'}, and not {', '.join(values)}"
    return None


def effective(name: str, state: UnitState) -> tuple[str, ...]:
    """Give what systemd would start K3s with, by a setting's name; nothing where it does not
    say.
    """
    if name in OPTIONS:
        return given(OPTIONS[name], state.argv)
    limit = LIMITS[name]
    found = state.limits.get(limit.prop)
    return () if found is None else (limit.show(found),)


def canonical(limit: Limit, text: str) -> str:
    """Give a limit's value as it will be read back.

    Raises ValueError for one that systemd does not take.
    """
    return limit.show(limit.read(text))


def given(option: Option, argv: Sequence[str]) -> tuple[str, ...]:
    """Give the values of a flag in a command; nothing where it is not there."""
    values = [text for name, text in flags.words(argv) if name in {option.name, option.short}]
    if option.many:
        return tuple(part for value in values for part in value.split(","))
    return tuple(values[-1:])


def _flags(wanted: Configuration) -> list[str]:
    return [f"--{name}={value}" for name in OPTIONS for value in wanted.get(name, ())]


def _without(words: Sequence[str], wanted: Configuration) -> list[str]:
    # The unit's own `--snapshotter=`, the same flag in two words, and its short name: K3s refuses
    # two forms of one flag.
    named = {name: OPTIONS[name] for name in wanted if name in OPTIONS}
    named |= {option.short: option for option in named.values() if option.short}
    kept: list[str] = []
    skip = False
    for word in words:
        name, equals, _ = word.strip("\"'").partition("=")
        option = named.get(name.lstrip("-")) if name.startswith("-") else None
        if option is None and not skip:
            kept.append(word)
        skip = option is not None and not equals and option.default not in {"true", "false"}
    return kept
