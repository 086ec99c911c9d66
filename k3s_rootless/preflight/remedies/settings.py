"""Remedies that remove a value of K3s's settings from the place where it is set."""

from __future__ import annotations

from shlex import quote

from k3s_rootless.finding import FixableBy, Remedy, disable_drop_in
from k3s_rootless.k3s.origin import Origin, Source
from k3s_rootless.paths import OUR_DROP_IN
from k3s_rootless.preflight.remedies import drop_ins, host

_UP = "k3s-rootless up"
_KEPT = ".k3s-rootless.bak"


def without(name: str, origin: Origin, home: str) -> Remedy:
    """Return the remedy that removes the flag `name` at its origin; K3s then uses its default."""
    if origin.source is Source.CONFIG_FILE and origin.path is not None:
        return _line(name, str(origin.path), origin.line, home)
    if origin.source is Source.ENVIRONMENT:
        unset = f"UnsetEnvironment={origin.variable}"
        text = f"remove {origin.variable} from the environment of K3s"
        return drop_ins.variable(text, origin.variable, unset)
    return from_command(name, str(origin.path or ""))


def from_command(name: str, path: str) -> Remedy:
    """Return the remedy that removes a flag from ExecStart; `path` is the file that sets it."""
    file = path.rpartition("/")[2]
    if OUR_DROP_IN.fullmatch(file):
        text = f"remove --{name} from the command line of K3s"
        return Remedy(FixableBy.USER, text, (f"k3s-rootless config unset {name}", _UP))
    if file.endswith(".conf"):
        return disable_drop_in(path, _UP)
    text = f"remove --{name} from the unit (a copy of the unit file is kept)"
    return Remedy(FixableBy.USER, text, (f"{_UP} --force",))


def without_file(path: str, home: str) -> Remedy:
    """Return the remedy that lets K3s start without a configuration file; the file is kept."""
    if not _inside(path, home):
        text = f"let K3s read your own configuration file instead of {path}"
        return _own_file(text, "config.yaml", "touch ~/.config/k3s/config.yaml")
    kept = quote(f"{path}.off")
    text = f"correct {path}, or disable it: the commands rename it to {path}.off"
    # An empty file replaces it, because older releases exit if K3S_CONFIG_FILE names a missing
    # file.
    return Remedy(FixableBy.USER, text, (f"mv {quote(path)} {kept}", f"touch {quote(path)}", _UP))


def _line(name: str, path: str, line: int, home: str) -> Remedy:
    edit = quote(f"{line}d")
    if not _inside(path, home):
        # A separate name, because the user can already have a config.yaml there.
        file = "from-host.yaml"
        text = f"let K3s read a copy of {path} without `{name}`"
        return _own_file(text, file, f"sed {edit} {quote(path)} > ~/.config/k3s/{file}")
    text = f"remove `{name}` from {path}, line {line} (a copy is kept in {path}{_KEPT})"
    return Remedy(FixableBy.USER, text, (f"sed -i{_KEPT} {edit} {quote(path)}", _UP))


def _own_file(text: str, file: str, filled: str) -> Remedy:
    remedy = host.setting(text, "K3S_CONFIG_FILE", f"%h/.config/k3s/{file}")
    return Remedy(
        remedy.fixable_by, remedy.text, ("mkdir -p ~/.config/k3s", filled, *remedy.commands)
    )


def _inside(path: str, home: str) -> bool:
    return path.startswith(f"{home.rstrip('/')}/")
