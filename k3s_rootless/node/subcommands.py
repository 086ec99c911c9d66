"""Which sub-command of K3s runs where, and what it needs: the only table of this knowledge.

The page docs/reference/subcommands.md is generated from it. Sources: K3s pkg/cli and cmd/k3s, v1.21
to v1.36; the releases from K3s #4495, #4372, #5461, #6663, #8392, #9772 and #9816 (some patch
numbers are inferred from the month).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.k3s.features import Since
from k3s_rootless.node.facts import Need, Place, Subcommand

if TYPE_CHECKING:
    from k3s_rootless.k3s.version import Version

_CERTIFICATE = Since.of("v1.21.8+k3s1", "v1.22.5+k3s1", "v1.23.1+k3s1")
_CERTIFICATE_CHECK = Since.of("v1.27.13+k3s1", "v1.28.9+k3s1", "v1.29.4+k3s1", "v1.30.0+k3s1")
_TOKEN = Since.of("v1.24.11+k3s1", "v1.25.7+k3s1", "v1.26.2+k3s1")
_TOKEN_ROTATE = Since.of("v1.25.15+k3s1", "v1.26.10+k3s1", "v1.27.7+k3s1", "v1.28.3+k3s1")
_COMPLETION = Since.of("v1.22.10+k3s1", "v1.23.7+k3s1", "v1.24.1+k3s1")
_SNAPSHOTS_FROM_HOST = Since.of("v1.27.13+k3s1", "v1.28.9+k3s1", "v1.29.4+k3s1", "v1.30.0+k3s1")
"""Before, `k3s etcd-snapshot` connects to etcd itself, inside the namespaces (K3s #9816)."""
_OFFLINE = frozenset({"--help", "-h", "help"})
_WITHOUT_SERVER = ("completion", "config", "kustomize", "options", "plugin", "version")

TABLE: tuple[Subcommand, ...] = (
    Subcommand("kubectl", _WITHOUT_SERVER, needs=frozenset({Need.KUBECONFIG})),
    Subcommand("kubectl", needs=frozenset({Need.KUBECONFIG, Need.RUNNING})),
    Subcommand("crictl", place=Place.NAMESPACES, needs=frozenset({Need.RUNNING})),
    Subcommand("ctr", place=Place.NAMESPACES, needs=frozenset({Need.RUNNING})),
    Subcommand(
        "token",
        ("create", "delete", "list"),
        needs=frozenset({Need.KUBECONFIG, Need.RUNNING}),
        since=_TOKEN,
    ),
    Subcommand("token", ("generate",), since=_TOKEN),
    Subcommand(
        "token",
        ("rotate",),
        needs=frozenset({Need.KUBECONFIG, Need.SERVER, Need.TOKEN, Need.RUNNING}),
        since=_TOKEN_ROTATE,
    ),
    Subcommand("certificate", ("check",), since=_CERTIFICATE_CHECK),
    Subcommand("certificate", ("rotate",), needs=frozenset({Need.STOPPED}), since=_CERTIFICATE),
    Subcommand(
        "certificate",
        ("rotate-ca",),
        needs=frozenset({Need.SERVER, Need.RUNNING}),
        since=_TOKEN,
    ),
    Subcommand("secrets-encrypt", needs=frozenset({Need.SERVER, Need.RUNNING}), since=_CERTIFICATE),
    Subcommand(
        "etcd-snapshot",
        needs=frozenset({Need.ETCD, Need.CONFIG, Need.RUNNING}),
        since=_SNAPSHOTS_FROM_HOST,
    ),
    Subcommand("check-config"),
    Subcommand("completion", since=_COMPLETION),
    Subcommand(
        "server",
        place=Place.NOWHERE,
        because="the unit of systemd starts the server, with its own settings",
        instead="k3s-rootless up",
    ),
    Subcommand(
        "agent",
        place=Place.NOWHERE,
        because="rootless K3s has a single node, and no other server can reach an agent in it",
        instead="k3s-rootless up",
    ),
)
"""The first entry that matches counts."""
_OTHER = Subcommand("")


def find(words: Sequence[str]) -> Subcommand:
    """Return the entry for the words of a command line; unknown words run on the host."""
    named = [word for word in words if not word.startswith("-")]
    if not named:
        return _OTHER
    second = next(iter(named[1:]), "")
    for entry in TABLE:
        if entry.name == named[0] and (not entry.second or second in entry.second):
            return entry
    return _OTHER


def require(entry: Subcommand, words: Sequence[str], release: Version | None) -> None:
    """Raise an error if the sub-command is refused, or if the release does not have it.

    Raises UsageError, RootlessError.
    """
    if entry.place is Place.NOWHERE:
        raise UsageError(
            f"cannot run `k3s {entry.name}`: {entry.because}", hint=f"use: {entry.instead}"
        )
    if release is None or entry.since is None or entry.since.holds(release):
        return
    firsts = ", ".join(first.text for first in entry.since.firsts)
    raise RootlessError(
        f"cannot run `k3s {' '.join(words[:2])}`: K3s {release} does not have it without root;"
        f" the first releases that do: {firsts}",
        hint="see the releases: k3s-rootless release list --remote",
    )


def asks_for_help(words: Sequence[str]) -> bool:
    """Return whether a command line only shows help, for which K3s need not run."""
    return bool(_OFFLINE.intersection(words))
