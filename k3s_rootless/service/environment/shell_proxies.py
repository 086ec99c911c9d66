"""The proxies of a shell, as K3s's installer takes them, and what K3s needs besides.

The installer (install.sh, create_env_file) copies HTTP_PROXY, HTTPS_PROXY and NO_PROXY in capitals
and in lower case, and all variables with the prefix CONTAINERD_, from its environment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from k3s_rootless.service.environment.pending import TWINS

LOWER = {capitals: lower for lower, capitals in TWINS.items()}
_CONTAINERD = "CONTAINERD_"
_EXCEPTIONS = "NO_PROXY"
_SHARED_EXCEPTIONS = frozenset({_EXCEPTIONS, _CONTAINERD + _EXCEPTIONS})
_UNREAD = ("ALL_PROXY", "all_proxy")


def of(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the proxy variables of a shell, by their names in capitals.

    Go reads the name in lower case if the one in capitals is empty, and so does this function.
    """
    found = {
        capitals: environ.get(capitals) or environ.get(lower) or ""
        for capitals, lower in LOWER.items()
    }
    return {name: value for name, value in found.items() if value}


def addresses(found: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the variables that contain the address of a proxy."""
    return tuple(name for name in found if name not in _SHARED_EXCEPTIONS)


def contradictory(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names for which the variables in capitals and in lower case differ."""
    return tuple(
        capitals
        for capitals, lower in LOWER.items()
        if environ.get(capitals) and environ.get(lower, environ[capitals]) != environ[capitals]
    )


def unread(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables with a proxy that K3s does not read."""
    return tuple(name for name in _UNREAD if environ.get(name))


def lacking(environ: Mapping[str, str], assigned: Mapping[str, str]) -> tuple[str, ...]:
    """Return the proxies of a shell that K3s does not use; `assigned` is its environment."""
    used = of(assigned)
    return tuple(name for name in addresses(of(environ)) if name not in used)


def with_exceptions(
    found: Mapping[str, str], assigned: Mapping[str, str], needed: Iterable[str]
) -> dict[str, str]:
    """Return the variables to set: those of the shell, with complete lists of exceptions.

    A list has the entries of the shell, those that K3s already has, and `needed`. containerd uses
    the list of K3s, unless it has its own.
    """
    values = dict(found)
    names = [_EXCEPTIONS]
    if _CONTAINERD + _EXCEPTIONS in {**found, **assigned}:
        names.append(_CONTAINERD + _EXCEPTIONS)
    for name in names:
        given = (found.get(name, ""), assigned.get(name, ""), ",".join(needed))
        values[name] = _joined(given)
    return values


def _joined(lists: Iterable[str]) -> str:
    entries = (entry.strip() for one in lists for entry in one.split(","))
    return ",".join(dict.fromkeys(entry for entry in entries if entry))
