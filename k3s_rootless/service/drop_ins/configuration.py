"""Server flags and resource limits that the user configured, in one drop-in of ours.

The drop-in contains each setting twice: in a section `[X-K3sRootless]`, which systemd ignores
(systemd.unit(5): sections that begin with `X-` are ignored), and in the directives. The drop-in can
therefore be rebuilt for another unit, if K3s has another release or another path, without a
separate record.
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
    """Return the settings in the text of our drop-in; unknown settings are left out."""
    found: dict[str, tuple[str, ...]] = {}
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line
        name, equals, value = line.partition("=")
        if section == _SECTION and equals and name in {*OPTIONS, *LIMITS}:
            found[name] = (*found.get(name, ()), value)
    return found


def render(configured: Configuration, words: Sequence[str]) -> str | None:
    """Return the text of the drop-in for these settings; None if there are no settings.

    `words` are the words of the unit's own ExecStart (`command_words`); they are used if a flag is
    configured.
    """
    if not configured:
        return None
    known = [name for name in (*OPTIONS, *LIMITS) if name in configured]
    lines = [
        _SECTION,
        *(f"{name}={value}" for name in known for value in configured[name]),
        "",
        "[Service]",
    ]
    lines += [f"{name}={value}" for name in LIMITS for value in configured.get(name, ())]
    if any(name in OPTIONS for name in configured):
        # A service has a single ExecStart=; the empty assignment removes the one of the unit
        # (systemd.service(5)).
        command = (*_without(words, configured), *map(quoted, _flags(configured)))
        lines += ["ExecStart=", f"ExecStart={' '.join(command)}"]
    return drop_in.render(_ABOUT, lines)


def arguments(configured: Configuration) -> tuple[str, ...]:
    """Return a command with only the configured flags; empty if no flag is configured."""
    added = _flags(configured)
    if not added:
        return ()
    return ("k3s", "server", *added)


def foreseen(words: Sequence[str], configured: Configuration) -> tuple[str, ...]:
    """Return the command of a unit with the configured flags applied."""
    return (*_without(words, configured), *_flags(configured))


def command_words(text: str) -> tuple[str, ...]:
    """Return the raw words of the last ExecStart of a unit; empty if there is none.

    Quotes, escapes and specifiers are kept.
    """
    lines = tuple(unit_file.values(text, "ExecStart"))
    if not lines:
        return ()
    return tuple(_RAW_WORD.findall(lines[-1]))


def differs(configured: Configuration, state: UnitState) -> str | None:
    """Return how the settings of systemd differ from these; None if they do not differ."""
    for name, values in configured.items():
        has = effective(name, state)
        if has != tuple(values):
            return f"{name} is {', '.join(has) or 'not set'} instead of {', '.join(values)}"
    return None


def effective(name: str, state: UnitState) -> tuple[str, ...]:
    """Return the values of a setting with which systemd would start K3s; empty for none."""
    if name in OPTIONS:
        return given(OPTIONS[name], state.argv)
    limit = LIMITS[name]
    found = state.limits.get(limit.prop)
    if found is None:
        return ()
    return (limit.show(found),)


def canonical(limit: Limit, text: str) -> str:
    """Return the value of a limit in the form in which it is read back.

    Raises ValueError for a value that systemd does not accept.
    """
    return limit.show(limit.read(text))


def given(option: Option, argv: Sequence[str]) -> tuple[str, ...]:
    """Return the values of a flag in a command; empty if the flag is missing."""
    values = [text for name, text in flags.words(argv) if name in {option.name, option.short}]
    if option.many:
        return tuple(part for value in values for part in value.split(","))
    return tuple(values[-1:])


def _flags(configured: Configuration) -> list[str]:
    return [f"--{name}={value}" for name in OPTIONS for value in configured.get(name, ())]


def _without(words: Sequence[str], configured: Configuration) -> list[str]:
    """Return the words of a command without the configured flags.

    Examples are the unit's own `--snapshotter=`, the same flag in two words, and its short name:
    K3s rejects two forms of the same flag.
    """
    named = {name: OPTIONS[name] for name in configured if name in OPTIONS}
    named |= {option.short: option for option in named.values() if option.short}
    kept: list[str] = []
    skip = False
    for word in words:
        name, equals, _ = word.strip("\"'").partition("=")
        option = None
        if name.startswith("-"):
            option = named.get(name.lstrip("-"))
        if option is None and not skip:
            kept.append(word)
        skip = option is not None and not equals and option.default not in {"true", "false"}
    return kept
