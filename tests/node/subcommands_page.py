"""Generate docs/reference/subcommands.md from the table of K3s's sub-commands.

Run `python -m tests.node.subcommands_page` after each change of the table.
"""

from __future__ import annotations

from pathlib import Path

from k3s_rootless.node.facts import Need, Place, Subcommand
from k3s_rootless.node.subcommands import TABLE

PAGE = Path(__file__).parents[2] / "docs/reference/subcommands.md"
_HEAD = """\
# Sub-commands of K3s

This page is generated from the table in the code.

`k3s-rootless k3s SUBCOMMAND` runs a sub-command of the installed K3s where it must run. Your own
options have precedence. Sub-commands that are not in the table run on the host.

- **On the host**, `k3s` gets the data directory of your K3s (`K3S_DATA_DIR`) and an empty
  configuration file. Otherwise it would read `/etc/rancher/k3s/config.yaml`, which belongs to a K3s
  with root on the same host.
- **In K3s's namespaces** means the user, mount, network and PID namespace of the running K3s.
  There, the paths that containerd reports exist, and `127.0.0.1` is that of K3s.

| sub-command | runs | gets, or requires | since |
|---|---|---|---|
"""
_ORDER = tuple(Need)


def text() -> str:
    """Return the text of the page."""
    return _HEAD + "".join(f"| {' | '.join(_row(entry))} |\n" for entry in TABLE)


def _row(entry: Subcommand) -> tuple[str, ...]:
    return (
        f"`{entry.text}`".replace("|", "`, `"),
        _place(entry),
        ", ".join(need.value for need in _ORDER if need in entry.needs) or "-",
        _since(entry),
    )


def _place(entry: Subcommand) -> str:
    if entry.place is Place.NOWHERE:
        return f"{entry.place.value}: {entry.because}; use `{entry.instead}`"
    return str(entry.place.value)


def _since(entry: Subcommand) -> str:
    if entry.since is None:
        return "all releases"
    return ", ".join(first.text for first in entry.since.firsts)


if __name__ == "__main__":
    PAGE.write_text(text(), "utf-8")
