"""Remedies that install a k3s that can run rootless, and make the PATH find it."""

from __future__ import annotations

from shlex import quote

from k3s_rootless.finding import FixableBy, Remedy
from k3s_rootless.preflight.facts import K3sBinary


def missing(machine: str) -> Remedy:
    """Return the remedy that gets a k3s for the user; it needs no root."""
    if _url(machine) is None:
        return Remedy(
            FixableBy.USER,
            f"install k3s v1.22 or later, built for {machine}, in ~/.local/bin",
        )
    return Remedy(
        FixableBy.USER,
        "download and verify the stable release of K3s; `k3s-rootless up --get` does this and then"
        " starts K3s",
        ("k3s-rootless release get",),
    )


def instead(binary: K3sBinary, machine: str, uid: int, release: str = "v1.22") -> Remedy:
    """Return the remedy that replaces a k3s, or makes PATH find another one first.

    The second applies if this user cannot replace the binary. `release` is the first release that
    works.
    """
    path = binary.path or "k3s"
    if binary.releases:
        text = f"use K3s {release} or later: get the stable release, and restart K3s with it"
        return Remedy(FixableBy.USER, text, ("k3s-rootless up --get stable",))
    url = _url(machine)
    if url is None:
        text = (
            f"replace {path} with k3s {release} or later, built for {machine}, or install such a"
            " k3s in a directory that comes earlier in PATH"
        )
        return Remedy(FixableBy.USER, text)
    if binary.owner == uid:
        new = quote(f"{path}.new")
        text = f"replace {path} with k3s {release} or later"
        commands = (f"curl -fLo {new} {url}", f"chmod 755 {new}", f"mv {new} {quote(path)}")
        return Remedy(FixableBy.USER, text, commands)
    first = 'export PATH="$HOME/.local/bin:$PATH"'
    text = (
        f"install k3s {release} or later in ~/.local/bin, and put this directory first in PATH: now"
        f" {path} is found first, and only its owner or an administrator can replace it"
    )
    added = (
        "mkdir -p ~/.local/bin",
        f"curl -fLo ~/.local/bin/k3s {url}",
        "chmod 755 ~/.local/bin/k3s",
        f"echo '{first}' >> ~/.profile",
        first,
    )
    return Remedy(FixableBy.USER, text, added)


def supported(line: str) -> Remedy:
    """Return the remedy that upgrades K3s to the next minor version."""
    return Remedy(
        FixableBy.USER,
        f"upgrade by one minor version at a time, first to {line}; a restart stops all pods",
        ("k3s-rootless backup create", f"k3s-rootless up --get {line} --restart"),
    )


def _url(machine: str) -> str | None:
    suffix = {"x86_64": "", "aarch64": "-arm64", "armv7l": "-armhf"}.get(machine)
    if suffix is None:
        return None
    return f"https://github.com/k3s-io/k3s/releases/latest/download/k3s{suffix}"
